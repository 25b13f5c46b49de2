//! Networks that are refused, and the errors.

use residua::{
    Error,
    models::{Architecture, Shapes, check_declared},
    structure::Structure,
};

use super::{EVERY_FEATURE, detect, shapes, unknown};

/// Tensors of a published family are compared with its nearest member.
#[test]
fn resnet_variants_that_differ_from_all_members_are_refused_with_the_difference() {
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
        assert!(unknown(&evonorm).contains("such as EvoNorm-B0"));
    }
    let mut gates = shapes("resnext26ts");
    gates.insert("stages.0.0.attn.conv1.conv.weight".into(), vec![64, 64, 1, 1]);
    assert!(detect(&gates).is_err(), "another gate");
    gates.insert("stages.0.0.attn.ba.conv1.conv.weight".into(), vec![2, 16, 1, 1]);
    assert!(unknown(&gates).contains("bilinear attention"));
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

/// Removing any tensor leads to an error that names it. The rest is never taken for another network.
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

/// Changing any dimension of any tensor leads to an error that names the tensor.
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
                    // The weight counts the classes, and the stem decides which network it is.
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
            // A name within the stages may also look like one more block.
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
        ("layer1.0.eca.conv.weight", "channel attention with another name"),
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
}

#[test]
fn regnets_that_only_resemble_a_supported_one() {
    // A convolution without a norm before or after it has no place in either form.
    let mut extra = shapes("regnetv_040");
    extra.insert("s1.b1.conv1.bias".into(), vec![128]);
    assert!(matches!(detect(&extra), Err(Error::UnexpectedTensor { count: 1, .. })));
    let mut other = shapes("regnety_002");
    other.retain(|name, _| !name.starts_with("s4.b7."));
    assert_eq!(detect(&other).unwrap().name(), "regnety [1,1,4,6] of [24,56,152,368] channels in groups of 8");
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
fn a_network_up_to_an_early_stage_yields_the_features_of_that_stage() {
    let mut resnet = shapes("resnet50");
    resnet.retain(|name, _| !name.starts_with("layer4.") && !name.starts_with("fc."));
    let network = detect(&resnet).unwrap();
    assert_eq!((network.name().as_str(), network.classes()), ("resnet [3,4,6] bottleneck width 64", None));
    resnet.retain(|name, _| !name.starts_with("layer2."));
    assert!(matches!(detect(&resnet), Err(Error::UnexpectedTensor { .. })), "a stage in the middle is missing");
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

/// Group normalisation has the same parameters as batch normalisation, and a file of trained weights alone lacks the statistics of batch
/// normalisation.
#[test]
fn norms_without_statistics_are_not_guessed() {
    for (name, groups, told) in [("resnet50", "32", "resnet50_gn"), ("regnety_040", "16-channels", "regnety_040_sgn")] {
        let mut parameters = shapes(name);
        parameters.retain(|name, _| !name.contains(".running_"));
        let error = detect(&parameters).unwrap_err();
        assert_eq!(error.code(), "config.value");
        assert!(error.to_string().contains("no running statistics"), "{error}");
        let stated = format!("norm-groups={groups}").parse().unwrap();
        let (network, extra) =
            Architecture::detect_stated("test", &parameters, &stated, &Structure::default()).unwrap();
        assert_eq!((network.name().as_str(), extra.len()), (told, 0));
        assert_eq!(network.graph(), Architecture::by_name(told).unwrap().graph());
    }
}
