//! Golden files and comparison, shared by the tests.
#![allow(dead_code, reason = "each test binary uses its own part")]

pub(crate) mod executors;

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    panic,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use residua::{
    checkpoint::{Checkpoint, Synthetic},
    executor::gpu::{Device, pick},
    graph::{Graph, ValueId},
    models::Architecture,
    tensor::{Shape, StorageType, Tensor},
};
use safetensors::{Dtype, tensor::TensorView};
use serde::Deserialize;

/// Bound for f32: the largest difference, divided by the largest golden magnitude.
pub(crate) const F32_BOUND: f32 = 1e-4;

/// How a golden file was made.
#[derive(Deserialize, Clone, Debug)]
pub(crate) struct Row {
    pub(crate) salt: String,
    pub(crate) damped: Option<String>,
    pub(crate) damp: f64,
    pub(crate) input: [usize; 4],
    pub(crate) classes: usize,
    pub(crate) parameters: Option<u64>,
    pub(crate) tensors: usize,
    pub(crate) argmax: Vec<usize>,
    pub(crate) downsample_in_bottleneck: Option<bool>,
}

/// PyTorch's results for a synthetic checkpoint.
pub(crate) struct Golden {
    pub(crate) name: String,
    pub(crate) row: Row,
    /// `[images][classes]`.
    pub(crate) logits: Vec<f32>,
    /// 64 samples of each stage at flat index `(i * 7919) mod elements`.
    pub(crate) stages: BTreeMap<String, Vec<f32>>,
}

impl Golden {
    pub(crate) fn load(name: &str) -> Self {
        let row = rows().remove(name).unwrap_or_else(|| panic!("{name} is not in golden.json"));
        let file = Checkpoint::open(&golden_dir().join(format!("{name}.safetensors"))).unwrap();
        let read = |tensor: &str| file.tensor(tensor, &file.shapes()[tensor]).unwrap().into_owned();
        let stages =
            file.shapes().keys().filter_map(|t| Some((t.strip_prefix("stage.")?.to_string(), read(t)))).collect();
        Golden { name: name.into(), logits: read("logits"), stages, row }
    }

    pub(crate) fn synthetic(&self) -> Synthetic {
        Synthetic { salt: self.row.salt.clone(), damped: self.row.damped.clone(), damp: self.row.damp }
    }

    /// Synthetic weights under transformers' names, and the network recognised from their names and shapes.
    pub(crate) fn in_transformers_spelling(&self, repository: &str) -> (Graph, Checkpoint) {
        let mut tensors = hub_tensors(repository);
        tensors.retain(|(name, _)| !name.ends_with("num_batches_tracked"));
        assert_eq!(tensors.len(), self.row.tensors);
        let checkpoint = self.synthetic().checkpoint(&self.name, &tensors).unwrap();
        let architecture = Architecture::detect(&self.name, checkpoint.shapes()).unwrap();
        let stride_in = if self.row.downsample_in_bottleneck.unwrap() { "1x1" } else { "3x3" };
        // A network of basic blocks has no such choice.
        let structure = format!("stride-in={stride_in}").parse().unwrap();
        let architecture = architecture.clone().with_structure(&structure).unwrap_or(architecture);
        (architecture.graph(), checkpoint)
    }

    /// The first `images` images of the golden input.
    pub(crate) fn input(&self, images: usize) -> Tensor {
        let [_, c, h, w] = self.row.input;
        Tensor::new(Shape::new(images, c, h, w), self.synthetic().input([images, c, h, w]))
    }

    /// Runs `graph` on the first `images` images (1 or 2) and compares the logits and every stage that the golden
    /// file has. `run` yields the values it is asked for, as `residua::executor::reference::values` does. Returns the worst
    /// difference of the logits relative to the largest golden one.
    pub(crate) fn check(
        &self,
        graph: &Graph,
        checkpoint: &Checkpoint,
        images: usize,
        bound: f32,
        run: impl FnOnce(&Graph, &Checkpoint, &Tensor, &[ValueId]) -> residua::Result<Vec<Tensor>>,
    ) -> f32 {
        let mut stages = graph.stages().to_vec();
        stages.retain(|(stage, _)| self.stages.contains_key(stage));
        assert_eq!(stages.len(), self.stages.len(), "{}: the graph marks {stages:?}", self.name);
        let mut wanted: Vec<ValueId> = stages.iter().map(|(_, id)| *id).collect();
        wanted.push(graph.output());
        let mut values = run(graph, checkpoint, &self.input(images), &wanted).unwrap();
        let logits = values.pop().unwrap();
        for ((stage, _), value) in stages.iter().zip(&values) {
            let golden = &self.stages[stage];
            let elements = value.data.len() / images * self.row.input[0];
            let sampled = (0..golden.len()).map(|i| (i * 7919 % elements, golden[i]));
            let (got, want): (Vec<f32>, Vec<f32>) =
                sampled.filter_map(|(i, want)| Some((*value.data.get(i)?, want))).unzip();
            assert!(want.len() >= golden.len() / 3, "{}: {stage}: {} samples", self.name, want.len());
            compare(&got, &want, bound).unwrap_or_else(|e| panic!("{}: stage {stage}: {e}", self.name));
        }
        let want = &self.logits[..images * self.row.classes];
        compare(&logits.data, want, bound).unwrap_or_else(|e| panic!("{}: logits: {e}", self.name))
    }
}

/// Where the golden files lie.
pub(crate) fn golden_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// All rows of `golden.json`.
pub(crate) fn rows() -> BTreeMap<String, Row> {
    serde_json::from_str(&fs::read_to_string(golden_dir().join("golden.json")).unwrap()).unwrap()
}

/// Names and shapes of the weights of a hub repository, batch counters included.
pub(crate) fn hub_tensors(repository: &str) -> Vec<(String, Vec<usize>)> {
    let path = golden_dir().join("hub").join(repository).join("tensors.json");
    let rows: Vec<(String, Vec<usize>, String)> = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    rows.into_iter().map(|(name, shape, _)| (name, shape)).collect()
}

/// The largest difference, divided by the largest magnitude of `want`.
///
/// # Errors
/// A sentence, if that is above `bound`, if a value is not finite, if the lengths differ, or if there is nothing to
/// compare.
pub(crate) fn compare(got: &[f32], want: &[f32], bound: f32) -> Result<f32, String> {
    if got.len() != want.len() {
        return Err(format!("{} values, expected {}", got.len(), want.len()));
    }
    if let Some(i) = got.iter().zip(want).position(|(g, w)| !g.is_finite() || !w.is_finite()) {
        return Err(format!("element {i}: got {}, expected {}", got[i], want[i]));
    }
    let largest = want.iter().fold(0.0f32, |max, v| max.max(v.abs()));
    if largest == 0.0 {
        return Err("nothing but zeros to compare with".into());
    }
    let worst = (0..got.len()).max_by(|a, b| (got[*a] - want[*a]).abs().total_cmp(&(got[*b] - want[*b]).abs()));
    let i = worst.ok_or("nothing to compare")?;
    let relative = (got[i] - want[i]).abs() / largest;
    if relative <= bound {
        Ok(relative)
    } else {
        Err(format!(
            "element {i}: got {}, expected {}: off by {relative:e} of the largest, bound {bound:e}",
            got[i], want[i]
        ))
    }
}

/// A safetensors file of f32 tensors.
pub(crate) fn safetensors(tensors: &[(String, Vec<usize>, Vec<f32>)]) -> Vec<u8> {
    let views = tensors.iter().map(|(name, shape, values)| {
        let view = TensorView::new(safetensors::Dtype::F32, shape.clone(), bytemuck::cast_slice(values));
        (name, view.unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}

/// The result of `work`. Fails if it takes many times longer than on a slow driver, since it then hangs.
pub(crate) fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    let worker = thread::spawn(move || sender.send(work()));
    match receiver.recv_timeout(Duration::from_secs(1800)) {
        Ok(value) => value,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        Err(mpsc::RecvTimeoutError::Disconnected) => panic::resume_unwind(worker.join().unwrap_err()),
    }
}

/// The device that the tests run on: the best adapter. Tests fail if there is none.
pub(crate) fn device() -> Arc<Device> {
    let device = pollster::block_on(Device::open("auto", residua::Threads::host()));
    Arc::new(device.unwrap_or_else(|error| panic!("the GPU tests need an adapter: {error}")))
}

/// Its index as a device's name, since `auto` prefers the CPU to a software adapter.
pub(crate) fn adapter() -> String {
    let (index, _) = pick(&residua::devices(), &"auto".into()).expect("the GPU tests need an adapter");
    index.to_string()
}

/// The precisions in which `device` stores values. If one is missing, says on stderr that `what` is skipped in it.
pub(crate) fn precisions(device: &Device, what: &str) -> Vec<StorageType> {
    if device.caps().f16 {
        return vec![StorageType::F32, StorageType::F16];
    }
    say(&format!("SKIPPED f16 part of {what}: {} has no shader-f16", device.info().name));
    vec![StorageType::F32]
}

/// The folder of the real weights and photos: `RESIDUA_REAL_DATA`, otherwise `../shared`.
pub(crate) fn real_data() -> PathBuf {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let folder = std::env::var_os("RESIDUA_REAL_DATA").map_or_else(beside, PathBuf::from);
    assert!(folder.join("weights").is_dir(), "no real data in {}; set RESIDUA_REAL_DATA", folder.display());
    folder
}

/// A line on stderr even if the test passes: the harness swallows what `eprintln!` prints.
pub(crate) fn say(line: &str) {
    let mut stderr = std::io::stderr();
    writeln!(stderr, "{line}").unwrap();
}

/// Writes synthetic weights under these names.
pub(crate) fn save(path: &Path, tensors: &[(String, Vec<usize>)]) {
    let synthetic = Synthetic { salt: "residua".into(), damped: None, damp: 1.0 };
    let bytes = |(name, shape): &(String, Vec<usize>)| -> Vec<u8> {
        if shape.is_empty() {
            return 1i64.to_le_bytes().to_vec();
        }
        synthetic.tensor(name, shape).iter().flat_map(|v| v.to_le_bytes()).collect()
    };
    let data: Vec<Vec<u8>> = tensors.iter().map(bytes).collect();
    let views = tensors.iter().zip(&data).map(|((name, shape), data)| {
        let dtype = if shape.is_empty() { Dtype::I64 } else { Dtype::F32 };
        (name, TensorView::new(dtype, shape.clone(), data).unwrap())
    });
    safetensors::serialize_to_file(views, None, path).unwrap();
}
