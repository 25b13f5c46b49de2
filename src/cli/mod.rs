//! The commands. Data goes to stdout, everything else to stderr; the exit status is 0, 1 (some inputs failed, or a mismatch) or
//! 2 (usage, model or device).

mod args;
mod classify;
mod devices;
mod info;
mod inputs;
mod logits;
mod preprocess;
mod records;
mod verify;

use std::{
    fmt, fs,
    io::{self, IsTerminal, Write},
    path::Path,
    process::ExitCode,
};

pub(crate) use args::Args;
use args::{Command, FilterArg, Global, PrecisionArg};
use residua::{Builder, Classifier, Error, Labels, Precision, image};

/// Why a command ended before its time.
pub(crate) enum Stop {
    /// Nothing reads stdout any more.
    Closed,
    /// Something that concerns the whole command.
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Failed(error)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Stop::Closed,
            _ => Stop::Failed(Error::io("stdout", &error)),
        }
    }
}

/// Whether all went well: `false` is exit status 1.
type Outcome = Result<bool, Stop>;

/// Runs a command and gives its exit status.
pub(crate) fn run(args: Args) -> ExitCode {
    let level = if args.global.verbose { log::LevelFilter::Info } else { log::LevelFilter::Off };
    env_logger::Builder::new().filter_level(level).parse_default_env().init();
    // A decoder's panic is caught and reported as an error of its image; the default hook would print it as well.
    if !args.global.verbose {
        std::panic::set_hook(Box::new(|_| {}));
    }
    let mut out = io::BufWriter::new(io::stdout().lock());
    let global = &args.global;
    let outcome = match &args.command {
        Command::Classify(command) => classify::run(global, command, &mut out),
        Command::Logits(command) => logits::run(global, command),
        Command::Devices => devices::run(global, &mut out),
        Command::Info { model } => info::run(global, model, &mut out),
        Command::Verify { model, json } => verify::run(global, &model.model, json.as_deref(), &mut out),
        Command::Preprocess { model, image, output } => preprocess::run(global, &model.model, image, output),
    };
    match outcome.and_then(|ok| Ok(out.flush().map(|()| ok)?)) {
        Ok(true) | Err(Stop::Closed) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(Stop::Failed(error)) => {
            global.complain(&format!("{error} [{}]", error.code()));
            ExitCode::from(2)
        }
    }
}

impl Global {
    /// Opens a model with these options and tells what it has to tell.
    fn open(&self, model: &str) -> Result<Classifier, Error> {
        let mut builder: Builder =
            Classifier::builder().model(model).device(&self.device).precision(match self.precision {
                PrecisionArg::Auto => Precision::Auto,
                PrecisionArg::F32 => Precision::F32,
                PrecisionArg::F16 => Precision::F16,
            });
        if let Some(resize) = self.resize {
            builder = builder.resize(resize);
        }
        if let Some(crop) = self.crop {
            builder = builder.crop(crop);
        }
        if let Some(filter) = self.filter {
            builder = builder.filter(match filter {
                FilterArg::Bilinear => image::Filter::Bilinear,
                FilterArg::Bicubic => image::Filter::Bicubic,
            });
        }
        if let Some(mean) = self.mean {
            builder = builder.mean(mean);
        }
        if let Some(std) = self.std {
            builder = builder.std(std);
        }
        if let Some(path) = &self.labels {
            let text = fs::read_to_string(path).map_err(|error| Error::io(path, &error))?;
            builder = builder.labels(Labels::parse(&path.display().to_string(), &text)?);
        }
        let classifier = builder.open()?;
        classifier.notes().iter().for_each(|note| self.note(note));
        Ok(classifier)
    }

    /// How images are read.
    fn decode_options(&self) -> image::DecodeOptions {
        let mut options = image::DecodeOptions::default();
        options.exif = !self.no_exif;
        options.allow_truncated = self.allow_truncated;
        options
    }

    /// A sentence for people, on stderr, unless -q was given.
    fn note(&self, text: &str) {
        if !self.quiet {
            let _ = writeln!(io::stderr(), "residua: {text}");
        }
    }

    /// An error, on stderr.
    fn complain(&self, text: &str) {
        let colour = io::stderr().is_terminal() && !self.no_color && std::env::var_os("NO_COLOR").is_none();
        let (red, plain) = if colour { ("\x1b[31m", "\x1b[0m") } else { ("", "") };
        let _ = writeln!(io::stderr(), "{red}residua: {text}{plain}");
    }
}

/// One line of a two-column listing.
fn row(out: &mut dyn Write, name: &str, value: impl fmt::Display) -> io::Result<()> {
    writeln!(out, "{name:<15} {value}")
}

/// Writes a file by way of a neighbour that is renamed, so that it is whole or not there.
fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".part");
    let part = path.with_file_name(name);
    fs::write(&part, bytes).and_then(|()| fs::rename(&part, path)).map_err(|error| Error::io(path, &error))
}
