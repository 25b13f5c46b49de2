//! `residua doctor`: prints everything that a bug report needs, and tests the device.

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    time::Instant,
};

use residua::{
    Classifier, DeviceInfo, Error, Note, Precision,
    check::{tune, verify::Coverage},
    executor::gpu::{self, AdapterReport, Device, Wanted},
    hub::Hub,
    program::environment::cache_folder,
};
use serde_json::{Value, json};

use super::row;
use crate::cli::{io::faults, options::Global, outcome::Outcome};

/// Variables that affect residua, its graphics drivers or its downloads, and whether their values may be shown: a URL can contain a
/// password, and a token is a secret.
const VARIABLES: [(&str, bool); 27] = [
    ("XDG_CACHE_HOME", true),
    ("HF_HOME", true),
    ("HF_HUB_CACHE", true),
    ("HF_HUB_OFFLINE", true),
    ("HF_TOKEN", false),
    ("HF_TOKEN_PATH", true),
    ("HF_ENDPOINT", false),
    ("HTTPS_PROXY", false),
    ("https_proxy", false),
    ("ALL_PROXY", false),
    ("NO_PROXY", false),
    ("SSL_CERT_FILE", true),
    ("RUST_LOG", true),
    ("NO_COLOR", true),
    ("WGPU_ADAPTER_NAME", true),
    ("WGPU_BACKEND", true),
    ("VK_DRIVER_FILES", true),
    ("VK_ADD_DRIVER_FILES", true),
    ("VK_ICD_FILENAMES", true),
    ("VK_LOADER_DRIVERS_SELECT", true),
    ("VK_LOADER_DRIVERS_DISABLE", true),
    ("VK_INSTANCE_LAYERS", true),
    ("MESA_VK_DEVICE_SELECT", true),
    ("MESA_SHADER_CACHE_DISABLE", true),
    ("LP_NUM_THREADS", true),
    ("CUDA_VISIBLE_DEVICES", true),
    ("DISPLAY", true),
];

pub(crate) fn run(global: &Global, as_json: bool, out: &mut dyn Write) -> Outcome {
    let wanted = global.wanted()?;
    let adapters = match pollster::block_on(gpu::adapter_reports(&wanted)) {
        Err(Error::NoAdapter { .. }) => Vec::new(),
        reported => reported?,
    };
    let devices: Vec<DeviceInfo> = adapters.iter().map(|adapter| adapter.device.clone()).collect();
    let picked = if wanted.is_cpu() {
        None
    } else {
        Some(pollster::block_on(Device::open_preferred(wanted.clone(), residua::Threads::host())))
    };
    let tests: Vec<SelfTest> = match &picked {
        Some(Ok(_)) => [Precision::F32, Precision::F16].map(|precision| SelfTest::run(&wanted, precision)).into(),
        _ => Vec::new(),
    };
    let choice = match &picked {
        None => format!("{}: requested", wanted.name()),
        Some(Ok(device)) => {
            let index = device.info().index.map_or_else(String::new, |index| format!("{index}, "));
            let notes: String = device.notes().iter().map(|note| format!("; {note}")).collect();
            format!("{index}{}{notes}", device.reason())
        }
        Some(Err(error @ (Error::NoAdapter { .. } | Error::GpuOpen { .. }))) if wanted.is_auto() => {
            Note::CpuUsed(error.clone()).to_string()
        }
        Some(Err(error)) => format!("none: {error} [{}]", error.code()),
    };
    if as_json {
        let report = json!({
            "version": env!("CARGO_PKG_VERSION"), "features": features(), "debug": cfg!(debug_assertions),
            "system": system().into_iter().map(|(name, value)| (name.to_string(), value.into())).collect::<serde_json::Map<_, _>>(),
            "adapters": adapters.iter().map(adapter_json).collect::<Vec<_>>(), "picked": choice,
            "tests": tests.iter().map(SelfTest::json).collect::<Vec<_>>(),
            "faults": faults::known(), "measured": measured(&devices), "caches": caches(), "environment": environment(),
        });
        writeln!(out, "{report:#}")?;
    } else {
        text(out, &adapters, &choice, &tests, &measured(&devices))?;
    }
    match picked {
        Some(Err(error)) if !wanted.is_auto() => Err(error.into()),
        _ => Ok(tests.iter().all(|test| test.ok)),
    }
}

fn text(
    out: &mut dyn Write,
    adapters: &[AdapterReport],
    choice: &str,
    tests: &[SelfTest],
    measured: &[PathBuf],
) -> std::io::Result<()> {
    let build = if cfg!(debug_assertions) { ", debug build" } else { "" };
    row(out, "residua", format_args!("{} ({}{build})", env!("CARGO_PKG_VERSION"), features().join(", ")))?;
    for (name, value) in system() {
        row(out, name, value)?;
    }
    for (i, adapter) in adapters.iter().enumerate() {
        let DeviceInfo { name, kind, backend, driver, .. } = &adapter.device;
        let [vendor, device] = adapter.ids;
        row(
            out,
            &format!("adapter {i}"),
            format_args!("{name} ({kind}, {backend}, {driver}, {vendor:04x}:{device:04x})"),
        )?;
        let [smallest, largest] = adapter.subgroup;
        row(out, "  subgroups", format_args!("{smallest} to {largest} lanes"))?;
        let features: Vec<&str> = adapter.features.iter().map(String::as_str).filter(|name| matters(name)).collect();
        row(out, "  features", features.join(" "))?;
        for (name, value) in &adapter.limits {
            row(out, "  limit", format_args!("{name} {value}"))?;
        }
    }
    row(out, "picked", choice)?;
    for test in tests {
        let name = format!("test in {}", test.precision);
        row(out, &name, format_args!("{} ({:.1} s)", test.verdict, test.seconds))?;
    }
    for fault in faults::known() {
        row(out, "verify found", format_args!("{} in {} wrong on {}", fault.kernel, fault.stored, fault.device))?;
    }
    for path in measured {
        row(out, "measured", path.display())?;
    }
    for cache in caches() {
        let size = match (cache["files"].as_u64(), cache["bytes"].as_u64()) {
            (Some(files), Some(bytes)) => format!("{files} files, {:.1} KiB", bytes as f64 / 1024.0),
            _ => "missing".into(),
        };
        row(
            out,
            cache["name"].as_str().unwrap_or_default(),
            format_args!("{} ({size})", cache["path"].as_str().unwrap_or("?")),
        )?;
    }
    let variables = environment();
    for variable in &variables {
        let value = variable["value"].as_str().unwrap_or("(set, value not shown)");
        row(out, "environment", format_args!("{}={value}", variable["name"].as_str().unwrap_or_default()))?;
    }
    if variables.is_empty() {
        row(out, "environment", "no relevant variable is set")?;
    }
    Ok(())
}

/// The features that matter for compute. The JSON has all of them.
fn matters(feature: &str) -> bool {
    ["shader_f", "shader_i", "subgroup", "timestamp_query", "pipeline_cache", "mappable", "cooperative", "immediates"]
        .iter()
        .any(|start| feature.contains(start))
}

/// Result of comparing the builtin network on the device with the CPU reference.
struct SelfTest {
    precision: &'static str,
    ok: bool,
    verdict: String,
    seconds: f64,
}

impl SelfTest {
    fn run(wanted: &Wanted, precision: Precision) -> Self {
        let start = Instant::now();
        let outcome = Classifier::builder()
            .adapter(wanted.clone())
            .untested(true)
            .precision(precision)
            .faults(faults::known())
            .open()
            .and_then(|classifier| classifier.verify(1, Coverage::Chosen));
        let (ok, verdict) = match outcome {
            Ok(verification) => {
                let layers = verification.layers.len();
                let wrong = verification.layers.iter().filter(|layer| !layer.ok).count();
                let verdict = if verification.ok { "agree".into() } else { format!("of which {wrong} DISAGREE") };
                (verification.ok, format!("builtin, {layers} layers {verdict} with the CPU reference"))
            }
            // A device without f16 is not faulty.
            Err(error @ Error::GpuFeature { .. }) => (true, error.to_string()),
            Err(error) => (false, format!("{error} [{}]", error.code())),
        };
        let precision = if precision == Precision::F16 { "f16" } else { "f32" };
        SelfTest { precision, ok, verdict, seconds: start.elapsed().as_secs_f64() }
    }

    fn json(&self) -> Value {
        json!({"precision": self.precision, "ok": self.ok, "verdict": self.verdict, "seconds": self.seconds})
    }
}

fn features() -> Vec<&'static str> {
    let all = [("cli", cfg!(feature = "cli")), ("hub", cfg!(feature = "hub")), ("libjpeg", cfg!(feature = "libjpeg"))];
    all.into_iter().filter(|(_, on)| *on).map(|(name, _)| name).collect()
}

/// Operating system, processor and memory, as far as known.
fn system() -> Vec<(&'static str, String)> {
    // `KEY=value` or `key : value`; quotes are removed.
    let field = |path: &str, key: &str, separator: char| {
        let text = fs::read_to_string(path).ok()?;
        let value = text.lines().find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix(separator))?;
        Some(value.trim().trim_matches('"').to_string())
    };
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").map(|text| text.trim().to_string());
    let parts = [field("/etc/os-release", "PRETTY_NAME", '='), kernel.ok()].into_iter().flatten();
    let system = [format!("{} {}", env::consts::OS, env::consts::ARCH)].into_iter().chain(parts);
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let processor = field("/proc/cpuinfo", "model name", ':').map_or(String::new(), |name| format!("{name}, "));
    let mut rows =
        vec![("system", system.collect::<Vec<_>>().join(", ")), ("processor", format!("{processor}{threads} threads"))];
    rows.extend(field("/proc/meminfo", "MemTotal", ':').map(|total| ("memory", total)));
    rows
}

fn adapter_json(adapter: &AdapterReport) -> Value {
    let DeviceInfo { index, name, kind, backend, driver, .. } = &adapter.device;
    let limits: serde_json::Map<_, _> =
        adapter.limits.iter().map(|(name, value)| (name.to_string(), json!(value))).collect();
    json!({
        "index": index, "name": name, "kind": kind.to_string(), "backend": backend, "driver": driver,
        "software": kind.software(),
        "vendor": adapter.ids[0], "device": adapter.ids[1], "subgroup": adapter.subgroup,
        "features": adapter.features, "limits": limits,
    })
}

/// The files with kernel times of these devices.
fn measured(devices: &[DeviceInfo]) -> Vec<PathBuf> {
    let folder = cache_folder();
    let paths = folder.iter().flat_map(|folder| devices.iter().map(|device| tune::path(folder, device)));
    paths.filter(|path| path.exists()).collect()
}

fn caches() -> Vec<Value> {
    let folders = [("cache", cache_folder()), ("hub cache", Hub::from_vars(|name| env::var_os(name)).cache)];
    let described = folders.into_iter().filter_map(|(name, path)| Some((name, path?)));
    described
        .map(|(name, path)| {
            let size = size(&path);
            json!({"name": name, "path": path, "files": size.map(|s| s.0), "bytes": size.map(|s| s.1)})
        })
        .collect()
}

/// Number and total bytes of the files below a folder; links are not followed.
fn size(folder: &Path) -> Option<(u64, u64)> {
    let mut total = (0, 0);
    for entry in fs::read_dir(folder).ok()?.flatten() {
        let (files, bytes) = match entry.metadata() {
            Ok(meta) if meta.is_dir() => size(&entry.path()).unwrap_or_default(),
            Ok(meta) if meta.is_file() => (1, meta.len()),
            _ => continue,
        };
        total = (total.0 + files, total.1 + bytes);
    }
    Some(total)
}

/// The variables in use.
fn environment() -> Vec<Value> {
    let set = VARIABLES.iter().filter_map(|(name, shown)| Some((name, shown, env::var_os(name)?)));
    set.map(|(name, shown, value)| json!({"name": name, "value": shown.then(|| value.to_string_lossy())})).collect()
}
