//! Counts a kernel's inner loop in a driver's listing.

/// The stretch of a kernel without branches that has the most multiply-adds: its inner loop, or the unrolled body of
/// it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Loop {
    /// Instructions.
    pub(crate) instructions: u32,
    /// Multiply-adds that a lane does.
    pub(crate) multiply_adds: u32,
    /// Bytes that a lane loads from workgroup memory.
    pub(crate) workgroup_bytes: u32,
}

/// A driver's format: the name of its listing, whether a line begins a stretch, and what a line adds to it.
struct Dialect {
    listing: &'static str,
    begins: fn(&str) -> bool,
    adds: fn(&str) -> Loop,
}

const DIALECTS: [Dialect; 3] = [
    Dialect { listing: "Assembly", begins: |line| line.starts_with("BB"), adds: of_aco },
    Dialect { listing: "NAK assembly", begins: |line| line.starts_with("block"), adds: of_nak },
    Dialect { listing: "GEN Assembly", begins: |line| line.starts_with("LABEL"), adds: of_brw },
];

impl Loop {
    /// The inner loop of a kernel that keeps tiles in workgroup memory, from its listings. `None` if there is no such
    /// loop, or if the format is unknown (RADV's listings for Vega and RDNA1 cannot be read, and ANV has other loads
    /// before Xe-HPG).
    pub(crate) fn of(listings: &[(String, String)]) -> Option<Self> {
        let (dialect, text) = DIALECTS
            .iter()
            .find_map(|dialect| Some((dialect, &listings.iter().find(|(name, _)| name == dialect.listing)?.1)))?;
        let mut stretches = vec![Loop::default()];
        for line in text.lines().map(str::trim) {
            if (dialect.begins)(line) {
                stretches.push(Loop::default());
            }
            let (adds, last) = ((dialect.adds)(line), stretches.last_mut()?);
            last.instructions += adds.instructions;
            last.multiply_adds += adds.multiply_adds;
            last.workgroup_bytes += adds.workgroup_bytes;
        }
        let inner = stretches.into_iter().max_by_key(|stretch| stretch.multiply_adds);
        inner.filter(|stretch| stretch.multiply_adds > 0 && stretch.workgroup_bytes > 0)
    }
}

/// `v_fmac_f32_e32 v45, v82, v103 ; 565acf52`, `v_dual_fmac_f32 .. :: v_dual_fmac_f32 ..`, `ds_load_b128 v[68:71], v66 offset:4096`,
/// before RDNA3 `ds_read_b128`.
fn of_aco(line: &str) -> Loop {
    let name = line.split_whitespace().next().unwrap_or_default();
    let load = name.strip_prefix("ds_load_b").or(name.strip_prefix("ds_read_b"));
    let bits = load.and_then(|bits| bits.parse::<u32>().ok());
    let packed = if name.starts_with("v_pk_") { 2 } else { 1 };
    Loop {
        instructions: ["s_", "v_", "ds_", "buffer_", "global_", "scratch_"]
            .iter()
            .any(|kind| name.starts_with(kind))
            .into(),
        multiply_adds: packed * line.matches("_fma").count() as u32,
        workgroup_bytes: bits.unwrap_or(0) / 8,
    }
}

/// `r5 = ffma r5 r6 r7 // delay=2`, `r8..12 = ld.shared.strong.cta.b128 [r4+0x10]`.
fn of_nak(line: &str) -> Loop {
    let words: Vec<&str> = line.split("//").next().unwrap_or_default().split_whitespace().collect();
    let named = |name: &str| words.iter().any(|word| word.split('.').next() == Some(name));
    let shared = words.iter().find(|word| word.starts_with("ld.shared"));
    let bits = shared.and_then(|word| word.rsplit(".b").next()?.parse::<u32>().ok());
    Loop {
        instructions: !(words.is_empty() || line.starts_with("block") || line.starts_with('}')) as u32,
        multiply_adds: if named("hfma2") { 2 } else { named("ffma").into() },
        workgroup_bytes: bits.unwrap_or(0) / 8,
    }
}

/// `mad(8) g110<1>F g45<8,8,1>F ..`, and below a `send(8)`: `slm MsgDesc: ( load, a32, d32, V4, ..`.
fn of_brw(line: &str) -> Loop {
    let name = line.split('(').next().unwrap_or_default();
    let loads = line.strip_prefix("slm MsgDesc: ( load, a32, d32, V").map(|rest| rest.split(',').next());
    let numbers = loads.flatten().and_then(|numbers| numbers.parse::<u32>().ok());
    Loop {
        instructions: (line.ends_with("};") && !line.contains("MsgDesc") || line.starts_with("send")).into(),
        multiply_adds: (name == "mad").into(),
        workgroup_bytes: 4 * numbers.unwrap_or(0),
    }
}
