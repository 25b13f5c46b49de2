// Grouped convolution: every output vector sums over the input channels of its own group, so there is little to share, and loads
// limit the speed.
//
// const VECTORS: output vectors per invocation, all of one group: 1, 2, 4 or 8, a divisor of group_oc4.
// Workgroup: 8 invocations along the channels, so that neighbours read neighbouring channels, x 8 pixels.
// Grid: x = pixels / 8, y = oc4 / (8 VECTORS).

fn add(sum: vec4<f32>, v: vec4<f32>, row: u32) -> vec4<f32> {
    let w0 = vec4<f32>(weights[row]);
    let w1 = vec4<f32>(weights[row + dims.oc4]);
    let w2 = vec4<f32>(weights[row + 2u * dims.oc4]);
    let w3 = vec4<f32>(weights[row + 3u * dims.oc4]);
    return fma(vec4(v.w), w3, fma(vec4(v.z), w2, fma(vec4(v.y), w1, fma(vec4(v.x), w0, sum))));
}

@compute @workgroup_size(8, 8)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let oc = (group.y * 8u + local.x) * VECTORS;
    let pixel = group.x * 8u + local.y;
    // Lanes past an edge compute a neighbour's value and do not store it.
    let column = min(oc, dims.oc4 - VECTORS);
    let first_channel = column / dims.group_oc4 * dims.group_c4;
    let w = window(pixel);
    var s: array<vec4<f32>, VECTORS>;
    var row = column;
    var ky = 0u;
    loop {
        var kx = 0u;
        loop {
            let t = tap(w, ky, kx);
            var c = 0u;
            loop {
                let v = load_input(t.start, first_channel + c, t.inside);
                // Not a loop, so that every compiler keeps the sums in registers.
                s[0] = add(s[0], v, row);
                if VECTORS > 1u { s[1u % VECTORS] = add(s[1u % VECTORS], v, row + 1u); }
                if VECTORS > 2u {
                    s[2u % VECTORS] = add(s[2u % VECTORS], v, row + 2u);
                    s[3u % VECTORS] = add(s[3u % VECTORS], v, row + 3u);
                }
                if VECTORS > 4u {
                    s[4u % VECTORS] = add(s[4u % VECTORS], v, row + 4u);
                    s[5u % VECTORS] = add(s[5u % VECTORS], v, row + 5u);
                    s[6u % VECTORS] = add(s[6u % VECTORS], v, row + 6u);
                    s[7u % VECTORS] = add(s[7u % VECTORS], v, row + 7u);
                }
                row += 4u * dims.oc4;
                continuing {
                    c++;
                    break if c == dims.group_c4;
                }
            }
            continuing {
                kx++;
                break if kx == dims.kernel;
            }
        }
        continuing {
            ky++;
            break if ky == dims.kernel;
        }
    }
    var i = 0u;
    loop {
        if pixel < dims.pixels && oc < dims.oc4 {
            finish(pixel, oc + i, s[i] + bias[oc + i]);
        }
        continuing {
            i++;
            break if i == VECTORS;
        }
    }
}
