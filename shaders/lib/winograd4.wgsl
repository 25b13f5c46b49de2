// The last transform of Winograd F(4x4, 3x3), line by line: A' times the six products of a column or row of a tile.

const OUTPUTS: u32 = 4u;
// Constants as in conv2d_winograd4_input.wgsl.
const P: f32 = 1.41421356;
const Q: f32 = 0.70710678;

alias Products = array<vec4<f32>, 6>;
alias Outputs = array<vec4<f32>, 4>;
alias Lines = array<Outputs, 6>;

fn transform(m: Products) -> Outputs {
    let even1 = m[1] + m[2];
    let odd1 = m[1] - m[2];
    let even2 = m[3] + m[4];
    let odd2 = m[3] - m[4];
    return Outputs(m[0] + even1 + even2, Q * odd1 + P * odd2, 0.5 * even1 + 2.0 * even2, 0.5 * Q * odd1 + 2.0 * P * odd2 + m[5]);
}

// The products of a column, from `at` on.
fn load(at: u32, step: u32) -> Products {
    return Products(vec4<f32>(x[at]), vec4<f32>(x[at + 6u * step]), vec4<f32>(x[at + 12u * step]),
                    vec4<f32>(x[at + 18u * step]), vec4<f32>(x[at + 24u * step]), vec4<f32>(x[at + 30u * step]));
}

fn first_of_each(l: Lines) -> Products {
    return Products(l[0][0], l[1][0], l[2][0], l[3][0], l[4][0], l[5][0]);
}

fn appended(l: Lines, last: Outputs) -> Lines {
    return Lines(l[1], l[2], l[3], l[4], l[5], last);
}

fn shifted(v: Outputs) -> Outputs {
    return Outputs(v[1], v[2], v[3], v[3]);
}

fn each_shifted(l: Lines) -> Lines {
    return Lines(shifted(l[0]), shifted(l[1]), shifted(l[2]), shifted(l[3]), shifted(l[4]), shifted(l[5]));
}
