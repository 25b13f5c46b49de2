//! Networks that resemble a supported one and compute something else.

use super::Shapes;
use crate::{Error, Result};

/// The feature that gives a look-alike away in its tensors.
pub(super) fn feature(shapes: &Shapes) -> Option<&'static str> {
    let has = |name: &str| shapes.contains_key(name);
    let any = |parts: &[&str]| shapes.keys().any(|name| parts.iter().any(|part| name.contains(part)));
    let three_by_three =
        |end: &str| shapes.iter().any(|(name, shape)| name.ends_with(end) && matches!(shape[..], [_, _, 3, 3]));
    let no_statistics = has("bn1.weight") && has("bn1.bias") && !any(&["running_mean", "running_var"]);
    let marks = [
        (has("conv1.0.0.weight"), "a stem of convolutions that are sequences themselves"),
        (has("layer0.conv1.weight") || any(&[".se_module."]), "the legacy SENet (legacy_seresnet, legacy_senet)"),
        (any(&[".se_layer."]), "squeeze-and-excitation of another spelling than timm's se.fc1 and se.fc2"),
        (any(&[".se.conv.", ".eca."]), "efficient channel attention (ecaresnet)"),
        (
            any(&[".attn.", ".attention.", ".cbam.", ".gc.", ".se.channel.", ".se.spatial.", ".se.fc.", ".se.conv_"]),
            "an attention module (cbam, gcresnet, RegNetY)",
        ),
        (three_by_three(".downsample.0.weight"), "3x3 convolutions in shortcuts (senet154)"),
        (no_statistics, "group normalisation (resnet50_gn)"),
        (any(&[".aa.", ".filt", "blurpool", "blur_pool"]), "blur pooling (resnetblur, densenetblur)"),
        (any(&["stem.conv.", "stem.conv1."]), "a stem of resnetv2, RegNet or ReXNet"),
        (any(&["embedder.embedder."]), "an embedder of RegNet"),
        (
            any(&["patch_embeddings.", "patch_embed.", "downsample_layers.", "dwconv.", "conv_dw."]),
            "ConvNeXt or a transformer",
        ),
        (has("features.conv1.weight"), "a deep stem of several convolutions (densenet*d)"),
        (any(&[".ibn", ".IN.", ".BN."]), "instance normalisation in blocks (resnet*_ibn)"),
        (
            any(&[".conv2.fc1.", ".conv2.conv.weight", ".conv2.conv_kxk."]),
            "split attention or selective kernels (resnest, skresnet)",
        ),
        (any(&[".conv2_offset.", ".offset."]), "deformable convolution"),
    ];
    marks.into_iter().find_map(|(found, feature)| found.then_some(feature))
}

/// Compares the architecture that a configuration declares with what the tensors cannot show: timm's blur-pool and
/// anti-aliased ResNets have the very tensors of plain ones. `model` is its name in messages.
///
/// # Errors
/// [`Error::UnknownArchitecture`] for such a name. A name that is unknown passes: the tensors decide.
pub fn check_declared(model: &str, architecture: &str) -> Result<()> {
    let marks = [
        ("resnetblur", "blur pooling"),
        ("densenetblur", "blur pooling"),
        ("resnetaa", "anti-aliasing by average pooling"),
        ("resnextaa", "anti-aliasing by average pooling"),
    ];
    match marks.iter().find(|(mark, _)| architecture.contains(mark)) {
        Some((_, feature)) => Err(Error::UnknownArchitecture {
            model: model.into(),
            reason: format!(
                "config declares {architecture}: {feature} is not supported; supported are {}",
                super::SUPPORTED
            ),
        }),
        None => Ok(()),
    }
}
