// Convolution for software adapters, where loads cost most: each of the first 8 lanes of a subgroup loads the input of two
// output pixels, and a broadcast, which is no load, hands it to all lanes.
//
// Workgroup: one subgroup of LANES (8 or more) lanes, 16 output pixels x LANES output vectors; a lane keeps one output vector of
// all 16 pixels in registers. Grid: x = pixels / 16, y = oc4 / LANES.
// No lane leaves early and nothing diverges: lanes past an edge compute a neighbour's value and do not store it.

override LANES: u32 = 8u;

// Index of a window's input at kernel position (ky, kx), and 1.0 if that is inside the image, else 0.0.
struct Tap { index: u32, inside: f32 }

fn tap(w: Window, ky: u32, kx: u32) -> Tap {
    let iy = w.y + i32(ky);
    let ix = w.x + i32(kx);
    let cy = clamp(iy, 0, i32(dims.h) - 1);
    let cx = clamp(ix, 0, i32(dims.w) - 1);
    let index = ((w.image * dims.h + u32(cy)) * dims.w + u32(cx)) * dims.x_stride + dims.x_offset;
    return Tap(index, select(0.0, 1.0, cy == iy && cx == ix));
}

// The four weight rows of one input vector, for this lane's output vector.
struct Rows { a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32> }

fn add(sum: vec4<f32>, v: vec4<f32>, w: Rows) -> vec4<f32> {
    return fma(vec4(v.w), w.d, fma(vec4(v.z), w.c, fma(vec4(v.y), w.b, fma(vec4(v.x), w.a, sum))));
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let first = group.x * 16u;
    let oc = group.y * LANES + lane;
    let column = min(oc, dims.oc4 - 1u);
    let window0 = window(first + lane % 8u);
    let window1 = window(first + 8u + lane % 8u);
    var s: array<vec4<f32>, 16>;
    var row = column;
    for (var ky = 0u; ky < KERNEL; ky++) {
        for (var kx = 0u; kx < KERNEL; kx++) {
            let tap0 = tap(window0, ky, kx);
            let tap1 = tap(window1, ky, kx);
            for (var c = 0u; c < dims.c4; c++) {
                let v0 = tap0.inside * vec4<f32>(x[tap0.index + c]);
                let v1 = tap1.inside * vec4<f32>(x[tap1.index + c]);
                let w = Rows(vec4<f32>(weights[row]), vec4<f32>(weights[row + dims.oc4]),
                             vec4<f32>(weights[row + 2u * dims.oc4]), vec4<f32>(weights[row + 3u * dims.oc4]));
                row += 4u * dims.oc4;
                s[0] = add(s[0], subgroupBroadcast(v0, 0u), w);
                s[1] = add(s[1], subgroupBroadcast(v0, 1u), w);
                s[2] = add(s[2], subgroupBroadcast(v0, 2u), w);
                s[3] = add(s[3], subgroupBroadcast(v0, 3u), w);
                s[4] = add(s[4], subgroupBroadcast(v0, 4u), w);
                s[5] = add(s[5], subgroupBroadcast(v0, 5u), w);
                s[6] = add(s[6], subgroupBroadcast(v0, 6u), w);
                s[7] = add(s[7], subgroupBroadcast(v0, 7u), w);
                s[8] = add(s[8], subgroupBroadcast(v1, 0u), w);
                s[9] = add(s[9], subgroupBroadcast(v1, 1u), w);
                s[10] = add(s[10], subgroupBroadcast(v1, 2u), w);
                s[11] = add(s[11], subgroupBroadcast(v1, 3u), w);
                s[12] = add(s[12], subgroupBroadcast(v1, 4u), w);
                s[13] = add(s[13], subgroupBroadcast(v1, 5u), w);
                s[14] = add(s[14], subgroupBroadcast(v1, 6u), w);
                s[15] = add(s[15], subgroupBroadcast(v1, 7u), w);
            }
        }
    }
    if oc < dims.oc4 {
        for (var i = 0u; i < 16u; i++) {
            if first + i < dims.pixels {
                finish(first + i, oc, s[i]);
            }
        }
    }
}
