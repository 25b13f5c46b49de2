//! A small SVG writer: shapes and text in colours that follow the reader's light or dark mode.

use std::fmt::Write;

/// Width of a character of [`Svg::text`] in pixels; the font is monospaced so that text has the same width everywhere.
pub const CHARACTER: f64 = 6.7;

/// Colours that the colour-blind tell apart (Okabe and Ito 2008), for light and for dark.
const SERIES: [(&str, &str); 6] = [
    ("#0072b2", "#56b4e9"),
    ("#d55e00", "#ff9d4d"),
    ("#008060", "#2fc79b"),
    ("#a64d8c", "#e39bc8"),
    ("#8a6d00", "#e6c619"),
    ("#555555", "#bbbbbb"),
];

/// The CSS class for lines in the colour of series `i`.
pub fn series(i: usize) -> String {
    format!("s{}", i % SERIES.len())
}

/// The CSS class for shapes filled with the colour of series `i`; paler when the colours repeat.
pub fn fill(i: usize) -> String {
    let pale = if (i / SERIES.len()) % 2 == 1 { " pale" } else { "" };
    format!("fill {}{pale}", series(i))
}

/// A picture. CSS classes: `ink`, `muted`, `bold` for text; `line`, `mark`, `faint`, `box` for shapes; and the classes from [`series`] and
/// [`fill`].
pub struct Svg {
    width: f64,
    height: f64,
    body: String,
}

impl Svg {
    /// An empty picture, with its size in pixels.
    pub fn new(width: f64, height: f64) -> Self {
        Svg { width, height, body: String::new() }
    }

    /// Draws text that starts at `x`, with its baseline at `y`.
    pub fn text(&mut self, x: f64, y: f64, class: &str, text: &str) {
        self.anchored(x, y, class, "start", text);
    }

    /// Draws text with its `start`, `middle` or `end` at `x`.
    pub fn anchored(&mut self, x: f64, y: f64, class: &str, anchor: &str, text: &str) {
        let text = escape(text);
        let _ =
            writeln!(self.body, r#"<text x="{x:.1}" y="{y:.1}" class="{class}" text-anchor="{anchor}">{text}</text>"#);
    }

    /// Draws a rectangle with round corners; `title` is shown when the pointer is on it.
    pub fn rect(&mut self, [x, y, width, height]: [f64; 4], class: &str, title: &str) {
        let title = if title.is_empty() { String::new() } else { format!("<title>{}</title>", escape(title)) };
        let radius = 3.0_f64.min(width / 2.0);
        let _ = writeln!(
            self.body,
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" rx="{radius}" class="{class}">{title}</rect>"#
        );
    }

    /// Draws text that starts at `x`, `y` and runs up to the right.
    pub fn turned(&mut self, x: f64, y: f64, class: &str, text: &str) {
        let text = escape(text);
        let _ = writeln!(
            self.body,
            r#"<text x="{x:.1}" y="{y:.1}" class="{class}" transform="rotate(-60 {x:.1} {y:.1})">{text}</text>"#
        );
    }

    /// Draws a rectangle with this `opacity`.
    pub fn shade(&mut self, [x, y, width, height]: [f64; 4], class: &str, opacity: f64, title: &str) {
        let title = if title.is_empty() { String::new() } else { format!("<title>{}</title>", escape(title)) };
        let _ = writeln!(
            self.body,
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" class="{class}" style="opacity:{opacity:.2}">{title}</rect>"#
        );
    }

    /// Draws a path in SVG's own notation.
    pub fn path(&mut self, d: &str, class: &str) {
        let _ = writeln!(self.body, r#"<path d="{d}" class="{class}"/>"#);
    }

    /// The contents of the SVG file.
    pub fn finish(self) -> String {
        let Svg { width, height, body } = self;
        let colours = |dark: bool| {
            let pick = |(light, other): (&'static str, &'static str)| if dark { other } else { light };
            let (paper, ink, muted, faint, shape) = if dark {
                ("#18181b", "#f0f0f0", "#a8a8ad", "#3f3f46", "#27272a")
            } else {
                ("#ffffff", "#18181b", "#5f5f66", "#d4d4d8", "#f4f4f5")
            };
            let mut css = format!(
                ".paper{{fill:{paper}}}.ink,.bold{{fill:{ink}}}.muted{{fill:{muted}}}.line{{stroke:{muted}}}.mark{{stroke:{ink}}}\
                 .faint{{stroke:{faint}}}.box{{fill:{shape};stroke:{faint}}}.head{{fill:{muted}}}"
            );
            for (i, colour) in SERIES.into_iter().map(pick).enumerate() {
                let _ = write!(css, ".s{i}{{stroke:{colour}}}.fill.s{i}{{fill:{colour};stroke:none}}");
            }
            css
        };
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\">\n\
             <style>text{{font:11px ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace}}.bold{{font-weight:700}}\
             path,line{{fill:none;stroke-width:1.5}}.dashed{{stroke-dasharray:5 4}}.pale{{opacity:.5}}{}\n\
             @media (prefers-color-scheme:dark){{{}}}</style>\n\
             <rect width=\"100%\" height=\"100%\" class=\"paper\"/>\n{body}</svg>\n",
            colours(false),
            colours(true)
        )
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
