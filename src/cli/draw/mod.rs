//! The pictures that commands draw.

pub(crate) mod chart;
pub(crate) mod confusion;
pub(crate) mod curves;
pub(crate) mod heatmap;
pub(crate) mod network;
pub(crate) mod sheet;
