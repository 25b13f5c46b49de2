// What to do about NaN. Compilers assume that `v != v` is false, so test the bits; max() may drop NaN.

fn is_nan(v: vec4<f32>) -> vec4<bool> {
    return (bitcast<vec4<u32>>(v) & vec4(0x7fffffffu)) > vec4(0x7f800000u);
}

// The larger of each two, and NaN if one of them is.
fn larger(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    return select(b, a, (a > b) | is_nan(a));
}
