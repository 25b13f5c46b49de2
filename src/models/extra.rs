//! Tensors that a recognised network has no place for: parts of another network, which computes something else, or things that only
//! lie beside it.

use std::collections::BTreeSet;

use super::list;
use crate::{Error, Result, graph::Graph};

/// Names of outermost modules, less their numbers, that lie beside a network and take no part in what it computes: heads of other
/// tasks, what trains it, copies of it, and what counts or normalises outside of it. Whatever is not among them may be a part.
const BESIDE: [&str; 44] = [
    "aux",
    "aux_classifier",
    "auxiliary",
    "auxiliary_head",
    "center",
    "centers",
    "criterion",
    "decode_head",
    "decoder",
    "ema",
    "ema_model",
    "encoder_k",
    "encoder_q",
    "fpn",
    "head",
    "heads",
    "key_encoder",
    "loss",
    "lr_scheduler",
    "mean",
    "metric",
    "metrics",
    "model_ema",
    "momentum_encoder",
    "online",
    "online_encoder",
    "optimizer",
    "optimizers",
    "pixel_mean",
    "pixel_std",
    "predictor",
    "projection",
    "projection_head",
    "projector",
    "prototypes",
    "queue",
    "queue_ptr",
    "roi_heads",
    "rpn",
    "scheduler",
    "std",
    "student",
    "target",
    "teacher",
];

/// How further names of such modules end.
const BESIDE_ENDINGS: [&str; 7] = ["_acc", "_accuracy", "_ema", "_head", "_loss", "_metric", "_queue"];

/// Prefixes under which a whole network may lie: what follows them is looked at instead.
const HOLDERS: [&str; 6] = ["module", "_orig_mod", "model", "backbone", "timm_model", "state_dict"];

/// Those of `extra` that lie beside the network of `graph`, if all do: heads, projectors, queues, copies, states of training.
///
/// # Errors
/// [`Error::UnexpectedTensor`] with those that lie inside one of its modules, or are one more.
pub(super) fn beside<'a>(model: &str, architecture: &str, graph: &Graph, extra: Vec<&'a str>) -> Result<Vec<&'a str>> {
    if extra.is_empty() {
        return Ok(extra);
    }
    let tensors = graph.tensors();
    let names =
        tensors.iter().map(|(name, _)| name.as_str()).chain(graph.nodes().iter().map(|node| node.name.as_str()));
    let modules: BTreeSet<&str> = names.map(|name| unnumbered(outermost(name))).collect();
    let inside = |name: &&&str| {
        let module = unnumbered(outermost(name));
        let known = BESIDE.contains(&module) || BESIDE_ENDINGS.iter().any(|ending| module.ends_with(ending));
        modules.contains(module) || !known
    };
    let inside: Vec<&str> = extra.iter().filter(inside).copied().collect();
    if inside.is_empty() {
        return Ok(extra);
    }
    Err(Error::UnexpectedTensor {
        model: model.into(),
        architecture: architecture.into(),
        count: inside.len(),
        names: format!(
            "{}: they may be a part of the network, which would compute something else without them",
            list(&inside)
        ),
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
    use crate::models::Architecture;

    fn refuses(architecture: &str, extra: &str) -> bool {
        let graph = Architecture::by_name(architecture).unwrap().graph();
        beside("test", architecture, &graph, vec![extra]).is_err()
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
            "layer4_2.0.conv1.weight",
            "layer4a.0.conv1.weight",
            "LAYER3.0.conv1.weight",
            "res5.0.conv1.weight",
            "stages.4.0.conv1.weight",
            "non_local.theta.weight",
            "spatial_attention.conv.weight",
            "neck.conv.weight",
            "stn.fc.weight",
            "temperature",
            "logit_scale",
            "normalize.mean",
            "backbone.extra.weight",
            "resnet.gate.weight",
            "resnet.encoder.extra.weight",
            "classifier.2.weight",
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
