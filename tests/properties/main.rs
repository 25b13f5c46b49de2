//! Properties that hold for every network, tested with random graphs and checkpoints; failures are shrunk to the smallest one.
//!
//! The cases are the same in every run. `PROPTEST_CASES=2000` tries more cases, `PROPTEST_RNG_SEED=7` other cases; both can be combined:
//!
//!     PROPTEST_CASES=2000 PROPTEST_RNG_SEED=7 cargo test --test properties

mod bound;
mod checkpoints;
#[path = "../common/mod.rs"]
mod common;
mod files;
mod machine;
mod networks;
mod own_norm;
mod plans;
mod recipe;
mod shapes;

use std::env;

use proptest::test_runner::{Config, RngSeed};

/// `cases` cases from a fixed seed, unless the environment sets others.
fn config(cases: u32) -> Config {
    let environment = Config::default();
    Config {
        cases: if env::var_os("PROPTEST_CASES").is_some() { environment.cases } else { cases },
        rng_seed: if env::var_os("PROPTEST_RNG_SEED").is_some() { environment.rng_seed } else { RngSeed::Fixed(1) },
        failure_persistence: None,
        max_shrink_iters: 1000,
        ..environment
    }
}
