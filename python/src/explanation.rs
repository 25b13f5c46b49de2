//! Where in an image the evidence for a class lies.

use numpy::{PyArray1, PyArray2, PyArray3, PyArrayMethods};
use pyo3::{prelude::*, types::PyDict};
use residua::image::DecodeOptions;

use crate::{
    errors::{of_package, raised},
    inputs::{decoded, source},
    wait::on_thread,
};

/// The result of `Classifier.explain`.
#[pyclass(frozen, module = "residua")]
pub(crate) struct Explanation {
    explained: residua::Explanation,
    /// Columns and rows of the image, upright.
    size: (u32, u32),
    /// How to decode the image under the overlay.
    decode: DecodeOptions,
}

impl Explanation {
    pub(crate) fn new(explained: residua::Explanation, size: (u32, u32), decode: DecodeOptions) -> Self {
        Explanation { explained, size, decode }
    }
}

#[pymethods]
impl Explanation {
    #[getter]
    fn label(&self) -> &str {
        &self.explained.class.label
    }

    #[getter]
    fn index(&self) -> usize {
        self.explained.class.index
    }

    #[getter]
    fn score(&self) -> f32 {
        self.explained.class.score
    }

    #[getter]
    fn logit(&self) -> f32 {
        self.explained.logit
    }

    #[getter]
    fn bias(&self) -> f32 {
        self.explained.bias
    }

    #[getter]
    fn map<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let residua::Explanation { map, rows, columns, .. } = &self.explained;
        PyArray1::from_slice(py, map).reshape([*rows, *columns])
    }

    #[getter]
    fn region<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let region = self.explained.region;
        let dict = PyDict::new(py);
        dict.set_item("left", region.left)?;
        dict.set_item("top", region.top)?;
        dict.set_item("width", region.width)?;
        dict.set_item("height", region.height)?;
        Ok(dict)
    }

    #[getter]
    fn image_size(&self) -> (u32, u32) {
        self.size
    }

    #[getter]
    fn peak(&self) -> (f64, f64) {
        self.explained.peak()
    }

    fn at(&self, x: f64, y: f64) -> Option<f32> {
        self.explained.at(x, y)
    }

    fn overlay<'py>(&self, image: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyArray3<u8>>> {
        let py = image.py();
        let (source, _) = source(image, self.decode.exif)?;
        let (decode, explained, size) = (self.decode.clone(), self.explained.clone(), self.size);
        let overlay = on_thread(py, move || {
            let photo = decoded(source, &decode)?.to_rgb8();
            Ok(if photo.dimensions() == size { Ok(explained.overlay(&photo)) } else { Err(photo.dimensions()) })
        })?;
        let overlay = overlay.map_err(|error| raised(py, &error))?.map_err(|(width, height)| {
            let (columns, rows) = size;
            let message = format!("the image has {width}x{height} pixels, but the explained one had {columns}x{rows}");
            of_package(py, "input.shape", &message)
        })?;
        let (columns, rows) = size;
        PyArray1::from_vec(py, overlay.into_raw()).reshape([rows as usize, columns as usize, 3])
    }

    fn __repr__(&self) -> String {
        let residua::Explanation { class, rows, columns, .. } = &self.explained;
        format!("Explanation(label={:?}, score={:.4}, map=[{rows}, {columns}])", class.label, class.score)
    }
}
