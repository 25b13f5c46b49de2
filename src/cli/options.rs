//! The options that every command takes.

use std::{num::NonZero, path::PathBuf};

use clap::Args;
use residua::{Precision, Structure, image::Filter, stream::Batch};

/// Options that every command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// auto, cpu, reference (plain loops), or an index or part of a name [default: auto]
    ///
    /// `residua devices` lists names and indices; a number is always an index. auto takes the best GPU that can be opened, and the CPU if
    /// there is none or only software adapters, which are slower. Without this option the variable WGPU_ADAPTER_NAME may give a part of a
    /// name. WGPU_BACKEND (vulkan, metal, dx12) limits the graphics APIs whose adapters are listed.
    #[arg(long, global = true, value_name = "DEVICE")]
    pub(crate) device: Option<String>,
    /// Precision in which a GPU stores weights and activations
    #[arg(long, global = true, value_enum, default_value_t, hide_short_help = true)]
    pub(crate) precision: Precision,
    /// Threads of --device cpu [default: the cores that the process may use]
    #[arg(long, global = true, value_name = "N", value_parser = threads)]
    pub(crate) threads: Option<NonZero<usize>>,
    /// Images per batch: a number, or auto
    ///
    /// auto depends on the network and the device: 1 with --device reference, otherwise 4 to 256, fewer if fewer images are named or if
    /// the activations would exceed 1 GiB (4 GiB on a discrete GPU). A batch that does not fit is halved. The same command gives the same
    /// bits each time, also in a last batch that is not full and after --resume. With another batch size the last bits may differ (see
    /// --deterministic).
    #[arg(long, global = true, default_value = "auto", value_name = "N|auto", value_parser = batch)]
    pub(crate) batch: Batch,
    /// Give an image the same bits at every batch size; slower in large batches
    #[arg(long, global = true, hide_short_help = true)]
    pub(crate) deterministic: bool,
    /// Measure which kernels are fastest on this device, and use them from then on
    ///
    /// Takes about a minute for a large network. The times are kept in the cache (tuned-DEVICE.json), one file per device and driver, and
    /// used later without this option. Batches of 1, of 2 to 16 and of more images are measured separately: with --batch N only the range
    /// of N, otherwise the first two, and on a GPU all three. Only kernels that agree with the plain one are chosen.
    #[arg(long, global = true, hide_short_help = true)]
    pub(crate) tune: bool,
    /// Like --tune, but repeat earlier measurements
    #[arg(long, global = true, conflicts_with = "tune", hide_short_help = true)]
    pub(crate) retune: bool,
    /// Choose kernels by rules alone, and ignore all measurements
    #[arg(long, global = true, conflicts_with_all = ["tune", "retune"], hide_short_help = true)]
    pub(crate) no_tune: bool,
    /// The network to use, if the file holds several (teacher, encoder_k)
    ///
    /// Give the prefix of its tensors' names; wrappers such as module may be left out. All other tensors are ignored. Without this option
    /// residua takes the network that was trained: student before teacher, encoder_q before encoder_k, the model before its EMA.
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    pub(crate) part: Option<String>,
    /// Ignore modules around the network that may change its results
    #[arg(long, global = true, hide_short_help = true)]
    pub(crate) allow_extra: bool,
    /// Ignore the config.json beside a model's file
    #[arg(long, global = true, hide_short_help = true)]
    pub(crate) no_config: bool,
    /// Open a model whose weights are NaN or infinite, for inspection
    #[arg(long, global = true, hide_short_help = true)]
    pub(crate) allow_nonfinite: bool,
    /// Properties that no tensor shows, such as stem-pool=max,stride-in=1x1
    ///
    /// They override the model's configuration, which overrides the usual values. `residua info` prints the values and their sources.
    ///
    /// stem-pool=max|none: whether 3x3 max pooling with stride 2 follows the first convolutions.
    /// stem-stride=1..4: stride of the first convolution.
    /// layer1-stride=1|2: stride of the first stage of blocks.
    /// stride-in=1x1|3x3: which convolution of a bottleneck has the stride.
    /// dilation=none|layer3+layer4: stages with dilation instead of stride (torchvision's replace_stride_with_dilation).
    /// output-stride=8|16|32: the same in timm's terms.
    /// anti-aliasing=none|avg|blur: the filter that replaces strides (timm's aa_layer).
    /// global-pool=avg|max|avgmax|catavgmax|catmaxavg|none: pooling of the last feature map, before the head.
    /// norm-eps=1e-5: the number that batch normalisation adds to the variance.
    /// activation=relu|leaky_relu:0.01|silu|gelu|hard_swish|elu|...: any name of timm, torch or transformers.
    /// block-activation=...: between the convolutions of a block, if it differs.
    /// gate-activation=...: between the layers of squeeze-and-excitation, if it differs.
    /// head-activation=...: between the linear layers of a head.
    /// conv-padding=sides|same: padding of a ResNetV2's or BiT's strided convolutions, on all sides or as TensorFlow's SAME.
    /// pool-padding=ignored|zeros|same|zeros+same|none: padding of their stem's max pooling; ignored is never the maximum.
    /// shortcut-pool=mean|none: whether their shortcuts pool instead of striding.
    /// norm-groups=32: groups of their group normalisation.
    /// standardised-weights=yes|no: whether their convolutions standardise the weights.
    /// shortcut-input=norm|block: whether shortcuts of a PreActResNet for CIFAR read the first norm of their block or its input.
    /// dense-order=newest-last|newest-first: whether the layers of a DenseNet put their output after or before their input.
    /// transition-activation=...: between the norm and the convolution of its transitions, if it differs.
    /// head=none: leave out the head, so that the network ends with its features.
    #[arg(long, global = true, value_name = "KEY=VALUE,...", verbatim_doc_comment, hide_short_help = true)]
    pub(crate) structure: Option<Structure>,
    /// Do not use the network, only the hub's cache (also: the variable HF_HUB_OFFLINE)
    #[arg(long, global = true, hide_short_help = true)]
    pub(crate) offline: bool,
    /// Print only errors on stderr, no notes
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Print more: the graph and plan (info), the graphics layer's log (stderr)
    #[arg(short, long, global = true, hide_short_help = true)]
    pub(crate) verbose: bool,
    /// No colours on stderr (also: the variable NO_COLOR)
    #[arg(long, global = true, hide_short_help = true)]
    pub(crate) no_color: bool,
    /// Use the test size that the model states, if it does (timm's test_input_size)
    #[arg(long, global = true, help_heading = "Preprocessing, instead of the model's own", hide_short_help = true)]
    pub(crate) test_size: bool,
    /// Pixels of the shorter side before the crop
    #[arg(
        long,
        global = true,
        value_name = "PIXELS",
        help_heading = "Preprocessing, instead of the model's own",
        hide_short_help = true
    )]
    pub(crate) resize: Option<usize>,
    /// Rows and columns of the crop that the network sees
    #[arg(
        long,
        global = true,
        value_name = "PIXELS",
        help_heading = "Preprocessing, instead of the model's own",
        hide_short_help = true
    )]
    pub(crate) crop: Option<usize>,
    /// Resampling filter
    #[arg(
        long,
        global = true,
        value_enum,
        help_heading = "Preprocessing, instead of the model's own",
        hide_short_help = true
    )]
    pub(crate) filter: Option<Filter>,
    /// Mean of red, green and blue, from 0 to 1, or one number for grey
    #[arg(
        long,
        global = true,
        value_name = "R,G,B",
        value_parser = triple,
        help_heading = "Preprocessing, instead of the model's own",
        hide_short_help = true
    )]
    pub(crate) mean: Option<[f32; 3]>,
    /// Standard deviation of red, green and blue, from 0 to 1, or one number for grey
    #[arg(
        long,
        global = true,
        value_name = "R,G,B",
        value_parser = triple,
        help_heading = "Preprocessing, instead of the model's own",
        hide_short_help = true
    )]
    pub(crate) std: Option<[f32; 3]>,
    /// Class names: one per line, a JSON list or object, or imagenet_class_index.json
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) labels: Option<PathBuf>,
    /// Ignore the EXIF orientation of photos, as timm and torchvision do
    #[arg(long, global = true, help_heading = "Preprocessing, instead of the model's own", hide_short_help = true)]
    pub(crate) no_exif: bool,
    /// Accept truncated JPEGs, and classify the part that is there
    #[arg(long, global = true, help_heading = "Preprocessing, instead of the model's own", hide_short_help = true)]
    pub(crate) allow_truncated: bool,
    /// Refuse damaged images, even if they can be decoded
    #[arg(
        long,
        global = true,
        conflicts_with = "allow_truncated",
        help_heading = "Preprocessing, instead of the model's own",
        hide_short_help = true
    )]
    pub(crate) strict: bool,
}

fn batch(text: &str) -> Result<Batch, String> {
    match text.parse::<NonZero<usize>>() {
        _ if text == "auto" => Ok(Batch::Auto),
        Ok(n) if n.get() <= 65536 => Ok(Batch::Of(n)),
        _ => Err("expected a number from 1 to 65536, or auto".into()),
    }
}

fn threads(text: &str) -> Result<NonZero<usize>, String> {
    let threads = text.parse::<NonZero<usize>>().ok().filter(|threads| threads.get() <= 1024);
    threads.ok_or_else(|| "expected a number from 1 to 1024".into())
}

fn triple(text: &str) -> Result<[f32; 3], String> {
    let numbers: Result<Vec<f32>, _> = text.split(',').map(|part| part.trim().parse()).collect();
    let numbers = numbers.map_err(|error| error.to_string())?;
    match numbers[..] {
        [grey] => Ok([grey; 3]),
        [r, g, b] => Ok([r, g, b]),
        _ => Err("expected one number, or three separated by commas".into()),
    }
}
