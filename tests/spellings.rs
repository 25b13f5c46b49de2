//! One network in other libraries' spellings, with their heads and with extra tensors: the same logits, or an error.

mod common;

use common::safetensors;
use residua::{
    Classifier, Note,
    checkpoint::{Checkpoint, Synthetic},
    image::{DynamicImage, RgbImage},
    models::Architecture,
    tensor::{Shape, Tensor},
};

type File = Vec<(String, Vec<usize>, Vec<f32>)>;

fn weights(name: &str, shape: &[usize]) -> Vec<f32> {
    Synthetic { salt: "residua".into(), damped: None, damp: 1.0 }.tensor(name, shape)
}

fn tensor(name: &str, shape: &[usize]) -> (String, Vec<usize>, Vec<f32>) {
    (name.into(), shape.to_vec(), weights(name, shape))
}

/// A small ResNet of 10 classes, with projections.
fn network() -> File {
    let architecture = Architecture::by_name("cifar_resnet20b").unwrap();
    architecture.graph().tensors().iter().map(|(name, shape)| tensor(name, shape)).collect()
}

fn renamed(rename: impl Fn(&str) -> Option<String>) -> File {
    network().into_iter().filter_map(|(name, shape, values)| Some((rename(&name)?, shape, values))).collect()
}

fn builder(file: &File) -> residua::Builder {
    let checkpoint = Checkpoint::from_bytes("test", safetensors(file)).unwrap();
    Classifier::builder().checkpoint(checkpoint, None).device("cpu")
}

fn input(channels: usize) -> Tensor {
    let shape = Shape::new(2, channels, 32, 32);
    Tensor::new(shape, weights("an input", &[2, channels, 32, 32]))
}

fn logits(file: &File) -> Vec<f32> {
    builder(file).open().unwrap().logits(&input(3)).unwrap().data
}

fn code(file: &File) -> &'static str {
    builder(file).open().unwrap_err().code()
}

fn texts(classifier: &Classifier) -> String {
    classifier.notes().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

#[test]
fn any_prefix_gives_the_same_logits_and_is_said() {
    let plain = logits(&network());
    for prefix in
        ["net.", "student.backbone.", "my_network_v2.", "classy_state_dict.base_model.model.trunk._feature_blocks."]
    {
        let file = renamed(|name| Some(format!("{prefix}{name}")));
        assert_eq!(logits(&file), plain, "{prefix}");
        let said = texts(&builder(&file).open().unwrap()).contains(prefix);
        assert_eq!(said, prefix != "net.", "{prefix}");
    }
}

#[test]
fn blocks_with_a_residual_function_give_the_same_logits() {
    let file = renamed(|name| {
        let (module, part) = name.rsplit_once('.')?;
        let segments: Vec<&str> = module.split('.').collect();
        Some(match segments[..] {
            ["linear"] => format!("fc.{part}"),
            ["conv1"] => format!("conv1.0.{part}"),
            ["bn1"] => format!("conv1.1.{part}"),
            [stage, block, "downsample", layer] => {
                format!("conv{}_x.{block}.shortcut.{layer}.{part}", stage[5..].parse::<u32>().ok()? + 1)
            }
            [stage, block, layer] => {
                let number =
                    3 * (layer[layer.len() - 1..].parse::<u32>().ok()? - 1) + u32::from(layer.starts_with("bn"));
                format!("conv{}_x.{block}.residual_function.{number}.{part}", stage[5..].parse::<u32>().ok()? + 1)
            }
            _ => return None,
        })
    });
    assert_eq!(file.len(), network().len());
    assert_eq!(logits(&file), logits(&network()));
}

#[test]
fn heads_beside_and_of_other_names_give_the_same_logits() {
    let plain = logits(&network());
    for head in ["classifier.", "head.fc.", "last_linear.", "fc."] {
        let own = |name: &str| name.strip_prefix("linear.").map(|part| format!("{head}{part}"));
        assert_eq!(logits(&renamed(|name| Some(own(name).unwrap_or(name.into())))), plain, "{head} inside");
        let beside = renamed(|name| Some(own(name).unwrap_or(format!("backbone.{name}"))));
        assert_eq!(logits(&beside), plain, "{head} beside");
    }
    let numbered = renamed(|name| {
        let (front, rest) = name.split_once('.')?;
        let number = ["conv1", "bn1", "relu", "layer1", "layer2", "layer3", "avgpool", "linear"]
            .iter()
            .position(|one| *one == front)?;
        Some(format!("{number}.{rest}"))
    });
    assert_eq!(logits(&numbered), plain, "children in a sequence");
}

#[test]
fn of_two_copies_the_trained_one_is_taken_or_the_one_that_is_asked_for() {
    let mut both = renamed(|name| Some(format!("teacher.{name}")));
    both.iter_mut().filter(|(name, ..)| name.contains("linear")).for_each(|(.., values)| values.fill(0.5));
    both.extend(renamed(|name| Some(format!("student.{name}"))));
    let plain = logits(&network());
    assert_eq!(logits(&both), plain);
    let taken = builder(&both).open().unwrap();
    assert!(texts(&taken).contains("using student; the others are teacher"), "{}", texts(&taken));
    let teacher = builder(&both).part("teacher").open().unwrap().logits(&input(3)).unwrap().data;
    assert_ne!(teacher, plain);
    assert_eq!(builder(&both).part("nobody").open().unwrap_err().code(), "model.part");

    let mut two = renamed(|name| Some(format!("left.{name}")));
    two.extend(renamed(|name| Some(format!("right.{name}"))));
    let error = builder(&two).open().unwrap_err();
    assert_eq!(error.code(), "model.part");
    assert!(error.to_string().contains("left, right"), "{error}");
}

#[test]
fn what_lies_beside_is_left_out_and_what_may_take_part_is_not() {
    let with = |extra: &str, prefix: &str| {
        let mut file = renamed(|name| Some(format!("{prefix}{name}")));
        file.push(tensor(extra, &[4]));
        file
    };
    let plain = logits(&network());
    for (extra, prefix) in
        [("projector.0.bias", "backbone."), ("queue", "encoder_q."), ("optimizer.state.0.exp_avg", ""), ("mean", "")]
    {
        let file = with(extra, prefix);
        assert_eq!(logits(&file), plain, "{extra}");
        assert!(builder(&file).open().unwrap().notes().contains(&Note::LeftOut(vec![extra.into()])), "{extra}");
    }
    for (extra, prefix) in
        [("neck.bias", "backbone."), ("attention.bias", ""), ("head.bias", ""), ("net.layer2.0.gate.bias", "net.")]
    {
        assert_eq!(code(&with(extra, prefix)), "model.unexpected_tensor", "{extra}");
    }
    let neck = with("neck.bias", "backbone.");
    assert!(builder(&neck).part("backbone").open().is_ok() && builder(&neck).allow_extra(true).open().is_ok());
    for (extra, words) in [("rpn.head.bias", "detects objects"), ("decode_head.conv.bias", "segments")] {
        let error = builder(&with(extra, "backbone.")).open().unwrap_err();
        assert_eq!(error.code(), "model.unknown_architecture");
        assert!(error.to_string().contains(words) && error.to_string().contains("the part backbone"), "{error}");
    }
}

/// `head(features)` by plain sums; its layers are `(weight, bias)`, a norm, or ReLU.
fn by_hand(file: &File, features: &[f32], layers: &[&str]) -> Vec<f32> {
    let of = |name: String| file.iter().find(|(known, ..)| *known == name).map(|(.., values)| values);
    let mut x: Vec<f64> = features.iter().map(|value| f64::from(*value)).collect();
    for layer in layers {
        if *layer == "relu" {
            x.iter_mut().for_each(|value| *value = value.max(0.0));
            continue;
        }
        let part = |part: &str| of(format!("{layer}.{part}"));
        let weight = part("weight").unwrap();
        if let (Some(mean), Some(variance)) = (part("running_mean"), part("running_var")) {
            for (i, value) in x.iter_mut().enumerate() {
                let scaled = (*value - f64::from(mean[i])) / (f64::from(variance[i]) + 1e-5).sqrt();
                *value = scaled * f64::from(weight[i]) + f64::from(part("bias").unwrap()[i]);
            }
            continue;
        }
        let row = |row: &[f32]| row.iter().zip(&x).map(|(w, x)| f64::from(*w) * x).sum::<f64>();
        let mut y: Vec<f64> = weight.chunks(x.len()).map(row).collect();
        if let Some(bias) = part("bias") {
            y.iter_mut().zip(bias).for_each(|(y, bias)| *y += f64::from(*bias));
        }
        x = y;
    }
    x.into_iter().map(|value| value as f32).collect()
}

fn norm(name: &str, features: usize) -> File {
    ["weight", "bias", "running_mean", "running_var"]
        .iter()
        .map(|part| tensor(&format!("{name}.{part}"), &[features]))
        .collect()
}

#[test]
fn heads_of_several_layers_compute_what_their_numbers_show() {
    let photo = DynamicImage::from(RgbImage::from_fn(40, 40, |x, y| [(x * 6) as u8, (y * 5) as u8, 90].into()));
    let linear =
        |name: &str, outputs: usize, inputs: usize| vec![tensor(&format!("{name}.weight"), &[outputs, inputs])];
    let biased = |name: &str, outputs: usize, inputs: usize| {
        [linear(name, outputs, inputs), vec![tensor(&format!("{name}.bias"), &[outputs])]].concat()
    };
    let cases: [(File, &[&str], bool); 7] = [
        (biased("fc.1", 5, 64), &["fc.1"], false),
        (linear("fc", 5, 64), &["fc"], false),
        ([biased("fc.0", 8, 64), biased("fc.3", 5, 8)].concat(), &["fc.0", "relu", "fc.3"], true),
        ([biased("fc.0", 8, 64), biased("fc.2", 5, 8)].concat(), &["fc.0", "relu", "fc.2"], true),
        (
            [biased("fc.0", 8, 64), norm("fc.1", 8), biased("fc.3", 5, 8)].concat(),
            &["fc.0", "fc.1", "relu", "fc.3"],
            true,
        ),
        ([norm("fc.0", 64), biased("fc.1", 5, 64)].concat(), &["fc.0", "fc.1"], false),
        (
            [norm("fc.2", 64), linear("fc.4", 8, 64), norm("fc.6", 8), linear("fc.8", 5, 8)].concat(),
            &["fc.2", "fc.4", "relu", "fc.6", "fc.8"],
            true,
        ),
    ];
    for (head, layers, assumed) in cases {
        let mut file = renamed(|name| (!name.starts_with("linear.")).then(|| name.into()));
        file.extend(head);
        let classifier = builder(&file).open().unwrap();
        assert_eq!(classifier.notes().contains(&Note::HeadActivationAssumed), assumed, "{layers:?}");
        let features = classifier.embed(&photo).unwrap();
        assert_eq!(features.len(), 64, "{layers:?}");
        let pixels = classifier.preprocess(&photo).unwrap();
        let got = classifier.logits(&classifier.model().preprocess.normalise(&[pixels]).unwrap()).unwrap();
        common::compare(&got.data, &by_hand(&file, &features, layers), 1e-5)
            .unwrap_or_else(|e| panic!("{layers:?}: {e}"));
    }
}

#[test]
fn what_stands_in_a_gap_can_be_stated_and_heads_left_out() {
    let mut file = renamed(|name| (!name.starts_with("linear.")).then(|| name.into()));
    let of_head =
        [("fc.0.weight", vec![8, 64]), ("fc.0.bias", vec![8]), ("fc.2.weight", vec![5, 8]), ("fc.2.bias", vec![5])];
    file.extend(of_head.iter().map(|(name, shape)| tensor(name, shape)));
    let of = |text: &str| builder(&file).structure(text.parse().unwrap()).open().unwrap();
    let relu = of("head-activation=relu");
    assert!(!relu.notes().contains(&Note::HeadActivationAssumed));
    let data = |classifier: &Classifier| classifier.logits(&input(3)).unwrap().data;
    assert_eq!(data(&relu), logits(&file));
    assert_ne!(data(&of("head-activation=tanh")), logits(&file));
    let without = of("head=none");
    assert_eq!((without.model().classes, without.model().features), (0, 64));
    assert!(texts(&without).contains("fc.0.weight"));
    file.push(tensor("fc.1.weight", &[8]));
    assert_eq!(code(&file), "model.unknown_architecture");
}

#[test]
fn biases_beside_norms_and_in_their_place() {
    // A norm with a mean of b computes the same as one with a mean of zero after a bias of -b.
    let plain = logits(&network());
    let mut biased = network();
    let mean = biased.iter_mut().find(|(name, ..)| name == "bn1.running_mean").unwrap();
    let bias = mean.2.iter().map(|value| -value).collect();
    mean.2.fill(0.0);
    biased.push(("conv1.bias".into(), vec![16], bias));
    common::compare(&logits(&biased), &plain, 1e-5).unwrap();

    // Folded as torch.fx does: scales into the weights, and one bias.
    let of = |file: &File, name: &str| file.iter().find(|(known, ..)| known == name).unwrap().2.clone();
    let mut folded: File = Vec::new();
    for (name, shape, mut values) in network() {
        let norm = match name.as_str() {
            "conv1.weight" => "bn1".to_string(),
            "layer2.0.downsample.0.weight" => "layer2.0.downsample.1".into(),
            _ => String::new(),
        };
        if ["bn1.", "layer2.0.downsample.1."].iter().any(|gone| name.starts_with(gone)) {
            continue;
        }
        if !norm.is_empty() {
            let [scale, shift, mean, variance] =
                ["weight", "bias", "running_mean", "running_var"].map(|part| of(&network(), &format!("{norm}.{part}")));
            let factor: Vec<f32> =
                scale.iter().zip(&variance).map(|(scale, variance)| scale / (variance + 1e-5).sqrt()).collect();
            let terms = values.len() / factor.len();
            values.iter_mut().enumerate().for_each(|(i, value)| *value *= factor[i / terms]);
            let bias = (0..factor.len()).map(|i| shift[i] - mean[i] * factor[i]).collect();
            folded.push((name.replace("weight", "bias"), vec![factor.len()], bias));
        }
        folded.push((name, shape, values));
    }
    common::compare(&logits(&folded), &plain, 1e-5).unwrap();
}

#[test]
fn other_channels_of_the_input() {
    let of = |channels: usize| -> File {
        let mut file = network();
        let stem = file.iter_mut().find(|(name, ..)| name == "conv1.weight").unwrap();
        *stem = tensor("conv1.weight", &[16, channels, 3, 3]);
        file
    };
    let photo = DynamicImage::from(RgbImage::from_fn(32, 32, |x, y| [(x * 7) as u8, (y * 7) as u8, 33].into()));
    let four = builder(&of(4)).open().unwrap();
    assert_eq!(four.logits(&input(4)).unwrap().data.len(), 20);
    assert_eq!(four.logits(&input(3)).unwrap_err().code(), "graph.shape");
    let error = four.infer(&photo).unwrap_err();
    assert_eq!(error.code(), "graph.shape");
    assert!(error.to_string().contains("4 channels"), "{error}");

    // Grey values as Pillow's convert("L") makes them: (19595 r + 38470 g + 7471 b + 32768) / 65536.
    let grey = builder(&of(1)).mean([0.5; 3]).std([0.25; 3]).open().unwrap();
    assert!(!grey.notes().contains(&Note::GreyAssumed));
    let rgb = photo.to_rgb8();
    let values = rgb.pixels().map(|pixel| {
        let [r, g, b] = pixel.0.map(u32::from);
        (((19595 * r + 38470 * g + 7471 * b + 32768) >> 16) as f32 / 255.0 - 0.5) / 0.25
    });
    let by_hand = grey.logits(&Tensor::new(Shape::new(1, 1, 32, 32), values.collect())).unwrap();
    let scores = grey.infer(&photo).unwrap();
    let best = (0..10).max_by(|a, b| by_hand.data[*a].total_cmp(&by_hand.data[*b])).unwrap();
    assert_eq!(scores.top(1)[0].index, best);
    let sum: f64 = by_hand.data.iter().map(|logit| f64::from(logit - by_hand.data[best]).exp()).sum();
    assert!((f64::from(scores.top(1)[0].score) - 1.0 / sum).abs() < 1e-5);
    assert!(builder(&of(1)).open().unwrap().notes().contains(&Note::GreyAssumed));
}

#[test]
fn the_closest_network_is_named_with_all_that_differs() {
    let mut file = network();
    file.retain(|(name, ..)| name != "layer1.0.bn1.bias" && name != "layer3.1.conv2.weight");
    file.push(tensor("layer2.0.gate.weight", &[3]));
    *file.iter_mut().find(|(name, ..)| name == "bn1.bias").unwrap() = tensor("bn1.bias", &[7]);
    let error = builder(&file).open().unwrap_err();
    assert_eq!(error.code(), "model.unknown_architecture");
    for words in [
        "cifar_resnet20b",
        "2 missing (layer1.0.bn1.bias, layer3.1.conv2.weight)",
        "1 too many (layer2.0.gate.weight)",
        "1 of another shape",
        "bn1.bias, [7] in place of [16]",
    ] {
        assert!(error.to_string().contains(words), "{error}");
    }
}
