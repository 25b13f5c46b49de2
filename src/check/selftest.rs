//! Tests whether a device computes correctly at all, and whether a kernel that some drivers get wrong is right on it.

use std::sync::Arc;

use crate::{
    Error, Result,
    cache::Cache,
    check::verify::relative_error,
    checkpoint::Synthetic,
    executor::{
        gpu::{
            Device, Executor,
            kernels::{
                self, KernelId,
                tiled::{self, Tile},
            },
            plan::Options,
        },
        reference,
    },
    graph::{Conv2dParams, Graph, Op, Plain, ValueId},
    network::Network,
    tensor::{Shape, StorageType, Tensor},
};

/// Number of runs, of 128 workgroups each.
const RUNS: usize = 100;

/// Channels of the input and output: enough for long sums and several workgroups along both axes.
const CHANNELS: [usize; 2] = [64, 128];

/// Largest allowed difference from the reference, relative to the largest result. The sums have at most 144 terms, so their rounding
/// error is at most 144 eps times the sum of magnitudes (Higham 2002, section 3.1), about 2e-5. A result that is missing, or computed
/// from wrong inputs, is off by about its own size.
const TOLERANCE: f32 = 1e-3;

/// Runs a small network (two convolutions, a sum, a mean and a linear layer) without `faulty` kernels on a device, unless `cache` records
/// that the device passed this test.
///
/// # Errors
/// [`Error::GpuWrong`] if the results differ from the reference's; other errors of the device (`gpu.*`).
pub(crate) async fn check(
    device: &Arc<Device>,
    faulty: &[(KernelId, StorageType)],
    cache: Option<&Cache>,
) -> Result<()> {
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
    let options = Options { faulty: faulty.to_vec(), ..Options::new(StorageType::F32) };
    let executor = Executor::new(device.clone(), Network::new(graph, checkpoint), options);
    let got = executor.run(&input).await?;
    let error = relative_error(&got.data, &expected.data);
    if error > TOLERANCE {
        let device = format!("{} ({})", info.name, info.driver);
        let reason = format!("a small test network is off by {error:.1e} of its largest result");
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
        let params = Conv2dParams { kernel, padding: kernel / 2, ..Conv2dParams::pointwise(channels, channels) };
        value = graph.push(name, Op::Conv2d { weight: format!("{name}.weight"), bias: None, params }, &[value]);
    }
    let sum = graph.push("sum", Op::Add, &[value, graph.input()]);
    let mean = graph.push("mean", Plain::GlobalAvgPool, &[sum]);
    let op = Plain::Linear { in_features: channels, out_features: 12 };
    let head = Op::Plain { op, weights: vec!["fc.weight".into()] };
    graph.push("fc", head, &[mean]);
    graph
}

/// Compares many runs of `kernel` in precision `stored` with the plain kernel. `None` if all agree, otherwise a sentence.
///
/// # Errors
/// Errors of the device (`gpu.*`), except that a refused kernel and missing results become a sentence.
pub(crate) async fn doubt(device: &Arc<Device>, kernel: KernelId, stored: StorageType) -> Result<Option<String>> {
    let [in_channels, out_channels] = CHANNELS;
    let mut graph = Graph::new(in_channels);
    let params = Conv2dParams { kernel: 3, padding: 1, ..Conv2dParams::pointwise(in_channels, out_channels) };
    graph.push("conv", Op::Conv2d { weight: "weight".into(), bias: None, params }, &[ValueId(0)]);
    let weights = Synthetic { salt: "selftest".into(), damped: None, damp: 1.0 };
    let network = Network::new(graph.clone(), weights.checkpoint("selftest", &graph.tensors())?);
    let shape = Shape::new(4, in_channels, 32, 32);
    let input = Tensor::new(shape, weights.input([shape.n, shape.c, shape.h, shape.w]));
    let plain = Options { forced: Some(tiled::id(Tile::P64C64)), ..Options::new(stored) };
    let executor = Executor::new(device.clone(), network, plain);
    let expected = executor.run(&input).await?;
    let executor = executor.with_options(Options { forced: Some(kernel), ..Options::new(stored) });
    // Both kernels sum the same products in f32, each in its own order: an error of eps per term (Higham 2002, section 3.1).
    let bound = f32::EPSILON * (9 * in_channels) as f32;
    let mut steadiness = Steadiness { expected, bound, first: None };
    for run in 0..RUNS {
        match executor.run(&input).await {
            Ok(output) => match steadiness.doubt(run, output) {
                None => {}
                doubt => return Ok(doubt),
            },
            Err(error @ (Error::GpuShader { .. } | Error::GpuWrong { .. })) => return Ok(Some(error.to_string())),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Requirements for the runs of a kernel: each within `bound` of `expected`, and bitwise equal to the first.
struct Steadiness {
    expected: Tensor,
    bound: f32,
    first: Option<Tensor>,
}

impl Steadiness {
    /// A sentence about a failed requirement, if there is one.
    fn doubt(&mut self, run: usize, output: Tensor) -> Option<String> {
        let error = relative_error(&output.data, &self.expected.data);
        if error > self.bound {
            return Some(format!("run {run} is off by {error:e}, bound {:e}", self.bound));
        }
        let first = self.first.get_or_insert_with(|| output.clone());
        (*first != output).then(|| format!("run {run} differs from the first"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Threads, blocking, check::wrong};

    #[test]
    fn a_wrong_or_unsteady_kernel_is_doubted() {
        let tensor = |last| Tensor::new(Shape::new(1, 2, 1, 1), vec![1.0, last]);
        let doubt = |runs: &[f32]| {
            let mut steadiness = Steadiness { expected: tensor(4.0), bound: 1e-3, first: None };
            runs.iter().enumerate().find_map(|(run, last)| steadiness.doubt(run, tensor(*last)))
        };
        assert_eq!(doubt(&[4.0, 4.0, 4.0]), None);
        assert!(doubt(&[4.0, 8.0, 4.0]).unwrap().contains("run 1 is off"));
        assert!(doubt(&[4.0, 4.001]).unwrap().contains("run 1 differs"));
        assert!(doubt(&[f32::NAN]).is_some());
    }

    #[test]
    fn a_good_kernel_passes_on_the_device_and_a_bad_one_does_not() {
        let device = Device::open("auto", Threads::host());
        let device = Arc::new(blocking::wait(device).expect("the GPU tests need an adapter"));
        let good = tiled::id(Tile::P32C32);
        assert_eq!(blocking::wait(doubt(&device, good, StorageType::F32)).unwrap(), None);
        let bad = blocking::wait(doubt(&device, wrong::ID, StorageType::F32)).unwrap().unwrap();
        assert!(bad.contains("run 0 is off"), "{bad}");
    }
}
