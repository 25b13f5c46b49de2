//! The commands. Data goes to stdout, everything else to stderr; the exit status is 0, 1 (some inputs failed, or a mismatch) or
//! 2 (usage, model or device); 130 after Ctrl-C.

mod args;
mod commands;
mod draw;
mod hints;
mod io;
mod open;
mod options;
mod outcome;
mod terminal;

use std::{
    io::{BufWriter, Write, stdout},
    panic::{self, AssertUnwindSafe},
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
};

pub(crate) use args::Args;
use args::Command;
use commands::{
    classify, completions, convert, devices, doctor, embed, evaluate, explain, fit, info, logits, preprocess, profile,
    pull, similar, verify,
};
use outcome::{Outcome, Stop};
use terminal::interrupt;

/// Runs a command and gives its exit status.
pub(crate) fn run(args: Args) -> ExitCode {
    let level = if args.global.verbose { log::LevelFilter::Info } else { log::LevelFilter::Off };
    // At level trace, this module logs all bytes of a request, including the hub's token.
    let secret = "ureq_proto::util";
    let mut logger = env_logger::Builder::new();
    logger.filter_level(level).parse_default_env().filter_module(secret, log::LevelFilter::Debug).init();
    // A decoder's panic is caught and reported as an error of its image; the default hook would print it a second time. Other panics are
    // reported below.
    let panicked = Arc::new(Mutex::new(String::new()));
    if !args.global.verbose {
        let panicked = Arc::clone(&panicked);
        panic::set_hook(Box::new(move |info| {
            *panicked.lock().unwrap_or_else(PoisonError::into_inner) = info.to_string();
        }));
    }
    let mut out = BufWriter::new(stdout().lock());
    let global = &args.global;
    let Ok(outcome) = panic::catch_unwind(AssertUnwindSafe(|| dispatch(&args, &mut out))) else {
        let panicked = panicked.lock().unwrap_or_else(PoisonError::into_inner);
        global.complain(&format!("a bug in residua, please report it: {panicked}"));
        return ExitCode::from(2);
    };
    match outcome.and_then(|ok| Ok(out.flush().map(|()| ok)?)) {
        Ok(true) | Err(Stop::Closed) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(Stop::Interrupted) => ExitCode::from(interrupt::STATUS),
        Err(Stop::Failed(error)) => {
            global.complain(&hints::of_error(&error));
            ExitCode::from(2)
        }
    }
}

fn dispatch(args: &Args, out: &mut dyn Write) -> Outcome {
    let global = &args.global;
    match &args.command {
        Command::Classify(command) => classify::run(global, command, out),
        Command::Embed(command) => embed::run(global, command, out),
        Command::Similar(command) => similar::run(global, command, out),
        Command::Fit(command) => fit::run(global, command, out),
        Command::Evaluate(command) => evaluate::run(global, command, out),
        Command::Explain(command) => explain::run(global, command, out),
        Command::Logits(command) => logits::run(global, command),
        Command::Devices => devices::run(global, out),
        Command::Info { model, graph } => info::run(global, model.name(), graph.as_deref(), out),
        Command::Convert(command) => convert::run(global, command, out),
        Command::Verify(command) => verify::run(global, command, out),
        Command::Profile(command) => profile::run(global, command, out),
        Command::Pull { model, option } => pull::run(global, model.as_ref().or(option.as_ref()), out),
        Command::Doctor { json } => doctor::run(global, *json, out),
        Command::Completions { shell } => completions::completions(*shell, out),
        Command::Man { command, output } => completions::man(command.as_deref(), output.as_deref(), out),
        Command::Preprocess { model, image, output } => preprocess::run(global, &model.model, image, output),
    }
}
