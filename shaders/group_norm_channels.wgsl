// Mean of each channel, and the sum of its pixels' squared distances from that mean; or zero instead of the mean.
//
// binding  buffer  contents
// 0        dims    extents, channels in fours where they are called so
// 1        x       [n][pixels][x_stride], channels from x_offset on
// 2        sums    [n][c4] means, then [n][c4] sums of squares
//
// Workgroup: 4 channel vectors x 64 pixels side by side. Grid: x = c4 / 4, y = images.

struct NormDims {
    pixels: u32, c4: u32, channels: u32, of_group: u32,
    images: u32, x_stride: u32, x_offset: u32, y_stride: u32,
    y_offset: u32, eps: f32, pad0: u32, pad1: u32,
}

// Whether distances are those from the mean.
override CENTRED: bool = true;

@group(0) @binding(0) var<uniform> dims: NormDims;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
@group(0) @binding(2) var<storage, read_write> sums: array<vec4<f32>>;

var<workgroup> sh_sums: array<vec4<f32>, 256>;

// The sum over the pixels side by side, for every invocation of a channel vector.
fn together(value: vec4<f32>, lane: u32) -> vec4<f32> {
    workgroupBarrier();
    sh_sums[lane] = value;
    for (var half = 128u; half >= 4u; half /= 2u) {
        workgroupBarrier();
        if lane < half {
            sh_sums[lane] += sh_sums[lane + half];
        }
    }
    workgroupBarrier();
    return sh_sums[lane % 4u];
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let channel = min(group.x * 4u + lane % 4u, dims.c4 - 1u);
    let base = group.y * dims.pixels * dims.x_stride + dims.x_offset + channel;
    var mean = vec4<f32>();
    if CENTRED {
        var sum = vec4<f32>();
        for (var p = lane / 4u; p < dims.pixels; p += 64u) {
            sum += vec4<f32>(x[base + p * dims.x_stride]);
        }
        mean = together(sum, lane) / f32(dims.pixels);
    }
    var squares = vec4<f32>();
    for (var p = lane / 4u; p < dims.pixels; p += 64u) {
        let away = vec4<f32>(x[base + p * dims.x_stride]) - mean;
        squares += away * away;
    }
    squares = together(squares, lane);
    if lane < 4u && group.x * 4u + lane < dims.c4 {
        sums[group.y * dims.c4 + channel] = mean;
        sums[(dims.images + group.y) * dims.c4 + channel] = squares;
    }
}
