//! Image formats and their file extensions.

/// An image file format.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// JPEG.
    Jpeg,
    /// PNG.
    Png,
    /// GIF.
    Gif,
    /// Windows bitmap.
    Bmp,
    /// WebP.
    WebP,
    /// TIFF.
    Tiff,
    /// AVIF; needs the feature `avif`.
    Avif,
    /// HEIC and other HEIF; needs the feature `heic`.
    Heic,
}

impl Format {
    /// All formats.
    pub const ALL: [Format; 8] =
        [Format::Jpeg, Format::Png, Format::WebP, Format::Gif, Format::Bmp, Format::Tiff, Format::Avif, Format::Heic];

    /// The usual name.
    pub const fn name(self) -> &'static str {
        match self {
            Format::Jpeg => "JPEG",
            Format::Png => "PNG",
            Format::Gif => "GIF",
            Format::Bmp => "BMP",
            Format::WebP => "WebP",
            Format::Tiff => "TIFF",
            Format::Avif => "AVIF",
            Format::Heic => "HEIC",
        }
    }

    /// File extensions in lower case, without the dot.
    pub const fn extensions(self) -> &'static [&'static str] {
        match self {
            Format::Jpeg => &["jpg", "jpeg", "jpe", "jfif", "jfi", "jif"],
            Format::Png => &["png", "apng"],
            Format::Gif => &["gif"],
            Format::Bmp => &["bmp", "dib"],
            Format::WebP => &["webp"],
            Format::Tiff => &["tif", "tiff"],
            Format::Avif => &["avif"],
            Format::Heic => &["heic", "heif"],
        }
    }

    /// Whether this build reads the format.
    pub const fn is_read(self) -> bool {
        let (avif, heic) = (cfg!(feature = "avif"), cfg!(feature = "heic"));
        (avif || !matches!(self, Format::Avif)) && (heic || !matches!(self, Format::Heic))
    }

    /// The format with this file extension, in upper or lower case. The content may have another format:
    /// [`decode`](super::decode) looks at the content only.
    pub fn of_extension(extension: &str) -> Option<Self> {
        let named = |format: &Format| format.extensions().iter().any(|known| known.eq_ignore_ascii_case(extension));
        Format::ALL.into_iter().find(named)
    }

    /// Extensions of the formats that this build reads: lower case, without the dot.
    pub fn read_extensions() -> impl Iterator<Item = &'static str> {
        Format::ALL.into_iter().filter(|format| format.is_read()).flat_map(|format| format.extensions().iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ending_belongs_to_one_format() {
        for format in Format::ALL {
            for extension in format.extensions() {
                assert_eq!(Format::of_extension(&extension.to_uppercase()), Some(format));
            }
        }
        assert_eq!(Format::of_extension("txt"), None);
        assert!(Format::read_extensions().any(|extension| extension == "jfif"));
    }
}
