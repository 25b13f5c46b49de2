//! A network on a device.

use std::{mem, sync::Arc, time::Duration};

use super::{
    Clock, Device, Stopwatch,
    connection::Connection,
    pipelines,
    prepare::prepare,
    session::Session,
    sessions::{Purpose, Sessions, Slot},
    weights::Weights,
};
use crate::{
    Error, Note, Result,
    executor::{
        self, DeviceInfo, Fault, Footprint, StepInfo, Times, Work,
        gpu::{
            kernels::{self, KernelId},
            plan::{self, Options, Plan, Step},
        },
    },
    graph::ValueId,
    network::Network,
    tensor::{Input, Shape, StorageType, Tensor},
};

/// A network on a device. Weights are uploaded once. Buffers are made once for each input shape and set of wanted values.
/// Pipelines belong to the device. After a lost device is opened again, all of these are rebuilt. The interrupted runs
/// are repeated, and give the same bits.
#[derive(Debug)]
pub struct Executor {
    device: Arc<Device>,
    network: Arc<Network>,
    options: Options,
    weights: Arc<Weights>,
    sessions: Sessions,
}

impl Executor {
    /// A network on `device`, planned with `options`.
    pub fn new(device: Arc<Device>, network: Network, options: Options) -> Self {
        let network = Arc::new(network);
        let weights = Arc::new(Weights::new(network.clone(), options.stored));
        Executor { device, network, options, weights, sessions: Sessions::default() }
    }

    /// Another network on the same device, planned with the same options.
    pub fn with_network(&self, network: Network) -> Self {
        Executor::new(self.device.clone(), network, self.options.clone())
    }

    /// The same network on the same device, planned with other options. Shares the uploaded weights if both store the same type.
    pub fn with_options(&self, options: Options) -> Self {
        let (device, network) = (self.device.clone(), self.network.clone());
        let weights = if options.stored == self.options.stored {
            self.weights.clone()
        } else {
            Arc::new(Weights::new(network.clone(), options.stored))
        };
        Executor { device, network, options, weights, sessions: Sessions::default() }
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// How the network is planned: the options that were asked for, without the kernels that the device has given up.
    pub fn options(&self) -> Options {
        let mut options = self.options.clone();
        let since = self.device.given_up().into_iter();
        options.faulty.extend(since.filter(|kernel| !self.options.faulty.contains(kernel)));
        options
    }

    /// Type in which activations and weights are stored.
    pub fn stored(&self) -> StorageType {
        self.options.stored
    }

    /// The plan that yields the logits for an input of shape `input`.
    ///
    /// # Errors
    /// The errors of [`Plan::new`].
    pub fn plan(&self, input: Shape) -> Result<Plan> {
        Plan::new(&self.network, input, &[self.network.graph().output()], &self.options(), self.device.caps())
    }

    /// Compiles the kernels, and packs and uploads the weights, that logits of pixels of shape `input` need. Ignores failures:
    /// the call that needs the failed part meets them again and reports them.
    pub(crate) async fn prepare(&self, input: Shape) {
        let wanted = vec![self.network.graph().output()];
        let purpose = Purpose { input, pixels: true, wanted, wrong: self.device.wrong() };
        if let Err(error) = self.prepared(&purpose).await {
            log::info!("not prepared for {input}: {error}");
        }
    }

    async fn prepared(&self, purpose: &Purpose) -> Result<()> {
        let (connection, plan) = (self.device.connection().await?, self.plan_for(purpose)?);
        let outcome = prepare(&self.weights, &connection, &plan).await;
        if let Err(Error::GpuMemory { .. }) = outcome {
            self.weights.clear(&connection)?;
        }
        outcome
    }

    fn plan_for(&self, purpose: &Purpose) -> Result<Plan> {
        let caps = self.device.caps();
        let plan = Plan::new(&self.network, purpose.input, &purpose.wanted, &self.options(), caps)?;
        if purpose.pixels { plan.of_pixels(self.network.graph().input(), caps) } else { Ok(plan) }
    }

    /// Number of submissions that `plan` is cut into: one, unless it is estimated to take over 0.4 s. The estimate comes from the
    /// device's last runs, or from its kind before the first one.
    pub fn submissions(&self, plan: &Plan) -> usize {
        self.device.pace.portions(&plan.steps).len()
    }

    /// Logits `[N, classes, 1, 1]` of an input: a normalised tensor `[N, C, H, W]`, or pixels.
    ///
    /// # Errors
    /// The errors of [`Plan::new`], and the device's: [`Error::GpuLost`] if the device is lost twice during the call or cannot be
    /// opened again, [`Error::GpuMemory`], [`Error::GpuShader`].
    pub async fn run<'a>(&self, input: impl Into<Input<'a>>) -> Result<Tensor> {
        let mut values = self.values(input, &[self.network.graph().output()]).await?;
        Ok(values.remove(0))
    }

    /// The values `wanted`, in that order, for an input as [`Executor::run`] takes it. Computes only the layers that they depend
    /// on. Keeps the buffers for the next call with the same wanted values, kind of input and shape. If two such calls come at
    /// once, one is prepared or read back while the other runs; further calls wait.
    ///
    /// # Errors
    /// As [`Executor::run`]; [`Error::Shape`] for a value that is not one of [`Network::values`].
    pub async fn values<'a>(&self, input: impl Into<Input<'a>>, wanted: &[ValueId]) -> Result<Vec<Tensor>> {
        let input = input.into();
        let purpose = self.purpose(input, wanted);
        match self.in_session(&purpose, input).await {
            // Try once more: this opens the device again.
            Err(Error::GpuLost { .. }) => self.in_session(&purpose, input).await,
            outcome => outcome,
        }
    }

    /// The values of `purpose`, from a session that is kept for later calls.
    async fn in_session(&self, purpose: &Purpose, input: Input<'_>) -> Result<Vec<Tensor>> {
        let connection = self.device.connection().await?;
        let slot = self.sessions.slot(&connection, purpose)?;
        let session = self.session(&connection, &slot, purpose).await?;
        let outcome = session.run(input).await;
        if outcome.is_err() {
            // Drop the session: the next call may need the memory that it holds.
            slot.lock().await.take_if(|kept| Arc::ptr_eq(kept, &session));
        }
        outcome
    }

    fn purpose(&self, input: Input<'_>, wanted: &[ValueId]) -> Purpose {
        Purpose::new(input, wanted, self.device.wrong())
    }

    /// The values `wanted` for `input`, each from a buffer of its own. An element that no kernel has written is NaN.
    async fn attempt(&self, input: Input<'_>, wanted: &[ValueId]) -> Result<Vec<Tensor>> {
        let purpose = self.purpose(input, wanted);
        match self.once(&purpose, input).await {
            Err(Error::GpuLost { .. }) => self.once(&purpose, input).await,
            outcome => outcome,
        }
    }

    /// The values of `purpose`, from a session that is not kept: it is large and seldom needed twice.
    async fn once(&self, purpose: &Purpose, input: Input<'_>) -> Result<Vec<Tensor>> {
        let connection = self.device.connection().await?;
        self.new_session(&connection, purpose).await?.attempt(input).await
    }

    /// Bytes of packed weights on the device.
    pub fn weight_bytes(&self) -> u64 {
        self.weights.bytes()
    }

    /// A stopwatch for the values `wanted` of an input of shape `input`.
    ///
    /// # Errors
    /// As [`Executor::run`].
    pub async fn stopwatch(&self, input: Shape, wanted: &[ValueId]) -> Result<Stopwatch> {
        let connection = self.device.connection().await?;
        let purpose = Purpose { input, pixels: false, wanted: wanted.to_vec(), wrong: self.device.wrong() };
        Ok(Stopwatch(self.new_session(&connection, &purpose).await?))
    }

    /// The plan for `input`, and for each of its dispatches the median time of `runs` runs, by `clock`.
    ///
    /// # Errors
    /// The errors of [`Stopwatch::times`].
    pub async fn profile(&self, input: &Tensor, runs: usize, clock: Clock) -> Result<(Plan, Vec<Duration>)> {
        let stopwatch = self.stopwatch(input.shape, &[self.network.graph().output()]).await?;
        stopwatch.run(input).await?;
        let mut times = Vec::with_capacity(runs);
        for _ in 0..runs.max(1) {
            times.push(stopwatch.times(clock).await?);
        }
        Ok((stopwatch.plan().clone(), executor::medians(&times)))
    }

    /// The session for `purpose`, which is kept in `slot`; makes it if there is none.
    async fn session(&self, connection: &Arc<Connection>, slot: &Slot, purpose: &Purpose) -> Result<Arc<Session>> {
        let mut kept = slot.lock().await;
        if let Some(session) = &*kept {
            return Ok(session.clone());
        }
        let session = match self.new_session(connection, purpose).await {
            // Free the sessions of other calls, and try once more.
            Err(Error::GpuMemory { .. }) if self.sessions.drop_others(connection, slot)? => {
                self.new_session(connection, purpose).await
            }
            outcome => outcome,
        };
        Ok(kept.insert(Arc::new(session?)).clone())
    }

    /// Makes a session. If the driver refuses the kernel of a layer, uses the next best.
    async fn new_session(&self, connection: &Arc<Connection>, purpose: &Purpose) -> Result<Session> {
        let mut replaced = Vec::new();
        loop {
            let plan = self.plan_for(purpose)?;
            let steps = plan.steps.clone();
            match Session::new(&self.weights, connection, plan).await {
                Err(error @ Error::GpuShader { .. }) => {
                    self.replace(connection, error, purpose, &steps, &mut replaced)?;
                }
                Err(error @ Error::GpuMemory { .. }) => {
                    self.weights.clear(connection)?;
                    return Err(error);
                }
                outcome => return outcome,
            }
        }
    }

    /// Gives up the kernel of `steps` that the driver refused with `error`. `replaced` are the layers for which a kernel was
    /// already given up.
    ///
    /// # Errors
    /// `error`, with the kernel's id, if no other kernel computes its layers, or if it is the second one given up for a layer.
    fn replace(
        &self,
        connection: &Connection,
        error: Error,
        purpose: &Purpose,
        steps: &[Step],
        replaced: &mut Vec<ValueId>,
    ) -> Result<()> {
        let refused = steps.iter().find(|step| pipelines::refuses(connection, &step.key)).map(|step| step.kernel);
        let (Error::GpuShader { device, reason, .. }, Some(kernel)) = (&error, refused) else { return Err(error) };
        let (device, reason) = (device.clone(), reason.clone());
        let error = Error::GpuShader { device, kernel: kernel.to_string(), reason };
        let mut options = self.options();
        options.faulty.push((kernel, options.stored));
        let plan = Plan::new(&self.network, purpose.input, &purpose.wanted, &options, self.device.caps())?;
        let layers: Vec<ValueId> = steps.iter().filter(|step| step.kernel == kernel).map(|step| step.value).collect();
        let unavoidable = plan.steps.iter().any(|step| step.kernel == kernel)
            || layers.iter().any(|value| replaced.contains(value))
            || options.forced.is_some();
        if unavoidable {
            return Err(error);
        }
        replaced.extend(layers);
        log::warn!("{error}; using another kernel");
        self.device.give_up(kernel, options.stored, error.to_string(), false);
        Ok(())
    }
}

impl executor::Executor for Executor {
    fn info(&self) -> &DeviceInfo {
        self.device.info()
    }

    fn network(&self) -> &Network {
        &self.network
    }

    fn with_network(&self, network: Network) -> Box<dyn executor::Executor> {
        Box::new(self.with_network(network))
    }

    fn values<'a>(&'a self, input: Input<'a>, wanted: &'a [ValueId]) -> Work<'a, Result<Vec<Tensor>>> {
        Box::pin(self.values(input, wanted))
    }

    fn times<'a>(&'a self, input: &'a Tensor, runs: usize) -> Work<'a, Result<Times>> {
        let clock = self.device.clock();
        Box::pin(async move {
            let (plan, times) = self.profile(input, runs, clock).await?;
            Ok(Times::medians(clock, plan.steps.iter().map(info).collect(), &[times]))
        })
    }

    fn stored(&self) -> StorageType {
        self.options.stored
    }

    fn chosen_for(&self, images: usize) -> Option<Box<dyn executor::Executor>> {
        let options = Some(self.options()).filter(|options| options.chosen_for.is_none())?;
        Some(Box::new(self.with_options(Options { chosen_for: Some(images), ..options })))
    }

    fn layers(&self, input: Shape) -> Result<Vec<ValueId>> {
        let kernels = plan::kernels(&self.network, input, &self.options(), self.device.caps())?;
        Ok(kernels.into_iter().map(|(value, _)| value).collect())
    }

    fn steps(&self, input: Input<'_>, wanted: &[ValueId]) -> Result<Vec<StepInfo>> {
        Ok(self.plan_for(&self.purpose(input, wanted))?.steps.iter().map(info).collect())
    }

    fn trace<'a>(&'a self, input: Input<'a>, wanted: &'a [ValueId]) -> Work<'a, Result<Vec<Tensor>>> {
        Box::pin(self.attempt(input, wanted))
    }

    fn footprint(&self, input: Shape) -> Result<Option<Footprint>> {
        Ok(Some(self.plan(input)?.footprint))
    }

    fn memory(&self) -> Work<'_, Option<u64>> {
        Box::pin(self.device.memory())
    }

    fn describe(&self, input: Shape) -> Result<String> {
        let plan = self.plan(input)?;
        let fusions = self.network.report().join("\n");
        let submissions = self.submissions(&plan);
        Ok(format!("plan\n{plan}submissions for one image: {submissions}\n\nfusions\n{fusions}\n"))
    }

    fn notes(&self) -> Vec<Note> {
        self.device.notes()
    }

    /// An executor for each precision of the device and each kernel that can take the place of a chosen one.
    fn variants(&self, input: Shape) -> Result<Vec<Box<dyn executor::Executor>>> {
        let caps = self.device.caps();
        let mut variants: Vec<Box<dyn executor::Executor>> = Vec::new();
        for stored in [StorageType::F32, StorageType::F16] {
            if stored == StorageType::F16 && !caps.f16 {
                continue;
            }
            let chosen = self.with_options(Options { stored, forced: None, ..self.options.clone() });
            let mut forced = Vec::new();
            for kernel in kernels::candidates(caps) {
                let options = Options { forced: Some(kernel), ..chosen.options.clone() };
                let kernels = plan::kernels(&self.network, input, &options, caps)?;
                if kernels.iter().any(|(_, chosen)| *chosen == kernel) {
                    forced.push(chosen.with_options(options));
                }
            }
            let chosen = Some(chosen).filter(|chosen| chosen.options != self.options);
            let all = chosen.into_iter().chain(forced);
            variants.extend(all.map(|variant| -> Box<dyn executor::Executor> { Box::new(variant) }));
        }
        Ok(variants)
    }

    fn give_up(&self, input: Shape, layer: Option<ValueId>, reason: &str) -> Result<bool> {
        let kernel = |layer: ValueId, options: &Options| -> Result<Option<KernelId>> {
            let kernels = plan::kernels(&self.network, input, options, self.device.caps())?;
            Ok(kernels.into_iter().find(|(value, _)| *value == layer).map(|(_, kernel)| kernel))
        };
        let options = self.options();
        let culprit = layer.map_or(Ok(options.forced), |layer| kernel(layer, &options))?;
        let Some(culprit) = culprit.filter(|culprit| !options.faulty.contains(&(*culprit, options.stored))) else {
            return Ok(false);
        };
        let mut without = Options { forced: None, ..options.clone() };
        without.faulty.push((culprit, options.stored));
        if layer.map_or(Ok(None), |layer| kernel(layer, &without))? == Some(culprit) {
            return Ok(false);
        }
        self.device.give_up(culprit, options.stored, reason.into(), true);
        Ok(options.forced != Some(culprit))
    }

    fn faults(&self) -> Vec<Fault> {
        let code = kernels::checksum();
        let faults = self.options().faulty;
        let fault = |(kernel, stored): (KernelId, StorageType)| {
            Fault::new(self.device.info(), code.clone(), kernel.to_string(), stored)
        };
        faults.into_iter().map(fault).collect()
    }
}

/// Describes a dispatch in the form that all executors share.
fn info(step: &Step) -> StepInfo {
    StepInfo {
        layer: step.name.clone(),
        value: step.value,
        kernel: step.label(),
        flops: 2 * step.macs,
        bytes: step.bytes,
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        if self.device.check_process().is_err() {
            // As in `Device`: a fork cannot free the buffers.
            mem::forget(mem::take(&mut self.sessions));
            mem::forget(self.weights.clone());
        }
    }
}
