// Winograd convolution, step 3 of 3: the 36 products of a tile of F(4x4, 3x3) become its 4x4 outputs, the 16 of F(2x2, 3x3) its 2x2,
// A' m A, with bias, residual and activation. lib/winograd4.wgsl or lib/winograd2.wgsl comes before it.
//
// x [points][tiles][oc4] in f32 -> y.
// One invocation a tile and output vector; neighbours take neighbouring vectors. Grid: x = tiles * oc4 / 64 in rows of 32768, y = rows.
//
// Both loops take what they work on from one end of `lines` and move the rest up: constant indices keep it in registers with every
// compiler, and yet the loads and the epilogue stand here once, so that they are compiled once. The loops count to numbers that the
// compiler cannot know, or it would unroll them.

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
