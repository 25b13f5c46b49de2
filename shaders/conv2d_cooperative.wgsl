// Convolution as an implicit matrix product (see lib/gemm.wgsl) on cooperative matrices (tensor cores): f16 inputs and weights,
// sums in f32. Each of four subgroups of 32 lanes computes 32 pixels x 32 channels, as 2 x 2 matrices.
//
// Workgroup: 64 pixels x 64 channels. Grid: x = oc4 / 16, y = pixels / 64, z: see PARTS.
// A step covers 8 vectors of K. Workgroup memory: 27 KB; rows are padded by 16 bytes so that they start in different banks.

const DEPTH: u32 = 8u;
const X_STRIDE: u32 = DEPTH + 2u;
const W_STRIDE: u32 = 18u;
const Y_STRIDE: u32 = 17u;
var<workgroup> tile_x: array<vec4<f16>, 64u * X_STRIDE>;
var<workgroup> tile_w: array<vec4<f16>, 4u * DEPTH * W_STRIDE>;
var<workgroup> tile_y: array<vec4<f32>, 64u * Y_STRIDE>;

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32, @builtin(subgroup_id) subgroup: u32) {
    let first_pixel = group.y * 64u;
    let first_oc = group.x * 16u;
    // This thread loads one vector of K for every 16th pixel, and every 8th row of one vector of the weights.
    let depth = thread % DEPTH;
    var windows: array<Window, 4>;
    for (var i = 0u; i < 4u; i++) {
        windows[i] = window(first_pixel + thread / DEPTH + 16u * i);
    }
    let quarter = quarter(subgroup, thread);
    let row = quarter / 2u * 32u;
    let column = quarter % 2u * 8u;
    let first = first_vector(group.z);
    let steps = (vectors() + DEPTH - 1u) / DEPTH;
    var at = place(first + depth);
    var xs: array<vec4<f16>, 4>;
    var ws: array<vec4<f16>, 4>;
    var y00: MatrixY;
    var y01: MatrixY;
    var y10: MatrixY;
    var y11: MatrixY;
    for (var step = 0u; ; step++) {
        // Start the loads of a step before summing the previous step.
        if step < steps {
            for (var i = 0u; i < 4u; i++) {
                xs[i] = vec4<f16>(input_at(windows[i], at, group.z));
                ws[i] = vec4<f16>(weight_at(4u * (first + step * DEPTH) + thread / 16u + 8u * i, first_oc + thread % 16u, group.z));
            }
            at = advance(at, DEPTH);
        }
        if step > 0u {
            for (var k = 0u; k < DEPTH; k += 4u) {
                let x0 = load_x(row * X_STRIDE + k);
                let x1 = load_x((row + 16u) * X_STRIDE + k);
                let w0 = load_w(4u * k * W_STRIDE + column);
                let w1 = load_w(4u * k * W_STRIDE + column + 4u);
                y00 = multiply_add(x0, w0, y00, thread);
                y01 = multiply_add(x0, w1, y01, thread);
                y10 = multiply_add(x1, w0, y10, thread);
                y11 = multiply_add(x1, w1, y11, thread);
            }
        }
        workgroupBarrier();
        if step == steps {
            break;
        }
        for (var i = 0u; i < 4u; i++) {
            tile_x[(thread / DEPTH + 16u * i) * X_STRIDE + depth] = xs[i];
            tile_w[(thread / 16u + 8u * i) * W_STRIDE + thread % 16u] = ws[i];
        }
        workgroupBarrier();
    }
    store_y(y00, row * Y_STRIDE + column, thread);
    store_y(y01, row * Y_STRIDE + column + 4u, thread);
    store_y(y10, (row + 16u) * Y_STRIDE + column, thread);
    store_y(y11, (row + 16u) * Y_STRIDE + column + 4u, thread);
    workgroupBarrier();
    for (var i = thread; i < 1024u; i += 128u) {
        store(first_pixel + i / 16u, first_oc + i % 16u, group.z, tile_y[i / 16u * Y_STRIDE + i % 16u]);
    }
}
