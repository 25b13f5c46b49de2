// Winograd convolution, step 3 of 3: transforms the products m of a tile to its outputs A' m A, then adds bias, residual and activation.
// F(4x4, 3x3) has 36 products and 4x4 outputs, F(2x2, 3x3) 16 and 2x2. lib/winograd4.wgsl or lib/winograd2.wgsl is included first.
//
// x [points][tiles][oc4] in f32 -> y.
// One invocation per tile and output vector; neighbours take neighbouring vectors. Grid: x = tiles * oc4 / 64 in rows of 32768, y = rows.
//
// Both loops take their line from one end of `lines` and shift the rest: constant indices keep it in registers with every compiler, but
// there is only one copy of the loads and the epilogue to compile. The bounds of the loops are numbers that the compiler cannot know,
// or it would unroll them.

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let id = (group.y * 32768u + group.x) * 64u + thread;
    if id >= dims.tiles * dims.oc4 {
        return;
    }
    let tile = divide(id, dims.oc4);
    let oc = id - tile * dims.oc4;
    let row_of_tiles = divide(tile, dims.tiles_w);
    let n = divide(row_of_tiles, dims.tiles_h);
    let oy = (row_of_tiles - n * dims.tiles_h) * OUTPUTS;
    let ox = (tile - row_of_tiles * dims.tiles_w) * OUTPUTS;
    let step = dims.tiles * dims.oc4;
    let points = dims.kernel + OUTPUTS - 1u;
    var lines: Lines;
    var j = 0u;
    loop {
        lines = appended(lines, transform(load(id + j * step, step)));
        continuing {
            j++;
            break if j == points;
        }
    }
    let b = bias[oc];
    let rows = min(OUTPUTS, dims.oh - oy);
    let columns = min(OUTPUTS, dims.ow - ox);
    var pixel = (n * dims.oh + oy) * dims.ow + ox;
    var i = 0u;
    loop {
        var row = transform(first_of_each(lines));
        lines = each_shifted(lines);
        j = 0u;
        loop {
            finish(pixel + j, oc, row[0] + b);
            row = shifted(row);
            continuing {
                j++;
                break if j == columns;
            }
        }
        pixel += dims.ow;
        continuing {
            i++;
            break if i == rows;
        }
    }
}
