//! Which option or command helps: what the command line adds to the library's sentences.

use residua::{Error, Note};

/// The sentence of an error, what may help, and its code.
pub(crate) fn of_error(error: &Error) -> String {
    let model = if let Error::Hub { model, .. } = error { model } else { "" };
    let hint = hint(error.code()).map_or_else(String::new, |hint| format!("; {}", hint.replace("MODEL", model)));
    format!("{error}{hint} [{}]", error.code())
}

/// The sentence of a note, and what may help.
pub(crate) fn of_note(note: &Note) -> String {
    let hint = match note {
        Note::KernelWrong { .. } => "; `residua verify` finds out more",
        Note::StemPoolAssumed => "; choose with --structure",
        _ => "",
    };
    format!("{note}{hint}")
}

/// The option or command that helps against errors with this code; MODEL stands for the name of a model of the hub.
fn hint(code: &str) -> Option<&'static str> {
    Some(match code {
        "gpu.no_adapter" => "--device cpu needs none",
        "gpu.unknown_device" => "see `residua devices`",
        "model.part" => "choose one with --part NAME",
        "model.unexpected_tensor" => {
            "--part NAME takes only the network under a prefix, --allow-extra ignores tensors beside it"
        }
        "hub.corrupt" => "`residua pull MODEL` repairs it when online",
        "hub.network" => "--offline uses what is in the cache",
        "hub.not_cached" => "download it with `residua pull MODEL`, without --offline or HF_HUB_OFFLINE",
        "image.folder" => "give -r to classify the images in it",
        _ => return None,
    })
}
