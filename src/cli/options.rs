//! The options that every command takes.

use std::{num::NonZero, path::PathBuf};

use clap::Args;
use residua::{Precision, Structure, image::Filter, stream::Batch};

/// Options that every command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Where to run: auto, cpu, reference (plain loops), an index or a part of a name out of `residua devices` [default: auto]
    ///
    /// A number is an index, never a part of a name. auto takes the best adapter that can be opened, and cpu where there is none, or none
    /// but software adapters, which are slower. Without this option the variable WGPU_ADAPTER_NAME names the adapter, by a part of its
    /// name. WGPU_BACKEND (vulkan, metal, dx12) says in which interfaces adapters are looked for.
    #[arg(long, global = true, value_name = "auto|cpu|reference|INDEX|NAME-PART")]
    pub(crate) device: Option<String>,
    /// How weights and activations are stored on the device
    #[arg(long, global = true, value_enum, default_value_t)]
    pub(crate) precision: Precision,
    /// Threads that compute with --device cpu [default: as many as the process may use cores]
    #[arg(long, global = true, value_name = "N", value_parser = threads)]
    pub(crate) threads: Option<NonZero<usize>>,
    /// Images per submission: a number, or auto
    ///
    /// auto goes by the network and the kind of device: 1 with --device reference, else 4 to 256, fewer where fewer images are named or
    /// where the activations would take more than 1 GiB (4 GiB on a discrete GPU). A batch that does not fit is halved. The same command
    /// with the same number of images a batch gives the same bits each time, for an image alone, in a last batch that is not full, and
    /// after --resume; with another number the last bits may differ (see --deterministic).
    #[arg(long, global = true, default_value = "auto", value_name = "N|auto", value_parser = batch)]
    pub(crate) batch: Batch,
    /// Give an image the same bits whatever --batch says: kernels are chosen as for one image, which is slower in large batches
    #[arg(long, global = true)]
    pub(crate) deterministic: bool,
    /// First measure which kernels are the fastest on this device, where that is not known yet
    ///
    /// Takes about a minute for a large network. What was measured is kept in the cache (tuned-DEVICE.json), one file for each device
    /// and driver, and used from then on without this option. Kernels are measured for batches of 1, of 2 to 16 and of more images;
    /// with --batch N for that one, else for the first two, and on a GPU for all three. Only kernels that agree with the plain one
    /// are chosen.
    #[arg(long, global = true)]
    pub(crate) tune: bool,
    /// The same, also where it was measured before
    #[arg(long, global = true, conflicts_with = "tune")]
    pub(crate) retune: bool,
    /// Choose kernels by rules alone, whatever was measured before or comes with residua
    #[arg(long, global = true, conflicts_with_all = ["tune", "retune"])]
    pub(crate) no_tune: bool,
    /// The network of a file to take, where it holds several (teacher, encoder_k) or more than one that classifies (backbone.body)
    ///
    /// It is named by the prefix of its tensors, or what of that is no wrapper's name; all other tensors are left out. Without this option
    /// it is the only one that is no average of another: student before teacher, encoder_q before encoder_k, the model before its EMA.
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) part: Option<String>,
    /// Leave out modules around the network that may take part in what it computes, instead of refusing the model
    #[arg(long, global = true)]
    pub(crate) allow_extra: bool,
    /// Take no notice of the config.json that lies beside a model's file
    #[arg(long, global = true)]
    pub(crate) no_config: bool,
    /// Open a model with weights that are NaN or infinite, to look at it
    #[arg(long, global = true)]
    pub(crate) allow_nonfinite: bool,
    /// What no tensor of the model shows of its network: pairs such as stem-pool=max,stride-in=1x1
    ///
    /// It wins over the model's configuration, and that over what is usual; `info` tells what was taken, and from where.
    ///
    /// stem-pool=max|none: whether 3x3 max pooling of stride 2 follows the first convolutions.
    /// stem-stride=1..4: stride of the first convolution.
    /// layer1-stride=1|2: stride of the first stage of blocks.
    /// stride-in=1x1|3x3: the convolution of a bottleneck that strides.
    /// dilation=none|layer3+layer4: stages that dilate instead of striding (torchvision's replace_stride_with_dilation).
    /// output-stride=8|16|32: the same, as timm says it.
    /// global-pool=avg|max|avgmax|catavgmax|catmaxavg|none: what becomes of the last map before the head.
    /// norm-eps=1e-5: what batch normalisation adds to the variance.
    /// activation=relu|leaky_relu:0.01|silu|gelu|hard_swish|elu|...: the names of timm, torch and transformers.
    /// block-activation=...: the one between the convolutions of a block, where that is another.
    /// head-activation=...: the one between the linear layers of a head.
    /// head=none: the head is left out, so that the network ends in its features.
    #[arg(long, global = true, value_name = "KEY=VALUE,...", verbatim_doc_comment)]
    pub(crate) structure: Option<Structure>,
    /// Use what is in the cache of the hub, and no network (also: the variable HF_HUB_OFFLINE)
    #[arg(long, global = true)]
    pub(crate) offline: bool,
    /// No notes on stderr, only errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// More: `info` shows graph and plan, the graphics layer's log goes to stderr
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    /// No colours on stderr (also: the variable NO_COLOR)
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
    /// The size that the model's authors test it at, where one is stated (timm's test_input_size)
    #[arg(long, global = true, help_heading = "Preprocessing, instead of the model's own")]
    pub(crate) test_size: bool,
    /// Pixels of the shorter side before the crop
    #[arg(long, global = true, value_name = "PIXELS", help_heading = "Preprocessing, instead of the model's own")]
    pub(crate) resize: Option<usize>,
    /// Rows and columns of the crop that the network sees
    #[arg(long, global = true, value_name = "PIXELS", help_heading = "Preprocessing, instead of the model's own")]
    pub(crate) crop: Option<usize>,
    /// Resampling filter
    #[arg(long, global = true, value_enum, help_heading = "Preprocessing, instead of the model's own")]
    pub(crate) filter: Option<Filter>,
    /// Mean of red, green and blue in 0..1, or of grey values
    #[arg(long, global = true, value_name = "R,G,B", value_parser = triple, help_heading = "Preprocessing, instead of the model's own")]
    pub(crate) mean: Option<[f32; 3]>,
    /// Standard deviation of red, green and blue in 0..1, or of grey values
    #[arg(long, global = true, value_name = "R,G,B", value_parser = triple, help_heading = "Preprocessing, instead of the model's own")]
    pub(crate) std: Option<[f32; 3]>,
    /// Class names: a name a line, a JSON list, a JSON object from index to name or from name to index, or imagenet_class_index.json
    #[arg(long, global = true, value_name = "FILE", help_heading = "Preprocessing, instead of the model's own")]
    pub(crate) labels: Option<PathBuf>,
    /// Leave photos as they are stored, whatever their EXIF orientation says (as timm and torchvision do)
    #[arg(long, global = true, help_heading = "Preprocessing, instead of the model's own")]
    pub(crate) no_exif: bool,
    /// Classify what is there of a truncated JPEG
    #[arg(long, global = true, help_heading = "Preprocessing, instead of the model's own")]
    pub(crate) allow_truncated: bool,
    /// Refuse damaged images that can be decoded all the same
    #[arg(
        long,
        global = true,
        conflicts_with = "allow_truncated",
        help_heading = "Preprocessing, instead of the model's own"
    )]
    pub(crate) strict: bool,
}

fn batch(text: &str) -> Result<Batch, String> {
    match text.parse::<NonZero<usize>>() {
        _ if text == "auto" => Ok(Batch::Auto),
        Ok(n) if n.get() <= 65536 => Ok(Batch::Of(n)),
        _ => Err("a number from 1 to 65536, or auto".into()),
    }
}

fn threads(text: &str) -> Result<NonZero<usize>, String> {
    let threads = text.parse::<NonZero<usize>>().ok().filter(|threads| threads.get() <= 1024);
    threads.ok_or_else(|| "a number from 1 to 1024".into())
}

fn triple(text: &str) -> Result<[f32; 3], String> {
    let numbers: Result<Vec<f32>, _> = text.split(',').map(|part| part.trim().parse()).collect();
    let numbers = numbers.map_err(|error| error.to_string())?;
    match numbers[..] {
        [grey] => Ok([grey; 3]),
        [r, g, b] => Ok([r, g, b]),
        _ => Err("three numbers with commas between them, or one".into()),
    }
}
