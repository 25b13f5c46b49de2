//! Whether a device is right and how fast it is: [`verify`] layer by layer against the reference, [`profile`] by time, [`tune`] by
//! measuring kernels, and the self-test that every device passes before it is used.

pub mod faults;
pub mod profile;
pub(crate) mod selftest;
pub mod tune;
pub mod verify;
