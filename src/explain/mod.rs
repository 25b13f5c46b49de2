//! Class-activation maps: where in a photo the evidence for a class lies.
//!
//! Zhou et al. 2016, "Learning Deep Features for Discriminative Localization", section 2: in a network that ends in global average
//! pooling and a linear layer, the logit of class c is its bias plus the mean over all pixels of `sum over k of w[c][k] F[k][y][x]`,
//! where F is the last feature map. That sum is the map: it is exact and needs no gradients.

#[cfg(feature = "overlay")]
pub mod overlay;

use crate::{
    Error, ModelInfo, Result,
    executor::Executor,
    graph::{Graph, Op, Plain},
    image::Region,
    labels::{Class, Prediction},
    network::Network,
    tensor::Tensor,
};

/// The evidence for one class at each place of a photo.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// The class and its score.
    pub class: Class,
    /// Logit of the class: the mean of the map plus `bias`.
    pub logit: f32,
    /// The head's bias for the class, the same for every photo.
    pub bias: f32,
    /// Rows of the map.
    pub rows: usize,
    /// Columns of the map.
    pub columns: usize,
    /// `rows * columns` values, row by row, in units of the logit; negative ones are evidence against the class.
    pub map: Vec<f32>,
    /// The part of the photo that the map covers, in pixels of the upright photo.
    pub region: Region,
}

impl Explanation {
    /// Value at a point of the photo, bilinear between the centres of the map's cells; `None` outside the region.
    pub fn at(&self, x: f64, y: f64) -> Option<f32> {
        let Region { left, top, width, height } = self.region;
        let (u, v) = ((x - left) / width, (y - top) / height);
        if !(0.0..=1.0).contains(&u) || !(0.0..=1.0).contains(&v) {
            return None;
        }
        let (x0, x1, fx) = between(u, self.columns);
        let (y0, y1, fy) = between(v, self.rows);
        let row = |y: usize| {
            let (a, b) = (self.map[y * self.columns + x0], self.map[y * self.columns + x1]);
            a + (b - a) * fx
        };
        let (upper, lower) = (row(y0), row(y1));
        Some(upper + (lower - upper) * fy)
    }

    /// Centre of the map's largest cell, as x and y in the photo.
    pub fn peak(&self) -> (f64, f64) {
        let first_largest = |best: usize, i: usize| if self.map[i] > self.map[best] { i } else { best };
        let at = (0..self.map.len()).fold(0, first_largest);
        let centre =
            |cell: usize, cells: usize, start: f64, extent: f64| start + (cell as f64 + 0.5) / cells as f64 * extent;
        let Region { left, top, width, height } = self.region;
        (centre(at % self.columns, self.columns, left, width), centre(at / self.columns, self.rows, top, height))
    }
}

/// The two cells whose centres enclose `place` in 0..1, and its distance from the first as a fraction of their distance.
fn between(place: f64, cells: usize) -> (usize, usize, f32) {
    let at = (place * cells as f64 - 0.5).clamp(0.0, (cells - 1) as f64);
    let first = at as usize;
    (first, (first + 1).min(cells - 1), (at - first as f64) as f32)
}

/// Computes class-activation maps on the device of `executor`.
pub(crate) fn maps_of(executor: &dyn Executor) -> Result<Box<dyn Executor>> {
    let from = executor.network();
    let graph = from.graph().class_maps().ok_or_else(|| no_maps(from.graph()))?;
    Ok(executor.with_network(Network::new(graph, from.checkpoint().clone())))
}

fn no_maps(graph: &Graph) -> Error {
    Error::NoClassMaps { node: graph.nodes()[graph.output().0].name.clone() }
}

/// Biases of the head, one per output.
pub(crate) fn biases(network: &Network, outputs: usize) -> Result<Vec<f32>> {
    let head = network.graph().nodes().last().map(|node| &node.op);
    if let Some(Op::Plain { op: Plain::Linear { .. }, weights }) = head
        && let Some(bias) = weights.get(1)
    {
        return Ok(network.checkpoint().tensor(bias, &[outputs])?.into_owned());
    }
    Ok(vec![0.0; outputs])
}

/// The map of `class`, or of the best class, from the maps `[1, outputs, h, w]` of all outputs.
pub(crate) fn explanation(
    maps: &Tensor,
    biases: &[f32],
    model: &ModelInfo,
    class: Option<usize>,
    region: Region,
) -> Result<Explanation> {
    let planes: Vec<&[f32]> = maps.data.chunks_exact(maps.shape.pixels()).collect();
    let mean = |plane: &[f32]| plane.iter().map(|&value| f64::from(value)).sum::<f64>() / plane.len() as f64;
    let logits: Vec<f32> =
        planes.iter().zip(biases).map(|(plane, &bias)| (mean(plane) + f64::from(bias)) as f32).collect();
    let ranked = Prediction::new(model.scoring.scores(&logits), model.labels.clone()).top(model.classes);
    let wanted = class.or_else(|| Some(ranked.first()?.index));
    let found = ranked.into_iter().find(|class| Some(class.index) == wanted);
    let of_output = found.and_then(|class| Some((model.scoring.logit_of(class.index, &logits)?, class)));
    let (output, class) = of_output.ok_or_else(|| {
        let (value, expected) = (class.unwrap_or_default().to_string(), format!("a class below {}", model.classes));
        Error::config_value("option", "class", value, expected)
    })?;
    Ok(Explanation {
        logit: logits[output],
        bias: biases[output],
        rows: maps.shape.h,
        columns: maps.shape.w,
        map: planes[output].to_vec(),
        region,
        class,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::Labels;

    fn explanation() -> Explanation {
        Explanation {
            class: Prediction::new(vec![1.0], Labels::new(Vec::new())).top(1).remove(0),
            logit: 0.0,
            bias: 0.0,
            rows: 2,
            columns: 3,
            map: vec![0.0, 1.0, 2.0, 3.0, 9.0, 5.0],
            region: Region { left: 30.0, top: 10.0, width: 60.0, height: 40.0 },
        }
    }

    #[test]
    fn points_of_the_photo_find_their_place_in_the_map() {
        let explanation = explanation();
        assert_eq!(explanation.peak(), (60.0, 40.0));
        assert_eq!(explanation.at(60.0, 40.0), Some(9.0));
        assert_eq!(explanation.at(40.0, 20.0), Some(0.0));
        assert_eq!(explanation.at(50.0, 20.0), Some(0.5));
        assert_eq!(explanation.at(40.0, 30.0), Some(1.5));
        assert_eq!(explanation.at(30.0, 50.0), Some(3.0), "flat beyond the outermost centres");
        assert_eq!((explanation.at(29.9, 20.0), explanation.at(40.0, 50.1)), (None, None));
    }
}
