//! Opens a classifier in steps: collect the settings, locate the model, recognise it, describe it, and prepare its executor. Each file is a
//! step, and passes its result to the next.

mod agreement;
pub(crate) mod builder;
mod class_names;
mod cores;
mod described;
mod links;
mod located;
mod prepared;
mod recognised;
pub(crate) mod settings;

use std::sync::Arc;

use described::Described;
use located::Located;
use prepared::Prepared;
use recognised::Recognised;
use settings::Settings;

use crate::{
    Classifier, Error, Result,
    executor::{Host, Work},
};

/// Opens the device while reading the model, then puts the model on the device.
async fn open(settings: Settings, host: Arc<dyn Host>) -> Result<Classifier> {
    let host = match settings.threads {
        Some(threads) => cores::limited(host, threads),
        None => host,
    };
    let (mut device, mut described) = (None, None);
    {
        let open = async { device = Some(prepared::device(&settings, host.clone()).await) };
        let read = async { described = Some(describe(&settings)) };
        // Opening a device takes about as long as reading a checkpoint, so do both at once.
        let mut works: Vec<Work<'_>> = vec![Box::pin(read)];
        if !settings.wanted.is_cpu() {
            works.push(Box::pin(open));
        }
        host.all(works).await;
    }
    let stopped = || Error::ModelNotFound { model: "reading the model".into(), reason: "the host stopped it".into() };
    let described = described.ok_or_else(stopped)??;
    let Prepared { executor, model, notes } = Prepared::of(described, device, &settings, host).await?;
    Ok(Classifier::new(executor, model, settings.decode, notes))
}

fn describe(settings: &Settings) -> Result<Described> {
    if let Some(graph) = &settings.graph {
        return Described::own(graph, settings);
    }
    let located = Located::find(settings)?;
    let recognised = Recognised::of(located, settings)?;
    Described::of(recognised, settings)
}
