//! The settings of a classifier, from Python's arguments and the variables of the environment.

use std::{env, fs, num::NonZero, path::PathBuf};

use pyo3::prelude::*;
use residua::{
    Builder, Classifier, Error, Labels, Precision, Result,
    check::{
        faults,
        tune::{self, Measure, Tune},
    },
    hub::{self, Hub},
    image::{DecodeOptions, Filter},
    program::environment,
    stream::Batch,
};

/// The arguments of `Classifier(...)`; all of them are present.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Settings {
    model: String,
    synthetic: Option<String>,
    device: Option<String>,
    precision: String,
    batch: Option<NonZero<usize>>,
    deterministic: bool,
    tune: Option<bool>,
    offline: Option<bool>,
    cache_dir: Option<PathBuf>,
    labels: Option<Names>,
    resize: Option<usize>,
    crop: Option<usize>,
    filter: Option<String>,
    mean: Option<[f32; 3]>,
    std: Option<[f32; 3]>,
    test_size: bool,
    pub(crate) exif: bool,
    allow_truncated: bool,
    strict: bool,
    part: Option<String>,
    allow_extra: bool,
    allow_nonfinite: bool,
    no_config: bool,
    structure: Option<String>,
}

/// Class names, or a file with them.
#[derive(FromPyObject)]
enum Names {
    File(PathBuf),
    List(Vec<String>),
}

impl Settings {
    /// The batch size.
    pub(crate) fn batch(&self) -> Batch {
        self.batch.map_or(Batch::Auto, Batch::Of)
    }

    /// The builder of the classifier. Reads the environment, and files with class names and faults.
    pub(crate) fn builder(self) -> Result<Builder> {
        let mut builder = Classifier::builder()
            .model(&self.model)
            .adapter(environment::wanted(self.device.as_deref())?)
            .hub(self.hub());
        if let Some(synthetic) = &self.synthetic {
            builder = builder.synthetic(synthetic);
        }
        builder = builder.precision(match &*self.precision {
            "auto" => Precision::Auto,
            "f32" => Precision::F32,
            "f16" => Precision::F16,
            other => return Err(refused("precision", other, "auto, f32 or f16")),
        });
        builder = builder.deterministic(self.deterministic).tune(self.tune()).test_size(self.test_size);
        builder = builder.allow_extra(self.allow_extra).allow_nonfinite(self.allow_nonfinite).no_config(self.no_config);
        builder = builder.decode(self.decode());
        if let Some(part) = &self.part {
            builder = builder.part(part);
        }
        if let Some(folder) = environment::cache_folder() {
            builder = builder.faults(faults::known(&folder)).cache(folder);
        }
        if let Some(structure) = &self.structure {
            builder = builder.structure(structure.parse()?);
        }
        if let Some(resize) = self.resize {
            builder = builder.resize(resize);
        }
        if let Some(crop) = self.crop {
            builder = builder.crop(crop);
        }
        builder = match self.filter.as_deref() {
            None => builder,
            Some("bilinear") => builder.filter(Filter::Bilinear),
            Some("bicubic") => builder.filter(Filter::Bicubic),
            Some(other) => return Err(refused("filter", other, "bilinear or bicubic")),
        };
        if let Some(mean) = self.mean {
            builder = builder.mean(mean);
        }
        if let Some(std) = self.std {
            builder = builder.std(std);
        }
        Ok(match self.labels {
            None => builder,
            Some(Names::List(names)) => builder.labels(Labels::new(names)),
            Some(Names::File(path)) => {
                let text = fs::read_to_string(&path).map_err(|error| Error::io(&path, &error))?;
                builder.labels(Labels::parse(&path.display().to_string(), &text)?)
            }
        })
    }

    fn hub(&self) -> Hub {
        let mut hub = Hub::from_vars(|name| env::var_os(name));
        hub.offline = self.offline.unwrap_or(hub.offline);
        hub.cache = self.cache_dir.clone().or(hub.cache);
        hub.watch = hub::Watch::new(|event| match event {
            hub::Event::Progress { model, file, done, size } if Some(*done) == *size => {
                log::info!(target: "residua", "{model}: downloaded {file}, {done} bytes");
            }
            hub::Event::Waiting { lock } => {
                log::warn!(target: "residua", "another process is downloading this; waiting for {}", lock.display());
            }
            hub::Event::Again { error, pause } => log::warn!(target: "residua", "{error}; trying again in {pause:?}"),
            _ => {}
        });
        hub
    }

    fn decode(&self) -> DecodeOptions {
        let mut options = DecodeOptions::default();
        options.exif = self.exif;
        options.allow_truncated = self.allow_truncated;
        options.strict = self.strict;
        options
    }

    fn tune(&self) -> Tune {
        match self.tune {
            None => Tune::Known,
            Some(false) => Tune::Never,
            Some(true) => {
                let watch = tune::Watch::new(|progress| {
                    log::info!(target: "residua", "measuring kernels: {} of {} layers", progress.done, progress.total);
                });
                let batches = self.batch.iter().map(|batch| batch.get()).collect();
                Tune::Measure(Measure { batches, size: None, anew: false, watch })
            }
        }
    }
}

fn refused(field: &str, value: &str, expected: &str) -> Error {
    Error::config_value("argument", field, value, expected)
}
