// y = f(x) for each element, where f is an activation that no other kernel does in its epilogue.
//
// binding  buffer  contents
// 0        dims    extents, channels in fours; the parameter of activations that have one
// 1        x       [n][h][w][x_stride], channels from x_offset on
// 2        y       [n][h][w][y_stride], channels from y_offset on
//
// One invocation computes four channels of one pixel. Grid: 64 invocations per workgroup, folded into rows.
// exp() gets only arguments up to zero, so that it never overflows.

struct ActivationDims {
    pixels: u32, c4: u32, x_stride: u32, x_offset: u32,
    y_stride: u32, y_offset: u32, number: f32, pad: u32,
}

// 0 relu6, 1 leaky_relu, 2 silu, 3 mish, 4 gelu, 5 gelu_tanh, 6 quick_gelu, 7 tanh, 8 hard_sigmoid, 9 hard_swish, 10 hard_mish, 11 elu,
// 12 celu, 13 selu, 14 relu, 15 sigmoid, 16 identity.
override FUNCTION: u32 = 2u;

@group(0) @binding(0) var<uniform> dims: ActivationDims;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
@group(0) @binding(2) var<storage, read_write> y: array<Output>;

fn positive(v: vec4<f32>) -> vec4<f32> {
    return max(v, vec4<f32>());
}

fn sigmoid(v: vec4<f32>) -> vec4<f32> {
    let e = exp(-abs(v));
    return select(e, vec4(1.0), v >= vec4<f32>()) / (1.0 + e);
}

fn hyperbolic_tangent(v: vec4<f32>) -> vec4<f32> {
    let e = exp(-2.0 * abs(v));
    return sign(v) * (1.0 - e) / (1.0 + e);
}

// tanh(ln(1 + exp(v))), with numerator and denominator divided by the larger power of exp(v).
fn tanh_softplus(v: vec4<f32>) -> vec4<f32> {
    let e = exp(-abs(v));
    let above = (1.0 + 2.0 * e) / (1.0 + 2.0 * e + 2.0 * e * e);
    let below = (e * e + 2.0 * e) / (e * e + 2.0 * e + 2.0);
    return select(below, above, v >= vec4<f32>());
}

// Distribution function of the normal distribution, off by at most 1e-7: (1 + erf(v / sqrt(2))) / 2 with formula 7.1.26 of Abramowitz and
// Stegun 1964, "Handbook of Mathematical Functions".
fn normal(v: vec4<f32>) -> vec4<f32> {
    let z = min(abs(v) * 0.70710678, vec4(9.0));
    let t = 1.0 / (1.0 + 0.3275911 * z);
    let series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    let tail = 0.5 * series * exp(-z * z);
    return select(tail, 1.0 - tail, v >= vec4<f32>());
}

// exp(v) - 1 for v up to zero.
fn below_zero(v: vec4<f32>) -> vec4<f32> {
    let small = min(v, vec4<f32>());
    // Near zero the difference would lose its significant digits.
    let series = small * (1.0 + small * (0.5 + small * (1.0 / 6.0)));
    return select(exp(small) - 1.0, series, small > vec4(-0.01));
}

fn activate(v: vec4<f32>) -> vec4<f32> {
    switch FUNCTION {
        case 0u: { return clamp(v, vec4<f32>(), vec4(6.0)); }
        case 1u: { return select(v, dims.number * v, v < vec4<f32>()); }
        case 2u: { return v * sigmoid(v); }
        case 3u: { return v * tanh_softplus(v); }
        case 4u: { return v * normal(v); }
        case 5u: { return 0.5 * v * (1.0 + hyperbolic_tangent(0.79788456 * (v + 0.044715 * v * v * v))); }
        case 6u: { return v * sigmoid(1.702 * v); }
        case 7u: { return hyperbolic_tangent(v); }
        case 8u: { return clamp(v + 3.0, vec4<f32>(), vec4(6.0)) / 6.0; }
        case 9u: { return v * clamp(v + 3.0, vec4<f32>(), vec4(6.0)) / 6.0; }
        case 10u: { return 0.5 * v * clamp(v + 2.0, vec4<f32>(), vec4(2.0)); }
        case 11u: { return select(v, dims.number * below_zero(v), v < vec4<f32>()); }
        case 12u: { return select(v, dims.number * below_zero(v / dims.number), v < vec4<f32>()); }
        case 13u: { return 1.050700987 * select(v, 1.673263242 * below_zero(v), v < vec4<f32>()); }
        case 14u: { return positive(v); }
        case 15u: { return sigmoid(v); }
        default: { return v; }
    }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let id = (group.y * groups.x + group.x) * 64u + lane;
    let pixel = id / dims.c4;
    let c = id % dims.c4;
    if pixel >= dims.pixels {
        return;
    }
    let v = vec4<f32>(x[pixel * dims.x_stride + dims.x_offset + c]);
    y[pixel * dims.y_stride + dims.y_offset + c] = Output(select(activate(v), v, is_nan(v)));
}
