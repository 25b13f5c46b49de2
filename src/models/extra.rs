//! Tensors that a recognised network has no place for: parts of another network, which computes something else, or things that only
//! lie beside it.

use std::collections::BTreeSet;

use super::{Architecture, list};
use crate::{Error, Result};

/// Names of modules, less their numbers, that take part in what a network computes wherever they stand in it: stems, norms,
/// activations, poolings, gates, stages.
const PARTS: [&str; 37] = [
    "act",
    "attention",
    "attn",
    "attnpool",
    "avgpool",
    "block",
    "blocks",
    "bn",
    "bnneck",
    "bottleneck",
    "ca",
    "cbam",
    "conv",
    "downsample",
    "eca",
    "features",
    "gate",
    "gem",
    "global_pool",
    "gn",
    "in",
    "layer",
    "layers",
    "ln",
    "maxpool",
    "norm",
    "pool",
    "pooler",
    "pooling",
    "pos_embed",
    "prelu",
    "relu",
    "sa",
    "se",
    "shortcut",
    "stage",
    "stem",
];

/// Prefixes under which a whole network may lie: what follows them is looked at instead.
const HOLDERS: [&str; 6] = ["module", "_orig_mod", "model", "backbone", "timm_model", "state_dict"];

/// Those of `extra` that lie beside the network of `architecture`, if all do: heads, projectors, queues, copies, states of training.
///
/// # Errors
/// [`Error::UnexpectedTensor`] with those that lie inside one of its modules, or are one more.
pub(super) fn beside<'a>(model: &str, architecture: &Architecture, extra: Vec<&'a str>) -> Result<Vec<&'a str>> {
    if extra.is_empty() {
        return Ok(extra);
    }
    let graph = architecture.graph();
    let tensors = graph.tensors();
    let names =
        tensors.iter().map(|(name, _)| name.as_str()).chain(graph.nodes().iter().map(|node| node.name.as_str()));
    let modules: BTreeSet<&str> = names.map(|name| unnumbered(outermost(name))).collect();
    let inside = |name: &&&str| {
        let module = unnumbered(outermost(name));
        modules.contains(module) || PARTS.contains(&module)
    };
    let inside: Vec<&str> = extra.iter().filter(inside).copied().collect();
    if inside.is_empty() {
        return Ok(extra);
    }
    Err(Error::UnexpectedTensor {
        model: model.into(),
        architecture: architecture.name(),
        count: inside.len(),
        names: format!("{}: they belong inside it, so it is another network", list(&inside)),
    })
}

/// The outermost module of a tensor that says more than that it holds a network.
fn outermost(name: &str) -> &str {
    name.split('.').find(|module| !HOLDERS.contains(module)).unwrap_or(name)
}

/// `layer` of `layer5`, and `fc` of `fc_2`.
fn unnumbered(module: &str) -> &str {
    match module.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('_') {
        "" => module,
        name => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuses(architecture: &str, extra: &str) -> bool {
        beside("test", &Architecture::by_name(architecture).unwrap(), vec![extra]).is_err()
    }

    #[test]
    fn what_lies_inside_a_network_is_refused() {
        for extra in [
            "conv1.bias",
            "layer1.0.conv1.bias",
            "layer2.1.fc1.weight",
            "layer3.0.gate",
            "layer4.9.conv1.weight",
            "layer5.0.conv1.weight",
            "bn2.weight",
            "conv2.weight",
            "bn.weight",
            "relu.weight",
            "maxpool.0.weight",
            "avgpool.p",
            "fc.scale",
            "fc2.weight",
            "gem.p",
            "ca.fc1.weight",
            "model.sa.conv1.weight",
            "attnpool.positional_embedding",
            "downsample.0.weight",
        ] {
            assert!(refuses("resnet18", extra), "{extra}");
        }
        for extra in ["features.norm6.weight", "features.denseblock4.gate", "classifier.1.weight", "bn.weight"] {
            assert!(refuses("densenet121", extra), "{extra}");
        }
    }

    #[test]
    fn what_lies_beside_a_network_is_not() {
        for extra in [
            "projector.0.weight",
            "predictor.0.bias",
            "head.mlp.0.weight",
            "queue",
            "queue_ptr",
            "ema.decay",
            "ema.layer1.0.conv1.weight",
            "model_ema.module.conv1.weight",
            "encoder_k.conv1.weight",
            "optimizer.state.0",
            "mean",
            "std",
            "criterion.weight",
            "aux_classifier.0.weight",
            "train_acc.tp",
            "prototypes.weight",
        ] {
            assert!(!refuses("resnet18", extra), "{extra}");
        }
    }
}
