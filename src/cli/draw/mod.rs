//! Draws pictures.

pub(crate) mod chart;
pub(crate) mod heatmap;
pub(crate) mod network;
