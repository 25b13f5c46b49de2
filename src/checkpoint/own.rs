//! The facts that a configuration in timm's form cannot state. They are stored under the key `residua`.

use serde::{Deserialize, Serialize};

use super::{
    json::invalid,
    preprocess_config::{Framing, PreprocessConfig},
};
use crate::{
    Result,
    image::{CropRounding, Filter, Preprocess, Resize},
    labels::Neighbours,
    structure::Structure,
};

pub(super) fn name_of(filter: Filter) -> &'static str {
    match filter {
        Filter::Bilinear => "bilinear",
        Filter::Bicubic => "bicubic",
    }
}

/// The fields under `residua` that are used.
#[derive(Deserialize)]
pub(super) struct Own {
    preprocess: Option<OwnPreprocess>,
    structure: Option<String>,
    pub(super) backbone: Option<Backbone>,
    neighbours: Option<OwnNeighbours>,
}

/// All of [`Neighbours`].
#[derive(Serialize, Deserialize)]
pub(super) struct OwnNeighbours {
    k: usize,
    classes: Vec<usize>,
}

impl From<&Neighbours> for OwnNeighbours {
    fn from(neighbours: &Neighbours) -> Self {
        OwnNeighbours { k: neighbours.k, classes: neighbours.of.to_vec() }
    }
}

/// For a file that holds only a head: the model that the head belongs to.
#[doc(hidden)]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Backbone {
    /// How to open it: a file beside the head's, or a name that commands take.
    pub model: String,
    /// [`Checkpoint::fingerprint`](super::Checkpoint::fingerprint) in hexadecimal digits.
    pub fingerprint: String,
}

/// All fields of [`Preprocess`].
#[derive(Serialize, Deserialize)]
pub(super) struct OwnPreprocess {
    height: usize,
    width: usize,
    resize: OwnResize,
    filter: String,
    crop_rounding: String,
    mean: [f32; 3],
    std: [f32; 3],
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OwnResize {
    Shorter(usize),
    Squash { height: usize, width: usize },
    None,
}

impl From<&Preprocess> for OwnPreprocess {
    fn from(preprocess: &Preprocess) -> Self {
        let Preprocess { height, width, resize, filter, rounding, mean, std } = *preprocess;
        let resize = match resize {
            Resize::Shorter(side) => OwnResize::Shorter(side),
            Resize::Squash { height, width } => OwnResize::Squash { height, width },
            Resize::None => OwnResize::None,
        };
        let crop_rounding = if rounding == CropRounding::Floor { "floor" } else { "half_even" }.into();
        OwnPreprocess { height, width, resize, filter: name_of(filter).into(), crop_rounding, mean, std }
    }
}

impl Own {
    /// The preprocessing, if stated.
    ///
    /// # Errors
    /// [`crate::Error::ConfigValue`] for a value out of range.
    pub(super) fn preprocess(&self, place: &str) -> Result<Option<PreprocessConfig>> {
        let Some(OwnPreprocess { height, width, resize, filter, crop_rounding, mean, std }) = &self.preprocess else {
            return Ok(None);
        };
        let resize = match *resize {
            OwnResize::Shorter(side) => Resize::Shorter(side),
            OwnResize::Squash { height, width } => Resize::Squash { height, width },
            OwnResize::None => Resize::None,
        };
        let filters = [Filter::Bilinear, Filter::Bicubic];
        let filter = filters
            .into_iter()
            .find(|known| name_of(*known) == filter)
            .ok_or_else(|| invalid(place, "residua.preprocess.filter", filter, "bilinear or bicubic"))?;
        let rounding = match crop_rounding.as_str() {
            "half_even" => CropRounding::HalfEven,
            "floor" => CropRounding::Floor,
            other => return Err(invalid(place, "residua.preprocess.crop_rounding", other, "half_even or floor")),
        };
        let framing = Framing { height: *height, width: *width, resize };
        let stated_in = place.into();
        let config =
            PreprocessConfig { stated_in, framing, test_framing: None, filter, rounding, mean: *mean, std: *std };
        config.preprocess(false).check()?;
        Ok(Some(config))
    }

    /// The images of a head whose outputs are similarities to them.
    ///
    /// # Errors
    /// [`crate::Error::ConfigValue`] for a value that is out of its range.
    pub(super) fn neighbours(&self, place: &str) -> Result<Option<Neighbours>> {
        let Some(OwnNeighbours { k, classes }) = &self.neighbours else { return Ok(None) };
        if *k == 0 || *k > classes.len() {
            let expected = format!("from 1 to the number of images, {}", classes.len());
            return Err(invalid(place, "residua.neighbours.k", k, expected));
        }
        match classes.iter().find(|class| **class >= classes.len()) {
            None => Ok(Some(Neighbours { k: *k, of: classes.clone().into() })),
            Some(class) => Err(invalid(place, "residua.neighbours.classes", class, "fewer classes than images")),
        }
    }

    /// Adds the stated properties of the network.
    ///
    /// # Errors
    /// The errors of [`Structure`]'s parser.
    pub(super) fn state(&self, structure: &mut Structure) -> Result<()> {
        if let Some(text) = self.structure.as_deref().filter(|text| !text.is_empty()) {
            let stated_in = std::mem::take(&mut structure.stated_in);
            *structure = Structure { stated_in, ..text.parse()? };
        }
        Ok(())
    }
}
