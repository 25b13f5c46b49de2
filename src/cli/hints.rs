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
        Note::StemPoolAssumed => "; --structure takes either",
        _ => "",
    };
    format!("{note}{hint}")
}

/// What helps against errors of this code; MODEL stands for the name of a model of the hub.
fn hint(code: &str) -> Option<&'static str> {
    Some(match code {
        "gpu.no_adapter" => "--device cpu does without one",
        "gpu.unknown_device" => "see `residua devices`",
        "model.part" => "--part NAME takes it",
        "model.unexpected_tensor" => {
            "--part NAME takes a network under a prefix alone, --allow-extra leaves out what lies beside it"
        }
        "hub.corrupt" => "`residua pull MODEL` with network mends it",
        "hub.network" => "--offline uses what is in the cache",
        "hub.not_cached" => "`residua pull MODEL` fetches it, without --offline and HF_HUB_OFFLINE",
        "image.folder" => "give -r to classify what is in it",
        _ => return None,
    })
}
