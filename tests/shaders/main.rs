//! Every kernel with every key that is ever chosen, without a GPU: naga accepts it and makes SPIR-V of it, and its bindings and uniform block are
//! those that the Rust side declares.

#[path = "../compiled/spirv.rs"]
mod spirv;
mod translated;

use std::collections::HashSet;

use naga::{
    AddressSpace, Module, StorageAccess, TypeInner,
    back::{pipeline_constants::process_overrides, spv},
    front::wgsl,
    valid::{Capabilities, ValidationFlags, Validator},
};
use residua::{
    checkpoint::Synthetic,
    executor::gpu::{
        kernels::{
            Applied, Binding, Caps, Elementwise, KernelId, KernelKey, Pool2d, Problem, Residual, Types, View,
            candidates, conv2d::Conv2d, global_avg_pool, shaders, tiled, winograd_tiled,
        },
        plan::{Options, Plan},
    },
    graph::{self, Conv2dParams, Plain, PoolParams},
    models::Architecture,
    network::{Activation, Gate, Network},
    tensor::{Shape, StorageType},
};

fn caps(software: bool) -> Caps {
    let (subgroup, registers, workgroup_bytes) = (Some(8), 96, 1 << 15);
    Caps { software, f16: true, subgroup, cooperative: true, registers, workgroup_bytes, ..Caps::least() }
}

/// Layers of every kind, with every epilogue and prologue.
fn problems() -> Vec<Problem> {
    let view = View::whole(Shape::new(1, 64, 8, 8));
    let (residual, activation) = (Residual::None, Activation::Relu);
    let params = |channels, groups| Conv2dParams {
        kernel: 3,
        padding: 1,
        groups,
        ..Conv2dParams::pointwise(channels, channels)
    };
    let residuals = [Residual::None, Residual::Same(view), Residual::SubsamplePad { view, step: 2, before: 4 }];
    let mut problems = Vec::new();
    for (residual, groups) in residuals.into_iter().flat_map(|r| [1, 2, 4, 8, 16].map(|groups| (r, groups))) {
        let conv = |prologue| Conv2d { params: params(64, groups), x: view, y: view, prologue, residual, activation };
        problems.extend([false, true].map(|prologue| Problem::Conv2d(conv(prologue))));
    }
    for channels in [16, 32, 64] {
        let x = View::whole(Shape::new(1, channels, 512 / channels, 512 / channels));
        let (params, residual) = (params(channels, 1), Residual::Same(x));
        problems.push(Problem::Block(Conv2d { params, x, y: x, prologue: false, residual, activation }));
    }
    let [features, classes] = [64, 20].map(|c| View::whole(Shape::new(9, c, 1, 1)));
    let plain = |op, x, y| Problem::Plain(Applied { op, x, y });
    problems.push(plain(Plain::Linear { in_features: 64, out_features: 20 }, features, classes));
    let params = PoolParams { kernel: 3, stride: 2, padding: 1, ceil: false };
    for (max, prologue) in [(true, false), (true, true), (false, false), (false, true)] {
        problems.push(Problem::Pool2d(Pool2d { max, params, prologue, x: view, y: view }));
    }
    let pooled = View::whole(Shape::new(1, 64, 1, 1));
    let gates = View::whole(Shape::new(3, 23, 1, 1));
    problems.push(plain(Plain::ChannelGate { kernel: 5 }, gates, gates));
    problems.push(plain(Plain::Softmax { outer: 1, groups: 23 }, gates, gates));
    let (channels, groups, eps) = (64, 32, 1e-5);
    problems.push(plain(Plain::GroupNorm { channels, groups, eps }, view, view));
    problems.push(plain(Plain::EvoNorm { channels, groups, eps }, view, view));
    problems.push(plain(Plain::FilterResponseNorm { channels, eps }, view, view));
    problems.push(plain(Plain::Attend { heads: 2, keys: 2, scale: 0.5 }, view, View::whole(Shape::new(1, 62, 1, 1))));
    let tokens = View::whole(Shape::new(1, 64, 1, 65));
    problems.push(plain(Plain::Tokens { channels: 64, side: 8 }, view, tokens));
    let part = View::whole(Shape::new(1, 7, 8, 8));
    problems.push(plain(Plain::Slice { from: 5, channels: 7 }, view, part));
    let global = [Plain::GlobalAvgPool, Plain::GlobalMaxPool, Plain::GlobalAvgMaxPool];
    problems.extend(global.map(|op| plain(op, view, pooled)));
    for name in ["relu6", "leaky_relu", "silu", "mish", "gelu", "gelu_tanh", "quick_gelu", "tanh", "hard_sigmoid"]
        .into_iter()
        .chain(["hard_swish", "hard_mish", "elu", "celu", "selu", "relu", "sigmoid", "identity"])
    {
        let function = graph::Activation::parse(name).unwrap();
        problems.push(plain(Plain::Activation(function), view, view));
    }
    let activations = [Activation::None, Activation::Relu, Activation::Sigmoid];
    for (bits, activation) in activations.into_iter().flat_map(|activation| (0..16).map(move |b| (b, activation))) {
        let [source, affine, gate, adds] = [1, 2, 4, 8].map(|bit| bits & bit > 0);
        let kind = if adds { Gate::Shift } else { Gate::Scale };
        let (x, gate) = (source.then_some(view), gate.then_some((kind, view)));
        let residual = if adds { Residual::Same(view) } else { residual };
        problems.push(Problem::Elementwise(Elementwise {
            x,
            affine,
            gate,
            residual,
            activation,
            y: view,
            channels: [0, 64],
        }));
    }
    problems.push(Problem::Pixels(View::whole(Shape::new(1, 3, 8, 8))));
    problems
}

/// Registers for the sums of a matrix product, and whether a thread has them anyway, on GPUs of every kind.
const REGISTERS: [(u32, bool); 4] = [(96, false), (48, false), (48, true), (32, false)];

/// One key of every kind that kernels make for these problems, with the kernel.
fn keys() -> Vec<(KernelId, KernelKey)> {
    let problems = problems();
    let types = [StorageType::F32, StorageType::F16].into_iter();
    let types: Vec<Types> =
        types.flat_map(|stored| [stored, StorageType::F32].map(|output| Types { stored, output })).collect();
    let mut keys = HashSet::new();
    for caps in REGISTERS.map(|(registers, fixed_registers)| Caps { registers, fixed_registers, ..caps(false) }) {
        for kernel in candidates(&caps) {
            let cases = problems.iter().flat_map(|problem| types.iter().map(move |types| (problem, *types)));
            for work in cases.filter_map(|(problem, types)| kernel.work(problem, types, &caps)) {
                keys.extend(work.dispatches.into_iter().map(|dispatch| (kernel, dispatch.key)));
            }
        }
    }
    keys.into_iter().collect()
}

#[test]
fn every_kernel_serves_something() {
    let (keys, caps) = (keys(), caps(false));
    for kernel in candidates(&caps) {
        assert!(keys.iter().any(|(other, _)| *other == kernel), "{kernel} computes nothing");
    }
}

fn parse(key: &KernelKey) -> Module {
    wgsl::parse_str(&key.wgsl()).unwrap_or_else(|error| panic!("{key}: {}", error.emit_to_string(&key.wgsl())))
}

/// The error that naga finds in `module` compiled under `key`, if any.
fn problem(key: &KernelKey, module: &Module) -> Option<String> {
    let validate = |module: &Module| {
        Validator::new(ValidationFlags::all(), Capabilities::all())
            .validate(module)
            .map_err(|error| format!("{error:?}"))
    };
    let info = match validate(module) {
        Ok(info) => info,
        Err(error) => return Some(error),
    };
    let known = |name: &str| module.overrides.iter().any(|(_, o)| o.name.as_deref() == Some(name));
    if let Some((name, _)) = key.overrides.iter().find(|(name, _)| !known(name)) {
        return Some(format!("no override named {name}"));
    }
    let constants = key.overrides.iter().map(|(name, value)| (name.to_string(), f64::from(*value))).collect();
    let entry = Some((naga::ShaderStage::Compute, "main"));
    match process_overrides(module, &info, entry, &constants) {
        Ok((module, _)) => match validate(&module) {
            Ok(info) => spv::write_vec(&module, &info, &spv::Options::default(), None).err().map(|e| format!("{e:?}")),
            Err(error) => Some(error),
        },
        Err(error) => Some(format!("{error:?}")),
    }
}

/// Bindings as the WGSL declares them, sorted by number.
fn reflected(module: &Module) -> Vec<Binding> {
    let mut bindings: Vec<(u32, Binding)> = module
        .global_variables
        .iter()
        .filter_map(|(_, variable)| {
            let binding = variable.binding?;
            assert_eq!(binding.group, 0);
            let kind = match variable.space {
                AddressSpace::Uniform => match module.types[variable.ty].inner {
                    TypeInner::Struct { span, .. } => Binding::Uniform(span.into()),
                    ref other => panic!("uniform of type {other:?}"),
                },
                AddressSpace::Storage { access } if access.contains(StorageAccess::STORE) => Binding::Write,
                AddressSpace::Storage { .. } => Binding::Read,
                other => panic!("binding in {other:?}"),
            };
            Some((binding.binding, kind))
        })
        .collect();
    bindings.sort_by_key(|(number, _)| *number);
    bindings
        .into_iter()
        .enumerate()
        .map(|(i, (number, kind))| {
            assert_eq!(i as u32, number, "bindings are numbered without gaps");
            kind
        })
        .collect()
}

#[test]
fn every_kernel_and_key_is_valid() {
    for (_, key) in keys() {
        if let Some(problem) = problem(&key, &parse(&key)) {
            panic!("{key}: {problem}");
        }
    }
}

#[test]
fn bindings_and_uniform_sizes_equal_the_rust_side() {
    for (_, key) in keys() {
        assert_eq!(reflected(&parse(&key)), key.shader.bindings, "{key}");
    }
}

#[test]
fn every_shader_has_a_key_and_a_file_of_its_name() {
    let keys = keys();
    for shader in shaders() {
        let name = shader.name;
        let path = format!("{}/shaders/{name}.wgsl", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(text.starts_with("// "), "{path} opens with its purpose");
        let mut own = keys.iter().filter(|(_, key)| key.shader == shader).peekable();
        assert!(own.peek().is_some(), "{name} is never used");
        assert!(own.all(|(_, key)| key.wgsl().ends_with(&text)), "{name} is another file");
    }
}

#[test]
fn a_wrong_override_type_or_binding_is_noticed() {
    let view = View::whole(Shape::new(1, 8, 2, 2));
    let pooling = Problem::Plain(Applied { op: Plain::GlobalAvgPool, x: view, y: view });
    let work = global_avg_pool::ID.work(&pooling, Types::F32, &caps(false)).unwrap();
    let key = work.dispatches[0].key.clone();
    let unknown = KernelKey { overrides: vec![("NO_SUCH", 1)], ..key.clone() };
    assert!(problem(&unknown, &parse(&unknown)).is_some());
    let broken = key.wgsl().replace("vec4<f32>(x[", "vec3<f32>(x[");
    assert!(wgsl::parse_str(&broken).is_err());
    let moved = key.wgsl().replace("pad1: u32", "pad1: u32, more: vec4<u32>");
    assert_ne!(reflected(&wgsl::parse_str(&moved).unwrap()), key.shader.bindings);
}

/// On hardware each dense convolution of at least 16 million multiply-adds an image has workgroups for most of the processors of a large
/// GPU, at any batch; and a batch of eight takes Winograd's form where it can. The sums of a thread stay in its registers.
#[test]
fn hardware_is_kept_busy() {
    let graph = Architecture::by_name("resnet50").unwrap().graph();
    let weights = Synthetic { salt: "plan".into(), damped: None, damp: 1.0 };
    let network = Network::new(graph.clone(), weights.checkpoint("resnet50", &graph.tensors()).unwrap());
    let cases = [(1, 0), (8, 13), (64, 13)].into_iter();
    for ((batch, winograd), (registers, fixed)) in cases.flat_map(|case| REGISTERS.map(|registers| (case, registers))) {
        let input = Shape::new(batch, 3, 224, 224);
        let caps = Caps { max_binding_bytes: (1 << 31) - 1, registers, fixed_registers: fixed, ..caps(false) };
        let plan = Plan::new(&network, input, &[graph.output()], &Options::new(StorageType::F32), &caps).unwrap();
        for step in plan.steps.iter().filter(|step| step.macs >= 16_000_000 * batch as u64) {
            let workgroups: u32 = step.grid.iter().product();
            assert!(workgroups >= 96, "batch {batch}: {}: {:?}", step.name, step.grid);
        }
        for step in plan.steps.iter().filter(|step| *step.key.shader == tiled::SHADER) {
            let [rows, columns] = ["ROWS", "COLUMNS"]
                .map(|name| step.key.consts.iter().find(|(other, _)| *other == name).map(|(_, value)| *value).unwrap());
            assert!(4 * rows * columns + 16 * columns <= registers, "{}: {}", step.name, step.key);
        }
        let transforms = plan.steps.iter().filter(|step| *step.key.shader == winograd_tiled::INPUT);
        assert_eq!(transforms.count(), winograd, "batch {batch}");
    }
}
