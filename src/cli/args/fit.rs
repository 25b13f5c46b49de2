//! The arguments of `residua fit`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::model::Model;
use crate::cli::io::folder::FolderOptions;

#[derive(Debug, Args)]
pub(crate) struct Fit {
    #[command(flatten)]
    pub(crate) model: Model,
    /// A folder with a folder of images for each class, or a list of paths and labels: .csv, .tsv or .jsonl
    #[arg(value_name = "TRAIN")]
    pub(crate) train: PathBuf,
    /// The checkpoint to write
    #[arg(short, long, value_name = "MINE.safetensors")]
    pub(crate) output: PathBuf,
    /// Measure the result on these images, instead of on a held-out fifth of the others
    #[arg(long, value_name = "VAL")]
    pub(crate) val: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) folders: FolderOptions,
    /// How the head is fitted
    #[arg(long, value_enum, default_value_t)]
    pub(crate) method: Method,
    /// An image may have several labels, or none: give each class a score of its own
    #[arg(long)]
    pub(crate) multi_label: bool,
    /// Weight the images so that all classes count the same
    #[arg(long)]
    pub(crate) balanced: bool,
    /// Train on five more views of each image: mirrored, and cropped at its corners
    #[arg(long)]
    pub(crate) augment: bool,
    /// Write only the head; the file names the model of -m, and opens where that model is
    #[arg(long)]
    pub(crate) head_only: bool,
    /// The strength of the regression (scikit-learn's C), instead of the best of 0.0001, 0.001, ... 100
    #[arg(long, value_name = "C", value_parser = above_zero)]
    pub(crate) strength: Option<f64>,
    /// Keep the features of the images in this file, so that the next run reads only changed images [default: MINE.index]
    #[arg(long, value_name = "FILE")]
    pub(crate) index: Option<PathBuf>,
    /// Also write the results to this file as JSON, with the hundred most doubtful labels
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// How a head is fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Method {
    /// Logistic regression
    #[default]
    Logistic,
    /// The class with the nearest mean by cosine similarity, for very few images
    Centroid,
    /// The classes of the nearest images by cosine similarity; the file keeps the features of all images
    Neighbours,
}

impl Method {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Method::Logistic => "logistic",
            Method::Centroid => "centroid",
            Method::Neighbours => "neighbours",
        }
    }

    /// The name of the setting that cross-validation chooses.
    pub(crate) fn setting(self) -> &'static str {
        match self {
            Method::Logistic => "strength",
            Method::Centroid => "factor",
            Method::Neighbours => "neighbours",
        }
    }
}

fn above_zero(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|&c: &f64| c > 0.0 && c.is_finite()).ok_or_else(|| "expected a number above zero".into())
}
