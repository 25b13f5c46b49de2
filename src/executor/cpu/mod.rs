//! The fast path without a GPU: a network's fused layers on the vector units of the processor, on all its cores, in f32.
//!
//! Values lie in blocks of sixteen channels (`lanes`), weights in strips (`weights`). A convolution is a product of tiles that stay in
//! registers (`tile`), out of panels of inputs (`panel`). A [`plan`] says where every value lies and which form a layer takes, by the
//! shape of one image alone: an image has the same bits in every batch and on any number of threads.

mod attend;
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
