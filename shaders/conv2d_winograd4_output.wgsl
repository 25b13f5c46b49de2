// Winograd F(4x4, 3x3), step 3 of 3: the 36 products of a tile become its 4x4 outputs, A' m A, with bias, residual and ReLU.
//
// x [36][tiles][oc4] in f32 -> y.
// Workgroup: one subgroup of LANES (8 or more) lanes, one tile, CHANNELS output vectors one after the other.
// Grid: x = tiles, y = oc4 / CHANNELS.
// Lane j < 6 loads column j and transforms it along the rows; broadcasts then mix the columns, and lane j < 4 stores column j.

override LANES: u32 = 8u;

const CHANNELS: u32 = 16u;
// As in conv2d_winograd4_input.wgsl.
const P: f32 = 1.41421356;
const Q: f32 = 0.70710678;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let tile = group.x;
    let row_of_tiles = tile / dims.tiles_w;
    let n = row_of_tiles / dims.tiles_h;
    let oy = row_of_tiles % dims.tiles_h * 4u;
    let ox = tile % dims.tiles_w * 4u + lane;
    let stored = lane < 4u && ox < dims.ow;
    let rows = min(dims.oh - oy, 4u);
    let first_pixel = (n * dims.oh + oy) * dims.ow + ox;
    let start = (min(lane, 5u) * dims.tiles + tile) * dims.oc4;
    let step = 6u * dims.tiles * dims.oc4;
    // Row `lane` of A': 0 or 1, then powers of Q, -Q, P, -P, then 0 or 1.
    let sign = select(1.0, -1.0, lane % 2u == 1u);
    let k0 = select(0.0, 1.0, lane == 0u);
    let k1 = select(select(select(0.5 * Q, 0.5, lane == 2u), Q, lane == 1u), 1.0, lane == 0u);
    let k3 = select(select(select(2.0 * P, 2.0, lane == 2u), P, lane == 1u), 1.0, lane == 0u);
    let k5 = select(0.0, 1.0, lane == 3u);
    let end = min(dims.oc4, (group.y + 1u) * CHANNELS);
    var oc = group.y * CHANNELS;
    loop {
        let at = start + oc;
        let m0 = vec4<f32>(x[at]);
        let m1 = vec4<f32>(x[at + step]);
        let m2 = vec4<f32>(x[at + 2u * step]);
        let m3 = vec4<f32>(x[at + 3u * step]);
        let m4 = vec4<f32>(x[at + 4u * step]);
        let m5 = vec4<f32>(x[at + 5u * step]);
        let t = array<vec4<f32>, 4>(m0 + (m1 + m2) + (m3 + m4), Q * (m1 - m2) + P * (m3 - m4),
                                    0.5 * (m1 + m2) + 2.0 * (m3 + m4), 0.5 * Q * (m1 - m2) + 2.0 * P * (m3 - m4) + m5);
        var value: array<vec4<f32>, 4>;
        for (var i = 0u; i < 4u; i++) {
            value[i] = k0 * subgroupBroadcast(t[i], 0u) + k1 * (subgroupBroadcast(t[i], 1u) + sign * subgroupBroadcast(t[i], 2u))
                + k3 * (subgroupBroadcast(t[i], 3u) + sign * subgroupBroadcast(t[i], 4u)) + k5 * subgroupBroadcast(t[i], 5u);
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
