//! Compares a driver's figures for the kernels that the rules choose on its device with a table. `tests/compilers` runs
//! it.

mod chosen;
mod control;
mod driver;
mod figures;
mod listing;
mod spirv;

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Parser;
use residua::executor::gpu::Device;

use chosen::Chosen;
use control::Control;
use driver::Driver;
use figures::Figures;
use listing::Loop;

/// Compile every kernel that the rules choose for a few networks on the only Vulkan device, and compare the compiler's
/// figures with a table. Exit status 1 if a kernel spills, takes more registers, or runs fewer subgroups at once, or if
/// the table has other kernels.
#[derive(Debug, Parser)]
struct Args {
    /// The device's table
    table: PathBuf,
    /// Write the table instead
    #[arg(long)]
    write: bool,
    /// Change the kernels so that they must spill, and ignore the table
    #[arg(long)]
    spill: bool,
    /// Print the figures of the inner loops that ResNet-50 at batch 64 uses, as rows of a Markdown table, and ignore
    /// the device's table
    #[arg(long)]
    loops: bool,
    /// Use Vulkan wrongly instead, which the validation layer must report
    #[arg(long, value_enum)]
    control: Option<Control>,
    /// Where to put each kernel's WGSL, figures and listings
    #[arg(long)]
    listings: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let mut out = io::stdout().lock();
    match run(&args) {
        Ok(said) => write!(out, "{said}").map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS),
        Err(wrong) => {
            let _ = write!(out, "{wrong}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<String, String> {
    let adapter = pollster::block_on(adapter())?;
    if let Some(wrong) = args.control {
        return control::control(&adapter, wrong);
    }
    let device = pollster::block_on(Device::open("0", residua::Threads::host())).map_err(|error| error.to_string())?;
    let (name, caps) = (format!("{} ({})", device.info().name, device.info().driver), device.caps().clone());
    if caps.software {
        return Err(format!("{name} is no GPU"));
    }
    let driver = Driver::open(&adapter)?;
    let (mut found, mut wrong) = (BTreeMap::new(), String::new());
    let (mut chosen, mut rows) = (chosen::chosen(&caps), Vec::new());
    if args.spill {
        chosen.retain(|_, kernel| kernel.spill());
    }
    for (label, kernel) in &chosen {
        let listed = args.loops || args.listings.is_some();
        let compiled = driver.compile(&kernel.key, listed).map_err(|error| format!("{label}: {error}"))?;
        if let Some(folder) = &args.listings {
            let statistics = compiled.statistics.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
            let listings = compiled.listings.iter().map(|(name, text)| format!("=== {name}\n{text}\n")).collect();
            let parts: [String; 3] = [kernel.key.wgsl(), statistics, listings];
            fs::create_dir_all(folder).map_err(|error| error.to_string())?;
            fs::write(folder.join(label), parts.join("\n")).map_err(|error| error.to_string())?;
        }
        let figures = Figures::of(&compiled).map_err(|error| format!("{label}: {error}"))?;
        if figures.spills > 0 {
            wrong += &format!("{label}: {} spills\n", figures.spills);
        }
        if let Some(inner) = Loop::of(&compiled.listings).filter(|_| kernel.macs > 0) {
            rows.push(row(kernel, label, &figures, inner));
        }
        found.insert(label.clone(), figures);
    }
    if args.loops {
        let device = args.table.file_stem().unwrap_or_default().display().to_string();
        let table = format!("\n{device}: {name}\n\n{HEADER}\n{}\n", rows.join("\n"));
        return Ok(if rows.is_empty() { String::new() } else { table });
    }
    let mut said = String::new();
    if args.write {
        let lines: String = found.iter().map(|(label, figures)| format!("{figures}  {label}\n")).collect();
        let text = format!("# {name}\n# lanes registers spills occupancy instructions  kernel\n{lines}");
        fs::write(&args.table, text).map_err(|error| format!("{}: {error}", args.table.display()))?;
    } else if !args.spill {
        let (of, table) = read(&args.table)?;
        let (others, worse) = compare(&found, &table);
        wrong += &others;
        if of == name {
            wrong += &worse;
        } else if !worse.is_empty() {
            said = format!("the table is of {of}, so this is not judged:\n{worse}");
        }
    }
    if wrong.is_empty() {
        Ok(format!("{name}: {} kernels, none spills\n{said}", found.len()))
    } else {
        Err(format!("{name}:\n{wrong}{said}"))
    }
}

const HEADER: &str =
    "| kernel | 10^9 multiply-adds | in the loop | instructions | share | bytes a multiply-add | registers | at once |
|---|--:|--:|--:|--:|--:|--:|--:|";

/// The figures of a kernel's inner loop, as a row of that table.
fn row(kernel: &Chosen, label: &str, figures: &Figures, inner: Loop) -> String {
    let Loop { instructions, multiply_adds, workgroup_bytes } = inner;
    let share = 100.0 * f64::from(multiply_adds) / f64::from(instructions);
    let bytes = f64::from(workgroup_bytes) / f64::from(multiply_adds);
    let (macs, Figures { registers, occupancy, .. }) = (kernel.macs as f64 / 1e9, figures);
    format!(
        "| {label} | {macs:.1} | {multiply_adds} | {instructions} | {share:.0} % | {bytes:.2} | {registers} | {occupancy} |"
    )
}

/// The first adapter of Vulkan, as residua finds it.
async fn adapter() -> Result<wgpu::Adapter, String> {
    let defaults = wgpu::InstanceDescriptor::new_without_display_handle();
    let descriptor = wgpu::InstanceDescriptor { backends: wgpu::Backends::VULKAN, ..defaults };
    let adapters = wgpu::Instance::new(descriptor).enumerate_adapters(wgpu::Backends::VULKAN).await;
    adapters.into_iter().next().ok_or_else(|| "no adapter".into())
}

/// The device of a table, and its rows.
fn read(table: &Path) -> Result<(String, BTreeMap<String, Figures>), String> {
    let text = fs::read_to_string(table).map_err(|error| format!("{}: {error}", table.display()))?;
    let row = |line: &str| {
        let (figures, label) = Figures::parse(line).ok_or_else(|| format!("{}: not a row: {line}", table.display()))?;
        Ok((label.to_string(), figures))
    };
    let of = text.lines().next().and_then(|line| line.strip_prefix("# ")).unwrap_or_default();
    let rows = text.lines().filter(|line| !line.starts_with('#')).map(row).collect::<Result<_, String>>()?;
    Ok((of.into(), rows))
}

/// Kernels that only one of the two has, and figures worse than in the table.
fn compare(found: &BTreeMap<String, Figures>, table: &BTreeMap<String, Figures>) -> (String, String) {
    let (mut others, mut worse) = (String::new(), String::new());
    for (label, figures) in found {
        match table.get(label) {
            None => others += &format!("{label}: not in the table\n"),
            Some(before) => {
                if let Some(what) = figures.worse_than(before) {
                    worse += &format!("{label}: {what}\n");
                }
            }
        }
    }
    for label in table.keys().filter(|label| !found.contains_key(*label)) {
        others += &format!("{label}: in the table, and not chosen\n");
    }
    (others, worse)
}
