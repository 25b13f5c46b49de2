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
    /// A file with the classes of a folder's images, one per line in the order of the images' names
    ///
    /// ILSVRC2012_validation_ground_truth.txt is such a file. A line is the name or the WordNet id of a class. It may be the class's
    /// number in the development kit of ILSVRC 2012 if the kit's meta.mat, which explains the numbers, lies beside the file.
    #[arg(long, value_name = "FILE")]
    pub(crate) truth: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) folders: FolderOptions,
    /// An image may have several labels, or none: measure each class separately
    #[arg(long, conflicts_with_all = ["confusion", "mistakes"])]
    pub(crate) multi_label: bool,
    /// Format of the report
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) format: ReportFormat,
    /// Write the confusion matrix to this file: a picture if the name ends in .svg, else CSV
    #[arg(long, value_name = "FILE")]
    pub(crate) confusion: Option<PathBuf>,
    /// Draw the most confident mistakes, each with its heat map
    #[arg(long, value_name = "FILE.png")]
    pub(crate) mistakes: Option<PathBuf>,
    /// Also report the precision and recall of this class at several thresholds
    #[arg(long, value_name = "CLASS")]
    pub(crate) threshold: Option<String>,
    /// Draw the ROC and precision-recall curves of the class of --threshold, or of the second of two classes
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) curves: Option<PathBuf>,
    /// Write the result of each image to this file as JSON Lines, and continue where an earlier run stopped
    #[arg(long, value_name = "FILE")]
    pub(crate) resume: Option<PathBuf>,
}
