//! The command line's grammar and help.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use super::{
    io::{folder::FolderOptions, inputs::Inputs, records::Format, report::ReportFormat},
    options::Global,
};

/// Classify images with residual networks on any GPU.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:
  residua classify photo.jpg
  residua classify -m model.safetensors -k 3 --format jsonl -r photos/
  residua devices"
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Name the classes of images
    #[command(after_help = "Examples:
  residua classify photo.jpg
  residua classify -r photos/ --format csv > classes.csv
  residua classify -r photos/ --format jsonl --resume classes.jsonl
  find photos -type f -mtime -7 -print0 | residua classify -0 @-
  cat photo.jpg | residua classify -

Exit status 1 if an input failed: an image that cannot be read, or a folder without images. What is left out of a folder is counted on
stderr. Results come in the order of the inputs, a batch at a time; --batch 1 answers each image as it comes.")]
    Classify(Classify),
    /// Draw where in a photo the evidence for a class lies
    #[command(after_help = "Examples:
  residua explain photo.jpg -o heatmap.png
  residua explain photo.jpg -o heatmap.png --class ship --json map.json

The heat is the class-activation map: what each place adds to the class's logit, exactly. It covers the part of the photo that the
network sees, and is laid over the photo in its own size.")]
    Explain(Explain),
    /// Give the features of images: what the network's head reads, averaged over all pixels
    #[command(after_help = "Examples:
  residua embed -m resnet18.safetensors photo.jpg
  residua embed -r photos/ --format npy -o photos.npy --paths photos.txt

jsonl: an object an image, {\"path\", \"model\", \"embedding\": [...]} or {\"path\", \"error\": {\"code\", \"message\"}}.
npy: a NumPy array [N, features] f32, a row an input in the order of the inputs; the row of an input that failed is NaN.
Exit status 1 if an input failed: an image that cannot be read, or a folder without images.")]
    Embed(Embed),
    /// Find the images of a folder that are most like an image, or like each other
    #[command(after_help = "Examples:
  residua similar photo.jpg --in photos/
  residua similar photo.jpg --in photos/ --index photos.index -k 3
  residua similar photo.jpg --in photos.index --format jsonl
  residua similar --duplicates --in photos/

The score is the cosine similarity of the features (see embed): 1 for equal images. The search is exact. The score of a group is the
lowest of any two images in it: two that are alike only through others may be less alike than --min-score.
jsonl: an object a query, {\"path\", \"model\", \"neighbours\": [{\"path\", \"score\"}, ...]}; with --duplicates one a group or pair,
{\"paths\": [...], \"score\"}.
Exit status 1 if a query or an image of the folder failed, or if there is no image in it.
An index is a safetensors file for any language: \"embeddings\" F32 [N, features], rows of unit length; \"paths\" U8, each path ended by
NUL; \"sizes\" and \"mtimes\" I64 [N]; model and preprocessing in its metadata. An index of another model is refused.
  tensors = safetensors.numpy.load_file('photos.index')
  paths = tensors['paths'].tobytes().decode().split('\\0')")]
    Similar(Similar),
    /// Make a model of your own classes out of another model and a folder of images a class
    #[command(after_help = "Examples:
  residua fit -m resnet18.safetensors train/ -o mine.safetensors
  residua fit -m resnet18.safetensors train/ -o mine.safetensors --val val/ --augment --balanced
  residua fit -m resnet18.safetensors labels.csv -o tags.safetensors --multi-label
  residua classify -m mine.safetensors photo.jpg

TRAIN holds a folder for each class, or is a list of paths and labels: a table (.csv, .tsv), with a header or without, or JSON Lines
(.jsonl) of {\"path\", \"label\"}, with --multi-label of {\"path\", \"labels\": [...]}; in a table ; is between several labels.
The network stays as it is; a new head is fitted to its features: logistic regression whose strength is chosen by cross-validation.
The file is an ordinary checkpoint for every command and for timm: weights, class names, preprocessing and how it was made.
Exit status 1 if an image could not be read: it was left out.")]
    Fit(Fit),
    /// Measure how well a model does on images whose classes are known
    #[command(after_help = "Examples:
  residua evaluate -m mine.safetensors val/
  residua evaluate -m mine.safetensors val/ --resume val.jsonl --format markdown > report.md
  residua evaluate -m mine.safetensors val/ --confusion confusion.svg --mistakes mistakes.png
  residua evaluate -m mine.safetensors val/ --threshold broken --curves curves.svg

IMAGES holds a folder for each class, or images with a WordNet id in their names, or is a list as fit takes it. Folders and labels are
matched with the model's classes by name, by WordNet id or by index; what does not match is told, and left out.
The figures are those of scikit-learn's classification_report, log_loss and confusion_matrix; calibration error is over 15 bins.
Exit status 1 if an image could not be read: it was left out.")]
    Evaluate(Evaluate),
    /// Run a network on normalised input out of a safetensors file
    #[command(after_help = "Example:
  residua logits -m resnet18.safetensors --input in.safetensors --output out.safetensors

IN holds a tensor \"input\" [N, 3, H, W] f32; OUT gets a tensor \"logits\" [N, classes] f32.")]
    Logits(Logits),
    /// List the adapters, and which one is picked and why
    #[command(after_help = "Example:\n  residua devices --device 0")]
    Devices,
    /// Show a model: architecture, parameters, GMACs, preprocessing, classes; with -v graph and plan
    #[command(after_help = "Examples:
  residua info builtin
  residua info model.safetensors -v
  residua info -m model.safetensors --graph network.svg")]
    Info {
        #[command(flatten)]
        model: NamedModel,
        /// Also draw the network into this file: layers, shapes, fusions, skip connections
        #[arg(long, value_name = "FILE.svg")]
        graph: Option<PathBuf>,
    },
    /// Compare every layer, in every precision and with every kernel, with the CPU reference
    #[command(after_help = "Examples:
  residua verify
  residua verify -m model.safetensors --json report.json
  residua verify --synthetic cifar_resnet20a --batch 8

The reference is slow: a smaller --crop saves time with large networks. A kernel that is wrong here is not chosen on this device
afterwards; a later verify that finds it right takes that back.")]
    Verify(Verify),
    /// Write what the network will see of an image
    #[command(after_help = "Example:\n  residua preprocess photo.jpg -o crop.png")]
    Preprocess {
        #[command(flatten)]
        model: Model,
        /// A JPEG, PNG, WebP, GIF, BMP or TIFF file, or - for stdin
        image: PathBuf,
        /// The PNG file to write
        #[arg(short, long, value_name = "CROP.png")]
        output: PathBuf,
    },
    /// Time each layer of a network on this device
    #[command(after_help = "Examples:
  residua profile
  residua profile -m resnet18.safetensors --batch 8 -o trace.json --svg profile.svg

TRACE.json opens in https://ui.perfetto.dev and in Chrome's about:tracing. A kernel's floor is the larger of two times: its floating-point
operations (two for each multiplication that it does) and its bytes (each value and weight once), each at the best rate that any kernel
reaches in this profile, a 1x1 convolution of 512 channels to 512 over 56x56 pixels and an elementwise kernel over 64 MiB among them.")]
    Profile(Profile),
    /// Fetch a model of the hub into the cache, or its newest commit, and print its folder
    #[command(after_help = "Examples:
  residua pull resnet50
  residua pull microsoft/resnet-50@main

The cache is that of Python's huggingface_hub; HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE mean what they mean there.")]
    Pull {
        /// A name such as resnet50, or a hub id such as timm/resnet50.a1_in1k, with @REVISION after either
        #[arg(required_unless_present = "option")]
        model: Option<String>,
        /// The same, as other commands take it
        #[arg(id = "option", short = 'm', long = "model", value_name = "MODEL", conflicts_with = "model")]
        option: Option<String>,
    },
    /// Tell all that a bug report needs: versions, adapters, limits, a test of the device, caches, environment
    #[command(after_help = "Examples:\n  residua doctor\n  residua doctor --json > report.json")]
    Doctor {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Print what a shell needs to complete residua's commands and options
    #[command(after_help = "Examples:
  residua completions bash > ~/.local/share/bash-completion/completions/residua
  residua completions zsh > ~/.zfunc/_residua
  residua completions fish > ~/.config/fish/completions/residua.fish")]
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Print a manual page, or write all of them
    #[command(after_help = "Examples:
  residua man classify | man -l -
  residua man -o ~/.local/share/man/man1")]
    Man {
        /// The command that it is about; without one it is about residua
        command: Option<String>,
        /// Write the pages of all commands into this folder
        #[arg(short, long, value_name = "FOLDER", conflicts_with = "command")]
        output: Option<PathBuf>,
    },
}

/// The choice of model.
#[derive(Debug, ClapArgs)]
pub(crate) struct Model {
    /// builtin, a .safetensors file, a folder with model.safetensors and config.json, or a model of the hub: a name such as resnet50,
    /// or a hub id such as timm/resnet50.a1_in1k, with @REVISION after either
    #[arg(short, long, default_value = "builtin", value_name = "MODEL")]
    pub(crate) model: String,
}

/// The choice of model, with or without -m.
#[derive(Debug, ClapArgs)]
pub(crate) struct NamedModel {
    /// The same as -m MODEL
    #[arg(value_name = "MODEL", conflicts_with = "model")]
    name: Option<String>,
    #[command(flatten)]
    option: Model,
}

impl NamedModel {
    /// What was named, or the default.
    pub(crate) fn name(&self) -> &str {
        self.name.as_ref().unwrap_or(&self.option.model)
    }
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Classify {
    #[command(flatten)]
    pub(crate) model: Model,
    /// How many classes to show of each image
    #[arg(short, default_value_t = 5, value_name = "N", value_parser = at_least_one)]
    pub(crate) k: usize,
    /// Show only classes of at least this score
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true)]
    pub(crate) min_score: Option<f32>,
    /// Form of the output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// Write to this file, and go on where an earlier run with the same inputs stopped: what it has recorded is not done again
    #[arg(long, value_name = "FILE")]
    pub(crate) resume: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) inputs: Inputs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Embed {
    #[command(flatten)]
    pub(crate) model: Model,
    /// Form of the output
    #[arg(long, value_enum, default_value_t = EmbedFormat::Jsonl)]
    pub(crate) format: EmbedFormat,
    /// Write to this file instead of stdout
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// With --format npy: also write the paths of the rows to this file, one a line
    ///
    /// Every input has its line, also one that failed, whose row is NaN. In a path a line end is written as \n, and a byte that is not
    /// UTF-8 as \xff; with -0 each path is as the system has it and ends with NUL.
    #[arg(long, value_name = "FILE")]
    pub(crate) paths: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) inputs: Inputs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Similar {
    #[command(flatten)]
    pub(crate) model: Model,
    /// Images to find the like of
    #[arg(required_unless_present = "duplicates", value_name = "QUERY")]
    pub(crate) queries: Vec<PathBuf>,
    /// Where to look: a folder with all images that are in it, or an index of one
    #[arg(long = "in", value_name = "FOLDER|INDEX")]
    pub(crate) place: PathBuf,
    #[command(flatten)]
    pub(crate) folders: FolderOptions,
    /// Keep the features of the folder in this file: next time only files with another size or time are read
    #[arg(long, value_name = "FILE")]
    pub(crate) index: Option<PathBuf>,
    /// How many images to show for each query
    #[arg(short, default_value_t = 10, value_name = "N", value_parser = at_least_one)]
    pub(crate) k: usize,
    /// Show only images of at least this similarity
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true, value_parser = cosine)]
    pub(crate) min_score: Option<f32>,
    /// Instead of a search: the groups of images in the folder that are alike, each linked to another one by at least --min-score, or 0.95
    ///
    /// What is like depends on the network. ResNet-18 gave 0.86 to 0.95 to copies at 60 % of the size and JPEG quality 60, and at most
    /// 0.68 to other photos; the small builtin network tells photos apart less well.
    #[arg(long, conflicts_with = "queries")]
    pub(crate) duplicates: bool,
    /// With --duplicates: all pairs that are alike, instead of groups
    #[arg(long, requires = "duplicates")]
    pub(crate) pairs: bool,
    /// Form of the output
    #[arg(long, value_enum, default_value_t = SimilarFormat::Text)]
    pub(crate) format: SimilarFormat,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Fit {
    #[command(flatten)]
    pub(crate) model: Model,
    /// A folder with a folder of images for each class, or a list of paths and labels: .csv, .tsv or .jsonl
    #[arg(value_name = "TRAIN")]
    pub(crate) train: PathBuf,
    /// The checkpoint to write
    #[arg(short, long, value_name = "MINE.safetensors")]
    pub(crate) output: PathBuf,
    /// Judge the result by these images, instead of holding out a fifth of the others
    #[arg(long, value_name = "VAL")]
    pub(crate) val: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) folders: FolderOptions,
    /// How the head is fitted
    #[arg(long, value_enum, default_value_t)]
    pub(crate) method: Method,
    /// An image may have several labels, or none: each class gets a score of its own
    #[arg(long)]
    pub(crate) multi_label: bool,
    /// Let each class count the same, whatever its number of images
    #[arg(long)]
    pub(crate) balanced: bool,
    /// Learn from five more views of each image: mirrored, and cut at its corners
    #[arg(long)]
    pub(crate) augment: bool,
    /// Write the head alone; the file opens where the model of -m is, which it names
    #[arg(long)]
    pub(crate) head_only: bool,
    /// The strength of the regression (scikit-learn's C), instead of the best of 0.0001, 0.001, ... 100
    #[arg(long, value_name = "C", value_parser = above_zero)]
    pub(crate) strength: Option<f64>,
    /// Keep the features of the images in this file, and read only those that changed next time [default: MINE.index]
    #[arg(long, value_name = "FILE")]
    pub(crate) index: Option<PathBuf>,
    /// Also write the verdict to this file, with the hundred most doubtful labels
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Evaluate {
    #[command(flatten)]
    pub(crate) model: Model,
    /// A folder with a folder of images for each class, or a list of paths and labels: .csv, .tsv or .jsonl
    #[arg(value_name = "IMAGES")]
    pub(crate) images: PathBuf,
    #[command(flatten)]
    pub(crate) folders: FolderOptions,
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

/// How a head is fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Method {
    /// Logistic regression
    #[default]
    Logistic,
    /// The class whose mean is nearest by cosine similarity, for very few images
    Centroid,
}

impl Method {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Method::Logistic => "logistic",
            Method::Centroid => "centroid",
        }
    }
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Explain {
    #[command(flatten)]
    pub(crate) model: Model,
    /// A JPEG, PNG, WebP, GIF, BMP or TIFF file, or - for stdin
    pub(crate) image: PathBuf,
    /// The PNG file to write
    #[arg(short, long, value_name = "HEATMAP.png")]
    pub(crate) output: PathBuf,
    /// The class to explain, by index or name, instead of the best one
    #[arg(long, value_name = "N|NAME")]
    pub(crate) class: Option<String>,
    /// Also write the map as numbers to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(crate) model: Model,
    /// An architecture such as resnet50 with made-up weights, instead of a model
    #[arg(long, value_name = "ARCHITECTURE", conflicts_with = "model")]
    pub(crate) synthetic: Option<String>,
    /// Also write a report of all that was compared to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Profile {
    #[command(flatten)]
    pub(crate) model: Model,
    /// Runs, of whose times the medians are given
    #[arg(long, default_value_t = 7, value_name = "N", value_parser = at_least_one)]
    pub(crate) runs: usize,
    /// Write a trace for Perfetto or Chrome
    #[arg(short, long, value_name = "TRACE.json")]
    pub(crate) output: Option<PathBuf>,
    /// Draw the times
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) svg: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Logits {
    #[command(flatten)]
    pub(crate) model: Model,
    /// safetensors file with a tensor "input" [N, 3, H, W] f32, already normalised
    #[arg(long, value_name = "IN.safetensors")]
    pub(crate) input: PathBuf,
    /// safetensors file to write, with a tensor "logits" [N, classes] f32
    #[arg(short, long, value_name = "OUT.safetensors")]
    pub(crate) output: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EmbedFormat {
    Jsonl,
    Npy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SimilarFormat {
    Text,
    Jsonl,
}

fn cosine(text: &str) -> Result<f32, String> {
    text.parse().ok().filter(|score| (-1.0..=1.0).contains(score)).ok_or_else(|| "a similarity, from -1 to 1".into())
}

fn above_zero(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|&c: &f64| c > 0.0 && c.is_finite()).ok_or_else(|| "a number above zero".into())
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&n| n > 0).ok_or_else(|| "a number, at least 1".into())
}
