// Gates of efficient channel attention: y[c] = sigmoid(sum over t of weights[t] * x[c + t - taps / 2]); x is zero outside its channels.
//
// binding  buffer   contents
// 0        dims     extents; channels are plain, not in fours
// 1        x        [n][x_stride], channels from x_offset on
// 2        weights  [taps], each in the first of four columns
// 3        y        [n][y_stride], channels from y_offset on
//
// Strides and offsets (x_offset, y_offset) are in fours.
//
// One invocation computes four channels of one image. Grid: x = channels in fours, 64 per workgroup; y = images.

struct GateDims {
    channels: u32, taps: u32, x_stride: u32, x_offset: u32,
    y_stride: u32, y_offset: u32, pad0: u32, pad1: u32,
}

@group(0) @binding(0) var<uniform> dims: GateDims;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
@group(0) @binding(2) var<storage, read> weights: array<Stored>;
@group(0) @binding(3) var<storage, read_write> y: array<Output>;

fn gate(image: u32, channel: u32) -> f32 {
    let base = image * dims.x_stride + dims.x_offset;
    var sum = 0.0;
    for (var tap = 0u; tap < dims.taps; tap++) {
        // A channel before the first one wraps around to a large number.
        let other = channel + tap - dims.taps / 2u;
        if other < dims.channels {
            sum += f32(weights[tap].x) * f32(x[base + other / 4u][other % 4u]);
        }
    }
    return 1.0 / (1.0 + exp(-sum));
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let first = 4u * id.x;
    if first >= dims.channels {
        return;
    }
    // Channels that only pad the last vector are zero, as in all kernels.
    var gates = vec4<f32>();
    for (var i = 0u; i < 4u && first + i < dims.channels; i++) {
        gates[i] = gate(id.y, first + i);
    }
    y[id.y * dims.y_stride + dims.y_offset + id.x] = Output(gates);
}
