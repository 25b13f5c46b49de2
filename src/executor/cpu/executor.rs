//! The fast path without a GPU, as an executor.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use pulp::{Arch, Simd, WithSimd};

use super::{
    peak,
    plan::Plan,
    session::Session,
    store::{Arrays, Store},
    threads::Threads,
};
use crate::{
    Error, Result,
    executor::{DeviceInfo, Executor, Footprint, Host, StepInfo, Times, Work},
    graph::ValueId,
    network::Network,
    tensor::{Input, Shape, Tensor},
};

/// A network on the processor's vector units. Weights are packed once; the buffers of the last call are kept for the next one that wants
/// the same values of an input of the same shape.
pub(crate) struct Cpu {
    info: DeviceInfo,
    network: Network,
    host: Arc<dyn Host>,
    arch: Arch,
    threads: Arc<Threads>,
    store: Store,
    kept: Mutex<Option<Session>>,
}

impl Cpu {
    /// `network` on as many threads as `host` has cores.
    pub(crate) fn new(network: Network, host: Arc<dyn Host>) -> Self {
        let (arch, threads) = (Arch::new(), Threads::shared(host.cores()));
        let info = Cpu::device(&*host);
        Cpu { info, network, host, arch, threads, store: Store::default(), kept: Mutex::default() }
    }

    /// The processor with the threads of `host`.
    pub(crate) fn device(host: &dyn Host) -> DeviceInfo {
        DeviceInfo::cpu(vectors(Arch::new()), host.cores())
    }

    /// The same in a box.
    pub(crate) fn open(network: Network, host: Arc<dyn Host>) -> Box<dyn Executor> {
        Box::new(Cpu::new(network, host))
    }

    /// Calls `work` with a session for `wanted` of an input of shape `input`, on the threads, when it is its turn: with the one that is
    /// kept, or one that is kept from then on if `keep` says so.
    async fn in_session<T: Send>(
        &self,
        input: Shape,
        wanted: &[ValueId],
        keep: bool,
        work: impl FnOnce(&mut Session) -> T + Send,
    ) -> Result<T> {
        let Cpu { network, host, arch, threads, store, .. } = self;
        let _turn = threads.turn().await;
        let run = || {
            // Another thread may have had the lock when the process forked.
            let kept = self.kept.try_lock().ok().and_then(|mut kept| kept.take());
            let mut session = match kept.filter(|kept| kept.input == input && kept.wanted == wanted) {
                Some(session) => session,
                None => Session::new(network, store, *arch, threads, input, wanted)?,
            };
            let outcome = work(&mut session);
            if keep && let Ok(mut kept) = self.kept.try_lock() {
                *kept = Some(session);
            }
            Ok(outcome)
        };
        let (mut run, mut outcome) = (Some(run), None);
        host.block(&mut || outcome = run.take().map(|run| threads.run(run)));
        outcome
            .unwrap_or_else(|| Err(Error::GpuLost { device: "cpu".into(), reason: "the host did not run it".into() }))
    }
}

impl fmt::Debug for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cpu").field("info", &self.info).field("network", &self.network).finish_non_exhaustive()
    }
}

/// The name of the vectors that the processor has.
fn vectors(arch: Arch) -> &'static str {
    struct Name;
    impl WithSimd for Name {
        type Output = &'static str;
        fn with_simd<S: Simd>(self, _: S) -> &'static str {
            match S::F32_LANES {
                16 => "AVX-512",
                8 => "AVX2",
                4 => "128 bits",
                _ => "no vectors",
            }
        }
    }
    arch.dispatch(Name)
}

impl Executor for Cpu {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn network(&self) -> &Network {
        &self.network
    }

    fn with_network(&self, network: Network) -> Box<dyn Executor> {
        Cpu::open(network, self.host.clone())
    }

    fn prepare(&self, input: Shape) -> Work<'_> {
        Box::pin(async move {
            if let Err(error) = self.in_session(input, &[self.network.graph().output()], true, |_| ()).await {
                log::info!("not prepared for {input}: {error}");
            }
        })
    }

    fn values<'a>(&'a self, input: Input<'a>, wanted: &'a [ValueId]) -> Work<'a, Result<Vec<Tensor>>> {
        let Cpu { network, arch, threads, .. } = self;
        Box::pin(async move {
            let run = |session: &mut Session| session.run(network, *arch, threads, &input.tensor(), || {});
            self.in_session(input.shape(), wanted, true, run).await
        })
    }

    /// All values of a network take much memory, and are seldom wanted twice.
    fn trace<'a>(&'a self, input: Input<'a>, wanted: &'a [ValueId]) -> Work<'a, Result<Vec<Tensor>>> {
        let Cpu { network, arch, threads, .. } = self;
        Box::pin(async move {
            let run = |session: &mut Session| session.run(network, *arch, threads, &input.tensor(), || {});
            self.in_session(input.shape(), wanted, false, run).await
        })
    }

    fn times<'a>(&'a self, input: &'a Tensor, runs: usize) -> Work<'a, Result<Times>> {
        let Cpu { network, arch, threads, host, .. } = self;
        Box::pin(async move {
            let wanted = [network.graph().output()];
            let steps = self.steps(input.into(), &wanted)?;
            let work = |session: &mut Session| -> Vec<Vec<Duration>> {
                let run = |_| {
                    let mut ends = Vec::with_capacity(steps.len() + 1);
                    session.run(network, *arch, threads, input, || ends.push(host.now()));
                    ends.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect()
                };
                // The first run touches memory for the first time.
                (0..=runs.max(1)).map(run).skip(1).collect()
            };
            let runs = self.in_session(input.shape, &wanted, true, work).await?;
            Ok(Times::medians("the host's clock around each layer", steps, &runs))
        })
    }

    fn steps(&self, input: Input<'_>, wanted: &[ValueId]) -> Result<Vec<StepInfo>> {
        let (graph, layers) = (self.network.graph(), self.network.layers());
        let plan = Plan::new(&self.network, input.shape(), wanted)?;
        let step = |step: &super::plan::Step| {
            let layer = &layers[step.layer];
            let values = layer.reads().chain([layer.output]).map(|id| plan.shapes[id.0].elements());
            let shape = plan.shapes[layer.output.0];
            let node = graph.nodes().iter().find(|node| node.name == layer.name);
            let op = node.map_or("", |node| node.op.name());
            let kernel = step.form.map_or_else(|| op.into(), |form| format!("{op}.{}", form.name()));
            let macs = node.map_or(0, |node| node.op.macs(shape));
            let weights = layer.op.weights().map_or(0, |(_, _, shape)| shape.iter().product());
            let bytes = 4 * (values.sum::<usize>() + weights) as u64;
            StepInfo { layer: layer.name.clone(), value: layer.output, kernel, flops: 2 * macs, bytes }
        };
        Ok(plan.steps.iter().map(step).collect())
    }

    fn peak(&self) -> Work<'_, Option<f64>> {
        let Cpu { host, arch, threads, .. } = self;
        Box::pin(async move {
            let _turn = threads.turn().await;
            let mut peak = None;
            host.block(&mut || peak = Some(threads.run(|| peak::flops(&**host, *arch, threads))));
            peak
        })
    }

    fn footprint(&self, input: Shape) -> Result<Option<Footprint>> {
        let Cpu { network, arch, threads, store, .. } = self;
        let plan = Plan::new(network, input, &[network.graph().output()])?;
        let weights = threads.run(|| store.of(network, &plan, *arch, threads))?;
        Ok(Some(plan.footprint(weights.iter().map(Arrays::bytes).sum())))
    }
}
