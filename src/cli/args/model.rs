//! The choice of model.

use clap::Args;

/// The choice of model.
#[derive(Debug, Args)]
pub(crate) struct Model {
    /// builtin, a file, a folder, or a name or id on the hub
    ///
    /// A file is a checkpoint in safetensors, or as torch.save writes it; a folder has model.safetensors and config.json. A model on the
    /// hub has a name such as resnet50 or an id such as timm/resnet50.a1_in1k; @REVISION may follow.
    #[arg(short, long, default_value = "builtin", value_name = "MODEL")]
    pub(crate) model: String,
}

/// The choice of model, with or without -m.
#[derive(Debug, Args)]
pub(crate) struct NamedModel {
    /// The same as -m MODEL
    #[arg(value_name = "MODEL", conflicts_with = "model")]
    name: Option<String>,
    #[command(flatten)]
    option: Model,
}

impl NamedModel {
    /// The model that was named, or the default.
    pub(crate) fn name(&self) -> &str {
        self.name.as_ref().unwrap_or(&self.option.model)
    }
}
