//! Names as many libraries write them.

use super::*;

const SEVEN: [usize; 4] = [64, 3, 7, 7];
const VECTOR: [usize; 1] = [64];
const MATRIX: [usize; 2] = [10, 64];

/// Makes up shapes, as far as they matter: for convolutions, matrices of heads, vectors.
fn read(of: &[&str], part: Option<&str>) -> Result<(Vec<Option<String>>, Reading), String> {
    let shape = |name: &str| -> &'static [usize] {
        match name {
            name if name.contains("conv") || name.ends_with("0.weight") => &SEVEN,
            name if name.ends_with("weight") && !name.contains("norm") && !name.contains("bn") => &MATRIX,
            _ => &VECTOR,
        }
    };
    let tensors: Vec<(&str, &[usize])> = of.iter().map(|name| (*name, shape(name))).collect();
    canonical(&tensors, part)
}

fn names(of: &[&str]) -> Result<Vec<Option<String>>, String> {
    Ok(read(of, None)?.0)
}

fn one(name: &str) -> String {
    names(&[name]).unwrap().remove(0).unwrap()
}

/// The canonical names of a file, without those that have none.
fn all(of: &[&str]) -> Vec<String> {
    names(of).unwrap().into_iter().flatten().collect()
}

const BLOCK: &str = "layer1.0.conv1.weight";

#[test]
fn any_prefix_of_a_network_is_stripped() {
    for prefix in ["module.", "net.", "student.backbone.", "my_network_v2.", "a.b.c.d._feature_blocks.", "resnet."] {
        let file = ["conv1.weight", BLOCK, "fc.weight"].map(|name| format!("{prefix}{name}"));
        let file: Vec<&str> = file.iter().map(String::as_str).collect();
        let (names, reading) = read(&file, None).unwrap();
        assert_eq!(names, ["conv1.weight", BLOCK, "fc.weight"].map(|name| Some(name.into())), "{prefix}");
        assert_eq!(reading.prefix, prefix);
        assert_eq!(reading.is_telling(), !["module.", "net."].contains(&prefix), "{prefix}");
    }
}

#[test]
fn a_file_without_a_network_loses_only_what_wraps_all_of_it() {
    assert_eq!(all(&["model.odd.weight", "module.even.bias"]), ["odd.weight", "even.bias"]);
    assert_eq!(all(&["net.conv.weight", "other.bias"]), ["net.conv.weight", "other.bias"]);
}

#[test]
fn of_several_networks_the_one_that_was_trained_is_taken() {
    for (taken, average) in [
        ("student.", "teacher."),
        ("module.encoder_q.", "module.encoder_k."),
        ("", "ema."),
        ("model.", "model_ema.module."),
        ("base_encoder.", "momentum_encoder."),
        ("state_dict.", "state_dict_ema."),
    ] {
        let of = |prefix: &str| [format!("{prefix}conv1.weight"), format!("{prefix}{BLOCK}")];
        let file = [of(average), of(taken)].concat();
        let file: Vec<&str> = file.iter().map(String::as_str).collect();
        let (names, reading) = read(&file, None).unwrap();
        assert_eq!(names, [None, None, Some("conv1.weight".into()), Some(BLOCK.into())], "{taken}");
        assert_eq!((reading.parts.len(), reading.beside.len()), (2, 0), "{taken}");

        let (names, reading) = read(&file, Some(&reading.parts[1])).unwrap();
        assert_eq!(names, [Some("conv1.weight".into()), Some(BLOCK.into()), None, None], "{average}");
        assert_eq!(reading.prefix, average);
    }
}

#[test]
fn which_of_two_networks_is_meant_is_not_guessed() {
    let file = ["a.conv1.weight", "a.layer1.0.bn1.bias", "b.conv1.weight", "b.layer1.0.bn1.bias"];
    let (names, reading) = read(&file, None).unwrap();
    assert!(names.iter().all(Option::is_some), "without a network, names stay");
    assert_eq!(reading.undecided.unwrap(), "it has several networks: a, b; name one of them as the part");
    assert_eq!(read(&file, Some("b")).unwrap().1.prefix, "b.");
    let unknown = read(&file, Some("c")).unwrap().1.undecided.unwrap();
    assert_eq!(unknown, "it has no network called c; it has: a, b");
    // A decoder has stages too, but no first convolution.
    let decoder = ["a.conv1.weight", "a.layer1.0.bn1.bias", "b.layer1.0.bn1.bias"];
    assert_eq!(read(&decoder, None).unwrap().1.prefix, "a.");
}

#[test]
fn heads_of_other_names_are_found_inside_and_beside() {
    for head in ["last_linear", "classifier", "head", "head.fc", "output", "linear"] {
        let tensor = format!("{head}.weight");
        let inside = all(&["conv1.weight", BLOCK, &tensor]);
        assert_eq!(inside[2], if head == "linear" { "linear.weight" } else { "fc.weight" }, "{head}");
        let (names, reading) = read(&["backbone.conv1.weight", &format!("backbone.{BLOCK}"), &tensor], None).unwrap();
        assert_eq!(names[2].as_deref(), Some("fc.weight"), "{head}");
        assert_eq!(reading.head, Some(format!("{head}.")));
    }
    let dropout = all(&["net.conv1.weight", "net.layer1.0.bn1.bias", "net.classifier.1.weight"]);
    assert_eq!(dropout[2], "fc.1.weight");
    let densenet = all(&["features.conv0.weight", "features.denseblock1.denselayer1.norm1.bias", "fc.weight"]);
    assert_eq!(densenet[2], "classifier.weight");
}

#[test]
fn what_is_no_head_stays_beside() {
    // A probe beside a projector, the convolutions of a segmentation network, and a part that the caller asked for.
    let file = ["backbone.conv1.weight", "backbone.layer1.0.bn1.bias", "classifier.weight", "projector.0.bias"];
    assert_eq!(read(&file, None).unwrap().1.beside, ["classifier.weight", "projector.0.bias"]);
    assert_eq!(read(&file[..3], None).unwrap().1.beside, Vec::<String>::new());
    assert_eq!(read(&file[..3], Some("backbone")).unwrap().1.beside, ["classifier.weight"]);
    let file = ["backbone.conv1.weight", "backbone.layer1.0.bn1.bias", "classifier.conv.weight"];
    assert_eq!(read(&file, None).unwrap().1.beside, ["classifier.conv.weight"]);
}

#[test]
fn children_in_a_sequence_are_counted() {
    let torchvision = all(&["0.weight", "1.bias", "4.0.conv1.weight", "7.1.bn2.bias", "9.bias"]);
    assert_eq!(torchvision, ["conv1.weight", "bn1.bias", BLOCK, "layer4.1.bn2.bias", "fc.9.bias"]);
    // If a module of the stem is missing, nothing shows whether there is pooling.
    let short = ["0.weight", "1.bias", "3.0.conv1.weight", "4.0.conv1.weight"];
    assert_eq!(all(&short), short);
    let deep = all(&["b.0.0.weight", "b.0.3.weight", "b.1.bias", "b.3.0.weight", "b.4.0.conv1.weight"]);
    assert_eq!(deep, ["conv1.0.weight", "conv1.3.weight", "bn1.bias", "maxpool.0.weight", BLOCK]);
    let fastai = all(&["0.0.weight", "0.4.0.conv1.weight", "0.7.0.downsample.1.bias", "1.4.weight", "1.2.bias"]);
    assert_eq!(fastai[1..], [BLOCK, "layer4.0.downsample.1.bias", "fc.4.weight", "fc.2.bias"]);
}

#[test]
fn features_of_densenets_alone() {
    let stem = all(&["conv0.weight", "denseblock1.denselayer1.norm1.bias", "norm5.bias"]);
    let expected = ["features.conv0.weight", "features.denseblock1.denselayer1.norm1.bias", "features.norm5.bias"];
    assert_eq!(stem, expected);
    let timm = ["features_conv0.weight", "features_denseblock1.denselayer1.norm1.bias", "features_norm5.bias"];
    assert_eq!(all(&timm), expected);
    let fastai = ["0.0.conv0.weight", "0.0.denseblock1.denselayer1.norm1.bias", "0.0.norm5.bias"];
    assert_eq!(all(&fastai), expected);
    // With a head, the modules between body and head count.
    let with_head = [&fastai[..], &["1.4.weight"]].concat();
    assert!(read(&with_head, None).unwrap().1.undecided.unwrap().contains("ReLU"));
    assert_eq!(read(&with_head, Some("0.0")).unwrap().1.undecided, None);
}

#[test]
fn networks_of_clip_get_the_names_of_timm() {
    let file = [
        "visual.conv3.weight",
        "visual.bn1.bias",
        "visual.layer2.0.conv1.weight",
        "visual.layer2.0.bn2.bias",
        "visual.layer2.0.conv3.weight",
        "visual.layer1.0.downsample.0.weight",
        "visual.layer1.0.downsample.1.bias",
        "visual.attnpool.positional_embedding",
        "visual.attnpool.q_proj.weight",
        "visual.attnpool.c_proj.bias",
        "logit_scale",
    ];
    let expected = [
        "stem.conv3.conv.weight",
        "stem.conv1.bn.bias",
        "stages.1.0.conv1_1x1.conv.weight",
        "stages.1.0.conv2_kxk.bn.bias",
        "stages.1.0.conv3_1x1.conv.weight",
        "stages.0.0.shortcut.conv.conv.weight",
        "stages.0.0.shortcut.conv.bn.bias",
        "head.pos_embed",
        "head.q.weight",
        "head.proj.bias",
    ];
    assert_eq!(all(&file), expected);
    let reading = read(&file, None).unwrap().1;
    assert_eq!((reading.beside, reading.clip), (vec!["logit_scale".to_string()], true));
}

#[test]
fn two_names_for_one_tensor_are_an_error() {
    let file = ["conv1.weight", "layer2.0.shortcut.0.weight", "layer2.0.downsample.0.weight", BLOCK];
    let reason = names(&file).unwrap_err();
    let both = "layer2.0.shortcut.0.weight and layer2.0.downsample.0.weight both mean layer2.0.downsample.0.weight";
    assert_eq!(reason, both);
}

#[test]
fn counters_are_left_out() {
    let counters = ["bn1.num_batches_tracked", "total_ops", "layer1.0.conv1.total_params", "bn1.weight"];
    assert_eq!(names(&counters).unwrap(), [None, None, None, Some("bn1.weight".into())]);
}

#[test]
fn transformers_names_with_and_without_the_head() {
    let stem = "resnet.embedder.embedder.convolution.weight";
    let block = "resnet.encoder.stages.0.layers.0.layer.0.normalization.weight";
    let of = |name: &str| names(&[stem, block, name]).unwrap().remove(2).unwrap();
    assert_eq!(of("resnet.embedder.embedder.normalization.running_var"), "bn1.running_var");
    assert_eq!(of("resnet.encoder.stages.3.layers.2.layer.1.convolution.weight"), "layer4.2.conv2.weight");
    let headless = ["embedder.embedder.convolution.weight", "encoder.stages.0.layers.0.layer.2.normalization.bias"];
    assert_eq!(all(&headless), ["conv1.weight", "layer1.0.bn3.bias"]);
    assert_eq!(of("resnet.encoder.stages.1.layers.0.shortcut.convolution.weight"), "layer2.0.downsample.0.weight");
    assert_eq!(of("resnet.encoder.stages.1.layers.0.shortcut.normalization.bias"), "layer2.0.downsample.1.bias");
    assert_eq!(of("classifier.1.weight"), "fc.weight");
    assert_eq!(one("classifier.1.weight"), "classifier.1.weight");
}

#[test]
fn the_stem_of_transformers_tells_a_regnet_from_a_resnet() {
    let (stem, block) =
        ("embedder.embedder.convolution.weight", "encoder.stages.0.layers.0.layer.0.normalization.bias");
    for (shape, expected) in [
        ([32, 3, 3, 3], ["stem.conv.weight", "s1.b1.conv1.bn.bias"]),
        ([32, 3, 7, 7], ["conv1.weight", "layer1.0.bn1.bias"]),
        ([32, 3, 4, 4], [stem, block]),
    ] {
        let tensors: [(&str, &[usize]); 2] = [(stem, &shape), (block, &VECTOR)];
        assert_eq!(canonical(&tensors, None).unwrap().0, expected.map(|name| Some(name.into())), "{shape:?}");
    }
}

#[test]
fn old_densenet_and_named_shortcuts() {
    let stem = "module.features.denseblock1.denselayer1.conv.1.weight";
    let last = "module.features.denseblock4.denselayer16.norm.2.running_mean";
    let expected =
        ["features.denseblock1.denselayer1.conv1.weight", "features.denseblock4.denselayer16.norm2.running_mean"];
    assert_eq!(all(&[stem, last]), expected);
    assert_eq!(all(&expected), expected);
    assert_eq!(all(&[BLOCK, "layer2.0.shortcut.0.weight"])[1], "layer2.0.downsample.0.weight");
}
