// Winograd F(4x4, 3x3) without subgroups, step 1 of 3: transforms every 6x6 window of the input to B' d B, 36 numbers per channel, like
// conv2d_winograd4_input.wgsl. Step 2 is conv2d_tiled.wgsl.
//
// x -> y [36][tiles][c4], tiles = n * tiles_h * tiles_w, numbers in row order of the 6x6. All in f32.
// One invocation per tile and input vector; neighbours take neighbouring vectors. Grid: x = tiles * c4 / 64 in rows of 32768, y = rows.

const P: f32 = 1.41421356;
const Q: f32 = 0.70710678;

alias Line = array<vec4<f32>, 6>;

// B' times a column.
fn transform(d0: vec4<f32>, d1: vec4<f32>, d2: vec4<f32>, d3: vec4<f32>, d4: vec4<f32>, d5: vec4<f32>) -> Line {
    let even1 = d4 - 2.0 * d2;
    let odd1 = Q * d3 - P * d1;
    let even2 = d4 - 0.5 * d2;
    let odd2 = P * d3 - Q * d1;
    return Line(d0 - 2.5 * d2 + d4, even1 + odd1, even1 - odd1, even2 + odd2, even2 - odd2, d1 - 2.5 * d3 + d5);
}

// One input; zero in the padding.
fn input(n: u32, iy: i32, ix: i32, c: u32) -> vec4<f32> {
    let cy = clamp(iy, 0, i32(dims.h) - 1);
    let cx = clamp(ix, 0, i32(dims.w) - 1);
    let value = vec4<f32>(x[((n * dims.h + u32(cy)) * dims.w + u32(cx)) * dims.x_stride + dims.x_offset + c]);
    return select(vec4<f32>(), value, cy == iy && cx == ix);
}

fn column(n: u32, iy: i32, ix: i32, c: u32) -> Line {
    return transform(input(n, iy, ix, c), input(n, iy + 1, ix, c), input(n, iy + 2, ix, c),
                     input(n, iy + 3, ix, c), input(n, iy + 4, ix, c), input(n, iy + 5, ix, c));
}

fn store_row(row: u32, at: u32, v: Line) {
    let step = dims.tiles * dims.c4;
    let first = at + 6u * row * step;
    y[first] = Output(v[0]);
    y[first + step] = Output(v[1]);
    y[first + 2u * step] = Output(v[2]);
    y[first + 3u * step] = Output(v[3]);
    y[first + 4u * step] = Output(v[4]);
    y[first + 5u * step] = Output(v[5]);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let id = (group.y * 32768u + group.x) * 64u + thread;
    if id >= dims.tiles * dims.c4 {
        return;
    }
    let c = id % dims.c4;
    let tile = id / dims.c4;
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
    store_row(0u, id, transform(c0[0], c1[0], c2[0], c3[0], c4[0], c5[0]));
    store_row(1u, id, transform(c0[1], c1[1], c2[1], c3[1], c4[1], c5[1]));
    store_row(2u, id, transform(c0[2], c1[2], c2[2], c3[2], c4[2], c5[2]));
    store_row(3u, id, transform(c0[3], c1[3], c2[3], c3[3], c4[3], c5[3]));
    store_row(4u, id, transform(c0[4], c1[4], c2[4], c3[4], c4[4], c5[4]));
    store_row(5u, id, transform(c0[5], c1[5], c2[5], c3[5], c4[5], c5[5]));
}
