//! A profile as an SVG picture: a bar for each dispatch, its floor marked in it.

use std::fmt::Write;

use residua::check::profile::Profile;

const WIDTH: f64 = 960.0;
/// Columns: layer names end here, bars start a little further on and end so that the numbers have room.
const NAMES: f64 = 250.0;
const BARS: f64 = 470.0;
const ROW: f64 = 18.0;
const TOP: f64 = 64.0;
/// Columns of the legend, wide enough for the longest name of a kernel, and the height of its lines.
const LEGEND: usize = 4;
const LEGEND_LINE: f64 = 16.0;

/// Text and background follow the viewer's light or dark scheme; kernels are told apart by these hues (degrees).
const HUES: [u32; 12] = [212, 28, 140, 282, 350, 178, 48, 0, 240, 95, 315, 12];

pub(crate) fn draw(profile: &Profile, title: &str) -> String {
    let kinds = kinds(profile);
    let top = TOP + LEGEND_LINE * (kinds.len().div_ceil(LEGEND).max(1) - 1) as f64;
    let height = top + ROW * profile.rows.len() as f64 + 24.0;
    let longest = profile.rows.iter().map(|row| row.time.max(row.floor).as_secs_f64()).fold(1e-9, f64::max);
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">
<style>
.ground {{ fill: #fff }} text {{ fill: #222 }} .faint {{ fill: #666 }} .floor {{ stroke: #000; stroke-width: 2 }}
"#
    );
    let mut dark = String::from(
        ".ground { fill: #16181d } text { fill: #e6e6e6 } .faint { fill: #a0a0a0 } .floor { stroke: #fff }\n",
    );
    for (i, hue) in (0..kinds.len()).zip(HUES.iter().cycle()) {
        let saturation = if *hue == 0 { 0 } else { 60 };
        let _ = writeln!(svg, ".k{i} {{ fill: hsl({hue}, {saturation}%, 60%) }}");
        let _ = writeln!(dark, ".k{i} {{ fill: hsl({hue}, {saturation}%, 45%) }}");
    }
    let _ = writeln!(svg, "@media (prefers-color-scheme: dark) {{ {dark}}}\n</style>");
    let _ = writeln!(svg, r#"<rect class="ground" width="{WIDTH}" height="{height}"/>"#);
    let ms = |time: std::time::Duration| 1e3 * time.as_secs_f64();
    let _ = writeln!(svg, r#"<text x="12" y="20" font-size="14" font-weight="bold">{}</text>"#, escape(title));
    let _ = writeln!(
        svg,
        r#"<text class="faint" x="12" y="38">{:.2} ms in all, {:.2} ms at the floor (the mark in each bar)</text>"#,
        ms(profile.total()),
        ms(profile.floor())
    );
    for (i, kind) in kinds.iter().enumerate() {
        let x = 12.0 + (i % LEGEND) as f64 * (WIDTH - 24.0) / LEGEND as f64;
        let y = 46.0 + LEGEND_LINE * (i / LEGEND) as f64;
        let _ = writeln!(svg, r#"<rect class="k{i}" x="{x}" y="{y}" width="10" height="10"/>"#);
        let (x, y) = (x + 14.0, y + 9.0);
        let _ = writeln!(svg, r#"<text class="faint" x="{x}" y="{y}" font-size="11">{}</text>"#, escape(kind));
    }
    for (i, row) in profile.rows.iter().enumerate() {
        let y = top + ROW * i as f64;
        let kind = kinds.iter().position(|kind| *kind == kind_of(&row.kernel)).unwrap_or(0);
        let long = |time: std::time::Duration| BARS * time.as_secs_f64() / longest;
        let (bar, floor) = (long(row.time).max(0.5), NAMES + 8.0 + long(row.floor));
        let baseline = y + 13.0;
        let _ = writeln!(svg, r#"<text x="{NAMES}" y="{baseline}" text-anchor="end">{}</text>"#, escape(&row.layer));
        let _ = writeln!(
            svg,
            r#"<rect class="k{kind}" x="{}" y="{}" width="{bar:.1}" height="13"><title>{}</title></rect>"#,
            NAMES + 8.0,
            y + 2.0,
            escape(&row.kernel)
        );
        let _ = writeln!(
            svg,
            r#"<line class="floor" x1="{floor:.1}" x2="{floor:.1}" y1="{}" y2="{}"/>"#,
            y + 2.0,
            y + 15.0
        );
        let rate = row.flops as f64 / row.time.as_secs_f64().max(1e-9) / 1e9;
        let rate = if row.flops == 0 { String::new() } else { format!(", {rate:.1} GFLOP/s") };
        let _ = writeln!(
            svg,
            r#"<text class="faint" x="{}" y="{baseline}" font-size="11">{:.3} ms{rate}</text>"#,
            NAMES + BARS + 20.0,
            ms(row.time)
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// The shaders of a profile, each once.
fn kinds(profile: &Profile) -> Vec<&str> {
    let mut kinds = Vec::new();
    for row in &profile.rows {
        let kind = kind_of(&row.kernel);
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds
}

fn kind_of(kernel: &str) -> &str {
    kernel.split(' ').next().unwrap_or(kernel)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
