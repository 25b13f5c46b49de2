//! Compares Winograd convolution on the GPU with the reference's direct sums, within a bound derived from its transforms.

use residua::{
    checkpoint::Synthetic,
    executor::{
        gpu::{
            Executor,
            kernels::{tiled::Tile as Products, winograd, winograd_tile::Tile, winograd_tiled},
            plan::Options,
        },
        reference,
    },
    graph::{Conv2dParams, Graph, Op},
    network::Network,
    tensor::{Shape, StorageType, Tensor},
};

use crate::common::{self, device};

/// `B'` and `A'` of a tile, row-major.
fn matrices(tile: Tile) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
    let (p, q) = (std::f64::consts::SQRT_2, std::f64::consts::FRAC_1_SQRT_2);
    match tile {
        Tile::Two => (
            vec![vec![1., 0., -1., 0.], vec![0., 1., 1., 0.], vec![0., -1., 1., 0.], vec![0., 1., 0., -1.]],
            vec![vec![1., 1., 1., 0.], vec![0., 1., -1., -1.]],
        ),
        Tile::Four => (
            vec![
                vec![1., 0., -2.5, 0., 1., 0.],
                vec![0., -p, -2., q, 1., 0.],
                vec![0., p, -2., -q, 1., 0.],
                vec![0., -q, -0.5, p, 1., 0.],
                vec![0., q, -0.5, -p, 1., 0.],
                vec![0., 1., 0., -2.5, 0., 1.],
            ],
            vec![
                vec![1., 1., 1., 1., 1., 0.],
                vec![0., q, -q, p, -p, 0.],
                vec![0., 0.5, 0.5, 2., 2., 0.],
                vec![0., 0.5 * q, -0.5 * q, 2. * p, -2. * p, 1.],
            ],
        ),
    }
}

/// `m d m'`, computed with magnitudes.
fn magnitudes(m: &[Vec<f64>], d: &[f64], side: usize) -> Vec<f64> {
    let entry = |i: usize, j: usize| -> f64 {
        (0..side * side).map(|at| m[i][at / side].abs() * d[at].abs() * m[j][at % side].abs()).sum()
    };
    (0..m.len() * m.len()).map(|at| entry(at / m.len(), at % m.len())).collect()
}

/// The sum for each output with every term taken by its magnitude: `|A'| (sum of |G||g||G'| . |B'||d||B|) |A|`.
fn scale(tile: Tile, input: &Tensor, weights: &[f32], outputs: usize) -> Tensor {
    let Shape { n, c, h, w } = input.shape;
    let (b, a) = matrices(tile);
    let (points, side, step) = (tile.points(), b.len(), tile.outputs());
    let one_tap = |t: usize| std::array::from_fn(|tap| f64::from(u8::from(t == tap)));
    let mut taps: Vec<[f64; 9]> = Vec::new();
    tile.transform(std::array::from_fn(one_tap), |values| taps.push(values));
    let kernel = |o: usize, i: usize, point: usize| -> f64 {
        (0..9).map(|tap| taps[point][tap].abs() * f64::from(weights[(o * c + i) * 9 + tap]).abs()).sum()
    };
    let mut out = Tensor::zeros(Shape::new(n, outputs, h, w));
    for image in 0..n {
        for (y, x) in (0..h).step_by(step).flat_map(|y| (0..w).step_by(step).map(move |x| (y, x))) {
            let window = |i: usize| -> Vec<f64> {
                let pixel = |at: usize| {
                    let (iy, ix) = ((y + at / side).wrapping_sub(1), (x + at % side).wrapping_sub(1));
                    let inside = iy < h && ix < w;
                    if inside { f64::from(input.image(image)[(i * h + iy) * w + ix]) } else { 0.0 }
                };
                magnitudes(&b, &(0..points).map(pixel).collect::<Vec<_>>(), side)
            };
            let windows: Vec<Vec<f64>> = (0..c).map(window).collect();
            for o in 0..outputs {
                let products: Vec<f64> =
                    (0..points).map(|p| (0..c).map(|i| kernel(o, i, p) * windows[i][p]).sum()).collect();
                for (at, value) in magnitudes(&a, &products, side).into_iter().enumerate() {
                    let (oy, ox) = (y + at / step, x + at % step);
                    if oy < h && ox < w {
                        out.data[((image * outputs + o) * h + oy) * w + ox] = value as f32;
                    }
                }
            }
        }
    }
    out
}

#[test]
fn winograd_is_within_the_bound_of_its_transforms() {
    let device = device();
    let mut kernels =
        vec![(winograd_tiled::id(Products::P64C64), Tile::Four), (winograd_tiled::id(Products::P128C128), Tile::Four)];
    match device.caps().subgroup.filter(|&lanes| lanes >= 8) {
        Some(lanes) => kernels.extend(Tile::ALL.map(|tile| (winograd::id(tile, lanes), tile))),
        None => common::say("SKIPPED winograd by broadcasts: the adapter has no fixed subgroup size of at least 8"),
    }
    // Tiles that end past the edge, channel counts that are not multiples of four, several images, an image smaller than a tile.
    for (n, c, h, w, outputs) in [(2, 8, 9, 10, 12), (1, 64, 7, 7, 40), (3, 5, 4, 13, 6), (1, 20, 1, 3, 8)] {
        let params = Conv2dParams {
            in_channels: c,
            out_channels: outputs,
            kernel: 3,
            stride: 1,
            padding: 1,
            dilation: 1,
            groups: 1,
        };
        let mut graph = Graph::new(c);
        graph.push("conv", Op::Conv2d { weight: "conv.weight".into(), bias: None, params }, &[graph.input()]);
        let made_up = Synthetic { salt: "winograd".into(), damped: None, damp: 1.0 };
        let checkpoint = made_up.checkpoint("winograd", &graph.tensors()).unwrap();
        let input = Tensor::new(Shape::new(n, c, h, w), made_up.input([n, c, h, w]));
        let expected = reference::logits(&graph, &checkpoint, &input).unwrap();
        let weights = made_up.tensor("conv.weight", &[outputs, c, 3, 3]);
        for &(kernel, tile) in &kernels {
            let options = Options { forced: Some(kernel), ..Options::new(StorageType::F32) };
            let executor = Executor::new(device.clone(), Network::new(graph.clone(), checkpoint.clone()), options);
            let got = pollster::block_on(executor.run(&input)).unwrap();
            let scale = scale(tile, &input, &weights, outputs);
            // A sum over c channels between two transforms of the input and two of the output, each of at most 6 products and sums
            // with a rounded constant, and the rounded weight: c + 4 * 7 + 4 roundings (Higham 2002, section 3.1).
            let roundings = (c + 32) as f32;
            for i in 0..got.data.len() {
                let (error, bound) = ((got.data[i] - expected.data[i]).abs(), f32::EPSILON * roundings * scale.data[i]);
                assert!(error <= bound, "{c} -> {outputs}, {h}x{w}, {kernel}: element {i}: {error:e} > {bound:e}");
            }
        }
    }
}
