//! Position of the centre crop on one axis.

/// How the offset of a centre crop is rounded when the margin is odd.
///
/// For half of all odd margins the two policies differ by one pixel: a crop of 224 from 343 starts at 60 or at 59.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CropRounding {
    /// Half of the margin, ties to the even offset: torchvision and timm, through Python's `round`.
    HalfEven,
    /// Half of the margin, rounded down: Hugging Face transformers.
    Floor,
}

/// The range of the resized image that the crop takes on one axis, and its place in the crop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    /// First pixel of the resized image.
    pub(super) start: u64,
    /// Number of pixels.
    pub(super) len: usize,
    /// Pixels of zero padding in the crop before the first one.
    pub(super) pad: usize,
}

impl Window {
    /// The centre window of `crop` pixels out of `size`. An axis shorter than the crop is kept whole and padded with zeros, the smaller
    /// half of them before it.
    pub(super) fn centre(size: u64, crop: usize, rounding: CropRounding) -> Self {
        match usize::try_from(size) {
            Ok(size) if size < crop => Window { start: 0, len: size, pad: (crop - size) / 2 },
            _ => {
                let margin = size - crop as u64;
                let half = margin / 2;
                let up = rounding == CropRounding::HalfEven && margin % 2 == 1 && half % 2 == 1;
                Window { start: half + u64::from(up), len: crop, pad: 0 }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(size: u64, crop: usize, rounding: CropRounding) -> u64 {
        Window::centre(size, crop, rounding).start
    }

    #[test]
    fn ties_go_to_the_even_offset_or_down() {
        // Margin, Python's int(round(margin / 2.0)), and margin // 2.
        for (margin, even, floor) in
            [(0, 0, 0), (1, 0, 0), (2, 1, 1), (3, 2, 1), (4, 2, 2), (5, 2, 2), (7, 4, 3), (119, 60, 59)]
        {
            assert_eq!(start(224 + margin, 224, CropRounding::HalfEven), even, "margin {margin}, half to even");
            assert_eq!(start(224 + margin, 224, CropRounding::Floor), floor, "margin {margin}, floor");
        }
    }

    #[test]
    fn a_short_axis_is_padded_with_the_smaller_half_in_front() {
        for rounding in [CropRounding::HalfEven, CropRounding::Floor] {
            assert_eq!(Window::centre(5, 8, rounding), Window { start: 0, len: 5, pad: 1 });
            assert_eq!(Window::centre(4, 8, rounding), Window { start: 0, len: 4, pad: 2 });
            assert_eq!(Window::centre(8, 8, rounding), Window { start: 0, len: 8, pad: 0 });
        }
    }

    #[test]
    fn an_axis_of_more_than_32_bits_has_a_centre() {
        assert_eq!(start(1 << 40, 224, CropRounding::Floor), (1 << 39) - 112);
    }
}
