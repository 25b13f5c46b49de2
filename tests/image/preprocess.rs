//! Normalisation, and invalid recipes and images.

use image::{DynamicImage, RgbImage};
use residua::Error;
use residua::image::{IMAGENET_MEAN, IMAGENET_STD, Pixels, Preprocess, Resize};
use residua::tensor::Shape;

fn tiny() -> Preprocess {
    let mut preprocess = Preprocess::square(2, IMAGENET_MEAN, IMAGENET_STD);
    preprocess.width = 3;
    preprocess
}

fn ramp(first: u8) -> Pixels {
    Pixels { width: 3, height: 2, data: (first..first + 18).collect() }
}

#[test]
fn a_batch_is_planar_and_normalised_in_f32() {
    let tensor = tiny().normalise(&[ramp(0), ramp(200)]).unwrap();
    assert_eq!(tensor.shape, Shape::new(2, 3, 2, 3));
    for (n, first) in [0_usize, 200].into_iter().enumerate() {
        for (c, plane) in tensor.image(n).chunks_exact(6).enumerate() {
            for (i, &got) in plane.iter().enumerate() {
                let value = (first + 3 * i + c) as f32;
                let want = (value / 255.0 - IMAGENET_MEAN[c]) / IMAGENET_STD[c];
                assert_eq!(got.to_bits(), want.to_bits(), "image {n}, channel {c}, pixel {i}");
            }
        }
    }
    // torchvision's well-known values for black and white.
    let mut extremes = ramp(0);
    extremes.data[0] = 255;
    let tensor = tiny().normalise(&[extremes]).unwrap();
    assert_eq!(tensor.data[0], 2.248_908_3);
    assert_eq!(tiny().normalise(&[ramp(0)]).unwrap().data[0], -2.117_904);
    assert_eq!(tiny().normalise(&[]).unwrap().shape, Shape::new(0, 3, 2, 3));
}

#[test]
fn pixels_of_another_size_are_refused() {
    let mut short = ramp(0);
    short.data.pop();
    for wrong in [Pixels { width: 2, height: 3, ..ramp(0) }, short] {
        let error = tiny().normalise(&[ramp(0), wrong]).unwrap_err();
        assert!(matches!(&error, Error::Shape { reason, .. } if reason.starts_with("image 1")), "{error:?}");
    }
}

#[test]
fn impossible_recipes_are_refused() {
    type Change = fn(&mut Preprocess);
    let cases: [(&str, Change); 12] = [
        ("height", |p| p.height = 0),
        ("width", |p| p.width = 8193),
        ("width", |p| p.width = usize::MAX),
        ("resize height", |p| p.resize = Resize::Shorter(0)),
        ("resize height", |p| p.resize = Resize::Shorter(1_000_000_000)),
        ("resize height", |p| p.resize = Resize::Squash { height: 0, width: 1 }),
        ("resize width", |p| p.resize = Resize::Squash { height: 1, width: 0 }),
        ("mean", |p| p.mean[1] = f32::NAN),
        ("std", |p| p.std[2] = 0.0),
        ("std", |p| p.std[0] = -1.0),
        ("std", |p| p.std[0] = f32::INFINITY),
        ("std", |p| p.std[1] = 1e-40),
    ];
    let image = DynamicImage::from(RgbImage::new(4, 4));
    for (want, change) in cases {
        let mut preprocess = Preprocess::torchvision();
        assert_eq!(preprocess.check(), Ok(()));
        change(&mut preprocess);
        let error = preprocess.pixels(&image).unwrap_err();
        assert!(matches!(&error, Error::ConfigValue { field, .. } if field == want), "{want}: {error:?}");
        assert_eq!(preprocess.normalise(&[]).unwrap_err(), error);
    }
}

#[test]
fn an_image_without_pixels_is_refused() {
    for (width, height) in [(0, 0), (0, 5), (5, 0)] {
        let image = DynamicImage::from(RgbImage::new(width, height));
        assert_eq!(Preprocess::torchvision().pixels(&image).unwrap_err().code(), "image.decode");
    }
}
