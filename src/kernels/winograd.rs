//! Winograd's minimal filtering F(4x4, 3x3) for 3x3 convolutions of stride 1 in f32: a quarter of the multiplications, in three
//! dispatches with two arrays between them (Lavin and Gray 2015, "Fast Algorithms for Convolutional Neural Networks", section 4).
//! The points are 0, +-sqrt(1/2), +-sqrt(2) and infinity, which keep the rounding error near that of the direct sum.

use super::{
    KernelKey, Precision, Shader, ShaderId,
    conv2d::{BINDINGS, Conv2d, SHARED, SHARED_BROADCAST, eights},
};

/// `shaders/conv2d_winograd_input.wgsl`: 6x6 windows of the input to their 36 numbers.
pub const INPUT: Shader = Shader {
    name: "conv2d_winograd_input",
    parts: &[SHARED, include_str!("../../shaders/conv2d_winograd_input.wgsl")],
    bindings: BINDINGS,
};

/// `shaders/conv2d_winograd_gemm.wgsl`: 36 matrix products.
pub const GEMM: Shader = Shader {
    name: "conv2d_winograd_gemm",
    parts: &[SHARED, SHARED_BROADCAST, include_str!("../../shaders/conv2d_winograd_gemm.wgsl")],
    bindings: BINDINGS,
};

/// `shaders/conv2d_winograd_output.wgsl`: 36 numbers to the 4x4 outputs, with the epilogue.
pub const OUTPUT: Shader = Shader {
    name: "conv2d_winograd_output",
    parts: &[SHARED, include_str!("../../shaders/conv2d_winograd_output.wgsl")],
    bindings: BINDINGS,
};

/// Numbers of a tile: a 6x6 window of the input, 4x4 outputs.
pub const POINTS: usize = 36;

/// Channel vectors that a workgroup of the transforms takes one after the other (fixed in the shaders).
const CHANNELS: u32 = 16;

/// A kernel and its grid.
pub type Dispatch = (KernelKey, [u32; 3]);

/// Elements of the two arrays between the steps, `[36][tiles][c4]` and `[36][tiles][oc4]` vectors of four.
pub fn scratch(conv: &Conv2d) -> [usize; 2] {
    let dims = conv.dims();
    [dims.c4, dims.oc4].map(|vectors| POINTS * 4 * dims.tiles as usize * vectors as usize)
}

/// Multiply-accumulates of the matrix products.
pub fn macs(conv: &Conv2d) -> u64 {
    (POINTS * conv.params.in_channels * conv.params.out_channels) as u64 * u64::from(conv.dims().tiles)
}

/// The three dispatches on subgroups of `lanes` lanes: input transform, matrix products, output transform.
pub fn steps(conv: &Conv2d, lanes: u32) -> [Dispatch; 3] {
    let dims = conv.dims();
    let (stored, output) = (Precision::F32, Precision::F32);
    let lanes_only = vec![("LANES", lanes)];
    let input = KernelKey {
        shader: ShaderId::Conv2dWinogradInput,
        stored,
        output,
        consts: Vec::new(),
        overrides: lanes_only.clone(),
    };
    let groups = eights(dims.tiles as usize);
    let gemm = KernelKey { shader: ShaderId::Conv2dWinogradGemm, consts: vec![("GROUPS", groups)], ..input.clone() };
    let mut overrides = conv.overrides();
    overrides.extend(lanes_only);
    let output = KernelKey { shader: ShaderId::Conv2dWinogradOutput, overrides, ..input.clone() };
    let tiles = dims.tiles;
    [
        (input, [tiles, dims.c4.div_ceil(CHANNELS), 1]),
        (gemm, [tiles.div_ceil(8 * groups), dims.oc4.div_ceil(lanes), POINTS as u32]),
        (output, [tiles, dims.oc4.div_ceil(CHANNELS), 1]),
    ]
}

/// `G g G'` of one 3x3 kernel `g` (row-major), row-major in 6x6.
pub fn transform(g: [f64; 9]) -> [f64; POINTS] {
    let s = std::f64::consts::SQRT_2;
    let rows: [[f64; 3]; 6] = [
        [1.0, 0.0, 0.0],
        [-2.0 / 3.0, -s / 3.0, -1.0 / 3.0],
        [-2.0 / 3.0, s / 3.0, -1.0 / 3.0],
        [1.0 / 6.0, s / 6.0, 1.0 / 3.0],
        [1.0 / 6.0, -s / 6.0, 1.0 / 3.0],
        [0.0, 0.0, 1.0],
    ];
    let mut half = [[0.0; 3]; 6];
    for (row, out) in rows.iter().zip(&mut half) {
        for (j, value) in out.iter_mut().enumerate() {
            *value = (0..3).map(|k| row[k] * g[3 * k + j]).sum();
        }
    }
    std::array::from_fn(|at| (0..3).map(|k| half[at / 6][k] * rows[at % 6][k]).sum())
}
