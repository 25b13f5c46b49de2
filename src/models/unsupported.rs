//! Networks that resemble a supported one but have other results.

use super::{Architecture, RegNet, ResNet, Shapes, gate, regnet_table};
use crate::{Error, Result, structure::AntiAliasing};

/// The unsupported feature that the tensors of a look-alike show.
pub(super) fn feature(shapes: &Shapes) -> Option<&'static str> {
    let has = |name: &str| shapes.contains_key(name);
    let any = |parts: &[&str]| shapes.keys().any(|name| parts.iter().any(|part| name.contains(part)));
    let marks = [
        (has("conv1.0.0.weight"), "a stem whose convolutions are sequences"),
        (
            any(&["layer0.conv", "layer0.bn"]) != any(&[".se_module."]),
            "only half of the legacy SENet's names (stem layer0 or gates se_module, but not both)",
        ),
        (any(&[".cbam.", ".ca.", ".sa.", ".se.channel.", ".se.spatial."]), "attention to channels and pixels (CBAM)"),
        (
            any(&[".lora_A.", ".lora_B.", ".base_layer.", ".original_module."]),
            "an adapter (LoRA) that is neither merged into its network nor beside the adapter_config.json that states its scaling",
        ),
        (
            any(&[".parametrizations."]),
            "a weight that is computed from others, except by pruning, weight and spectral normalisation,",
        ),
        (any(&[".gc.", ".se.conv_"]), "global context outside of a gcresnet"),
        (any(&[".attn.", ".attention."]), "an attention module"),
        (any(&[".aa.", ".filt", "blurpool", "blur_pool"]), "blur pooling whose filter is a tensor"),
        (any(&["stem.conv.", "stem.conv1."]), "a stem of resnetv2 or ReXNet"),
        (any(&["embedder.embedder."]), "an embedder of RegNet"),
        (
            any(&["patch_embeddings.", "patch_embed.", "downsample_layers.", "dwconv.", "conv_dw."]),
            "ConvNeXt or a transformer",
        ),
        (any(&[".ibn", ".IN.", ".BN."]), "instance normalisation in blocks (resnet*_ibn)"),
        (
            any(&[".conv2.fc1.", ".conv2.conv.weight", ".conv2.conv_kxk."]),
            "split attention or selective kernels (resnest, skresnet)",
        ),
        (any(&[".conv2_offset.", ".offset."]), "deformable convolution"),
        (any(&["attnpool."]), "attention pooling (CLIP)"),
    ];
    let gates = gate::UNSUPPORTED.map(|(parts, feature)| (any(parts), feature));
    marks.into_iter().chain(gates).find_map(|(found, feature)| found.then_some(feature))
}

/// Names of networks with the same tensors as a supported one, and how they differ from it.
const MARKS: [(&str, &str); 2] = [("deeplabv3_resnet", "dilated convolutions"), ("fcn_resnet", "dilated convolutions")];

/// Beginnings of the names of other residual networks of timm and torchvision, which differ in their tensors.
const OTHERS: [&str; 6] = ["ecaresne", "eca_resne", "nf_regnet", "regnet", "bat_resne", "lambda_resnet"];

/// Beginnings of the names of networks of other families in timm and torchvision.
const FAMILIES: [&str; 42] = [
    "alexnet",
    "beit",
    "cait_",
    "caformer",
    "coat",
    "convformer",
    "convmixer",
    "convnext",
    "crossvit",
    "cs3",
    "cspdarknet",
    "darknet",
    "deit",
    "dm_nfnet",
    "dpn",
    "edgenext",
    "efficientnet",
    "ese_vovnet",
    "eva",
    "fastvit",
    "fbnet",
    "ghostnet",
    "googlenet",
    "inception",
    "levit",
    "maxvit",
    "mixer",
    "mixnet",
    "mnasnet",
    "mobilenet",
    "nfnet",
    "pvt_",
    "repvgg",
    "rexnet",
    "shufflenet",
    "squeezenet",
    "swin",
    "tf_",
    "vgg",
    "vit_",
    "volo",
    "xception",
];

/// Compares the architecture that a configuration declares with properties that no tensor shows. For example, torchvision's networks for
/// segmentation have the same tensors as plain ones. `model` is its name in messages.
///
/// # Errors
/// [`Error::UnknownArchitecture`] for such a name. An unknown name passes, because the tensors decide.
pub fn check_declared(model: &str, architecture: &str) -> Result<()> {
    match MARKS.iter().find(|(mark, _)| architecture.contains(mark)) {
        Some((_, feature)) => Err(Error::UnknownArchitecture {
            model: model.into(),
            reason: format!(
                "config declares {architecture}: {feature} are not supported; supported are {}",
                super::supported()
            ),
        }),
        None => Ok(()),
    }
}

/// The network that a file, folder or model is named after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// A supported network, by its name in [`Architecture::names`].
    Supported(String),
    /// A network with the same tensors as a supported one: its name, and the difference.
    LookAlike(String, &'static str),
    /// A supported network with anti-aliasing, which the tensors do not show: its name, the name of the network without it, and the kind.
    AntiAliased(String, String, AntiAliasing),
    /// A network that is not supported, as its tensors show.
    Other(String),
}

impl Named {
    /// Whether this may be the network `architecture`, which was recognised from its tensors. A network without a published name may have
    /// other widths.
    pub fn may_be(&self, architecture: &Architecture) -> bool {
        let found = architecture.name();
        match self {
            Named::Supported(name) => match (Architecture::by_name(name), Architecture::by_name(&found)) {
                // Files with Cadene's weights are named after timm's networks.
                (Some(named), Some(found)) => {
                    let plain = |name: String| name.strip_prefix("legacy_").map_or(name.clone(), String::from);
                    plain(named.name()) == plain(found.name())
                }
                (Some(named), None) => alike(&named, architecture),
                (None, _) => true,
            },
            Named::LookAlike(..) => true,
            Named::AntiAliased(_, plain, _) => named(plain).is_none_or(|plain| plain.may_be(architecture)),
            Named::Other(_) => false,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Named::Supported(name) | Named::LookAlike(name, _) | Named::AntiAliased(name, ..) | Named::Other(name) => {
                name
            }
        }
    }
}

/// Whether two networks differ only in widths, stem and head.
fn alike(a: &Architecture, b: &Architecture) -> bool {
    match (a, b) {
        (Architecture::ResNet(a), Architecture::ResNet(b)) => {
            let depths = |net: &ResNet| net.stages.iter().map(Vec::len).collect::<Vec<_>>();
            let gate = |net: &ResNet| net.stages.iter().flatten().find_map(|block| Some(block.gate?.name()));
            (a.legacy, a.norm) == (b.legacy, b.norm)
                && a.has_bottlenecks() == b.has_bottlenecks()
                && depths(a) == depths(b)
                && gate(a) == gate(b)
        }
        (Architecture::DenseNet(a), Architecture::DenseNet(b)) => a.blocks == b.blocks,
        (Architecture::Variant(a), Architecture::Variant(b)) => a.body == b.body,
        (Architecture::RegNet(a), Architecture::RegNet(b)) => {
            let depths = |net: &RegNet| net.stages.iter().map(Vec::len).collect::<Vec<_>>();
            regnet_table::form(a) == regnet_table::form(b) && depths(a) == depths(b)
        }
        _ => false,
    }
}

/// Whether a configuration's `architecture` is a network of another family in timm, torchvision or transformers.
pub fn is_foreign(architecture: &str) -> bool {
    let architecture = architecture.to_ascii_lowercase();
    FAMILIES.iter().any(|family| architecture.starts_with(family))
}

/// The first network of torchvision or timm whose name is a word in `text`: `resnet50` in `my_resnet50-best`. None if there is no such
/// name.
pub fn named(text: &str) -> Option<Named> {
    let text = text.to_ascii_lowercase();
    let names = Architecture::names();
    let starts = text.char_indices().filter(|&(at, _)| !text[..at].ends_with(|c: char| c.is_ascii_alphanumeric()));
    starts.map(|(at, _)| &text[at..]).find_map(|rest| {
        let word = || rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or(rest).to_string();
        let numbered = |mark: &str, text: &str| {
            text.strip_prefix(mark).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        if let Some((_, feature)) = MARKS.iter().find(|(mark, _)| numbered(mark, rest)) {
            return Some(Named::LookAlike(word(), feature));
        }
        let is_numbered = |plain: &str| {
            let plain = plain.strip_prefix("se").unwrap_or(plain);
            ["resnet", "resnext", "densenet"].iter().any(|family| numbered(family, plain))
        };
        if let Some((kind, plain)) = AntiAliasing::of_network(&word()).filter(|(_, plain)| is_numbered(plain)) {
            return Some(Named::AntiAliased(word(), plain, kind));
        }
        let group_norm = rest.strip_prefix("resnet").is_some_and(|rest| {
            let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            rest.starts_with("_gn")
        });
        let ends = |name: &&String| {
            rest.strip_prefix(name.as_str()).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric()))
        };
        let torchvision = || regnet_table::torchvision().find(|(name, _)| ends(&&(*name).to_string()));
        if let Some((_, name)) = torchvision() {
            return Some(Named::Supported(name.into()));
        }
        let name = names.iter().filter(ends).max_by_key(|name| name.len());
        if (group_norm && name.is_none_or(|name| !name.ends_with("_gn")))
            || (name.is_none() && OTHERS.iter().any(|other| rest.starts_with(other)))
        {
            return Some(Named::Other(word()));
        }
        let name = name?;
        // Gluon's names for variants.
        let variant = ["c", "d", "s"].iter().find(|letter| rest[name.len()..].starts_with(&format!("_v1{letter}")));
        Some(Named::Supported(format!("{name}{}", variant.unwrap_or(&""))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Option<String> {
        named(text).map(|named| named.name().to_string())
    }

    #[test]
    fn names_of_supported_networks_are_found_in_names_of_files() {
        for (text, expected) in [
            ("resnet50.a1_in1k", "resnet50"),
            ("resnet50-11ad3fa6", "resnet50"),
            ("my_ResNet50-best", "resnet50"),
            ("wide_resnet50_2-9ba9bcbe", "wide_resnet50_2"),
            ("tv_resnext50_32x4d", "resnext50_32x4d"),
            ("gluon_resnet50_v1d-818a1b1b", "resnet50d"),
            ("gluon_resnet50_v1b", "resnet50"),
            ("models--timm--densenet121.ra_in1k", "densenet121"),
            ("regnety_008_tv.tv2_in1k", "regnety_008_tv"),
            ("regnet_y_800mf-1b27b58c", "regnety_008_tv"),
        ] {
            assert_eq!(named(text), Some(Named::Supported(expected.into())), "{text}");
        }
    }

    #[test]
    fn look_alikes_are_found_with_what_they_compute() {
        for (text, expected, feature) in [
            ("deeplabv3_resnet50_coco-cd0a2569", "deeplabv3_resnet50_coco", "dilated convolutions"),
            ("fcn_resnet101", "fcn_resnet101", "dilated convolutions"),
        ] {
            assert_eq!(named(text), Some(Named::LookAlike(expected.into(), feature)), "{text}");
        }
        for (text, expected, plain, kind) in [
            ("resnetaa50d.sw_in12k_ft_in1k", "resnetaa50d", "resnet50d", AntiAliasing::Avg),
            ("seresnextaa101d_32x8d.ah", "seresnextaa101d_32x8d", "seresnext101d_32x8d", AntiAliasing::Avg),
            ("best-resnetblur50_epoch3", "resnetblur50_epoch3", "resnet50_epoch3", AntiAliasing::Blur),
            ("densenetblur121d.ra_in1k", "densenetblur121d", "densenet121d", AntiAliasing::Blur),
        ] {
            assert_eq!(named(text), Some(Named::AntiAliased(expected.into(), plain.into(), kind)), "{text}");
        }
        assert_eq!(named("bat_resnext26ts.ch_in1k"), Some(Named::Other("bat_resnext26ts".into())));
    }

    #[test]
    fn personal_names_say_nothing() {
        for text in
            ["model", "best", "resnetaardvark", "presnet50", "resnet50x", "resnet", "aa", "blur-50", "", "résnet50"]
        {
            assert_eq!(name(text), None, "{text}");
        }
    }

    #[test]
    fn a_name_is_compared_with_networks_that_have_one() {
        let resnet18 = Architecture::by_name("resnet18").unwrap();
        let may_be = |text: &str, architecture: &Architecture| named(text).unwrap().may_be(architecture);
        assert!(may_be("resnet18", &resnet18.clone().with_classes(3)) && !may_be("resnet34", &resnet18));
        assert!(
            !may_be("gcresnet50t", &resnet18)
                && !may_be("bat_resnext26ts", &resnet18)
                && !may_be("resnetaa50", &resnet18)
        );
        assert!(may_be("resnetblur18", &resnet18));
    }
}
