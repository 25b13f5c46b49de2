//! Hints that the command line adds to the library's messages: which option or command helps.

use residua::{Error, Note};

/// An error's message, a hint, and its code.
pub(crate) fn of_error(error: &Error) -> String {
    let model = if let Error::Hub { model, .. } = error { model } else { "" };
    let hint = hint(error.code()).map_or_else(String::new, |hint| format!("; {}", hint.replace("MODEL", model)));
    format!("{error}{hint} [{}]", error.code())
}

/// A note's message, and a hint.
pub(crate) fn of_note(note: &Note) -> String {
    let hint = match note {
        Note::KernelWrong { .. } => "; run `residua verify` to find out more",
        Note::StemPoolAssumed => "; choose with --structure",
        _ => "",
    };
    format!("{note}{hint}")
}

/// The hint for errors with this code; MODEL stands for the name of a model on the hub.
fn hint(code: &str) -> Option<&'static str> {
    Some(match code {
        "gpu.no_adapter" => "--device cpu needs no GPU",
        "gpu.unknown_device" => "see `residua devices`",
        "model.part" => "choose one with --part NAME",
        "model.unexpected_tensor" => {
            "--part NAME takes only the tensors under a prefix, --allow-extra ignores tensors beside the network"
        }
        "hub.corrupt" => "run `residua pull MODEL` online to repair it",
        "hub.network" => "--offline uses only the cache",
        "hub.not_cached" => "download it with `residua pull MODEL`, without --offline or HF_HUB_OFFLINE",
        "image.folder" => "give -r to classify the images in it",
        _ => return None,
    })
}
