//! The problems that kernels compute: extents, places and epilogues, no data.

use serde::{Deserialize, Serialize};

use super::{Residual, Role, View, conv2d::Conv2d, kernel_groups};
use crate::{
    graph::{Conv2dParams, Plain, PoolParams},
    network::{Activation, Gate},
    tensor::Shape,
};

/// A layer as kernels see it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Problem {
    /// A convolution.
    Conv2d(Conv2d),
    /// A residual block of two convolutions of equal extents; this is the second.
    Block(Conv2d),
    /// A window that moves over its input.
    Pool2d(Pool2d),
    /// An operator that is never fused with another.
    Plain(Applied),
    /// A layer that computes each element on its own, or a copy into a concatenation.
    Elementwise(Elementwise),
    /// Normalising eight-bit pixels into the network's input, which has this place.
    Pixels(View),
}

/// Maximum or mean over a window.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Pool2d {
    /// Maximum if true, otherwise mean. Padding never wins a maximum, and does not count in a mean.
    pub max: bool,
    /// Extents.
    pub params: PoolParams,
    /// Apply scale, shift and ReLU to the input.
    pub prologue: bool,
    /// Input.
    pub x: View,
    /// Output.
    pub y: View,
}

/// An operator of one input with the places of its values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Applied {
    /// What it computes.
    pub op: Plain,
    /// Input.
    pub x: View,
    /// Output.
    pub y: View,
}

/// Elementwise work: `activation((scale * x + shift) * gate + residual)`, or with `+ gate`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Elementwise {
    /// First addend; zero if `None`.
    pub x: Option<View>,
    /// Multiply it by a scale and add a shift, one pair for each channel.
    pub affine: bool,
    /// Scale it by, or add, one number for each image and channel.
    pub gate: Option<(Gate, View)>,
    /// Second addend.
    pub residual: Residual,
    /// Applied last.
    pub activation: Activation,
    /// Output.
    pub y: View,
    /// First channel of the output that is written, and number of channels written.
    pub channels: [usize; 2],
}

impl Elementwise {
    /// The copy of `x` into the channels of `y` from `first` on.
    pub fn copy(x: View, y: View, first: usize) -> Self {
        let channels = [first, x.shape.c];
        let (residual, activation) = (Residual::None, Activation::None);
        Elementwise { x: Some(x), affine: false, gate: None, residual, activation, y, channels }
    }
}

impl Problem {
    /// The same problem with each view replaced by `view(role, view)`.
    #[must_use]
    pub fn map_views(mut self, view: impl Fn(Role, View) -> View) -> Self {
        let change = |role, place: &mut View| *place = view(role, *place);
        let added = |residual: &mut Residual| match residual {
            Residual::None => {}
            Residual::Same(place) | Residual::SubsamplePad { view: place, .. } => change(Role::Residual, place),
        };
        let (x, y) = match &mut self {
            Problem::Conv2d(conv) | Problem::Block(conv) => {
                added(&mut conv.residual);
                (Some(&mut conv.x), &mut conv.y)
            }
            Problem::Pool2d(pool) => (Some(&mut pool.x), &mut pool.y),
            Problem::Plain(plain) => (Some(&mut plain.x), &mut plain.y),
            Problem::Elementwise(work) => {
                added(&mut work.residual);
                work.gate.iter_mut().for_each(|(_, place)| change(Role::Gate, place));
                (work.x.as_mut(), &mut work.y)
            }
            Problem::Pixels(y) => (None, y),
        };
        x.into_iter().for_each(|place| change(Role::X, place));
        change(Role::Y, y);
        self
    }

    /// Number of images in the batch.
    pub fn images(&self) -> usize {
        self.output().shape.n
    }

    /// Where the output lies.
    pub fn output(&self) -> View {
        match self {
            Problem::Conv2d(Conv2d { y, .. })
            | Problem::Block(Conv2d { y, .. })
            | Problem::Pool2d(Pool2d { y, .. })
            | Problem::Plain(Applied { y, .. })
            | Problem::Elementwise(Elementwise { y, .. })
            | Problem::Pixels(y) => *y,
        }
    }

    /// The same problem for a batch of `images`.
    #[must_use]
    pub fn of_images(self, images: usize) -> Self {
        self.map_views(|_, view| View { shape: Shape { n: images, ..view.shape }, ..view })
    }

    /// The problem as a convolution, if it is one or a linear layer; the images of a linear layer become the pixels of one image.
    pub fn convolution(&self) -> Option<Conv2d> {
        let row = |view: View| View { shape: Shape::new(1, view.shape.c, 1, view.shape.n), ..view };
        if let Problem::Plain(Applied { op: Plain::Linear { in_features, out_features }, x, y }) = *self {
            let params = Conv2dParams::pointwise(in_features, out_features);
            let (residual, activation) = (Residual::None, Activation::None);
            return Some(Conv2d { params, x: row(x), y: row(y), prologue: false, residual, activation });
        }
        if let Problem::Conv2d(conv) = self { Some(*conv) } else { None }
    }

    /// The problem as a convolution of one group, as kernels see groups; `None` if it is not one.
    pub(super) fn dense(&self) -> Option<Conv2d> {
        self.convolution().filter(|conv| kernel_groups(&conv.params) == 1)
    }

    /// The problem as a convolution of several groups; `None` if it is not one.
    pub(super) fn grouped(&self) -> Option<Conv2d> {
        self.convolution().filter(|conv| kernel_groups(&conv.params) > 1)
    }

    /// Number of terms in the sum of an output.
    pub fn terms(&self) -> usize {
        match self {
            Problem::Conv2d(Conv2d { params, .. }) | Problem::Block(Conv2d { params, .. }) => {
                params.kernel * params.kernel * params.in_channels / params.groups
            }
            Problem::Pool2d(pool) => pool.params.kernel * pool.params.kernel,
            Problem::Plain(Applied { op, x, y }) => match op.tensors().first() {
                Some((_, weight)) => weight.iter().skip(1).product(),
                None => x.shape.pixels() / y.shape.pixels().max(1),
            },
            Problem::Elementwise(_) | Problem::Pixels(_) => 1,
        }
    }
}
