//! Which names the classes of a model get.

use crate::Labels;

/// The names of `classes` classes: those that are given, or else those that the configuration has, or else those of ImageNet for a
/// thousand. A configuration that is for another number of classes, as it may have `stated`, names none.
pub(crate) fn class_names(
    given: Option<&Labels>,
    configured: Option<Vec<String>>,
    stated: Option<usize>,
    classes: usize,
    notes: &mut Vec<String>,
) -> Labels {
    let stated = stated.filter(|stated| classes > 0 && *stated != classes);
    let labels = match (given, configured) {
        (Some(given), _) => given.clone(),
        (None, Some(names)) if stated.is_some() || (names.len() > classes && classes > 0) => {
            let named = stated.unwrap_or(names.len());
            notes.push(format!(
                "the configuration names {named} classes, the weights have {classes}: its names are not used"
            ));
            Labels::new(Vec::new())
        }
        (None, Some(names)) => Labels::new(names),
        (None, None) => match stated {
            Some(stated) => {
                notes.push(format!("the configuration is for {stated} classes, the weights have {classes}"));
                Labels::new(Vec::new())
            }
            None if classes == 1000 => Labels::imagenet(),
            None => Labels::new(Vec::new()),
        },
    };
    match labels.len() {
        0 => {}
        few if few < classes => {
            notes.push(format!("{few} labels for {classes} classes: the others are named by their index"));
        }
        many if many > classes && classes > 0 => {
            notes.push(format!("{many} labels for {classes} classes: the rest is not used"));
        }
        _ => {}
    }
    labels
}
