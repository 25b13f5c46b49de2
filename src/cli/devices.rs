//! `residua devices`: the adapters, and which one is picked and why.

use std::io::Write;

use residua::{DeviceInfo, Error, gpu};

use super::{Outcome, options::Global};

pub(super) fn run(global: &Global, out: &mut dyn Write) -> Outcome {
    let devices = residua::devices();
    let picked = if global.device == "cpu" { None } else { Some(gpu::pick(&devices, &global.device)) };
    for (i, device) in devices.iter().chain([&DeviceInfo::reference()]).enumerate() {
        let chosen = match &picked {
            Some(Ok((index, _))) => device.index == Some(*index),
            None => device.index.is_none(),
            Some(Err(_)) => device.index.is_none() && global.device == "auto",
        };
        let index = if device.index.is_some() { i.to_string() } else { "cpu".into() };
        let mark = if chosen { '*' } else { ' ' };
        writeln!(out, "{mark} {index:<4} {}  ({}, {}, {})", device.name, device.kind, device.backend, device.driver)?;
    }
    match picked {
        Some(Ok((_, reason))) => writeln!(out, "* is used: {reason}")?,
        Some(Err(error @ Error::NoAdapter { .. })) if global.device == "auto" => writeln!(out, "* is used: {error}")?,
        Some(Err(error)) => return Err(error.into()),
        None => writeln!(out, "* is used: asked for")?,
    }
    Ok(true)
}
