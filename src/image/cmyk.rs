//! Converts CMYK to RGB as Pillow does.

/// Red, green and blue of a pixel given as cyan, magenta, yellow and black, where 255 is full ink.
pub(super) fn pixel(inks: &[u8]) -> [u8; 3] {
    let paper = 255 - u32::from(inks[3]);
    [0, 1, 2].map(|c| (paper - over_255(u32::from(inks[c]) * paper)) as u8)
}

/// The product of two bytes, divided by 255 and rounded.
fn over_255(product: u32) -> u32 {
    let t = product + 128;
    ((t >> 8) + t) >> 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inks_darken_paper() {
        for (inks, rgb) in [
            ([0, 0, 0, 0], [255, 255, 255]),
            ([0, 0, 0, 255], [0, 0, 0]),
            ([255, 0, 0, 0], [0, 255, 255]),
            ([255, 128, 64, 100], [0, 77, 116]),
        ] {
            assert_eq!(pixel(&inks), rgb);
        }
    }
}
