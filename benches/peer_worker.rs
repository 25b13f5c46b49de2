//! Runs one network under the worker protocol of a side-by-side benchmark: `peer_worker PEER MODEL BATCH OUT` reads
//! `$PEERS_DIR/models/MODEL.safetensors` and `x.bBATCH.f32` (NCHW, 3x224x224), runs once, writes the logits to OUT, prints `ready
//! LOAD_MS FIRST_MS`, then for each number N on stdin runs N times and prints N times in milliseconds on one line.
#![allow(clippy::print_stdout, reason = "the protocol speaks on stdout")]

use std::{env, error::Error, fs, io, path::PathBuf, time::Instant};

use residua::{
    Classifier,
    tensor::{Shape, Tensor},
};

fn main() -> Result<(), Box<dyn Error>> {
    // Cargo passes `--bench` to a bench that it runs itself.
    let arguments: Vec<String> = env::args().filter(|argument| argument != "--bench").collect();
    let [_, _, model, batch, out] = &arguments[..] else {
        println!("usage: peer_worker PEER MODEL BATCH OUT");
        return Ok(());
    };
    let folder = PathBuf::from(env::var("PEERS_DIR")?).join("models");
    let n: usize = batch.parse()?;
    let bytes = fs::read(folder.join(format!("x.b{batch}.f32")))?;
    let input = Tensor::new(Shape::new(n, 3, 224, 224), bytemuck::pod_collect_to_vec(&bytes));
    let ms = |began: Instant| began.elapsed().as_secs_f64() * 1e3;

    let began = Instant::now();
    let path = folder.join(format!("{model}.safetensors"));
    let classifier = Classifier::open(path.to_str().ok_or("a path that is not UTF-8")?)?;
    let load = ms(began);
    let began = Instant::now();
    let logits = classifier.logits(&input)?;
    let first = ms(began);
    fs::write(out, bytemuck::cast_slice::<f32, u8>(&logits.data))?;
    println!("ready {load} {first}");
    for line in io::stdin().lines() {
        let runs: usize = line?.trim().parse()?;
        let mut times = Vec::with_capacity(runs);
        for _ in 0..runs {
            let began = Instant::now();
            classifier.logits(&input)?;
            times.push(ms(began).to_string());
        }
        println!("{}", times.join(" "));
    }
    Ok(())
}
