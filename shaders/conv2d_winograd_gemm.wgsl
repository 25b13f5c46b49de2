// Winograd convolution, step 2 of 3: one matrix product, tiles x input channels times input channels x output channels, for each of the
// 36 numbers of F(4x4, 3x3) or the 16 of F(2x2, 3x3).
//
// x [points][tiles][c4], weights [points], each 4 * c4 rows (G g G' of every 3x3 kernel) -> y [points][tiles][oc4]. All in f32.
// The inner loop works like conv2d_broadcast.wgsl, for the reasons given there: each of the first 8 lanes loads the input of GROUPS
// tiles, broadcasts hand it to all lanes, each lane keeps one output vector of 8 GROUPS tiles, and the last loop is not unrolled.
//
// const GROUPS, INPUTS, STRIP: see lib/broadcast.wgsl; a workgroup has 8 GROUPS tiles. Workgroup: one subgroup of LANES (8 or more) lanes.
// Grid: x = tiles / (8 GROUPS), y = oc4 / LANES, z = points.

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let first = group.x * 8u * GROUPS;
    let oc = group.y * LANES + lane;
    let matrix = 4u * dims.c4 * STRIP * ((dims.oc4 + STRIP - 1u) / STRIP);
    var row = group.z * matrix + column(min(oc, dims.oc4 - 1u), 4u * dims.c4);
    var start: array<u32, 4>;
    for (var g = 0u; g < 4u; g++) {
        start[g] = (group.z * dims.tiles + min(first + 8u * g + lane % 8u, dims.tiles - 1u)) * dims.c4;
    }
    var s: Sums;
    var c = 0u;
    loop {
        // The same order as in conv2d_broadcast.wgsl.
        let v0 = vec4<f32>(x[start[0] + c]);
        var v1: vec4<f32>;
        if GROUPS > 1u { v1 = vec4<f32>(x[start[1] + c]); }
        let w = rows(row);
        row += 4u * STRIP;
        add_group(&s, 0u, v0, w);
        if GROUPS > 1u { add_group(&s, 1u, v1, w); }
        if GROUPS > 2u { add_group(&s, 2u, vec4<f32>(x[start[2] + c]), w); }
        if GROUPS > 3u { add_group(&s, 3u, vec4<f32>(x[start[3] + c]), w); }
        continuing {
            c++;
            break if c == dims.c4;
        }
    }
    let end = min(first + 8u * GROUPS, dims.tiles);
    var tile = first;
    loop {
        if oc < dims.oc4 {
            y[(group.z * dims.tiles + tile) * dims.oc4 + oc] = Output(s[tile - first]);
        }
        continuing {
            tile++;
            break if tile == end;
        }
    }
}
