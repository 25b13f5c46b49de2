//! Views of a training image: unchanged, mirrored, and cropped at a corner.

use ::image::{
    RgbImage,
    imageops::{self, FilterType},
};
use residua::{Classifier, Error, Pixels};

/// The views in words. An index records them, so that features of other views are not mistaken for these.
pub(crate) const NAMES: &str = "plain, mirrored, four corners of 7/8, two of them mirrored";

/// The number of views.
pub(crate) const COUNT: usize = 6;

/// The features of all views of each image, one view after the other; the first is of the unchanged image.
pub(crate) fn features(classifier: &Classifier, images: &[Pixels]) -> Result<Vec<Vec<f32>>, Error> {
    let mut all = vec![Vec::new(); images.len()];
    for view in 0..COUNT {
        let pixels: Vec<Pixels> = images.iter().map(|image| seen(image, view)).collect();
        all.iter_mut().zip(classifier.features(&pixels)?).for_each(|(all, features)| all.extend(features));
    }
    Ok(all)
}

/// A view of the pixels that the network would see.
fn seen(pixels: &Pixels, view: usize) -> Pixels {
    let (width, height) = (pixels.width as u32, pixels.height as u32);
    let Some(image) = RgbImage::from_raw(width, height, pixels.data.clone()) else { return pixels.clone() };
    let (w, h) = ((width * 7).div_ceil(8), (height * 7).div_ceil(8));
    let cut = |x: u32, y: u32| {
        let part = imageops::crop_imm(&image, x, y, w, h).to_image();
        imageops::resize(&part, width, height, FilterType::Triangle)
    };
    let image = match view {
        0 => return pixels.clone(),
        1 => imageops::flip_horizontal(&image),
        2 => cut(0, 0),
        3 => imageops::flip_horizontal(&cut(width - w, 0)),
        4 => imageops::flip_horizontal(&cut(0, height - h)),
        _ => cut(width - w, height - h),
    };
    Pixels { data: image.into_raw(), ..*pixels }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_are_of_one_size_and_differ() {
        let data = (0..16 * 16 * 3).map(|i| (i * 7 % 251) as u8).collect();
        let pixels = Pixels { width: 16, height: 16, data };
        let views: Vec<Pixels> = (0..COUNT).map(|view| seen(&pixels, view)).collect();
        assert_eq!(views[0], pixels);
        assert_eq!(views[1].data[..3], pixels.data[15 * 3..16 * 3]);
        for (i, a) in views.iter().enumerate() {
            assert_eq!((a.width, a.height, a.data.len()), (16, 16, pixels.data.len()));
            assert!(views[..i].iter().all(|b| a != b), "{i}");
        }
    }
}
