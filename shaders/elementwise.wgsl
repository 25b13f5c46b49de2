// y = activation((scale * x + shift) * gate + residual), or with + gate, each part optional, into channels [offset, offset + channels) of
// the output. Computes a stand-alone batch norm, addition, ReLU, sigmoid, the gate of squeeze-and-excitation, the shift of global context,
// shortcut A (residual subsampled, zero channels around it) and concatenation.
//
// binding  buffer    contents
// 0        dims      extents; channel counts are plain, not in fours
// 1        x         [n][h][w][x_stride], channels from x_offset on
// 2        affine    scale [channels], then shift [channels], each padded to four
// 3        residual  [n][r_h][r_w][r_stride], channels from r_offset on
// 4        gate      [n][g_stride], channels from g_offset on
// 5        y         [n][h][w][y_stride], channels from y_offset on
//
// Strides and offsets (x_offset, r_offset, g_offset, y_offset) are in fours.
//
// One invocation computes four channels of one pixel. Grid: 64 invocations per workgroup, folded into rows.

struct ElementwiseDims {
    h: u32, w: u32, channels: u32, offset: u32,
    out_channels: u32, pixels: u32, r_h: u32, r_w: u32,
    r_step: u32, r_before: u32, r_channels: u32, x_stride: u32,
    x_offset: u32, r_stride: u32, r_offset: u32, y_stride: u32,
    y_offset: u32, g_stride: u32, g_offset: u32, pad0: u32,
}

override SOURCE: bool = true;
override AFFINE: bool = false;
// 0: nothing. 1: multiply by the gate. 2: add it.
override GATE: u32 = 0u;
override RESIDUAL: bool = false;
// 0: nothing. 1: clamp at zero. 2: sigmoid.
override ACTIVATION: u32 = 0u;

@group(0) @binding(0) var<uniform> dims: ElementwiseDims;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
@group(0) @binding(2) var<storage, read> affine: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> residual: array<Stored>;
@group(0) @binding(4) var<storage, read> gate: array<Stored>;
@group(0) @binding(5) var<storage, read_write> y: array<Output>;

fn element(pixel: u32, channel: u32) -> f32 {
    var value = 0.0;
    if SOURCE {
        value = f32(x[pixel * dims.x_stride + dims.x_offset + channel / 4u][channel % 4u]);
    }
    if AFFINE {
        let shift = (dims.channels + 3u) / 4u;
        value = value * affine[channel / 4u][channel % 4u] + affine[shift + channel / 4u][channel % 4u];
    }
    if GATE > 0u {
        let image = pixel / (dims.w * dims.h);
        let number = f32(gate[image * dims.g_stride + dims.g_offset + channel / 4u][channel % 4u]);
        value = select(value + number, value * number, GATE == 1u);
    }
    if RESIDUAL && channel >= dims.r_before && channel < dims.r_before + dims.r_channels {
        let c = channel - dims.r_before;
        let ox = pixel % dims.w;
        let oy = pixel / dims.w % dims.h;
        let r_pixel = (pixel / (dims.w * dims.h) * dims.r_h + oy * dims.r_step) * dims.r_w + ox * dims.r_step;
        value += f32(residual[r_pixel * dims.r_stride + dims.r_offset + c / 4u][c % 4u]);
    }
    if ACTIVATION == 1u {
        // Not max(), which may turn NaN into zero.
        value = select(value, 0.0, value < 0.0);
    }
    if ACTIVATION == 2u {
        value = 1.0 / (1.0 + exp(-value));
    }
    return value;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let out4 = (dims.out_channels + 3u) / 4u;
    let id = (group.y * groups.x + group.x) * 64u + lane;
    let pixel = id / out4;
    let first = id % out4 * 4u;
    if pixel >= dims.pixels || first + 3u < dims.offset || first >= dims.offset + dims.channels {
        return;
    }
    let at = pixel * dims.y_stride + dims.y_offset + first / 4u;
    // Keep the channels that another operator wrote into the first vector: operators that fill one output run one after the other. Clear
    // the padding after the last channel: readers multiply it by zero, which gives NaN if it is not finite.
    var value = vec4<f32>();
    if first < dims.offset {
        value = vec4<f32>(y[at]);
    }
    for (var i = 0u; i < 4u; i++) {
        let channel = first + i;
        if channel >= dims.offset && channel < dims.offset + dims.channels {
            value[i] = element(pixel, channel - dims.offset);
        }
    }
    y[at] = Output(value);
}
