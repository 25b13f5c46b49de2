// Mean over all pixels of each channel, with the pixels cut into 16 parallel slices: for few channels and many pixels.
//
// binding  buffer  contents
// 0        dims    extents, channels in fours; oh and ow are 1
// 1        x       [n][h][w][x_stride], channels from x_offset on
// 2        y       [n][y_stride], channels from y_offset on
//
// Workgroup: 16 channel vectors x 16 slices. Grid: x = c4 / 16, y = images.

struct PoolDims {
    h: u32, w: u32, c4: u32, oh: u32,
    ow: u32, n: u32, x_stride: u32, x_offset: u32,
    y_stride: u32, y_offset: u32, pad0: u32, pad1: u32,
}

@group(0) @binding(0) var<uniform> dims: PoolDims;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
@group(0) @binding(2) var<storage, read_write> y: array<Output>;

var<workgroup> sh_sums: array<vec4<f32>, 256>;

@compute @workgroup_size(16, 16)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let channel = min(group.x * 16u + local.x, dims.c4 - 1u);
    let pixels = dims.h * dims.w;
    let base = group.y * pixels * dims.x_stride + dims.x_offset + channel;
    var sum = vec4<f32>();
    for (var p = local.y; p < pixels; p += 16u) {
        sum += vec4<f32>(x[base + p * dims.x_stride]);
    }
    sh_sums[local.y * 16u + local.x] = sum;
    workgroupBarrier();
    if local.y == 0u && group.x * 16u + local.x < dims.c4 {
        for (var slice = 1u; slice < 16u; slice++) {
            sum += sh_sums[slice * 16u + local.x];
        }
        y[group.y * dims.y_stride + dims.y_offset + channel] = Output(sum / f32(pixels));
    }
}
