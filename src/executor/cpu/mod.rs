//! Computes a network without a GPU: its fused layers run on the processor's vector units, on all cores, in f32.
//!
//! Values lie in blocks of sixteen channels (`lanes`), weights in strips (`weights`), both in memory of `buffer`. The tasks of a layer are
//! shared by `threads`. A convolution multiplies panels of inputs
//! (`panel`) by strips of weights, in tiles whose sums stay in registers (`tile`). A [`plan`] says where every value lies and in
//! which form each layer is computed. The form depends on the shape of one image alone, so an image's result has the same bits in
//! every batch and on any number of threads.

mod attend;
mod buffer;
mod conv;
mod elementwise;
mod executor;
mod gather;
mod group_norm;
mod lanes;
mod panel;
mod peak;
mod plan;
mod pool;
mod scratch;
mod session;
mod simd;
mod store;
mod threads;
mod tile;
mod weights;
mod winograd;

pub(crate) use executor::Cpu;
