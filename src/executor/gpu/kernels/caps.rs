//! The features and limits of a device that the choice of kernels depends on.

/// Features and limits of a device.
#[derive(Debug, Clone, PartialEq)]
pub struct Caps {
    /// Adapter name, for messages.
    pub device: String,
    /// The adapter runs on the CPU (lavapipe, WARP, SwiftShader).
    pub software: bool,
    /// It has `shader-f16`.
    pub f16: bool,
    /// Lanes of a subgroup, if all subgroups of the adapter have the same size.
    pub subgroup: Option<u32>,
    /// It multiplies 16x16 cooperative matrices, f16 into f32, has subgroups of 32 lanes, and has the workgroup memory of
    /// [`super::cooperative`].
    pub cooperative: bool,
    /// 32-bit registers of a thread that the sums and weights of a matrix product may take. The driver's compiler needs the
    /// others for the rest of the kernel.
    pub registers: u32,
    /// Every thread has all of its registers, however few a kernel takes: with fewer, no more threads run at once.
    pub fixed_registers: bool,
    /// Workgroup memory, bytes.
    pub workgroup_bytes: u32,
    /// Largest storage buffer binding, bytes.
    pub max_binding_bytes: u64,
    /// Largest number of workgroups along one axis of a dispatch.
    pub max_workgroups: u32,
}

impl Caps {
    /// The limits that every WebGPU device has, and no optional features.
    pub fn least() -> Self {
        Caps {
            device: "least".into(),
            software: false,
            f16: false,
            subgroup: None,
            cooperative: false,
            registers: 32,
            fixed_registers: false,
            workgroup_bytes: 16 << 10,
            max_binding_bytes: 128 << 20,
            max_workgroups: 65_535,
        }
    }

    /// Lanes of a subgroup for the broadcast kernels; `None` with fewer than the eight that they need.
    pub fn lanes(&self) -> Option<u32> {
        self.subgroup.filter(|&lanes| lanes >= 8)
    }

    /// Number of processors to keep busy. WebGPU does not report it, so assume as many as a large GPU (an H200) has, and two
    /// for a software adapter.
    pub fn processors(&self) -> u32 {
        if self.software { 2 } else { 132 }
    }
}
