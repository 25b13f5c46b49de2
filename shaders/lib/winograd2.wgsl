// The last transform of Winograd F(2x2, 3x3), line by line: A' times the four products of a column or row of a tile.

const OUTPUTS: u32 = 2u;

alias Products = array<vec4<f32>, 4>;
alias Outputs = array<vec4<f32>, 2>;
alias Lines = array<Outputs, 4>;

fn transform(m: Products) -> Outputs {
    return Outputs(m[0] + m[1] + m[2], m[1] - m[2] - m[3]);
}

// The products of a column, from `at` on.
fn load(at: u32, step: u32) -> Products {
    return Products(vec4<f32>(x[at]), vec4<f32>(x[at + 4u * step]), vec4<f32>(x[at + 8u * step]), vec4<f32>(x[at + 12u * step]));
}

fn first_of_each(l: Lines) -> Products {
    return Products(l[0][0], l[1][0], l[2][0], l[3][0]);
}

fn appended(l: Lines, last: Outputs) -> Lines {
    return Lines(l[1], l[2], l[3], last);
}

fn shifted(v: Outputs) -> Outputs {
    return Outputs(v[1], v[1]);
}

fn each_shifted(l: Lines) -> Lines {
    return Lines(shifted(l[0]), shifted(l[1]), shifted(l[2]), shifted(l[3]));
}
