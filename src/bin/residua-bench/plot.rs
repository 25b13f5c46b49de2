//! Plots images per second against the batch size, both on a logarithmic scale, with the limit of the device's arithmetic.

use residua::program::svg::{CHARACTER, Svg, fill, series};

use crate::case::{Case, Measurement};

const WIDTH: f64 = 820.0;
const HEIGHT: f64 = 460.0;
/// The frame of the curves: left, top, right, bottom.
const FRAME: [f64; 4] = [80.0, 76.0, 580.0, 400.0];
/// Pixels between the labels of curves.
const LINE: f64 = 15.0;

/// One model's curve.
struct Curve<'a> {
    model: &'a str,
    /// Batch size and images per second, in the order of the batch size.
    points: Vec<(f64, f64)>,
    limit: Option<f64>,
}

/// The plot of all measured cases; `peak` is the device's peak rate in Gflop/s. `None` if nothing was measured.
pub(crate) fn draw(cases: &[Case], peak: Option<f64>) -> Option<String> {
    let rows: Vec<&Measurement> =
        cases.iter().filter_map(|case| if let Case::Measured(row) = case { Some(row) } else { None }).collect();
    let first = rows.first()?;
    let curves = curves(&rows, peak);
    let batches: Vec<f64> = distinct(rows.iter().map(|row| row.batch as f64));
    let speeds = || curves.iter().flat_map(|curve| curve.points.iter().map(|point| point.1).chain(curve.limit));
    let (low, high) = (speeds().fold(f64::MAX, f64::min), speeds().fold(0.0, f64::max));
    let ticks = ticks(low, high);
    let (bottom, top) = (ticks.first()?.min(low), ticks.last()?.max(high));
    let [left, upper, right, lower] = FRAME;
    let (fewest, most) = (batches.first()?.log2(), batches.last()?.log2());
    let x = |batch: f64| left + 20.0 + (batch.log2() - fewest) / (most - fewest).max(1.0) * (right - left - 40.0);
    let y = |speed: f64| lower - (speed / bottom).ln() / (top / bottom).ln().max(f64::MIN_POSITIVE) * (lower - upper);

    let mut svg = Svg::new(WIDTH, HEIGHT);
    svg.text(24.0, 24.0, "bold", "Images per second by batch size");
    svg.text(24.0, 42.0, "muted", &format!("{}, {}", first.device, first.precision));
    svg.rect([left, upper, right - left, lower - upper], "box", "");
    for tick in ticks {
        svg.path(&format!("M{left:.1} {:.1}H{right:.1}", y(tick)), "faint");
        svg.anchored(left - 8.0, y(tick) + 4.0, "muted", "end", &format!("{tick}"));
    }
    for batch in &batches {
        svg.anchored(x(*batch), lower + 18.0, "muted", "middle", &format!("{batch}"));
    }
    svg.anchored((left + right) / 2.0, lower + 38.0, "ink", "middle", "batch size");
    svg.text(left, upper - 10.0, "ink", "images/s");
    let mut labels: Vec<(f64, String)> = Vec::new();
    for (i, curve) in curves.iter().enumerate() {
        let path: Vec<String> =
            curve.points.iter().map(|(batch, speed)| format!("{:.1} {:.1}", x(*batch), y(*speed))).collect();
        svg.path(&format!("M{}", path.join("L")), &series(i));
        for (batch, speed) in &curve.points {
            let title = format!("{}, batch {batch}: {speed:.1} images/s", curve.model);
            svg.rect([x(*batch) - 3.5, y(*speed) - 3.5, 7.0, 7.0], &fill(i), &title);
        }
        let (_, last) = curve.points.last()?;
        labels.push((y(*last), format!("{} {last:.1}", curve.model)));
        if let Some(limit) = curve.limit {
            svg.path(&format!("M{left:.1} {:.1}H{right:.1}", y(limit)), &format!("dashed {}", series(i)));
            labels.push((y(limit), format!("{} limit {limit:.0}", curve.model)));
        }
    }
    write_labels(&mut svg, labels);
    Some(svg.finish())
}

fn curves<'a>(rows: &[&'a Measurement], peak: Option<f64>) -> Vec<Curve<'a>> {
    let mut curves: Vec<Curve<'a>> = Vec::new();
    for row in rows {
        let point = (row.batch as f64, row.images_per_s);
        match curves.iter_mut().find(|curve| curve.model == row.model) {
            Some(curve) => curve.points.push(point),
            None => {
                // Two operations per multiply-accumulate.
                let limit = peak.zip(row.macs).map(|(gflops, macs)| gflops * 1e9 / (2.0 * macs as f64));
                curves.push(Curve { model: &row.model, points: vec![point], limit });
            }
        }
    }
    curves.iter_mut().for_each(|curve| curve.points.sort_by(|a, b| a.0.total_cmp(&b.0)));
    curves
}

/// Labels beside the frame, moved apart so that they do not overlap.
fn write_labels(svg: &mut Svg, mut labels: Vec<(f64, String)>) {
    labels.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut least = FRAME[1];
    let room = ((WIDTH - FRAME[2] - 20.0) / CHARACTER) as usize;
    for (y, label) in labels {
        let at = y.max(least);
        let label: String = label.chars().take(room).collect();
        svg.path(&format!("M{:.1} {y:.1}L{:.1} {at:.1}", FRAME[2] + 2.0, FRAME[2] + 12.0), "faint");
        svg.text(FRAME[2] + 16.0, at + 4.0, "ink", &label);
        least = at + LINE;
    }
}

/// 1, 2 and 5 times the powers of ten around `low` to `high`.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let powers = (low.log10().floor() as i32)..=(high.log10().ceil() as i32);
    let all: Vec<f64> = powers.flat_map(|power| [1.0, 2.0, 5.0].map(|step| step * 10.0_f64.powi(power))).collect();
    let first = all.iter().rposition(|tick| *tick <= low).unwrap_or(0);
    let last = all.iter().position(|tick| *tick >= high).unwrap_or(all.len() - 1);
    all[first..=last.max(first + 1).min(all.len() - 1)].to_vec()
}

fn distinct(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    values
}
