//! A Vulkan driver's compiler: a device that wgpu opened, and its driver's figures for the pipelines that it compiles
//! (`VK_KHR_pipeline_executable_properties`). wgpu does not offer these, so this file calls Vulkan directly.
#![allow(unsafe_code, reason = "Vulkan through ash; each block says what it relies on")]

use std::ffi::CStr;

use ash::{khr::pipeline_executable_properties as executables, vk};
use residua::executor::gpu::kernels::{Binding, KernelKey};
use wgpu::hal::{OpenDevice, vulkan};

use crate::spirv::spirv;

/// A driver's figures and listings for a compiled kernel.
pub(crate) struct Compiled {
    /// Lanes of a subgroup.
    pub(crate) lanes: u32,
    /// Its figures.
    pub(crate) statistics: Vec<(String, f64)>,
    /// Its listings, by name, if they were asked for.
    pub(crate) listings: Vec<(String, String)>,
}

/// An open device.
pub(crate) struct Driver {
    open: OpenDevice<vulkan::Api>,
    executables: executables::Device,
    stage: vk::PipelineShaderStageCreateFlags,
}

impl Driver {
    /// Opens `adapter` with the features that residua's kernels use, as far as it has them, with all its limits, and with statistics of
    /// pipelines.
    pub(crate) fn open(adapter: &wgpu::Adapter) -> Result<Self, String> {
        let features = adapter.features() & (wgpu::Features::SHADER_F16 | wgpu::Features::SUBGROUP);
        let mut wanted =
            vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default().pipeline_executable_info(true);
        // SAFETY: the adapter is not destroyed through this reference.
        let adapter_hal = unsafe { adapter.as_hal::<vulkan::Api>() }.ok_or("not an adapter of Vulkan")?;
        let callback: Box<vulkan::CreateDeviceCallback<'_>> = Box::new(|arguments| {
            arguments.extensions.push(executables::NAME);
            *arguments.create_info = arguments.create_info.push_next(&mut wanted);
        });
        // SAFETY: a driver without the extension that the callback adds returns an error.
        let open = unsafe {
            adapter_hal.open_with_callback(features, &adapter.limits(), &wgpu::MemoryHints::default(), Some(callback))
        };
        let open = open.map_err(|error| format!("the device does not open: {error}"))?;
        let instance = adapter_hal.shared_instance().raw_instance();
        let executables = executables::Device::new(instance, open.device.raw_device());
        // Do as wgpu does.
        let varying = features.contains(wgpu::Features::SUBGROUP);
        let stage = if varying {
            vk::PipelineShaderStageCreateFlags::ALLOW_VARYING_SUBGROUP_SIZE
        } else {
            vk::PipelineShaderStageCreateFlags::empty()
        };
        Ok(Driver { open, executables, stage })
    }

    /// Compiles a kernel, with its listings if they are `listed`.
    pub(crate) fn compile(&self, key: &KernelKey, listed: bool) -> Result<Compiled, String> {
        let spirv = spirv(key);
        // SAFETY: naga wrote the module, and `tests/shaders` compares its bindings with the key's shader.
        unsafe { self.compiled(&spirv, key.shader.bindings, listed) }.map_err(|error| error.to_string())
    }

    /// # Safety
    /// `spirv` must be a valid module whose bindings are `bindings`.
    unsafe fn compiled(&self, spirv: &[u32], bindings: &[Binding], listed: bool) -> Result<Compiled, vk::Result> {
        let device = self.open.device.raw_device();
        let bindings: Vec<_> = (0..).zip(bindings).map(|(number, binding)| layout(number, *binding)).collect();
        let mut flags = vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR;
        if listed {
            flags |= vk::PipelineCreateFlags::CAPTURE_INTERNAL_REPRESENTATIONS_KHR;
        }
        // SAFETY: as the caller guarantees. Each call gets live handles of this device: all are made and destroyed here, and nothing is
        // submitted.
        unsafe {
            let set = device.create_descriptor_set_layout(
                &vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings),
                None,
            )?;
            let sets = [set];
            let layout =
                device.create_pipeline_layout(&vk::PipelineLayoutCreateInfo::default().set_layouts(&sets), None)?;
            let module = device.create_shader_module(&vk::ShaderModuleCreateInfo::default().code(spirv), None)?;
            let stage = vk::PipelineShaderStageCreateInfo::default()
                .flags(self.stage)
                .stage(vk::ShaderStageFlags::COMPUTE)
                .module(module)
                .name(c"main");
            let create = vk::ComputePipelineCreateInfo::default().flags(flags).stage(stage).layout(layout);
            let made = device.create_compute_pipelines(vk::PipelineCache::null(), &[create], None);
            let said = match made {
                Ok(ref pipelines) => self.said(pipelines[0], listed),
                Err((_, error)) => Err(error),
            };
            for pipeline in made.unwrap_or_default() {
                device.destroy_pipeline(pipeline, None);
            }
            device.destroy_shader_module(module, None);
            device.destroy_pipeline_layout(layout, None);
            device.destroy_descriptor_set_layout(set, None);
            said
        }
    }

    /// The driver's figures for `pipeline`, from its first executable; a compute pipeline has only one.
    ///
    /// # Safety
    /// `pipeline` must be alive, and must have been created to capture statistics, and listings if they are `listed`.
    unsafe fn said(&self, pipeline: vk::Pipeline, listed: bool) -> Result<Compiled, vk::Result> {
        let which = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline);
        // SAFETY: as the caller guarantees.
        let (properties, statistics) = unsafe {
            let all = vk::PipelineInfoKHR::default().pipeline(pipeline);
            let properties = self.executables.get_pipeline_executable_properties(&all)?;
            (properties, self.executables.get_pipeline_executable_statistics(&which)?)
        };
        let mut listings = Vec::new();
        if listed {
            // SAFETY: as the caller guarantees; a first call returns the sizes, a second one fills as many bytes.
            listings = unsafe { self.listings(&which)? };
        }
        Ok(Compiled {
            lanes: properties.first().map_or(0, |executable| executable.subgroup_size),
            statistics: statistics.iter().map(|statistic| (text(&statistic.name), value(statistic))).collect(),
            listings,
        })
    }

    /// # Safety
    /// As for [`Driver::said`], with listings.
    unsafe fn listings(&self, which: &vk::PipelineExecutableInfoKHR<'_>) -> Result<Vec<(String, String)>, vk::Result> {
        let (call, device) =
            (self.executables.fp().get_pipeline_executable_internal_representations_khr, self.executables.device());
        // SAFETY: as the caller guarantees; the list has the length that is passed.
        let mut list = unsafe { self.executables.get_pipeline_executable_internal_representations(which)? };
        let mut texts: Vec<Vec<u8>> = list.iter().map(|listing| vec![0; listing.data_size]).collect();
        for (listing, text) in list.iter_mut().zip(&mut texts) {
            listing.p_data = text.as_mut_ptr().cast();
        }
        let mut count = list.len() as u32;
        // SAFETY: as the caller guarantees; each `p_data` has `data_size` bytes, which outlive the call.
        unsafe { call(device, which, &mut count, list.as_mut_ptr()).result()? };
        let said = list.iter().zip(&texts).filter(|(listing, _)| listing.is_text == vk::TRUE);
        Ok(said.map(|(listing, bytes)| (text(&listing.name), String::from_utf8_lossy(bytes).into_owned())).collect())
    }
}

fn layout(number: u32, binding: Binding) -> vk::DescriptorSetLayoutBinding<'static> {
    let kind = match binding {
        Binding::Uniform(_) => vk::DescriptorType::UNIFORM_BUFFER,
        Binding::Read | Binding::Write => vk::DescriptorType::STORAGE_BUFFER,
    };
    vk::DescriptorSetLayoutBinding::default()
        .binding(number)
        .descriptor_type(kind)
        .descriptor_count(1)
        .stage_flags(vk::ShaderStageFlags::COMPUTE)
}

/// A text in an array that ends with a zero.
fn text(array: &[std::ffi::c_char]) -> String {
    let bytes: Vec<u8> = array.iter().map(|&c| c as u8).collect();
    CStr::from_bytes_until_nul(&bytes).map(|text| text.to_string_lossy().into_owned()).unwrap_or_default()
}

fn value(statistic: &vk::PipelineExecutableStatisticKHR<'_>) -> f64 {
    use vk::PipelineExecutableStatisticFormatKHR as Format;
    // SAFETY: the format says which field the driver has written.
    unsafe {
        match statistic.format {
            Format::BOOL32 => f64::from(statistic.value.b32),
            Format::INT64 => statistic.value.i64 as f64,
            Format::UINT64 => statistic.value.u64 as f64,
            _ => statistic.value.f64,
        }
    }
}
