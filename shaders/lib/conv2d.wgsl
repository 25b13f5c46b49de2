// Common code of all conv2d kernels: bindings, extents, prologue and epilogue.
//
// binding  buffer     type   contents
// 0        dims       -      extents, see Conv2dDims
// 1        x          4ch    input        [n][h][w][x_stride], channels from x_offset on
// 2        weights    4ch    weights      [kernel][kernel][4 * group_c4][oc4]: one row per input channel of a group
// 3        bias       f32x4  bias         [oc4]
// 4        residual   4ch    second addend of the epilogue (unused if r_step is 0)
// 5        affine     f32x4  prologue: scale [c4], then shift [c4] (unused without PROLOGUE)
// 6        y          4ch    output       [n][oh][ow][y_stride], channels from y_offset on
//
// "4ch" is `Stored` (y: `Output`), four channels as vec4<f32> or vec4<f16>: the generated header defines both.
// All channel counts, strides and offsets are in units of four channels.

struct Conv2dDims {
    h: u32, w: u32, c4: u32, x_stride: u32,
    oh: u32, ow: u32, oc4: u32, y_stride: u32,
    x_offset: u32, y_offset: u32,
    // Output pixels in the whole batch, n * oh * ow.
    pixels: u32,
    // Rows and columns of the window, its stride, and the padding on each side.
    kernel: u32, stride: u32, padding: u32,
    // Activation: 0 none, 1 clamp at zero, 2 sigmoid.
    activation: u32,
    // Residual: its channels in fours and the first of them, its rows and columns, and its subsampling step (0: no residual). Then, counted
    // singly: the zero channels before it, and its own channels.
    r_stride: u32, r_offset: u32, r_h: u32, r_w: u32, r_step: u32, r_before: u32, r_channels: u32,
    // Input and output channels per group (all channels if there is one group).
    group_c4: u32, group_oc4: u32,
    // Winograd: tiles of 4x4 outputs across, down, and in the whole batch.
    tiles_w: u32, tiles_h: u32, tiles: u32,
    // Vectors of the sum per slice, if it is cut into slices (see lib/gemm.wgsl).
    slice: u32,
    // Pixels from one tap of the window to the next.
    dilation: u32,
    pad0: u32, pad1: u32, pad2: u32,
}

// The input is relu(scale * x + shift) instead of x: the batch norm and ReLU before a DenseNet convolution.
override PROLOGUE: bool = false;
// The residual is subsampled, with zero channels around it (shortcut A of the CIFAR networks); else it has the shape of the output.
override SUBSAMPLED: bool = false;

@group(0) @binding(0) var<uniform> dims: Conv2dDims;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
@group(0) @binding(2) var<storage, read> weights: array<Stored>;
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> residual: array<Stored>;
@group(0) @binding(5) var<storage, read> affine: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> y: array<Output>;

// Not max(), which may turn NaN into zero.
fn clamp_at_zero(v: vec4<f32>) -> vec4<f32> {
    return select(v, vec4<f32>(), v < vec4<f32>());
}

// Scale and shift of the prologue.
struct Affine { scale: vec4<f32>, shift: vec4<f32> }

// Scale and shift of input vector c; unused without a prologue.
fn affine_of(c: u32) -> Affine {
    var a: Affine;
    if PROLOGUE {
        a = Affine(affine[c], affine[dims.c4 + c]);
    }
    return a;
}

// Input vector c of the pixel whose channels start at `start`, times `inside`: 0.0 for a pixel of the padding, else 1.0.
fn load_input(start: u32, c: u32, inside: f32) -> vec4<f32> {
    return load_with(affine_of(c), start, c, inside);
}

fn load_with(a: Affine, start: u32, c: u32, inside: f32) -> vec4<f32> {
    var v = vec4<f32>(x[start + c]);
    if PROLOGUE {
        v = clamp_at_zero(a.scale * v + a.shift);
    }
    return inside * v;
}

// a / b without an integer division, which software adapters do lane by lane. Exact for quotients below 2^22.
fn divide(a: u32, b: u32) -> u32 {
    let q = u32(f32(a) / f32(b));
    let rest = i32(a - q * b);
    return q + select(0u, 1u, rest >= i32(b)) - select(0u, 1u, rest < 0);
}

// Start of the window of one output pixel.
struct Window { image: u32, y: i32, x: i32 }

fn window(pixel: u32) -> Window {
    let p = min(pixel, dims.pixels - 1u);
    let line = divide(p, dims.ow);
    let image = divide(line, dims.oh);
    let padding = i32(dims.padding);
    return Window(image, i32((line - image * dims.oh) * dims.stride) - padding, i32((p - line * dims.ow) * dims.stride) - padding);
}

// Start of the channels of a window's input at kernel position (ky, kx), and 1.0 if it is inside the image, else 0.0.
struct Tap { start: u32, inside: f32 }

fn tap(w: Window, ky: u32, kx: u32) -> Tap {
    let iy = w.y + i32(ky * dims.dilation);
    let ix = w.x + i32(kx * dims.dilation);
    let cy = clamp(iy, 0, i32(dims.h) - 1);
    let cx = clamp(ix, 0, i32(dims.w) - 1);
    let start = ((w.image * dims.h + u32(cy)) * dims.w + u32(cx)) * dims.x_stride + dims.x_offset;
    return Tap(start, select(0.0, 1.0, cy == iy && cx == ix));
}

// One channel of the subsampled, zero-padded residual at output pixel (n, oy, ox).
fn padded_residual(n: u32, oy: u32, ox: u32, channel: u32) -> f32 {
    if channel < dims.r_before || channel >= dims.r_before + dims.r_channels {
        return 0.0;
    }
    let c = channel - dims.r_before;
    let pixel = (n * dims.r_h + oy * dims.r_step) * dims.r_w + ox * dims.r_step;
    return f32(residual[pixel * dims.r_stride + dims.r_offset + c / 4u][c % 4u]);
}

// Applies residual and activation to four channels of one output pixel, whose sum includes the bias, and stores them.
fn finish(pixel: u32, oc: u32, sum: vec4<f32>) {
    var value = sum;
    // A uniform tells whether there is a residual: with an override, each kernel would be compiled twice, which takes llvmpipe most of
    // a second.
    if dims.r_step != 0u && !SUBSAMPLED {
        value += vec4<f32>(residual[pixel * dims.r_stride + dims.r_offset + oc]);
    }
    if SUBSAMPLED {
        let ox = pixel % dims.ow;
        let oy = pixel / dims.ow % dims.oh;
        let n = pixel / (dims.ow * dims.oh);
        value += vec4<f32>(padded_residual(n, oy, ox, 4u * oc), padded_residual(n, oy, ox, 4u * oc + 1u),
                           padded_residual(n, oy, ox, 4u * oc + 2u), padded_residual(n, oy, ox, 4u * oc + 3u));
    }
    if dims.activation == 1u {
        value = clamp_at_zero(value);
    }
    if dims.activation == 2u {
        // Padding channels become 1/2 here; readers multiply them by zero.
        value = 1.0 / (1.0 + exp(-value));
    }
    y[pixel * dims.y_stride + dims.y_offset + oc] = Output(value);
}
