//! Prints the results as a table, CSV or JSON.

use std::io::{self, Write};

use crate::{
    Format,
    case::{Case, Measurement},
};

type Column = (&'static str, fn(&Measurement) -> String);

const COLUMNS: &[Column] = &[
    ("median ms", |row| format!("{:.1}", row.median_ms)),
    ("min ms", |row| format!("{:.1}", row.min_ms)),
    ("spread ms", |row| format!("{:.1}", row.spread_ms)),
    ("images/s", |row| format!("{:.1}", row.images_per_s)),
    ("streamed/s", |row| row.streamed_images_per_s.map_or("-".into(), |images| format!("{images:.1}"))),
    ("load ms", |row| format!("{:.0}", row.load_ms)),
    ("first ms", |row| format!("{:.0}", row.first_ms)),
    ("restart ms", |row| row.restart_ms.map_or("-".into(), |ms| format!("{ms:.0}"))),
    ("GEMM ms", |row| row.gemm_ms.map_or("-".into(), |ms| format!("{ms:.1}"))),
    ("of GEMM", |row| row.gemm_ms.map_or("-".into(), |ms| format!("{:.0} %", 100.0 * ms / row.median_ms))),
    ("device MiB", |row| row.device_memory_mib.map_or("-".into(), |mib| format!("{mib:.0}"))),
    ("peak MiB", |row| row.peak_memory_mib.map_or("-".into(), |mib| mib.to_string())),
];

pub(crate) fn print(format: Format, cases: &[Case]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match format {
        Format::Json => {
            serde_json::to_writer_pretty(&mut out, cases)?;
            return writeln!(out);
        }
        Format::Csv => return csv(&mut out, cases),
        Format::Text | Format::Markdown => {}
    }
    let rows = || cases.iter().filter_map(|case| if let Case::Measured(row) = case { Some(row) } else { None });
    if let Some(row) = rows().next() {
        writeln!(out, "{} ({}), {}\n", row.device, row.driver, row.precision)?;
    }
    let restarted = rows().any(|row| row.restart_ms.is_some());
    let multiplied = rows().any(|row| row.gemm_ms.is_some());
    let streamed = rows().any(|row| row.streamed_images_per_s.is_some());
    let shown = |head: &str| match head {
        "restart ms" => restarted,
        "streamed/s" => streamed,
        _ => multiplied || !head.contains("GEMM"),
    };
    let columns: Vec<&Column> = COLUMNS.iter().filter(|(head, _)| shown(head)).collect();
    let markdown = format == Format::Markdown;
    let line = |out: &mut dyn Write, model: &str, batch: &str, cells: &[String]| {
        let cells = [batch.to_string()].into_iter().chain(cells.iter().cloned()).map(|cell| format!("{cell:>10}"));
        let cells: Vec<String> = [format!("{model:<22}")].into_iter().chain(cells).collect();
        let text = if markdown { format!("| {} |", cells.join(" | ")) } else { cells.join("  ") };
        writeln!(out, "{}", text.trim_end())
    };
    let heads: Vec<String> = columns.iter().map(|(head, _)| head.to_string()).collect();
    line(&mut out, "model", "batch", &heads)?;
    if markdown {
        writeln!(out, "|---{}|", "|--:".repeat(heads.len() + 1))?;
    }
    for case in cases {
        let (model, batch, cells) = match case {
            Case::Measured(row) => (&row.model, row.batch, columns.iter().map(|(_, cell)| cell(row)).collect()),
            Case::Failed(failure) => {
                let mut cells = vec![String::new(); columns.len()];
                cells[0].clone_from(&failure.code);
                (&failure.model, failure.batch, cells)
            }
        };
        line(&mut out, model, &batch.to_string(), &cells)?;
    }
    Ok(())
}

/// CSV with the fields of the JSON, one row per measured case.
fn csv(out: &mut dyn Write, cases: &[Case]) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    for case in cases {
        if let Case::Measured(row) = case {
            writer.serialize(row).map_err(io::Error::other)?;
        }
    }
    writer.flush()
}
