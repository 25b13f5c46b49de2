//! Devices that fail: every fault ends in time in the right result or in a clean error, and the next call works.

mod common;

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use common::{compare, in_time};
use image::DynamicImage;
use residua::{
    Classifier, Error, Note,
    check::verify::{Coverage, LayerCheck},
    checkpoint::Synthetic,
    executor::gpu::{Device, Executor, Failure, Injection, Moment, plan::Options},
    graph::{Conv2dParams, Graph, Op, Plain},
    models::Architecture,
    network::Network,
    tensor::{Shape, StorageType, Tensor},
};

fn weights() -> Synthetic {
    Synthetic { salt: "faults".into(), damped: None, damp: 1.0 }
}

/// Two convolutions and a head: few kernels, so that a device is quickly ready again.
fn graph() -> Graph {
    let mut graph = Graph::new(16);
    let mut value = graph.input();
    for (name, kernel) in [("conv1", 3), ("conv2", 1)] {
        let params = Conv2dParams {
            in_channels: 16,
            out_channels: 16,
            kernel,
            stride: 1,
            padding: kernel / 2,
            dilation: 1,
            groups: 1,
        };
        value = graph.push(name, Op::Conv2d { weight: format!("{name}.weight"), bias: None, params }, &[value]);
    }
    let pooled = graph.push("pool", Plain::GlobalAvgPool, &[value]);
    let op = Plain::Linear { in_features: 16, out_features: 10 };
    graph.push("fc", Op::Plain { op, weights: vec!["fc.weight".into()] }, &[pooled]);
    graph
}

fn executor(injection: &Injection) -> Executor {
    of(graph(), Options::new(StorageType::F32), injection)
}

fn of(graph: Graph, options: Options, injection: &Injection) -> Executor {
    let mut device =
        pollster::block_on(Device::open("auto", residua::Threads::host())).expect("the GPU tests need an adapter");
    device.inject(injection);
    let checkpoint = weights().checkpoint("faults", &graph.tensors()).unwrap();
    Executor::new(Arc::new(device), Network::new(graph, checkpoint), options)
}

fn input(images: usize) -> Tensor {
    Tensor::new(Shape::new(images, 16, 9, 9), weights().input([images, 16, 9, 9]))
}

fn run(executor: &Executor) -> Result<Vec<u32>, Error> {
    Ok(bits(&pollster::block_on(executor.run(&input(2)))?.data))
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

const MOMENTS: [Moment; 6] =
    [Moment::Buffer, Moment::Pipeline, Moment::Submit, Moment::Submitted, Moment::Map, Moment::Wait];

#[test]
fn a_loss_at_any_moment_leaves_the_same_bits() {
    in_time(|| {
        let expected = run(&executor(&Injection::default())).unwrap();
        for moment in MOMENTS {
            for failure in [Failure::Lost, Failure::Destroyed] {
                // While a session is made, in the first run, and in a later run.
                for nth in [1, 2, 3] {
                    let injection = Injection::default();
                    let executor = executor(&injection);
                    injection.plan(moment, nth, failure);
                    for _ in 0..3 {
                        assert_eq!(run(&executor).unwrap(), expected, "{failure:?} at the {nth}th {moment:?}");
                    }
                    let happened = (injection.happened(), injection.seen(Moment::Open));
                    assert_eq!(happened, (1, 1), "{failure:?} at the {nth}th {moment:?}");
                }
            }
        }
    });
}

#[test]
fn a_second_loss_is_an_error_and_the_next_call_works() {
    in_time(|| {
        for failure in [Failure::Lost, Failure::Destroyed] {
            let injection = Injection::default();
            let executor = executor(&injection);
            let expected = run(&executor).unwrap();
            injection.plan(Moment::Map, 1, failure);
            injection.plan(Moment::Map, 2, failure);
            let error = run(&executor).unwrap_err();
            assert_eq!(error.code(), "gpu.lost", "{error}");
            assert_eq!((injection.happened(), injection.seen(Moment::Open)), (2, 1));
            assert_eq!(run(&executor).unwrap(), expected);
            assert_eq!(injection.seen(Moment::Open), 2);
        }
    });
}

#[test]
fn a_device_that_stays_away_is_an_error_until_it_comes_back() {
    in_time(|| {
        let injection = Injection::default();
        let executor = executor(&injection);
        let expected = run(&executor).unwrap();
        injection.plan(Moment::Submit, 1, Failure::Lost);
        (1..=3).for_each(|nth| injection.plan(Moment::Open, nth, Failure::Refused));
        let error = run(&executor).unwrap_err();
        assert_eq!(error.code(), "gpu.lost");
        assert!(error.to_string().contains("cannot be opened again"), "{error}");
        assert_eq!(run(&executor).unwrap(), expected);
        assert_eq!((injection.happened(), injection.seen(Moment::Open)), (4, 4));
    });
}

#[test]
fn threads_that_meet_one_loss_open_the_device_once() {
    for failure in [Failure::Lost, Failure::Destroyed] {
        in_time(move || {
            let injection = Injection::default();
            let executor = Arc::new(executor(&injection));
            let expected = run(&executor).unwrap();
            injection.plan(Moment::Submitted, 5, failure);
            let threads = (0..8).map(|images| {
                let (executor, expected) = (executor.clone(), expected.clone());
                thread::spawn(move || {
                    for _ in 0..5 {
                        // Uses other shapes too: they do not wait for each other's sessions.
                        pollster::block_on(executor.run(&input(1 + images % 4))).unwrap();
                        assert_eq!(run(&executor).unwrap(), expected);
                    }
                })
            });
            threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
            assert_eq!((injection.happened(), injection.seen(Moment::Open)), (1, 1));
        });
    }
}

#[test]
fn a_device_that_does_not_answer_is_lost_in_time() {
    in_time(|| {
        let injection = Injection::default();
        let executor = executor(&injection);
        let expected = run(&executor).unwrap();
        injection.patience(Duration::from_millis(250));
        injection.plan(Moment::Wait, 1, Failure::Silent);
        assert_eq!(run(&executor).unwrap(), expected);
        injection.plan(Moment::Wait, 1, Failure::Silent);
        injection.plan(Moment::Wait, 2, Failure::Silent);
        let error = run(&executor).unwrap_err();
        assert_eq!(error.code(), "gpu.lost");
        assert!(error.to_string().contains("no answer within 0.25 s"), "{error}");
    });
}

/// While one call waits for the device, the next call's commands are submitted already.
#[test]
fn a_call_does_not_wait_for_the_one_before_it_to_be_read_back() {
    in_time(|| {
        let injection = Injection::default();
        let executor = executor(&injection);
        let expected = run(&executor).unwrap();
        let waiting = Duration::from_secs(2);
        injection.patience(waiting);
        injection.plan(Moment::Wait, 1, Failure::Silent);
        let began = Instant::now();
        thread::scope(|scope| {
            let first = scope.spawn(|| run(&executor));
            while injection.happened() == 0 {
                thread::yield_now();
            }
            assert_eq!(run(&executor).unwrap(), expected);
            assert!(began.elapsed() < waiting);
            assert_eq!(first.join().unwrap().unwrap(), expected);
            assert!(began.elapsed() >= waiting, "the case shows nothing");
        });
    });
}

fn is_wrong(outcome: Result<Vec<u32>, Error>, what: &str) {
    let error = outcome.expect_err(what);
    assert_eq!(error.code(), "gpu.wrong", "{what}: {error}");
}

#[test]
fn a_device_that_does_nothing_is_noticed_in_every_run() {
    in_time(|| {
        let expected = run(&executor(&Injection::default())).unwrap();
        // The first run cannot find an earlier result that looks right; from the third run on, readback buffers are
        // used again.
        for nth in 1..=5 {
            let injection = Injection::default();
            let executor = executor(&injection);
            (1..nth).for_each(|_| assert_eq!(run(&executor).unwrap(), expected));
            injection.plan(Moment::Submit, if nth == 1 { submissions_of_a_first_run() } else { 1 }, Failure::Idle);
            is_wrong(run(&executor), &format!("nothing is done in run {nth}"));
            assert_eq!(injection.happened(), 1);
            assert_eq!(run(&executor).unwrap(), expected, "the run after it");
        }
    });
}

/// The submissions that compile kernels, and the run's own.
fn submissions_of_a_first_run() -> u64 {
    let injection = Injection::default();
    run(&executor(&injection)).unwrap();
    injection.seen(Moment::Submit)
}

#[test]
fn kernels_that_do_not_run_are_noticed_in_every_run() {
    in_time(|| {
        let first = executor(&Injection::default());
        let expected = run(&first).unwrap();
        let dispatches = first.plan(input(2).shape).unwrap().steps.len() as u64;
        for nth in 1..=4 {
            for left_out in [dispatches..=dispatches, 1..=dispatches] {
                let injection = Injection::default();
                let executor = executor(&injection);
                (1..nth).for_each(|_| assert_eq!(run(&executor).unwrap(), expected));
                left_out.clone().for_each(|dispatch| injection.plan(Moment::Dispatch, dispatch, Failure::Idle));
                is_wrong(run(&executor), &format!("kernels {left_out:?} in run {nth}"));
                assert_eq!(run(&executor).unwrap(), expected, "the run after it");
            }
        }
    });
}

#[test]
fn a_device_is_tested_once_and_one_that_fails_is_tested_again() {
    in_time(|| {
        let folder = tempfile::tempdir().unwrap();
        let open = |plan: &dyn Fn(&Injection)| {
            let injection = Injection::default();
            plan(&injection);
            let outcome =
                Classifier::builder().device(&common::adapter()).cache(folder.path()).inject(&injection).open();
            (outcome, injection.seen(Moment::Dispatch))
        };
        let remembered = || {
            let files = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name());
            files.filter(|name| name.to_string_lossy().starts_with("tested-")).count()
        };
        let (_, dispatches) = {
            let nothing = Injection::default();
            let classifier = Classifier::builder().device(&common::adapter()).inject(&nothing).open().unwrap();
            (classifier, nothing.seen(Moment::Dispatch))
        };
        assert!(dispatches > 2, "{dispatches}");
        for nth in 1..=dispatches {
            let (outcome, _) = open(&|injection| injection.plan(Moment::Dispatch, nth, Failure::Idle));
            assert_eq!(outcome.expect_err("a kernel is left out").code(), "gpu.wrong", "kernel {nth}");
            assert_eq!(remembered(), 0, "it failed");
        }
        let (outcome, tested) = open(&|_| {});
        assert_eq!((outcome.is_ok(), tested, remembered()), (true, dispatches, 1));
        let (outcome, tested) = open(&|_| {});
        assert_eq!((outcome.is_ok(), tested), (true, 0), "it is remembered");
        let injection = Injection::default();
        Classifier::builder().device(&common::adapter()).untested(true).inject(&injection).open().unwrap();
        assert_eq!(injection.seen(Moment::Dispatch), 0);
    });
}

#[test]
fn every_way_through_the_library_notices_a_device_that_does_nothing() {
    in_time(|| {
        let photo = DynamicImage::new_rgb8(40, 40);
        let idle = |work: &dyn Fn(&Classifier) -> Result<(), Error>, what: &str| {
            let injection = Injection::default();
            let classifier = Classifier::builder().device(&common::adapter()).inject(&injection).open().unwrap();
            (1..200).for_each(|nth| injection.plan(Moment::Submit, nth, Failure::Idle));
            assert_eq!(work(&classifier).expect_err(what).code(), "gpu.wrong", "{what}");
        };
        idle(&|classifier| classifier.infer(&photo).map(drop), "infer");
        idle(&|classifier| classifier.embed(&photo).map(drop), "embed");
        idle(&|classifier| classifier.explain(&photo, None).map(drop), "explain");
        idle(&|classifier| classifier.logits(&Tensor::zeros(classifier.input_shape(2))).map(drop), "logits");
        idle(&|classifier| classifier.verify(1, Coverage::Chosen).map(drop), "verify");
        idle(&|classifier| classifier.profile(1, 1).map(drop), "profile");
        let similarities =
            |classifier: &Classifier| classifier.similarities(&[&[1.0; 8]], &[&[1.0; 8]], &mut |_| Ok::<(), Error>(()));
        idle(&similarities, "similarities");
    });
}

#[test]
fn a_device_that_is_too_slow_is_lost_and_let_go_while_it_works() {
    in_time(|| {
        let injection = Injection::default();
        let classifier = Classifier::builder()
            .device(&common::adapter())
            .synthetic("cifar_resnet110b")
            .inject(&injection)
            .open()
            .unwrap();
        let input = Tensor::zeros(classifier.input_shape(16));
        let expected = bits(&classifier.logits(&input).unwrap().data);
        injection.patience(Duration::from_millis(1));
        let error = classifier.logits(&input).unwrap_err();
        assert_eq!(error.code(), "gpu.lost", "{error}");
        injection.patience(Duration::from_secs(60));
        assert_eq!(bits(&classifier.logits(&input).unwrap().data), expected);
    });
}

#[test]
fn a_classifier_and_its_heat_maps_outlive_their_device() {
    in_time(|| {
        let injection = Injection::default();
        let classifier = Classifier::builder().device(&common::adapter()).inject(&injection).open().unwrap();
        let photo = DynamicImage::new_rgb8(40, 40);
        let before = (classifier.infer(&photo).unwrap().top(10), classifier.explain(&photo, None).unwrap());
        for (nth, failure) in [Failure::Lost, Failure::Destroyed].into_iter().enumerate() {
            injection.plan(Moment::Submitted, 1, failure);
            let explained = classifier.clone().explain(&photo, None).unwrap();
            assert_eq!((classifier.infer(&photo).unwrap().top(10), explained), before);
            assert_eq!(injection.seen(Moment::Open), nth as u64 + 1);
        }
    });
}

#[test]
fn a_network_that_takes_long_is_cut_into_submissions_with_the_same_bits() {
    in_time(|| {
        let graph = Architecture::by_name("cifar_resnet110b").unwrap().graph();
        let injection = Injection::default();
        let executor = of(graph, Options { chosen_for: Some(1), ..Options::new(StorageType::F32) }, &injection);
        let all = Tensor::new(Shape::new(64, 3, 32, 32), weights().input([64, 3, 32, 32]));
        let submissions = |images: usize| {
            let plan = executor.plan(Shape { n: images, ..all.shape }).unwrap();
            executor.submissions(&plan) as u64
        };
        // This follows from the first guess for a software adapter. On hardware the plan is not cut.
        assert_eq!(submissions(1), 1);
        assert!(submissions(64) > 1 || !executor.device().info().kind.software());
        let logits = |images: usize| {
            let shape = Shape { n: images, ..all.shape };
            let batch = Tensor::new(shape, all.data[..shape.elements()].to_vec());
            let (planned, before) = (submissions(images), injection.seen(Moment::Submit));
            let logits = pollster::block_on(executor.run(&batch)).unwrap();
            assert!(injection.seen(Moment::Submit) - before >= planned);
            logits
        };
        let cut = logits(64);
        let whole = logits(1);
        assert_eq!(bits(cut.image(0)), bits(whole.image(0)));
        assert_eq!(bits(&logits(64).data), bits(&cut.data));
    });
}

#[test]
fn memory_that_runs_out_is_an_error_and_leaves_nothing_behind() {
    in_time(|| {
        let expected = run(&executor(&Injection::default())).unwrap();
        for moment in [Moment::Buffer, Moment::Submit, Moment::Submitted] {
            for nth in 1.. {
                let injection = Injection::default();
                let executor = executor(&injection);
                injection.plan(moment, nth, Failure::Memory);
                let outcome = run(&executor);
                if injection.happened() == 0 {
                    assert!(nth > 2, "{moment:?} does not come");
                    break;
                }
                assert_eq!(outcome.unwrap_err().code(), "gpu.oom", "at the {nth}th {moment:?}");
                if moment == Moment::Buffer {
                    assert_eq!(executor.weight_bytes(), 0, "at the {nth}th buffer");
                }
                assert_eq!(run(&executor).unwrap(), expected, "after the {nth}th {moment:?}");
            }
        }
    });
}

#[test]
fn what_is_kept_for_other_calls_makes_room() {
    in_time(|| {
        let injection = Injection::default();
        let executor = executor(&injection);
        let expected = run(&executor).unwrap();
        injection.plan(Moment::Buffer, 2, Failure::Memory);
        pollster::block_on(executor.run(&input(3))).unwrap();
        assert_eq!(injection.happened(), 1);
        assert_eq!(run(&executor).unwrap(), expected);
    });
}

#[test]
fn a_refused_kernel_gives_way_to_another() {
    in_time(|| {
        let expected = pollster::block_on(executor(&Injection::default()).run(&input(2))).unwrap();
        let injection = Injection::default();
        let executor = executor(&injection);
        injection.plan(Moment::Pipeline, 1, Failure::Refused);
        let got = pollster::block_on(executor.run(&input(2))).unwrap();
        compare(&got.data, &expected.data, 1e-5).unwrap();
        let notes = executor.device().notes();
        assert!(matches!(&notes[..], [Note::KernelGivenUp { .. }]), "{notes:?}");
        let steps = executor.plan(input(2).shape).unwrap().to_string();
        assert!(steps.contains("refused by its driver"), "{steps}");
        assert_eq!(injection.happened(), 1);
    });
}

#[test]
fn a_driver_that_refuses_every_kernel_is_an_error() {
    in_time(|| {
        let injection = Injection::default();
        let executor = executor(&injection);
        (1..100).for_each(|nth| injection.plan(Moment::Pipeline, nth, Failure::Refused));
        let error = run(&executor).unwrap_err();
        assert_eq!(error.code(), "gpu.shader", "{error}");
        assert!(injection.happened() < 20, "one other kernel a layer: {}", injection.happened());
    });
}

#[test]
fn verify_tells_which_kernel_the_driver_refuses_and_goes_on_without() {
    in_time(|| {
        let injection = Injection::default();
        let classifier = Classifier::builder().device(&common::adapter()).inject(&injection).open().unwrap();
        // The kernels of the usual choice are compiled already, so another kernel is refused.
        assert!(classifier.verify(1, Coverage::Chosen).unwrap().ok);
        injection.plan(Moment::Pipeline, 1, Failure::Refused);
        let verified = classifier.verify(1, Coverage::Every).unwrap();
        assert_eq!(injection.happened(), 1);
        let wrong: Vec<&LayerCheck> = verified.layers.iter().filter(|layer| !layer.ok).collect();
        assert!(wrong.len() == 1 && wrong[0].name == "(refused by the driver)", "{wrong:?}");
        let [fault] = &verified.faults[..] else { panic!("{:?}", verified.faults) };
        assert_eq!((&fault.kernel, fault.stored), (&wrong[0].kernel, wrong[0].stored));
        assert!(
            classifier.notes().iter().any(|note| note.to_string().contains(&fault.kernel)),
            "{:?}",
            classifier.notes()
        );
    });
}
