// The second pass of a convolution whose sum is cut into slices of dims.slice vectors: adds the slices, always in the same order, then
// bias, residual and ReLU.
//
// The binding of affine holds the sums f32x4 [slices][pixels][oc4]. x and weights are not read.
// One invocation per output vector. Grid: x = pixels * oc4 / 64.

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let count = dims.pixels * dims.oc4;
    if id.x >= count {
        return;
    }
    let oc = id.x % dims.oc4;
    let slices = (dims.kernel * dims.kernel * dims.c4 + dims.slice - 1u) / dims.slice;
    var sum = bias[oc];
    for (var slice = 0u; slice < slices; slice++) {
        sum += affine[slice * count + id.x];
    }
    finish(id.x / dims.oc4, oc, sum);
}
