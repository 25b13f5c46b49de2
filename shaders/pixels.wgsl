// Eight-bit pixels into the network's input: a table has the number for each value, so the device rounds nothing.
//
// binding  buffer  contents
// 0        dims    pixels of the whole batch; stride and offset in fours
// 1        source  [3][256] f32, the table; then red, green and blue of each pixel, four bytes a word, the first in the lowest bits
// 2        y       [pixels][y_stride], channels from y_offset on; the fourth is padding
//
// One invocation yields four pixels, which are three words. Grid: 64 invocations a workgroup, folded into rows.

struct PixelDims {
    pixels: u32, y_stride: u32, y_offset: u32, pad0: u32,
}

@group(0) @binding(0) var<uniform> dims: PixelDims;
@group(0) @binding(1) var<storage, read> source: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<Output>;

fn number(channel: u32, value: u32) -> f32 {
    return bitcast<f32>(source[256u * channel + value]);
}

// The numbers of the pixel in the low three bytes.
fn pixel(word: u32) -> Output {
    return Output(vec4<f32>(number(0u, word & 255u), number(1u, (word >> 8u) & 255u), number(2u, (word >> 16u) & 255u), 0.0));
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first = 4u * ((group.y * groups.x + group.x) * 64u + lane);
    if first >= dims.pixels {
        return;
    }
    let word = 768u + first / 4u * 3u;
    let a = source[word];
    let b = source[word + 1u];
    let c = source[word + 2u];
    var values = array<Output, 4>(pixel(a), pixel((a >> 24u) | (b << 8u)), pixel((b >> 16u) | (c << 16u)), pixel(c >> 8u));
    for (var i = 0u; i < min(4u, dims.pixels - first); i++) {
        y[(first + i) * dims.y_stride + dims.y_offset] = values[i];
    }
}
