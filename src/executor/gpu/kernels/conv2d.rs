//! A convolution as its kernels see it: 2-D cross-correlation with bias, residual and activation in the epilogue, and optionally
//! a batch norm and ReLU on the input in the prologue. Also what its kernels share: uniform block, bindings, parts of shaders.

use bytemuck::{Pod, Zeroable};
use serde::{Deserialize, Serialize};

use super::{Array, Binding, Dispatch, KernelKey, Packing, Residual, Role, Shader, Types, View, kernel_groups};
use crate::{graph::Conv2dParams, network::Activation};

pub(super) const BINDINGS: &[Binding] = &[
    Binding::Uniform(size_of::<Conv2dDims>() as u64),
    Binding::Read,
    Binding::Read,
    Binding::Read,
    Binding::Read,
    Binding::Read,
    Binding::Write,
];
pub(super) const SHARED: &str = include_str!("../../../../shaders/lib/conv2d.wgsl");

/// Uniform block of the kernels; see `shaders/lib/conv2d.wgsl`. Channel counts are in fours unless said otherwise.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
#[allow(missing_docs, reason = "the fields are those of the WGSL block of the same name, described there")]
pub struct Conv2dDims {
    pub h: u32,
    pub w: u32,
    pub c4: u32,
    pub x_stride: u32,
    pub oh: u32,
    pub ow: u32,
    pub oc4: u32,
    pub y_stride: u32,
    pub x_offset: u32,
    pub y_offset: u32,
    pub pixels: u32,
    pub kernel: u32,
    pub stride: u32,
    pub padding: u32,
    pub activation: u32,
    pub r_stride: u32,
    pub r_offset: u32,
    pub r_h: u32,
    pub r_w: u32,
    pub r_step: u32,
    pub r_before: u32,
    pub r_channels: u32,
    pub group_c4: u32,
    pub group_oc4: u32,
    pub tiles_w: u32,
    pub tiles_h: u32,
    pub tiles: u32,
    pub slice: u32,
    pub dilation: u32,
    pub pad: [u32; 3],
}

/// A convolution to compute: shapes, places, prologue and epilogue, no data.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Conv2d {
    /// Extents. With several groups, a group's input and output channels are multiples of four (see [`super::kernel_groups`]).
    pub params: Conv2dParams,
    /// Input.
    pub x: View,
    /// Output.
    pub y: View,
    /// Apply scale, shift and ReLU to the input.
    pub prologue: bool,
    /// Second addend.
    pub residual: Residual,
    /// Applied last.
    pub activation: Activation,
}

impl Conv2d {
    /// Output pixels of the whole batch: the rows of the implicit matrix product.
    pub fn pixels(&self) -> usize {
        self.y.pixels()
    }

    /// Multiply-accumulates of direct convolution, whatever the kernel does.
    pub fn macs(&self) -> u64 {
        self.pixels() as u64 * self.params.weight_shape().iter().product::<usize>() as u64
    }

    /// The uniform block.
    pub fn dims(&self) -> Conv2dDims {
        let (r, r_step, r_before) = match self.residual {
            Residual::SubsamplePad { view, step, before } => (view, step, before),
            Residual::Same(view) => (view, 1, 0),
            Residual::None => (View::whole(self.y.shape), 0, 0),
        };
        let (x, y, params) = (self.x.shape, self.y.shape, self.params);
        let groups = kernel_groups(&params) as u32;
        Conv2dDims {
            h: x.h as u32,
            w: x.w as u32,
            c4: self.x.c4(),
            x_stride: self.x.stride,
            oh: y.h as u32,
            ow: y.w as u32,
            oc4: self.y.c4(),
            y_stride: self.y.stride,
            x_offset: self.x.offset,
            y_offset: self.y.offset,
            pixels: self.pixels() as u32,
            kernel: params.kernel as u32,
            stride: params.stride as u32,
            padding: params.padding as u32,
            activation: self.activation as u32,
            r_stride: r.stride,
            r_offset: r.offset,
            r_h: r.shape.h as u32,
            r_w: r.shape.w as u32,
            r_step: r_step as u32,
            r_before: r_before as u32,
            r_channels: r.shape.c as u32,
            group_c4: self.x.c4() / groups,
            group_oc4: self.y.c4() / groups,
            tiles_w: 0,
            tiles_h: 0,
            tiles: 0,
            slice: 0,
            dilation: params.dilation as u32,
            pad: [0; 3],
        }
    }

    /// Values of the shaders' overrides PROLOGUE and SUBSAMPLED.
    pub(super) fn overrides(&self) -> Vec<(&'static str, u32)> {
        vec![("PROLOGUE", self.prologue as u32), self.subsampled()]
    }

    /// Value of the shaders' override SUBSAMPLED.
    pub(super) fn subsampled(&self) -> (&'static str, u32) {
        ("SUBSAMPLED", matches!(self.residual, Residual::SubsamplePad { .. }) as u32)
    }

    /// Computes all of it in one dispatch of `shader`, which reads weights in this packing. `overrides` are only this shader's.
    pub(super) fn whole(
        &self,
        shader: &'static Shader,
        types: Types,
        packing: Packing,
        consts: Vec<(&'static str, u32)>,
        overrides: &[(&'static str, u32)],
        grid: [u32; 3],
    ) -> Dispatch {
        let weights = Role::Weights(Array::Weights(packing));
        Dispatch {
            key: KernelKey { shader, types, consts, overrides: [&self.overrides(), overrides].concat() },
            uniform: bytemuck::bytes_of(&self.dims()).to_vec(),
            grid,
            operands: vec![Role::X, weights, BIAS, Role::Residual, AFFINE, Role::Y],
            macs: self.macs(),
        }
    }
}

pub(super) const BIAS: Role = Role::Weights(Array::Bias);
pub(super) const AFFINE: Role = Role::Weights(Array::Affine);
