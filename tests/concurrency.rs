//! Many threads, many classifiers, calls dropped half-way, lost devices: results are the same as one call after the
//! other, or there is a clean error, and nothing hangs.

mod common;

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    thread,
};

use common::in_time;
use fastrand::Rng;
use image::{DynamicImage, RgbImage};
use residua::{
    Classifier, Prediction,
    checkpoint::Synthetic,
    executor::gpu::{Device, Executor, Failure, Injection, Moment, plan::Options},
    models::Architecture,
    network::Network,
    tensor::{Shape, StorageType, Tensor},
};

/// The result of `future` if it is ready at the first poll; otherwise `None`, and the future is dropped.
fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => Some(result),
        Poll::Pending => None,
    }
}

fn weights() -> Synthetic {
    Synthetic { salt: "concurrency".into(), damped: Some("bn2.weight".into()), damp: 0.5 }
}

/// A CIFAR ResNet of 20 layers with made-up weights.
fn executor(injection: &Injection) -> Executor {
    let graph = Architecture::by_name("cifar_resnet20a").unwrap().graph();
    let checkpoint = weights().checkpoint("concurrency", &graph.tensors()).unwrap();
    let mut device =
        pollster::block_on(Device::open("auto", residua::Threads::host())).expect("the GPU tests need an adapter");
    device.inject(injection);
    Executor::new(Arc::new(device), Network::new(graph, checkpoint), Options::new(StorageType::F32))
}

/// Small images, because eight thousand of them are computed.
fn input(batch: usize) -> Tensor {
    Tensor::new(Shape::new(batch, 3, 8, 8), weights().input([batch, 3, 8, 8]))
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// 8 threads make 1,000 calls each, in batches of 1 to 4. A fifth of the calls are dropped if they are not ready at
/// once, and the device is lost six times.
#[test]
fn eight_threads_get_a_thousand_serial_results_each() {
    let (dropped, lost, reopened) = in_time(|| {
        let injection = Injection::default();
        let executor = executor(&injection);
        let inputs: Vec<Tensor> = (1..=4).map(input).collect();
        let run = |batch: usize| pollster::block_on(executor.run(&inputs[batch]));
        let serial: Vec<Tensor> = (0..4).map(|batch| run(batch).unwrap()).collect();
        for (nth, failure) in [(500, Failure::Lost), (2000, Failure::Destroyed), (3500, Failure::Lost)] {
            injection.plan(Moment::Submit, nth, failure);
            injection.plan(Moment::Map, nth, failure);
        }
        let (dropped, lost) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let calls = |seed: u64| {
            let mut random = Rng::with_seed(seed);
            for call in 0..1000 {
                let batch = random.usize(..4);
                let outcome = match random.u32(..5) {
                    0 => poll_once(executor.run(&inputs[batch])),
                    _ => Some(run(batch)),
                };
                match outcome {
                    None => drop(dropped.fetch_add(1, Ordering::Relaxed)),
                    Some(Ok(logits)) => {
                        assert_eq!(bits(&logits.data), bits(&serial[batch].data), "seed {seed}, call {call}");
                    }
                    Some(Err(error)) => {
                        assert_eq!(error.code(), "gpu.lost", "seed {seed}, call {call}: {error}");
                        lost.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        };
        thread::scope(|scope| (0..8).for_each(|seed| drop(scope.spawn(move || calls(seed)))));
        for (batch, expected) in serial.iter().enumerate() {
            assert_eq!(bits(&run(batch).unwrap().data), bits(&expected.data), "batch {batch}, afterwards");
        }
        (dropped.into_inner(), lost.into_inner(), injection.seen(Moment::Open))
    });
    assert!(dropped > 100, "only {dropped} calls were dropped before they ended");
    // Two losses may meet the same call; only that call has no result.
    assert!(lost <= 8, "{lost} calls found the device lost twice");
    assert!((3..=6).contains(&reopened), "opened again {reopened} times");
}

/// 64 threads have handles of one classifier, whose first handle is dropped while they run. Every eighth thread opens
/// another classifier.
#[test]
fn sixty_four_threads_share_a_classifier_and_others_open_theirs() {
    in_time(|| {
        let photo = |i: u8| {
            let pixels = RgbImage::from_fn(40, 32, |x, y| image::Rgb([x as u8 * 6, y as u8 * i, 255 - x as u8 * i]));
            DynamicImage::from(pixels)
        };
        let photos: Vec<DynamicImage> = (0..6).map(photo).collect();
        let shared = Classifier::builder().device(&common::adapter()).open().unwrap();
        assert!(shared.device().index.is_some(), "the GPU tests need an adapter");
        let batch = |classifier: &Classifier, i: usize| classifier.infer_batch(&photos[..1 + i % photos.len()]);
        let serial: Vec<Vec<Prediction>> = (0..photos.len()).map(|i| batch(&shared, i).unwrap()).collect();
        thread::scope(|scope| {
            for i in 0..64 {
                let handle = shared.clone();
                let (batch, serial) = (&batch, &serial);
                scope.spawn(move || {
                    let own = (i % 8 == 0).then(|| Classifier::builder().device(&common::adapter()).open().unwrap());
                    let classifier = own.unwrap_or(handle);
                    for call in i..i + 4 {
                        assert_eq!(batch(&classifier, call).unwrap(), serial[call % serial.len()], "thread {i}");
                    }
                });
            }
            drop(shared);
        });
    });
}
