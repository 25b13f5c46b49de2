//! The commands. Data goes to stdout, everything else to stderr; the exit status is 0, 1 (some inputs failed, or a mismatch) or
//! 2 (usage, model or device); 130 after Ctrl-C.

mod args;
mod cache;
mod chart;
mod classify;
mod completions;
mod devices;
mod doctor;
mod duplicates;
mod embed;
mod explain;
mod files;
mod folder;
mod graph;
mod heatmap;
mod index;
mod info;
mod inputs;
mod interrupt;
mod left_out;
mod list;
mod logits;
mod mixture;
mod npy;
mod options;
mod preprocess;
mod profile;
mod progress;
mod pull;
mod records;
mod resume;
mod similar;
mod soak;
mod svg;
mod tuning;
mod variables;
mod verify;
mod work;

use std::{
    fmt, fs,
    io::{self, IsTerminal, Write},
    panic::{self, AssertUnwindSafe},
    path::Path,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
};

pub(crate) use args::Args;
use args::Command;
use files::write_file;
use options::{FilterArg, Global, PrecisionArg};
use residua::{
    Builder, Classifier, Error, Labels, Precision,
    check::{faults, verify::Fault},
    executor::gpu::Wanted,
    image::{self, Decoded},
};

/// Why a command ended before its time.
pub(crate) enum Stop {
    /// Nothing reads stdout any more.
    Closed,
    /// Ctrl-C.
    Interrupted,
    /// Something that concerns the whole command.
    Failed(Error),
}

impl Stop {
    /// What an error while writing to `place` means.
    fn of(place: &Path, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Stop::Closed,
            _ => Stop::Failed(Error::io(place, error)),
        }
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Failed(error)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Stop::of(Path::new("stdout"), &error)
    }
}

/// Whether all went well: `false` is exit status 1.
type Outcome = Result<bool, Stop>;

/// Runs a command and gives its exit status.
pub(crate) fn run(args: Args) -> ExitCode {
    let level = if args.global.verbose { log::LevelFilter::Info } else { log::LevelFilter::Off };
    // At trace this module shows all bytes of a request, the token of the hub among them.
    let secret = "ureq_proto::util";
    let mut logger = env_logger::Builder::new();
    logger.filter_level(level).parse_default_env().filter_module(secret, log::LevelFilter::Debug).init();
    // A decoder's panic is caught and reported as an error of its image; the default hook would print it as well. One that
    // nobody catches is told below.
    let panicked = Arc::new(Mutex::new(String::new()));
    if !args.global.verbose {
        let panicked = Arc::clone(&panicked);
        panic::set_hook(Box::new(move |info| {
            *panicked.lock().unwrap_or_else(PoisonError::into_inner) = info.to_string();
        }));
    }
    let mut out = io::BufWriter::new(io::stdout().lock());
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
            global.complain(&format!("{error} [{}]", error.code()));
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
        Command::Explain(command) => explain::run(global, command, out),
        Command::Logits(command) => logits::run(global, command),
        Command::Devices => devices::run(global, out),
        Command::Info { model, graph } => info::run(global, model.name(), graph.as_deref(), out),
        Command::Verify(command) => verify::run(global, command, out),
        Command::Profile(command) => profile::run(global, command, out),
        Command::Soak(command) => soak::run(global, command, out),
        Command::Pull { model, option } => pull::run(global, model.as_ref().or(option.as_ref()), out),
        Command::Doctor { json } => doctor::run(global, *json, out),
        Command::Completions { shell } => completions::completions(*shell, out),
        Command::Man { command, output } => completions::man(command.as_deref(), output.as_deref(), out),
        Command::Preprocess { model, image, output } => preprocess::run(global, &model.model, image, output),
    }
}

impl Global {
    /// Opens a model with these options, without the kernels that are known to be wrong, and tells what it has to tell.
    fn open(&self, model: &str) -> Result<Classifier, Error> {
        self.open_builder(self.builder()?.model(model))
    }

    /// The same for a builder with these options and others.
    fn open_builder(&self, builder: Builder) -> Result<Classifier, Error> {
        let classifier = self.tell(builder.faults(known_faults()).open()?)?;
        tuning::offer(self, classifier.device());
        Ok(classifier)
    }

    /// These options.
    fn builder(&self) -> Result<Builder, Error> {
        let mut builder: Builder =
            Classifier::builder().hub(self.hub()).adapter(self.wanted()?).precision(match self.precision {
                PrecisionArg::Auto => Precision::Auto,
                PrecisionArg::F32 => Precision::F32,
                PrecisionArg::F16 => Precision::F16,
            });
        builder = builder.test_size(self.test_size).deterministic(self.deterministic).tune(tuning::tune(self, None));
        builder = builder.allow_extra(self.allow_extra).allow_nonfinite(self.allow_nonfinite).no_config(self.no_config);
        if let Some(structure) = &self.structure {
            builder = builder.structure(structure.clone());
        }
        if let Some(folder) = cache::folder() {
            builder = builder.cache(folder);
        }
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
        Ok(builder)
    }

    /// The adapter that is wanted, by option or by the environment.
    fn wanted(&self) -> Result<Wanted, Error> {
        variables::wanted(self.device.as_deref())
    }

    /// Tells what a classifier has to tell.
    fn tell(&self, classifier: Classifier) -> Result<Classifier, Error> {
        variables::note().iter().for_each(|note| self.note(note));
        classifier.notes().iter().for_each(|note| self.note(note));
        Ok(classifier)
    }

    /// How images are read.
    fn decode_options(&self) -> image::DecodeOptions {
        let mut options = image::DecodeOptions::default();
        options.exif = !self.no_exif;
        options.allow_truncated = self.allow_truncated;
        options.strict = self.strict;
        options
    }

    /// Reads and decodes the image at `path`, or on stdin for `-`, and tells what is damaged.
    fn photo(&self, path: &Path) -> Result<Decoded, Error> {
        let options = self.decode_options();
        let decoded = if path.as_os_str() == "-" {
            image::read(io::stdin().lock(), path).and_then(|bytes| image::decode(&bytes, &options))
        } else {
            image::open(path, &options)
        }?;
        self.note_flaw(path, decoded.flaw());
        Ok(decoded)
    }

    /// A sentence for people, on stderr, unless -q was given.
    fn note(&self, text: &str) {
        if !self.quiet {
            let _ = writeln!(io::stderr(), "residua: {text}");
        }
    }

    /// The damage of one input that was decoded all the same, on stderr.
    fn note_flaw(&self, path: &Path, flaw: Option<String>) {
        if let Some(flaw) = flaw {
            self.note(&format!("{}: {flaw}", path.display()));
        }
    }

    /// An error of one input, on stderr.
    fn complain_of(&self, path: &Path, error: &Error) {
        let place = match error {
            Error::Io { path: at, .. } if at == path => String::new(),
            _ => format!("{}: ", path.display()),
        };
        self.complain(&format!("{place}{error} [{}]", error.code()));
    }

    /// An error, on stderr.
    fn complain(&self, text: &str) {
        let unwanted = self.no_color || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colour = io::stderr().is_terminal() && !unwanted;
        let (red, plain) = if colour { ("\x1b[31m", "\x1b[0m") } else { ("", "") };
        let _ = writeln!(io::stderr(), "{red}residua: {text}{plain}");
    }
}

/// The kernels that `residua verify` found to be wrong, on any device.
pub(super) fn known_faults() -> Vec<Fault> {
    cache::folder().map(|folder| faults::known(&folder)).unwrap_or_default()
}

/// One line of a two-column listing.
fn row(out: &mut dyn Write, name: &str, value: impl fmt::Display) -> io::Result<()> {
    writeln!(out, "{name:<15} {value}")
}
