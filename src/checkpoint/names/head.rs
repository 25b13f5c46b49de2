//! Finds the head of a network: inside it under another name, or beside it.

use std::collections::HashMap;

use super::{
    index,
    roots::{Root, boundaries},
};

/// Names of head modules, most certain first.
const HEADS: [&str; 16] = [
    "fc",
    "classifier",
    "head.fc",
    "last_linear",
    "linear",
    "head",
    "output",
    "output_layer",
    "out",
    "logits",
    "classification_head",
    "cls_head",
    "cls",
    "clf",
    "final_fc",
    "top",
];

/// Modules of training without classes. A head beside a network with such a module is a probe of the network's features.
const PROJECTORS: [&str; 8] = [
    "projector",
    "projection_head",
    "projection",
    "predictor",
    "prediction_head",
    "prototypes",
    "momentum_projector",
    "queue",
];

/// The head module below `prefix`: all its tensors belong to layers on vectors, alone or in a sequence.
pub(super) fn module(prefix: &str, shapes: &HashMap<&str, &[usize]>) -> Option<&'static str> {
    HEADS.into_iter().find(|head| {
        let front = format!("{prefix}{head}.");
        let mut tensors = shapes.iter().filter_map(|(name, shape)| Some((name.strip_prefix(front.as_str())?, *shape)));
        let mut any = false;
        tensors.all(|(tail, shape)| {
            any = true;
            is_layer(tail, shape)
        }) && any
    })
}

/// Whether `tail` is `weight`, or `3.weight` in a sequence, and the tensor has at most two dimensions.
fn is_layer(tail: &str, shape: &[usize]) -> bool {
    let part = match tail.split_once('.') {
        Some((number, part)) if index(number).is_some() => part,
        _ => tail,
    };
    let vector = shape.iter().skip(2).all(|extent| *extent == 1);
    vector && matches!(part, "weight" | "bias" | "running_mean" | "running_var")
}

/// Finds a head whose tensors do not have the prefix of `root`. Returns the prefix that they have, and the module that the head becomes.
pub(super) fn beside(root: &Root, shapes: &HashMap<&str, &[usize]>) -> Option<(String, &'static str)> {
    let outside = |name: &&&str| !name.starts_with(&root.prefix);
    let trained_without = shapes.keys().filter(outside).any(|name| {
        boundaries(name).any(|at| {
            let module = name[at..].split('.').next().unwrap_or_default();
            PROJECTORS.contains(&module)
        })
    });
    if root.prefix.is_empty() || trained_without {
        return None;
    }
    let to = root.kind.head();
    let above = boundaries(&root.prefix).rev().filter(|at| *at < root.prefix.len());
    above.map(|at| &root.prefix[..at]).find_map(|above| {
        let own = root.prefix[above.len()..].split('.').next().and_then(index);
        let next = own.map(|number| format!("{above}{}.", number + 1));
        // In fastai's learners, body and head form one sequence.
        let next = next.filter(|next| {
            let mut tails = shapes.iter().filter_map(|(name, shape)| Some((name.strip_prefix(next.as_str())?, *shape)));
            tails.clone().next().is_some() && tails.all(|(tail, shape)| tail.contains('.') && is_layer(tail, shape))
        });
        let named = || module(above, shapes).map(|head| format!("{above}{head}."));
        next.or_else(named).map(|front| (front, to))
    })
}
