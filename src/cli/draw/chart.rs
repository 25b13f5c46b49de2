//! Draws a profile: a bar for each dispatch, with its floor marked in it.

use std::time::Duration;

use residua::{
    check::profile::Profile,
    program::svg::{CHARACTER, Svg, fill},
};

const MARGIN: f64 = 12.0;
/// Length of the longest bar, and room for the numbers after it.
const BAR: f64 = 470.0;
const NUMBERS: f64 = 30.0 * CHARACTER;
/// Heights of a bar's row, a line of the legend, and the title above it.
const ROW: f64 = 18.0;
const LINE: f64 = 16.0;
const TITLE: f64 = 56.0;

pub(crate) fn draw(profile: &Profile, title: &str) -> String {
    let kinds = kinds(profile);
    let summary = format!(
        "{:.2} ms in total, {:.2} ms at the floor (the mark in each bar)",
        ms(profile.total()),
        ms(profile.floor())
    );
    let bars = MARGIN + 8.0 + width(profile.rows.iter().map(|row| row.layer.as_str()));
    let whole = (bars + BAR + NUMBERS).max(2.0 * MARGIN + width([title, &summary]));
    let entry = 30.0 + width(kinds.iter().copied());
    let entries = (((whole - MARGIN) / entry) as usize).max(1);
    let top = TITLE + LINE * kinds.len().div_ceil(entries) as f64;
    let longest = profile.rows.iter().map(|row| ms(row.time.max(row.floor))).fold(1e-6, f64::max);
    let mut svg = Svg::new(whole, top + ROW * profile.rows.len() as f64 + MARGIN);
    svg.text(MARGIN, 20.0, "bold", title);
    svg.text(MARGIN, 38.0, "muted", &summary);
    for (i, kind) in kinds.iter().enumerate() {
        let (x, y) = (MARGIN + (i % entries) as f64 * entry, TITLE + LINE * (i / entries) as f64);
        svg.rect([x, y - 9.0, 10.0, 10.0], &fill(i), "");
        svg.text(x + 16.0, y, "muted", kind);
    }
    for (i, row) in profile.rows.iter().enumerate() {
        let y = top + ROW * i as f64;
        let kind = kinds.iter().position(|kind| *kind == kind_of(&row.kernel)).unwrap_or(0);
        let long = |time: Duration| BAR * ms(time) / longest;
        svg.anchored(bars - 8.0, y + 13.0, "ink", "end", &row.layer);
        svg.rect([bars, y + 2.0, long(row.time).max(0.5), 13.0], &fill(kind), &row.kernel);
        svg.path(&format!("M{:.1} {:.1}v13", bars + long(row.floor), y + 2.0), "mark");
        let rate = row.flops as f64 / row.time.as_secs_f64().max(1e-9) / 1e9;
        let rate = if row.flops == 0 { String::new() } else { format!(", {rate:.1} GFLOP/s") };
        svg.text(bars + BAR + 12.0, y + 13.0, "muted", &format!("{:.3} ms{rate}", ms(row.time)));
    }
    svg.finish()
}

/// The distinct shaders of a profile.
fn kinds(profile: &Profile) -> Vec<&str> {
    let mut kinds = Vec::new();
    for kind in profile.rows.iter().map(|row| kind_of(&row.kernel)) {
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds
}

fn kind_of(kernel: &str) -> &str {
    kernel.split(' ').next().unwrap_or(kernel)
}

/// Width of the longest of `texts` in pixels.
fn width<'a>(texts: impl IntoIterator<Item = &'a str>) -> f64 {
    CHARACTER * texts.into_iter().map(|text| text.chars().count()).max().unwrap_or(0) as f64
}

fn ms(time: Duration) -> f64 {
    1e3 * time.as_secs_f64()
}
