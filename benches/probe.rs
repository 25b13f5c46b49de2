//! Measures what WGSL through wgpu can reach on a device: `cargo bench --bench probe -- [short] [DEVICE]`; DEVICE is a part of an
//! adapter's name. Prints lines of `name<TAB>value<TAB>unit`: features and limits, costs of dispatching and waiting,
//! multiply-adds in registers, bytes from memory, and matrix products with residua's own kernels. `short` is for software
//! adapters.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a bench talks to its reader")]

use std::{
    env,
    sync::Arc,
    time::{Duration, Instant},
};

use residua::{
    executor::gpu::{
        Executor,
        kernels::{KernelId, Problem, Residual, View, conv2d::Conv2d},
        plan::{Candidates, Case, Options, SingleLayer},
    },
    graph::Conv2dParams,
    network::Activation,
    tensor::{Shape, StorageType},
};

fn main() {
    // Cargo passes `--bench` to a bench that it runs itself.
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let short = arguments.iter().any(|argument| argument == "short");
    let wanted = arguments.iter().find(|argument| *argument != "short").map_or("auto", String::as_str);
    let probe = pollster::block_on(Probe::open(wanted));
    probe.describe();
    probe.dispatches();
    probe.arithmetic(short);
    probe.memory(short);
    products(wanted, short);
}

fn row(name: &str, value: impl std::fmt::Display, unit: &str) {
    println!("{name}\t{value}\t{unit}");
}

struct Probe {
    adapter: wgpu::Adapter,
    device: wgpu::Device,
    queue: wgpu::Queue,
}

/// A kernel with its buffers bound.
struct Kernel {
    pipeline: wgpu::ComputePipeline,
    bind_group: wgpu::BindGroup,
}

impl Probe {
    async fn open(wanted: &str) -> Self {
        let backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
        let descriptor =
            wgpu::InstanceDescriptor { backends, ..wgpu::InstanceDescriptor::new_without_display_handle() };
        let mut adapters = wgpu::Instance::new(descriptor).enumerate_adapters(backends).await;
        let wanted = residua::executor::gpu::Wanted::from(wanted);
        let devices = residua::executor::gpu::devices(&wanted).await.unwrap_or_else(|error| panic!("{error}"));
        let (index, _) = residua::executor::gpu::pick(&devices, &wanted).unwrap_or_else(|error| panic!("{error}"));
        let adapter = adapters.swap_remove(index);
        let features = adapter.features() & wgpu::Features::SHADER_F16;
        let descriptor = wgpu::DeviceDescriptor {
            required_features: features,
            required_limits: adapter.limits(),
            ..Default::default()
        };
        let (device, queue) = adapter.request_device(&descriptor).await.unwrap_or_else(|error| panic!("{error}"));
        Probe { adapter, device, queue }
    }

    fn describe(&self) {
        let info = self.adapter.get_info();
        row("device", &info.name, &format!("{} {}", info.driver, info.driver_info));
        row("subgroup lanes", info.subgroup_min_size, &format!("to {}", info.subgroup_max_size));
        row("features", format!("{:?}", self.adapter.features()), "");
        row("limits", format!("{:?}", self.adapter.limits()), "");
        for shape in self.adapter.cooperative_matrix_properties() {
            row("cooperative matrix", format!("{shape:?}"), "");
        }
    }

    fn buffer(&self, bytes: u64) -> wgpu::Buffer {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        let descriptor = wgpu::BufferDescriptor { label: None, size: bytes, usage, mapped_at_creation: false };
        self.device.create_buffer(&descriptor)
    }

    fn kernel(&self, wgsl: &str, buffers: &[&wgpu::Buffer]) -> Kernel {
        let source = wgpu::ShaderSource::Wgsl(wgsl.into());
        let module = self.device.create_shader_module(wgpu::ShaderModuleDescriptor { label: None, source });
        let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: None,
            layout: None,
            module: &module,
            entry_point: Some("main"),
            compilation_options: Default::default(),
            cache: None,
        });
        let bound = buffers.iter().map(|buffer| buffer.as_entire_binding());
        let entries: Vec<_> =
            bound.zip(0..).map(|(resource, binding)| wgpu::BindGroupEntry { binding, resource }).collect();
        let layout = pipeline.get_bind_group_layout(0);
        let descriptor = wgpu::BindGroupDescriptor { label: None, layout: &layout, entries: &entries };
        let bind_group = self.device.create_bind_group(&descriptor);
        Kernel { pipeline, bind_group }
    }

    fn commands(&self, kernels: &[&Kernel], groups: u32) -> wgpu::CommandBuffer {
        let mut encoder = self.device.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        for kernel in kernels {
            pass.set_pipeline(&kernel.pipeline);
            pass.set_bind_group(0, &kernel.bind_group, &[]);
            pass.dispatch_workgroups(groups, 1, 1);
        }
        drop(pass);
        encoder.finish()
    }

    fn wait(&self) {
        self.device.poll(wgpu::PollType::wait_indefinitely()).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Median time from submitting `kernels` to the end of the wait, of 21 runs after a first one.
    fn time(&self, kernels: &[&Kernel], groups: u32, wait: impl Fn()) -> Duration {
        let run = |_| {
            let commands = self.commands(kernels, groups);
            let began = Instant::now();
            self.queue.submit([commands]);
            wait();
            began.elapsed()
        };
        run(0);
        let mut times: Vec<Duration> = (0..21).map(run).collect();
        times.sort_unstable();
        times[10]
    }

    /// Measures the time that a dispatch of one workgroup adds, with and without waiting for the last, and the cost of submitting
    /// and waiting.
    fn dispatches(&self) {
        let us = |time: Duration| format!("{:.2}", 1e6 * time.as_secs_f64());
        let spin = || while !self.device.poll(wgpu::PollType::Poll).is_ok_and(|status| status.is_queue_empty()) {};
        row("submit nothing and wait", us(self.time(&[], 1, || self.wait())), "us");
        row("submit nothing and spin", us(self.time(&[], 1, spin)), "us");
        let wgsl = "@group(0) @binding(0) var<storage, read_write> a: array<f32>;
            @compute @workgroup_size(64) fn main(@builtin(local_invocation_index) i: u32) { a[i] = a[i] + 1.0; }";
        let buffers: Vec<wgpu::Buffer> = (0..256).map(|_| self.buffer(256)).collect();
        let kernels: Vec<Kernel> = buffers.iter().map(|buffer| self.kernel(wgsl, &[buffer])).collect();
        let independent: Vec<&Kernel> = kernels.iter().collect();
        for (name, kernels) in [("chained", vec![&kernels[0]; 256]), ("independent", independent)] {
            let [few, many] = [16, 256].map(|count| self.time(&kernels[..count], 1, || self.wait()));
            row(&format!("a {name} dispatch"), us(many.saturating_sub(few) / 240), "us");
        }
        let began = Instant::now();
        (0..21).for_each(|_| drop(self.commands(&vec![&kernels[0]; 256], 1)));
        row("recording a dispatch", us(began.elapsed() / (21 * 256)), "us");
    }

    /// Measures multiply-adds on 16 independent sums a thread, all in registers.
    fn arithmetic(&self, short: bool) {
        let half = self.device.features().contains(wgpu::Features::SHADER_F16);
        let types = [
            ("f32", 1, false),
            ("vec4<f32>", 4, false),
            ("f16", 1, true),
            ("vec2<f16>", 2, true),
            ("vec4<f16>", 4, true),
        ];
        let (groups, steps) = if short { (64, 64) } else { (16384, 1024) };
        let out = self.buffer(16);
        for (name, lanes, needs_half) in types.into_iter().filter(|(_, _, needs)| half || !needs) {
            let sums: String = (0..16).map(|i| format!("var s{i} = {name}(x * {i});\n")).collect();
            let adds: String = (0..16).map(|i| format!("s{i} = fma(s{i}, k, k);\n")).collect();
            let total = (0..16).map(|i| format!("s{i}")).collect::<Vec<_>>().join(" + ");
            let scalar = if needs_half { "f16" } else { "f32" };
            let (enable, sum) =
                (if needs_half { "enable f16;" } else { "" }, if lanes > 1 { "dot(t, t)" } else { "t" });
            let wgsl = format!(
                "{enable}
                @group(0) @binding(0) var<storage, read_write> out: array<f32>;
                @compute @workgroup_size(256) fn main(@builtin(global_invocation_id) id: vec3<u32>) {{
                    let x = {scalar}(id.x % 7u);
                    let k = {name}(x * 0.01);
                    {sums}
                    for (var i = 0u; i < {steps}u; i++) {{ {adds} }}
                    let t = {total};
                    if (f32({sum}) == 123.0) {{ out[0] = 1.0; }}
                }}"
            );
            let kernel = self.kernel(&wgsl, &[&out]);
            let time = self.time(&[&kernel], groups, || self.wait());
            let flops = 2.0 * 16.0 * f64::from(lanes * steps) * 256.0 * f64::from(groups);
            row(&format!("multiply-adds of {name}"), format!("{:.1}", flops / time.as_secs_f64() / 1e9), "GFLOP/s");
        }
    }

    /// Measures bytes read from an array that a cache may hold, and from one that no cache can hold.
    fn memory(&self, short: bool) {
        let limit = self.device.limits().max_storage_buffer_binding_size.min(self.device.limits().max_buffer_size);
        let wgsl = "@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>;
            @group(0) @binding(1) var<storage, read_write> out: array<vec4<f32>>;
            @compute @workgroup_size(256) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
                var sum = vec4<f32>(0.0);
                let n = arrayLength(&a);
                for (var i = id.x; i < n; i += 256u * 2048u) { sum += a[i]; }
                if (sum.x == 123.0) { out[0] = sum; }
            }";
        for mib in if short { [16, 64] } else { [16, 1024] } {
            let bytes = (mib << 20_u64).min(limit);
            let (from, out) = (self.buffer(bytes), self.buffer(16));
            let time = self.time(&[&self.kernel(wgsl, &[&from, &out])], 2048, || self.wait());
            let name = format!("reading {} MiB", bytes >> 20);
            row(&name, format!("{:.1}", bytes as f64 / time.as_secs_f64() / 1e9), "GB/s");
        }
    }
}

/// Measures a large matrix product, and the most expensive convolutions of ResNet-50, with every kernel that serves them.
fn products(wanted: &str, short: bool) {
    let device = pollster::block_on(residua::executor::gpu::Device::open(wanted, residua::Threads::host()))
        .unwrap_or_else(|error| panic!("{error}"));
    let device = Arc::new(device);
    let case = |in_channels, out_channels, kernel, side, images, stored| {
        let params = Conv2dParams { kernel, padding: kernel / 2, ..Conv2dParams::pointwise(in_channels, out_channels) };
        let [x, y] = [in_channels, out_channels].map(|c| View::whole(Shape::new(images, c, side, side)));
        let (residual, activation) = (Residual::None, Activation::None);
        let problem = Problem::Conv2d(Conv2d { params, x, y, prologue: false, residual, activation });
        Case { problem, stored }
    };
    let resnet50 = [(64, 64, 3, 56), (128, 128, 3, 28), (256, 256, 3, 14), (512, 512, 3, 7), (256, 1024, 1, 14)];
    let mut precisions = vec![StorageType::F32];
    precisions.extend(device.caps().f16.then_some(StorageType::F16));
    for stored in precisions {
        let (channels, side) = if short { (256, 16) } else { (4096, 64) };
        let mut cases = vec![case(channels, channels, 1, side, 1, stored)];
        for images in if short { &[1][..] } else { &[1, 8, 64] } {
            cases.extend(resnet50.map(|(from, to, kernel, side)| case(from, to, kernel, side, *images, stored)));
        }
        for case in cases {
            for kernel in Candidates::of(&case, &Options::new(stored), device.caps()).kernels {
                product(&device, &case, kernel);
            }
        }
    }
}

/// Operations per second of direct convolution, by the device's clock; Winograd's convolution does fewer.
fn product(device: &Arc<residua::executor::gpu::Device>, case: &Case, kernel: KernelId) {
    let measured = SingleLayer::new(case).and_then(|alone| {
        let options = Options { forced: Some(kernel), ..Options::new(case.stored) };
        let executor = Executor::new(device.clone(), alone.network, options);
        let stopwatch = pollster::block_on(executor.stopwatch(alone.input.shape, &alone.values))?;
        pollster::block_on(stopwatch.run(&alone.input))?;
        let mut times = Vec::new();
        for _ in 0..7 {
            let all = pollster::block_on(stopwatch.times(device.clock()))?;
            let steps = stopwatch.plan().steps.iter().zip(all);
            times.push(steps.filter(|(step, _)| step.name == "layer").map(|(_, time)| time).sum::<Duration>());
        }
        times.sort_unstable();
        Ok(times[3])
    });
    let (y, terms, stored) = (case.problem.output().shape, case.problem.terms(), case.stored);
    let name = format!("{y} of {terms} terms, {stored}, {kernel}");
    match measured {
        Ok(time) => {
            let flops = 2.0 * (y.elements() * terms) as f64 / time.as_secs_f64().max(1e-9);
            row(&name, format!("{:.1}", flops / 1e9), "GFLOP/s");
        }
        Err(error) => eprintln!("{name}: {error}"),
    }
}
