//! Minimises a smooth convex function by L-BFGS, which approximates the curvature by the last steps.
//!
//! The crate `argmin` has the method too, but it evaluates value and gradient separately, which would double the matrix products, and its
//! stopping rule does not bound the error of the weights.
//!
//! Source: Nocedal and Wright, Numerical Optimization, 2nd ed., algorithm 7.4 (two-loop recursion); the line search bisects to the weak
//! Wolfe conditions (Lewis and Overton 2013, "Nonsmooth optimization via quasi-Newton methods", algorithm 2.6).

use std::collections::VecDeque;

/// Steps that are remembered.
const MEMORY: usize = 10;

/// Steps of a search, at most.
const MOST_STEPS: usize = 1000;

/// Points that a line search tries, at most.
const MOST_TRIALS: usize = 40;

/// A function to minimise.
pub(super) trait Function {
    /// Its value and its gradient at a point.
    fn at(&self, point: &[f64]) -> (f64, Vec<f64>);

    /// Whether a point with that gradient is close enough to the minimum.
    fn is_minimum(&self, point: &[f64], gradient: &[f64]) -> bool;

    /// Multiplies `vector` by an approximate inverse Hessian.
    fn precondition(&self, vector: &mut [f64]);
}

/// Where a search ended.
pub(super) struct Minimum {
    pub(super) point: Vec<f64>,
    /// Whether it is near enough to the minimum.
    pub(super) converged: bool,
}

/// A step, and how the gradient changed on it.
struct Step {
    s: Vec<f64>,
    y: Vec<f64>,
    rho: f64,
    /// The scale of the preconditioner on this step: `s . y` divided by `y . P y`.
    scale: f64,
}

/// Searches for the minimum from `point`. Calls `check` before every step.
///
/// # Errors
/// The errors of `check`.
pub(super) fn minimise<E>(
    function: &impl Function,
    mut point: Vec<f64>,
    check: &mut dyn FnMut() -> Result<(), E>,
) -> Result<Minimum, E> {
    let (mut value, mut gradient) = function.at(&point);
    let mut memory: VecDeque<Step> = VecDeque::new();
    for _ in 0..MOST_STEPS {
        if function.is_minimum(&point, &gradient) {
            return Ok(Minimum { point, converged: true });
        }
        check()?;
        let direction = direction(function, &memory, &gradient);
        let Some((new_point, new_value, new_gradient)) = search(function, &point, value, &gradient, &direction) else {
            break;
        };
        let s = difference(&new_point, &point);
        let y = difference(&new_gradient, &gradient);
        let curvature = dot(&s, &y);
        if curvature > 0.0 {
            let mut preconditioned = y.clone();
            function.precondition(&mut preconditioned);
            let scale = curvature / dot(&y, &preconditioned);
            memory.truncate(MEMORY - 1);
            memory.push_front(Step { s, y, rho: curvature.recip(), scale });
        }
        (point, value, gradient) = (new_point, new_value, new_gradient);
    }
    let converged = function.is_minimum(&point, &gradient);
    Ok(Minimum { point, converged })
}

/// The direction of the next step; `memory` has the newest step first.
fn direction(function: &impl Function, memory: &VecDeque<Step>, gradient: &[f64]) -> Vec<f64> {
    let mut q: Vec<f64> = gradient.iter().map(|value| -value).collect();
    let mut alphas = Vec::with_capacity(memory.len());
    for Step { s, y, rho, .. } in memory {
        let alpha = rho * dot(s, &q);
        add(&mut q, -alpha, y);
        alphas.push(alpha);
    }
    function.precondition(&mut q);
    let scale = memory.front().map_or(1.0, |step| step.scale);
    q.iter_mut().for_each(|value| *value *= scale);
    for (Step { s, y, rho, .. }, alpha) in memory.iter().zip(alphas).rev() {
        let beta = rho * dot(y, &q);
        add(&mut q, alpha - beta, s);
    }
    q
}

/// A point along `direction` that meets the Wolfe conditions, with value and gradient; None if rounding errors hide the difference.
fn search(
    function: &impl Function,
    point: &[f64],
    value: f64,
    gradient: &[f64],
    direction: &[f64],
) -> Option<(Vec<f64>, f64, Vec<f64>)> {
    let slope = dot(gradient, direction);
    let (mut low, mut high, mut t) = (0.0, f64::INFINITY, 1.0);
    for _ in 0..MOST_TRIALS {
        let mut trial = point.to_vec();
        add(&mut trial, t, direction);
        let (new_value, new_gradient) = function.at(&trial);
        // A value is a sum, with a rounding error of some units in the last place.
        let rounding = 8.0 * f64::EPSILON * value.abs();
        let is_lower = new_value <= value + 1e-4 * t * slope + rounding;
        if !is_lower {
            high = t;
        } else if dot(&new_gradient, direction) < 0.9 * slope {
            low = t;
        } else {
            return (trial != point).then_some((trial, new_value, new_gradient));
        }
        t = if high.is_finite() { (low + high) / 2.0 } else { 2.0 * t };
    }
    None
}

fn difference(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

fn add(a: &mut [f64], factor: f64, b: &[f64]) {
    a.iter_mut().zip(b).for_each(|(a, b)| *a += factor * b);
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
