//! The adapter that the user asks for, and how to find it among the machine's.

use std::ffi::OsString;

use crate::{
    Error, Result,
    executor::{DeviceInfo, on_cpu_names},
};

const NAME_VARIABLE: &str = "WGPU_ADAPTER_NAME";
const BACKEND_VARIABLE: &str = "WGPU_BACKEND";

/// The driver interfaces to search for adapters, with the names that wgpu reads in `WGPU_BACKEND`.
const BACKENDS: [(&str, &[&str], wgpu::Backends); 3] = [
    ("Vulkan", &["vulkan", "vk"], wgpu::Backends::VULKAN),
    ("Metal", &["metal", "mtl"], wgpu::Backends::METAL),
    ("DX12", &["dx12", "d3d12"], wgpu::Backends::DX12),
];

/// The adapter that is wanted: the best one, unless a device is named.
///
/// ```
/// use residua::executor::gpu::Wanted;
///
/// # fn main() -> residua::Result<()> {
/// let wanted = Wanted::from_vars(|name| std::env::var_os(name))?; // in a program
/// let other = Wanted::from("0");
/// # assert!(!other.is_auto());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    device: Option<String>,
    adapter_name: Option<String>,
    backends: wgpu::Backends,
}

impl Default for Wanted {
    /// The best adapter of the machine.
    fn default() -> Self {
        let backends = BACKENDS.iter().map(|(.., backend)| *backend).collect();
        Wanted { device: None, adapter_name: None, backends }
    }
}

impl From<&str> for Wanted {
    /// As [`Wanted::device`].
    fn from(device: &str) -> Self {
        Wanted::default().device(device)
    }
}

impl Wanted {
    /// Reads the environment variables that other programs on wgpu obey. `var` looks one up; pass `std::env::var_os` in a
    /// program. `WGPU_ADAPTER_NAME` is a part of an adapter's name. `WGPU_BACKEND` is one or several of `vulkan`, `metal` and
    /// `dx12`, separated by commas. An empty variable counts as unset.
    ///
    /// # Errors
    /// [`Error::ConfigValue`] for an unknown backend.
    pub fn from_vars(var: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let value = |name| Some(var(name)?.to_string_lossy().trim().to_string()).filter(|value| !value.is_empty());
        let mut wanted = Wanted { adapter_name: value(NAME_VARIABLE), ..Wanted::default() };
        if let Some(list) = value(BACKEND_VARIABLE) {
            wanted.backends = list.split(',').map(|name| backend(name, &list)).collect::<Result<_>>()?;
        }
        Ok(wanted)
    }

    /// `auto` (the best one), `cpu`, `reference` (the oracle), an index in [`super::devices`], or a part of an adapter's name or
    /// driver. It overrides a name from the environment. Case does not matter.
    #[must_use]
    pub fn device(self, device: &str) -> Self {
        let word = ["auto"].into_iter().chain(on_cpu_names()).find(|word| word.eq_ignore_ascii_case(device));
        Wanted { device: Some(word.unwrap_or(device).into()), ..self }
    }

    /// The name that [`Wanted::device`] was given; `auto` by default.
    pub fn name(&self) -> &str {
        self.device.as_deref().unwrap_or("auto")
    }

    /// Whether an executor on the CPU is wanted, without any adapter.
    pub fn is_cpu(&self) -> bool {
        on_cpu_names().any(|name| name == self.name())
    }

    /// Whether any adapter is accepted.
    pub fn is_auto(&self) -> bool {
        self.device.as_deref().map_or(self.adapter_name.is_none(), |device| device == "auto")
    }

    pub(super) fn backends(&self) -> wgpu::Backends {
        self.backends
    }

    /// The error for a machine without any adapter.
    pub(super) fn none(&self) -> Error {
        let asked = BACKENDS.iter().filter(|(.., backend)| self.backends.contains(*backend));
        let mut names: Vec<&str> = asked.map(|(name, ..)| *name).collect();
        let last = names.pop().unwrap_or_default();
        let (names, report) = match names.len() {
            0 => (last.to_string(), "reports"),
            _ => (format!("{} and {last}", names.join(", ")), "report"),
        };
        let only =
            if self.backends == Wanted::default().backends { "" } else { ", and WGPU_BACKEND asks for no other" };
        Error::NoAdapter { reason: format!("{names} {report} none{only}") }
    }

    /// The adapters among `devices` that are wanted, best first, each with the reason.
    ///
    /// # Errors
    /// The errors of [`pick`].
    pub(super) fn candidates(&self, devices: &[DeviceInfo]) -> Result<Vec<(usize, String)>> {
        if devices.is_empty() {
            return Err(self.none());
        }
        let unknown = |wanted: String| {
            let adapters = devices.iter().enumerate().map(|(i, device)| format!("{i}: {}", device.name));
            let names: Vec<String> = adapters.chain(on_cpu_names().map(String::from)).collect();
            Error::UnknownDevice { wanted, available: names.join(", ") }
        };
        match (self.device.as_deref(), &self.adapter_name) {
            (Some("auto"), _) | (None, None) => {
                let mut all: Vec<usize> = (0..devices.len()).collect();
                all.sort_by_key(|&i| devices[i].kind);
                Ok(all.into_iter().map(|i| (i, format!("auto: the first {}", devices[i].kind))).collect())
            }
            (Some(device), _) if device.parse::<f64>().is_ok_and(f64::is_finite) => {
                let index = device.parse().ok().filter(|&i: &usize| i < devices.len());
                index.map(|i| vec![(i, format!("index {i}"))]).ok_or_else(|| unknown(device.into()))
            }
            (Some(part), _) => named(devices, part, true).ok_or_else(|| unknown(part.into())),
            (None, Some(part)) => named(devices, part, false).ok_or_else(|| unknown(format!("{NAME_VARIABLE}={part}"))),
        }
    }
}

/// The backend of that name; an error quotes `list`, the whole variable.
fn backend(name: &str, list: &str) -> Result<wgpu::Backends> {
    let name = name.trim().to_lowercase();
    let known = BACKENDS.iter().find(|(_, names, _)| names.contains(&name.as_str()));
    let expected = "vulkan, metal or dx12, or several of them separated by commas";
    known
        .map(|(.., backend)| *backend)
        .ok_or_else(|| Error::config_value("environment", BACKEND_VARIABLE, list, expected))
}

/// The first device of exactly that name, or else the first whose name contains `part`. With `drivers`, a driver that contains it
/// counts too.
fn named(devices: &[DeviceInfo], part: &str, drivers: bool) -> Option<Vec<(usize, String)>> {
    let part = part.to_lowercase();
    let means = |device: &&DeviceInfo| {
        let driver = if drivers { &device.driver } else { "" };
        !part.is_empty() && format!("{} {driver}", device.name).to_lowercase().contains(&part)
    };
    let same = devices.iter().position(|device| device.name.to_lowercase() == part);
    let first = same.or_else(|| devices.iter().position(|device| means(&device)))?;
    let place = if drivers { "name or driver" } else { "name" };
    let reason = match devices.iter().filter(means).count() {
        _ if same.is_some() => format!("its name is '{part}'"),
        1 => format!("its {place} contains '{part}'"),
        many => format!("the first of {many} whose {place} contains '{part}'"),
    };
    Some(vec![(first, reason)])
}

/// Picks the adapter among `devices` that `wanted` names, and says why. If any is accepted, picks the first of the fastest kind.
/// Otherwise `wanted` is an index, or a part of a name or driver (case does not matter). A number is always an index, never a
/// part of a name. If several names match, picks the first, and the reason says so.
///
/// # Errors
/// [`Error::NoAdapter`] if there is no adapter, [`Error::UnknownDevice`] if none matches.
pub fn pick(devices: &[DeviceInfo], wanted: &Wanted) -> Result<(usize, String)> {
    let mut candidates = wanted.candidates(devices)?;
    Ok(candidates.swap_remove(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::DeviceKind;

    fn device(index: usize, name: &str, kind: DeviceKind) -> DeviceInfo {
        DeviceInfo { index: Some(index), name: name.into(), kind, ..DeviceInfo::reference() }
    }

    fn devices() -> [DeviceInfo; 4] {
        [
            device(0, "llvmpipe (LLVM 15.0.6, 256 bits)", DeviceKind::Software),
            device(1, "Intel Arc", DeviceKind::IntegratedGpu),
            device(2, "NVIDIA A100", DeviceKind::DiscreteGpu),
            device(3, "NVIDIA A10", DeviceKind::DiscreteGpu),
        ]
    }

    fn index(wanted: impl Into<Wanted>) -> usize {
        pick(&devices(), &wanted.into()).unwrap().0
    }

    fn refused(wanted: impl Into<Wanted>) -> Error {
        pick(&devices(), &wanted.into()).unwrap_err()
    }

    fn vars(name: &'static str, value: &'static str) -> Result<Wanted> {
        Wanted::from_vars(|wanted| (wanted == name).then(|| value.into()))
    }

    #[test]
    fn auto_prefers_hardware_and_names_match_in_part() {
        assert_eq!(index("auto"), 2);
        assert_eq!(index(Wanted::default()), 2);
        assert_eq!(index("1"), 1);
        assert_eq!(index("LLVM"), 0);
        assert_eq!(refused("radeon").code(), "gpu.unknown_device");
        assert_eq!(refused("").code(), "gpu.unknown_device");
        assert_eq!(pick(&[], &"auto".into()).unwrap_err().code(), "gpu.no_adapter");
        let order: Vec<usize> = Wanted::default().candidates(&devices()).unwrap().into_iter().map(|(i, _)| i).collect();
        assert_eq!(order, [2, 3, 1, 0]);
    }

    #[test]
    fn a_number_is_an_index_and_never_a_part_of_a_name() {
        for number in ["4", "5", "6", "15", "100", "-1", "+5", "15.0", "00006", "99999999999999999999"] {
            let error = refused(number);
            assert_eq!(error.code(), "gpu.unknown_device", "{number}");
            assert!(error.to_string().contains("0: llvmpipe") && error.to_string().contains("cpu"), "{error}");
        }
    }

    #[test]
    fn of_several_of_that_name_the_first_is_taken_and_the_reason_says_so() {
        let picked = |part: &str| pick(&devices(), &part.into()).unwrap();
        assert_eq!(picked("nvidia"), (2, "the first of 2 whose name or driver contains 'nvidia'".into()));
        assert_eq!(picked("NVIDIA A10").0, 3, "its whole name");
    }

    #[test]
    fn the_variables_of_wgpu_are_obeyed() {
        assert_eq!(index(vars(NAME_VARIABLE, "arc").unwrap()), 1);
        assert_eq!(index(vars(NAME_VARIABLE, "100").unwrap()), 2, "a name, whatever it looks like");
        assert_eq!(index(vars(NAME_VARIABLE, "").unwrap()), 2);
        assert_eq!(index(vars(NAME_VARIABLE, "arc").unwrap().device("0")), 0, "what is asked for wins");
        assert_eq!(index(vars(NAME_VARIABLE, "arc").unwrap().device("auto")), 2);
        let unknown = refused(vars(NAME_VARIABLE, "radeon").unwrap());
        assert!(unknown.to_string().contains("WGPU_ADAPTER_NAME=radeon"), "{unknown}");
        let backends = |list| vars(BACKEND_VARIABLE, list).map(|wanted| wanted.backends);
        assert_eq!(backends("vk, DX12").unwrap(), wgpu::Backends::VULKAN | wgpu::Backends::DX12);
        assert_eq!(backends("").unwrap(), Wanted::default().backends);
        for list in ["opengl", "vulkan,", "cuda"] {
            let error = backends(list).unwrap_err();
            assert_eq!(error.code(), "config.value");
            assert!(error.to_string().contains("WGPU_BACKEND"), "{error}");
        }
        let none = vars(BACKEND_VARIABLE, "metal").unwrap().none().to_string();
        assert!(none.contains("(Metal reports none, and WGPU_BACKEND asks for no other)"), "{none}");
        assert!(Wanted::default().none().to_string().contains("(Vulkan, Metal and DX12 report none)"));
    }
}
