//! Every layer of a network on a device against the CPU reference.

use crate::{
    Result,
    checkpoint::Synthetic,
    gpu::Executor,
    kernels::Precision,
    reference,
    tensor::{Shape, Tensor},
};

/// The outcome of a comparison.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Verification {
    /// One row a layer, in execution order.
    pub layers: Vec<LayerCheck>,
    /// All layers are within their bounds.
    pub ok: bool,
}

/// One layer's comparison.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LayerCheck {
    /// Name of the layer.
    pub name: String,
    /// The kernel that computed it, with its key.
    pub kernel: String,
    /// Shape of its output.
    pub shape: Shape,
    /// Largest difference from the reference over the reference's largest magnitude; infinite if the device made NaN.
    pub error: f32,
    /// What `error` may be: 1e-4 in f32, 2e-2 with f16 storage.
    pub bound: f32,
    /// Within the bound.
    pub ok: bool,
}

/// Runs made-up images of shape `input` on the device and on the reference.
pub(crate) fn verify(executor: &Executor, input: Shape) -> Result<Verification> {
    let images = Synthetic { salt: "verify".into(), damped: None, damp: 1.0 };
    // Planned first: a batch that the device cannot hold is refused before its pixels are made.
    let plan = executor.plan(input)?;
    let input = Tensor::new(input, images.input([input.n, input.c, input.h, input.w]));
    let values = pollster::block_on(executor.trace(&input))?;
    let wanted: Vec<_> = values.iter().map(|(id, _)| *id).collect();
    let network = executor.network();
    let expected = reference::values(network.graph(), network.checkpoint(), &input, &wanted)?;
    let bound = match executor.stored() {
        Precision::F32 => 1e-4,
        Precision::F16 => 2e-2,
    };
    let layers: Vec<LayerCheck> = values
        .iter()
        .zip(&expected)
        .map(|((id, got), expected)| {
            let step = plan.steps.iter().rfind(|step| step.value == *id);
            let error = relative_error(&got.data, &expected.data);
            LayerCheck {
                name: step.map_or_else(String::new, |step| step.name.clone()),
                kernel: step.map_or_else(String::new, |step| step.kernel.to_string()),
                shape: got.shape,
                error,
                bound,
                ok: error <= bound,
            }
        })
        .collect();
    let ok = layers.iter().all(|layer| layer.ok);
    Ok(Verification { layers, ok })
}

fn relative_error(got: &[f32], expected: &[f32]) -> f32 {
    let largest = expected.iter().fold(0.0_f32, |m, v| m.max(v.abs())).max(f32::MIN_POSITIVE);
    let worst = got.iter().zip(expected).map(|(g, e)| if g.is_finite() { (g - e).abs() } else { f32::INFINITY });
    worst.fold(0.0, f32::max) / largest
}

#[cfg(test)]
mod tests {
    use super::relative_error;

    #[test]
    fn errors_are_seen() {
        assert_eq!(relative_error(&[1.0, -4.0], &[1.0, -4.0]), 0.0);
        assert_eq!(relative_error(&[1.0, -3.0], &[1.0, -4.0]), 0.25);
        assert_eq!(relative_error(&[f32::NAN], &[1.0]), f32::INFINITY);
    }
}
