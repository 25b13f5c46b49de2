// Pooling over a square window: the maximum (MAX) or the mean. Padding is never the maximum and does not count in the mean.
//
// binding  buffer  contents
// 0        dims    extents, channels in fours
// 1        x       [n][h][w][x_stride], channels from x_offset on
// 2        affine  prologue: scale [c4], then shift [c4], f32 (unused without PROLOGUE)
// 3        y       [n][oh][ow][y_stride], channels from y_offset on
//
// Grid: x = output pixels of an image times c4, 64 per workgroup; y = images. One invocation computes four channels.

struct PoolDims {
    h: u32, w: u32, c4: u32, oh: u32,
    ow: u32, n: u32, x_stride: u32, x_offset: u32,
    y_stride: u32, y_offset: u32, pad0: u32, pad1: u32,
}

override KERNEL: u32 = 3u;
override STRIDE: u32 = 2u;
override PADDING: u32 = 1u;
override MAX: bool = true;
// Pools relu(scale * x + shift) instead of x.
override PROLOGUE: bool = false;

@group(0) @binding(0) var<uniform> dims: PoolDims;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
@group(0) @binding(2) var<storage, read> affine: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<Output>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let c = id.x % dims.c4;
    let ox = id.x / dims.c4 % dims.ow;
    let oy = id.x / dims.c4 / dims.ow;
    if oy >= dims.oh {
        return;
    }
    // The window without its padding: [y0, y1) x [x0, x1).
    let y0 = max(oy * STRIDE, PADDING) - PADDING;
    let x0 = max(ox * STRIDE, PADDING) - PADDING;
    let y1 = min(oy * STRIDE + KERNEL - PADDING, dims.h);
    let x1 = min(ox * STRIDE + KERNEL - PADDING, dims.w);
    var value = select(vec4<f32>(), vec4<f32>(-3.402823e38), MAX);
    for (var iy = y0; iy < y1; iy++) {
        for (var ix = x0; ix < x1; ix++) {
            var pixel = vec4<f32>(x[((id.y * dims.h + iy) * dims.w + ix) * dims.x_stride + dims.x_offset + c]);
            if PROLOGUE {
                pixel = affine[c] * pixel + affine[dims.c4 + c];
                // Not max(), which may turn NaN into zero.
                pixel = select(pixel, vec4<f32>(), pixel < vec4<f32>());
            }
            if MAX {
                value = larger(pixel, value);
            } else {
                value += pixel;
            }
        }
    }
    if !MAX {
        value /= f32((y1 - y0) * (x1 - x0));
    }
    y[((id.y * dims.oh + oy) * dims.ow + ox) * dims.y_stride + dims.y_offset + c] = Output(value);
}
