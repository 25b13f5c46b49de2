//! Measured times of kernels on a device, and the choices that follow. A [`Table`] is a JSON file that people can read. Entries
//! that do not match the present kernels are ignored.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    executor::gpu::kernels::{KernelId, Problem, Residual, View},
    network::Activation,
    tensor::{Shape, StorageType},
};

/// Tables that come with the crate.
const SHIPPED: &[&str] = &[];

/// Version of the file.
const FORMAT: u32 = 2;
/// Largest file to read, in bytes.
const MAX_BYTES: usize = 4 << 20;
/// Largest number of timings in a table; the oldest are dropped first.
const MAX_TIMINGS: usize = 4096;
/// Largest number of kernels in a timing.
const MAX_KERNELS: usize = 64;
/// A kernel replaces the one that the rules choose if it takes at most this share of its time. A smaller gain is noise.
const SHARE: f64 = 0.95;

/// Why a kernel was chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reason {
    /// A rule.
    Rule(&'static str),
    /// The measured times of the kernels that can serve it.
    Measured {
        /// Number of images in the batch that was timed.
        images: usize,
        /// Its time, in milliseconds.
        ms: f64,
        /// The shortest time of the others, in milliseconds.
        next_ms: Option<f64>,
    },
}

impl From<&'static str> for Reason {
    fn from(rule: &'static str) -> Self {
        Reason::Rule(rule)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Reason::Rule(rule) => f.write_str(rule),
            Reason::Measured { images, ms, next_ms } => {
                write!(f, "measured with {images} image{}: {ms:.3} ms", if images == 1 { "" } else { "s" })?;
                next_ms.map_or(Ok(()), |next| write!(f, ", next best {next:.3} ms"))
            }
        }
    }
}

/// The batch size that is measured to choose a kernel for `images` images: 1, 8 (for 2 to 16), or 64.
pub fn bucket(images: usize) -> usize {
    match images {
        0..=1 => 1,
        2..=16 => 8,
        _ => 64,
    }
}

/// The facts about a layer that its time depends on. Epilogues are left out: they take all kernels the same time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// The layer without its epilogue, with each value in a buffer to itself, for a batch size that [`bucket`] returns.
    #[serde(flatten)]
    pub problem: Problem,
    /// Type of activations and weights.
    pub stored: StorageType,
}

impl Case {
    /// The case of `problem`. `None` for layers that are not timed: elementwise layers, and blocks, whose convolutions are timed one by
    /// one.
    pub fn of(problem: &Problem, stored: StorageType) -> Option<Self> {
        let mut problem = problem.map_views(|_, view| View::whole(Shape { n: bucket(view.shape.n), ..view.shape }));
        match &mut problem {
            Problem::Conv2d(conv) => (conv.residual, conv.activation) = (Residual::None, Activation::None),
            Problem::Pool2d(_) | Problem::Plain(_) => {}
            Problem::Block(_) | Problem::Elementwise(_) | Problem::Pixels(_) => return None,
        }
        Some(Case { problem, stored })
    }
}

/// The times of the kernels for a case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// The layer.
    #[serde(flatten)]
    pub case: Case,
    /// Checksum of the final WGSL of all kernels that could serve it. The times are valid for these kernels only.
    pub wgsl: String,
    /// Time of each kernel in milliseconds, by its id.
    pub ms: BTreeMap<String, f64>,
}

impl Timing {
    /// A timing with these times.
    pub fn new(case: Case, wgsl: String, times: &[(KernelId, Duration)]) -> Self {
        // A clock may be too coarse for a small kernel.
        let ms = |time: &Duration| time.as_nanos().max(1) as f64 / 1e6;
        let ms = times.iter().map(|(kernel, time)| (kernel.to_string(), ms(time))).collect();
        Timing { case, wgsl, ms }
    }

    /// The fastest of `kernels`, if it is clearly faster than `rule`; otherwise `rule`, if it was timed.
    pub(super) fn winner(&self, rule: KernelId, kernels: &[KernelId]) -> Option<(KernelId, Reason)> {
        let ms = |kernel: KernelId| self.ms.get(&kernel.to_string()).copied();
        let mut timed: Vec<(KernelId, f64)> =
            kernels.iter().filter_map(|&kernel| Some((kernel, ms(kernel)?))).collect();
        timed.sort_by(|a, b| a.1.total_cmp(&b.1));
        let best = *timed.first()?;
        let ruled = timed.iter().find(|(kernel, _)| *kernel == rule);
        let (kernel, ms) = ruled.filter(|(_, ms)| best.1 > SHARE * ms).copied().unwrap_or(best);
        let next_ms = timed.iter().find(|(other, _)| *other != kernel).map(|(_, ms)| *ms);
        Some((kernel, Reason::Measured { images: self.case.problem.images(), ms, next_ms }))
    }
}

/// All timings of a device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    format: u32,
    /// Name of the device.
    pub device: String,
    /// Its driver.
    pub driver: String,
    timings: Vec<Timing>,
}

impl Table {
    /// A table without timings.
    pub fn new(device: &str, driver: &str) -> Self {
        Table { format: FORMAT, device: device.into(), driver: driver.into(), timings: Vec::new() }
    }

    /// Parses a table. `None` if `text` is not one, has another format version, is too large, or has impossible times.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_BYTES {
            return None;
        }
        let table: Table = serde_json::from_str(text).ok()?;
        let possible = |timing: &Timing| {
            timing.ms.len() <= MAX_KERNELS && timing.ms.values().all(|ms| ms.is_finite() && *ms > 0.0)
        };
        let sound = table.format == FORMAT && table.timings.len() <= MAX_TIMINGS;
        (sound && table.timings.iter().all(possible)).then_some(table)
    }

    /// The table as text for a file, one line for each timing.
    pub fn text(&self) -> String {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let lines: Vec<String> = self.timings.iter().filter_map(|timing| serde_json::to_string(timing).ok()).collect();
        let (device, driver) = (quoted(&self.device), quoted(&self.driver));
        let head = format!("\"format\": {FORMAT},\n\"device\": {device},\n\"driver\": {driver}");
        format!("{{{head},\n\"timings\": [\n{}\n]}}\n", lines.join(",\n"))
    }

    /// Adds a timing, and replaces an earlier one of the same case.
    pub fn insert(&mut self, timing: Timing) {
        self.timings.retain(|other| other.case != timing.case);
        self.timings.push(timing);
        let surplus = self.timings.len().saturating_sub(MAX_TIMINGS);
        self.timings.drain(..surplus);
    }

    /// The timing of `case`.
    pub fn get(&self, case: &Case) -> Option<&Timing> {
        self.timings.iter().find(|timing| timing.case == *case)
    }

    /// The timings, in the order in which they were taken.
    pub fn timings(&self) -> &[Timing] {
        &self.timings
    }
}

/// The tables shipped with the crate for a device of this name, whatever its driver.
pub fn shipped(device: &str) -> Vec<Table> {
    SHIPPED.iter().filter_map(|text| Table::parse(text)).filter(|table| table.device == device).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        executor::gpu::kernels::{
            Applied, Pool2d,
            conv2d::Conv2d,
            registers,
            tiled::{self, Tile},
        },
        graph::{self, Conv2dParams, Plain, PoolParams},
    };

    const PLAIN: KernelId = registers::ID;
    const SMALL: KernelId = tiled::id(Tile::P32C32);
    const LARGE: KernelId = tiled::id(Tile::P128C128);

    fn conv(images: usize, rows: usize) -> Problem {
        let params = Conv2dParams { kernel: 3, stride: 2, padding: 1, ..Conv2dParams::pointwise(8, 16) };
        let [x, y] = [(8, 9), (16, 5)].map(|(c, side)| View::whole(Shape::new(images, c, rows * side, side)));
        let (residual, activation) = (Residual::Same(y), Activation::Relu);
        Problem::Conv2d(Conv2d { params, x, y, prologue: false, residual, activation })
    }

    fn timing(images: usize, times: &[(KernelId, u64)]) -> Timing {
        let times: Vec<_> = times.iter().map(|(kernel, us)| (*kernel, Duration::from_micros(*us))).collect();
        Timing::new(Case::of(&conv(images, 1), StorageType::F32).unwrap(), "sum".into(), &times)
    }

    #[test]
    fn the_fastest_wins_if_it_is_clearly_faster_than_the_rule() {
        let all = [PLAIN, SMALL, LARGE];
        let kernel =
            |times: &[(KernelId, u64)], kernels: &[KernelId]| timing(1, times).winner(SMALL, kernels).unwrap().0;
        let times = [(PLAIN, 900), (SMALL, 1000), (LARGE, 700)];
        assert_eq!(kernel(&times, &all), LARGE);
        assert_eq!(kernel(&times, &[PLAIN, SMALL]), PLAIN, "one that may not be used does not win");
        assert_eq!(kernel(&[(PLAIN, 960), (SMALL, 1000)], &all), SMALL, "4 % is noise");
        assert_eq!(kernel(&[(PLAIN, 960), (LARGE, 970)], &all), PLAIN, "the rule's was wrong, or is not there");
        assert_eq!(timing(1, &[]).winner(SMALL, &all), None);
        let (_, reason) = timing(64, &times).winner(SMALL, &all).unwrap();
        assert_eq!(reason.to_string(), "measured with 64 images: 0.700 ms, next best 0.900 ms");
    }

    #[test]
    fn a_case_is_a_bucket_of_batches_and_its_layer() {
        let case = timing(5, &[]).case;
        assert_eq!((case.problem.images(), case), (8, timing(16, &[]).case));
        assert_ne!(case, timing(17, &[]).case);
        let [x, y] = [5, 7].map(|c| View { stride: 9, offset: 1, ..View::whole(Shape::new(3, c, 1, 1)) });
        let window = PoolParams { kernel: 1, stride: 1, padding: 0, ceil: true };
        let layers = [
            Problem::Plain(Applied { op: Plain::Linear { in_features: 5, out_features: 7 }, x, y }),
            Problem::Pool2d(Pool2d { max: true, params: window, prologue: true, x, y: x }),
            Problem::Plain(Applied { op: Plain::GlobalAvgPool, x, y: x }),
            Problem::Plain(Applied { op: Plain::Activation(graph::Activation::LeakyRelu(0.5)), x, y: x }),
        ];
        for case in layers.map(|layer| Case::of(&layer, StorageType::F16).unwrap()).into_iter().chain([case]) {
            assert_eq!(Case::of(&case.problem, case.stored), Some(case), "nothing is left to take away");
            assert_eq!(serde_json::from_str::<Case>(&serde_json::to_string(&case).unwrap()).unwrap(), case);
        }
    }

    #[test]
    fn a_file_is_read_as_it_was_written_and_anything_else_is_none() {
        let mut table = Table::new("a \"quoted\" device", "driver\\1");
        table.insert(timing(1, &[(PLAIN, 1)]));
        table.insert(timing(8, &[(PLAIN, 2), (SMALL, 3)]));
        table.insert(timing(1, &[(PLAIN, 4)]));
        table.insert(timing(64, &[(PLAIN, 0)]));
        assert_eq!(table.timings().len(), 3);
        let text = table.text();
        assert_eq!(Table::parse(&text), Some(table.clone()), "{text}");
        for end in (0..text.trim_end().len()).filter(|end| text.is_char_boundary(*end)) {
            assert_eq!(Table::parse(&text[..end]), None, "{end} bytes of it");
        }
        for (from, to) in [
            ("\"format\": 2", "\"format\": 1"),
            ("0.004", "0.0"),
            ("0.004", "-1"),
            ("0.004", "1e999"),
            ("0.004", "null"),
            ("\"kernel\":3", "\"kernel\":-3"),
            ("\"f32\"", "\"f64\""),
        ] {
            let changed = text.replace(from, to);
            assert_ne!(changed, text, "{from}");
            assert_eq!(Table::parse(&changed), None, "{from} -> {to}");
        }
        assert_eq!(Table::parse(&" ".repeat(MAX_BYTES + 1)), None);
        assert_eq!(Table::parse(&"[".repeat(100_000)), None);
        let one = |i: usize| Timing { case: Case::of(&conv(1, i + 1), StorageType::F32).unwrap(), ..timing(1, &[]) };
        (0..MAX_TIMINGS + 10).for_each(|i| table.insert(one(i)));
        assert_eq!(table.timings().len(), MAX_TIMINGS);
        assert_eq!(Some(table.timings()[0].case), Case::of(&conv(1, 11), StorageType::F32), "the oldest go");
    }
}
