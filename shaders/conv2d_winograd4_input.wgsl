// Winograd F(4x4, 3x3), step 1 of 3: transforms every 6x6 window of the input (they overlap by two) to B' d B, 36 numbers per channel.
// For 3x3 convolutions of stride 1 and padding 1 in f32, on software adapters with subgroups of 8 or more lanes.
//
// x -> y [36][tiles][c4], tiles = n * tiles_h * tiles_w, numbers in row order of the 6x6. All in f32.
// Workgroup: one subgroup of LANES lanes, one tile, CHANNELS input vectors in turn. Grid: x = tiles, y = c4 / CHANNELS.
// Lane j < 6 loads column j and transforms it along the rows; broadcasts then mix the columns. Lanes from 6 on repeat lane 5.

override LANES: u32 = 8u;

const CHANNELS: u32 = 16u;
// sqrt(2) and sqrt(1/2): this transform uses the points 0, +-sqrt(1/2), +-sqrt(2) and infinity, with a third of the rounding error
// of the usual 0, +-1, +-2.
const P: f32 = 1.41421356;
const Q: f32 = 0.70710678;
const B: array<array<f32, 6>, 6> = array(
    array(1.0, 0.0, -2.5, 0.0, 1.0, 0.0),
    array(0.0, -P, -2.0, Q, 1.0, 0.0),
    array(0.0, P, -2.0, -Q, 1.0, 0.0),
    array(0.0, -Q, -0.5, P, 1.0, 0.0),
    array(0.0, Q, -0.5, -P, 1.0, 0.0),
    array(0.0, 1.0, 0.0, -2.5, 0.0, 1.0),
);

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let tile = group.x;
    let j = min(lane, 5u);
    let row_of_tiles = tile / dims.tiles_w;
    let n = row_of_tiles / dims.tiles_h;
    let iy = i32(row_of_tiles % dims.tiles_h * 4u) - 1;
    let ix = i32(tile % dims.tiles_w * 4u + j) - 1;
    let cx = clamp(ix, 0, i32(dims.w) - 1);
    // Addresses of the six inputs, and factors: 0.0 outside the image, else 1.0.
    var start: array<u32, 6>;
    var inside: array<f32, 6>;
    for (var i = 0; i < 6; i++) {
        let cy = clamp(iy + i, 0, i32(dims.h) - 1);
        start[i] = ((n * dims.h + u32(cy)) * dims.w + u32(cx)) * dims.x_stride + dims.x_offset;
        inside[i] = select(0.0, 1.0, cy == iy + i && cx == ix);
    }
    var k = B[0];
    for (var i = 1u; i < 6u; i++) {
        for (var l = 0u; l < 6u; l++) {
            k[l] = select(k[l], B[i][l], i == j);
        }
    }
    let end = min(dims.c4, (group.y + 1u) * CHANNELS);
    var c = group.y * CHANNELS;
    loop {
        let d0 = inside[0] * vec4<f32>(x[start[0] + c]);
        let d1 = inside[1] * vec4<f32>(x[start[1] + c]);
        let d2 = inside[2] * vec4<f32>(x[start[2] + c]);
        let d3 = inside[3] * vec4<f32>(x[start[3] + c]);
        let d4 = inside[4] * vec4<f32>(x[start[4] + c]);
        let d5 = inside[5] * vec4<f32>(x[start[5] + c]);
        let even1 = d4 - 2.0 * d2;
        let odd1 = Q * d3 - P * d1;
        let even2 = d4 - 0.5 * d2;
        let odd2 = P * d3 - Q * d1;
        let t = array<vec4<f32>, 6>(d0 - 2.5 * d2 + d4, even1 + odd1, even1 - odd1, even2 + odd2, even2 - odd2, d1 - 2.5 * d3 + d5);
        for (var i = 0u; i < 6u; i++) {
            let value = k[0] * subgroupBroadcast(t[i], 0u) + k[1] * subgroupBroadcast(t[i], 1u) + k[2] * subgroupBroadcast(t[i], 2u)
                + k[3] * subgroupBroadcast(t[i], 3u) + k[4] * subgroupBroadcast(t[i], 4u) + k[5] * subgroupBroadcast(t[i], 5u);
            if lane < 6u {
                y[((6u * i + lane) * dims.tiles + tile) * dims.c4 + c] = Output(value);
            }
        }
        continuing {
            c++;
            break if c == end;
        }
    }
}
