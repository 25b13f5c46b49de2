//! The command line's grammar and help.

mod evaluate;
mod fit;
mod model;

use std::path::PathBuf;

use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub(crate) use self::{
    evaluate::Evaluate,
    fit::{Fit, Method},
    model::{Model, NamedModel},
};
use super::{
    io::{folder::FolderOptions, inputs::Inputs, records::Format},
    options::Global,
};

/// Classify and embed images with residual networks, on any GPU or on the CPU
#[derive(Debug, Parser)]
#[command(
    version,
    max_term_width = 100,
    disable_help_flag = true,
    after_help = "Examples:
  residua classify photo.jpg
  residua classify -m model.safetensors -k 3 --format jsonl -r photos/
  residua embed -r photos/ --format npy -o photos.npy
  residua similar photo.jpg --in photos/
  residua info model.safetensors"
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    /// Print the common options
    #[arg(short, long, global = true, action = ArgAction::HelpShort)]
    help: Option<bool>,
    /// Print all options, with their details
    #[arg(long, global = true, action = ArgAction::HelpLong)]
    help_all: Option<bool>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The command to run.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Name the classes of images
    #[command(after_help = "Examples:
  residua classify photo.jpg
  residua classify -r photos/ --format csv > classes.csv
  residua classify -r photos/ --format jsonl --resume classes.jsonl
  find photos -type f -mtime -7 -print0 | residua classify -0 @-
  cat photo.jpg | residua classify -

Results come in the order of the inputs, a batch at a time; --batch 1 answers each image at once.
Files that are left out of a folder are counted on stderr.
Exit status 1 if an input failed: an image that cannot be read, or a folder without images.")]
    Classify(Classify),
    /// Draw where in a photo the evidence for a class lies
    #[command(after_help = "Examples:
  residua explain photo.jpg -o heatmap.png
  residua explain photo.jpg -o heatmap.png --class ship --json map.json

The colours show the class-activation map: exactly what each place adds to the class's logit. The
map covers the crop that the network sees, and is drawn over the photo at its full size.")]
    Explain(Explain),
    /// Compute the features of images: the vector that the network's head reads
    #[command(after_help = "Examples:
  residua embed -m resnet18.safetensors photo.jpg
  residua embed -r photos/ --format npy -o photos.npy --paths photos.txt

jsonl: one object per image, {\"path\", \"model\", \"embedding\": [...]},
       or {\"path\", \"error\": {\"code\", \"message\"}}.
npy: a NumPy array [N, features] f32, one row per input, in their order; NaN if the input failed.
Exit status 1 if an input failed: an image that cannot be read, or a folder without images.")]
    Embed(Embed),
    /// Find the images in a folder most similar to an image, or to each other
    #[command(after_help = "Examples:
  residua similar photo.jpg --in photos/
  residua similar photo.jpg --in photos/ --index photos.index -k 3
  residua similar photo.jpg --in photos.index --format jsonl
  residua similar --duplicates --in photos/

The score is the cosine similarity of the features (see embed): 1 for equal images. The search is
exact. The score of a group is the lowest between any two of its images. It can be below --min-score
if two images are linked only through others.
jsonl: one object per query, {\"path\", \"model\", \"neighbours\": [{\"path\", \"score\"}, ...]};
       with --duplicates one per group or pair, {\"paths\": [...], \"score\"}.
Exit status 1 if a query or an image of the folder failed, or if the folder has no images.
An index is a safetensors file for any language: \"embeddings\" F32 [N, features], rows of unit
length; \"paths\" U8, each path ended by NUL; \"sizes\" and \"mtimes\" I64 [N]; model and preprocessing
in its metadata. An index of another model is refused.
  tensors = safetensors.numpy.load_file('photos.index')
  paths = tensors['paths'].tobytes().decode().split('\\0')")]
    Similar(Similar),
    /// Train your own classes: a new head on a model, from a folder per class
    #[command(after_help = "Examples:
  residua fit -m resnet18.safetensors train/ -o mine.safetensors
  residua fit -m resnet18.safetensors train/ -o mine.safetensors --val val/ --augment --balanced
  residua fit -m resnet18.safetensors labels.csv -o tags.safetensors --multi-label
  residua classify -m mine.safetensors photo.jpg

TRAIN is a folder with a folder per class, or a list of paths and labels: a table (.csv, .tsv), with
or without a header, or JSON Lines (.jsonl) of {\"path\", \"label\"}. With --multi-label, JSON Lines have
{\"path\", \"labels\": [...]}, and a table separates labels by ;.
The network stays as it is. Its new head is a logistic regression on the features; cross-validation
chooses its strength. The file is an ordinary checkpoint for every command and for timm: weights,
class names, preprocessing, and how it was made. With --method neighbours it has the features of the
images instead of a head, and only residua counts the nearest ones.
Exit status 1 if an image could not be read and was left out.")]
    Fit(Fit),
    /// Measure how well a model does on images whose classes are known
    #[command(after_help = "Examples:
  residua evaluate -m mine.safetensors val/
  residua evaluate -m mine.safetensors val/ --resume val.jsonl --format markdown > report.md
  residua evaluate -m mine.safetensors val/ --confusion confusion.svg --mistakes mistakes.png
  residua evaluate -m mine.safetensors val/ --threshold broken --curves curves.svg

IMAGES is a folder with a folder per class, images with a WordNet id in their names, a list as for
fit, or Kaggle's LOC_val_solution.csv. Folders and labels are matched with the model's classes by
name, by WordNet id or by index. Images of other classes are reported and left out.
The figures are those of scikit-learn's classification_report, log_loss and confusion_matrix; the
calibration error uses 15 bins.
Exit status 1 if an image could not be read and was left out.")]
    Evaluate(Evaluate),
    /// Run a network on normalised input from a safetensors file
    #[command(after_help = "Example:
  residua logits -m resnet18.safetensors --input in.safetensors --output out.safetensors

IN holds a tensor \"input\" [N, C, H, W] f32, with as many channels C as the network reads.
OUT gets a tensor \"logits\" [N, classes] f32.")]
    Logits(Logits),
    /// List the devices, which one is used, and why
    #[command(after_help = "Example:\n  residua devices --device 0")]
    Devices,
    /// Show what a model is: network, preprocessing, classes (-v: graph and plan)
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
    /// Write a model as a safetensors file in torchvision's spelling
    #[command(after_help = "Examples:
  residua convert weights.pth -o converted.safetensors
  residua convert weights.pth --part teacher -o teacher.safetensors
  residua convert builtin --labels labels.txt -o named.safetensors

The file holds the network's tensors bit for bit. Its metadata holds the properties that no tensor
shows, class names, preprocessing and the kind of scores, from the options or else from the model.
So it opens without these options. Other networks, projectors and queues are left out.
No GPU is used.")]
    Convert(Convert),
    /// Check every layer, precision and kernel against the reference loops
    #[command(after_help = "Examples:
  residua verify
  residua verify -m model.safetensors --json report.json
  residua verify --synthetic cifar_resnet20a --batch 8

The reference is slow: a smaller --crop saves time with large networks. A kernel that is found wrong
is not used on this device again until a later verify finds it right.")]
    Verify(Verify),
    /// Write the crop of an image that the network will see
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

TRACE.json opens in https://ui.perfetto.dev and in Chrome's about:tracing. A layer's floor is the
time that its operations (two per multiply-add) or its bytes (each value and weight once) take at
the best rate in this profile, whichever is longer. A 1x1 convolution of 512 to 512 channels over
56x56 pixels and an elementwise kernel over 64 MiB also count for that rate.")]
    Profile(Profile),
    /// Download a model, or its newest commit, into the cache, and print its folder
    #[command(after_help = "Examples:
  residua pull resnet50
  residua pull microsoft/resnet-50@main

The cache is that of Python's huggingface_hub. HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN and
HF_HUB_OFFLINE mean what they mean there.")]
    Pull {
        /// A name such as resnet50, or a hub id such as timm/resnet50.a1_in1k; @REVISION may follow
        #[arg(required_unless_present = "option")]
        model: Option<String>,
        /// The same as MODEL, for consistency with other commands
        #[arg(id = "option", short = 'm', long = "model", value_name = "MODEL", conflicts_with = "model")]
        option: Option<String>,
    },
    /// Print everything a bug report needs: versions, devices, tests, caches
    #[command(after_help = "Examples:\n  residua doctor\n  residua doctor --json > report.json")]
    Doctor {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print a shell's completion script
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
        /// The command to describe [default: residua itself]
        command: Option<String>,
        /// Write the pages of all commands into this folder
        #[arg(short, long, value_name = "FOLDER", conflicts_with = "command")]
        output: Option<PathBuf>,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Classify {
    #[command(flatten)]
    pub(crate) model: Model,
    /// Classes to show per image
    #[arg(short, default_value_t = 5, value_name = "N", value_parser = at_least_one)]
    pub(crate) k: usize,
    /// Show only classes of at least this score
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true)]
    pub(crate) min_score: Option<f32>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// Write to this file, and continue where an earlier run stopped
    ///
    /// The inputs must be the same. Inputs that the file already records are not computed again.
    #[arg(long, value_name = "FILE")]
    pub(crate) resume: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) inputs: Inputs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Embed {
    #[command(flatten)]
    pub(crate) model: Model,
    /// Output format
    #[arg(long, value_enum, default_value_t = EmbedFormat::Jsonl)]
    pub(crate) format: EmbedFormat,
    /// Write to this file instead of stdout
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// With --format npy: also write the path of each row to this file, one per line
    ///
    /// An input that failed has a line too, and its row is NaN. A newline in a path is written as \n, and a byte that is not UTF-8 as \xff.
    /// With -0, paths are written unchanged, each ended by NUL.
    #[arg(long, value_name = "FILE")]
    pub(crate) paths: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) inputs: Inputs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Similar {
    #[command(flatten)]
    pub(crate) model: Model,
    /// Images to search for
    #[arg(required_unless_present = "duplicates", value_name = "QUERY")]
    pub(crate) queries: Vec<PathBuf>,
    /// Where to search: a folder, including its subfolders, or the index of a folder
    #[arg(long = "in", value_name = "FOLDER|INDEX")]
    pub(crate) place: PathBuf,
    #[command(flatten)]
    pub(crate) folders: FolderOptions,
    /// Keep the folder's features in this file; next time only changed files are read
    #[arg(long, value_name = "FILE")]
    pub(crate) index: Option<PathBuf>,
    /// Images to show per query
    #[arg(short, default_value_t = 10, value_name = "N", value_parser = at_least_one)]
    pub(crate) k: usize,
    /// Show only images of at least this similarity
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true, value_parser = cosine)]
    pub(crate) min_score: Option<f32>,
    /// Find groups of similar images instead, linked by at least --min-score [default: 0.95]
    ///
    /// Typical similarities depend on the network. ResNet-18 gave 0.86 to 0.95 to copies at 60 % of the size and JPEG quality 60, and at
    /// most 0.68 to other photos; the small builtin network separates photos less well.
    #[arg(long, conflicts_with = "queries")]
    pub(crate) duplicates: bool,
    /// With --duplicates: print all similar pairs instead of groups
    #[arg(long, requires = "duplicates")]
    pub(crate) pairs: bool,
    /// Output format
    #[arg(long, value_enum, default_value_t = SimilarFormat::Text)]
    pub(crate) format: SimilarFormat,
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
pub(crate) struct Convert {
    #[command(flatten)]
    pub(crate) model: NamedModel,
    /// The checkpoint to write
    #[arg(short, long, value_name = "OUT.safetensors")]
    pub(crate) output: String,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(crate) model: Model,
    /// An architecture such as resnet50 with made-up weights, instead of a model
    #[arg(long, value_name = "ARCHITECTURE", conflicts_with = "model")]
    pub(crate) synthetic: Option<String>,
    /// Also write a report of every comparison to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Profile {
    #[command(flatten)]
    pub(crate) model: Model,
    /// Number of runs; times are medians
    #[arg(long, default_value_t = 7, value_name = "N", value_parser = at_least_one)]
    pub(crate) runs: usize,
    /// Write a trace for Perfetto or Chrome
    #[arg(short, long, value_name = "TRACE.json")]
    pub(crate) output: Option<PathBuf>,
    /// Draw the times into this file
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) svg: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Logits {
    #[command(flatten)]
    pub(crate) model: Model,
    /// safetensors file with a tensor "input" [N, C, H, W] f32, already normalised
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
    text.parse()
        .ok()
        .filter(|score| (-1.0..=1.0).contains(score))
        .ok_or_else(|| "expected a similarity from -1 to 1".into())
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&n| n > 0).ok_or_else(|| "expected a number of at least 1".into())
}
