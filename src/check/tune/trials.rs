//! Measures layers one after the other: runs each layer's kernels alone on synthetic values, compares them with the plain kernel, and
//! times them in turns.

use std::{collections::HashMap, sync::Arc, time::Duration};

use crate::{
    Error, Result,
    check::verify::relative_error,
    executor::gpu::{
        Device, Executor, Stopwatch,
        kernels::{self, KernelId},
        plan::{Case, Options, SingleLayer},
    },
    graph::ValueId,
    tensor::{StorageType, Tensor},
};

/// A kernel that takes this many times as long as the best one is not timed again.
const FAR: u32 = 3;
/// After three timings each, a kernel whose best time is this many times the overall best gets no more turns.
const BEHIND: f64 = 1.5;
/// Rounds for the remaining kernels: least, most, and the time after which no further round begins.
const ROUNDS: (usize, usize) = (5, 25);
const ROUNDS_TIME: Duration = Duration::from_millis(250);
/// A kernel that has cost this much time and was far from the best at every layer is given up.
const COST: Duration = Duration::from_secs(2);

/// Times layers one after the other.
pub(super) struct Trials<'a> {
    device: &'a Arc<Device>,
    /// The time that each kernel has cost, and whether it was ever close to the best.
    costs: HashMap<KernelId, (Duration, bool)>,
    /// Kernels that disagreed with the plain one.
    pub(super) wrong: Vec<(KernelId, StorageType)>,
}

impl<'a> Trials<'a> {
    /// No layer timed yet.
    pub(super) fn new(device: &'a Arc<Device>) -> Self {
        Trials { device, costs: HashMap::new(), wrong: Vec::new() }
    }

    /// Times the `kernels` that agree with the plain kernel on `case`, except those given up.
    pub(super) async fn times(&mut self, case: &Case, kernels: &[KernelId]) -> Result<Vec<(KernelId, Duration)>> {
        let Trials { device, costs, wrong } = self;
        let hopeful = |kernel: &KernelId| costs.get(kernel).is_none_or(|(cost, near)| *near || *cost < COST);
        let kernels: Vec<KernelId> = kernels.iter().copied().filter(hopeful).collect();
        let layer = Layer::new(device, case).await?;
        let (clock, host) = (device.clock(), device.host());
        let mut enter = async |kernel: KernelId| {
            let began = host.now();
            let (stopwatch, error) = match layer.enter(kernel).await {
                Ok(entered) => entered,
                // Leave out kernels that the driver refuses or has no memory for.
                Err(Error::GpuShader { .. } | Error::GpuMemory { .. } | Error::GpuLimits { .. }) => return Ok(None),
                Err(error) => return Err(error),
            };
            if error > kernel.tolerance(&case.problem, case.stored) {
                wrong.push((kernel, case.stored));
                return Ok(None);
            }
            costs.entry(kernel).or_default().0 += host.now().saturating_sub(began);
            Ok(Some(stopwatch))
        };
        let time = async |stopwatch: &Stopwatch| {
            let times = stopwatch.times(clock).await?;
            let steps = stopwatch.plan().steps.iter().zip(times);
            Ok(steps.filter(|(step, _)| step.value == layer.values[0]).map(|(_, time)| time).sum())
        };
        let times = contest(&kernels, || host.now(), &mut enter, &time).await?;
        wrong.sort_by_key(|(kernel, _)| kernel.to_string());
        wrong.dedup();
        let best = times.iter().map(|(_, time)| *time).min().unwrap_or_default();
        for (kernel, time) in &times {
            costs.entry(*kernel).or_default().1 |= *time <= FAR * best;
        }
        Ok(times)
    }
}

/// Median times, by `time`, of the `kernels` that `enter` accepts. All are timed once; those not far from the best are timed twice more,
/// since a single time may be disturbed; those near the best take further turns. `now` is a clock.
async fn contest<T>(
    kernels: &[KernelId],
    now: impl Fn() -> Duration,
    enter: &mut impl AsyncFnMut(KernelId) -> Result<Option<T>>,
    time: &impl AsyncFn(&T) -> Result<Duration>,
) -> Result<Vec<(KernelId, Duration)>> {
    let mut entered: Vec<(KernelId, Option<T>, Vec<Duration>)> = Vec::new();
    let mut best = Duration::MAX;
    for &kernel in kernels {
        let Some(timer) = enter(kernel).await? else { continue };
        let first = time(&timer).await?;
        best = best.min(first);
        entered.push((kernel, Some(timer), vec![first]));
        // Kernels out of the race free their memory.
        for (_, timer, times) in &mut entered {
            timer.take_if(|_| times[0] > FAR * best);
        }
    }
    let (least, most) = ROUNDS;
    let began = now();
    for round in 0..most {
        if round >= least && now().saturating_sub(began) > ROUNDS_TIME {
            break;
        }
        for (_, timer, times) in &mut entered {
            if let Some(timer) = timer {
                times.push(time(timer).await?);
            }
        }
        if round == 1 {
            let least = |times: &[Duration]| times.iter().copied().min().unwrap_or_default();
            let best = entered.iter().map(|(_, _, times)| least(times)).min().unwrap_or_default();
            for (_, timer, times) in &mut entered {
                timer.take_if(|_| least(times) > best.mul_f64(BEHIND));
            }
        }
    }
    let median = |mut times: Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    Ok(entered.into_iter().map(|(kernel, _, times)| (kernel, median(times))).collect())
}

/// A case's layer on its own, with the plain kernel's output.
struct Layer {
    executor: Executor,
    input: Tensor,
    values: [ValueId; 2],
    expected: Tensor,
}

impl Layer {
    async fn new(device: &Arc<Device>, case: &Case) -> Result<Self> {
        let SingleLayer { network, values, input } = SingleLayer::new(case)?;
        let (problem, caps) = (case.problem, device.caps());
        let plain = kernels::candidates(caps).find(|kernel| kernel.serves(&problem, case.stored, caps));
        let executor = Executor::new(device.clone(), network, Options { forced: plain, ..Options::new(case.stored) });
        let expected = executor.values(&input, &values).await?.remove(0);
        Ok(Layer { executor, input, values, expected })
    }

    /// Runs `kernel` once; returns it with its largest difference from the plain kernel, relative to the plain kernel's largest magnitude.
    async fn enter(&self, kernel: KernelId) -> Result<(Stopwatch, f32)> {
        let executor = self.executor.with_options(Options { forced: Some(kernel), ..self.executor.options() });
        let stopwatch = executor.stopwatch(self.input.shape, &self.values).await?;
        let got = stopwatch.run(&self.input).await?.remove(0);
        let error = relative_error(&got.data, &self.expected.data);
        Ok((stopwatch, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Threads, blocking,
        check::wrong,
        checkpoint::Synthetic,
        executor::gpu::{
            kernels::{
                Applied, Pool2d, Problem, Residual, View,
                conv2d::Conv2d,
                registers,
                tiled::{self, Tile},
            },
            plan::{self, Candidates},
        },
        graph::{Conv2dParams, Plain, PoolParams},
        models::Architecture,
        network::{Activation, Network},
        tensor::Shape,
    };

    const KERNELS: [KernelId; 3] = [registers::ID, tiled::id(Tile::P32C32), tiled::id(Tile::P128C128)];

    /// Successive times in milliseconds; the last one is repeated. `None` for a kernel that `enter` rejects.
    fn timed(script: [Option<&'static [u64]>; 3]) -> (Vec<(KernelId, Duration)>, [usize; 3]) {
        let calls: [std::cell::Cell<usize>; 3] = Default::default();
        let index = |kernel: KernelId| KERNELS.iter().position(|other| *other == kernel).unwrap();
        let mut enter = async |kernel: KernelId| Ok(script[index(kernel)].map(|times| (index(kernel), times)));
        let time = async |&(i, times): &(usize, &[u64])| {
            calls[i].set(calls[i].get() + 1);
            Ok(Duration::from_millis(times[(calls[i].get() - 1).min(times.len() - 1)]))
        };
        let began = std::time::Instant::now();
        let times = blocking::wait(contest(&KERNELS, || began.elapsed(), &mut enter, &time));
        (times.unwrap(), calls.map(|count| count.get()))
    }

    #[test]
    fn kernels_take_turns_and_slow_or_wrong_ones_do_not() {
        let ms = |i: usize, ms| (KERNELS[i], Duration::from_millis(ms));
        let (times, calls) = timed([Some(&[8, 9, 9, 1, 9]), Some(&[10]), Some(&[100])]);
        assert_eq!(times, [ms(0, 9), ms(1, 10), ms(2, 100)], "medians");
        assert_eq!(calls[2], 1, "a kernel far from the best is timed once");
        assert!(calls[0] > 5 && calls[0] == calls[1]);
        let (times, calls) = timed([Some(&[100]), None, Some(&[10])]);
        assert_eq!((times, calls[0]), (vec![ms(0, 100), ms(2, 10)], 1), "the first kernel may be the slow one");
        let (times, calls) = timed([Some(&[10]), Some(&[25, 8]), Some(&[20])]);
        assert_eq!((times, calls[2]), (vec![ms(0, 10), ms(1, 8), ms(2, 20)], 3), "a first time may be disturbed");
        assert!(calls[1] > 5);
    }

    fn device() -> Arc<Device> {
        Arc::new(blocking::wait(Device::open("auto", Threads::host())).expect("the GPU tests need an adapter"))
    }

    fn network() -> Network {
        let graph = Architecture::by_name("cifar_resnet20a").unwrap().graph();
        let weights = Synthetic { salt: "tune".into(), damped: None, damp: 1.0 };
        Network::new(graph.clone(), weights.checkpoint("tune", &graph.tensors()).unwrap())
    }

    #[test]
    fn a_wrong_kernel_has_no_time() {
        let (device, wrong) = (device(), wrong::ID);
        let cases = plan::cases(&network(), Shape::new(1, 3, 32, 32), StorageType::F32).unwrap();
        let is_convolution = |case: &&Case| matches!(case.problem, Problem::Conv2d(_));
        let case = *cases.iter().rev().find(is_convolution).unwrap();
        let mut trials = Trials::new(&device);
        let times = blocking::wait(trials.times(&case, &[wrong, KERNELS[1], KERNELS[0]])).unwrap();
        assert_eq!(times.iter().map(|(kernel, _)| *kernel).collect::<Vec<_>>(), [KERNELS[1], KERNELS[0]]);
        assert_eq!(trials.wrong, [(wrong, StorageType::F32)]);
    }

    /// Every kernel agrees with the plain one, on a layer of each kind.
    #[test]
    fn right_kernels_have_times() {
        let device = device();
        let half = if device.caps().f16 { StorageType::F16 } else { StorageType::F32 };
        let view = |n, c, h, w| View::whole(Shape::new(n, c, h, w));
        let dense = Conv2dParams { kernel: 3, padding: 1, ..Conv2dParams::pointwise(20, 40) };
        let (residual, activation) = (Residual::None, Activation::None);
        let conv = |n, params, prologue, [h, w]: [usize; 2]| {
            let (x, y) = (view(n, 20, 9, 10), view(n, 40, h, w));
            Problem::Conv2d(Conv2d { params, x, y, prologue, residual, activation })
        };
        let plain = |op, x, y| Problem::Plain(Applied { op, x, y });
        let linear =
            |n| plain(Plain::Linear { in_features: 20, out_features: 40 }, view(n, 20, 1, 1), view(n, 40, 1, 1));
        let params = PoolParams { kernel: 3, stride: 2, padding: 1, ceil: false };
        let (x, y) = (view(1, 20, 9, 10), view(1, 20, 5, 5));
        let cases = [
            (2, StorageType::F32, conv(1, dense, false, [9, 10])),
            (2, StorageType::F32, conv(8, Conv2dParams::pointwise(20, 40), true, [9, 10])),
            (2, half, conv(1, Conv2dParams { groups: 5, stride: 2, ..dense }, false, [5, 5])),
            (3, half, linear(8)),
            (3, StorageType::F32, linear(1)),
            (1, StorageType::F32, Problem::Pool2d(Pool2d { max: false, params, prologue: true, x, y })),
            (1, half, plain(Plain::GlobalAvgPool, x, view(1, 20, 1, 1))),
            (1, half, plain(Plain::GlobalAvgMaxPool, x, view(1, 20, 1, 1))),
            (2, StorageType::F32, conv(1, Conv2dParams { dilation: 2, padding: 2, ..dense }, false, [9, 10])),
        ];
        for (least, stored, problem) in cases {
            let case = Case { problem, stored };
            let options = Options::new(case.stored);
            let kernels = Candidates::of(&case, &options, device.caps()).kernels;
            let mut trials = Trials::new(&device);
            let times = blocking::wait(trials.times(&case, &kernels)).unwrap();
            assert!(
                kernels.len() >= least && times.len() == kernels.len(),
                "{case:?}: {kernels:?}, wrong {:?}",
                trials.wrong
            );
        }
    }
}
