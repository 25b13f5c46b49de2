//! Runs the target of `tests/fuzz/targets.rs` that has the binary's name.

#![no_main]

#[path = "../tests/fuzz/generated.rs"]
mod generated;
#[path = "../tests/fuzz/targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::run(env!("CARGO_BIN_NAME"), data));
