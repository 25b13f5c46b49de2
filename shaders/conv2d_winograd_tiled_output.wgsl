// Winograd F(4x4, 3x3) without subgroups, step 3 of 3: transforms the 36 products m of a tile to its 4x4 outputs A' m A, then adds bias,
// residual and activation. Step 2 is conv2d_tiled.wgsl. lib/winograd4.wgsl is included first.
//
// x [36][tiles][oc4] in f32 -> y. One invocation per tile and output vector; neighbours take neighbouring vectors. Grid: x = tiles * oc4 /
// 64 in rows of 32768, y = rows.
//
// Each column of products is loaded and added to all 16 outputs: this takes fewer registers than keeping the transformed columns. The
// bounds of the loops are numbers that the compiler cannot know, or it would unroll them, together with the epilogue.

// The rows of outputs, each with its columns.
alias Sums = array<Outputs, 4>;

// Adds column `j` of the products, transformed, to a row of outputs.
fn added(row: Outputs, value: vec4<f32>, factors: vec4<f32>) -> Outputs {
    return Outputs(row[0] + factors.x * value, row[1] + factors.y * value, row[2] + factors.z * value, row[3] + factors.w * value);
}

// Row `j` of A, the factors of the products of column j in the four columns of outputs.
fn factors_of(j: u32) -> vec4<f32> {
    if j == 0u { return vec4(1.0, 0.0, 0.0, 0.0); }
    if j == 5u { return vec4(0.0, 0.0, 0.0, 1.0); }
    let p = select(Q, P, j > 2u) * select(-1.0, 1.0, j % 2u == 1u);
    let square = select(0.5, 2.0, j > 2u);
    return vec4(1.0, p, square, square * p);
}

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
    var sums: Sums;
    var j = 0u;
    loop {
        let column = transform(load(id + j * step, step));
        let factors = factors_of(j);
        sums = Sums(added(sums[0], column[0], factors), added(sums[1], column[1], factors),
                    added(sums[2], column[2], factors), added(sums[3], column[3], factors));
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
        var row = sums[0];
        sums = Sums(sums[1], sums[2], sums[3], sums[3]);
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
