// A residual block for software adapters (see lib/block.wgsl). It loads and sums like conv2d_broadcast.wgsl, for the reasons given there.
//
// const GROUPS: pixels summed at a time, in eights, 1 to 7.
// const VECTORS: 4, 8 or 16, at least c4. With 4, lanes i and i + 4 have the same output vector of different pixels, so that no lane is
// idle. With 16, a lane has two output vectors.
// Workgroup: one subgroup of LANES (8 or more) lanes.

override LANES: u32 = 8u;

const SUMS: u32 = GROUPS * VECTORS;
alias Sums = array<vec4<f32>, SUMS>;

// Adds the inputs of pixels i and i + 4 of eight to their sums.
fn add_two(s: ptr<function, Sums>, g: u32, i: u32, low: vec4<f32>, high: vec4<f32>, w: Rows, w2: Rows, upper: bool) {
    if VECTORS == 4u {
        s[4u * g + i] = add(s[4u * g + i], select(low, high, upper), w);
    } else {
        s[VECTORS * g + i] = add(s[VECTORS * g + i], low, w);
        s[VECTORS * g + i + 4u] = add(s[VECTORS * g + i + 4u], high, w);
    }
    if VECTORS == 16u {
        s[16u * g + i + 8u] = add(s[16u * g + i + 8u], low, w2);
        s[16u * g + i + 12u] = add(s[16u * g + i + 12u], high, w2);
    }
}

// Adds the inputs of eight pixels, one per lane, to their sums.
fn add_group(s: ptr<function, Sums>, g: u32, v: vec4<f32>, w: Rows, w2: Rows, upper: bool) {
    add_two(s, g, 0u, subgroupBroadcast(v, 0u), subgroupBroadcast(v, 4u), w, w2, upper);
    add_two(s, g, 1u, subgroupBroadcast(v, 1u), subgroupBroadcast(v, 5u), w, w2, upper);
    add_two(s, g, 2u, subgroupBroadcast(v, 2u), subgroupBroadcast(v, 6u), w, w2, upper);
    add_two(s, g, 3u, subgroupBroadcast(v, 3u), subgroupBroadcast(v, 7u), w, w2, upper);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let b = block(group.x);
    copy_input(b, lane, LANES);
    workgroupBarrier();
    let upper = VECTORS == 4u && lane % 8u >= 4u;
    let oc = select(lane, lane % 4u, VECTORS == 4u);
    let column = min(oc, dims.c4 - 1u);
    let column2 = min(oc + 8u, dims.c4 - 1u);
    var convolution = 0u;
    loop {
        let second = convolution == 1u;
        let h = half_of(b, second);
        var first = h.first;
        loop {
            var windows: array<Window, 7>;
            for (var g = 0u; g < 7u; g++) {
                windows[g] = window(min(first + 8u * g + lane % 8u, h.end - 1u));
            }
            var s: Sums;
            for (var i = 0u; i < SUMS; i++) {
                s[i] = vec4<f32>();
            }
            var row = h.weights;
            var ky = 0u;
            loop {
                var kx = 0u;
                loop {
                    var taps: array<Tap, 7>;
                    for (var g = 0u; g < 7u; g++) {
                        taps[g] = tap_in_space(windows[g], ky, kx, h.shift);
                    }
                    var c = 0u;
                    loop {
                        let w = rows(row + column);
                        var w2 = w;
                        if VECTORS == 16u {
                            w2 = rows(row + column2);
                        }
                        row += 4u * dims.c4;
                        add_group(&s, 0u, load_space(taps[0], c), w, w2, upper);
                        if GROUPS > 1u { add_group(&s, 1u, load_space(taps[1], c), w, w2, upper); }
                        if GROUPS > 2u { add_group(&s, 2u, load_space(taps[2], c), w, w2, upper); }
                        if GROUPS > 3u { add_group(&s, 3u, load_space(taps[3], c), w, w2, upper); }
                        if GROUPS > 4u { add_group(&s, 4u, load_space(taps[4], c), w, w2, upper); }
                        if GROUPS > 5u { add_group(&s, 5u, load_space(taps[5], c), w, w2, upper); }
                        if GROUPS > 6u { add_group(&s, 6u, load_space(taps[6], c), w, w2, upper); }
                        continuing {
                            c++;
                            break if c == dims.c4;
                        }
                    }
                    continuing {
                        kx++;
                        break if kx == 3u;
                    }
                }
                continuing {
                    ky++;
                    break if ky == 3u;
                }
            }
            let bias1 = bias[h.bias + column];
            let bias2 = bias[h.bias + column2];
            workgroupBarrier();
            var i = 0u;
            loop {
                // The pixel of sum i.
                var pixel = first + i;
                var vector = oc;
                var sum = s[i];
                if VECTORS == 4u {
                    pixel = first + i / 4u * 8u + i % 4u + select(0u, 4u, upper);
                    sum += bias1;
                } else if VECTORS == 8u {
                    sum += bias1;
                } else {
                    let other = i % 16u >= 8u;
                    pixel = first + i / 16u * 8u + i % 8u;
                    vector = oc + select(0u, 8u, other);
                    sum += select(bias1, bias2, other);
                }
                // Lanes from 8 on repeat others if a pixel needs only 8 lanes.
                if pixel < h.end && vector < dims.c4 {
                    store_half(b, second, pixel, vector, sum);
                }
                continuing {
                    i++;
                    break if i == SUMS;
                }
            }
            workgroupBarrier();
            continuing {
                first += 8u * GROUPS;
                break if first >= h.end;
            }
        }
        continuing {
            convolution++;
            break if convolution == 2u;
        }
    }
}
