// The share of each pixel in the sums of attend.wgsl: the softmax over all pixels of scale * (sum of a head's keys).
//
// binding  buffer  contents
// 0        dims    extents; channels are plain, not in fours
// 1        x       [n][pixels][x_stride], channels from x_offset on: keys, then values
// 2        shares  [n][heads][pixels]
//
// Grid: x = heads, y = images; the threads of a workgroup share the pixels.

struct AttendDims {
    pixels: u32, heads: u32, keys: u32, channels: u32,
    x_stride: u32, x_offset: u32, y_stride: u32, y_offset: u32,
    scale: f32, pad0: u32, pad1: u32, pad2: u32,
}

@group(0) @binding(0) var<uniform> dims: AttendDims;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
@group(0) @binding(2) var<storage, read_write> shares: array<f32>;

var<workgroup> sh_values: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let keys = dims.keys / dims.heads;
    let first = (group.y * dims.heads + group.x) * dims.pixels;
    var most = -3.4e38;
    for (var p = lane; p < dims.pixels; p += 64u) {
        let at = (group.y * dims.pixels + p) * dims.x_stride + dims.x_offset;
        var score = 0.0;
        for (var k = group.x * keys; k < (group.x + 1u) * keys; k++) {
            score += f32(x[at + k / 4u][k % 4u]);
        }
        score *= dims.scale;
        shares[first + p] = score;
        most = larger(vec4<f32>(score), vec4<f32>(most)).x;
    }
    sh_values[lane] = most;
    workgroupBarrier();
    for (var other = 0u; other < 64u; other++) {
        most = larger(vec4<f32>(sh_values[other]), vec4<f32>(most)).x;
    }
    workgroupBarrier();
    var sum = 0.0;
    for (var p = lane; p < dims.pixels; p += 64u) {
        let share = exp(shares[first + p] - most);
        shares[first + p] = share;
        sum += share;
    }
    sh_values[lane] = sum;
    workgroupBarrier();
    sum = 0.0;
    for (var other = 0u; other < 64u; other++) {
        sum += sh_values[other];
    }
    for (var p = lane; p < dims.pixels; p += 64u) {
        shares[first + p] /= sum;
    }
}
