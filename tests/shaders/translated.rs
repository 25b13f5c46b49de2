//! Every kernel and key in the languages of every driver: naga makes SPIR-V, MSL, HLSL and GLSL of it, and the tools that read them,
//! where they are installed, find nothing wrong.

use std::{
    collections::HashSet,
    env,
    io::Write as _,
    process::{Command, Stdio},
};

use naga::{
    ShaderStage,
    back::{glsl, hlsl, msl},
};
use residua::{
    executor::gpu::kernels::{KernelKey, Types},
    tensor::StorageType,
};

use crate::{
    keys,
    spirv::{UNCHECKED, module, spirv},
};

/// Each key once.
fn distinct() -> HashSet<KernelKey> {
    keys().into_iter().map(|(_, key)| key).collect()
}

fn is_cooperative(key: &KernelKey) -> bool {
    key.wgsl().contains("enable wgpu_cooperative_matrix;")
}

/// Whether it computes with f16, and does not only declare it.
fn is_f16(key: &KernelKey) -> bool {
    let (Types { stored, output }, wgsl) = (key.types, key.wgsl());
    let used = |alias: &str| wgsl.matches(alias).count() > 1;
    stored == StorageType::F16 && used("Stored") || output == StorageType::F16 && used("Output")
}

fn to_msl(key: &KernelKey) -> Result<String, String> {
    let options = msl::Options {
        lang_version: (3, 1),
        bounds_check_policies: UNCHECKED,
        zero_initialize_workgroup_memory: false,
        force_loop_bounding: false,
        ..Default::default()
    };
    let (module, info) = module(key);
    let text = msl::write_string(&module, &info, &options, &msl::PipelineOptions::default());
    text.map(|(text, _)| text).map_err(|error| error.to_string())
}

fn to_hlsl(key: &KernelKey) -> Result<String, String> {
    let options = hlsl::Options {
        shader_model: hlsl::ShaderModel::V6_6,
        zero_initialize_workgroup_memory: false,
        restrict_indexing: false,
        force_loop_bounding: false,
        ..Default::default()
    };
    let ((module, info), pipeline, mut text) = (module(key), hlsl::PipelineOptions::default(), String::new());
    let mut writer = hlsl::Writer::new(&mut text, &options, &pipeline);
    writer.write(&module, &info, None).map_err(|error| error.to_string())?;
    Ok(text)
}

fn to_glsl(key: &KernelKey) -> Result<String, String> {
    let options = glsl::Options {
        version: glsl::Version::Desktop(450),
        zero_initialize_workgroup_memory: false,
        ..Default::default()
    };
    let pipeline =
        glsl::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: "main".into(), multiview: None };
    let ((module, info), mut text) = (module(key), String::new());
    glsl::Writer::new(&mut text, &module, &info, &options, &pipeline, UNCHECKED)
        .and_then(|mut writer| writer.write())
        .map_err(|error| error.to_string())?;
    Ok(text)
}

/// A translation, and whether it is known to be impossible for a key.
type Language = (&'static str, fn(&KernelKey) -> Result<String, String>, fn(&KernelKey) -> bool);

#[test]
fn every_kernel_and_key_is_translated_for_every_driver() {
    let languages: [Language; 3] = [
        ("MSL", to_msl, |_| false),
        ("HLSL", to_hlsl, is_cooperative),
        ("GLSL", to_glsl, |key| is_f16(key) || is_cooperative(key)),
    ];
    for key in distinct() {
        assert!(!spirv(&key).is_empty());
        for (language, translate, is_known) in languages {
            match translate(&key) {
                Ok(text) => {
                    assert!(text.contains("main") && !is_known(&key), "{key}: it can now be translated to {language}")
                }
                Err(error) => assert!(is_known(&key), "{key}: {language}: {error}"),
            }
        }
    }
}

/// The messages of spirv-val about `words`; `None` if there are none.
fn invalid(words: &[u32]) -> Option<String> {
    let mut command = Command::new("spirv-val");
    command.args(["--target-env", "vulkan1.3", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("spirv-val (Debian: spirv-tools)");
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    child.stdin.take().expect("a pipe").write_all(&bytes).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
#[ignore = "needs spirv-val; tests/check installs it on Debian and runs this"]
fn spirv_val_takes_every_kernel_and_key() {
    for key in distinct() {
        // Debian 12's spirv-val is older than cooperative matrices.
        if let Some(error) = invalid(&spirv(&key)).filter(|_| !is_cooperative(&key)) {
            panic!("{key}: {error}");
        }
    }
    let mut broken = spirv(&distinct().into_iter().next().expect("a key"));
    broken.truncate(broken.len() / 2);
    assert!(invalid(&broken).is_some(), "spirv-val finds nothing wrong with half a module");
}

/// Tint's messages about all kernels but the cooperative one, which no browser has; it wants a line for subgroups that naga refuses
/// (gfx-rs/wgpu#5555).
#[test]
#[ignore = "needs Node with the package `webgpu`; tests/tint installs it and runs this"]
fn tint_takes_every_kernel_and_key() {
    let modules = env::var_os("RESIDUA_NODE_MODULES").expect("RESIDUA_NODE_MODULES: the folder with Node's packages");
    let keys: Vec<_> = distinct().into_iter().filter(|key| !is_cooperative(key)).collect();
    let kernel = |key: &KernelKey| {
        let wgsl = key.wgsl();
        let extension = if wgsl.contains("subgroup") { "enable subgroups;\n" } else { "" };
        let constants: serde_json::Map<_, _> =
            key.overrides.iter().map(|(name, value)| (name.to_string(), (*value).into())).collect();
        serde_json::json!({ "name": key.to_string(), "wgsl": format!("{extension}{wgsl}"), "constants": constants })
    };
    let kernels: Vec<_> = keys.iter().map(kernel).collect();
    let mut command = Command::new("node");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/shaders/tint.mjs")).arg(modules);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("node");
    let text = serde_json::to_string(&kernels).expect("JSON");
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.trim() == format!("{} kernels", keys.len()), "{said}");
}
