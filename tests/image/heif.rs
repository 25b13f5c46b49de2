//! AVIF and HEIC: read with their features, named without them.

use residua::image::{DecodeOptions, Format, decode};

use crate::compare::{difference, golden, open, pixels};

/// The converters to RGB round differently: a mean of 0.2 and a maximum of 3 were measured for the AVIF. The HEIC is compared
/// with the picture before its lossy coding.
#[test]
fn avif_and_heic_are_read_with_their_features_and_named_without() {
    for (name, format, mean) in [("photo.avif", Format::Avif, 1.0), ("photo.heic", Format::Heic, 4.0)] {
        let bytes = std::fs::read(golden("heif").join(name)).unwrap();
        match decode(&bytes, &DecodeOptions::default()) {
            Ok(decoded) => {
                assert!(format.is_read() && decoded.format == format, "{name}");
                let want = open(&golden("heif").join(format!("{name}.png"))).to_rgb8();
                let apart = difference(name, &pixels(&decoded.image.to_rgb8()), &pixels(&want));
                assert!(apart.mean <= mean, "{name}: {apart:?}");
            }
            Err(error) => {
                assert!(!format.is_read(), "{name}: {error}");
                let words = format!(
                    "{} is read by a build with the feature {}",
                    format.name(),
                    name.split_once('.').unwrap().1
                );
                assert!(error.code() == "image.unsupported" && error.to_string().contains(&words), "{error}");
            }
        }
    }
}
