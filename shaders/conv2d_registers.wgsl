// Convolution in registers only: no workgroup memory, no barriers, no subgroups. For small problems and basic adapters.
//
// const PIXELS: output pixels per invocation, adjacent in memory.
// Workgroup: 8 output vectors x 8 invocations along the pixels. Grid: x = pixels / (8 PIXELS), y = oc4 / 8.

@compute @workgroup_size(8, 8)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let oc = group.y * 8u + local.x;
    let first = (group.x * 8u + local.y) * PIXELS;
    if oc >= dims.oc4 || first >= dims.pixels {
        return;
    }
    var windows: array<Window, PIXELS>;
    var sums: array<vec4<f32>, PIXELS>;
    for (var i = 0u; i < PIXELS; i++) {
        windows[i] = window(first + i);
    }
    var row = oc;
    for (var ky = 0u; ky < dims.kernel; ky++) {
        for (var kx = 0u; kx < dims.kernel; kx++) {
            var taps: array<Tap, PIXELS>;
            for (var i = 0u; i < PIXELS; i++) {
                taps[i] = tap(windows[i], ky, kx);
            }
            for (var c = 0u; c < dims.c4; c++) {
                let w0 = vec4<f32>(weights[row]);
                let w1 = vec4<f32>(weights[row + dims.oc4]);
                let w2 = vec4<f32>(weights[row + 2u * dims.oc4]);
                let w3 = vec4<f32>(weights[row + 3u * dims.oc4]);
                row += 4u * dims.oc4;
                for (var i = 0u; i < PIXELS; i++) {
                    let v = load_input(taps[i].start, c, taps[i].inside);
                    sums[i] = fma(vec4(v.w), w3, fma(vec4(v.z), w2, fma(vec4(v.y), w1, fma(vec4(v.x), w0, sums[i]))));
                }
            }
        }
    }
    for (var i = 0u; i < PIXELS; i++) {
        if first + i < dims.pixels {
            finish(first + i, oc, sums[i] + bias[oc]);
        }
    }
}
