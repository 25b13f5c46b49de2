// The mean of all pixels, then the pixels in one row, each plus its vector of weights.
//
// binding  buffer   contents
// 0        dims     extents, channels in fours
// 1        x        [n][pixels][x_stride], channels from x_offset on
// 2        weights  [c][1 + pixels, padded to four]
// 3        y        [n][1 + pixels][y_stride], channels from y_offset on
//
// Workgroup: 16 channel vectors x 16 slices of the pixels. Grid: x = c4 / 16, y = images.

struct TokensDims {
    pixels: u32, c4: u32, columns: u32, x_stride: u32,
    x_offset: u32, y_stride: u32, y_offset: u32, pad: u32,
}

@group(0) @binding(0) var<uniform> dims: TokensDims;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
@group(0) @binding(2) var<storage, read> weights: array<Stored>;
@group(0) @binding(3) var<storage, read_write> y: array<Output>;

var<workgroup> sh_sums: array<vec4<f32>, 256>;

fn weight(vector: u32, token: u32) -> vec4<f32> {
    var value = vec4<f32>();
    for (var i = 0u; i < 4u; i++) {
        value[i] = f32(weights[(4u * vector + i) * dims.columns + token / 4u][token % 4u]);
    }
    return value;
}

@compute @workgroup_size(16, 16)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let vector = min(group.x * 16u + local.x, dims.c4 - 1u);
    let inside = group.x * 16u + local.x < dims.c4;
    let base = group.y * dims.pixels * dims.x_stride + dims.x_offset + vector;
    let to = group.y * (dims.pixels + 1u) * dims.y_stride + dims.y_offset + vector;
    var sum = vec4<f32>();
    for (var p = local.y; p < dims.pixels; p += 16u) {
        let value = vec4<f32>(x[base + p * dims.x_stride]);
        sum += value;
        if inside {
            y[to + (p + 1u) * dims.y_stride] = Output(value + weight(vector, p + 1u));
        }
    }
    sh_sums[local.y * 16u + local.x] = sum;
    workgroupBarrier();
    if local.y == 0u && inside {
        for (var slice = 1u; slice < 16u; slice++) {
            sum += sh_sums[slice * 16u + local.x];
        }
        y[to] = Output(sum / f32(dims.pixels) + weight(vector, 0u));
    }
}
