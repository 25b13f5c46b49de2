//! Gives each of the drivers' figures one name.

use std::fmt;

use crate::driver::Compiled;

/// The figures of a compiled kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Figures {
    /// Lanes of a subgroup.
    pub(crate) lanes: u32,
    /// Registers of a thread, as the driver counts them.
    pub(crate) registers: u32,
    /// Instructions that move registers to memory, or registers moved.
    pub(crate) spills: u32,
    /// Subgroups that a processor can hold at once, as the driver counts them.
    pub(crate) occupancy: u32,
    /// Instructions, every path counted once.
    pub(crate) instructions: u32,
}

/// One figure.
type Figure = fn(&mut Figures) -> &mut u32;

/// The drivers' names. If a driver has several for a figure, they are added up.
const NAMES: [(&str, Figure); 18] = [
    // RADV counts the registers of all lanes.
    ("VGPRs", |f| &mut f.registers),
    ("Spilled SGPRs", |f| &mut f.spills),
    ("Spilled VGPRs", |f| &mut f.spills),
    ("Subgroups per SIMD", |f| &mut f.occupancy),
    // NVK; it has "Instruction count", Turnip and ANV "Instruction Count".
    ("Number of GPRs", |f| &mut f.registers),
    ("Spills to memory", |f| &mut f.spills),
    ("Max warps/SM", |f| &mut f.occupancy),
    ("Instruction count", |f| &mut f.instructions),
    // ANV: registers before any are spilled; it always runs as many threads.
    ("Max live registers", |f| &mut f.registers),
    ("Spill Count", |f| &mut f.spills),
    ("Instruction Count", |f| &mut f.instructions),
    // Honeykrisp: registers of 16 bits, threads instead of subgroups; RADV has "Instructions" too.
    ("GPRs", |f| &mut f.registers),
    ("Spills", |f| &mut f.spills),
    ("Threads", |f| &mut f.occupancy),
    ("Instructions", |f| &mut f.instructions),
    // Turnip: registers of four numbers; stores to private memory are what it spills.
    ("Registers used", |f| &mut f.registers),
    ("STP Count", |f| &mut f.spills),
    ("Max Waves Per Core", |f| &mut f.occupancy),
];

impl Figures {
    /// The figures of a kernel. If the driver does not report all of them, the error lists those that it does.
    pub(crate) fn of(compiled: &Compiled) -> Result<Self, String> {
        let mut figures = Figures { lanes: compiled.lanes, ..Figures::default() };
        let mut found = 0;
        for (name, figure) in NAMES {
            if let Some((_, value)) = compiled.statistics.iter().find(|(own, _)| own == name) {
                *figure(&mut figures) += *value as u32;
                found += 1;
            }
        }
        if found == 0 || figures.registers == 0 {
            return Err(format!("no figure has a name in tests/compiled/figures.rs: {:?}", compiled.statistics));
        }
        Ok(figures)
    }

    /// The figures that are worse than in `before`.
    pub(crate) fn worse_than(&self, before: &Figures) -> Option<String> {
        let said = |name: &str, now: u32, before: u32| format!("{now} {name}, {before} in the table");
        if self.lanes != before.lanes {
            return Some(said("lanes", self.lanes, before.lanes));
        }
        if self.registers > before.registers {
            return Some(said("registers", self.registers, before.registers));
        }
        (self.occupancy < before.occupancy).then(|| said("subgroups at once", self.occupancy, before.occupancy))
    }

    /// The figures as a line of the table.
    pub(crate) fn parse(line: &str) -> Option<(Self, &str)> {
        let mut rest = line;
        let mut number = || {
            let (word, after) = rest.trim_start().split_once(' ')?;
            rest = after;
            word.parse().ok()
        };
        let [lanes, registers, spills, occupancy, instructions] =
            [number()?, number()?, number()?, number()?, number()?];
        Some((Figures { lanes, registers, spills, occupancy, instructions }, rest.trim()))
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures { lanes, registers, spills, occupancy, instructions } = self;
        write!(f, "{lanes:>5} {registers:>9} {spills:>6} {occupancy:>9} {instructions:>12}")
    }
}
