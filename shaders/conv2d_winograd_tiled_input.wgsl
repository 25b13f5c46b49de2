// Winograd F(4x4, 3x3) without subgroups, step 1 of 3: transforms every 6x6 window of the input to B' d B, 36 numbers per channel, like
// conv2d_winograd4_input.wgsl. Step 2 is conv2d_tiled.wgsl.
//
// x -> y [36][tiles][c4], tiles = n * tiles_h * tiles_w, numbers in row order of the 6x6. All in f32.
// One invocation per tile and half an input vector, so that the 36 pairs of numbers fit the registers of any GPU; neighbours take
// neighbouring halves. Grid: x = tiles * 2 c4 / 64 in rows of 32768, y = rows.

const P: f32 = 1.41421356;
const Q: f32 = 0.70710678;

alias Line = array<vec2<f32>, 6>;

// B' times a column.
fn transform(d0: vec2<f32>, d1: vec2<f32>, d2: vec2<f32>, d3: vec2<f32>, d4: vec2<f32>, d5: vec2<f32>) -> Line {
    let even1 = d4 - 2.0 * d2;
    let odd1 = Q * d3 - P * d1;
    let even2 = d4 - 0.5 * d2;
    let odd2 = P * d3 - Q * d1;
    return Line(d0 - 2.5 * d2 + d4, even1 + odd1, even1 - odd1, even2 + odd2, even2 - odd2, d1 - 2.5 * d3 + d5);
}

// Where a thread's half of a vector is.
struct Half { vector: u32, first: u32 }

// One input; zero in the padding.
fn input(n: u32, iy: i32, ix: i32, c: Half) -> vec2<f32> {
    let cy = clamp(iy, 0, i32(dims.h) - 1);
    let cx = clamp(ix, 0, i32(dims.w) - 1);
    let at = ((n * dims.h + u32(cy)) * dims.w + u32(cx)) * dims.x_stride + dims.x_offset + c.vector;
    return select(vec2<f32>(), vec2<f32>(x[at][c.first], x[at][c.first + 1u]), cy == iy && cx == ix);
}

fn column(n: u32, iy: i32, ix: i32, c: Half) -> Line {
    return transform(input(n, iy, ix, c), input(n, iy + 1, ix, c), input(n, iy + 2, ix, c),
                     input(n, iy + 3, ix, c), input(n, iy + 4, ix, c), input(n, iy + 5, ix, c));
}

fn store(at: u32, first: u32, v: vec2<f32>) {
    y[at][first] = v.x;
    y[at][first + 1u] = v.y;
}

fn store_row(row: u32, tile: u32, c: Half, v: Line) {
    let step = dims.tiles * dims.c4;
    let at = 6u * row * step + tile * dims.c4 + c.vector;
    store(at, c.first, v[0]);
    store(at + step, c.first, v[1]);
    store(at + 2u * step, c.first, v[2]);
    store(at + 3u * step, c.first, v[3]);
    store(at + 4u * step, c.first, v[4]);
    store(at + 5u * step, c.first, v[5]);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let id = (group.y * 32768u + group.x) * 64u + thread;
    if id >= dims.tiles * dims.c4 * 2u {
        return;
    }
    let tile = id / (dims.c4 * 2u);
    let half = id - tile * dims.c4 * 2u;
    let c = Half(half / 2u, half % 2u * 2u);
    let row_of_tiles = tile / dims.tiles_w;
    let n = row_of_tiles / dims.tiles_h;
    let iy = i32(row_of_tiles % dims.tiles_h * 4u) - 1;
    let ix = i32(tile % dims.tiles_w * 4u) - 1;
    let c0 = column(n, iy, ix, c);
    let c1 = column(n, iy, ix + 1, c);
    let c2 = column(n, iy, ix + 2, c);
    let c3 = column(n, iy, ix + 3, c);
    let c4 = column(n, iy, ix + 4, c);
    let c5 = column(n, iy, ix + 5, c);
    store_row(0u, tile, c, transform(c0[0], c1[0], c2[0], c3[0], c4[0], c5[0]));
    store_row(1u, tile, c, transform(c0[1], c1[1], c2[1], c3[1], c4[1], c5[1]));
    store_row(2u, tile, c, transform(c0[2], c1[2], c2[2], c3[2], c4[2], c5[2]));
    store_row(3u, tile, c, transform(c0[3], c1[3], c2[3], c3[3], c4[3], c5[3]));
    store_row(4u, tile, c, transform(c0[4], c1[4], c2[4], c3[4], c4[4], c5[4]));
    store_row(5u, tile, c, transform(c0[5], c1[5], c2[5], c3[5], c4[5], c5[5]));
}
