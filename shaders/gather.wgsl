// Moves values: y[row, column, c] = x[(row - top) / factor, (column - left) / factor, c + from], or zero outside of x.
//
// binding  buffer  contents
// 0        dims    extents; from and channels are plain, not in fours
// 1        x       [n][h][w][x_stride], channels from x_offset on
// 2        y       [n][oh][ow][y_stride], channels from y_offset on
//
// Strides and offsets (x_offset, y_offset) are in fours.
//
// One invocation computes four channels of one pixel. Grid: 64 invocations per workgroup, folded into rows.

struct GatherDims {
    h: u32, w: u32, oh: u32, ow: u32,
    pixels: u32, channels: u32, from_channel: u32, top: u32,
    left: u32, factor: u32, x_stride: u32, x_offset: u32,
    y_stride: u32, y_offset: u32, pad0: u32, pad1: u32,
}

@group(0) @binding(0) var<uniform> dims: GatherDims;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
@group(0) @binding(2) var<storage, read_write> y: array<Output>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let c4 = (dims.channels + 3u) / 4u;
    let id = (group.y * groups.x + group.x) * 64u + lane;
    let pixel = id / c4;
    let first = id % c4 * 4u;
    if pixel >= dims.pixels {
        return;
    }
    let column = pixel % dims.ow;
    let row = pixel / dims.ow % dims.oh;
    // Positions before the first row or column wrap around to large numbers.
    let from_row = (row - dims.top) / dims.factor;
    let from_column = (column - dims.left) / dims.factor;
    var value = vec4<f32>();
    if row >= dims.top && column >= dims.left && from_row < dims.h && from_column < dims.w {
        let at = ((pixel / (dims.ow * dims.oh) * dims.h + from_row) * dims.w + from_column) * dims.x_stride + dims.x_offset;
        for (var i = 0u; i < 4u && first + i < dims.channels; i++) {
            let c = first + i + dims.from_channel;
            value[i] = f32(x[at + c / 4u][c % 4u]);
        }
    }
    y[pixel * dims.y_stride + dims.y_offset + first / 4u] = Output(value);
}
