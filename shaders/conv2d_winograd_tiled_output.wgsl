// Winograd F(4x4, 3x3) where subgroups are not counted on, step 3 of 3: the 36 products of a tile become its 4x4 outputs, A' m A, with
// bias, residual and ReLU, as in conv2d_winograd4_output.wgsl.
//
// x [36][tiles][oc4] in f32 -> y.
// One invocation a tile and output vector; neighbours take neighbouring vectors. Grid: x = tiles * oc4 / 64 in rows of 32768, y = rows.

const P: f32 = 1.41421356;
const Q: f32 = 0.70710678;

alias Line = array<vec4<f32>, 4>;

// A' times a column.
fn transform(m0: vec4<f32>, m1: vec4<f32>, m2: vec4<f32>, m3: vec4<f32>, m4: vec4<f32>, m5: vec4<f32>) -> Line {
    let even1 = m1 + m2;
    let odd1 = m1 - m2;
    let even2 = m3 + m4;
    let odd2 = m3 - m4;
    return Line(m0 + even1 + even2, Q * odd1 + P * odd2, 0.5 * even1 + 2.0 * even2, 0.5 * Q * odd1 + 2.0 * P * odd2 + m5);
}

fn column(j: u32, id: u32) -> Line {
    let step = dims.tiles * dims.oc4;
    let first = id + j * step;
    return transform(vec4<f32>(x[first]), vec4<f32>(x[first + 6u * step]), vec4<f32>(x[first + 12u * step]),
                     vec4<f32>(x[first + 18u * step]), vec4<f32>(x[first + 24u * step]), vec4<f32>(x[first + 30u * step]));
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let id = (group.y * 32768u + group.x) * 64u + thread;
    if id >= dims.tiles * dims.oc4 {
        return;
    }
    let oc = id % dims.oc4;
    let tile = id / dims.oc4;
    let row_of_tiles = tile / dims.tiles_w;
    let n = row_of_tiles / dims.tiles_h;
    let oy = row_of_tiles % dims.tiles_h * 4u;
    let ox = tile % dims.tiles_w * 4u;
    let c0 = column(0u, id);
    let c1 = column(1u, id);
    let c2 = column(2u, id);
    let c3 = column(3u, id);
    let c4 = column(4u, id);
    let c5 = column(5u, id);
    let b = bias[oc];
    // Constant indices keep the lines in registers with every compiler, and yet the epilogue stands here once.
    for (var i = 0u; i < min(4u, dims.oh - oy); i++) {
        var line = transform(c0[0], c1[0], c2[0], c3[0], c4[0], c5[0]);
        if i == 1u { line = transform(c0[1], c1[1], c2[1], c3[1], c4[1], c5[1]); }
        if i == 2u { line = transform(c0[2], c1[2], c2[2], c3[2], c4[2], c5[2]); }
        if i == 3u { line = transform(c0[3], c1[3], c2[3], c3[3], c4[3], c5[3]); }
        let first = (n * dims.oh + oy + i) * dims.ow + ox;
        for (var j = 0u; j < min(4u, dims.ow - ox); j++) {
            var value = line[0];
            if j == 1u { value = line[1]; }
            if j == 2u { value = line[2]; }
            if j == 3u { value = line[3]; }
            finish(first + j, oc, value + b);
        }
    }
}
