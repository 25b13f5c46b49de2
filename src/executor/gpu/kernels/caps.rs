//! What the choice of kernels needs to know of a device.

/// A device as numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Caps {
    /// Adapter name, for messages.
    pub device: String,
    /// The adapter runs on the CPU (lavapipe, WARP, SwiftShader).
    pub software: bool,
    /// `shader-f16` is there.
    pub f16: bool,
    /// Lanes of a subgroup where the adapter has subgroups of exactly one size.
    pub subgroup: Option<u32>,
    /// It multiplies cooperative matrices of 16x16, f16 into f32, with subgroups of 32 lanes and memory for [`super::cooperative`].
    pub cooperative: bool,
    /// Registers of 32 bits of a thread that the sums and weights of a matrix product may take, so that the driver's compiler keeps all
    /// else that the kernel needs in registers too.
    pub registers: u32,
    /// Workgroup memory, bytes.
    pub workgroup_bytes: u32,
    /// Largest storage buffer binding, bytes.
    pub max_binding_bytes: u64,
    /// Largest number of workgroups along one axis of a dispatch.
    pub max_workgroups: u32,
}

impl Caps {
    /// The limits that every device has, and none of the features.
    pub fn least() -> Self {
        Caps {
            device: "least".into(),
            software: false,
            f16: false,
            subgroup: None,
            cooperative: false,
            registers: 32,
            workgroup_bytes: 16 << 10,
            max_binding_bytes: 128 << 20,
            max_workgroups: 65_535,
        }
    }

    /// Lanes of a subgroup for the kernels that broadcast, which need eight.
    pub fn lanes(&self) -> Option<u32> {
        self.subgroup.filter(|&lanes| lanes >= 8)
    }

    /// Processors to keep busy. WebGPU does not say how many there are: those of a large GPU (an H200), and two where it is a CPU.
    pub fn processors(&self) -> u32 {
        if self.software { 2 } else { 132 }
    }
}
