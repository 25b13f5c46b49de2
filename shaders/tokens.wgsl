// The mean of all pixels and then the pixels in one row, and a vector added to each: of the mean the first one of the weights, of the
// pixels the others, resampled from a map of `side` rows and columns.
//
// binding  buffer   contents
// 0        dims     extents, channels in fours
// 1        x        [n][pixels][x_stride], channels from x_offset on
// 2        weights  [c][1 + side side, padded to four]
// 3        y        [n][1 + pixels][y_stride], channels from y_offset on
//
// Workgroup: 16 channel vectors x 16 slices of the pixels. Grid: x = c4 / 16, y = images.

struct TokensDims {
    h: u32, w: u32, side: u32, c4: u32,
    columns: u32, x_stride: u32, x_offset: u32, y_stride: u32,
    y_offset: u32, pad0: u32, pad1: u32, pad2: u32,
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

/// Keys' cubic of -1/2.
fn cubic(distance: f32) -> f32 {
    let x = min(abs(distance), 2.0);
    if x < 1.0 {
        return (1.5 * x - 2.5) * x * x + 1.0;
    }
    return ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0;
}

/// What is added to a pixel. The cubic is as wide as the coarser of both maps is.
fn position(vector: u32, pixel: u32) -> vec4<f32> {
    if dims.h == dims.side && dims.w == dims.side {
        return weight(vector, 1u + pixel);
    }
    let scale = f32(dims.side) / vec2<f32>(f32(dims.h), f32(dims.w));
    let center = (vec2<f32>(f32(pixel / dims.w), f32(pixel % dims.w)) + 0.5) * scale;
    let wide = max(scale, vec2<f32>(1.0));
    let first = vec2<u32>(max(center - 2.0 * wide, vec2<f32>(0.0)));
    let end = min(vec2<u32>(center + 2.0 * wide + 1.0), vec2<u32>(dims.side));
    var sum = 0.0;
    var value = vec4<f32>();
    for (var i = first.x; i < end.x; i++) {
        for (var j = first.y; j < end.y; j++) {
            let distance = (vec2<f32>(f32(i), f32(j)) + 0.5 - center) / wide;
            let share = cubic(distance.x) * cubic(distance.y);
            sum += share;
            value += share * weight(vector, 1u + i * dims.side + j);
        }
    }
    return value / sum;
}

@compute @workgroup_size(16, 16)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let vector = min(group.x * 16u + local.x, dims.c4 - 1u);
    let inside = group.x * 16u + local.x < dims.c4;
    let pixels = dims.h * dims.w;
    let base = group.y * pixels * dims.x_stride + dims.x_offset + vector;
    let to = group.y * (pixels + 1u) * dims.y_stride + dims.y_offset + vector;
    var sum = vec4<f32>();
    for (var p = local.y; p < pixels; p += 16u) {
        let value = vec4<f32>(x[base + p * dims.x_stride]);
        sum += value;
        if inside {
            y[to + (p + 1u) * dims.y_stride] = Output(value + position(vector, p));
        }
    }
    sh_sums[local.y * 16u + local.x] = sum;
    workgroupBarrier();
    if local.y == 0u && inside {
        for (var slice = 1u; slice < 16u; slice++) {
            sum += sh_sums[slice * 16u + local.x];
        }
        y[to] = Output(sum / f32(pixels) + weight(vector, 0u));
    }
}
