//! Every layer of a network on a device against the CPU reference, in every precision and with every kernel that can serve it.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    checkpoint::Synthetic,
    executor::{
        DeviceInfo,
        gpu::{
            Executor,
            kernels::{self, KernelId},
            plan::{self, Options, Plan},
        },
        reference,
    },
    graph::ValueId,
    tensor::{PixelBatch, Shape, StorageType, Tensor},
};

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Coverage {
    /// The kernels that are chosen, in the precision of the classifier.
    Chosen,
    /// Every kernel that can serve a layer, in every precision that the device has.
    Every,
}

/// The outcome of a comparison.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Verification {
    /// One row for each layer with each precision and kernel.
    pub layers: Vec<LayerCheck>,
    /// The kernels that were found to be wrong, for [`Builder::faults`](crate::Builder::faults).
    pub faults: Vec<Fault>,
    /// All rows are within their bounds.
    pub ok: bool,
}

/// One layer's comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LayerCheck {
    /// Name of the layer.
    pub name: String,
    /// The kernel that computed it, and what is compiled of it; of several dispatches the one with the most multiplications.
    pub kernel: String,
    /// Type of stored activations and weights.
    pub stored: StorageType,
    /// Shape of its output, `[N, C, H, W]`.
    pub shape: [usize; 4],
    /// Largest difference from the reference over the reference's largest magnitude; infinite if the device made NaN.
    pub error: f32,
    /// What `error` may be: 1e-4 in f32, 2e-2 with f16 storage.
    pub bound: f32,
    /// Within the bound.
    pub ok: bool,
    /// An earlier layer of the same run is wrong, so that this one read wrong values.
    pub follows: bool,
}

/// A kernel that yields wrong values on a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Name of the device.
    pub device: String,
    /// Its driver.
    pub driver: String,
    /// [`kernels::checksum`] of the shaders that were verified.
    pub shaders: String,
    /// The kernel.
    pub kernel: KernelId,
    /// The storage precision in which it is wrong.
    pub stored: StorageType,
}

impl Fault {
    fn new(device: &DeviceInfo, kernel: KernelId, stored: StorageType) -> Self {
        let DeviceInfo { name, driver, .. } = device;
        Fault { device: name.clone(), driver: driver.clone(), shaders: kernels::checksum(), kernel, stored }
    }

    /// It was found on `device`, with the driver and the shaders that are there now.
    pub fn concerns(&self, device: &DeviceInfo) -> bool {
        (&self.device, &self.driver) == (&device.name, &device.driver) && self.shaders == kernels::checksum()
    }
}

/// Runs made-up images of shape `input` on the device and on the reference.
pub(crate) async fn verify(executor: &Executor, input: Shape, coverage: Coverage) -> Result<Verification> {
    let caps = executor.device().caps();
    match coverage {
        Coverage::Chosen => Verifier::new(executor, input)?.verify(&[executor.stored()], &[]).await,
        Coverage::Every => {
            let precisions = if caps.f16 { &[StorageType::F32, StorageType::F16][..] } else { &[StorageType::F32] };
            Verifier::new(executor, input)?.verify(precisions, &kernels::candidates(caps).collect::<Vec<_>>()).await
        }
    }
}

struct Verifier<'a> {
    executor: &'a Executor,
    input: Tensor,
    /// The reference's value of every layer.
    expected: HashMap<ValueId, Tensor>,
    /// Row of each layer with each kernel and precision.
    rows: HashMap<(String, String, StorageType), usize>,
    layers: Vec<LayerCheck>,
    faulty: Vec<(KernelId, StorageType)>,
}

impl<'a> Verifier<'a> {
    fn new(executor: &'a Executor, shape: Shape) -> Result<Self> {
        // Planned first: a batch that the device cannot hold is refused before its pixels are made.
        executor.plan(shape)?;
        let images = Synthetic { salt: "verify".into(), damped: None, damp: 1.0 };
        let input = Tensor::new(shape, images.input([shape.n, shape.c, shape.h, shape.w]));
        let network = executor.network();
        let values = network.values();
        let expected = reference::values(network.graph(), network.checkpoint(), &input, &values)?;
        let expected = values.into_iter().zip(expected).collect();
        let faulty = executor.options().faulty;
        Ok(Verifier { executor, input, expected, rows: HashMap::new(), layers: Vec::new(), faulty })
    }

    async fn verify(mut self, precisions: &[StorageType], kernels: &[KernelId]) -> Result<Verification> {
        for &stored in precisions {
            self.pixels(stored).await?;
            self.run(stored, None).await?;
            for &kernel in kernels {
                match self.run(stored, Some(kernel)).await {
                    // The run before had every other kernel of this one, so it is this one that the driver refuses.
                    Err(Error::GpuShader { kernel: name, .. }) => self.refused(stored, kernel, name),
                    outcome => outcome?,
                }
            }
        }
        let device = self.executor.device().info();
        let faults = self.faulty.iter().map(|(kernel, stored)| Fault::new(device, *kernel, *stored)).collect();
        let ok = self.layers.iter().all(|layer| layer.ok);
        Ok(Verification { layers: self.layers, faults, ok })
    }

    /// A row for the device's normalisation: of pixels, the network must make what it makes of their numbers.
    async fn pixels(&mut self, stored: StorageType) -> Result<()> {
        let shape = self.input.shape;
        if shape.c != 3 {
            return Ok(());
        }
        let executor = self.executor.planned(Options { stored, ..self.executor.options() });
        let bytes = self.input.data.iter().map(|value| (64.0 * value + 128.0) as u8).collect();
        let table = [0.4, 0.5, 0.6].map(|mean| std::array::from_fn(|value| (value as f32 / 255.0 - mean) / 0.25));
        let batch = PixelBatch::new(shape, bytes, table);
        let first = &executor.network().values()[..1];
        let expected = executor.values(&batch.tensor(), first).await?.remove(0);
        let got = executor.values(&batch, first).await?.remove(0);
        let error = relative_error(&got.data, &expected.data);
        let plan = executor.plan(shape)?.of_pixels(first[0], executor.device().caps())?;
        self.layers.push(LayerCheck {
            name: "pixels".into(),
            kernel: plan.steps[0].label(),
            stored,
            shape: [shape.n, shape.c, shape.h, shape.w],
            error,
            bound: bound(stored),
            ok: error <= bound(stored),
            follows: false,
        });
        Ok(())
    }

    /// Runs the network with `kernel` for every layer that it serves, and with the chosen ones for the others. Where it is one
    /// of those that is wrong, it runs again without, if another can take its place.
    async fn run(&mut self, stored: StorageType, kernel: Option<KernelId>) -> Result<()> {
        let (network, caps) = (self.executor.network(), self.executor.device().caps());
        let shape = self.input.shape;
        loop {
            let (faulty, tuned) = (self.faulty.clone(), self.executor.options().tuned);
            let options = Options { forced: kernel, faulty, tuned, ..Options::new(stored) };
            let executor = self.executor.planned(options.clone());
            let kernels = plan::kernels(&network, shape, &executor.options(), caps)?;
            if kernel.is_some_and(|forced| !kernels.iter().any(|(_, kernel)| *kernel == forced)) {
                return Ok(());
            }
            let values: Vec<ValueId> = kernels.iter().map(|(value, _)| *value).collect();
            let Some(wrong) = self.compare(&executor, &values).await? else { return Ok(()) };
            let Some((_, culprit)) = kernels.iter().find(|(value, _)| *value == wrong) else { return Ok(()) };
            let fault = (*culprit, stored);
            let without = Options { forced: None, faulty: [&self.faulty[..], &[fault]].concat(), ..options };
            let still = |(value, other): &(ValueId, KernelId)| *value == wrong && other == culprit;
            if self.faulty.contains(&fault) || plan::kernels(&network, shape, &without, caps)?.iter().any(still) {
                return Ok(());
            }
            self.faulty.push(fault);
            if Some(*culprit) == kernel {
                return Ok(());
            }
        }
    }

    /// Adds a row for each of these layers that has none yet with its kernel, and returns the first layer that is wrong.
    async fn compare(&mut self, executor: &Executor, values: &[ValueId]) -> Result<Option<ValueId>> {
        let (network, caps) = (executor.network(), executor.device().caps());
        let traced = executor.attempt(&self.input, values).await?;
        // After the run, in which the driver may have refused kernels.
        let plan = Plan::new(&network, self.input.shape, values, &executor.options(), caps)?;
        let stored = executor.stored();
        let bound = bound(stored);
        let mut wrong = None;
        for (id, got) in values.iter().zip(&traced) {
            let expected = &self.expected[id];
            let Some(step) = plan.steps.iter().filter(|step| step.value == *id).max_by_key(|step| step.macs) else {
                continue;
            };
            let (name, kernel) = (step.name.clone(), step.label());
            let error = relative_error(&got.data, &expected.data);
            let ok = error <= bound;
            let Shape { n, c, h, w } = got.shape;
            let follows = wrong.is_some();
            let row = *self.rows.entry((name.clone(), kernel.clone(), stored)).or_insert(self.layers.len());
            let check = LayerCheck { name, kernel, stored, shape: [n, c, h, w], error, bound, ok, follows };
            match self.layers.get_mut(row) {
                None => self.layers.push(check),
                // Now that it reads right values, its own verdict shows.
                Some(before) if before.follows && !follows => *before = check,
                Some(_) => {}
            }
            wrong = wrong.or((!ok).then_some(*id));
        }
        Ok(wrong)
    }

    fn refused(&mut self, stored: StorageType, kernel: KernelId, name: String) {
        self.faulty.push((kernel, stored));
        self.layers.push(LayerCheck {
            name: "(refused by the driver)".into(),
            kernel: name,
            stored,
            shape: [0; 4],
            error: f32::INFINITY,
            bound: 0.0,
            ok: false,
            follows: false,
        });
    }
}

/// What the error of a layer may be.
fn bound(stored: StorageType) -> f32 {
    match stored {
        StorageType::F32 => 1e-4,
        StorageType::F16 => 2e-2,
    }
}

/// The largest difference over the largest magnitude of `expected`; infinite for NaN.
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
        executor::gpu::{
            Device,
            kernels::{
                broadcast, registers,
                tiled::{self, Tile},
            },
            plan::Options,
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

    /// The broadcast kernel for subgroups of twice the lanes that there are is wrong where there are channels for all of them.
    #[test]
    fn a_kernel_that_is_wrong_is_found_and_not_chosen_again() {
        let device = blocking::wait(Device::open("auto", Threads::host())).expect("the GPU tests need an adapter");
        let lanes = 2 * device.caps().subgroup.expect("lavapipe has subgroups of one size");
        let wrong = broadcast::id(lanes);
        let graph = Architecture::by_name("cifar_resnet20a").unwrap().graph();
        let weights = Synthetic { salt: "wrong".into(), damped: Some("bn2.weight".into()), damp: 0.3 };
        let network = Network::new(graph.clone(), weights.checkpoint("wrong", &graph.tensors()).unwrap());
        let executor = Executor::new(Arc::new(device), network, Options::new(StorageType::F32));
        let (shape, right) = (Shape::new(1, 3, 32, 32), registers::ID);
        let verifier = Verifier::new(&executor, shape).unwrap();
        let verification = blocking::wait(verifier.verify(&[StorageType::F32], &[right, wrong])).unwrap();
        assert!(!verification.ok);
        assert_eq!(verification.faults, [Fault::new(executor.device().info(), wrong, StorageType::F32)]);
        let (rows, others): (Vec<&LayerCheck>, Vec<&LayerCheck>) =
            verification.layers.iter().partition(|layer| layer.kernel.contains(&format!("LANES={lanes}")));
        let wrong: Vec<&LayerCheck> = rows.into_iter().filter(|row| !row.ok).collect();
        assert!(!wrong[0].follows && wrong[1..].iter().all(|row| row.follows), "{wrong:?}");
        assert!(others.iter().filter(|layer| !layer.follows).all(|layer| layer.ok), "{others:?}");

        // Were it the usual choice, the next best would be taken.
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
        let verified = blocking::wait(verify(&executor.planned(options), shape, Coverage::Chosen)).unwrap();
        assert!(verified.ok, "{:?}", verified.layers);
    }

    #[test]
    fn a_fault_concerns_its_device_driver_and_shaders() {
        let device = DeviceInfo::reference();
        let fault = Fault::new(&device, tiled::id(Tile::P64C64), StorageType::F16);
        assert!(fault.concerns(&device));
        assert!(!Fault { driver: "other".into(), ..fault.clone() }.concerns(&device));
        assert!(!Fault { shaders: "other".into(), ..fault.clone() }.concerns(&device));
        let text = serde_json::to_string(&fault).unwrap();
        assert_eq!(serde_json::from_str::<Fault>(&text).unwrap(), fault);
        // A kernel that is not there, and one in the spelling of earlier versions.
        for other in ["\"conv2d.tilted.64x64\"", "{\"registers\":{\"pixels\":8}}"] {
            let foreign = text.replace("\"conv2d.tiled.64x64\"", other);
            assert!(foreign != text && serde_json::from_str::<Fault>(&foreign).is_err(), "{foreign}");
        }
    }
}
