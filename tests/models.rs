//! Architectures: their counts, how they are recognised, and which are refused.

mod common;

use std::{collections::BTreeMap, fs};

use residua::{
    Error,
    graph::{Op, Plain, ValueId},
    models::{Architecture, Shapes, check_declared},
};

/// Networks that together have nearly every feature that is read from tensors.
const EVERY_FEATURE: [&str; 8] = [
    "resnet18",
    "resnet50",
    "resnext50_32x4d",
    "cifar_resnet20a",
    "cifar_resnet20b",
    "cifar_densenet_bc_100_12",
    "seresnext26t_32x4d",
    "ecaresnet26t",
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
        assert_eq!(architecture.classes(), Some(row.classes), "{name}");
        assert_eq!(architecture.default_input().0 == 32, row.input[2] == 32, "{name}");
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
                Ok(other) if ["fc.bias", "linear.bias", "classifier.bias"].contains(&tensor.as_str()) => {
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
            let stem = ["features.conv0.weight", "conv1.weight", "conv1.0.weight"].contains(&tensor.as_str());
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
        ("layer1.0.eca.conv.weight", "channel attention of another spelling"),
        ("layer1.0.downsample.0.weight", "senet154"),
        ("layer2.0.aa.filt", "blur pooling"),
        ("stem.conv.weight", "resnetv2"),
        ("embedder.embedder.convolution.weight", "RegNet"),
        ("features.conv1.weight", "deep stem"),
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
    for name in ["resnetblur50", "resnetaa50", "densenetblur121d"] {
        assert!(check_declared("test", name).is_err(), "{name}");
    }
    for name in ["resnet50", "wide_resnet50_2", "seen_nowhere"] {
        assert_eq!(check_declared("test", name), Ok(()));
    }
}
