//! Devices that fail: every fault ends in the right result or in a clean error, in time, and the next call works.

mod common;

use std::{
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use image::DynamicImage;
use residua::{
    Classifier, Error,
    checkpoint::Synthetic,
    gpu::{Device, Executor, Failure, Injection, Moment},
    graph::{Conv2dParams, Graph, Op},
    kernels::Precision,
    plan::{Network, Options},
    tensor::{Shape, Tensor},
};

/// The result of `work`, which must come within a minute.
fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    let worker = thread::spawn(move || sender.send(work()));
    match receiver.recv_timeout(Duration::from_secs(60)) {
        Ok(value) => value,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        Err(mpsc::RecvTimeoutError::Disconnected) => panic!("it panicked: {:?}", worker.join().err()),
    }
}

fn weights() -> Synthetic {
    Synthetic { salt: "faults".into(), damped: None, damp: 1.0 }
}

/// Two convolutions and a head: few kernels, so that a device is soon ready again.
fn graph() -> Graph {
    let mut graph = Graph::new(16);
    let mut value = graph.input();
    for (name, kernel) in [("conv1", 3), ("conv2", 1)] {
        let params =
            Conv2dParams { in_channels: 16, out_channels: 16, kernel, stride: 1, padding: kernel / 2, groups: 1 };
        value = graph.push(name, Op::Conv2d { weight: format!("{name}.weight"), bias: None, params }, &[value]);
    }
    let pooled = graph.push("pool", Op::GlobalAvgPool, &[value]);
    graph.push(
        "fc",
        Op::Linear { weight: "fc.weight".into(), bias: None, in_features: 16, out_features: 10 },
        &[pooled],
    );
    graph
}

fn executor(injection: &Injection) -> Executor {
    let mut device = pollster::block_on(Device::open("auto")).expect("the GPU tests need an adapter");
    device.inject(injection);
    let checkpoint = weights().checkpoint("faults", &graph().tensors()).unwrap();
    Executor::new(Arc::new(device), Network::new(graph(), checkpoint), Options::new(Precision::F32))
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
                // In the making of a session, in the first run, and in one of those that follow.
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
                        // Other shapes beside the one whose bits are compared: they wait for no session of each other.
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

#[test]
fn a_device_that_is_too_slow_is_lost_and_let_go_while_it_works() {
    in_time(|| {
        let injection = Injection::default();
        let classifier = Classifier::builder().synthetic("cifar_resnet110b").inject(&injection).open().unwrap();
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
        let classifier = Classifier::builder().inject(&injection).open().unwrap();
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
