// What every conv2d kernel shares: bindings, extents, where a window starts, and the epilogue.
//
// binding  buffer     type   contents
// 0        dims       -      extents, see Conv2dDims
// 1        x          4ch    input        [n][h][w][x_stride], channels from x_offset on
// 2        weights    4ch    weights      [kh][kw][4 * c4][oc4]: one row per input channel
// 3        bias       f32x4  bias         [oc4]
// 4        residual   4ch    second addend of the epilogue (bound to x where RESIDUAL is 0)
// 5        y          4ch    output       [n][oh][ow][y_stride], channels from y_offset on
//
// "4ch" is `Stored` (y: `Output`), four channels as vec4<f32> or vec4<f16>: the generated header defines both.
// All channel counts, strides and offsets are in units of four channels.

struct Conv2dDims {
    h: u32, w: u32, c4: u32, x_stride: u32,
    oh: u32, ow: u32, oc4: u32, y_stride: u32,
    x_offset: u32, y_offset: u32,
    // Output pixels of the whole batch, n * oh * ow.
    pixels: u32,
    // Residual: its channels in fours, its rows and columns, its subsampling step, zero channels in front of it (not in fours).
    r_stride: u32, r_h: u32, r_w: u32, r_step: u32, r_before: u32,
    // Channels of the residual that exist (not in fours).
    r_channels: u32,
    pad0: u32, pad1: u32, pad2: u32,
}

override KERNEL: u32 = 3u;
override STRIDE: u32 = 1u;
override PADDING: u32 = 1u;
override RELU: bool = true;
// 0: none. 1: same shape as the output. 2: subsampled, with zero channels around it (shortcut A of the CIFAR nets).
override RESIDUAL: u32 = 0u;

@group(0) @binding(0) var<uniform> dims: Conv2dDims;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
@group(0) @binding(2) var<storage, read> weights: array<Stored>;
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> residual: array<Stored>;
@group(0) @binding(5) var<storage, read_write> y: array<Output>;

// Where the window of one output pixel starts.
struct Window { image: u32, y: i32, x: i32 }

fn window(pixel: u32) -> Window {
    let p = min(pixel, dims.pixels - 1u);
    let ox = p % dims.ow;
    let oy = p / dims.ow % dims.oh;
    return Window(p / (dims.ow * dims.oh), i32(oy * STRIDE) - i32(PADDING), i32(ox * STRIDE) - i32(PADDING));
}

// One channel of the subsampled, zero-padded residual at output pixel (n, oy, ox).
fn padded_residual(n: u32, oy: u32, ox: u32, channel: u32) -> f32 {
    if channel < dims.r_before || channel >= dims.r_before + dims.r_channels {
        return 0.0;
    }
    let c = channel - dims.r_before;
    let pixel = (n * dims.r_h + oy * dims.r_step) * dims.r_w + ox * dims.r_step;
    return f32(residual[pixel * dims.r_stride + c / 4u][c % 4u]);
}

// Bias, residual and ReLU for four channels of one output pixel, then the store.
fn finish(pixel: u32, oc: u32, sum: vec4<f32>) {
    var value = sum + bias[oc];
    if RESIDUAL == 1u {
        value += vec4<f32>(residual[pixel * dims.r_stride + oc]);
    }
    if RESIDUAL == 2u {
        let ox = pixel % dims.ow;
        let oy = pixel / dims.ow % dims.oh;
        let n = pixel / (dims.ow * dims.oh);
        value += vec4<f32>(padded_residual(n, oy, ox, 4u * oc), padded_residual(n, oy, ox, 4u * oc + 1u),
                           padded_residual(n, oy, ox, 4u * oc + 2u), padded_residual(n, oy, ox, 4u * oc + 3u));
    }
    if RELU {
        // Not max(): that may turn NaN into zero.
        value = select(value, vec4<f32>(), value < vec4<f32>());
    }
    y[pixel * dims.y_stride + dims.y_offset + oc] = Output(value);
}
