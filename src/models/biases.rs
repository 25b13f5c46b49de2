//! Convolutions with a bias. A norm may follow the bias, as in ports from Keras, or the bias stands for a norm that was folded into the
//! weights.

use std::collections::{BTreeMap, BTreeSet};

use super::Shapes;

/// The convolutions of a network that have a bias.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Biases(BTreeMap<String, Bias>);

/// Whether a norm follows the bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bias {
    /// A norm follows.
    WithNorm,
    /// No norm follows: it is folded into the convolution.
    InPlaceOfNorm,
}

impl Biases {
    /// Reads biases from the tensors. Convolutions in gates always have one and are left out.
    pub(super) fn read(shapes: &Shapes) -> Self {
        let modules: BTreeSet<&str> = shapes.keys().filter_map(|name| Some(name.rsplit_once('.')?.0)).collect();
        let biased = shapes.keys().filter_map(|name| {
            let conv = name.strip_suffix(".bias")?;
            let is_conv = shapes.get(&format!("{conv}.weight")).is_some_and(|shape| shape.len() == 4);
            let norm = norm_of(conv).filter(|_| is_conv && !conv.contains(".se.") && !conv.contains(".se_module."))?;
            let bias = if modules.contains(norm.as_str()) { Bias::WithNorm } else { Bias::InPlaceOfNorm };
            Some((conv.to_string(), bias))
        });
        Biases(biased.collect())
    }

    /// The bias of the convolution `name`, if it has one.
    pub(super) fn of(&self, name: &str) -> Option<Bias> {
        self.0.get(name).copied()
    }
}

/// The name of the norm that follows a convolution.
fn norm_of(conv: &str) -> Option<String> {
    let (front, last) = conv.rsplit_once('.').unwrap_or(("", conv));
    let name = |norm: String| if front.is_empty() { norm } else { format!("{front}.{norm}") };
    match (front, last) {
        // The last convolution of a deep stem.
        ("conv1", "6") => Some("bn1".into()),
        ("features", "conv0") => Some("features.norm0".into()),
        // A dense layer begins with its first norm.
        (front, "conv1") if front.starts_with("features.") => Some(name("norm2".into())),
        (front, _) if front.starts_with("features") => None,
        // In the spelling of timm's RegNets.
        (_, "conv") => Some(name("bn".into())),
        (_, last) => match last.strip_prefix("conv") {
            Some(number) => Some(name(format!("bn{number}"))),
            None => last.parse::<u16>().ok().map(|number| name((number + 1).to_string())),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bias_stands_beside_a_norm_or_in_its_place() {
        let conv = |name: &str| [(format!("{name}.weight"), vec![8, 3, 3, 3]), (format!("{name}.bias"), vec![8])];
        let names =
            ["conv1", "layer1.0.conv2", "layer2.0.downsample.0", "layer1.0.se.fc1", "conv1.6", "features.conv0"];
        let mut shapes: Shapes = names.iter().flat_map(|name| conv(name)).collect();
        shapes.insert("layer1.0.bn2.weight".into(), vec![8]);
        shapes.insert("fc.weight".into(), vec![10, 8]);
        shapes.insert("fc.bias".into(), vec![10]);
        let biases = Biases::read(&shapes);
        let of = |name: &str| biases.of(name);
        assert_eq!(of("layer1.0.conv2"), Some(Bias::WithNorm));
        for name in ["conv1", "conv1.6", "layer2.0.downsample.0", "features.conv0"] {
            assert_eq!(of(name), Some(Bias::InPlaceOfNorm), "{name}");
        }
        for name in ["layer1.0.se.fc1", "fc", "layer1.0.conv1"] {
            assert_eq!(of(name), None, "{name}");
        }
        assert_eq!(
            norm_of("features.denseblock1.denselayer2.conv1").unwrap(),
            "features.denseblock1.denselayer2.norm2"
        );
        assert_eq!(norm_of("features.transition1.conv"), None);
        assert_eq!(norm_of("s1.b1.downsample.conv").unwrap(), "s1.b1.downsample.bn");
    }
}
