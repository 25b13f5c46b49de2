//! Architectures: their counts, their recognition, and refusals.

mod census;
#[path = "../common/mod.rs"]
mod common;
mod refused;

use std::{collections::BTreeMap, fs};

use residua::{
    Error,
    checkpoint::{ModelConfig, Synthetic},
    graph::{Op, Padding, Plain, ValueId},
    models::{Architecture, Shapes},
    structure::{NormGroups, Structure},
};

/// Networks that together have nearly every feature that tensors can show.
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
        let mut named = Structure::default();
        named.norm_groups = NormGroups::of_network(&name);
        let (detected, _) = Architecture::detect_stated("test", &shapes(&name), &Structure::default(), &named).unwrap();
        assert_eq!(detected, architecture, "{name}");
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

/// transformers' BiT is timm's. Its configuration states the padding.
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
    // A ResNetV2 with batch normalisation whose statistics were not saved has the same tensors.
    let refused = Architecture::detect("bit", checkpoint.shapes()).unwrap_err();
    assert!(refused.to_string().contains("norm-groups"), "{refused}");
    let stated = "norm-groups=32".parse().unwrap();
    let (architecture, _) =
        Architecture::detect_stated("bit", checkpoint.shapes(), &stated, &Structure::default()).unwrap();
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

/// The head may have its family's name, and may be a 1x1 convolution.
#[test]
fn resnet_variants_with_other_classes_channels_and_heads() {
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
    let weights = Synthetic { salt: "variants".into(), damped: None, damp: 1.0 };
    for name in ["resnetv2_18", "cspresnet50", "resnet32ts"] {
        let checkpoint = weights.checkpoint(name, &tensors(name, 1, 7)).unwrap();
        let architecture = Architecture::detect(name, checkpoint.shapes()).unwrap();
        assert_eq!((architecture.name(), architecture.classes()), (name.into(), Some(7)));
        assert_eq!(architecture.graph().channels(), 1, "{name}");
    }
}

/// Table 2 of the paper states 0.8 million parameters.
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

/// DenseNets without bottlenecks, without a head, and with another name for the last norm.
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

/// A network gets its own name from stated properties, even if its tensors equal another's.
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

/// Each concatenation of a block starts with the one before, so that a block can lie in one buffer.
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

/// A kernel may differ from timm's.
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

/// If no block has a convolution in its shortcut, the network is a RegNetZ: blocks that change the shape have no shortcut, and end without
/// activation.
#[test]
fn regnetz_is_recognised_by_its_shortcuts() {
    let adds = |name: &str| {
        let graph = Architecture::by_name(name).unwrap().graph();
        let blocks = graph.nodes().iter().filter(|node| node.name.ends_with(".conv3.conv")).count();
        (blocks, graph.nodes().iter().filter(|node| node.op == Op::Add).count())
    };
    assert_eq!((adds("regnetz_005"), adds("regnety_002")), ((21, 17), (13, 13)));
}
