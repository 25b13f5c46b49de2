//! The arguments of `residua evaluate`.

use std::path::PathBuf;

use clap::Args;

use super::model::Model;
use crate::cli::io::{folder::FolderOptions, report::ReportFormat};

#[derive(Debug, Args)]
pub(crate) struct Evaluate {
    #[command(flatten)]
    pub(crate) model: Model,
    /// A folder with a folder of images for each class, or a list of paths and labels: .csv, .tsv or .jsonl
    #[arg(value_name = "IMAGES")]
    pub(crate) images: PathBuf,
    /// The classes of the images of a folder, one a line in the order of their names, such as ILSVRC2012_validation_ground_truth.txt
    ///
    /// A line is a class's name or WordNet id. It may be its number in the development kit of ILSVRC 2012 if meta.mat, which explains
    /// these, lies beside the file.
    #[arg(long, value_name = "FILE")]
    pub(crate) truth: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) folders: FolderOptions,
    /// An image may have several labels, or none: measure each class for itself
    #[arg(long, conflicts_with_all = ["confusion", "mistakes"])]
    pub(crate) multi_label: bool,
    /// Form of the report
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) format: ReportFormat,
    /// Write the confusion matrix to this file: a picture if it is called .svg, else CSV
    #[arg(long, value_name = "FILE")]
    pub(crate) confusion: Option<PathBuf>,
    /// Draw the mistakes that the model was surest of, with the evidence for them
    #[arg(long, value_name = "FILE.png")]
    pub(crate) mistakes: Option<PathBuf>,
    /// Also say what thresholds for the score of this class bring
    #[arg(long, value_name = "CLASS")]
    pub(crate) threshold: Option<String>,
    /// Draw the ROC and precision-recall curves of the class of --threshold, or of the second of two classes
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) curves: Option<PathBuf>,
    /// Write what was said of each image to this file, as JSON Lines, and go on where an earlier run stopped
    #[arg(long, value_name = "FILE")]
    pub(crate) resume: Option<PathBuf>,
}
