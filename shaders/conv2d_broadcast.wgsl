// Convolution for software adapters, where loads cost most: each of the first 8 lanes of a subgroup loads the input of GROUPS
// output pixels, and a broadcast, which needs no load, hands it to all lanes.
//
// const GROUPS, INPUTS, STRIP: see lib/broadcast.wgsl.
// Workgroup: one subgroup of LANES (8 or more) lanes, 8 GROUPS output pixels x LANES output vectors, all of one group of the
// convolution; a lane keeps one output vector of all the pixels. Grid: x times z = pixels / (8 GROUPS), y = group_oc4 / LANES for
// each group of the convolution.
// No lane returns early and control flow is uniform: lanes past an edge compute a neighbour's value and do not store it.
//
// The last loop must not be unrolled: then its loads and stores would take the driver seven times as long to compile as all the rest
// (llvmpipe expands each of them lane by lane, with branches). So its bounds are numbers that the compiler cannot know.

// Whether the convolution has several groups. Otherwise it does without their division, which llvmpipe computes lane by lane.
override GROUPED: u32 = 0u;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(subgroup_invocation_id) lane: u32) {
    let first = (group.z * groups.x + group.x) * 8u * GROUPS;
    var part = 0u;
    var rest = group.y;
    if GROUPED != 0u {
        let rounds = (dims.group_oc4 + LANES - 1u) / LANES;
        part = group.y / rounds;
        rest = group.y - part * rounds;
    }
    let oc = part * dims.group_oc4 + rest * LANES + lane;
    let end_oc = (part + 1u) * dims.group_oc4;
    let loaded = min(oc, end_oc - 1u);
    let first_c = part * dims.group_c4;
    var windows: array<Window, 4>;
    for (var g = 0u; g < 4u; g++) {
        windows[g] = window(first + 8u * g + lane % 8u);
    }
    var s: Sums;
    var row = column(loaded, 4u * dims.kernel * dims.kernel * dims.group_c4);
    // The loops test at their end: after a failed test at the start, llvmpipe runs the body once more with all lanes off.
    var ky = 0u;
    loop {
        var kx = 0u;
        loop {
            var taps: array<Tap, 4>;
            for (var g = 0u; g < 4u; g++) {
                taps[g] = tap(windows[g], ky, kx);
            }
            var c = first_c;
            loop {
                // Every lane loads one of the two, since a load costs more than two broadcasts.
                var a: Affine;
                if PROLOGUE {
                    let one = affine[c + select(0u, dims.c4, lane % 2u == 1u)];
                    a = Affine(subgroupBroadcast(one, 0u), subgroupBroadcast(one, 1u));
                }
                // Two inputs before the weights and the others after them: measured as the fastest order for two groups and for four.
                let v0 = load_with(a, taps[0].start, c, taps[0].inside);
                var v1: vec4<f32>;
                if GROUPS > 1u { v1 = load_with(a, taps[1].start, c, taps[1].inside); }
                let w = rows(row);
                row += 4u * STRIP;
                // Not a loop: the driver may or may not unroll one, and without unrolling it is four times as slow, since
                // llvmpipe then addresses the sums lane by lane.
                add_group(&s, 0u, v0, w);
                if GROUPS > 1u { add_group(&s, 1u, v1, w); }
                if GROUPS > 2u { add_group(&s, 2u, load_with(a, taps[2].start, c, taps[2].inside), w); }
                if GROUPS > 3u { add_group(&s, 3u, load_with(a, taps[3].start, c, taps[3].inside), w); }
                continuing {
                    c++;
                    break if c == first_c + dims.group_c4;
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
    let b = bias[loaded];
    let end = min(first + 8u * GROUPS, dims.pixels);
    var pixel = first;
    loop {
        if oc < end_oc && pixel < end {
            finish(pixel, oc, s[pixel - first] + b);
        }
        continuing {
            pixel++;
            break if pixel >= end;
        }
    }
}
