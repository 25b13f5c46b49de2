//! Compiles a kernel to the SPIR-V that residua gives to a driver.

use naga::{
    Module, ShaderStage,
    back::{pipeline_constants::process_overrides, spv},
    front::wgsl,
    proc::{BoundsCheckPolicies, BoundsCheckPolicy},
    valid::{Capabilities, ModuleInfo, ValidationFlags, Validator},
};
use residua::executor::gpu::kernels::KernelKey;

/// A kernel with its overrides replaced by values.
pub(crate) fn module(key: &KernelKey) -> (Module, ModuleInfo) {
    let module = wgsl::parse_str(&key.wgsl()).unwrap_or_else(|error| panic!("{key}: {error}"));
    let validated = |module: &Module| {
        let validated = Validator::new(ValidationFlags::all(), Capabilities::all()).validate(module);
        validated.unwrap_or_else(|error| panic!("{key}: {error:?}"))
    };
    let constants = key.overrides.iter().map(|(name, value)| (name.to_string(), f64::from(*value))).collect();
    let entry = Some((ShaderStage::Compute, "main"));
    let info = validated(&module);
    let (module, info) =
        process_overrides(&module, &info, entry, &constants).unwrap_or_else(|error| panic!("{key}: {error:?}"));
    (module.into_owned(), info.into_owned())
}

/// A kernel's SPIR-V.
pub(crate) fn spirv(key: &KernelKey) -> Vec<u32> {
    let (module, info) = module(key);
    written(&module, &info).unwrap_or_else(|error| panic!("{key}: {error}"))
}

/// SPIR-V with wgpu's options for `ShaderRuntimeChecks::unchecked()`, without zeroed workgroup memory, for a driver of
/// Vulkan 1.3.
pub(crate) fn written(module: &Module, info: &ModuleInfo) -> Result<Vec<u32>, spv::Error> {
    let options = spv::Options {
        lang_version: (1, 6),
        flags: spv::WriterFlags::LABEL_VARYINGS | spv::WriterFlags::FORCE_POINT_SIZE,
        bounds_check_policies: UNCHECKED,
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        force_loop_bounding: false,
        emit_int_div_checks: false,
        ..Default::default()
    };
    let pipeline = spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: "main".into() };
    spv::write_vec(module, info, &options, Some(&pipeline))
}

/// No check of any index.
pub(crate) const UNCHECKED: BoundsCheckPolicies = BoundsCheckPolicies {
    index: BoundsCheckPolicy::Unchecked,
    buffer: BoundsCheckPolicy::Unchecked,
    image_load: BoundsCheckPolicy::Unchecked,
    binding_array: BoundsCheckPolicy::Unchecked,
};
