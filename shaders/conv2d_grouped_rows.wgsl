// Grouped 3x3 convolution of stride 1 or 2 for software adapters, where loads cost most: an invocation computes PIXELS adjacent outputs
// and walks along their inputs, so that it loads each input vector once per row and uses it for all three columns of the window.
//
// const PIXELS: outputs per invocation, 7 or 14; with stride 2 only 7.
// Workgroup: 8 output vectors; neighbouring lanes read neighbouring channels.
// Grid: x = segments of PIXELS outputs in a row, y = oc4 / 8, z = rows of the whole batch.

override STRIDE: u32 = 1u;

alias Sums = array<vec4<f32>, PIXELS>;

// Four weight rows of each column of the window.
struct Rows { a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32> }
struct Window3 { left: Rows, middle: Rows, right: Rows }

fn rows(row: u32) -> Rows {
    return Rows(vec4<f32>(weights[row]), vec4<f32>(weights[row + dims.oc4]),
                vec4<f32>(weights[row + 2u * dims.oc4]), vec4<f32>(weights[row + 3u * dims.oc4]));
}

fn add(sum: vec4<f32>, v: vec4<f32>, w: Rows) -> vec4<f32> {
    return fma(vec4(v.w), w.d, fma(vec4(v.z), w.c, fma(vec4(v.y), w.b, fma(vec4(v.x), w.a, sum))));
}

// Adds the i-th input of the row to every sum that uses it. With a constant i all conditions are constant.
fn take(s: ptr<function, Sums>, i: u32, line: u32, inside: f32, first: i32, c: u32, w: Window3) {
    if i >= (PIXELS - 1u) * STRIDE + 3u {
        return;
    }
    let ix = first + i32(i);
    let cx = clamp(ix, 0, i32(dims.w) - 1);
    let v = load_input((line + u32(cx)) * dims.x_stride + dims.x_offset, c, select(0.0, inside, cx == ix));
    if i % STRIDE == 0u && i / STRIDE < PIXELS {
        s[i / STRIDE % PIXELS] = add(s[i / STRIDE % PIXELS], v, w.left);
    }
    if (i + STRIDE - 1u) % STRIDE == 0u && i >= 1u && (i - 1u) / STRIDE < PIXELS {
        s[(i - 1u) / STRIDE % PIXELS] = add(s[(i - 1u) / STRIDE % PIXELS], v, w.middle);
    }
    if i >= 2u && (i - 2u) % STRIDE == 0u {
        s[(i - 2u) / STRIDE % PIXELS] = add(s[(i - 2u) / STRIDE % PIXELS], v, w.right);
    }
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let oc = group.y * 8u + lane;
    // Lanes past the last output compute it too and do not store it.
    let column = min(oc, dims.oc4 - 1u);
    let first_channel = column / dims.group_oc4 * dims.group_c4;
    let image = group.z / dims.oh;
    let oy = group.z - image * dims.oh;
    let ox = group.x * PIXELS;
    let first = i32(ox * STRIDE) - 1;
    var s: Sums;
    var row = column;
    let step = 4u * dims.group_c4 * dims.oc4;
    var ky = 0u;
    loop {
        let iy = i32(oy * STRIDE + ky) - 1;
        let cy = clamp(iy, 0, i32(dims.h) - 1);
        let inside = select(0.0, 1.0, cy == iy);
        let line = (image * dims.h + u32(cy)) * dims.w;
        var c = 0u;
        loop {
            let w = Window3(rows(row), rows(row + step), rows(row + 2u * step));
            let channel = first_channel + c;
            // Not a loop, so that every compiler keeps the sums in registers.
            take(&s, 0u, line, inside, first, channel, w);
            take(&s, 1u, line, inside, first, channel, w);
            take(&s, 2u, line, inside, first, channel, w);
            take(&s, 3u, line, inside, first, channel, w);
            take(&s, 4u, line, inside, first, channel, w);
            take(&s, 5u, line, inside, first, channel, w);
            take(&s, 6u, line, inside, first, channel, w);
            take(&s, 7u, line, inside, first, channel, w);
            take(&s, 8u, line, inside, first, channel, w);
            take(&s, 9u, line, inside, first, channel, w);
            take(&s, 10u, line, inside, first, channel, w);
            take(&s, 11u, line, inside, first, channel, w);
            take(&s, 12u, line, inside, first, channel, w);
            take(&s, 13u, line, inside, first, channel, w);
            take(&s, 14u, line, inside, first, channel, w);
            take(&s, 15u, line, inside, first, channel, w);
            row += 4u * dims.oc4;
            continuing {
                c++;
                break if c == dims.group_c4;
            }
        }
        row += 2u * step;
        continuing {
            ky++;
            break if ky == 3u;
        }
    }
    let b = bias[column];
    // This loop must not be unrolled: see conv2d_broadcast.wgsl.
    let start = group.z * dims.ow;
    let end = min(ox + PIXELS, dims.ow);
    var x0 = ox;
    loop {
        if oc < dims.oc4 {
            finish(start + x0, oc, s[x0 - ox] + b);
        }
        continuing {
            x0++;
            break if x0 == end;
        }
    }
}
