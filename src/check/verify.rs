//! Compares every layer of a network on a device with the CPU reference, for every way in which its executor can compute it.

use std::collections::HashMap;

use serde::Serialize;

use crate::{
    Error, Result,
    checkpoint::Synthetic,
    executor::{Executor, reference},
    graph::ValueId,
    tensor::{Input, PixelBatch, Shape, StorageType, Tensor},
};

pub use crate::executor::Fault;

/// Which kernels and precisions to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Coverage {
    /// The chosen kernels, in the precision of the classifier.
    Chosen,
    /// All of the executor's kernels and precisions: on a GPU, each kernel that supports a layer, in every precision of the device.
    Every,
}

/// The outcome of a comparison.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Verification {
    /// One row per layer, precision and kernel.
    pub layers: Vec<LayerCheck>,
    /// The kernels found to be wrong, for [`Builder::faults`](crate::Builder::faults).
    pub faults: Vec<Fault>,
    /// Whether all rows are within their bounds.
    pub ok: bool,
}

/// The comparison of one layer.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LayerCheck {
    /// Name of the layer.
    pub name: String,
    /// The kernel that computed it, with its compile-time constants; of several dispatches, the one with the most multiplications.
    pub kernel: String,
    /// Storage type of activations and weights.
    pub stored: StorageType,
    /// Shape of the output, `[N, C, H, W]`.
    pub shape: [usize; 4],
    /// Largest difference from the reference, divided by the reference's largest magnitude; infinite if the device's values have NaN.
    pub error: f32,
    /// Largest allowed `error`: 1e-4 in f32, 2e-2 with f16 storage.
    pub bound: f32,
    /// Whether `error` is within the bound.
    pub ok: bool,
    /// Whether an earlier layer of the same run is wrong, so that this one read wrong values.
    pub follows: bool,
}

/// Compares `executor`, in the ways of `coverage`, with the reference on synthetic images of shape `input`.
///
/// # Errors
/// The errors of the device.
#[doc(hidden)]
pub async fn verify(executor: &dyn Executor, input: Shape, coverage: Coverage) -> Result<Verification> {
    // Plan first, so that a batch too large for the device is refused before its pixels are made.
    executor.footprint(input)?;
    let mut verifier = Verifier::new(executor, input)?;
    verifier.run(executor).await?;
    if coverage == Coverage::Every {
        for variant in executor.variants(input)? {
            match verifier.run(&*variant).await {
                // An earlier variant had every other kernel of this one.
                Err(error @ Error::GpuShader { .. }) => verifier.refused(&*variant, error)?,
                outcome => outcome?,
            }
        }
    }
    let ok = verifier.layers.iter().all(|layer| layer.ok);
    Ok(Verification { layers: verifier.layers, faults: executor.faults(), ok })
}

struct Verifier {
    input: Tensor,
    /// The reference's values.
    expected: HashMap<ValueId, Tensor>,
    /// Index of the row for each layer, kernel and precision.
    rows: HashMap<(String, String, StorageType), usize>,
    /// The precisions in which the normalisation of pixels was compared.
    pixels: Vec<StorageType>,
    layers: Vec<LayerCheck>,
}

impl Verifier {
    fn new(executor: &dyn Executor, shape: Shape) -> Result<Self> {
        let images = Synthetic { salt: "verify".into(), damped: None, damp: 1.0 };
        let input = Tensor::new(shape, images.input([shape.n, shape.c, shape.h, shape.w]));
        let network = executor.network();
        let mut values = [network.values(), executor.layers(shape)?].concat();
        values.sort_unstable();
        values.dedup();
        let expected = reference::values(network.graph(), network.checkpoint(), &input, &values)?;
        let expected = values.into_iter().zip(expected).collect();
        Ok(Verifier { input, expected, rows: HashMap::new(), pixels: Vec::new(), layers: Vec::new() })
    }

    /// Compares all layers of `executor`. If a kernel is wrong, runs again without it, if possible.
    async fn run(&mut self, executor: &dyn Executor) -> Result<()> {
        self.pixels(executor).await?;
        while let Some((layer, reason)) = self.compare(executor).await? {
            if !executor.give_up(self.input.shape, Some(layer), &reason)? {
                break;
            }
        }
        Ok(())
    }

    /// Adds a row for the device's normalisation: the network must give the same output for pixels as for their numbers.
    async fn pixels(&mut self, executor: &dyn Executor) -> Result<()> {
        let (shape, stored) = (self.input.shape, executor.stored());
        if shape.c != 3 || self.pixels.contains(&stored) {
            return Ok(());
        }
        self.pixels.push(stored);
        let bytes = self.input.data.iter().map(|value| (64.0 * value + 128.0) as u8).collect();
        let table = [0.4, 0.5, 0.6].map(|mean| std::array::from_fn(|value| (value as f32 / 255.0 - mean) / 0.25));
        let batch = PixelBatch::new(shape, bytes, table);
        let first = &executor.layers(shape)?[..1];
        let expected = executor.values((&batch.tensor()).into(), first).await?.remove(0);
        let got = executor.values((&batch).into(), first).await?.remove(0);
        let error = relative_error(&got.data, &expected.data);
        let bound = bound(stored);
        let kernel = executor.steps((&batch).into(), first)?.swap_remove(0).kernel;
        let shape = [shape.n, shape.c, shape.h, shape.w];
        let (name, ok) = ("pixels".into(), error <= bound);
        self.layers.push(LayerCheck { name, kernel, stored, shape, error, bound, ok, follows: false });
        Ok(())
    }

    /// Adds a row for each layer and kernel without one; returns the first wrong layer and a sentence about it.
    async fn compare(&mut self, executor: &dyn Executor) -> Result<Option<(ValueId, String)>> {
        let (input, stored) = (Input::Values(&self.input), executor.stored());
        let values = executor.layers(input.shape())?;
        let traced = executor.trace(input, &values).await?;
        // Look only after the run, in which the driver may have refused kernels.
        let steps = executor.steps(input, &values)?;
        let bound = bound(stored);
        let mut wrong = None;
        for (id, got) in values.iter().zip(&traced) {
            let of = steps.iter().filter(|step| step.value == *id);
            let (Some(step), Some(expected)) = (of.max_by_key(|step| step.flops), self.expected.get(id)) else {
                continue;
            };
            let (name, kernel) = (step.layer.clone(), step.kernel.clone());
            let error = relative_error(&got.data, &expected.data);
            let ok = error <= bound;
            let Shape { n, c, h, w } = got.shape;
            let follows = wrong.is_some();
            let row = *self.rows.entry((name.clone(), kernel.clone(), stored)).or_insert(self.layers.len());
            if !ok && wrong.is_none() {
                wrong = Some((*id, format!("layer {name} is off by {error:.1e}, bound {bound:.0e}, as verify found")));
            }
            let check = LayerCheck { name, kernel, stored, shape: [n, c, h, w], error, bound, ok, follows };
            match self.layers.get_mut(row) {
                None => self.layers.push(check),
                // Its inputs are right in this run, so its own error shows.
                Some(before) if before.follows && !follows => *before = check,
                Some(_) => {}
            }
        }
        Ok(wrong)
    }

    /// Adds a row for a kernel that the driver refused with `error`, and bans it.
    fn refused(&mut self, variant: &dyn Executor, error: Error) -> Result<()> {
        variant.give_up(self.input.shape, None, &error.to_string())?;
        let Error::GpuShader { kernel, .. } = error else { return Err(error) };
        self.layers.push(LayerCheck {
            name: "(refused by the driver)".into(),
            kernel,
            stored: variant.stored(),
            shape: [0; 4],
            error: f32::INFINITY,
            bound: 0.0,
            ok: false,
            follows: false,
        });
        Ok(())
    }
}

/// Largest allowed error of a layer.
fn bound(stored: StorageType) -> f32 {
    match stored {
        StorageType::F32 => 1e-4,
        StorageType::F16 => 2e-2,
    }
}

/// The largest difference, divided by the largest magnitude of `expected`; infinite for NaN.
pub(crate) fn relative_error(got: &[f32], expected: &[f32]) -> f32 {
    let largest = expected.iter().fold(0.0_f32, |m, v| m.max(v.abs())).max(f32::MIN_POSITIVE);
    let worst = got.iter().zip(expected).map(|(g, e)| if g.is_finite() { (g - e).abs() } else { f32::INFINITY });
    worst.fold(0.0, f32::max) / largest
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        Threads, blocking,
        check::wrong,
        executor::gpu::{
            self, Device,
            kernels::{
                KernelId,
                tiled::{self, Tile},
            },
            plan::{self, Options},
        },
        graph::Plain,
        models::Architecture,
        network::{Layer, LayerOp, Network},
    };

    #[test]
    fn errors_are_seen() {
        assert_eq!(relative_error(&[1.0, -4.0], &[1.0, -4.0]), 0.0);
        assert_eq!(relative_error(&[1.0, -3.0], &[1.0, -4.0]), 0.25);
        assert_eq!(relative_error(&[f32::NAN], &[1.0]), f32::INFINITY);
    }

    fn network() -> Network {
        let graph = Architecture::by_name("cifar_resnet20a").unwrap().graph();
        let weights = Synthetic { salt: "wrong".into(), damped: Some("bn2.weight".into()), damp: 0.3 };
        Network::new(graph.clone(), weights.checkpoint("wrong", &graph.tensors()).unwrap())
    }

    fn device() -> Arc<Device> {
        let device = Device::open("auto", Threads::host());
        Arc::new(blocking::wait(device).expect("the GPU tests need an adapter"))
    }

    #[test]
    fn a_kernel_that_is_wrong_is_found_and_not_chosen_again() {
        let (device, shape, wrong) = (device(), Shape::new(1, 3, 32, 32), wrong::ID);
        let executor = gpu::Executor::new(device.clone(), network(), Options::new(StorageType::F32));
        let forced = executor.with_options(Options { forced: Some(wrong), ..executor.options() });
        let verified = blocking::wait(verify(&forced, shape, Coverage::Chosen)).unwrap();
        assert!(!verified.ok);
        assert_eq!(verified.faults, [fault(&device, wrong)]);
        let (rows, others): (Vec<&LayerCheck>, Vec<&LayerCheck>) =
            verified.layers.iter().partition(|layer| layer.kernel.starts_with(&wrong.to_string()));
        let wrong: Vec<&LayerCheck> = rows.into_iter().filter(|row| !row.ok).collect();
        assert!(!wrong[0].follows && wrong[1..].iter().all(|row| row.follows), "{wrong:?}");
        assert!(others.iter().filter(|layer| !layer.follows).all(|layer| layer.ok), "{others:?}");
        assert!(device.notes().iter().any(|note| note.to_string().contains(&wrong[0].name)), "{:?}", device.notes());
    }

    fn fault(device: &Device, kernel: KernelId) -> Fault {
        Fault::new(device.info(), gpu::kernels::checksum(), kernel.to_string(), StorageType::F32)
    }

    #[test]
    fn a_fault_concerns_its_device_driver_and_shaders() {
        let (device, kernel) = (device(), tiled::id(Tile::P64C64));
        let fault = fault(&device, kernel);
        assert_eq!(serde_json::from_str::<Fault>(&serde_json::to_string(&fault).unwrap()).unwrap(), fault);
        assert_eq!(device.known(std::slice::from_ref(&fault)), [(kernel, StorageType::F32)]);
        let other_driver = Fault { driver: "other".into(), ..fault.clone() };
        let other_code = Fault { code: "other".into(), ..fault.clone() };
        let no_kernel = Fault { kernel: "conv2d.tilted.64x64".into(), ..fault };
        assert_eq!(device.known(&[other_driver, other_code, no_kernel]), []);
    }

    /// If it were the usual choice, the next best kernel would be taken.
    #[test]
    fn without_the_usual_kernels_the_next_best_are_right() {
        let (device, shape) = (device(), Shape::new(1, 3, 32, 32));
        let executor = gpu::Executor::new(device, network(), Options::new(StorageType::F32));
        let caps = executor.device().caps();
        let usual = plan::kernels(executor.network(), shape, &executor.options(), caps).unwrap();
        let faulty: Vec<_> = usual.iter().map(|(_, kernel)| (*kernel, StorageType::F32)).collect();
        let options = Options { faulty: faulty.clone(), ..Options::new(StorageType::F32) };
        let avoided = plan::kernels(executor.network(), shape, &options, caps).unwrap();
        let others = |(id, _): &&(ValueId, KernelId)| {
            let is_it = |layer: &&Layer| layer.output == *id;
            let layer = executor.network().layers().iter().find(is_it).unwrap();
            matches!(layer.op, LayerOp::Conv2d { .. } | LayerOp::Plain { op: Plain::Linear { .. }, .. })
        };
        let avoids = |(_, kernel): &(ValueId, KernelId)| !faulty.contains(&(*kernel, StorageType::F32));
        assert!(avoided.iter().filter(others).all(avoids), "{avoided:?}");
        let verified = blocking::wait(verify(&executor.with_options(options), shape, Coverage::Chosen)).unwrap();
        assert!(verified.ok, "{:?}", verified.layers);
    }
}
