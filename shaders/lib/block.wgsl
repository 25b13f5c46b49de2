// What the kernels of a residual block share: relu(conv3x3(relu(conv3x3(x))) + x) in one dispatch, both convolutions of stride 1 and
// padding 1 with as many output as input channels.
//
// The bindings are those of lib/conv2d.wgsl: weights holds those of both convolutions one after the other, bias likewise, residual is x.
//
// A workgroup yields dims.slice rows of an image, of which there are dims.tiles_h such parts. Grid: x = images * dims.tiles_h.
// Its rows of x, two more on each side, are copied into workgroup memory, each pixel w + 1 pixels behind where the first convolution's
// output for it comes to lie. That one overwrites what nobody reads any more, as long as pixels are taken in order.
//
// const SPACE: vectors in workgroup memory, at least those of dims.slice + 4 rows and two pixels.

var<workgroup> space: array<Stored, SPACE>;

// The four weight rows of one input vector, for one output vector.
struct Rows { a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32> }

fn rows(at: u32) -> Rows {
    return Rows(vec4<f32>(weights[at]), vec4<f32>(weights[at + dims.c4]),
                vec4<f32>(weights[at + 2u * dims.c4]), vec4<f32>(weights[at + 3u * dims.c4]));
}

fn add(sum: vec4<f32>, v: vec4<f32>, w: Rows) -> vec4<f32> {
    return fma(vec4(v.w), w.d, fma(vec4(v.z), w.c, fma(vec4(v.y), w.b, fma(vec4(v.x), w.a, sum))));
}

// The part of an image that is a workgroup's, by its pixels: where the image starts in the batch; in the image the first and the end of
// the output, of the first convolution's output, and of the input.
struct Block { start: u32, first: u32, end: u32, middle: u32, middle_end: u32, input: u32, input_end: u32 }

fn block(group: u32) -> Block {
    let size = dims.h * dims.w;
    let image = divide(group, dims.tiles_h);
    let first = (group - image * dims.tiles_h) * dims.slice * dims.w;
    let end = min(first + dims.slice * dims.w, size);
    let middle = max(first, dims.w) - dims.w;
    let middle_end = min(end + dims.w, size);
    return Block(image * size, first, end, middle, middle_end, max(middle, dims.w) - dims.w, min(middle_end + dims.w, size));
}

// One of the two convolutions of a block: its output's pixels, what to add to a pixel's number for its place in workgroup memory,
// where the convolution's weights and biases start.
struct Half { first: u32, end: u32, shift: i32, weights: u32, bias: u32 }

fn half_of(b: Block, second: bool) -> Half {
    if second {
        return Half(b.first, b.end, -i32(b.middle), 36u * dims.c4 * dims.c4, dims.c4);
    }
    return Half(b.middle, b.middle_end, i32(dims.w + 1u) - i32(b.middle), 0u, 0u);
}

// Copies the input of a block into workgroup memory, as thread `thread` of `threads`.
fn copy_input(b: Block, thread: u32, threads: u32) {
    let shift = half_of(b, false).shift;
    var pixel = b.input;
    loop {
        // Threads past the end copy the last pixel once more.
        let at = min(pixel + thread, b.input_end - 1u);
        let source = (b.start + at) * dims.x_stride + dims.x_offset;
        let to = u32(i32(at) + shift) * dims.c4;
        var c = 0u;
        loop {
            space[to + c] = x[source + c];
            continuing {
                c++;
                break if c == dims.c4;
            }
        }
        continuing {
            pixel += threads;
            break if pixel >= b.input_end;
        }
    }
}

// As tap(), in workgroup memory.
fn tap_in_space(w: Window, ky: u32, kx: u32, shift: i32) -> Tap {
    let iy = w.y + i32(ky);
    let ix = w.x + i32(kx);
    let cy = clamp(iy, 0, i32(dims.h) - 1);
    let cx = clamp(ix, 0, i32(dims.w) - 1);
    let start = u32(cy * i32(dims.w) + cx + shift) * dims.c4;
    return Tap(start, select(0.0, 1.0, cy == iy && cx == ix));
}

fn load_space(t: Tap, c: u32) -> vec4<f32> {
    return t.inside * vec4<f32>(space[t.start + c]);
}

// Stores the sum, bias included, of one pixel and output vector.
fn store_half(b: Block, second: bool, pixel: u32, oc: u32, sum: vec4<f32>) {
    if second {
        finish(b.start + pixel, oc, sum);
    } else {
        space[(pixel - b.middle) * dims.c4 + oc] = Stored(clamp_at_zero(sum));
    }
}
