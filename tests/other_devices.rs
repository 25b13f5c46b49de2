//! Runs kernels that are chosen on other devices, on the adapter at hand: every sum of small integers must be exact.
//! The kernel on cooperative matrices is the same WGSL, but loops replace the matrix operations of
//! `shaders/lib/cooperative.wgsl`. That checks every index of the kernel, but not the driver's matrices.

mod common;

use bytemuck::cast_slice;
use half::f16;
use residua::{
    executor::gpu::kernels::{
        Caps, Dispatch, Problem, Residual, Types, View,
        conv2d::Conv2d,
        cooperative,
        tiled::{self, Tile},
    },
    graph::Conv2dParams,
    network::Activation,
    tensor::{Shape, StorageType},
};
use wgpu::util::DeviceExt;

/// `lib/cooperative.wgsl` as loops: 32 consecutive threads stand for a subgroup, and each has eight elements of a sum.
const WRITTEN_OUT: &str = "
alias MatrixX = u32;
alias MatrixW = u32;
alias MatrixY = array<f32, 8>;
fn load_x(at: u32) -> u32 { return at; }
fn load_w(at: u32) -> u32 { return at; }
fn multiply_add(a: u32, b: u32, sum: MatrixY, thread: u32) -> MatrixY {
    var total = sum;
    for (var i = 0u; i < 8u; i++) {
        let row = (thread % 32u * 8u + i) / 16u;
        let column = (thread % 32u * 8u + i) % 16u;
        for (var k = 0u; k < 16u; k++) {
            let x = f32(tile_x[a + row * X_STRIDE + k / 4u][k % 4u]);
            total[i] += x * f32(tile_w[b + k * W_STRIDE + column / 4u][column % 4u]);
        }
    }
    return total;
}
fn store_y(sum: MatrixY, at: u32, thread: u32) {
    for (var i = 0u; i < 8u; i += 4u) {
        let element = thread % 32u * 8u + i;
        tile_y[at + element / 16u * Y_STRIDE + element % 16u / 4u] = vec4(sum[i], sum[i + 1u], sum[i + 2u], sum[i + 3u]);
    }
}
fn quarter(subgroup: u32, thread: u32) -> u32 { return thread / 32u; }
";

/// An integer in -2..=2 that looks random.
fn small(i: usize) -> f32 {
    let mixed = (i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    (mixed % 5) as f32 - 2.0
}

/// The sum at one output element, from the kernel's operands: NHWC and `[kh][kw][cin][cout]`, channels padded to fours.
fn expected(conv: &Conv2d, x: &[f32], w: &[f32], bias: &[f32], residual: &[f32], pixel: usize, channel: usize) -> f32 {
    let d = conv.dims();
    let [h, width, c, oc] = [d.h, d.w, 4 * d.c4, 4 * d.oc4].map(|v| v as usize);
    let (n, oy, ox) = (pixel / (d.oh * d.ow) as usize, pixel / d.ow as usize % d.oh as usize, pixel % d.ow as usize);
    let mut sum = bias[channel] + residual[pixel * oc + channel];
    for (ky, kx) in (0..conv.params.kernel).flat_map(|ky| (0..conv.params.kernel).map(move |kx| (ky, kx))) {
        let (iy, ix) = (oy * conv.params.stride + ky, ox * conv.params.stride + kx);
        let (Some(iy), Some(ix)) = (iy.checked_sub(conv.params.padding), ix.checked_sub(conv.params.padding)) else {
            continue;
        };
        if iy < h && ix < width {
            let (from, row) = (((n * h + iy) * width + ix) * c, (ky * conv.params.kernel + kx) * c);
            sum += (0..c).map(|i| x[from + i] * w[(row + i) * oc + channel]).sum::<f32>();
        }
    }
    sum.max(0.0)
}

/// Convolutions with tails in pixels, channels and K, and several steps and workgroups: input, output channels, kernel, stride.
fn convolutions() -> impl Iterator<Item = Conv2d> {
    let cases = [((2, 64, 9, 7), 72, 1, 1), ((1, 20, 17, 13), 132, 3, 1), ((2, 4, 21, 18), 64, 7, 2)];
    cases.into_iter().map(|((n, c, h, w), out, kernel, stride)| {
        let params = Conv2dParams {
            in_channels: c,
            out_channels: out,
            kernel,
            stride,
            padding: kernel / 2,
            dilation: 1,
            groups: 1,
        };
        let side = |size: usize| (size + 2 * (kernel / 2) - kernel) / stride + 1;
        let (x, y) = (View::whole(Shape::new(n, c, h, w)), View::whole(Shape::new(n, out, side(h), side(w))));
        Conv2d { params, x, y, prologue: false, residual: Residual::Same(y), activation: Activation::Relu }
    })
}

/// Runs the dispatch for `conv`, with this `wgsl`, on small integers: every sum must be exact.
fn assert_exact((device, queue): &(wgpu::Device, wgpu::Queue), conv: &Conv2d, step: &Dispatch, wgsl: String) {
    let (key, Conv2d { params, x, y, .. }) = (&step.key, *conv);
    let (c, kernel, out) = (params.in_channels, params.kernel, params.out_channels);
    let values = |count: usize, salt: usize| (0..count).map(|i| small(i + salt)).collect::<Vec<f32>>();
    let (input, weights) = (values(x.buffer_elements(), 7), values(kernel * kernel * c * 4 * y.c4() as usize, 0));
    let (bias, addend) = (values(4 * y.c4() as usize, 3), values(y.buffer_elements(), 5));
    let halves = |values: &[f32]| values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect::<Vec<u8>>();
    let storage = wgpu::BufferUsages::STORAGE;
    let buffer = |contents: &[u8], usage| {
        device.create_buffer_init(&wgpu::util::BufferInitDescriptor { label: None, contents, usage })
    };
    let output = buffer(&vec![0; 4 * y.buffer_elements()], storage | wgpu::BufferUsages::COPY_SRC);
    let buffers = [
        buffer(&step.uniform, wgpu::BufferUsages::UNIFORM),
        buffer(&halves(&input), storage),
        buffer(&halves(&weights), storage),
        buffer(cast_slice(&bias), storage),
        buffer(&halves(&addend), storage),
        buffer(&[0; 16], storage),
        output.clone(),
    ];
    let constants: Vec<_> = step.key.overrides.iter().map(|&(name, value)| (name, f64::from(value))).collect();
    let source = wgpu::ShaderSource::Wgsl(wgsl.into());
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor { label: None, source });
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: None,
        layout: None,
        module: &module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions { constants: &constants, ..Default::default() },
        cache: None,
    });
    let mut entries = Vec::new();
    for (binding, buffer) in (0..).zip(&buffers) {
        entries.push(wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() });
    }
    let layout = pipeline.get_bind_group_layout(0);
    let group =
        device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout: &layout, entries: &entries });
    let back = device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: output.size(),
        usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    let mut encoder = device.create_command_encoder(&Default::default());
    {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(step.grid[0], step.grid[1], step.grid[2]);
    }
    encoder.copy_buffer_to_buffer(&output, 0, &back, 0, output.size());
    queue.submit([encoder.finish()]);
    back.map_async(wgpu::MapMode::Read, .., |result| result.unwrap());
    device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
    let bytes = back.get_mapped_range(..).unwrap();
    let got: &[f32] = cast_slice(&bytes);
    for pixel in 0..y.pixels() {
        for channel in 0..out {
            let want = expected(conv, &input, &weights, &bias, &addend, pixel, channel);
            let got = got[pixel * 4 * y.c4() as usize + channel];
            assert_eq!(got, want, "{key}, {} -> {out}: pixel {pixel}, channel {channel}", x.shape);
        }
    }
}

const TYPES: Types = Types { stored: StorageType::F16, output: StorageType::F32 };

#[test]
fn the_cooperative_kernel_is_exact_on_integers_with_its_matrices_written_out() {
    let Some(opened) = pollster::block_on(open()) else {
        common::say(
            "SKIPPED the kernel on cooperative matrices, written out: the adapter has no shader-f16 or no subgroups",
        );
        return;
    };
    for conv in convolutions() {
        let work = cooperative::ID.work(&Problem::Conv2d(conv), TYPES, &Caps::least()).unwrap();
        let real = include_str!("../shaders/lib/cooperative.wgsl");
        let wgsl = work.dispatches[0].key.wgsl();
        assert!(wgsl.contains(real));
        let wgsl = wgsl.replace(real, WRITTEN_OUT).replace("enable wgpu_cooperative_matrix;", "");
        assert_exact(&opened, &conv, &work.dispatches[0], wgsl);
    }
}

/// The device at hand takes the largest tiles and leaves registers to other threads; other devices take these.
#[test]
fn tiles_for_other_registers_are_exact_on_integers() {
    let Some(opened) = pollster::block_on(open()) else {
        common::say("SKIPPED tiles for other registers: the adapter has no shader-f16 or no subgroups");
        return;
    };
    let mut exact = 0;
    let registers = [(48, false), (48, true), (32, false)];
    for (conv, (registers, fixed)) in convolutions().flat_map(|conv| registers.map(|registers| (conv, registers))) {
        let caps = Caps { registers, fixed_registers: fixed, ..Caps::least() };
        for tile in Tile::ALL.into_iter().filter(|tile| tile.on(&caps) != Some(*tile)) {
            if let Some(work) = tiled::id(tile).work(&Problem::Conv2d(conv), TYPES, &caps) {
                assert_exact(&opened, &conv, &work.dispatches[0], work.dispatches[0].key.wgsl());
                exact += 1;
            }
        }
    }
    assert_eq!(exact, 12);
}

/// The adapter, if it has what the kernel needs besides cooperative matrices.
async fn open() -> Option<(wgpu::Device, wgpu::Queue)> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = instance.request_adapter(&Default::default()).await.expect("the GPU tests need an adapter");
    let wanted = wgpu::Features::SHADER_F16 | wgpu::Features::SUBGROUP;
    if !adapter.features().contains(wanted) {
        return None;
    }
    let descriptor =
        wgpu::DeviceDescriptor { required_features: wanted, required_limits: adapter.limits(), ..Default::default() };
    Some(adapter.request_device(&descriptor).await.expect("the device opens"))
}
