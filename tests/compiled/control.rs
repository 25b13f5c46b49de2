//! Wrong uses of Vulkan, to show that the validation layer is on and finds them.
#![allow(unsafe_code, reason = "Vulkan through ash, wrong on purpose: the process is to be ended by the layer")]

use ash::vk;
use clap::ValueEnum;
use naga::valid::{Capabilities, ValidationFlags, Validator};
use wgpu::hal::vulkan;

use crate::spirv::written;

/// A wrong use.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Control {
    /// A buffer without any usage.
    Invalid,
    /// Two dispatches that read and write the same buffer, without a barrier between them.
    Hazard,
}

/// Adds one to each number.
const WGSL: &str = "@group(0) @binding(0) var<storage, read_write> a: array<f32>;
    @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) i: vec3<u32>) { a[i.x] = a[i.x] + 1.0; }";

/// Misuses a device that wgpu opened.
pub(crate) fn control(adapter: &wgpu::Adapter, control: Control) -> Result<String, String> {
    let opened = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default()));
    let (device, queue) = opened.map_err(|error| error.to_string())?;
    // SAFETY: neither device nor queue is destroyed through these references, and all work is waited for.
    let done = unsafe {
        let device_hal = device.as_hal::<vulkan::Api>().ok_or("not a device of Vulkan")?;
        let queue_hal = queue.as_hal::<vulkan::Api>().ok_or("not a queue of Vulkan")?;
        let raw = device_hal.raw_device();
        match control {
            Control::Invalid => raw.create_buffer(&vk::BufferCreateInfo::default(), None).map(drop),
            Control::Hazard => hazard(raw, queue_hal.as_raw(), device_hal.queue_family_index()),
        }
    };
    done.map_err(|error| error.to_string())?;
    // Do not close the device: the objects left on it would be one more error.
    std::mem::forget((device, queue));
    Ok(format!("{control:?}: nobody minded\n"))
}

/// # Safety
/// The device and its queue must be alive, and nothing else may use them.
unsafe fn hazard(device: &ash::Device, queue: vk::Queue, family: u32) -> Result<(), vk::Result> {
    let module = naga::front::wgsl::parse_str(WGSL).expect("the text is WGSL");
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::empty());
    let info = validator.validate(&module).expect("the text is valid");
    let spirv = written(&module, &info).expect("and SPIR-V");
    // SAFETY: as the caller guarantees; every handle belongs to this device. Everything made here ends with the process.
    unsafe {
        let usage = vk::BufferUsageFlags::STORAGE_BUFFER;
        let buffer = device.create_buffer(&vk::BufferCreateInfo::default().size(4096).usage(usage), None)?;
        let needed = device.get_buffer_memory_requirements(buffer);
        let allocation = vk::MemoryAllocateInfo::default()
            .allocation_size(needed.size)
            .memory_type_index(needed.memory_type_bits.trailing_zeros());
        device.bind_buffer_memory(buffer, device.allocate_memory(&allocation, None)?, 0)?;
        let bindings = [vk::DescriptorSetLayoutBinding::default()
            .descriptor_type(vk::DescriptorType::STORAGE_BUFFER)
            .descriptor_count(1)
            .stage_flags(vk::ShaderStageFlags::COMPUTE)];
        let layouts = [device
            .create_descriptor_set_layout(&vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings), None)?];
        let layout =
            device.create_pipeline_layout(&vk::PipelineLayoutCreateInfo::default().set_layouts(&layouts), None)?;
        let module = device.create_shader_module(&vk::ShaderModuleCreateInfo::default().code(&spirv), None)?;
        let stage = vk::PipelineShaderStageCreateInfo::default()
            .stage(vk::ShaderStageFlags::COMPUTE)
            .module(module)
            .name(c"main");
        let create = vk::ComputePipelineCreateInfo::default().stage(stage).layout(layout);
        let pipelines =
            device.create_compute_pipelines(vk::PipelineCache::null(), &[create], None).map_err(|(_, error)| error)?;
        let sizes = [vk::DescriptorPoolSize::default().ty(vk::DescriptorType::STORAGE_BUFFER).descriptor_count(1)];
        let pool = device
            .create_descriptor_pool(&vk::DescriptorPoolCreateInfo::default().max_sets(1).pool_sizes(&sizes), None)?;
        let sets = device.allocate_descriptor_sets(
            &vk::DescriptorSetAllocateInfo::default().descriptor_pool(pool).set_layouts(&layouts),
        )?;
        let range = [vk::DescriptorBufferInfo::default().buffer(buffer).range(vk::WHOLE_SIZE)];
        let write = vk::WriteDescriptorSet::default()
            .dst_set(sets[0])
            .descriptor_type(vk::DescriptorType::STORAGE_BUFFER)
            .buffer_info(&range);
        device.update_descriptor_sets(&[write], &[]);
        let pool =
            device.create_command_pool(&vk::CommandPoolCreateInfo::default().queue_family_index(family), None)?;
        let allocate = vk::CommandBufferAllocateInfo::default().command_pool(pool).command_buffer_count(1);
        let commands = device.allocate_command_buffers(&allocate)?;
        device.begin_command_buffer(commands[0], &vk::CommandBufferBeginInfo::default())?;
        device.cmd_bind_pipeline(commands[0], vk::PipelineBindPoint::COMPUTE, pipelines[0]);
        device.cmd_bind_descriptor_sets(commands[0], vk::PipelineBindPoint::COMPUTE, layout, 0, &sets, &[]);
        device.cmd_dispatch(commands[0], 16, 1, 1);
        device.cmd_dispatch(commands[0], 16, 1, 1);
        device.end_command_buffer(commands[0])?;
        let submit = vk::SubmitInfo::default().command_buffers(&commands);
        device.queue_submit(queue, &[submit], vk::Fence::null())?;
        device.device_wait_idle()
    }
}
