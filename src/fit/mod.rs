//! Your own classes: a network with another head.

mod file;

use crate::{
    Classifier, Error, Labels, Result,
    checkpoint::Stored,
    graph::{Graph, Op, Plain},
    labels::Scoring,
    learn::Head,
    models,
    network::Network,
};

impl Classifier {
    /// Makes a classifier of the same network, on the same device, with another head, which was fitted to the features of
    /// [`Classifier::embed`]. The scores are shares of one; with `several` each class is scored separately; a head of
    /// [`neighbours`](crate::learn::neighbours) gives shares of the nearest images. Both classifiers share the weights in the CPU's
    /// memory. The first call uploads them to the device again.
    ///
    /// # Errors
    /// [`Error::Shape`] if the head is not for the network's features, or if there are not as many `labels` as classes;
    /// [`Error::TensorValue`] if a number in it is not finite.
    pub fn with_head(&self, head: &Head, labels: &[String], several: bool) -> Result<Classifier> {
        let (network, features, classes) = (self.network(), self.model().features, labels.len());
        let Head { weights, biases, neighbours } = head;
        let rows = neighbours.as_ref().map_or(classes, |neighbours| neighbours.of.len());
        let of_classes = neighbours.as_ref().map_or(classes, |neighbours| neighbours.classes());
        if biases.len() != rows || weights.len() != rows * features || of_classes != classes || classes == 0 {
            let (rows, numbers) = (biases.len(), weights.len());
            let reason =
                format!("a head of {rows} rows and {numbers} weights for {classes} classes and {features} features");
            return Err(Error::Shape { node: "head".into(), reason });
        }
        let name = head_name(network.graph());
        let graph = network.graph().with_head(&name, features, rows);
        let names = graph.tensors();
        let [(weight, _), (bias, _)] = &names[names.len() - 2..] else {
            unreachable!("a linear layer has two tensors")
        };
        let InFile { weight: weight_in_file, bias: bias_in_file, ones } = InFile::of(network, weight, bias);
        let shape = [vec![rows, features], vec![1; ones]].concat();
        let tensors = vec![
            (weight.clone(), Stored::f32(weight_in_file, shape, weights)),
            (bias.clone(), Stored::f32(bias_in_file, vec![rows], biases)),
        ];
        let is_read = |name: &str| names.iter().any(|(read, _)| read == name);
        let checkpoint = network.checkpoint().with_tensors(tensors, is_read);
        checkpoint.tensor(weight, &[rows, features])?;
        checkpoint.tensor(bias, &[rows])?;
        let mut model = self.model().clone();
        let shapes = graph.infer_shapes(self.input_shape(1))?;
        model.parameters = models::parameters(&graph);
        model.macs = models::macs(&graph, &shapes);
        model.tensors = checkpoint.shapes().len();
        model.published_top1 = None;
        model.classes = classes;
        model.labels = Labels::new(labels.into());
        model.scoring = match neighbours {
            Some(neighbours) => Scoring::Neighbours(neighbours.clone()),
            None if several || classes == 1 => Scoring::Sigmoid,
            None => Scoring::Softmax,
        };
        Ok(self.with_network(Network::new(graph, checkpoint), model))
    }
}

/// The name of a network's head; for a network without a head, the name that its family gives it.
fn head_name(graph: &Graph) -> String {
    let last = &graph.nodes()[graph.output().0];
    if matches!(last.op, Op::Plain { op: Plain::Linear { .. }, .. }) {
        return last.name.clone();
    }
    let starts = |module: &str| graph.tensors().iter().any(|(name, _)| name.starts_with(module));
    let heads = [("features.", "classifier"), ("stem.", "head.fc")];
    heads.into_iter().find(|(module, _)| starts(module)).map_or("fc", |(_, head)| head).into()
}

/// Where timm puts the head of a network without one: a module of the network, the head, and the trailing ones of its weight's shape.
const HEADS: [(&str, &str, usize); 7] = [
    ("base_layer.", "fc", 2),
    ("incre_modules.", "classifier", 0),
    ("layer0.", "last_linear", 0),
    ("body.", "head.fc", 0),
    ("norm.", "head.fc", 2),
    ("stem.", "head.fc", 0),
    ("features.", "classifier", 0),
];

/// A head's tensors as the network's file spells them.
struct InFile {
    weight: String,
    bias: String,
    /// The trailing ones in the weight's shape: two if the head is stored as a 1x1 convolution, as timm's ResNetV2 and DLA store it.
    ones: usize,
}

impl InFile {
    fn of(network: &Network, weight: &str, bias: &str) -> Self {
        let stored = || network.checkpoint().stored();
        let spelled =
            |wanted: &str| stored().find(|(canonical, _)| *canonical == Some(wanted)).map(|(_, tensor)| tensor);
        if let Some(old) = spelled(weight) {
            let of_weight = || old.name.strip_suffix("weight").map(|stem| format!("{stem}bias"));
            let bias_in_file = spelled(bias).map(|tensor| tensor.name).or_else(of_weight);
            let ones = old.shape.len().saturating_sub(2);
            return InFile { bias: bias_in_file.unwrap_or_else(|| bias.into()), weight: old.name, ones };
        }
        let starts = |module: &str| stored().any(|(_, tensor)| tensor.name.starts_with(module));
        match HEADS.into_iter().find(|(module, ..)| starts(module)) {
            Some((_, head, ones)) => InFile { weight: format!("{head}.weight"), bias: format!("{head}.bias"), ones },
            None => InFile { weight: weight.into(), bias: bias.into(), ones: 0 },
        }
    }
}
