//! `residua devices`: lists the adapters, and says which one is used and why.

use std::io::Write;

use residua::{
    DeviceInfo, Error, Note,
    executor::{
        gpu::{self, Device},
        on_cpu_devices,
    },
};

use crate::cli::{options::Global, outcome::Outcome};

pub(crate) fn run(global: &Global, out: &mut dyn Write) -> Outcome {
    let wanted = global.wanted()?;
    // Open the device to learn which one is used: the best one may fail to open.
    let opened = if wanted.is_cpu() {
        None
    } else {
        Some(pollster::block_on(Device::open_preferred(wanted.clone(), residua::Threads::host())))
    };
    let devices = match pollster::block_on(gpu::devices(&wanted)) {
        Err(Error::NoAdapter { .. }) => Vec::new(),
        listed => listed?,
    };
    let on_cpu: Vec<DeviceInfo> = on_cpu_devices(&*residua::Threads::host()).collect();
    // The first of these is used if no adapter works.
    let other = on_cpu.iter().find(|device| device.name == wanted.name()).or(on_cpu.first());
    for device in devices.iter().chain(&on_cpu) {
        let used = match &opened {
            Some(Ok(opened)) => device.index == opened.info().index,
            Some(Err(_)) => wanted.is_auto() && Some(device) == other,
            None => Some(device) == other,
        };
        let index = device.index.map_or_else(|| device.name.clone(), |index| index.to_string());
        let mark = if used { '*' } else { ' ' };
        writeln!(out, "{mark} {index:<9} {}  ({}, {}, {})", device.name, device.kind, device.backend, device.driver)?;
    }
    match opened {
        Some(Ok(device)) => {
            device.notes().iter().for_each(|note| global.note(&note.to_string()));
            writeln!(out, "* marks the device in use: {}", device.reason())?;
        }
        Some(Err(error @ (Error::NoAdapter { .. } | Error::GpuOpen { .. }))) if wanted.is_auto() => {
            writeln!(out, "* marks the device in use: {}", Note::CpuUsed(error))?;
        }
        Some(Err(error)) => return Err(error.into()),
        None => writeln!(out, "* marks the device in use: requested")?,
    }
    Ok(true)
}
