// What the kernels share that see a convolution as a matrix product without building the matrix: its rows are the output pixels, its
// columns the output channels, and the sum runs over K = kernel rows x kernel columns x input vectors, the order of the weights.

// What z of the grid means. 0: nothing, all of the sum is taken and the epilogue follows. 1: z is a slice of K, dims.slice vectors
// long. 2: z is one of the matrix products of Winograd's convolution. With 1 and 2 the sums go to y [z][pixels][oc4] as they are.
override PARTS: u32 = 0u;

// A place in K.
struct Place { ky: u32, kx: u32, c: u32 }

// The place of vector k. Behind the end of K, ky is dims.kernel or more.
fn place(k: u32) -> Place {
    let position = k / dims.c4;
    let ky = position / dims.kernel;
    return Place(ky, position - ky * dims.kernel, k - position * dims.c4);
}

fn advance(start: Place, vectors: u32) -> Place {
    var to = Place(start.ky, start.kx, start.c + vectors);
    while to.c >= dims.c4 {
        to.c -= dims.c4;
        to.kx++;
        if to.kx == dims.kernel {
            to.kx = 0u;
            to.ky++;
        }
    }
    return to;
}

// The input of a window at a place; zero in the padding and behind the end of K.
fn input_at(w: Window, at: Place, z: u32) -> vec4<f32> {
    let t = tap(w, at.ky, at.kx);
    var value = vec4<f32>();
    if at.ky < dims.kernel && t.inside != 0.0 {
        let matrix = select(0u, z * dims.pixels * dims.c4, PARTS == 2u);
        value = load_input(matrix + t.start, at.c, 1.0);
    }
    return value;
}

// Weight row `row` of the output vector oc. Both are clamped: what lies behind an end meets zeros, or is not stored.
fn weight_at(row: u32, oc: u32, z: u32) -> Stored {
    let rows = 4u * dims.kernel * dims.kernel * dims.c4;
    let matrix = select(0u, z * rows, PARTS == 2u);
    return weights[(matrix + min(row, rows - 1u)) * dims.oc4 + min(oc, dims.oc4 - 1u)];
}

// The first vector of K of this workgroup, and how many there are.
fn first_vector(z: u32) -> u32 {
    return select(0u, z * dims.slice, PARTS == 1u);
}

fn vectors() -> u32 {
    return select(dims.kernel * dims.kernel * dims.c4, dims.slice, PARTS == 1u);
}

// Stores the sum of one pixel and output vector, if there are such.
fn store(pixel: u32, oc: u32, z: u32, sum: vec4<f32>) {
    if pixel < dims.pixels && oc < dims.oc4 {
        if PARTS == 0u {
            finish(pixel, oc, sum + bias[oc]);
        } else {
            y[(z * dims.pixels + pixel) * dims.oc4 + oc] = Output(sum);
        }
    }
}
