//! Pooling.

use std::ops::Range;

use crate::{
    graph::PoolParams,
    tensor::{Shape, Tensor},
};

/// Maximum over each window: padding is never the maximum, and any NaN makes it NaN.
pub(super) fn max_pool2d(x: &Tensor, window: &PoolParams, output: Shape) -> Tensor {
    let larger = |max: f32, v: f32| if v > max || v.is_nan() { v } else { max };
    pool(x, window, output, |values| values.fold(f32::NEG_INFINITY, larger))
}

/// Mean over the part of each window that lies inside.
pub(super) fn avg_pool2d(x: &Tensor, window: &PoolParams, output: Shape) -> Tensor {
    pool(x, window, output, |values| {
        let (mut sum, mut count) = (0.0, 0u32);
        for v in values {
            sum += f64::from(v);
            count += 1;
        }
        (sum / f64::from(count)) as f32
    })
}

/// Mean over all pixels of each channel.
pub(super) fn global_avg_pool(x: &Tensor) -> Tensor {
    let pixels = x.shape.pixels();
    let mean = |plane: &[f32]| (plane.iter().map(|v| f64::from(*v)).sum::<f64>() / pixels as f64) as f32;
    let data = x.data.chunks_exact(pixels).map(mean).collect();
    Tensor::new(Shape::new(x.shape.n, x.shape.c, 1, 1), data)
}

/// Maximum over all pixels of each channel; any NaN makes it NaN.
pub(super) fn global_max_pool(x: &Tensor) -> Tensor {
    let larger = |max: f32, v: &f32| if *v > max || v.is_nan() { *v } else { max };
    let data =
        x.data.chunks_exact(x.shape.pixels()).map(|plane| plane.iter().fold(f32::NEG_INFINITY, larger)).collect();
    Tensor::new(Shape::new(x.shape.n, x.shape.c, 1, 1), data)
}

/// The mean of the global maximum and the global mean.
pub(super) fn global_avg_max_pool(x: &Tensor) -> Tensor {
    let (mut mean, max) = (global_avg_pool(x), global_max_pool(x));
    mean.data.iter_mut().zip(&max.data).for_each(|(mean, max)| *mean = 0.5 * (*mean + max));
    mean
}

/// `reduce` over the pixels of each window that lie inside, row by row.
fn pool(
    x: &Tensor,
    window: &PoolParams,
    output: Shape,
    reduce: impl Fn(&mut dyn Iterator<Item = f32>) -> f32,
) -> Tensor {
    let mut data = Vec::with_capacity(output.elements());
    for plane in x.data.chunks_exact(x.shape.pixels()) {
        for oy in 0..output.h {
            let rows = inside(oy, window, x.shape.h);
            for ox in 0..output.w {
                let columns = inside(ox, window, x.shape.w);
                let row = |y: usize| plane[y * x.shape.w..][columns.clone()].iter().copied();
                data.push(reduce(&mut rows.clone().flat_map(row)));
            }
        }
    }
    Tensor::new(output, data)
}

/// The part of window `position` that lies in `0..extent`.
fn inside(position: usize, window: &PoolParams, extent: usize) -> Range<usize> {
    let start = position * window.stride;
    start.saturating_sub(window.padding)..(start + window.kernel).saturating_sub(window.padding).min(extent)
}
