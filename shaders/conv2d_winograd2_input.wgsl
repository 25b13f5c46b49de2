// Winograd F(2x2, 3x3), step 1 of 3: transforms every 4x4 window of the input (they overlap by two) to B' d B, 16 numbers per channel.
// Like conv2d_winograd4_input.wgsl, for outputs too small for 4x4 tiles.
//
// x -> y [16][tiles][c4], tiles = n * tiles_h * tiles_w, numbers in row order of the 4x4. All in f32.
// Workgroup: one subgroup of LANES lanes, one tile, CHANNELS input vectors in turn. Grid: x = tiles, y = c4 / CHANNELS.
// Lane j < 4 loads column j and transforms it along the rows; broadcasts then mix the columns. Lanes from 4 on repeat lane 3.

override LANES: u32 = 8u;

const CHANNELS: u32 = 16u;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let tile = group.x;
    let j = min(lane, 3u);
    let row_of_tiles = tile / dims.tiles_w;
    let n = row_of_tiles / dims.tiles_h;
    let iy = i32(row_of_tiles % dims.tiles_h * 2u) - 1;
    let ix = i32(tile % dims.tiles_w * 2u + j) - 1;
    let cx = clamp(ix, 0, i32(dims.w) - 1);
    // Addresses of the four inputs, and factors: 0.0 outside the image, else 1.0.
    var start: array<u32, 4>;
    var inside: array<f32, 4>;
    for (var i = 0; i < 4; i++) {
        let cy = clamp(iy + i, 0, i32(dims.h) - 1);
        start[i] = ((n * dims.h + u32(cy)) * dims.w + u32(cx)) * dims.x_stride + dims.x_offset;
        inside[i] = select(0.0, 1.0, cy == iy + i && cx == ix);
    }
    // Column `lane` of B: (1 0 -1 0), (0 1 1 0), (0 -1 1 0), (0 1 0 -1).
    let k0 = select(0.0, 1.0, j == 0u);
    let k1 = select(select(1.0, -1.0, j == 2u), 0.0, j == 0u);
    let k2 = select(select(1.0, -1.0, j == 0u), 0.0, j == 3u);
    let k3 = select(0.0, -1.0, j == 3u);
    let end = min(dims.c4, (group.y + 1u) * CHANNELS);
    var c = group.y * CHANNELS;
    loop {
        let d0 = inside[0] * vec4<f32>(x[start[0] + c]);
        let d1 = inside[1] * vec4<f32>(x[start[1] + c]);
        let d2 = inside[2] * vec4<f32>(x[start[2] + c]);
        let d3 = inside[3] * vec4<f32>(x[start[3] + c]);
        let t = array<vec4<f32>, 4>(d0 - d2, d1 + d2, d2 - d1, d1 - d3);
        for (var i = 0u; i < 4u; i++) {
            let value = k0 * subgroupBroadcast(t[i], 0u) + k1 * subgroupBroadcast(t[i], 1u)
                + k2 * subgroupBroadcast(t[i], 2u) + k3 * subgroupBroadcast(t[i], 3u);
            if lane < 4u {
                y[((4u * i + lane) * dims.tiles + tile) * dims.c4 + c] = Output(value);
            }
        }
        continuing {
            c++;
            break if c == end;
        }
    }
}
