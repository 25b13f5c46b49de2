//! Every kernel with every key that is ever chosen, without a GPU: naga accepts it and makes SPIR-V of it, and its bindings and uniform block are
//! those that the Rust side declares.

use naga::{
    AddressSpace, Module, StorageAccess, TypeInner,
    back::{pipeline_constants::process_overrides, spv},
    front::wgsl,
    valid::{Capabilities, ValidationFlags, Validator},
};
use residua::{
    checkpoint::Synthetic,
    graph::{self, Conv2dParams, PoolParams},
    kernels::{
        Activation, Binding, Caps, KernelKey, Precision, ShaderId, View, activation, block,
        conv2d::{Conv2d, Residual, Variant},
        elementwise::{self, ElementwiseDims, Flags},
        linear, pixels, pool,
    },
    models::Architecture,
    plan::{Network, Options},
    tensor::Shape,
};

fn caps(software: bool) -> Caps {
    Caps {
        device: "none".into(),
        software,
        f16: true,
        subgroup: Some(8),
        cooperative: true,
        workgroup_bytes: 1 << 15,
        max_binding_bytes: 1 << 27,
        max_workgroups: 65535,
    }
}

/// One key of every kind that `plan::select` can make.
fn keys() -> Vec<KernelKey> {
    let mut keys = Vec::new();
    let view = View::whole(Shape::new(1, 64, 8, 8));
    let conv2d = |groups, residual, prologue| {
        let params =
            Conv2dParams { in_channels: 64, out_channels: 64, kernel: 3, stride: 1, padding: 1, dilation: 1, groups };
        Conv2d { params, x: view, y: view, prologue, residual, activation: Activation::Relu }
    };
    for stored in [Precision::F32, Precision::F16] {
        for (variant, groups) in Variant::all(&caps(false)).into_iter().flat_map(|v| [1, 2, 4, 8, 16].map(|g| (v, g))) {
            for residual in [Residual::None, Residual::Same(view), Residual::SubsamplePad { view, step: 2, before: 4 }]
            {
                for conv in [false, true].map(|prologue| conv2d(groups, residual, prologue)) {
                    let dispatches = |output| conv.dispatches(variant, stored, output).into_iter();
                    if conv.admits(variant, stored) {
                        keys.extend([stored, Precision::F32].into_iter().flat_map(dispatches).map(|step| step.key));
                    }
                }
            }
        }
        for variant in Variant::all(&caps(false)).into_iter().filter(|variant| variant.is_block()) {
            for channels in [16, 32, 64] {
                let x = View::whole(Shape::new(1, channels, 512 / channels, 512 / channels));
                let params = Conv2dParams {
                    in_channels: channels,
                    out_channels: channels,
                    ..conv2d(1, Residual::None, false).params
                };
                let conv = Conv2d { params, x, y: x, ..conv2d(1, Residual::Same(x), false) };
                let dispatch = |output| block::dispatch(&conv, variant, stored, output, &caps(false));
                keys.extend([stored, Precision::F32].into_iter().filter_map(dispatch).map(|step| step.key));
            }
        }
        for (max, prologue) in [(true, false), (true, true), (false, false), (false, true)] {
            let params = PoolParams { kernel: 3, stride: 2, padding: 1, ceil: false };
            keys.push(pool::window(stored, stored, pool::Window { max, params, prologue }, view, view).0);
        }
        keys.push(pool::global(stored, stored, view, view).0);
        keys.extend([true, false].map(|mean| pool::global_max(stored, stored, mean, view, view).0));
        for name in ["relu6", "leaky_relu", "silu", "mish", "gelu", "gelu_tanh", "quick_gelu", "tanh", "hard_sigmoid"]
            .into_iter()
            .chain(["hard_swish", "hard_mish", "elu", "celu", "selu", "relu", "sigmoid", "identity"])
        {
            let function = graph::Activation::parse(name).unwrap();
            keys.push(activation::kernel(stored, stored, function, view, view).0);
        }
        keys.push(pixels::normalise(stored, View::whole(Shape::new(1, 3, 8, 8))).0);
        for output in [stored, Precision::F32] {
            keys.extend([true, false].map(|software| linear::gemv(stored, output, &caps(software), view, view).0));
        }
        let activations = [Activation::None, Activation::Relu, Activation::Sigmoid];
        for (bits, activation) in activations.into_iter().flat_map(|activation| (0..16).map(move |b| (b, activation))) {
            let [source, affine, gate, residual] = [1, 2, 4, 8].map(|bit| bits & bit > 0);
            let flags = Flags { source, affine, gate, residual, activation };
            let dims: ElementwiseDims = bytemuck::Zeroable::zeroed();
            keys.push(
                elementwise::kernel(stored, stored, flags, &ElementwiseDims { pixels: 1, out_channels: 4, ..dims }).0,
            );
        }
    }
    keys
}

fn parse(key: &KernelKey) -> Module {
    wgsl::parse_str(&key.wgsl()).unwrap_or_else(|error| panic!("{key}: {}", error.emit_to_string(&key.wgsl())))
}

/// The problem that naga has with `module` compiled under `key`, if any.
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
    for key in keys() {
        if let Some(problem) = problem(&key, &parse(&key)) {
            panic!("{key}: {problem}");
        }
    }
}

#[test]
fn bindings_and_uniform_sizes_equal_the_rust_side() {
    for key in keys() {
        assert_eq!(reflected(&parse(&key)), key.shader.shader().bindings, "{key}");
    }
}

#[test]
fn every_shader_has_a_key_and_a_file_of_its_name() {
    let keys = keys();
    for id in ShaderId::ALL {
        assert!(keys.iter().any(|key| key.shader == id), "{id:?} is never chosen");
        let path = format!("{}/shaders/{}.wgsl", env!("CARGO_MANIFEST_DIR"), id.shader().name);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(text.starts_with("// "), "{path} opens with its purpose");
        assert!(keys.iter().any(|key| key.shader == id && key.wgsl().ends_with(&text)), "{id:?} is another file");
    }
}

#[test]
fn a_wrong_override_type_or_binding_is_noticed() {
    let view = View::whole(Shape::new(1, 8, 2, 2));
    let key = pool::global(Precision::F32, Precision::F32, view, view).0;
    let unknown = KernelKey { overrides: vec![("NO_SUCH", 1)], ..key.clone() };
    assert!(problem(&unknown, &parse(&unknown)).is_some());
    let broken = key.wgsl().replace("vec4<f32>(x[", "vec3<f32>(x[");
    assert!(wgsl::parse_str(&broken).is_err());
    let moved = key.wgsl().replace("pad1: u32", "pad1: u32, more: vec4<u32>");
    assert_ne!(reflected(&wgsl::parse_str(&moved).unwrap()), key.shader.shader().bindings);
}

/// On hardware each dense convolution of at least 16 million multiply-adds an image has workgroups for most of the processors of a
/// large GPU, at any batch; and a batch of eight takes Winograd's form where it can.
#[test]
fn hardware_is_kept_busy() {
    let graph = Architecture::by_name("resnet50").unwrap().graph();
    let weights = Synthetic { salt: "plan".into(), damped: None, damp: 1.0 };
    let network = Network::new(graph.clone(), weights.checkpoint("resnet50", &graph.tensors()).unwrap());
    for (batch, winograd) in [(1, 0), (8, 13), (64, 13)] {
        let input = Shape::new(batch, 3, 224, 224);
        let caps = Caps { max_binding_bytes: (1 << 31) - 1, ..caps(false) };
        let plan = network.plan(input, &[graph.output()], &Options::new(Precision::F32), &caps).unwrap();
        for step in plan.steps.iter().filter(|step| step.macs >= 16_000_000 * batch as u64) {
            let workgroups: u32 = step.grid.iter().product();
            assert!(workgroups >= 96, "batch {batch}: {}: {:?}", step.name, step.grid);
        }
        let transforms = plan.steps.iter().filter(|step| step.kernel.shader == ShaderId::Conv2dWinogradTiledInput);
        assert_eq!(transforms.count(), winograd, "batch {batch}");
    }
}
