//! Whether a device computes at all, and whether a kernel that drivers are known to get wrong now and then is right on it.

use std::sync::Arc;

use crate::{
    Error, Result,
    cache::Cache,
    checkpoint::Synthetic,
    gpu::{Device, Executor},
    graph::{Conv2dParams, Graph, Op, ValueId},
    kernels::{self, Precision, conv2d::Variant, tiled::Tile},
    plan::{Network, Options},
    reference,
    tensor::{Shape, Tensor},
    verify::relative_error,
};

/// Runs, of 128 workgroups each.
const RUNS: usize = 100;

/// Channels of the input and output, long sums and several workgroups along both axes.
const CHANNELS: [usize; 2] = [64, 128];

/// Largest difference of the test's results from the reference's, relative to the largest of them. Its sums have at most 144 terms, so
/// their rounding is within 144 eps of the sums of magnitudes (Higham 2002, section 3.1), about 2e-5; what is not computed, or
/// computed of something else, is off by the order of the results.
const TOLERANCE: f32 = 1e-3;

/// Runs a small network on a device that has not passed this test before, by `cache`, without kernels that are known to be `faulty`:
/// two convolutions, a sum, a mean and a linear layer.
///
/// # Errors
/// [`Error::GpuWrong`] if what it computes is not what the reference does; the device's others (`gpu.*`).
pub(crate) fn check(device: &Arc<Device>, faulty: &[(Variant, Precision)], cache: Option<&Cache>) -> Result<()> {
    let info = device.info();
    let name: String = info.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let name = format!("tested-{name}");
    let (version, shaders) = (env!("CARGO_PKG_VERSION"), kernels::checksum());
    let key = format!("{} {} {} residua {version} {shaders}", info.name, info.backend, info.driver);
    if cache.is_some_and(|cache| cache.read(&name, &key).is_some()) {
        return Ok(());
    }
    let graph = tested();
    let weights = Synthetic { salt: "selftest".into(), damped: None, damp: 1.0 };
    let checkpoint = weights.checkpoint("selftest", &graph.tensors())?;
    let input = Tensor::new(Shape::new(1, 16, 8, 8), weights.input([1, 16, 8, 8]));
    let expected = reference::values(&graph, &checkpoint, &input, &[graph.output()])?.remove(0);
    let options = Options { faulty: faulty.to_vec(), ..Options::new(Precision::F32) };
    let executor = Executor::new(device.clone(), Network::new(graph, checkpoint), options);
    let got = pollster::block_on(executor.run(&input))?;
    let error = relative_error(&got.data, &expected.data);
    if error > TOLERANCE {
        let device = format!("{} ({})", info.name, info.driver);
        let reason = format!("a small network that it is tested with is off by {error:.1e} of its largest result");
        return Err(Error::GpuWrong { device, reason });
    }
    if let Some(cache) = cache {
        cache.write(&name, &key, b"right");
    }
    Ok(())
}

/// The network of [`check`].
fn tested() -> Graph {
    let mut graph = Graph::new(16);
    let mut value = graph.input();
    let channels = 16;
    for (name, kernel) in [("conv1", 3), ("conv2", 1)] {
        let padding = kernel / 2;
        let params =
            Conv2dParams { in_channels: channels, out_channels: channels, kernel, stride: 1, padding, groups: 1 };
        value = graph.push(name, Op::Conv2d { weight: format!("{name}.weight"), bias: None, params }, &[value]);
    }
    let sum = graph.push("sum", Op::Add, &[value, graph.input()]);
    let mean = graph.push("mean", Op::GlobalAvgPool, &[sum]);
    let head = Op::Linear { weight: "fc.weight".into(), bias: None, in_features: channels, out_features: 12 };
    graph.push("fc", head, &[mean]);
    graph
}

/// Nothing, if `kernel` with `stored` agrees with the plain kernel in every one of many runs; else a sentence.
///
/// # Errors
/// The device's (`gpu.*`) other than its refusal of the kernel, or results that it has not written, which are a sentence.
pub(crate) fn doubt(device: &Arc<Device>, kernel: Variant, stored: Precision) -> Result<Option<String>> {
    let [in_channels, out_channels] = CHANNELS;
    let mut graph = Graph::new(in_channels);
    let params = Conv2dParams { in_channels, out_channels, kernel: 3, stride: 1, padding: 1, groups: 1 };
    graph.push("conv", Op::Conv2d { weight: "weight".into(), bias: None, params }, &[ValueId(0)]);
    let weights = Synthetic { salt: "selftest".into(), damped: None, damp: 1.0 };
    let network = Network::new(graph.clone(), weights.checkpoint("selftest", &graph.tensors())?);
    let shape = Shape::new(4, in_channels, 32, 32);
    let input = Tensor::new(shape, weights.input([shape.n, shape.c, shape.h, shape.w]));
    let plain = Options { conv2d: Some(Variant::Tiled(Tile::P64C64)), ..Options::new(stored) };
    let executor = Executor::new(device.clone(), network, plain);
    let expected = pollster::block_on(executor.run(&input))?;
    let executor = executor.planned(Options { conv2d: Some(kernel), ..Options::new(stored) });
    // Both sum the same products in f32, each in its order: an error of eps a term (Higham 2002, section 3.1).
    let bound = f32::EPSILON * (9 * in_channels) as f32;
    match disagreement(&expected, bound, (0..RUNS).map(|_| pollster::block_on(executor.run(&input)))) {
        Err(error @ (Error::GpuShader { .. } | Error::GpuWrong { .. })) => Ok(Some(error.to_string())),
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
        let good = Variant::Tiled(Tile::P32C32);
        assert_eq!(doubt(&device, good, Precision::F32).unwrap(), None);
        // For subgroups of twice the lanes that there are, where it is known how many there are.
        if let Some(lanes) = device.caps().subgroup {
            let bad = doubt(&device, Variant::Broadcast { lanes: 2 * lanes }, Precision::F32).unwrap();
            let bad = bad.unwrap();
            assert!(bad.contains("run 0 is off") || bad.contains("no kernel has written"), "{bad}");
        }
    }
}
