//! The command as people use it.

mod bench;
mod beside;
mod classify;
mod convert;
mod devices;
mod documentation;
mod embed;
mod evaluate;
mod explain;
mod fit;
#[path = "../common/folder.rs"]
mod folder;
mod folders;
mod help;
mod info;
mod inputs;
mod interrupted;
mod logits;
mod models;
mod pictures;
mod profile;
mod similar;
mod structure;
mod terminal;
mod tuning;
mod variables;

use std::{
    path::Path,
    process::{Command, Output, Stdio},
    sync::LazyLock,
};

use folder::Folder;
use residua::{checkpoint::Synthetic, executor::gpu::pick, models::Architecture};

/// Runs on the best adapter unless a device is named: by default the command prefers the CPU to a software adapter.
fn residua(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_residua"));
    command.env("WGPU_ADAPTER_NAME", adapter()).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// The name of the best adapter.
fn adapter() -> &'static str {
    static ADAPTER: LazyLock<String> = LazyLock::new(|| {
        let mut devices = residua::devices();
        let (index, _) = pick(&devices, &"auto".into()).expect("the GPU tests need an adapter");
        devices.swap_remove(index).name
    });
    &ADAPTER
}

fn on_cpu(arguments: &[&str]) -> Output {
    residua(&[arguments, &["--device", "cpu"]].concat())
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Checks the status, and that stderr contains the code.
fn assert_fails(output: &Output, status: i32, code: &str) {
    assert_eq!(output.status.code(), Some(status), "{}", err(output));
    assert!(err(output).contains(&format!("[{code}]")), "wanted [{code}]: {}", err(output));
    assert!(!err(output).contains("panicked"), "{}", err(output));
}

impl Folder {
    fn image(&self, name: &str, width: u32, height: u32) -> String {
        let path = self.path(name);
        let pixel = |x: u32, y: u32| image::Rgb([(x * 7 % 256) as u8, (y * 5 % 256) as u8, ((x + y) % 256) as u8]);
        image::RgbImage::from_fn(width, height, pixel).save(Path::new(&path)).unwrap();
        path
    }

    /// Synthetic weights of an architecture; `edit` may change or leave out each tensor.
    fn checkpoint(
        &self,
        name: &str,
        architecture: &str,
        edit: impl Fn(&str, &mut Vec<usize>, &mut Vec<f32>) -> bool,
    ) -> String {
        let tensors = Architecture::by_name(architecture).unwrap().graph().tensors();
        let weights = Synthetic { salt: "cli".into(), damped: None, damp: 1.0 };
        let mut kept = Vec::new();
        for (name, mut shape) in tensors {
            let mut values = weights.tensor(&name, &shape);
            if edit(&name, &mut shape, &mut values) {
                kept.push((name, shape, bytemuck::cast_slice::<f32, u8>(&values).to_vec()));
            }
        }
        let views = kept.iter().map(|(name, shape, bytes)| {
            (name, safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes).unwrap())
        });
        self.file(name, safetensors::serialize(views, None).unwrap())
    }
}
