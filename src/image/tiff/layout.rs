//! The layout of a TIFF's samples, and their conversion to red, green and blue.

use std::ops::Range;

use ::image::RgbImage;
use tiff::{
    decoder::DecodingResult,
    tags::{CompressionMethod, Tag},
};

use super::{Place, Reader, error, unsupported};
use crate::{Error, Result, image::cmyk};

/// Kinds of colours, in the order of their numbers in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Colours {
    Grey,
    Rgb,
    /// All red values of 16 bits, then all green and all blue ones.
    Palette(Vec<u16>),
    Inks,
    YCbCr,
}

/// The layout according to the tags.
pub(super) struct Layout {
    pub(super) colours: Colours,
    /// Whether strips and tiles are JPEG files.
    pub(super) jpeg: bool,
    /// Number of planes to read: 1 if a pixel's samples lie together.
    pub(super) planes: u16,
    /// Bits of a sample.
    bits: u32,
    /// Samples per pixel in the decoder's output.
    samples: usize,
    /// The colours are multiplied by the alpha that follows them.
    premultiplied: bool,
}

const EXTRA_SAMPLES_PREMULTIPLIED: u16 = 1;
const REDUCED: u32 = 1;

impl Layout {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self> {
        if reader.find_tag_unsigned::<u32>(Tag::NewSubfileType).ok().flatten().is_some_and(|kind| kind & REDUCED != 0) {
            return Err(unsupported("its first image is a preview, as in a camera's raw photo"));
        }
        let number = |reader: &mut Reader<'_>, tag, default| {
            Ok::<u16, Error>(reader.find_tag_unsigned(tag).map_err(error)?.unwrap_or(default))
        };
        let numbers = |reader: &mut Reader<'_>, tag| {
            Ok::<Vec<u16>, Error>(reader.find_tag_unsigned_vec(tag).map_err(error)?.unwrap_or_default())
        };
        let compression = number(reader, Tag::Compression, 1)?;
        let jpeg = compression == CompressionMethod::ModernJPEG.to_u16();
        let bits = numbers(reader, Tag::BitsPerSample)?;
        let samples = number(reader, Tag::SamplesPerPixel, 1)?;
        let extra = numbers(reader, Tag::ExtraSamples)?;
        let photometric = number(reader, Tag::PhotometricInterpretation, 0)?;
        let colours = match photometric {
            0 | 1 => Colours::Grey,
            2 => Colours::Rgb,
            3 => Colours::Palette(numbers(reader, Tag::ColorMap)?),
            5 => Colours::Inks,
            6 if jpeg => Colours::YCbCr,
            6 => return Err(unsupported("YCbCr that is not coded as JPEG")),
            8..=10 => return Err(unsupported("L*a*b* colours")),
            other => return Err(unsupported(format!("photometric interpretation {other}"))),
        };
        let bits = bits.first().copied().unwrap_or(1);
        let lone = matches!(colours, Colours::Grey | Colours::Palette(_)) && samples == 1;
        if !(matches!(bits, 8 | 16) || lone && matches!(bits, 1 | 2 | 4)) || jpeg && bits != 8 {
            return Err(unsupported(format!("{samples} samples of {bits} bits per pixel")));
        }
        if numbers(reader, Tag::SampleFormat)?.iter().any(|format| !matches!(format, 1 | 4)) {
            return Err(unsupported("samples that are signed or floating point"));
        }
        if number(reader, Tag::FillOrder, 1)? != 1 {
            return Err(unsupported("bytes with their bits reversed"));
        }
        let apart = number(reader, Tag::PlanarConfiguration, 1)? == 2 && samples > 1;
        let needed = match colours {
            Colours::Grey | Colours::Palette(_) => 1,
            Colours::Rgb | Colours::YCbCr => 3,
            Colours::Inks => 4,
        };
        let premultiplied = colours == Colours::Rgb && extra.first() == Some(&EXTRA_SAMPLES_PREMULTIPLIED);
        if samples < needed || apart && (jpeg || premultiplied) || jpeg && colours == Colours::Inks {
            return Err(unsupported(format!("{samples} samples per pixel, in this arrangement")));
        }
        let mut layout =
            Layout { colours, jpeg, planes: 1, bits: bits.into(), samples: usize::from(samples), premultiplied };
        if apart {
            (layout.planes, layout.samples) = (needed, 1);
        } else if !layout.jpeg && !layout.is_palette() {
            layout.samples = usize::from(reader.colortype().map_err(error)?.num_samples());
            // The `tiff` crate drops extra samples before it undoes the predictor.
            if layout.samples != usize::from(samples) && number(reader, Tag::Predictor, 1)? != 1 {
                return Err(unsupported("extra samples with a predictor"));
            }
        }
        Ok(layout)
    }

    pub(super) fn is_palette(&self) -> bool {
        matches!(self.colours, Colours::Palette(_))
    }

    /// One byte per sample, from the decoder's output.
    pub(super) fn samples(&self, decoded: DecodingResult, place: &Place) -> Result<Vec<u8>> {
        let row = place.width as usize * self.samples;
        let samples = match decoded {
            DecodingResult::U16(samples) => samples.into_iter().map(|sample| (sample >> 8) as u8).collect(),
            DecodingResult::U8(samples) if self.bits == 8 => samples,
            DecodingResult::U8(packed) => {
                let most = (1_u16 << self.bits) - 1;
                let scale = if self.is_palette() { 1 } else { 255 / most };
                let in_a_byte = 8 / self.bits as usize;
                let rows = packed.chunks_exact(row.div_ceil(in_a_byte));
                let sample = |bytes: &[u8], x: usize| {
                    let shift = 8 - self.bits as usize * (x % in_a_byte + 1);
                    ((u16::from(bytes[x / in_a_byte]) >> shift & most) * scale) as u8
                };
                rows.flat_map(|bytes| (0..row).map(|x| sample(bytes, x)).collect::<Vec<_>>()).collect()
            }
            _ => return Err(unsupported("samples that are signed or floating point")),
        };
        if samples.len() < row * place.height as usize {
            return Err(Error::image_truncated("the TIFF ends before its last row"));
        }
        Ok(samples)
    }

    /// Writes the samples of a strip or tile into the image.
    pub(super) fn paste(&self, samples: &[u8], place: &Place, image: &mut RgbImage) {
        let from = if self.jpeg { 3 } else { self.samples };
        let rows = samples.chunks_exact(place.width as usize * from).take(place.height as usize);
        let width = image.width();
        let bytes: &mut [u8] = image;
        for (y, row) in (place.top..).zip(rows) {
            let to = pixels_of(width, place, y);
            let pixels = row.chunks_exact(from).zip(bytes[to].chunks_exact_mut(3));
            match &self.colours {
                _ if self.planes > 1 => pixels.for_each(|(sample, pixel)| self.plane(sample[0], place.plane, pixel)),
                Colours::Grey if !self.jpeg => pixels.for_each(|(sample, pixel)| pixel.fill(sample[0])),
                Colours::Palette(palette) => pixels.for_each(|(index, pixel)| look_up(palette, index[0], pixel)),
                Colours::Inks => pixels.for_each(|(inks, pixel)| pixel.copy_from_slice(&cmyk::pixel(inks))),
                Colours::Rgb if self.premultiplied => pixels.for_each(|(colour, pixel)| divide(colour, pixel)),
                _ => pixels.for_each(|(colour, pixel)| pixel.copy_from_slice(&colour[..3])),
            }
        }
    }

    /// Adds the sample of a plane to a pixel. Black comes after the three inks, which it darkens.
    fn plane(&self, sample: u8, plane: u16, pixel: &mut [u8]) {
        match plane {
            _ if self.colours == Colours::Grey => pixel.fill(sample),
            3 => pixel.copy_from_slice(&cmyk::pixel(&[pixel[0], pixel[1], pixel[2], sample])),
            plane => pixel[usize::from(plane)] = sample,
        }
    }
}

/// The bytes of row `y` of a strip or tile in the image.
fn pixels_of(width: u32, place: &Place, y: u32) -> Range<usize> {
    let start = 3 * (y as usize * width as usize + place.left as usize);
    start..start + 3 * place.width as usize
}

/// Looks up a colour of a palette; black if the number is beyond its end.
fn look_up(palette: &[u16], index: u8, pixel: &mut [u8]) {
    let colours = palette.len() / 3;
    for (c, value) in pixel.iter_mut().enumerate() {
        let known = (usize::from(index) < colours).then(|| palette[c * colours + usize::from(index)]);
        *value = known.map_or(0, |value| (value >> 8) as u8);
    }
}

/// Divides a colour by the alpha that it was multiplied with; black if that is 0, as in Pillow.
fn divide(colour: &[u8], pixel: &mut [u8]) {
    let alpha = u32::from(colour[3]);
    for (value, from) in pixel.iter_mut().zip(colour) {
        let divided = (u32::from(*from) * 255).checked_div(alpha);
        *value = divided.map_or(0, |value| value.min(255) as u8);
    }
}

/// The part of a decoded JPEG that lies inside the image.
pub(super) fn cut(part: &RgbImage, place: &Place) -> Result<Vec<u8>> {
    if part.width() < place.width || part.height() < place.height {
        let reason = format!("TIFF: a JPEG of {}x{} for {}x{}", part.width(), part.height(), place.width, place.height);
        return Err(Error::image_decode(reason));
    }
    let rows = part.chunks_exact(3 * part.width() as usize).take(place.height as usize);
    Ok(rows.flat_map(|row| &row[..3 * place.width as usize]).copied().collect())
}

/// The file with its palette's indices declared as grey.
pub(super) fn as_grey(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut bytes = bytes.to_vec();
    let little = bytes.starts_with(b"II");
    let number = |bytes: &[u8]| {
        let digit = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        if little { bytes.iter().rev().fold(0, digit) } else { bytes.iter().fold(0, digit) }
    };
    let big = number(&bytes[2..4]) == 43;
    // Place of the first directory's offset, lengths of its count and its entries, and place of the value in an entry.
    let (offset, count, entry, value) = if big { (8..16, 8, 20, 12) } else { (4..8, 2, 12, 8) };
    let photometric = u64::from(Tag::PhotometricInterpretation.to_u16());
    let found = (|| {
        let start = usize::try_from(number(bytes.get(offset)?)).ok()?;
        let entries = usize::try_from(number(bytes.get(start..start.checked_add(count)?)?)).ok()?;
        let first = start + count;
        let mut entries = bytes.get(first..)?.chunks_exact(entry).take(entries);
        Some(first + entry * entries.position(|entry| number(&entry[..2]) == photometric)? + value)
    })();
    let at = found.ok_or_else(|| Error::image_decode("TIFF: a palette without a photometric interpretation"))?;
    bytes[at..at + 2].copy_from_slice(&if little { [1, 0] } else { [0, 1] });
    Ok(bytes)
}
