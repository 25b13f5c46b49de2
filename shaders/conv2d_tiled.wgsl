// Convolution as an implicit matrix product over tiles in workgroup memory: rows are output pixels, columns output channels,
// the sum runs over kernel positions and input channels (no im2col in memory). A 1x1 convolution is a plain GEMM here.
//
// const ROWS, COLUMNS: a thread's output pixels and output vectors. 16 x 4 threads: 16 ROWS pixels x 4 COLUMNS vectors a workgroup.
// A step of the sum takes 16 input channels of one kernel position (fewer at the end): DEPTH = 4 vectors.
// Workgroup memory: (16 ROWS + 1) x 4 + 16 x 4 COLUMNS vectors of f32. Grid: x = pixels / (16 ROWS), y = oc4 / (4 COLUMNS).

const DEPTH: u32 = 4u;
const TILE_PIXELS: u32 = 16u * ROWS;
const TILE_VECTORS: u32 = 4u * COLUMNS;
const THREADS: u32 = 64u;

// [DEPTH][TILE_PIXELS + 1]: input vectors; the odd row length spreads the rows over the banks.
var<workgroup> sh_x: array<vec4<f32>, DEPTH * (TILE_PIXELS + 1u)>;
// [4 * DEPTH][TILE_VECTORS]: one row an input channel.
var<workgroup> sh_w: array<vec4<f32>, 4u * DEPTH * TILE_VECTORS>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let first_pixel = group.x * TILE_PIXELS;
    let first_oc = group.y * TILE_VECTORS;
    // This thread's share of the outputs: pixels row, row + 16, ... and vectors column, column + 4, ...
    let row = thread / 4u;
    let column = thread % 4u;
    var sums: array<vec4<f32>, ROWS * COLUMNS>;
    let steps = (dims.c4 + DEPTH - 1u) / DEPTH;
    for (var position = 0u; position < dims.kernel * dims.kernel; position++) {
        let ky = position / dims.kernel;
        let kx = position % dims.kernel;
        for (var step = 0u; step < steps; step++) {
            let c0 = step * DEPTH;
            // Load: neighbouring threads take neighbouring channels of a pixel, and neighbouring vectors of a weight row.
            for (var i = thread; i < DEPTH * TILE_PIXELS; i += THREADS) {
                let c = c0 + i % DEPTH;
                let tile_pixel = i / DEPTH;
                let pixel = first_pixel + tile_pixel;
                let oy = pixel / dims.ow % dims.oh;
                // Rows and columns above and left of the image wrap around to huge numbers and fail the same test.
                let iy = oy * dims.stride + ky - dims.padding;
                let ix = pixel % dims.ow * dims.stride + kx - dims.padding;
                var value = vec4<f32>();
                if pixel < dims.pixels && c < dims.c4 && iy < dims.h && ix < dims.w {
                    let n = pixel / (dims.ow * dims.oh);
                    value = load_input(((n * dims.h + iy) * dims.w + ix) * dims.x_stride + dims.x_offset, c, 1.0);
                }
                sh_x[i % DEPTH * (TILE_PIXELS + 1u) + tile_pixel] = value;
            }
            for (var i = thread; i < 4u * DEPTH * TILE_VECTORS; i += THREADS) {
                let k = 4u * c0 + i / TILE_VECTORS;
                let oc = first_oc + i % TILE_VECTORS;
                var value = vec4<f32>();
                if k < 4u * dims.c4 && oc < dims.oc4 {
                    value = vec4<f32>(weights[(position * 4u * dims.c4 + k) * dims.oc4 + oc]);
                }
                sh_w[i] = value;
            }
            workgroupBarrier();
            for (var d = 0u; d < DEPTH; d++) {
                var v: array<vec4<f32>, ROWS>;
                for (var r = 0u; r < ROWS; r++) {
                    v[r] = sh_x[d * (TILE_PIXELS + 1u) + row + 16u * r];
                }
                for (var j = 0u; j < COLUMNS; j++) {
                    let at = 4u * d * TILE_VECTORS + column + 4u * j;
                    let w0 = sh_w[at];
                    let w1 = sh_w[at + TILE_VECTORS];
                    let w2 = sh_w[at + 2u * TILE_VECTORS];
                    let w3 = sh_w[at + 3u * TILE_VECTORS];
                    for (var r = 0u; r < ROWS; r++) {
                        let s = r * COLUMNS + j;
                        sums[s] = fma(vec4(v[r].w), w3, fma(vec4(v[r].z), w2, fma(vec4(v[r].y), w1, fma(vec4(v[r].x), w0, sums[s]))));
                    }
                }
            }
            workgroupBarrier();
        }
    }
    for (var r = 0u; r < ROWS; r++) {
        for (var j = 0u; j < COLUMNS; j++) {
            let pixel = first_pixel + row + 16u * r;
            let oc = first_oc + column + 4u * j;
            if pixel < dims.pixels && oc < dims.oc4 {
                finish(pixel, oc, sums[r * COLUMNS + j] + bias[oc]);
            }
        }
    }
}
