// Converts eight-bit pixels to the network's input: a table has the number for each value, so the device does no rounding.
//
// binding  buffer  contents
// 0        dims    pixels of the whole batch; stride and offset in fours
// 1        source  [3][256] f32, the table; then red, green and blue of each pixel, four bytes a word, the first in the lowest bits
// 2        y       [pixels][y_stride], channels from y_offset on; the fourth is padding
//
// One invocation converts one pixel. Grid: 64 invocations per workgroup, folded into rows.

struct PixelDims {
    pixels: u32, y_stride: u32, y_offset: u32, pad0: u32,
}

const TABLE: u32 = 768u;

@group(0) @binding(0) var<uniform> dims: PixelDims;
@group(0) @binding(1) var<storage, read> source: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<Output>;

// The number for byte `at` of the pixels, which belongs to `channel`.
fn number(channel: u32, at: u32) -> f32 {
    let value = (source[TABLE + at / 4u] >> (8u * (at % 4u))) & 255u;
    return bitcast<f32>(source[256u * channel + value]);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let pixel = (group.y * groups.x + group.x) * 64u + lane;
    if pixel >= dims.pixels {
        return;
    }
    let at = 3u * pixel;
    y[pixel * dims.y_stride + dims.y_offset] = Output(vec4<f32>(number(0u, at), number(1u, at + 1u), number(2u, at + 2u), 0.0));
}
