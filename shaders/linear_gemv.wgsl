// Fully connected layer for few images: y = x W + b, with the sum over the inputs cut into SLICES parallel slices.
//
// binding  buffer   contents
// 0        dims     extents, features in fours
// 1        x        [n][x_stride], features from x_offset on
// 2        weights  [4 * in4][out4]
// 3        bias     [out4]
// 4        y        [n][y_stride], outputs from y_offset on
//
// Workgroup: 16 output vectors x SLICES. Grid: x = out4 / 16, y = images.

struct LinearDims {
    in4: u32, out4: u32, x_stride: u32, x_offset: u32,
    y_stride: u32, y_offset: u32, pad0: u32, pad1: u32,
}

override SLICES: u32 = 16u;

@group(0) @binding(0) var<uniform> dims: LinearDims;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
@group(0) @binding(2) var<storage, read> weights: array<Stored>;
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<Output>;

var<workgroup> sh_sums: array<vec4<f32>, 16u * SLICES>;

@compute @workgroup_size(16, SLICES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let out = min(group.x * 16u + local.x, dims.out4 - 1u);
    var sum = vec4<f32>();
    for (var i = local.y; i < dims.in4; i += SLICES) {
        let value = vec4<f32>(x[group.y * dims.x_stride + dims.x_offset + i]);
        let row = 4u * i * dims.out4 + out;
        sum += value.x * vec4<f32>(weights[row]);
        sum += value.y * vec4<f32>(weights[row + dims.out4]);
        sum += value.z * vec4<f32>(weights[row + 2u * dims.out4]);
        sum += value.w * vec4<f32>(weights[row + 3u * dims.out4]);
    }
    sh_sums[local.y * 16u + local.x] = sum;
    workgroupBarrier();
    if local.y == 0u && group.x * 16u + local.x < dims.out4 {
        for (var slice = 1u; slice < SLICES; slice++) {
            sum += sh_sums[slice * 16u + local.x];
        }
        y[group.y * dims.y_stride + dims.y_offset + out] = Output(sum + bias[out]);
    }
}
