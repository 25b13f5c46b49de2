// Convolution as an implicit matrix product over tiles in workgroup memory (see lib/gemm.wgsl; a 1x1 convolution is a plain GEMM).
//
// const TILE_PIXELS, TILE_VECTORS: output pixels and output vectors per workgroup.
// const ROWS, COLUMNS: output pixels and output vectors per thread, 4 or 8 and 1 or 2.
// const DEPTH: vectors of K in workgroup memory at a time, 4 or 8.
// const SPLIT: blocks of threads that divide each DEPTH vectors among themselves and add their sums at the end, for few tiles;
// more than one only with 1 vector per thread.
// Grid: x = oc4 / TILE_VECTORS, y = pixels / TILE_PIXELS, z: see PARTS. Adjacent tiles read the same pixels, which are then in the cache.
// Workgroup memory: 16 DEPTH (TILE_PIXELS + 4 TILE_VECTORS) bytes, at most the 16 KB of every WebGPU device.

const ACROSS: u32 = TILE_VECTORS / COLUMNS;
const DOWN: u32 = TILE_PIXELS / ROWS;
const BLOCK: u32 = ACROSS * DOWN;
const THREADS: u32 = BLOCK * SPLIT;
const X_LOADS: u32 = DEPTH * TILE_PIXELS / THREADS;
const W_LOADS: u32 = 4u * DEPTH * TILE_VECTORS / THREADS;
// [DEPTH][TILE_PIXELS] input vectors, then [4 DEPTH][TILE_VECTORS] weights; at the end the sums of half of the blocks.
const W_AT: u32 = DEPTH * TILE_PIXELS;
var<workgroup> tile: array<vec4<f32>, W_AT + 4u * DEPTH * TILE_VECTORS>;

// Pixel p of input vector d lies at p ^ swizzle(d), so that the 8 vectors that 8 neighbouring threads store (DEPTH adjacent vectors
// of x for each pixel) go to different banks, or to 4 banks if DOWN is 4. It is less than DOWN, so a thread's pixels keep their distance.
fn swizzle(d: u32) -> u32 {
    let bits = 8u / DEPTH * d;
    return select(bits, bits % DOWN, DOWN < 8u);
}

alias Sums = array<vec4<f32>, ROWS * COLUMNS>;

// The weights of one input vector, for one output vector.
struct Rows { a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32> }

fn rows(at: u32) -> Rows {
    return Rows(tile[at], tile[at + TILE_VECTORS], tile[at + 2u * TILE_VECTORS], tile[at + 3u * TILE_VECTORS]);
}

fn add(sum: vec4<f32>, v: vec4<f32>, w: Rows) -> vec4<f32> {
    return fma(vec4(v.w), w.d, fma(vec4(v.z), w.c, fma(vec4(v.y), w.b, fma(vec4(v.x), w.a, sum))));
}

// Adds one input vector of a thread's r-th pixel to the sums of that pixel.
fn add_pixel(sums: ptr<function, Sums>, r: u32, x_at: u32, w0: Rows, w1: Rows) {
    let v = tile[x_at + DOWN * r];
    sums[r * COLUMNS] = add(sums[r * COLUMNS], v, w0);
    if COLUMNS > 1u {
        sums[r * COLUMNS + 1u] = add(sums[r * COLUMNS + 1u], v, w1);
    }
}

// Hands the sum of a thread's r-th pixel to the block that is `half` blocks before; `mine` counts the threads of those blocks.
fn give_pixel(sums: ptr<function, Sums>, r: u32, mine: u32, half: u32) {
    tile[mine + r * half * BLOCK] = sums[r];
}

fn take_pixel(sums: ptr<function, Sums>, r: u32, mine: u32, half: u32) {
    sums[r] += tile[mine + r * half * BLOCK];
}

// The sums of a thread's r-th pixel.
struct Pair { first: vec4<f32>, second: vec4<f32> }

fn pair(sums: ptr<function, Sums>, r: u32) -> Pair {
    return Pair(sums[r * COLUMNS], sums[r * COLUMNS + COLUMNS - 1u]);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let first_pixel = group.y * TILE_PIXELS;
    let first_oc = group.x * TILE_VECTORS;
    // This thread sums pixels row, row + DOWN, ... and vectors column, column + ACROSS.
    let block = thread / BLOCK;
    let row = thread % BLOCK / ACROSS;
    let column = thread % ACROSS;
    // It loads one vector of K for every (THREADS / DEPTH)-th pixel; neighbouring threads load neighbouring vectors of a pixel.
    let depth = thread % DEPTH;
    var windows: array<Window, X_LOADS>;
    for (var i = 0u; i < X_LOADS; i++) {
        windows[i] = window(first_pixel + (thread + i * THREADS) / DEPTH);
    }
    let first = first_vector(group.z);
    let steps = (vectors() + DEPTH - 1u) / DEPTH;
    var sums: Sums;
    var at = place(first + depth);
    var xs: array<vec4<f32>, X_LOADS>;
    var ws: array<Stored, W_LOADS>;
    for (var step = 0u; ; step++) {
        // Start the loads of a step before summing the previous step.
        if step < steps {
            for (var i = 0u; i < X_LOADS; i++) {
                xs[i] = input_at(windows[i], at, group.z);
            }
            for (var i = 0u; i < W_LOADS; i++) {
                let w = thread + i * THREADS;
                ws[i] = weight_at(4u * (first + step * DEPTH) + w / TILE_VECTORS, first_oc + w % TILE_VECTORS, group.z);
            }
            at = advance(at, DEPTH);
        }
        // A number that the compiler cannot know, or it would unroll the loop and load more than the registers hold.
        let count = select(DEPTH / SPLIT, 0u, step == 0u);
        for (var i = 0u; i < count; i++) {
            let d = block * (DEPTH / SPLIT) + i;
            let w_at = W_AT + 4u * d * TILE_VECTORS + column;
            let w0 = rows(w_at);
            let w1 = rows(w_at + ACROSS * (COLUMNS - 1u));
            let x_at = d * TILE_PIXELS + (row ^ swizzle(d));
            // Not a loop: constant indices keep the sums in registers with every compiler.
            add_pixel(&sums, 0u, x_at, w0, w1);
            add_pixel(&sums, 1u, x_at, w0, w1);
            add_pixel(&sums, 2u, x_at, w0, w1);
            add_pixel(&sums, 3u, x_at, w0, w1);
            if ROWS > 4u {
                add_pixel(&sums, 4u, x_at, w0, w1);
                add_pixel(&sums, 5u, x_at, w0, w1);
                add_pixel(&sums, 6u, x_at, w0, w1);
                add_pixel(&sums, 7u, x_at, w0, w1);
            }
        }
        workgroupBarrier();
        if step == steps {
            break;
        }
        for (var i = 0u; i < X_LOADS; i++) {
            tile[depth * TILE_PIXELS + (((thread + i * THREADS) / DEPTH) ^ swizzle(depth))] = xs[i];
        }
        for (var i = 0u; i < W_LOADS; i++) {
            tile[W_AT + thread + i * THREADS] = vec4<f32>(ws[i]);
        }
        workgroupBarrier();
    }
    // Half of the blocks hand their sums to the other half, repeatedly.
    for (var half = SPLIT / 2u; half > 0u; half /= 2u) {
        let mine = thread % (half * BLOCK);
        if block >= half && block < 2u * half {
            give_pixel(&sums, 0u, mine, half);
            give_pixel(&sums, 1u, mine, half);
            give_pixel(&sums, 2u, mine, half);
            give_pixel(&sums, 3u, mine, half);
            if ROWS > 4u {
                give_pixel(&sums, 4u, mine, half);
                give_pixel(&sums, 5u, mine, half);
                give_pixel(&sums, 6u, mine, half);
                give_pixel(&sums, 7u, mine, half);
            }
        }
        workgroupBarrier();
        if block < half {
            take_pixel(&sums, 0u, mine, half);
            take_pixel(&sums, 1u, mine, half);
            take_pixel(&sums, 2u, mine, half);
            take_pixel(&sums, 3u, mine, half);
            if ROWS > 4u {
                take_pixel(&sums, 4u, mine, half);
                take_pixel(&sums, 5u, mine, half);
                take_pixel(&sums, 6u, mine, half);
                take_pixel(&sums, 7u, mine, half);
            }
        }
        workgroupBarrier();
    }
    // Constant indices again, but only one copy of the epilogue, which drivers compile in a fraction of the time.
    for (var r = 0u; r < ROWS && block == 0u; r++) {
        var sum = pair(&sums, 0u);
        if r == 1u { sum = pair(&sums, 1u); }
        if r == 2u { sum = pair(&sums, 2u); }
        if r == 3u { sum = pair(&sums, 3u); }
        if ROWS > 4u {
            if r == 4u { sum = pair(&sums, 4u); }
            if r == 5u { sum = pair(&sums, 5u); }
            if r == 6u { sum = pair(&sums, 6u); }
            if r == 7u { sum = pair(&sums, 7u); }
        }
        for (var j = 0u; j < COLUMNS; j++) {
            if j == 1u { sum.first = sum.second; }
            store(first_pixel + row + DOWN * r, first_oc + column + ACROSS * j, group.z, sum.first);
        }
    }
}
