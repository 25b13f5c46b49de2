//! Decodes JPEG with libjpeg-turbo and Pillow's settings, so the pixels equal Pillow's bit for bit. The decoder of the `image` crate
//! rounds differently, which changes the scores of small images. libjpeg-turbo alone decides what it can read.
#![allow(unsafe_code, reason = "calls of a C library; each call states why it is sound")]

use std::ffi::{CStr, c_int};

use ::image::RgbImage;
use turbojpeg_sys::{
    TJCS_TJCS_CMYK, TJCS_TJCS_GRAY, TJCS_TJCS_YCCK, TJINIT_TJINIT_DECOMPRESS, TJPARAM, TJPARAM_TJPARAM_COLORSPACE,
    TJPARAM_TJPARAM_JPEGHEIGHT, TJPARAM_TJPARAM_JPEGWIDTH, TJPARAM_TJPARAM_PRECISION, TJPARAM_TJPARAM_SAVEMARKERS,
    TJPARAM_TJPARAM_SCANLIMIT, TJPF, TJPF_TJPF_CMYK, TJPF_TJPF_GRAY, TJPF_TJPF_RGB, tj3Decompress8,
    tj3DecompressHeader, tj3Destroy, tj3Get, tj3GetErrorStr, tj3Init, tj3Set, tjhandle,
};

use super::{cmyk, picture::Check};
use crate::{Error, Result};

/// Largest number of passes over the pixels: a progressive JPEG has about ten, but a small malicious file can have thousands.
const MOST_SCANS: c_int = 500;

/// Beginnings of libjpeg's warnings; all of its other messages are errors.
const WARNINGS: [&str; 6] = [
    "Corrupt JPEG data",
    "Premature end of JPEG file",
    "Inconsistent progression sequence",
    "Warning: unknown JFIF revision",
    "Invalid SOS parameters for sequential JPEG",
    "Unknown Adobe color transform",
];

/// The pixels of a JPEG, and libjpeg-turbo's first warning. `check` may refuse a size.
///
/// # Errors
/// [`Error::ImageDecode`] or [`Error::ImageUnsupported`] in libjpeg-turbo's words, and the error of `check`.
pub(super) fn decode(bytes: &[u8], check: Check<'_>) -> Result<(RgbImage, Option<String>)> {
    let turbo = Turbo::new(bytes)?;
    let header = turbo.header()?;
    let (width, height) = (turbo.get(TJPARAM_TJPARAM_JPEGWIDTH)?, turbo.get(TJPARAM_TJPARAM_JPEGHEIGHT)?);
    let precision = turbo.get(TJPARAM_TJPARAM_PRECISION)?;
    if precision != 8 {
        return Err(Error::image_unsupported(format!("a JPEG of {precision} bits per sample")));
    }
    let colours = turbo.get(TJPARAM_TJPARAM_COLORSPACE)? as i64;
    let inks = colours == i64::from(TJCS_TJCS_CMYK) || colours == i64::from(TJCS_TJCS_YCCK);
    // Request grey for grey: the library cannot convert the colours of a lossless JPEG.
    let (format, channels) = match colours {
        _ if inks => (TJPF_TJPF_CMYK, 4),
        grey if grey == i64::from(TJCS_TJCS_GRAY) => (TJPF_TJPF_GRAY, 1),
        _ => (TJPF_TJPF_RGB, 3),
    };
    check(width, height)?;
    let mut pixels = vec![0; width as usize * height as usize * channels as usize];
    let decoded = turbo.pixels(&mut pixels, width * channels, (format, channels))?;
    if inks {
        // 255 means no ink, as Adobe writes it and as Pillow always reads it.
        let (inks, _) = pixels.as_chunks::<4>();
        pixels = inks.iter().flat_map(|inks| cmyk::pixel(&inks.map(|ink| 255 - ink))).collect();
    } else if channels == 1 {
        pixels = pixels.iter().flat_map(|&grey| [grey; 3]).collect();
    }
    let image = RgbImage::from_raw(width, height, pixels).expect("three bytes per pixel");
    Ok((image, decoded.or(header)))
}

/// A decompressor for one file.
struct Turbo<'a> {
    handle: tjhandle,
    bytes: &'a [u8],
}

impl<'a> Turbo<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self> {
        // SAFETY: it takes a number and returns null or a handle, which `drop` destroys.
        let handle = unsafe { tj3Init(TJINIT_TJINIT_DECOMPRESS as c_int) };
        if handle.is_null() {
            return Err(Error::image_decode("libjpeg-turbo is out of memory"));
        }
        let turbo = Turbo { handle, bytes };
        for (parameter, value) in [(TJPARAM_TJPARAM_SCANLIMIT, MOST_SCANS), (TJPARAM_TJPARAM_SAVEMARKERS, 0)] {
            // SAFETY: the handle is live; any parameter and value are allowed.
            unsafe { tj3Set(turbo.handle, parameter as c_int, value) };
        }
        Ok(turbo)
    }

    /// Reads the header, up to the first scan; returns its warning, if any.
    fn header(&self) -> Result<Option<String>> {
        // SAFETY: the handle is live; pointer and length come from one slice.
        self.warning(unsafe { tj3DecompressHeader(self.handle, self.bytes.as_ptr(), self.bytes.len() as _) })
    }

    /// Decodes into `pixels`, in rows of `row` bytes and a format with its bytes per pixel; returns its warning, if any.
    fn pixels(&self, pixels: &mut [u8], row: u32, (format, channels): (TJPF, u32)) -> Result<Option<String>> {
        let rows = self.get(TJPARAM_TJPARAM_JPEGHEIGHT)? as usize;
        let columns = self.get(TJPARAM_TJPARAM_JPEGWIDTH)? as usize;
        assert!(row as usize >= columns * channels as usize && pixels.len() == rows * row as usize);
        // SAFETY: the handle is live; the bytes are the file whose header gave the numbers of rows and columns, and the assertion
        // checks that `pixels` has room for them in this format.
        self.warning(unsafe {
            tj3Decompress8(
                self.handle,
                self.bytes.as_ptr(),
                self.bytes.len() as _,
                pixels.as_mut_ptr(),
                row as c_int,
                format as c_int,
            )
        })
    }

    /// A number from the header.
    fn get(&self, parameter: TJPARAM) -> Result<u32> {
        // SAFETY: the handle is live; any parameter may be read.
        let value = unsafe { tj3Get(self.handle, parameter as c_int) };
        u32::try_from(value).map_err(|_| Error::image_decode("the JPEG contains no image"))
    }

    /// The warning of a call, from its status.
    fn warning(&self, status: c_int) -> Result<Option<String>> {
        if status == 0 {
            return Ok(None);
        }
        // SAFETY: the handle is live; the text belongs to this thread, ends with a zero and is copied before the next call.
        let words = unsafe { CStr::from_ptr(tj3GetErrorStr(self.handle)).to_string_lossy() };
        let words = words.split_once("(): ").map_or(&*words, |(_, words)| words).replace('\n', " ");
        // For an error after a warning, the code is still the warning's, but the words are the error's.
        if WARNINGS.iter().any(|start| words.starts_with(start)) {
            Ok(Some(words))
        } else if words.starts_with("Unsupported") {
            Err(Error::image_unsupported(words))
        } else {
            Err(Error::image_decode(words))
        }
    }
}

impl Drop for Turbo<'_> {
    fn drop(&mut self) {
        // SAFETY: the handle came from `tj3Init` and is not used again.
        unsafe { tj3Destroy(self.handle) }
    }
}
