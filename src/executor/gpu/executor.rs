//! A network on a device.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{Clock, Device, Stopwatch, connection::Connection, lock, prepare::prepare, session::Session, transfer};
use crate::{
    Error, Result,
    executor::gpu::plan::{self, Options, Plan, Step, WeightsId},
    graph::ValueId,
    network::Network,
    tensor::{Input, Shape, StorageType, Tensor},
};

/// Sessions whose buffers are kept for the next call.
const SESSIONS: usize = 3;

/// What a session is made for.
#[derive(Debug, Clone, PartialEq)]
struct Purpose {
    /// Shape of its input.
    input: Shape,
    /// The input is pixels.
    pixels: bool,
    /// The values that it reads back.
    wanted: Vec<ValueId>,
}

/// The place of a kept session, empty before the first call and after one that failed.
type Slot = Arc<async_lock::Mutex<Option<Arc<Session>>>>;

type Sessions = Vec<(Purpose, Slot)>;

/// A network on a device. Weights are uploaded once, buffers made once for each input shape and set of wanted values; pipelines
/// belong to the device. If the device is lost, all of that is made once more where it is opened again, and what was under way is
/// run once more, to the same bits.
#[derive(Debug)]
pub struct Executor {
    device: Arc<Device>,
    network: Arc<Network>,
    options: Options,
    weights: Arc<Mutex<Held<HashMap<WeightsId, wgpu::Buffer>>>>,
    /// Most recently used last.
    sessions: Mutex<Held<Sessions>>,
}

/// What is on the device, of one opening of it.
#[derive(Debug, Default)]
struct Held<T> {
    opening: u64,
    held: T,
}

impl<T: Default> Held<T> {
    /// What is held on `connection`; of an older one nothing is left.
    fn on(&mut self, connection: &Connection) -> Result<&mut T> {
        if self.opening > connection.number {
            return Err(connection.lose("opened again"));
        }
        if self.opening < connection.number {
            *self = Held { opening: connection.number, held: T::default() };
        }
        Ok(&mut self.held)
    }
}

impl Executor {
    /// A network on `device`, planned with `options`.
    pub fn new(device: Arc<Device>, network: Network, options: Options) -> Self {
        Executor { device, network: Arc::new(network), options, weights: Arc::default(), sessions: Mutex::default() }
    }

    /// Another network on the same device, planned with the same options.
    pub fn with(&self, network: Network) -> Self {
        Executor::new(self.device.clone(), network, self.options.clone())
    }

    /// The same network on the same device, planned with other options. Weights that are stored alike are shared.
    pub fn planned(&self, options: Options) -> Self {
        let weights = if options.stored == self.options.stored { self.weights.clone() } else { Arc::default() };
        let (device, network) = (self.device.clone(), self.network.clone());
        Executor { device, network, options, weights, sessions: Mutex::default() }
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// How it is planned: as was asked for, without the kernels that the driver has refused since.
    pub fn options(&self) -> Options {
        let mut options = self.options.clone();
        options.faulty.extend(self.device.refused());
        options
    }

    /// Type of stored activations and weights.
    pub fn stored(&self) -> StorageType {
        self.options.stored
    }

    /// The plan that yields the logits for an input of shape `input`.
    ///
    /// # Errors
    /// Those of [`Plan::new`].
    pub fn plan(&self, input: Shape) -> Result<Plan> {
        Plan::new(&self.network, input, &[self.network.graph().output()], &self.options(), self.device.caps())
    }

    /// Compiles the kernels and packs and uploads the weights for logits of pixels of shape `input`. What fails is left to the call
    /// that needs it, and fails there once more.
    pub(crate) async fn prepare(&self, input: Shape) {
        let purpose = Purpose { input, pixels: true, wanted: vec![self.network.graph().output()] };
        if let Err(error) = self.prepared(&purpose).await {
            log::info!("not prepared for {input}: {error}");
        }
    }

    async fn prepared(&self, purpose: &Purpose) -> Result<()> {
        let (connection, plan) = (self.device.connection().await?, self.plan_for(purpose)?);
        let outcome = prepare(self, &connection, &plan).await;
        if let Err(Error::GpuMemory { .. }) = outcome {
            lock(&self.weights).on(&connection)?.clear();
        }
        outcome
    }

    fn plan_for(&self, purpose: &Purpose) -> Result<Plan> {
        let caps = self.device.caps();
        let plan = Plan::new(&self.network, purpose.input, &purpose.wanted, &self.options(), caps)?;
        if purpose.pixels { plan.of_pixels(self.network.graph().input(), caps) } else { Ok(plan) }
    }

    /// Submissions that `plan` is cut into: one, unless that is estimated to take over 0.4 s, by the device's last runs, or by its
    /// kind if there were none.
    pub fn submissions(&self, plan: &Plan) -> usize {
        self.device.pace.portions(&plan.steps).len()
    }

    /// Logits `[N, classes, 1, 1]` of an input: a normalised tensor `[N, C, H, W]`, or pixels.
    ///
    /// # Errors
    /// Those of [`Plan::new`], and the device's: [`Error::GpuLost`] if it is lost twice on the way or cannot be opened again,
    /// [`Error::GpuMemory`], [`Error::GpuShader`].
    pub async fn run<'a>(&self, input: impl Into<Input<'a>>) -> Result<Tensor> {
        let mut values = self.values(input, &[self.network.graph().output()]).await?;
        Ok(values.remove(0))
    }

    /// The values `wanted`, in that order, for an input as [`Executor::run`] takes it, and nothing computed beyond the last of them.
    /// Buffers stay for the next call that wants the same values of an input of the same kind and shape. Of two such calls at once
    /// one is prepared or read back while the other runs; more of them wait.
    ///
    /// # Errors
    /// As [`Executor::run`]; [`Error::Shape`] for a value that is not one of [`Network::values`].
    pub async fn values<'a>(&self, input: impl Into<Input<'a>>, wanted: &[ValueId]) -> Result<Vec<Tensor>> {
        let input = input.into();
        let pixels = matches!(input, Input::Pixels(_));
        let purpose = Purpose { input: input.shape(), pixels, wanted: wanted.to_vec() };
        match self.in_session(&purpose, input).await {
            // The device is opened again.
            Err(Error::GpuLost { .. }) => self.in_session(&purpose, input).await,
            outcome => outcome,
        }
    }

    /// The values of `purpose`, by a session that is kept.
    async fn in_session(&self, purpose: &Purpose, input: Input<'_>) -> Result<Vec<Tensor>> {
        let connection = self.device.connection().await?;
        let slot = self.slot(&connection, purpose)?;
        let session = self.session(&connection, &slot, purpose).await?;
        let outcome = session.run(input).await;
        if outcome.is_err() {
            // What it holds of the device may be what the next call lacks.
            slot.lock().await.take_if(|kept| Arc::ptr_eq(kept, &session));
        }
        outcome
    }

    /// The value of every layer for `input`, in order, as [`Executor::attempt`] gives it.
    ///
    /// # Errors
    /// As [`Executor::run`].
    pub async fn trace(&self, input: &Tensor) -> Result<Vec<(ValueId, Tensor)>> {
        let wanted = self.network.values();
        let values = self.attempt(input, &wanted).await?;
        Ok(wanted.into_iter().zip(values).collect())
    }

    /// The values `wanted` for `input`, for comparing layer by layer: each value gets a buffer of its own, and what a kernel has not
    /// written is NaN.
    ///
    /// # Errors
    /// As [`Executor::run`].
    pub async fn attempt(&self, input: &Tensor, wanted: &[ValueId]) -> Result<Vec<Tensor>> {
        let purpose = Purpose { input: input.shape, pixels: false, wanted: wanted.to_vec() };
        match self.once(&purpose, input).await {
            Err(Error::GpuLost { .. }) => self.once(&purpose, input).await,
            outcome => outcome,
        }
    }

    /// The values of `purpose`, by a session that is not kept: it is large, and seldom wanted twice.
    async fn once(&self, purpose: &Purpose, input: &Tensor) -> Result<Vec<Tensor>> {
        let connection = self.device.connection().await?;
        self.new_session(&connection, purpose).await?.attempt(input.into()).await
    }

    /// Bytes of the packed weights that are on the device.
    pub fn weight_bytes(&self) -> u64 {
        lock(&self.weights).held.values().map(wgpu::Buffer::size).sum()
    }

    /// A stopwatch for the values `wanted` of an input of shape `input`.
    ///
    /// # Errors
    /// As [`Executor::run`].
    pub async fn stopwatch(&self, input: Shape, wanted: &[ValueId]) -> Result<Stopwatch> {
        let connection = self.device.connection().await?;
        let purpose = Purpose { input, pixels: false, wanted: wanted.to_vec() };
        Ok(Stopwatch(self.new_session(&connection, &purpose).await?))
    }

    /// The plan for `input`, and of each of its dispatches the median time of `runs` runs, by `clock`.
    ///
    /// # Errors
    /// Those of [`Stopwatch::times`].
    pub async fn profile(&self, input: &Tensor, runs: usize, clock: Clock) -> Result<(Plan, Vec<Duration>)> {
        let stopwatch = self.stopwatch(input.shape, &[self.network.graph().output()]).await?;
        stopwatch.run(input).await?;
        let mut times = Vec::with_capacity(runs);
        for _ in 0..runs.max(1) {
            times.push(stopwatch.times(clock).await?);
        }
        let median = |dispatch: usize| {
            let mut times: Vec<Duration> = times.iter().map(|run| run[dispatch]).collect();
            times.sort();
            times[times.len() / 2]
        };
        let medians = (0..stopwatch.plan().steps.len()).map(median).collect();
        Ok((stopwatch.plan().clone(), medians))
    }

    /// The session for `purpose`, whose place is `slot`: the kept one, or one that is made.
    async fn session(&self, connection: &Arc<Connection>, slot: &Slot, purpose: &Purpose) -> Result<Arc<Session>> {
        let mut kept = slot.lock().await;
        if let Some(session) = &*kept {
            return Ok(session.clone());
        }
        let session = match self.new_session(connection, purpose).await {
            // Without what is kept for other calls there may be room.
            Err(Error::GpuMemory { .. }) if self.drop_others(connection, slot)? => {
                self.new_session(connection, purpose).await
            }
            outcome => outcome,
        };
        Ok(kept.insert(Arc::new(session?)).clone())
    }

    /// The place of the session for `purpose`, which takes that of the session that was not used for longest.
    fn slot(&self, connection: &Connection, purpose: &Purpose) -> Result<Slot> {
        let mut sessions = lock(&self.sessions);
        let sessions = sessions.on(connection)?;
        let entry = match sessions.iter().position(|(made_for, _)| made_for == purpose) {
            Some(i) => sessions.remove(i),
            None => {
                if sessions.len() == SESSIONS {
                    sessions.remove(0);
                }
                (purpose.clone(), Slot::default())
            }
        };
        let slot = entry.1.clone();
        sessions.push(entry);
        Ok(slot)
    }

    /// Lets go of all sessions but that of `slot`; whether there were any on a device that is not lost.
    fn drop_others(&self, connection: &Connection, slot: &Slot) -> Result<bool> {
        let mut sessions = lock(&self.sessions);
        let sessions = sessions.on(connection)?;
        let other = |kept: &Slot| !Arc::ptr_eq(kept, slot);
        let holds = |kept: &Slot| kept.try_lock().is_none_or(|session| session.is_some());
        let any = sessions.iter().any(|(_, kept)| other(kept) && holds(kept));
        sessions.retain(|(_, kept)| !other(kept));
        Ok(any && connection.lost().is_none())
    }

    /// A session; where the driver refuses the kernel of a layer, with the next best.
    async fn new_session(&self, connection: &Arc<Connection>, purpose: &Purpose) -> Result<Session> {
        let mut replaced = Vec::new();
        loop {
            let plan = self.plan_for(purpose)?;
            let steps = plan.steps.clone();
            match Session::new(self, connection, plan).await {
                Err(error @ Error::GpuShader { .. }) => {
                    self.replace(connection, error, purpose, &steps, &mut replaced)?;
                }
                Err(error @ Error::GpuMemory { .. }) => {
                    lock(&self.weights).on(connection)?.clear();
                    return Err(error);
                }
                outcome => return outcome,
            }
        }
    }

    /// Gives up the kernel of `steps` that the driver has refused with `error`; `replaced` are the layers that had one given up already.
    ///
    /// # Errors
    /// `error`, with the kernel's id, if nothing else computes its layers, or if it is the second one of a layer.
    fn replace(
        &self,
        connection: &Connection,
        error: Error,
        purpose: &Purpose,
        steps: &[Step],
        replaced: &mut Vec<ValueId>,
    ) -> Result<()> {
        let refused = steps.iter().find(|step| connection.refuses(&step.key)).map(|step| step.kernel);
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
        log::warn!("{error}; another kernel is used");
        self.device.refuse(kernel, options.stored, error);
        Ok(())
    }

    /// The packed array `id` on the device. It is packed in `room`: memory that is used again does not come from the system once more.
    pub(super) async fn weights(
        &self,
        connection: &Connection,
        id: WeightsId,
        room: &mut Vec<f32>,
    ) -> Result<wgpu::Buffer> {
        if let Some(buffer) = lock(&self.weights).on(connection)?.get(&id) {
            return Ok(buffer.clone());
        }
        plan::pack(&self.network, id, room)?;
        let bytes = transfer::encode(room, id.array.stored(self.options.stored));
        let buffer = connection.filled("weights", &bytes, wgpu::BufferUsages::STORAGE).await?;
        lock(&self.weights).on(connection)?.insert(id, buffer.clone());
        Ok(buffer)
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        if self.device.check_process().is_err() {
            // As with the device: in a fork its buffers cannot be given back.
            mem::forget(mem::take(self.sessions.get_mut().unwrap_or_else(PoisonError::into_inner)));
            mem::forget(self.weights.clone());
        }
    }
}
