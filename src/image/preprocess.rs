//! Preprocessing: from an image of any size to the network's input.

use std::borrow::Cow;

use ::image::{ColorType, DynamicImage, Rgb, RgbImage};

use super::Pixels;
use super::crop::{CropRounding, Window};
use super::resample::{Axis, Filter, resize};
use crate::error::{Error, Result};
use crate::tensor::{PixelBatch, Shape, Tensor};

/// Mean red, green and blue of ImageNet's training photos, on a scale of 0 to 1.
#[doc(hidden)]
pub const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// Standard deviation that goes with [`IMAGENET_MEAN`].
#[doc(hidden)]
pub const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];

/// Largest side, in pixels, of the input and of the shorter side after the resize.
const MAX_SIDE: usize = 8192;

/// The resize before the centre crop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resize {
    /// The shorter side becomes this many pixels; the longer one keeps the proportion, rounded down.
    Shorter(usize),
    /// Each side is resized on its own; the proportion may change.
    Squash {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
    /// The image keeps its size.
    None,
}

/// The preprocessing that a checkpoint was trained with: resize, centre crop and normalisation.
///
/// The fields may be changed freely; [`Preprocess::check`] checks their ranges.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Preprocess {
    /// Rows of the network's input.
    pub height: usize,
    /// Columns of the network's input.
    pub width: usize,
    /// The resize before the crop.
    pub resize: Resize,
    /// Interpolation kernel of the resize.
    pub filter: Filter,
    /// Rounding of the crop's offset if the margin is odd.
    pub rounding: CropRounding,
    /// Subtracted from each channel (red, green, blue) after division by 255.
    pub mean: [f32; 3],
    /// Divides each channel after the subtraction.
    pub std: [f32; 3],
}

/// A rectangle in an image, in pixels; pixel `i` covers `i` to `i + 1`.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Region {
    /// Left edge.
    pub left: f64,
    /// Upper edge.
    pub top: f64,
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
}

impl Preprocess {
    /// Resizes the shorter side to `shorter` and takes the centre `crop` by `crop` pixels; ties of offsets to even, and
    /// ImageNet's mean and deviation.
    pub const fn centre_crop(crop: usize, shorter: usize, filter: Filter) -> Self {
        Preprocess {
            height: crop,
            width: crop,
            resize: Resize::Shorter(shorter),
            filter,
            rounding: CropRounding::HalfEven,
            mean: IMAGENET_MEAN,
            std: IMAGENET_STD,
        }
    }

    /// Preprocessing of torchvision's ImageNet weights (V1): shorter side 256, crop 224, bilinear.
    #[doc(hidden)]
    pub const fn torchvision() -> Self {
        Preprocess::centre_crop(224, 256, Filter::Bilinear)
    }

    /// The whole image squashed to `size` by `size` pixels, bilinear: the preprocessing of CIFAR networks.
    #[doc(hidden)]
    pub const fn square(size: usize, mean: [f32; 3], std: [f32; 3]) -> Self {
        let resize = Resize::Squash { height: size, width: size };
        Preprocess { resize, mean, std, ..Preprocess::centre_crop(size, size, Filter::Bilinear) }
    }

    /// Checks that every field is in range: sides of 1 to 8192 pixels, finite means, finite deviations above zero, and finite
    /// results for every pixel value.
    ///
    /// # Errors
    /// [`Error::ConfigValue`] with the first field that is out of range.
    #[doc(hidden)]
    pub fn check(&self) -> Result<()> {
        let (rows, columns) = match self.resize {
            Resize::Shorter(side) => (side, side),
            Resize::Squash { height, width } => (height, width),
            Resize::None => (1, 1),
        };
        let sides =
            [("height", self.height), ("width", self.width), ("resize height", rows), ("resize width", columns)];
        for (field, side) in sides {
            if !(1..=MAX_SIDE).contains(&side) {
                return Err(out_of_range(field, side.to_string(), format!("1 to {MAX_SIDE} pixels")));
            }
        }
        if !self.mean.iter().all(|m| m.is_finite()) {
            return Err(out_of_range("mean", format!("{:?}", self.mean), "three finite numbers".into()));
        }
        if !self.std.iter().all(|s| s.is_finite() && *s > 0.0) {
            return Err(out_of_range("std", format!("{:?}", self.std), "three finite numbers above zero".into()));
        }
        if !self.table().as_flattened().iter().all(|value| value.is_finite()) {
            let value = format!("{:?} with a mean of {:?}", self.std, self.mean);
            return Err(out_of_range("std", value, "larger numbers, so that normalised pixels are finite".into()));
        }
        Ok(())
    }

    /// Resizes and crops `image` to [`Pixels`] of `height` by `width`.
    ///
    /// Equals, bit for bit, `PIL.Image.resize` (Pillow 13) of the RGB image followed by torchvision's or Hugging Face's
    /// centre crop. Only the crop is computed, so a panorama of 65535x1 pixels costs no more than a photo. Alpha is
    /// dropped, not composited. The upper eight bits of 16-bit values count, as in Pillow for colours (it clips 16-bit grey at
    /// 255). An image smaller than the crop gets a black border.
    ///
    /// # Errors
    /// [`Error::ConfigValue`] as [`Preprocess::check`]; [`Error::ImageDecode`] for an image without pixels.
    pub fn pixels(&self, image: &DynamicImage) -> Result<Pixels> {
        self.admits(image)?;
        Ok(self.crop(&rgb(image)))
    }

    /// Like [`Preprocess::pixels`], but with the photo's grey values (Pillow's `convert("L")`) in each channel, for networks that read one
    /// channel.
    ///
    /// # Errors
    /// As [`Preprocess::pixels`].
    pub(crate) fn grey_pixels(&self, image: &DynamicImage) -> Result<Pixels> {
        self.admits(image)?;
        Ok(self.crop(&grey(&rgb(image))))
    }

    /// Whether the fields are in their ranges, and the image has pixels.
    fn admits(&self, image: &DynamicImage) -> Result<()> {
        self.check()?;
        if image.width() == 0 || image.height() == 0 {
            let reason = format!("it has no pixels ({}x{})", image.width(), image.height());
            return Err(Error::image_decode(reason));
        }
        Ok(())
    }

    fn crop(&self, source: &RgbImage) -> Pixels {
        let (target_width, target_height) = self.resized(source.width(), source.height());
        let columns = Window::centre(target_width, self.width, self.rounding);
        let rows = Window::centre(target_height, self.height, self.rounding);
        let x = axis(source.width(), target_width, columns);
        let y = axis(source.height(), target_height, rows);
        let inside = resize(source.as_raw(), &x, &y, self.filter);

        let mut data = vec![0; 3 * self.width * self.height];
        let framed = data.chunks_exact_mut(3 * self.width).skip(rows.pad);
        for (to, from) in framed.zip(inside.chunks_exact(3 * columns.len)) {
            to[3 * columns.pad..][..from.len()].copy_from_slice(from);
        }
        Pixels { width: self.width, height: self.height, data }
    }

    /// The rectangle of an image of `width` by `height` pixels that the network's input shows: crop and resize undone. It is
    /// larger than the image if the crop has a border.
    #[doc(hidden)]
    pub fn region(&self, width: u32, height: u32) -> Region {
        let (target_width, target_height) = self.resized(width, height);
        let axis = |source: u32, target: u64, crop: usize| {
            let (window, scale) = (Window::centre(target, crop, self.rounding), f64::from(source) / target as f64);
            ((window.start as f64 - window.pad as f64) * scale, crop as f64 * scale)
        };
        let (left, width) = axis(width, target_width, self.width);
        let (top, height) = axis(height, target_height, self.height);
        Region { left, top, width, height }
    }

    /// Width and height after the resize.
    fn resized(&self, width: u32, height: u32) -> (u64, u64) {
        let (width, height) = (u64::from(width), u64::from(height));
        match self.resize {
            Resize::Shorter(side) => {
                let side = side as u64;
                if width <= height { (side, side * height / width) } else { (side * width / height, side) }
            }
            Resize::Squash { height, width } => (width as u64, height as u64),
            Resize::None => (width, height),
        }
    }

    /// A batch of `images` `[N, 3, height, width]` in which each value x means `(x / 255 - mean) / std`, each operation in f32, as
    /// torchvision's `ToTensor` and `Normalize` compute it. For no images, an empty batch.
    ///
    /// # Errors
    /// [`Error::Shape`] if an image is not `height` by `width`, and the errors of [`Preprocess::check`].
    #[doc(hidden)]
    pub fn batch(&self, images: &[Pixels]) -> Result<PixelBatch> {
        self.check()?;
        let shape = Shape::new(images.len(), 3, self.height, self.width);
        for (i, image) in images.iter().enumerate() {
            if (image.height, image.width) != (self.height, self.width) || image.data.len() != 3 * shape.pixels() {
                return Err(Error::Shape {
                    node: "input".into(),
                    reason: format!(
                        "image {i} has {}x{} pixels in {} bytes, expected {}x{}",
                        image.width,
                        image.height,
                        image.data.len(),
                        self.width,
                        self.height
                    ),
                });
            }
        }
        let bytes = images.iter().map(|image| &*image.data).collect::<Vec<_>>().concat();
        Ok(PixelBatch::new(shape, bytes, self.table()))
    }

    /// The number for each value of each channel.
    fn table(&self) -> [[f32; 256]; 3] {
        std::array::from_fn(|c| std::array::from_fn(|value| (value as f32 / 255.0 - self.mean[c]) / self.std[c]))
    }

    /// The normalised numbers `[N, 3, height, width]` of the batch of [`Preprocess::batch`].
    ///
    /// # Errors
    /// As [`Preprocess::batch`].
    pub fn normalise(&self, images: &[Pixels]) -> Result<Tensor> {
        Ok(self.batch(images)?.tensor())
    }
}

/// The image as 8-bit RGB.
fn rgb(image: &DynamicImage) -> Cow<'_, RgbImage> {
    match image {
        DynamicImage::ImageRgb8(image) => Cow::Borrowed(image),
        image if matches!(image.color(), ColorType::L16 | ColorType::La16 | ColorType::Rgb16 | ColorType::Rgba16) => {
            let deep = image.to_rgb16();
            Cow::Owned(RgbImage::from_fn(deep.width(), deep.height(), |x, y| {
                Rgb(deep.get_pixel(x, y).0.map(|value| (value >> 8) as u8))
            }))
        }
        image => Cow::Owned(image.to_rgb8()),
    }
}

/// The grey values of an image (ITU-R 601-2, 16 bits after the point, rounded), in each channel.
fn grey(image: &RgbImage) -> RgbImage {
    let mut image = image.clone();
    for Rgb(pixel) in image.pixels_mut() {
        let [r, g, b] = pixel.map(u32::from);
        *pixel = [((19595 * r + 38470 * g + 7471 * b + 0x8000) >> 16) as u8; 3];
    }
    image
}

fn axis(source: u32, target: u64, window: Window) -> Axis {
    Axis { source: source as usize, target, start: window.start, len: window.len }
}

fn out_of_range(field: &str, value: String, expected: String) -> Error {
    Error::config_value("preprocessing", field, value, expected)
}
