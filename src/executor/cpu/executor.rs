//! The executor for machines without a GPU.

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
    store::{self, Store},
    threads::Threads,
};
use crate::{
    Error, Result,
    executor::{DeviceInfo, Executor, Footprint, Host, StepInfo, Times, Work},
    graph::ValueId,
    network::Network,
    tensor::{Input, Shape, Tensor},
};

/// A network on the processor's vector units. Weights are packed once. The buffers of a call are kept for the next call that
/// wants the same values for an input of the same shape.
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
    /// An executor for `network`, with as many threads as `host` has cores.
    pub(crate) fn new(network: Network, host: Arc<dyn Host>) -> Self {
        let (arch, threads) = (Arch::new(), Threads::shared(host.cores()));
        let info = Cpu::device(&*host);
        Cpu { info, network, host, arch, threads, store: Store::default(), kept: Mutex::default() }
    }

    /// Describes the processor, with the threads of `host`.
    pub(crate) fn device(host: &dyn Host) -> DeviceInfo {
        DeviceInfo::cpu(vectors(Arch::new()), host.cores())
    }

    /// Like [`Cpu::new`], boxed.
    pub(crate) fn open(network: Network, host: Arc<dyn Host>) -> Box<dyn Executor> {
        Box::new(Cpu::new(network, host))
    }

    /// Waits for its turn, then calls `work` on the threads with a session for the values `wanted` of an input of shape `input`. Uses the
    /// kept session, or makes one, which it keeps for later calls if `keep` is set.
    async fn in_session<T: Send>(
        &self,
        input: Shape,
        wanted: &[ValueId],
        keep: bool,
        work: impl FnOnce(&mut Session) -> Result<T> + Send,
    ) -> Result<T> {
        let Cpu { network, host, arch, threads, store, .. } = self;
        let _turn = threads.turn().await;
        let run = || {
            // Do not wait for the lock: in a fork, the thread that holds it may be missing.
            let kept = self.kept.try_lock().ok().and_then(|mut kept| kept.take());
            let mut session = match kept.filter(|kept| kept.input == input && kept.wanted == wanted) {
                Some(session) => session,
                None => Session::new(network, store, *arch, threads, input, wanted)?,
            };
            let outcome = work(&mut session)?;
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

/// The name of the processor's vector instructions.
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
            if let Err(error) = self.in_session(input, &[self.network.graph().output()], true, |_| Ok(())).await {
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

    /// Does not keep the session, because all values of a network take much memory and are seldom needed twice.
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
            let work = |session: &mut Session| -> Result<Vec<Vec<Duration>>> {
                let run = |_| {
                    let mut ends = Vec::with_capacity(steps.len() + 1);
                    session.run(network, *arch, threads, input, || ends.push(host.now()))?;
                    Ok(ends.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect())
                };
                // Skip the first run, which touches memory for the first time.
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
        let plan = Plan::new(&self.network, input, &[self.network.graph().output()])?;
        Ok(Some(plan.footprint(store::bytes(&self.network, &plan, self.arch))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Threads as Machine, blocking, checkpoint::Synthetic, executor::Reference, models::Architecture};

    /// Networks that together have every kind of layer, with the side of their input.
    const NETWORKS: [(&str, usize); 5] =
        [("cifar_resnet20a", 32), ("resnet18", 64), ("resnext50_32x4d", 64), ("densenet121", 64), ("ecaresnet26t", 64)];

    /// Every set of vector instructions that this machine has.
    fn all() -> Vec<Arch> {
        let mut all = vec![Arch::new(), Arch::Scalar];
        #[cfg(target_arch = "x86_64")]
        all.extend(pulp::x86::V3::try_new().map(Arch::V3));
        all
    }

    #[test]
    fn every_set_of_vectors_computes_what_the_reference_does() {
        let made_up = Synthetic { salt: "vectors".into(), damped: None, damp: 1.0 };
        for (name, side) in NETWORKS {
            let graph = Architecture::by_name(name).unwrap().graph();
            let checkpoint = made_up.checkpoint(name, &graph.tensors()).unwrap();
            let network = || Network::new(graph.clone(), checkpoint.clone());
            let wanted = [graph.output()];
            let shape = Shape::new(2, 3, side, side);
            let input = Tensor::new(shape, made_up.input([2, 3, side, side]));
            let output = |executor: &dyn Executor| {
                blocking::wait(executor.values((&input).into(), &wanted)).unwrap().remove(0).data
            };
            let expected = output(&Reference::new(network(), Machine::host()));
            let largest = expected.iter().fold(0.0, |max: f32, x| max.max(x.abs()));
            for arch in all() {
                let cpu = Cpu { arch, ..Cpu::new(network(), Machine::host()) };
                for (got, expected) in output(&cpu).iter().zip(&expected) {
                    assert!((got - expected).abs() <= 1e-4 * largest, "{name}, {arch:?}: {got}, expected {expected}");
                }
            }
        }
    }
}
