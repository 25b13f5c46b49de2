// Maximum over all pixels of each channel, or (MEAN) the mean of this maximum and the mean over all pixels.
//
// binding  buffer  contents
// 0        dims    extents, channels in fours; oh and ow are 1
// 1        x       [n][h][w][x_stride], channels from x_offset on
// 2        y       [n][y_stride], channels from y_offset on
//
// Grid: x = c4, 64 per workgroup; y = images. Neighbouring invocations read neighbouring channels.

struct PoolDims {
    h: u32, w: u32, c4: u32, oh: u32,
    ow: u32, n: u32, x_stride: u32, x_offset: u32,
    y_stride: u32, y_offset: u32, pad0: u32, pad1: u32,
}

override MEAN: bool = false;

@group(0) @binding(0) var<uniform> dims: PoolDims;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
@group(0) @binding(2) var<storage, read_write> y: array<Output>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= dims.c4 {
        return;
    }
    let pixels = dims.h * dims.w;
    let base = id.y * pixels * dims.x_stride + dims.x_offset + id.x;
    var largest = vec4<f32>(x[base]);
    var sum = vec4<f32>();
    for (var p = 0u; p < pixels; p++) {
        let pixel = vec4<f32>(x[base + p * dims.x_stride]);
        sum += pixel;
        largest = larger(pixel, largest);
    }
    if MEAN {
        largest = 0.5 * (largest + sum / f32(pixels));
    }
    y[id.y * dims.y_stride + dims.y_offset + id.x] = Output(largest);
}
