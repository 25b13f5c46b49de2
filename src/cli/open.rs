//! Opens a model and reads a photo, with the options that every command takes.

use std::{env, fs, io, path::Path};

use residua::{
    Builder, Classifier, Error, Labels,
    executor::gpu::Wanted,
    hub::Hub,
    image::{self, Decoded},
    program::environment,
};

use super::{
    hints,
    io::faults,
    options::Global,
    terminal::{download, tuning},
};

impl Global {
    /// Opens a model with these options, without kernels known to be wrong, and prints its notes.
    pub(crate) fn open(&self, model: &str) -> Result<Classifier, Error> {
        self.open_builder(self.builder()?.model(model))
    }

    /// Does the same with a builder that has these options and others.
    pub(crate) fn open_builder(&self, builder: Builder) -> Result<Classifier, Error> {
        let classifier = self.tell(builder.faults(faults::known()).open()?)?;
        tuning::offer(self, classifier.device());
        if (self.tune || self.retune) && classifier.device().index.is_none() {
            self.note("nothing to measure: on this device, only the shape of a layer decides how it is computed");
        }
        Ok(classifier)
    }

    /// A builder with these options. A command's first call already has its batch size, so nothing is prepared for another.
    pub(crate) fn builder(&self) -> Result<Builder, Error> {
        let mut builder: Builder =
            Classifier::builder().hub(self.hub()).adapter(self.wanted()?).precision(self.precision).prepare(0);
        builder = builder.test_size(self.test_size).deterministic(self.deterministic).tune(tuning::tune(self, None));
        builder = builder.allow_extra(self.allow_extra).allow_nonfinite(self.allow_nonfinite).no_config(self.no_config);
        if let Some(part) = &self.part {
            builder = builder.part(part);
        }
        if let Some(threads) = self.threads {
            builder = builder.threads(threads);
        }
        if let Some(structure) = &self.structure {
            builder = builder.structure(structure.clone());
        }
        if let Some(folder) = environment::cache_folder() {
            builder = builder.cache(folder);
        }
        if let Some(resize) = self.resize {
            builder = builder.resize(resize);
        }
        if let Some(crop) = self.crop {
            builder = builder.crop(crop);
        }
        if let Some(filter) = self.filter {
            builder = builder.filter(filter);
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

    /// The adapter that the option or the environment asks for.
    pub(crate) fn wanted(&self) -> Result<Wanted, Error> {
        environment::wanted(self.device.as_deref())
    }

    /// Prints a classifier's notes.
    pub(crate) fn tell(&self, classifier: Classifier) -> Result<Classifier, Error> {
        environment::note().iter().for_each(|note| self.note(note));
        classifier.notes().iter().for_each(|note| self.note(&hints::of_note(note)));
        Ok(classifier)
    }

    /// How images are read.
    pub(crate) fn decode_options(&self) -> image::DecodeOptions {
        let mut options = image::DecodeOptions::default();
        options.exif = !self.no_exif;
        options.allow_truncated = self.allow_truncated;
        options.strict = self.strict;
        options
    }

    /// Reads and decodes the image at `path`, or stdin for `-`, and reports damage.
    pub(crate) fn photo(&self, path: &Path) -> Result<Decoded, Error> {
        let options = self.decode_options();
        let decoded = if path.as_os_str() == "-" {
            image::read(io::stdin().lock(), path).and_then(|bytes| image::decode(&bytes, &options))
        } else {
            image::open(path, &options)
        }?;
        self.note_flaw(path, decoded.flaw());
        Ok(decoded)
    }

    /// The hub's settings, from the environment and these options, with a progress bar on a terminal.
    pub(crate) fn hub(&self) -> Hub {
        let mut hub = Hub::from_vars(|name| env::var_os(name));
        hub.offline |= self.offline;
        hub.watch = download::watch(self);
        hub
    }
}
