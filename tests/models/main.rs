//! Architectures: their counts, how they are recognised, and which are refused.

mod common;

use std::{collections::BTreeMap, fs};

use residua::{
    Error,
    checkpoint::{ModelConfig, Synthetic},
    graph::{Op, Padding, Plain, ValueId},
    models::{Architecture, Shapes, check_declared},
};

/// Networks that together have nearly every feature that is read off tensors.
const EVERY_FEATURE: [&str; 12] = [
    "resnet18",
    "resnet50",
    "resnext50_32x4d",
    "cifar_resnet20a",
    "cifar_resnet20b",
    "cifar_densenet_bc_100_12",
    "seresnext26t_32x4d",
    "ecaresnet26t",
    "legacy_seresnet18",
    "regnety_002",
    "regnetz_005",
    "regnetv_040",
];

fn shapes(name: &str) -> Shapes {
    Architecture::by_name(name).unwrap().graph().tensors().into_iter().collect()
}

fn detect(shapes: &Shapes) -> residua::Result<Architecture> {
    Architecture::detect("test", shapes)
}

fn unknown(shapes: &Shapes) -> String {
    match detect(shapes) {
        Err(Error::UnknownArchitecture { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_named_network_is_recognised_by_its_own_tensors() {
    for name in Architecture::names() {
        let architecture = Architecture::by_name(&name).unwrap();
        assert_eq!(architecture.name(), name);
        assert_eq!(detect(&shapes(&name)).unwrap(), architecture, "{name}");
    }
    assert_eq!(Architecture::by_name("resnet51"), None);
}

#[test]
fn counts_are_those_of_timm() {
    let path = common::golden_dir().join("timm.json");
    let rows: BTreeMap<String, (u64, usize)> = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    for (name, (parameters, tensors)) in rows {
        let architecture = Architecture::by_name(&name).unwrap();
        assert_eq!((architecture.parameters(), architecture.graph().tensors().len()), (parameters, tensors), "{name}");
    }
}

#[test]
fn counts_are_those_of_the_golden_files() {
    let rows = common::rows();
    for name in Architecture::names() {
        let architecture = Architecture::by_name(&name).unwrap();
        let Some(row) = rows.get(&name) else { continue };
        assert_eq!(Some(architecture.parameters()), row.parameters, "{name}");
        assert_eq!(architecture.graph().tensors().len(), row.tensors, "{name}");
        assert_eq!(architecture.classes().unwrap_or(row.classes), row.classes, "{name}");
        assert_eq!(architecture.default_input().0 == 32, row.input[2] == 32, "{name}");
    }
}

/// Transformers' BiT is timm's, with what pads its windows in the configuration.
#[test]
fn bit_in_the_spelling_of_transformers() {
    let timm = Architecture::by_name("resnetv2_50x1_bit").unwrap();
    let spelled = |(name, shape): (String, Vec<usize>)| {
        let name = match name.strip_prefix("fc.") {
            Some(part) => format!("classifier.1.{part}"),
            None => format!("bit.{}", name.replace("stem.conv", "embedder.convolution").replace("blocks", "layers"))
                .replace("bit.stages", "bit.encoder.stages"),
        };
        (name, shape)
    };
    let tensors: Vec<(String, Vec<usize>)> = timm.graph().tensors().into_iter().map(spelled).collect();
    let weights = Synthetic { salt: "bit".into(), damped: None, damp: 1.0 };
    let checkpoint = weights.checkpoint("bit", &tensors).unwrap();
    let architecture = Architecture::detect("bit", checkpoint.shapes()).unwrap();
    assert_eq!(architecture, timm);
    let config =
        r#"{"model_type": "bit", "global_padding": "SAME", "embedding_dynamic_padding": true, "num_groups": 16}"#;
    let config = ModelConfig::from_json("config.json", config, None).unwrap();
    let same = architecture.clone().with_structure(&config.structure).unwrap();
    let graph = same.graph();
    let node = |name: &str| &graph.nodes().iter().find(|node| node.name == name).unwrap_or_else(|| panic!("{name}")).op;
    assert_eq!(*node("stem.pool.pad"), Plain::Pad(Padding::Same { kernel: 3, stride: 2 }).into());
    assert_eq!(*node("stages.1.blocks.0.conv2.pad"), Plain::Pad(Padding::Same { kernel: 3, stride: 2 }).into());
    let norm = Plain::GroupNorm { channels: 64, groups: 16, eps: 1e-5 };
    assert_eq!(*node("stages.0.blocks.0.norm1"), norm.named("stages.0.blocks.0.norm1"));
    let plain = architecture.with_structure(&"standardised-weights=no".parse().unwrap()).unwrap();
    assert!(plain.graph().rewrites().is_empty() && graph.rewrites().len() == 53);
    let refused = ModelConfig::from_json("config.json", r#"{"model_type": "bit", "global_padding": "VALID"}"#, None);
    assert_eq!(refused.unwrap_err().code(), "config.value");
}

/// A family whose members are all published is told by the nearest.
#[test]
fn kin_that_differ_from_all_members_are_refused_with_what_differs() {
    let mut dla = shapes("dla34");
    dla.remove("level3.tree1.root.conv.weight");
    assert!(
        matches!(detect(&dla), Err(Error::MissingTensor { names, .. }) if names == "level3.tree1.root.conv.weight")
    );
    let mut hrnet = shapes("hrnet_w18_small");
    hrnet.insert("stage4.0.fuse_layers.3.3.0.weight".into(), vec![128, 128, 1, 1]);
    assert!(matches!(detect(&hrnet), Err(Error::UnexpectedTensor { count: 1, .. })));
    let mut nest = shapes("resnest50d");
    nest.insert("layer2.0.conv2.fc1.weight".into(), vec![64, 64, 1, 1]);
    assert!(matches!(detect(&nest), Err(Error::TensorShape { tensor, .. }) if tensor == "layer2.0.conv2.fc1.weight"));
    for part in ["tau", "v"] {
        let mut evonorm = shapes("resnetv2_50d");
        evonorm.insert(format!("stages.0.blocks.0.norm1.{part}"), vec![64]);
        assert!(unknown(&evonorm).contains("evonorm or filter response normalisation"));
    }
    let mut gates = shapes("resnext26ts");
    gates.insert("stages.0.0.attn.conv1.conv.weight".into(), vec![64, 64, 1, 1]);
    assert!(detect(&gates).is_err(), "another gate");
}

/// The head of a network with the name of its family's, and as a 1x1 convolution.
#[test]
fn kin_of_other_classes_channels_and_heads() {
    let tensors = |name: &str, inputs: usize, classes: usize| {
        let mut tensors = shapes(name);
        let head = ["weight", "bias"].map(|part| tensors.remove(&format!("fc.{part}")).unwrap());
        tensors.insert("head.fc.weight".into(), vec![classes, head[0][1], 1, 1]);
        tensors.insert("head.fc.bias".into(), vec![classes]);
        tensors
            .iter_mut()
            .filter(|(name, shape)| name.contains("stem.conv") && shape.len() == 4)
            .take(1)
            .for_each(|(_, shape)| shape[1] = inputs);
        tensors.into_iter().map(|(name, shape)| (format!("model.{name}"), shape)).collect::<Vec<_>>()
    };
    let weights = Synthetic { salt: "kin".into(), damped: None, damp: 1.0 };
    for name in ["resnetv2_18", "cspresnet50", "resnet32ts"] {
        let checkpoint = weights.checkpoint(name, &tensors(name, 1, 7)).unwrap();
        let architecture = Architecture::detect(name, checkpoint.shapes()).unwrap();
        assert_eq!((architecture.name(), architecture.classes()), (name.into(), Some(7)));
        assert_eq!(architecture.graph().channels(), 1, "{name}");
    }
}

/// Table 2 of the paper says 0.8 million.
#[test]
fn the_densenet_for_cifar() {
    let architecture = Architecture::by_name("cifar_densenet_bc_100_12").unwrap();
    assert_eq!((architecture.parameters(), architecture.classes()), (769_162, Some(10)));
    assert_eq!(architecture.default_input(), (32, 32));
}

#[test]
fn multiply_accumulates_of_the_published_networks() {
    let giga = |name: &str| {
        let architecture = Architecture::by_name(name).unwrap();
        let (h, w) = architecture.default_input();
        (architecture.macs(h, w).unwrap() as f64 / 1e6).round() / 1e3
    };
    assert_eq!([giga("resnet18"), giga("resnet50"), giga("resnext50_32x4d")], [1.814, 4.089, 4.23]);
    assert_eq!(giga("densenet121"), 2.834);
    assert!(Architecture::by_name("resnet50").unwrap().macs(224, 0).is_err());
}

#[test]
fn listings_of_the_hub_are_recognised() {
    let repositories = [
        ("timm--resnet18.a1_in1k", "resnet18"),
        ("timm--resnet50.a1_in1k", "resnet50"),
        ("timm--resnet50.tv_in1k", "resnet50"),
        ("timm--resnext50_32x4d.a1h_in1k", "resnext50_32x4d"),
        ("timm--wide_resnet50_2.tv2_in1k", "wide_resnet50_2"),
        ("timm--densenet121.ra_in1k", "densenet121"),
    ];
    for (repository, name) in repositories {
        let mut tensors = common::hub_tensors(repository);
        tensors.retain(|(name, _)| !name.ends_with("num_batches_tracked"));
        let architecture = detect(&tensors.into_iter().collect()).unwrap();
        assert_eq!((architecture.name().as_str(), architecture.classes()), (name, Some(1000)), "{repository}");
    }
}

#[test]
fn any_number_of_classes_and_none() {
    let mut resnet = shapes("resnet18");
    resnet.insert("fc.weight".into(), vec![21841, 512]);
    resnet.insert("fc.bias".into(), vec![21841]);
    let architecture = detect(&resnet).unwrap();
    assert_eq!((architecture.classes(), architecture.name().as_str()), (Some(21841), "resnet18"));
    assert_eq!(Architecture::by_name("resnet18").unwrap().with_classes(21841), architecture);

    resnet.remove("fc.weight");
    resnet.remove("fc.bias");
    let headless = detect(&resnet).unwrap();
    assert_eq!((headless.classes(), headless.name().as_str()), (None, "resnet18"));
    let graph = headless.graph();
    assert_eq!(graph.nodes()[graph.output().0].name, "avgpool");
}

#[test]
fn other_depths_and_widths_are_described() {
    let mut small = shapes("cifar_resnet20b");
    small.retain(|name, _| !name.starts_with("layer3.2."));
    assert_eq!(detect(&small).unwrap().name(), "cifar_resnet [3,3,2] basic width 16");

    let mut narrow = shapes("resnet50");
    for (name, shape) in &mut narrow {
        let inner =
            name.contains(".conv1.") || name.contains(".conv2.") || name.contains(".bn1.") || name.contains(".bn2.");
        if name.starts_with("layer") && inner {
            shape[0] -= shape[0] / 4;
        }
        if name.starts_with("layer") && (name.contains(".conv2.") || name.contains(".conv3.")) {
            shape[1] -= shape[1] / 4;
        }
    }
    assert_eq!(detect(&narrow).unwrap().name(), "resnet [3,4,6,3] bottleneck width 48");

    let mut short = shapes("densenet121");
    short.retain(|name, _| !["16.", "15."].iter().any(|l| name.contains(&format!("block4.denselayer{l}"))));
    for (name, shape) in &mut short {
        if name.starts_with("features.norm5.") || name == "classifier.weight" {
            *shape.last_mut().unwrap() -= 64;
        }
    }
    assert_eq!(detect(&short).unwrap().name(), "densenet [6,12,24,14] growth 32 bottleneck 128");
}

/// DenseNet in all its forms: without bottlenecks, without a head, with another name for its last norm.
#[test]
fn densenets_of_other_forms() {
    let bottlenecks = shapes("cifar_densenet_bc_100_12");
    let mut plain = Shapes::new();
    for (name, shape) in &bottlenecks {
        match name.as_str() {
            n if n.contains("denselayer") && (n.contains(".norm2.") || n.contains(".conv2.")) => {}
            n if n.contains("denselayer") && n.contains(".conv1.") => {
                plain.insert(name.clone(), vec![12, shape[1], 3, 3]);
            }
            n if n.contains("norm4") => {
                plain.insert(name.replace("norm4", "norm_final"), shape.clone());
            }
            n if n.starts_with("classifier") => {}
            _ => {
                plain.insert(name.clone(), shape.clone());
            }
        }
    }
    let architecture = detect(&plain).unwrap();
    assert_eq!(architecture.name(), "cifar_densenet [16,16,16] growth 12");
    assert_eq!(architecture.classes(), None);
    assert!(architecture.graph().nodes().iter().any(|node| node.name == "features.norm_final"));
}

/// Networks whose tensors are those of others have a name all the same, once it is stated what they compute.
#[test]
fn networks_with_anti_aliasing_have_their_own_names() {
    for (name, plain, kind) in [
        ("resnetaa50d", "resnet50d", "avg"),
        ("resnetblur18", "resnet18", "blur"),
        ("seresnextaa101d_32x8d", "seresnext101d_32x8d", "avg"),
    ] {
        let network = Architecture::by_name(name).unwrap();
        assert_eq!(detect(&shapes(name)).unwrap().name(), plain);
        let stated = format!("anti-aliasing={kind}").parse().unwrap();
        assert_eq!(detect(&shapes(name)).unwrap().with_structure(&stated).unwrap(), network);
        assert_eq!(network.name(), name);
        assert!(!Architecture::names().contains(&name.to_string()));
    }
    let blurred = detect(&shapes("densenetblur121d")).unwrap();
    assert_eq!(blurred.name(), "densenet [6,12,24,16] growth 32 bottleneck 128 deep stem");
    let refused = |name: &str, structure: &str| {
        let stated = structure.parse().unwrap();
        Architecture::by_name(name).unwrap().with_structure(&stated).unwrap_err().to_string()
    };
    assert!(refused("resnetaa50", "stride-in=1x1").contains("anti-aliasing"));
    assert!(refused("resnetaa50", "output-stride=8").contains("anti-aliasing"));
    assert!(refused("resnet18", "anti-aliasing=blur,stem-pool=none").contains("anti-aliasing"));
    assert!(refused("densenet121", "anti-aliasing=avg").contains("none or blur"));
    assert!(refused("regnety_002", "anti-aliasing=avg").contains("anti-aliasing"));
}

/// Each concatenation of a block starts with the one before it, so that a block can lie in one buffer.
#[test]
fn concatenations_extend_one_another() {
    let graph = Architecture::by_name("densenet121").unwrap().graph();
    let concat = |id: &ValueId| graph.nodes()[id.0].op == Op::Concat;
    let all: Vec<_> = graph.nodes().iter().filter(|node| node.op == Op::Concat).collect();
    let extending = all.iter().filter(|node| concat(&node.inputs[0])).count();
    assert_eq!((all.len(), extending), (6 + 12 + 24 + 16, 5 + 11 + 23 + 15));
    assert!(all.iter().all(|node| node.inputs.len() == 2 && !concat(&node.inputs[1])));
}

#[test]
fn the_stride_of_bottlenecks_is_told_and_not_guessed() {
    let resnet = Architecture::by_name("resnet50").unwrap();
    let v1 = resnet.clone().with_structure(&"stride-in=1x1".parse().unwrap()).unwrap();
    assert_eq!(resnet.graph().tensors(), v1.graph().tensors());
    assert_ne!(resnet.graph(), v1.graph());
    assert!(v1.macs(224, 224).unwrap() < resnet.macs(224, 224).unwrap());
    assert_eq!(v1.name(), "resnet50");
}

/// The kernels need not be those that timm builds.
#[test]
fn gates_have_the_kernels_that_the_tensors_show() {
    let mut other = shapes("ecaresnet50d");
    let kernel = |name: &str, shapes: &Shapes| shapes[&format!("{name}.se.conv.weight")][2];
    let of_timm = ["layer1.0", "layer2.3", "layer3.5", "layer4.0"].map(|name| kernel(name, &other));
    assert_eq!(of_timm, [5, 5, 5, 7]);
    other.insert("layer3.5.se.conv.weight".into(), vec![1, 1, 7]);
    let architecture = detect(&other).unwrap();
    assert_eq!(
        architecture.name(),
        "resnet [3,4,6,3] bottleneck width 64 deep stem pooled shortcuts efficient channel attention"
    );
    let graph = architecture.graph();
    let gate = graph.nodes().iter().find(|node| node.name == "layer3.5.se.conv").unwrap();
    assert_eq!(gate.op, Plain::ChannelGate { kernel: 7 }.named("layer3.5.se.conv"));
}

#[test]
fn row_10_missing_tensors_are_listed() {
    let mut one = shapes("resnet50");
    one.remove("layer3.5.bn2.running_var");
    let Err(Error::MissingTensor { architecture, count, names, .. }) = detect(&one) else { panic!() };
    assert_eq!((architecture.as_str(), count, names.as_str()), ("resnet50", 1, "layer3.5.bn2.running_var"));

    let mut stem = shapes("resnetrs50");
    stem.remove("maxpool.0.weight");
    let Err(Error::MissingTensor { names, .. }) = detect(&stem) else { panic!() };
    assert_eq!(names, "maxpool.0.weight");

    let mut many = shapes("resnet50");
    many.retain(|name, _| !name.contains(".downsample.1."));
    let Err(Error::MissingTensor { count, names, .. }) = detect(&many) else { panic!() };
    assert_eq!((count, names.split(", ").count()), (16, 11));
    assert!(names.ends_with(", ..."), "{names}");
}

/// If any tensor is removed, the error names it, and the rest is never taken for another network.
#[test]
fn every_single_missing_tensor_is_noticed() {
    for name in EVERY_FEATURE {
        let all = shapes(name);
        for tensor in all.keys() {
            let mut rest = all.clone();
            rest.remove(tensor);
            match detect(&rest) {
                Err(Error::MissingTensor { names, .. }) => {
                    assert!(names.contains(tensor.as_str()), "{tensor}: {names}")
                }
                Err(Error::UnknownArchitecture { .. }) if tensor == "conv1.weight" => {}
                // A head may have no bias.
                Ok(other)
                    if ["fc.bias", "linear.bias", "classifier.bias", "head.fc.bias"].contains(&tensor.as_str()) =>
                {
                    assert_eq!(other.graph().tensors().len(), rest.len());
                }
                other => panic!("{name} without {tensor}: {other:?}"),
            }
        }
    }
}

/// If any extent of any tensor is changed, the error names that tensor.
#[test]
fn every_single_wrong_extent_is_noticed() {
    for name in EVERY_FEATURE {
        let all = shapes(name);
        for (tensor, shape) in &all {
            let mut others = vec![vec![], vec![7; shape.len()], [shape.as_slice(), &[1]].concat()];
            for axis in 0..shape.len() {
                for extent in [0, 1, 2 * shape[axis]] {
                    let mut other = shape.clone();
                    other[axis] = extent;
                    others.push(other);
                }
            }
            others.retain(|other| other != shape);
            let stems = [
                "features.conv0.weight",
                "conv1.weight",
                "conv1.0.weight",
                "stem.conv.weight",
                "stem.weight",
                "layer0.conv1.weight",
            ];
            let stem = stems.contains(&tensor.as_str());
            for other in others {
                let mut changed = all.clone();
                changed.insert(tensor.clone(), other.clone());
                match detect(&changed) {
                    Err(Error::TensorShape { tensor: named, got, .. }) if named == *tensor => assert_eq!(got, other),
                    // The classes are counted in the weight, and the stem decides what the network is.
                    Err(Error::TensorShape { tensor: named, .. })
                        if named.starts_with("fc.") && tensor == "fc.weight" => {}
                    Err(Error::TensorShape { tensor: named, .. })
                        if named.starts_with("linear.") && tensor == "linear.weight" => {}
                    Err(Error::TensorShape { tensor: named, .. })
                        if named.starts_with("head.fc.") && tensor == "head.fc.weight" => {}
                    Err(Error::TensorShape { tensor: named, .. })
                        if named.starts_with("classifier.") && tensor == "classifier.weight" => {}
                    Err(Error::UnknownArchitecture { .. }) if stem => {}
                    // The image may have any number of channels.
                    Ok(_) if stem && other.len() == 4 && other[1] != shape[1] && other[1] > 0 => {}
                    result => panic!("{name}: {tensor} as {other:?}: {result:?}"),
                }
            }
        }
    }
}

#[test]
fn row_12_a_wrong_shape_is_named_with_both() {
    let mut resnet = shapes("resnet50");
    resnet.insert("fc.weight".into(), vec![1000, 512]);
    let Err(Error::TensorShape { tensor, expected, got, .. }) = detect(&resnet) else { panic!() };
    assert_eq!((tensor.as_str(), expected, got), ("fc.weight", vec![1000, 2048], vec![1000, 512]));
}

#[test]
fn row_11_extra_tensors_are_listed() {
    for extra in ["head.weight", "gate.conv1.weight", "layer5.0.conv1.weight.copy", "fc.scale", "layer1.0.se2.bias"] {
        let mut resnet = shapes("resnet50");
        resnet.insert(extra.into(), vec![1]);
        match detect(&resnet) {
            Err(Error::UnexpectedTensor { count: 1, names, .. }) => assert!(names.starts_with(extra), "{names}"),
            // A name within the stages may also look like one block more.
            Err(Error::MissingTensor { .. } | Error::UnknownArchitecture { .. }) if extra.starts_with("layer5") => {}
            other => panic!("{extra}: {other:?}"),
        }
    }
}

#[test]
fn look_alikes_are_refused_by_name() {
    let marks = [
        ("layer0.conv1.weight", "legacy SENet"),
        ("layer1.0.se_module.fc1.weight", "legacy SENet"),
        ("layer1.0.eca.conv.weight", "channel attention of another spelling"),
        ("layer2.0.aa.filt", "blur pooling"),
        ("stem.conv.weight", "resnetv2"),
        ("embedder.embedder.convolution.weight", "RegNet"),
    ];
    for (tensor, feature) in marks {
        let mut resnet = shapes("resnet50");
        resnet.insert(tensor.into(), vec![32, 3, 3, 3]);
        let reason = unknown(&resnet);
        assert!(reason.contains(feature) && reason.contains("supported are ResNet"), "{reason}");
    }
    let mut grouped_norms = shapes("resnet50");
    grouped_norms.retain(|name, _| !name.contains(".running_"));
    assert!(unknown(&grouped_norms).contains("group normalisation"));
}

#[test]
fn regnets_that_only_resemble_a_supported_one() {
    let mut grouped_norms = shapes("regnety_002");
    grouped_norms.retain(|name, _| !name.contains(".running_"));
    assert!(unknown(&grouped_norms).contains("group normalisation"));
    // A convolution without a norm before or after it has no place in either form.
    let mut extra = shapes("regnetv_040");
    extra.insert("s1.b1.conv1.bias".into(), vec![128]);
    assert!(matches!(detect(&extra), Err(Error::UnexpectedTensor { count: 1, .. })));
    let mut other = shapes("regnety_002");
    other.retain(|name, _| !name.starts_with("s4.b7."));
    assert_eq!(detect(&other).unwrap().name(), "regnety [1,1,4,6] of [24,56,152,368] channels in groups of 8");
}

/// Where no block has a convolution in its way around, blocks that change the shape have none, and end in no activation.
#[test]
fn regnetz_is_told_by_its_ways_around() {
    let adds = |name: &str| {
        let graph = Architecture::by_name(name).unwrap().graph();
        let blocks = graph.nodes().iter().filter(|node| node.name.ends_with(".conv3.conv")).count();
        (blocks, graph.nodes().iter().filter(|node| node.op == Op::Add).count())
    };
    assert_eq!((adds("regnetz_005"), adds("regnety_002")), ((21, 17), (13, 13)));
}

#[test]
fn row_12_stems_of_other_kernels_are_refused() {
    for (shape, words) in [
        (vec![64, 0, 7, 7], "not supported, only"),
        (vec![64, 1, 1, 7, 7], "three-dimensional"),
        (vec![64, 3, 5, 5], "not supported, only"),
        (vec![64], "not supported, only"),
    ] {
        let mut resnet = shapes("resnet18");
        resnet.insert("conv1.weight".into(), shape);
        assert!(unknown(&resnet).contains(words));
    }
}

#[test]
fn a_network_without_its_last_stage_is_no_network() {
    let mut resnet = shapes("resnet50");
    resnet.retain(|name, _| !name.starts_with("layer4.") && !name.starts_with("fc."));
    assert!(unknown(&resnet).contains("3 stages and no head"));
}

#[test]
fn row_09_what_is_no_network_of_ours_is_shown_by_five_names() {
    assert!(unknown(&Shapes::new()).contains("holds no tensors"));
    let llm: Shapes = (0..96).map(|i| (format!("layers.{i:02}.self_attn.q_proj.weight"), vec![8, 8])).collect();
    let reason = unknown(&llm);
    assert_eq!(reason.matches("q_proj").count(), 5, "{reason}");
    assert!(reason.contains("supported are ResNet"));
}

/// A block index far larger than the number of tensors must not become that many blocks.
#[test]
fn absurd_indices_are_refused_quickly() {
    for name in ["layer1.18446744073709551615.conv1.weight", "layer2.4000000000.conv1.weight"] {
        let mut resnet = shapes("resnet18");
        resnet.insert(name.into(), vec![1]);
        unknown(&resnet);
    }
}

#[test]
fn architectures_that_only_their_name_gives_away() {
    for name in ["deeplabv3_resnet50", "fcn_resnet101"] {
        assert!(check_declared("test", name).is_err(), "{name}");
    }
    for name in ["resnet50", "wide_resnet50_2", "seen_nowhere", "resnetaa50"] {
        assert_eq!(check_declared("test", name), Ok(()));
    }
}
