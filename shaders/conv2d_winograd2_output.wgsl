// Winograd F(2x2, 3x3), step 3 of 3: the 16 products of a tile become its 2x2 outputs, A' m A, with bias, residual and ReLU.
//
// x [16][tiles][oc4] in f32 -> y.
// Workgroup: one subgroup of LANES (8 or more) lanes, one tile, CHANNELS output vectors one after the other.
// Grid: x = tiles, y = oc4 / CHANNELS.
// Lane j < 4 loads column j and transforms it along the rows; broadcasts then mix the columns, and lane j < 2 stores column j.

override LANES: u32 = 8u;

const CHANNELS: u32 = 16u;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let tile = group.x;
    let row_of_tiles = tile / dims.tiles_w;
    let n = row_of_tiles / dims.tiles_h;
    let oy = row_of_tiles % dims.tiles_h * 2u;
    let ox = tile % dims.tiles_w * 2u + lane;
    let stored = lane < 2u && ox < dims.ow;
    let rows = min(dims.oh - oy, 2u);
    let first_pixel = (n * dims.oh + oy) * dims.ow + ox;
    let start = (min(lane, 3u) * dims.tiles + tile) * dims.oc4;
    let step = 4u * dims.tiles * dims.oc4;
    // Row `lane` of A': (1 1 1 0), (0 1 -1 -1).
    let k0 = select(0.0, 1.0, lane == 0u);
    let k2 = select(-1.0, 1.0, lane == 0u);
    let k3 = select(-1.0, 0.0, lane == 0u);
    let end = min(dims.oc4, (group.y + 1u) * CHANNELS);
    var oc = group.y * CHANNELS;
    loop {
        let at = start + oc;
        let m0 = vec4<f32>(x[at]);
        let m1 = vec4<f32>(x[at + step]);
        let m2 = vec4<f32>(x[at + 2u * step]);
        let m3 = vec4<f32>(x[at + 3u * step]);
        let t = array<vec4<f32>, 2>(m0 + m1 + m2, m1 - m2 - m3);
        var value: array<vec4<f32>, 2>;
        for (var i = 0u; i < 2u; i++) {
            value[i] = k0 * subgroupBroadcast(t[i], 0u) + subgroupBroadcast(t[i], 1u) + k2 * subgroupBroadcast(t[i], 2u)
                + k3 * subgroupBroadcast(t[i], 3u);
        }
        let b = bias[oc];
        var i = 0u;
        loop {
            if stored {
                finish(first_pixel + i * dims.ow, oc, value[i] + b);
            }
            continuing {
                i++;
                break if i == rows;
            }
        }
        continuing {
            oc++;
            break if oc == end;
        }
    }
}
