//! Whether a kernel that drivers are known to get wrong now and then is right on this device: many runs of it against the plain one.

use std::sync::Arc;

use crate::{
    Result,
    checkpoint::Synthetic,
    gpu::{Device, Executor},
    graph::{Conv2dParams, Graph, Op, ValueId},
    kernels::{
        KernelId, Precision,
        tiled::{self, Tile},
    },
    plan::{Network, Options},
    tensor::{Shape, Tensor},
    verify::relative_error,
};

/// Runs, of 128 workgroups each.
const RUNS: usize = 100;

/// Channels of the input and output, long sums and several workgroups along both axes.
const CHANNELS: [usize; 2] = [64, 128];

/// Nothing, if `kernel` with `stored` agrees with the plain kernel in every run; else a sentence.
///
/// # Errors
/// The device's (`gpu.*`) other than its refusal of the kernel, which is a sentence.
pub(crate) fn doubt(device: &Arc<Device>, kernel: KernelId, stored: Precision) -> Result<Option<String>> {
    let [in_channels, out_channels] = CHANNELS;
    let mut graph = Graph::new(in_channels);
    let params = Conv2dParams { in_channels, out_channels, kernel: 3, stride: 1, padding: 1, groups: 1 };
    graph.push("conv", Op::Conv2d { weight: "weight".into(), bias: None, params }, &[ValueId(0)]);
    let weights = Synthetic { salt: "selftest".into(), damped: None, damp: 1.0 };
    let network = Network::new(graph.clone(), weights.checkpoint("selftest", &graph.tensors())?);
    let shape = Shape::new(4, in_channels, 32, 32);
    let input = Tensor::new(shape, weights.input([shape.n, shape.c, shape.h, shape.w]));
    let plain = Options { forced: Some(tiled::id(Tile::P64C64)), ..Options::new(stored) };
    let executor = Executor::new(device.clone(), network, plain);
    let expected = pollster::block_on(executor.run(&input))?;
    let executor = executor.planned(Options { forced: Some(kernel), ..Options::new(stored) });
    // Both sum the same products in f32, each in its order: an error of eps a term (Higham 2002, section 3.1).
    let bound = f32::EPSILON * (9 * in_channels) as f32;
    match disagreement(&expected, bound, (0..RUNS).map(|_| pollster::block_on(executor.run(&input)))) {
        Err(error @ crate::Error::GpuShader { .. }) => Ok(Some(error.to_string())),
        outcome => outcome,
    }
}

/// What is wrong with `runs`, if anything: the first must be within `bound` of `expected`, the others must have its bits.
fn disagreement(expected: &Tensor, bound: f32, runs: impl Iterator<Item = Result<Tensor>>) -> Result<Option<String>> {
    let mut first = None;
    for (i, run) in runs.enumerate() {
        let run = run?;
        let error = relative_error(&run.data, &expected.data);
        if error > bound {
            return Ok(Some(format!("run {i} is off by {error:e}, bound {bound:e}")));
        }
        if *first.get_or_insert_with(|| run.clone()) != run {
            return Ok(Some(format!("run {i} differs from the first")));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::broadcast;

    #[test]
    fn a_wrong_or_unsteady_kernel_is_doubted() {
        let tensor = |last| Tensor::new(Shape::new(1, 2, 1, 1), vec![1.0, last]);
        let doubt = |runs: &[f32]| disagreement(&tensor(4.0), 1e-3, runs.iter().map(|v| Ok(tensor(*v)))).unwrap();
        assert_eq!(doubt(&[4.0, 4.0, 4.0]), None);
        assert!(doubt(&[4.0, 8.0, 4.0]).unwrap().contains("run 1 is off"));
        assert!(doubt(&[4.0, 4.001]).unwrap().contains("run 1 differs"));
        assert!(doubt(&[f32::NAN]).is_some());
    }

    #[test]
    fn a_good_kernel_passes_on_the_device_and_a_bad_one_does_not() {
        let device = Arc::new(pollster::block_on(Device::open("auto")).expect("the GPU tests need an adapter"));
        let good = tiled::id(Tile::P32C32);
        assert_eq!(doubt(&device, good, Precision::F32).unwrap(), None);
        // For subgroups of twice the lanes that there are.
        let lanes = 2 * device.caps().subgroup.expect("lavapipe has subgroups of one size");
        let bad = doubt(&device, broadcast::id(lanes), Precision::F32).unwrap();
        assert!(bad.unwrap().contains("run 0 is off"));
    }
}
