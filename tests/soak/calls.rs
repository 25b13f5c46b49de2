//! Calls whose outcome is known, or must equal the first one.

use std::{
    collections::HashMap,
    env, fs,
    future::Future,
    hash::{DefaultHasher, Hash, Hasher},
    io::Cursor,
    path::PathBuf,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
    thread,
};

use fastrand::Rng;
use image::{DynamicImage, ImageFormat, RgbImage};
use residua::{
    Builder, Classifier, Error, Result,
    checkpoint::Synthetic,
    executor::gpu::{self, Device, Executor, Failure, Injection, Moment, Wanted, plan::Options},
    hub::Hub,
    image::{DecodeOptions, decode},
    models::Architecture,
    network::Network,
    program::environment,
    tensor::{Shape, StorageType, Tensor},
};

use super::Args;

/// Networks with synthetic weights, used beside the requested model, and the sizes of their crops in pixels.
const NETWORKS: [(&str, usize); 3] = [("cifar_resnet20a", 32), ("resnet18", 64), ("densenet121", 64)];

/// Sides of inputs that are not photos.
const SIDES: [usize; 3] = [32, 48, 80];

const PHOTOS: [(u32, u32); 4] = [(32, 32), (40, 30), (64, 97), (301, 200)];

const LARGEST_BATCH: usize = 8;

/// Files that are not images, with their error codes.
const BAD_IMAGES: [(&[u8], &str); 4] = [
    (b"", "image.decode"),
    (b"neither this nor that", "image.decode"),
    (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff\xff\xff\xff\xff\xff\xff\xff\x08\x02\0\0\0", "image.too_large"),
    (b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0", "image.truncated"),
];

/// Files that are not checkpoints, with their error codes.
const BAD_CHECKPOINTS: [(&[u8], &str); 4] = [
    (b"\x10\0\0\0", "model.truncated"),
    (b"\x02\0\0\0\0\0\0\0{]", "model.header"),
    (b"\x02\0\0\0\0\0\0\0{}", "model.unknown_architecture"),
    (b"version https://git-lfs.github.com/spec/v1\n", "model.format"),
];

/// Failures to inject into a device.
const FAULTS: [(Moment, Failure); 6] = [
    (Moment::Submit, Failure::Lost),
    (Moment::Submitted, Failure::Destroyed),
    (Moment::Map, Failure::Lost),
    (Moment::Wait, Failure::Lost),
    (Moment::Buffer, Failure::Memory),
    (Moment::Buffer, Failure::Lost),
];

/// Largest number of repetitions of a call that another call's fault disturbs.
const REPEATS: usize = 5;

/// The objects that calls use.
pub(crate) struct Calls {
    networks: Vec<Opened>,
    /// A network for futures to drop; `None` on the CPU reference path.
    executor: Option<Executor>,
    photos: Vec<Vec<u8>>,
    bad_checkpoints: Vec<PathBuf>,
    _folder: tempfile::TempDir,
    /// Hashes of the results' bits, by call.
    first: Mutex<HashMap<Call, u64>>,
}

struct Opened {
    builder: Builder,
    classifier: Classifier,
    injection: Injection,
}

/// A call. Equal calls have equal results.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    /// The classes of photos, read from their files.
    Classify { network: usize, batch: usize, photo: usize },
    /// The features of photos.
    Embed { network: usize, batch: usize, photo: usize },
    /// A heat map.
    Explain { network: usize, photo: usize },
    /// Logits of an input of any size.
    Logits { network: usize, batch: usize, side: usize },
    /// Opens a classifier, uses it on a thread while its first handle is closed, and closes it.
    Open { network: usize, photo: usize },
    /// Polls a future a few times and drops it.
    Drop { batch: usize, polls: usize },
    /// The classes of photos, while the device is lost or out of memory.
    Fault { network: usize, batch: usize, photo: usize, fault: usize },
    /// A file that is not an image.
    BadImage(usize),
    /// A file that is not a checkpoint.
    BadCheckpoint(usize),
    /// An input with a NaN.
    BadInput { network: usize },
}

/// The outcome of a call.
pub(crate) enum Outcome {
    /// The same bits as the first time, or the first result.
    Right,
    /// The expected error.
    Refused(&'static str),
    /// An error that a failing device may cause.
    Failed(Error),
    /// The call was dropped before it was ready.
    Dropped,
    /// Different bits, an unexpected error, or a missing error.
    Wrong(String),
}

impl Calls {
    /// Opens all networks on the device that `args` name.
    pub(crate) fn open(args: &Args) -> Result<Self> {
        let wanted = match &*args.device {
            // Soak the GPU path if there is an adapter of any kind.
            "auto" => gpu::pick(&residua::devices(), &"auto".into())
                .map_or_else(|_| "cpu".into(), |(index, _)| Wanted::from(&*index.to_string())),
            device => environment::wanted(Some(device))?,
        };
        let hub = Hub::from_vars(|name| env::var_os(name));
        let folder = tempfile::tempdir().map_err(|error| Error::io("the folder for temporary files", &error))?;
        let builder = Classifier::builder().hub(hub).adapter(wanted.clone()).precision(args.precision);
        let builder = builder.cache(folder.path().join("cache"));
        let made_up = |(name, crop): &(&str, usize)| builder.clone().synthetic(name).crop(*crop);
        let mut builders = vec![builder.clone().model(&args.model)];
        builders.extend(NETWORKS.iter().map(made_up));
        let networks: Vec<Opened> = builders.into_iter().map(Opened::new).collect::<Result<_>>()?;
        let on_gpu = networks[0].classifier.device().index.is_some();
        let write = |(i, (bytes, _)): (usize, &(&[u8], &str))| {
            let path = folder.path().join(format!("{i}.safetensors"));
            fs::write(&path, bytes).map_err(|error| Error::io(&path, &error)).map(|()| path)
        };
        Ok(Calls {
            executor: if on_gpu { Some(executor(wanted)?) } else { None },
            photos: PHOTOS.iter().map(|&(width, height)| photo(width, height)).collect(),
            bad_checkpoints: BAD_CHECKPOINTS.iter().enumerate().map(write).collect::<Result<_>>()?,
            _folder: folder,
            first: Mutex::default(),
            networks,
        })
    }

    /// A random call.
    pub(crate) fn random(&self, random: &mut Rng) -> Call {
        let network = random.usize(..self.networks.len());
        let (batch, photo) = (random.usize(1..=LARGEST_BATCH), random.usize(..PHOTOS.len()));
        match random.u32(..100) {
            0..35 => Call::Classify { network, batch, photo },
            35..50 => Call::Embed { network, batch, photo },
            50..55 => Call::Explain { network, photo },
            55..70 => Call::Logits { network, batch, side: SIDES[random.usize(..SIDES.len())] },
            70..73 => Call::Open { network, photo },
            73..83 if self.executor.is_some() => Call::Drop { batch, polls: random.usize(1..4) },
            83..85 if self.executor.is_some() => {
                Call::Fault { network, batch, photo, fault: random.usize(..FAULTS.len()) }
            }
            85..90 => Call::BadCheckpoint(random.usize(..BAD_CHECKPOINTS.len())),
            90..95 => Call::BadInput { network },
            _ => Call::BadImage(random.usize(..BAD_IMAGES.len())),
        }
    }

    /// Every call with a distinct result, once, as the reference for later calls.
    pub(crate) fn all(&self) -> Vec<Call> {
        let mut calls = Vec::new();
        for network in 0..self.networks.len() {
            for photo in 0..PHOTOS.len() {
                calls.extend([Call::Explain { network, photo }, Call::Open { network, photo }]);
            }
            for batch in 1..=LARGEST_BATCH {
                calls.extend(SIDES.map(|side| Call::Logits { network, batch, side }));
                let photos = 0..PHOTOS.len();
                calls.extend(photos.clone().map(|photo| Call::Classify { network, batch, photo }));
                calls.extend(photos.map(|photo| Call::Embed { network, batch, photo }));
            }
        }
        calls.extend((1..=LARGEST_BATCH).map(|batch| Call::Drop { batch, polls: usize::MAX }));
        calls
    }

    /// Calls that return every device to the same cached state, so that samples of memory can be compared: weights in every form for any
    /// input, and the last sessions.
    pub(crate) fn settling(&self) -> Vec<Call> {
        let each = |network| {
            let logits = move |batch| SIDES.map(|side| Call::Logits { network, batch, side });
            let classify = |batch| Call::Classify { network, batch, photo: 0 };
            let last = [classify(1), classify(2), classify(LARGEST_BATCH), Call::Explain { network, photo: 0 }];
            (1..=LARGEST_BATCH).flat_map(logits).chain(last)
        };
        let dropped = [1, 2, LARGEST_BATCH].map(|batch| Call::Drop { batch, polls: usize::MAX });
        let dropped = dropped.into_iter().filter(|_| self.executor.is_some());
        (0..self.networks.len()).flat_map(each).chain(dropped).collect()
    }

    /// Bytes in use on the devices; `None` if the driver does not report them.
    pub(crate) fn device_memory(&self) -> Option<u64> {
        let classifiers = self.networks.iter().map(|network| network.classifier.device_memory());
        let executor = self.executor.iter().map(|executor| pollster::block_on(executor.device().memory()));
        classifiers.chain(executor).sum()
    }

    /// Runs `call` and compares its result; repeats it if another call's fault disturbs it, and reports that to `failed`.
    pub(crate) fn run(&self, call: &Call, failed: &mut dyn FnMut(&'static str)) -> Outcome {
        if let &Call::Fault { network, fault, .. } = call {
            let (moment, failure) = FAULTS[fault];
            self.networks[network].injection.plan(moment, 1, failure);
        }
        let mut last = String::new();
        for _ in 0..REPEATS {
            match self.once(call) {
                Outcome::Failed(error) => {
                    failed(error.code());
                    last = error.to_string();
                }
                outcome => return outcome,
            }
        }
        Outcome::Wrong(format!("{call:?}: the device fails {REPEATS} times in a row: {last}"))
    }

    fn once(&self, call: &Call) -> Outcome {
        let &Call::Drop { batch, polls } = call else { return self.compared(call) };
        // Without other calls, it would be ready at the first poll.
        let beside = || self.compared(&Call::Drop { batch, polls: usize::MAX });
        thread::scope(|scope| {
            let others = [1, 2].map(|_| scope.spawn(beside));
            let mine = self.compared(&Call::Drop { batch, polls });
            let others = others.map(|other| other.join().unwrap_or_else(|cause| std::panic::resume_unwind(cause)));
            others.into_iter().find(|other| matches!(other, Outcome::Wrong(_))).unwrap_or(mine)
        })
    }

    fn compared(&self, call: &Call) -> Outcome {
        match (self.refusal(call), self.result(call)) {
            (None, Ok(None)) => Outcome::Dropped,
            (None, Ok(Some(bits))) => {
                let hash = hash(&bits);
                let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
                match *first.entry(same(call)).or_insert(hash) == hash {
                    true => Outcome::Right,
                    false => Outcome::Wrong(format!("{call:?}: different bits from the first time")),
                }
            }
            (Some(code), Err(error)) if error.code() == code => Outcome::Refused(code),
            (None, Err(error @ (Error::GpuLost { .. } | Error::GpuMemory { .. }))) => Outcome::Failed(error),
            (_, Err(error)) => Outcome::Wrong(format!("{call:?}: {error} [{}]", error.code())),
            (Some(code), Ok(_)) => Outcome::Wrong(format!("{call:?}: no error, expected {code}")),
        }
    }

    /// The code of the error that `call` must return.
    fn refusal(&self, call: &Call) -> Option<&'static str> {
        match *call {
            Call::BadImage(i) => Some(BAD_IMAGES[i].1),
            Call::BadCheckpoint(i) => Some(BAD_CHECKPOINTS[i].1),
            Call::BadInput { .. } => Some("config.value"),
            _ => None,
        }
    }

    /// The numbers that `call` returns; `None` if it was dropped.
    fn result(&self, call: &Call) -> Result<Option<Vec<f32>>> {
        let classifier = |network: usize| &self.networks[network].classifier;
        let values = match *call {
            Call::Classify { network, batch, photo } | Call::Fault { network, batch, photo, .. } => {
                let predictions = classifier(network).infer_batch(&self.decoded(photo, batch)?)?;
                predictions.into_iter().flat_map(|prediction| prediction.scores).collect()
            }
            Call::Embed { network, batch, photo } => {
                classifier(network).embed_batch(&self.decoded(photo, batch)?)?.concat()
            }
            Call::Explain { network, photo } => classifier(network).explain(&self.decoded(photo, 1)?[0], None)?.map,
            Call::Logits { network, batch, side } => classifier(network).logits(&input(batch, side))?.data,
            Call::Open { network, photo } => {
                let first = self.networks[network].builder.clone().open()?;
                let second = first.clone();
                let photo = &self.decoded(photo, 1)?[0];
                let prediction = thread::scope(|scope| {
                    let other = scope.spawn(move || second.infer(photo));
                    drop(first);
                    other.join().unwrap_or_else(|cause| std::panic::resume_unwind(cause))
                });
                prediction?.scores
            }
            Call::Drop { batch, polls } => {
                let Some(executor) = &self.executor else { return Ok(None) };
                let input = input(batch, 32);
                match poll(executor.run(&input), polls) {
                    Some(logits) => logits?.data,
                    None => return Ok(None),
                }
            }
            Call::BadImage(i) => {
                let image = decode(BAD_IMAGES[i].0, &DecodeOptions::default())?.image;
                classifier(0).infer(&image)?.scores
            }
            Call::BadCheckpoint(i) => {
                let path = self.bad_checkpoints[i].display().to_string();
                self.networks[0].builder.clone().model(&path).open()?;
                Vec::new()
            }
            Call::BadInput { network } => {
                let mut input = input(1, 32);
                input.data[100] = f32::NAN;
                classifier(network).logits(&input)?.data
            }
        };
        Ok(Some(values))
    }

    /// Reads the files of `batch` photos, from the given one on.
    fn decoded(&self, photo: usize, batch: usize) -> Result<Vec<DynamicImage>> {
        let files = self.photos.iter().cycle().skip(photo).take(batch);
        files.map(|bytes| Ok(decode(bytes, &DecodeOptions::default())?.image)).collect()
    }
}

impl Opened {
    fn new(builder: Builder) -> Result<Self> {
        let injection = Injection::default();
        let builder = builder.inject(&injection);
        Ok(Opened { classifier: builder.clone().open()?, builder, injection })
    }
}

/// The call whose results `call` must equal.
fn same(call: &Call) -> Call {
    match *call {
        Call::Open { network, photo } => Call::Classify { network, batch: 1, photo },
        Call::Fault { network, batch, photo, .. } => Call::Classify { network, batch, photo },
        Call::Drop { batch, .. } => Call::Drop { batch, polls: 0 },
        _ => call.clone(),
    }
}

fn hash(values: &[f32]) -> u64 {
    let mut hasher = DefaultHasher::new();
    values.iter().for_each(|value| value.to_bits().hash(&mut hasher));
    hasher.finish()
}

/// The result of `future`, if it is ready within this many polls; else drops it.
fn poll<T>(future: impl Future<Output = T>, polls: usize) -> Option<T> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    (0..polls).find_map(|_| match future.as_mut().poll(&mut context) {
        Poll::Ready(result) => Some(result),
        Poll::Pending => {
            thread::yield_now();
            None
        }
    })
}

fn made_up() -> Synthetic {
    Synthetic { salt: "soak".into(), damped: None, damp: 1.0 }
}

fn input(batch: usize, side: usize) -> Tensor {
    Tensor::new(Shape::new(batch, 3, side, side), made_up().input([batch, 3, side, side]))
}

/// The PNG file of a synthetic photo.
fn photo(width: u32, height: u32) -> Vec<u8> {
    let mut random = Rng::with_seed(u64::from(width));
    let pixels = RgbImage::from_fn(width, height, |x, y| image::Rgb([(7 * x) as u8, (5 * y) as u8, random.u8(..)]));
    let mut file = Cursor::new(Vec::new());
    // Encoding into memory, in a format that is compiled in, cannot fail.
    let _ = pixels.write_to(&mut file, ImageFormat::Png);
    file.into_inner()
}

/// The first synthetic network on a separate device.
fn executor(wanted: Wanted) -> Result<Executor> {
    let unknown = || Error::ModelNotFound { model: NETWORKS[0].0.into(), reason: "no such architecture".into() };
    let graph = Architecture::by_name(NETWORKS[0].0).ok_or_else(unknown)?.graph();
    let checkpoint = made_up().checkpoint("soak", &graph.tensors())?;
    let device = Arc::new(pollster::block_on(Device::open(wanted, residua::Threads::host()))?);
    Ok(Executor::new(device, Network::new(graph, checkpoint), Options::new(StorageType::F32)))
}
