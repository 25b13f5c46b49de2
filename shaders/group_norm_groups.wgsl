// Mean of each group of channels, and its channels' weights divided by the root of the group's variance, from the sums of its channels
// (Chan et al. 1983, "Algorithms for Computing the Sample Variance", equation 2.1b).
//
// binding  buffer   contents
// 0        dims     extents, channels in fours where they are called so
// 1        sums     [n][c4] means, then [n][c4] sums of squares, of channels
// 2        weights  [c4]
// 3        scales   [n][c4] means of the channels' groups, then [n][c4] scales
//
// One invocation takes four channels of one image. Grid: x = c4, 64 per workgroup; y = images.

struct NormDims {
    pixels: u32, c4: u32, channels: u32, of_group: u32,
    images: u32, x_stride: u32, x_offset: u32, y_stride: u32,
    y_offset: u32, eps: f32, pad0: u32, pad1: u32,
}

@group(0) @binding(0) var<uniform> dims: NormDims;
@group(0) @binding(1) var<storage, read> sums: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weights: array<Stored>;
@group(0) @binding(3) var<storage, read_write> scales: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= dims.c4 {
        return;
    }
    let means = id.y * dims.c4;
    let squares = (dims.images + id.y) * dims.c4;
    var mean = vec4<f32>();
    var deviation = vec4<f32>();
    for (var i = 0u; i < 4u; i++) {
        let channel = min(4u * id.x + i, dims.channels - 1u);
        let first = channel / dims.of_group * dims.of_group;
        var sum = 0.0;
        for (var c = first; c < first + dims.of_group; c++) {
            sum += sums[means + c / 4u][c % 4u];
        }
        mean[i] = sum / f32(dims.of_group);
        var variance = 0.0;
        for (var c = first; c < first + dims.of_group; c++) {
            let away = sums[means + c / 4u][c % 4u] - mean[i];
            variance += sums[squares + c / 4u][c % 4u] / f32(dims.pixels) + away * away;
        }
        deviation[i] = sqrt(variance / f32(dims.of_group) + dims.eps);
    }
    scales[means + id.x] = mean;
    scales[squares + id.x] = vec4<f32>(weights[id.x]) / deviation;
}
