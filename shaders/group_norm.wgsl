// y = (x - mean) * scale + bias, with a mean and a scale for each image and channel; or y = x * sigmoid(v * x) * scale + bias; or
// y = max(x * scale + bias, tau).
//
// binding  buffer      contents
// 0        dims        extents, channels in fours where they are called so
// 1        x           [n][pixels][x_stride], channels from x_offset on
// 2        scales      [n][c4] means, then [n][c4] scales
// 3        bias        [c4]
// 4        parameters  [c4], v or tau
// 5        y           [n][pixels][y_stride], channels from y_offset on
//
// One invocation computes four channels of one pixel. Grid: 64 invocations per workgroup, folded into rows.

struct NormDims {
    pixels: u32, c4: u32, channels: u32, of_group: u32,
    images: u32, x_stride: u32, x_offset: u32, y_stride: u32,
    y_offset: u32, eps: f32, pad0: u32, pad1: u32,
}

// 0 group norm, 1 EvoNorm-S0, 2 filter response norm.
override FORM: u32 = 0u;

@group(0) @binding(0) var<uniform> dims: NormDims;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
@group(0) @binding(2) var<storage, read> scales: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> parameters: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> y: array<Output>;

// exp() gets only arguments up to zero, so that it never overflows.
fn sigmoid(v: vec4<f32>) -> vec4<f32> {
    let e = exp(-abs(v));
    return select(e, vec4(1.0), v >= vec4<f32>()) / (1.0 + e);
}

fn normalised(v: vec4<f32>, at: u32, c: u32) -> vec4<f32> {
    let scale = scales[dims.images * dims.c4 + at];
    switch FORM {
        case 0u: { return (v - scales[at]) * scale + bias[c]; }
        case 1u: { return v * sigmoid(parameters[c] * v) * scale + bias[c]; }
        default: { return larger(v * scale + bias[c], parameters[c]); }
    }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let id = (group.y * groups.x + group.x) * 64u + lane;
    let pixel = id / dims.c4;
    let c = id % dims.c4;
    if pixel >= dims.images * dims.pixels {
        return;
    }
    let at = pixel / dims.pixels * dims.c4 + c;
    let value = normalised(vec4<f32>(x[pixel * dims.x_stride + dims.x_offset + c]), at, c);
    // Channels that only pad the last vector are zero, as in all kernels.
    let inside = vec4(4u * c) + vec4(0u, 1u, 2u, 3u) < vec4(dims.channels);
    y[pixel * dims.y_stride + dims.y_offset + c] = Output(select(vec4<f32>(), value, inside));
}
