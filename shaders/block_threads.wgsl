// A residual block (see lib/block.wgsl) on any device: a thread sums one output vector of PIXELS adjacent pixels.
//
// const THREADS: threads per workgroup, at least c4. PIXELS is 4.
// All threads sum, then all store, and so on: all threads have read a value before it is overwritten.

const PIXELS: u32 = 4u;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let b = block(group.x);
    copy_input(b, thread, THREADS);
    workgroupBarrier();
    // Neighbouring threads have neighbouring output vectors of the same pixels.
    let across = THREADS / dims.c4;
    let place = thread / dims.c4;
    let oc = thread % dims.c4;
    for (var convolution = 0u; convolution < 2u; convolution++) {
        let second = convolution == 1u;
        let h = half_of(b, second);
        for (var start = h.first; start < h.end; start += PIXELS * across) {
            let first = start + PIXELS * place;
            let busy = place < across && first < h.end;
            var sums: array<vec4<f32>, PIXELS>;
            if busy {
                var windows: array<Window, PIXELS>;
                for (var i = 0u; i < PIXELS; i++) {
                    windows[i] = window(min(first + i, h.end - 1u));
                }
                var row = h.weights + oc;
                for (var ky = 0u; ky < 3u; ky++) {
                    for (var kx = 0u; kx < 3u; kx++) {
                        var taps: array<Tap, PIXELS>;
                        for (var i = 0u; i < PIXELS; i++) {
                            taps[i] = tap_in_space(windows[i], ky, kx, h.shift);
                        }
                        for (var c = 0u; c < dims.c4; c++) {
                            let w = rows(row);
                            row += 4u * dims.c4;
                            // Not a loop: constant indices keep the sums in registers with every compiler.
                            sums[0] = add(sums[0], load_space(taps[0], c), w);
                            sums[1] = add(sums[1], load_space(taps[1], c), w);
                            sums[2] = add(sums[2], load_space(taps[2], c), w);
                            sums[3] = add(sums[3], load_space(taps[3], c), w);
                        }
                    }
                }
            }
            workgroupBarrier();
            for (var i = 0u; i < PIXELS; i++) {
                if busy && first + i < h.end {
                    store_half(b, second, first + i, oc, sums[i] + bias[h.bias + oc]);
                }
            }
            workgroupBarrier();
        }
    }
}
