//! Heads that are fitted to features, and how good the answers of a classifier are.

use numpy::{PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::{
    prelude::*,
    types::{PyDict, PyList},
};
use residua::{
    Error, Result,
    learn::{
        Fitted, Head, Logistic, Neighbours, Rows, Truth, centroid,
        measures::{Answer, ClassMeasures, Measures, wilson},
        neighbours,
        tagged::{TagMeasures, Tagged},
    },
};

use crate::{
    errors::{of_package, raised},
    wait::{on_stoppable_thread, on_thread},
};

/// How a head is fitted; all of it is present.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Method {
    /// `logistic`, `centroid` or `neighbours`.
    name: String,
    strengths: Option<Vec<f64>>,
    folds: usize,
    balanced: bool,
}

/// Why a fit ended early.
enum Ended {
    Failed(Error),
    Interrupted,
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Ended::Failed(error)
    }
}

/// Fits a head to features, float32 `[N, features]`, of images of these classes.
#[pyfunction]
pub(crate) fn fit_head<'py>(
    py: Python<'py>,
    features: PyReadonlyArray2<'py, f32>,
    of: Vec<Vec<usize>>,
    classes: usize,
    several: bool,
    method: Method,
) -> PyResult<Bound<'py, PyDict>> {
    let &[_, columns] = features.shape() else { unreachable!("it has two axes") };
    let values = features.as_slice()?.to_vec();
    let truth = Truth { classes, several, of };
    let fitted = on_stoppable_thread(py, move |is_stopped| {
        let rows = Rows { values: &values, features: columns, views: 1 };
        fit(&method, rows, &truth, &mut |_| if is_stopped() { Err(Ended::Interrupted) } else { Ok(()) })
    })?;
    match fitted {
        Ok(fitted) => as_dict(py, fitted, columns),
        Err(Ended::Failed(error)) => Err(raised(py, &error)),
        Err(Ended::Interrupted) => Err(of_package(py, "stopped", "the call was stopped")),
    }
}

fn fit(
    method: &Method,
    rows: Rows<'_>,
    truth: &Truth,
    step: &mut dyn FnMut(f64) -> std::result::Result<(), Ended>,
) -> std::result::Result<Fitted, Ended> {
    match &*method.name {
        "logistic" => {
            let mut logistic = Logistic::default();
            logistic.balanced = method.balanced;
            logistic.folds = method.folds;
            if let Some(strengths) = &method.strengths {
                logistic.strengths.clone_from(strengths);
            }
            logistic.fit(rows, truth, step)
        }
        "centroid" => Ok(centroid(rows, truth)?),
        "neighbours" => neighbours(rows, truth, step),
        other => {
            let expected = "logistic, centroid or neighbours";
            Err(Error::config_value("argument", "method", other, expected).into())
        }
    }
}

fn as_dict(py: Python<'_>, fitted: Fitted, features: usize) -> PyResult<Bound<'_, PyDict>> {
    let Fitted { head, tried, strength, out_of_fold, converged } = fitted;
    let Head { weights, biases, neighbours } = head;
    let dict = PyDict::new(py);
    dict.set_item("weights", PyArray1::from_vec(py, weights).reshape([biases.len(), features])?)?;
    dict.set_item("biases", PyArray1::from_vec(py, biases))?;
    dict.set_item("neighbours", neighbours.map(|Neighbours { k, of }| (k, of.to_vec())))?;
    let tried: Vec<_> = tried.iter().map(|tried| (tried.strength, tried.accuracy, tried.log_loss)).collect();
    dict.set_item("tried", tried)?;
    dict.set_item("strength", strength)?;
    dict.set_item("converged", converged)?;
    dict.set_item("score", PyArray1::from_iter(py, out_of_fold.iter().map(|image| image.of_truth)))?;
    dict.set_item("rather", PyArray1::from_iter(py, out_of_fold.iter().map(|image| image.instead)))?;
    dict.set_item("right", PyArray1::from_iter(py, out_of_fold.iter().map(|image| image.right)))?;
    Ok(dict)
}

/// The head that arrays of Python stand for.
pub(crate) fn head(
    weights: &PyReadonlyArray2<'_, f32>,
    biases: &PyReadonlyArray1<'_, f32>,
    neighbours: Option<(usize, Vec<usize>)>,
) -> PyResult<Head> {
    Ok(Head {
        weights: weights.as_slice()?.to_vec(),
        biases: biases.as_slice()?.to_vec(),
        neighbours: neighbours.map(|(k, of)| Neighbours { k, of: of.into() }),
    })
}

/// How good `scores`, float32 `[N, classes]`, are for images of the classes `truth`.
#[pyfunction]
pub(crate) fn measured<'py>(
    py: Python<'py>,
    scores: PyReadonlyArray2<'py, f32>,
    truth: Vec<usize>,
) -> PyResult<Bound<'py, PyDict>> {
    let &[_, classes] = scores.shape() else { unreachable!("it has two axes") };
    let scores = scores.as_slice()?.to_vec();
    let measured = on_thread(py, move || measures(&scores, classes, &truth))?;
    let measures = measured.map_err(|error| raised(py, &error))?;
    let Measures { images, top1, top5, log_loss, calibration_error, .. } = measures;
    let dict = PyDict::new(py);
    dict.set_item("images", images)?;
    dict.set_item("top1", top1)?;
    dict.set_item("top5", top5)?;
    dict.set_item("interval", wilson(top1, images))?;
    dict.set_item("log_loss", log_loss)?;
    dict.set_item("calibration_error", calibration_error)?;
    let each = PyList::empty(py);
    for (&class, measures) in &measures.classes {
        each.append((class, of_class(measures)))?;
    }
    dict.set_item("classes", each)?;
    dict.set_item("macro_mean", of_class(&measures.macro_mean))?;
    dict.set_item("weighted_mean", of_class(&measures.weighted_mean))?;
    let confusion = PyArray2::<usize>::zeros(py, [classes, classes], false);
    {
        let mut counts = confusion.readwrite();
        for (&(truth, said), &count) in &measures.confusion {
            if let Some(place) = counts.get_mut([truth, said]) {
                *place = count;
            }
        }
    }
    dict.set_item("confusion", confusion)?;
    Ok(dict)
}

/// How good `scores`, float32 `[N, classes]`, are for images that may have several of the classes.
#[pyfunction]
pub(crate) fn measured_tags<'py>(
    py: Python<'py>,
    scores: PyReadonlyArray2<'py, f32>,
    truth: Vec<Vec<usize>>,
) -> PyResult<Bound<'py, PyDict>> {
    let &[_, classes] = scores.shape() else { unreachable!("it has two axes") };
    let scores = scores.as_slice()?.to_vec();
    let measured = on_thread(py, move || tag_measures(&scores, classes, truth))?;
    let measures = measured.map_err(|error| raised(py, &error))?;
    let TagMeasures { images, all_right, mean_average_precision, .. } = measures;
    let dict = PyDict::new(py);
    dict.set_item("images", images)?;
    dict.set_item("all_right", all_right)?;
    dict.set_item("interval", wilson(all_right, images))?;
    dict.set_item("mean_average_precision", mean_average_precision)?;
    let each: Vec<_> = measures.classes.iter().map(|(class, average)| (of_class(class), *average)).collect();
    dict.set_item("classes", each)?;
    dict.set_item("micro_mean", of_class(&measures.micro_mean))?;
    dict.set_item("macro_mean", of_class(&measures.macro_mean))?;
    dict.set_item("weighted_mean", of_class(&measures.weighted_mean))?;
    Ok(dict)
}

fn tag_measures(scores: &[f32], classes: usize, truth: Vec<Vec<usize>>) -> Result<TagMeasures> {
    check_classes(truth.iter().flatten(), classes)?;
    let rows = scores.chunks_exact(classes.max(1)).zip(truth);
    let images: Vec<Tagged> = rows.map(|(scores, truth)| Tagged { truth, scores: scores.into() }).collect();
    Ok(TagMeasures::of(&images, classes))
}

/// # Errors
/// [`Error::ConfigValue`] for a class that is not below `classes`.
fn check_classes<'a>(mut truth: impl Iterator<Item = &'a usize>, classes: usize) -> Result<()> {
    match truth.find(|class| **class >= classes) {
        None => Ok(()),
        Some(class) => {
            let expected = format!("a class below {classes}");
            Err(Error::config_value("argument", "labels", class.to_string(), expected))
        }
    }
}

fn measures(scores: &[f32], classes: usize, truth: &[usize]) -> Result<Measures> {
    check_classes(truth.iter(), classes)?;
    let rows = scores.chunks_exact(classes.max(1)).zip(truth);
    Ok(Measures::of(&rows.map(|(scores, &class)| Answer::new(scores, class)).collect::<Vec<_>>()))
}

/// Precision, recall, F1 and the number of images.
fn of_class(measures: &ClassMeasures) -> (f64, f64, f64, usize) {
    (measures.precision, measures.recall, measures.f1, measures.support)
}
