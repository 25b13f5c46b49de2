//! Tensors that a recognised network does not read: parts of another network with other results, or tensors that only lie beside the
//! network.

use std::collections::BTreeSet;

use crate::graph::Graph;

/// Outermost modules, without numbers, that lie beside a network and do not change its results: heads of other tasks, training state,
/// copies of the network, counters and normalisation outside of it. Any other module may be a part of the network.
const BESIDE: [&str; 53] = [
    "amp",
    "aux",
    "aux_classifier",
    "auxiliary",
    "auxiliary_head",
    "center",
    "centers",
    "criterion",
    "ema",
    "ema_model",
    "encoder_k",
    "encoder_q",
    "epoch",
    "fpn",
    "key_encoder",
    "loss",
    "loss_fn",
    "losses",
    "lr_scheduler",
    "mean",
    "metric",
    "metrics",
    "model_ema",
    "momentum_classifier",
    "momentum_encoder",
    "momentum_projector",
    "n_averaged",
    "online",
    "online_encoder",
    "optimizer",
    "optimizer_state_dict",
    "optimizers",
    "pixel_mean",
    "pixel_std",
    "prediction_head",
    "predictor",
    "projection",
    "projection_head",
    "projector",
    "prototypes",
    "queue",
    "queue_ptr",
    "roi_heads",
    "rpn",
    "scaler",
    "scheduler",
    "scheduler_state_dict",
    "state",
    "std",
    "step",
    "student",
    "target",
    "teacher",
];

/// Endings of further names of such modules.
const BESIDE_ENDINGS: [&str; 10] =
    ["_acc", "_accuracy", "_ema", "_loss", "_metric", "_optimizer", "_queue", "_scheduler", "_state", "_state_dict"];

/// Prefixes under which a whole network may lie: the module after them counts.
const HOLDERS: [&str; 6] = ["module", "_orig_mod", "model", "backbone", "timm_model", "state_dict"];

/// Modules that may be a second head of the network itself. They are left out only on request.
const DOUBTFUL: [&str; 3] = ["decoder", "head", "heads"];

/// Names of head modules in torchvision's and in timm's spelling.
const HEADS: [&str; 4] = ["fc", "linear", "classifier", "head"];

/// Splits the names in `extra` into those beside the network of `graph` (heads, projectors, queues, copies, training state) and those
/// inside one of its modules or in an additional one.
pub(super) fn beside<'a>(graph: &Graph, extra: Vec<&'a str>) -> (Vec<&'a str>, Vec<&'a str>) {
    if extra.is_empty() {
        return (extra, Vec::new());
    }
    let tensors = graph.tensors();
    let names =
        tensors.iter().map(|(name, _)| name.as_str()).chain(graph.nodes().iter().map(|node| node.name.as_str()));
    let modules: BTreeSet<&str> = names.map(|name| unnumbered(outermost(name))).collect();
    extra
        .into_iter()
        .partition(|name| !modules.contains(unnumbered(outermost(name))) && (is_beside(name) || is_doubtful(name)))
}

/// Whether a tensor never changes the results of a network.
pub(super) fn is_beside(name: &str) -> bool {
    let module = unnumbered(outermost(name));
    let projection = name.contains(".head.mlp.") || name.starts_with("head.mlp.");
    projection || BESIDE.contains(&module) || BESIDE_ENDINGS.iter().any(|ending| module.ends_with(ending))
}

/// Whether a tensor may belong to the intended head.
pub(super) fn is_doubtful(name: &str) -> bool {
    let module = unnumbered(outermost(name));
    !is_beside(name) && (DOUBTFUL.contains(&module) || module.ends_with("_head"))
}

/// Whether a tensor belongs to a head in torchvision's spelling.
pub(super) fn is_head(name: &str) -> bool {
    HEADS.contains(&outermost(name))
}

/// The outermost module of a tensor, without wrappers of the network.
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
        !beside(&graph, vec![extra]).1.is_empty()
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
            "state",
            "std",
            "step",
            "criterion.weight",
            "aux_classifier.0.weight",
            "train_acc.tp",
            "cuda_rng_state",
            "prototypes.weight",
        ] {
            assert!(!refuses("resnet18", extra), "{extra}");
        }
    }
}
