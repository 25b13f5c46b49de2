//! Compares the tensors that a network's graph reads with a checkpoint's.

use super::{Architecture, Shapes, extra};
use crate::{Error, Result, graph::Graph};

/// How many names an error lists.
const LISTED: usize = 10;

impl Architecture {
    /// Compares the tensors that `graph` reads with the checkpoint's, and returns the names of those that lie beside the network.
    ///
    /// # Errors
    /// [`Error::MissingTensor`], [`Error::TensorShape`], and [`Error::UnexpectedTensor`] for tensors inside the network's modules;
    /// [`Error::UnknownArchitecture`] with all differences if there are several kinds.
    pub(crate) fn extra<'a>(&self, model: &str, shapes: &'a Shapes, graph: &Graph) -> Result<Vec<&'a str>> {
        let expected: Shapes = graph.tensors().into_iter().collect();
        let missing: Vec<&str> =
            expected.keys().filter(|name| !shapes.contains_key(*name)).map(String::as_str).collect();
        let misshapen: Vec<_> = expected
            .iter()
            .filter_map(|(name, expected)| {
                Some((name, expected, shapes.get(name).filter(|got| !same_shape(expected, got))?))
            })
            .collect();
        let beyond = shapes.keys().filter(|name| !expected.contains_key(*name)).map(String::as_str);
        let headless = self.head().is_none();
        let (beside, inside) =
            extra::beside(graph, beyond.filter(|name| !(headless && extra::is_head(name))).collect());

        let differs = [missing.len(), misshapen.len(), inside.len()].into_iter().filter(|count| *count > 0).count();
        if differs > 1 {
            let mut parts = Vec::new();
            if !missing.is_empty() {
                parts.push(format!("{} missing ({})", missing.len(), list(&missing)));
            }
            if !inside.is_empty() {
                parts.push(format!("{} too many ({})", inside.len(), list(&inside)));
            }
            if let [(name, expected, got), ..] = &misshapen[..] {
                let first = format!("the first is {name}, {got:?} in place of {expected:?}");
                parts.push(format!("{} of another shape ({first})", misshapen.len()));
            }
            let reason = format!("closest is {}, from which its tensors differ: {}", self.name(), parts.join(", "));
            return Err(Error::UnknownArchitecture { model: model.into(), reason });
        }
        if !missing.is_empty() {
            return Err(Error::MissingTensor {
                model: model.into(),
                architecture: self.name(),
                count: missing.len(),
                names: list(&missing),
            });
        }
        if let Some((name, expected, got)) = misshapen.first() {
            return Err(Error::TensorShape {
                model: model.into(),
                tensor: (*name).clone(),
                expected: (*expected).clone(),
                got: (*got).clone(),
            });
        }
        if let Some((name, shape)) = expected.iter().find(|(_, shape)| shape.contains(&0)) {
            let reason = format!("tensor {name} of shape {shape:?} is empty");
            return Err(Error::UnknownArchitecture { model: model.into(), reason });
        }
        let why = "they may be a part of the network, and leaving them out may change its results";
        self.unexpected(model, &inside, why)?;
        let left = shapes
            .keys()
            .filter(|name| headless && extra::is_head(name) && !expected.contains_key(*name))
            .map(String::as_str);
        Ok(beside.into_iter().chain(left).collect())
    }

    /// Refuses `extra` tensors, which lie beside the network, if they may be another head.
    ///
    /// # Errors
    /// [`Error::UnexpectedTensor`].
    pub fn refuse_extra(&self, model: &str, extra: &[&str]) -> Result<()> {
        let doubtful = extra.iter().filter(|name| self.head().is_some() && extra::is_doubtful(name));
        self.unexpected(model, &doubtful.copied().collect::<Vec<_>>(), "they may be the intended head")
    }

    /// Refuses tensors `outside` of the network's prefix, unless they are known to take no part in it or the network has no head.
    ///
    /// # Errors
    /// [`Error::UnexpectedTensor`].
    pub(crate) fn refuse_outside(&self, model: &str, outside: &[&str]) -> Result<()> {
        let doubtful = outside.iter().filter(|name| self.head().is_some() && !extra::is_beside(name));
        let why = "they lie beside the network and may change its results; to use the network without them, name it as a part";
        self.unexpected(model, &doubtful.copied().collect::<Vec<_>>(), why)
    }

    /// Returns [`Error::UnexpectedTensor`] if there are any `names`.
    fn unexpected(&self, model: &str, names: &[&str], why: &str) -> Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        Err(Error::UnexpectedTensor {
            model: model.into(),
            architecture: self.name(),
            count: names.len(),
            names: format!("{}: {why}", list(names)),
        })
    }
}

/// Whether a tensor of shape `got` can be used as `expected`: a linear layer and a 1x1 convolution have the same weights.
fn same_shape(expected: &[usize], got: &[usize]) -> bool {
    let ones = |long: &[usize], short: &[usize]| {
        long.len() == 4 && short.len() == 2 && long[..2] == *short && long[2..] == [1, 1]
    };
    expected == got || ones(got, expected) || ones(expected, got)
}

fn list(names: &[&str]) -> String {
    let more = if names.len() > LISTED { ", ..." } else { "" };
    format!("{}{more}", names[..names.len().min(LISTED)].join(", "))
}
