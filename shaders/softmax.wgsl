// Softmax over groups of channels: [n][outer][groups][inner] to [n][groups][outer][inner].
//
// binding  buffer  contents
// 0        dims    extents; channels are plain, not in fours
// 1        x       [n][x_stride], channels from x_offset on
// 2        y       [n][y_stride], channels from y_offset on
//
// Strides and offsets (x_offset, y_offset) are in fours.
//
// One invocation computes four channels of one image. Grid: x = channels in fours, 64 per workgroup; y = images.

struct SoftmaxDims {
    outer: u32, groups: u32, inner: u32, x_stride: u32,
    x_offset: u32, y_stride: u32, y_offset: u32, pad: u32,
}

@group(0) @binding(0) var<uniform> dims: SoftmaxDims;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
@group(0) @binding(2) var<storage, read_write> y: array<Output>;

fn logit(image: u32, outer: u32, group: u32, inner: u32) -> f32 {
    let c = (outer * dims.groups + group) * dims.inner + inner;
    return f32(x[image * dims.x_stride + dims.x_offset + c / 4u][c % 4u]);
}

fn share(image: u32, channel: u32) -> f32 {
    let inner = channel % dims.inner;
    let outer = channel / dims.inner % dims.outer;
    let own = logit(image, outer, channel / (dims.inner * dims.outer), inner);
    var largest = own;
    for (var group = 0u; group < dims.groups; group++) {
        largest = max(largest, logit(image, outer, group, inner));
    }
    var sum = 0.0;
    for (var group = 0u; group < dims.groups; group++) {
        sum += exp(logit(image, outer, group, inner) - largest);
    }
    return exp(own - largest) / sum;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let first = 4u * id.x;
    let channels = dims.outer * dims.groups * dims.inner;
    if first >= channels {
        return;
    }
    // Channels that only pad the last vector are zero, as in all kernels.
    var shares = vec4<f32>();
    for (var i = 0u; i < 4u && first + i < channels; i++) {
        shares[i] = share(id.y, first + i);
    }
    y[id.y * dims.y_stride + dims.y_offset + id.x] = Output(shares);
}
