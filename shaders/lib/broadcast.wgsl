// The inner step of the kernels that share inputs by broadcast: each of the first 8 lanes of a subgroup holds an input vector, and
// every lane multiplies all eight by its own weight rows and adds the products to its eight sums.
//
// const GROUPS: sums per lane, in eights, 1 to 4. More would save weight loads, but the loop would outgrow the instruction cache.
// const INPUTS: channels in an input vector, 1 to 4: fewer than 4 in a network's first convolution.
// const STRIP: number of adjacent output vectors in the weights, which are in `Packing::Strips`.

override LANES: u32 = 8u;

// The weight rows of one input vector, for this lane's output vector.
struct Rows { a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32> }

alias Sums = array<vec4<f32>, 8u * GROUPS>;

// Start of the column of output vector `oc` in a matrix of `count` rows.
fn column(oc: u32, count: u32) -> u32 {
    let strip = oc / STRIP;
    return strip * STRIP * count + oc - strip * STRIP;
}

fn rows(first: u32) -> Rows {
    var w: Rows;
    w.a = vec4<f32>(weights[first]);
    if INPUTS > 1u { w.b = vec4<f32>(weights[first + STRIP]); }
    if INPUTS > 2u { w.c = vec4<f32>(weights[first + 2u * STRIP]); }
    if INPUTS > 3u { w.d = vec4<f32>(weights[first + 3u * STRIP]); }
    return w;
}

fn add(sum: vec4<f32>, v: vec4<f32>, w: Rows) -> vec4<f32> {
    var s = fma(vec4(v.x), w.a, sum);
    if INPUTS > 1u { s = fma(vec4(v.y), w.b, s); }
    if INPUTS > 2u { s = fma(vec4(v.z), w.c, s); }
    if INPUTS > 3u { s = fma(vec4(v.w), w.d, s); }
    return s;
}

// Adds the inputs of eight pixels, one per lane, to their sums.
fn add_group(s: ptr<function, Sums>, g: u32, v: vec4<f32>, w: Rows) {
    s[8u * g] = add(s[8u * g], subgroupBroadcast(v, 0u), w);
    s[8u * g + 1u] = add(s[8u * g + 1u], subgroupBroadcast(v, 1u), w);
    s[8u * g + 2u] = add(s[8u * g + 2u], subgroupBroadcast(v, 2u), w);
    s[8u * g + 3u] = add(s[8u * g + 3u], subgroupBroadcast(v, 3u), w);
    s[8u * g + 4u] = add(s[8u * g + 4u], subgroupBroadcast(v, 4u), w);
    s[8u * g + 5u] = add(s[8u * g + 5u], subgroupBroadcast(v, 5u), w);
    s[8u * g + 6u] = add(s[8u * g + 6u], subgroupBroadcast(v, 6u), w);
    s[8u * g + 7u] = add(s[8u * g + 7u], subgroupBroadcast(v, 7u), w);
}
