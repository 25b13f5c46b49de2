// y[c] = sum over pixels of shares[head of c] * x[keys + c].
//
// binding  buffer  contents
// 0        dims    extents; channels are plain, not in fours
// 1        x       [n][pixels][x_stride], channels from x_offset on: keys, then values
// 2        shares  [n][heads][pixels]
// 3        y       [n][y_stride], channels from y_offset on
//
// Strides and offsets (x_offset, y_offset) are in fours.
//
// Workgroup: 4 channel vectors x 16 slices of the pixels. Grid: x = output channels in fours / 4, y = images.

struct AttendDims {
    pixels: u32, heads: u32, keys: u32, channels: u32,
    x_stride: u32, x_offset: u32, y_stride: u32, y_offset: u32,
    scale: f32, pad0: u32, pad1: u32, pad2: u32,
}

@group(0) @binding(0) var<uniform> dims: AttendDims;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
@group(0) @binding(2) var<storage, read> shares: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<Output>;

var<workgroup> sh_sums: array<vec4<f32>, 64>;

@compute @workgroup_size(4, 16)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let vector = group.x * 4u + local.x;
    let of_head = dims.channels / dims.heads;
    var sum = vec4<f32>();
    for (var i = 0u; i < 4u; i++) {
        let c = 4u * vector + i;
        if c < dims.channels {
            let from_channel = dims.keys + c;
            let first = (group.y * dims.heads + c / of_head) * dims.pixels;
            var value = 0.0;
            for (var p = local.y; p < dims.pixels; p += 16u) {
                let at = (group.y * dims.pixels + p) * dims.x_stride + dims.x_offset;
                value += shares[first + p] * f32(x[at + from_channel / 4u][from_channel % 4u]);
            }
            sum[i] = value;
        }
    }
    sh_sums[local.y * 4u + local.x] = sum;
    workgroupBarrier();
    if local.y == 0u && 4u * vector < dims.channels {
        for (var slice = 1u; slice < 16u; slice++) {
            sum += sh_sums[slice * 4u + local.x];
        }
        y[group.y * dims.y_stride + dims.y_offset + vector] = Output(sum);
    }
}
