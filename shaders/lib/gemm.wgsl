// Common code of the kernels that compute a convolution as a matrix product without building the matrix: rows are output pixels, columns
// are output channels, and the sum runs over K = kernel rows x kernel columns x input vectors, in the order of the weights.

// Meaning of grid.z. 0: not used; the whole sum is computed, then the epilogue. 1: a slice of K, dims.slice vectors long. 2: one of the
// matrix products of Winograd's convolution. With 1 and 2 the sums are stored in y [z][pixels][oc4] without an epilogue.
override PARTS: u32 = 0u;

// A place in K.
struct Place { ky: u32, kx: u32, c: u32 }

// The place of vector k. After the end of K, ky is at least dims.kernel.
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

// The input of a window at a place; zero in the padding and after the end of K.
fn input_at(w: Window, at: Place, z: u32) -> vec4<f32> {
    let t = tap(w, at.ky, at.kx);
    var value = vec4<f32>();
    if at.ky < dims.kernel && t.inside != 0.0 {
        let matrix = select(0u, z * dims.pixels * dims.c4, PARTS == 2u);
        value = load_input(matrix + t.start, at.c, 1.0);
    }
    return value;
}

// Weight row `row` of output vector oc. Both are clamped: past the end, a row is multiplied by zeros and a vector is not stored.
fn weight_at(row: u32, oc: u32, z: u32) -> Stored {
    let rows = 4u * dims.kernel * dims.kernel * dims.c4;
    let matrix = select(0u, z * rows, PARTS == 2u);
    return weights[(matrix + min(row, rows - 1u)) * dims.oc4 + min(oc, dims.oc4 - 1u)];
}

// The first vector of K for this workgroup, and the number of its vectors.
fn first_vector(z: u32) -> u32 {
    return select(0u, z * dims.slice, PARTS == 1u);
}

fn vectors() -> u32 {
    return select(dims.kernel * dims.kernel * dims.c4, dims.slice, PARTS == 1u);
}

// Stores the sum of one pixel and output vector, if both exist.
fn store(pixel: u32, oc: u32, z: u32, sum: vec4<f32>) {
    if pixel < dims.pixels && oc < dims.oc4 {
        if PARTS == 0u {
            finish(pixel, oc, sum + bias[oc]);
        } else {
            y[(z * dims.pixels + pixel) * dims.oc4 + oc] = Output(sum);
        }
    }
}
