//! Chooses the names of a model's classes.

use crate::{Labels, Note};

/// The names of `classes` classes: the given ones, or else the configuration's, or else ImageNet's if there are a thousand. A configuration
/// is ignored if it has `stated` another number of classes.
pub(super) fn class_names(
    given: Option<&Labels>,
    configured: Option<Vec<String>>,
    stated: Option<usize>,
    classes: usize,
    notes: &mut Vec<Note>,
) -> Labels {
    let stated = stated.filter(|stated| classes > 0 && *stated != classes);
    let labels = match (given, configured) {
        (Some(given), _) => given.clone(),
        (None, Some(names)) if stated.is_some() || (names.len() > classes && classes > 0) => {
            let configured = stated.unwrap_or(names.len());
            notes.push(Note::ClassesDiffer { configured, classes, named: true });
            Labels::new(Vec::new())
        }
        (None, Some(names)) => Labels::new(names),
        (None, None) => match stated {
            Some(stated) => {
                notes.push(Note::ClassesDiffer { configured: stated, classes, named: false });
                Labels::new(Vec::new())
            }
            None if classes == 1000 => Labels::imagenet(),
            None => Labels::new(Vec::new()),
        },
    };
    if !labels.is_empty() && labels.len() != classes && classes > 0 {
        notes.push(Note::LabelsDiffer { labels: labels.len(), classes });
    }
    labels
}
