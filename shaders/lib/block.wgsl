// Common code of the kernels for residual blocks: relu(conv3x3(relu(conv3x3(x))) + x) in one dispatch, with both convolutions of stride 1
// and padding 1 and with as many output as input channels.
//
// Bindings as in lib/conv2d.wgsl: weights holds the weights of both convolutions, one after the other, likewise bias; residual is x.
//
// A workgroup computes dims.slice rows of an image, which has dims.tiles_h such parts. Grid: x = images * dims.tiles_h.
// Its rows of x, and two more on each side, are copied into workgroup memory, each pixel w + 1 pixels after the place of the first
// convolution's output for it. The output overwrites only inputs that are not needed again, since pixels are processed in order.
//
// const SPACE: vectors in workgroup memory, enough for dims.slice + 4 rows and two pixels.

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

// A workgroup's part of an image, in pixels: the start of the image in the batch; and, in the image, the start and end of the output, of
// the first convolution's output, and of the input.
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

// One of the two convolutions of a block: its output's pixels, the offset from a pixel's number to its place in workgroup memory, and the
// start of the convolution's weights and biases.
struct Half { first: u32, end: u32, shift: i32, weights: u32, bias: u32 }

fn half_of(b: Block, second: bool) -> Half {
    if second {
        return Half(b.first, b.end, -i32(b.middle), 36u * dims.c4 * dims.c4, dims.c4);
    }
    return Half(b.middle, b.middle_end, i32(dims.w + 1u) - i32(b.middle), 0u, 0u);
}

// Copies a block's input into workgroup memory, as thread `thread` of `threads`.
fn copy_input(b: Block, thread: u32, threads: u32) {
    let shift = half_of(b, false).shift;
    var pixel = b.input;
    loop {
        // Threads past the end copy the last pixel again.
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

// Like tap(), but in workgroup memory.
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
