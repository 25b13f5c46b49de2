//! The first frame of a GIF on its background. The expected pixels come from Pillow 13.

use residua::image::{DecodeOptions, decode};

/// Four colours.
const COLOURS: [[u8; 3]; 4] = [[11, 48, 85], [122, 159, 196], [233, 14, 51], [88, 125, 162]];

/// A GIF of one frame.
struct Gif<'a> {
    canvas: (u16, u16),
    global: Option<&'a [[u8; 3]]>,
    background: u8,
    transparent: Option<u8>,
    /// Left, top, width and height.
    frame: (u16, u16, u16, u16),
    local: Option<&'a [[u8; 3]]>,
    indices: &'a [u8],
}

impl Gif<'_> {
    fn bytes(&self) -> Vec<u8> {
        let flags = |palette: Option<&[[u8; 3]]>| palette.map_or(0, |p| 0x80 | (p.len().ilog2() as u8 - 1));
        let mut bytes = b"GIF89a".to_vec();
        bytes.extend([self.canvas.0, self.canvas.1].iter().flat_map(|n| n.to_le_bytes()));
        bytes.extend([flags(self.global), self.background, 0]);
        bytes.extend(self.global.unwrap_or_default().as_flattened());
        if let Some(index) = self.transparent {
            bytes.extend([b'!', 0xf9, 4, 1, 0, 0, index, 0]);
        }
        bytes.push(b',');
        let (left, top, width, height) = self.frame;
        bytes.extend([left, top, width, height].iter().flat_map(|n| n.to_le_bytes()));
        bytes.push(flags(self.local));
        bytes.extend(self.local.unwrap_or_default().as_flattened());
        // Codes of 9 bits, each after the code that clears the table.
        let codes = self.indices.iter().flat_map(|&index| [256, u16::from(index)]).chain([257]);
        let bits: Vec<bool> = codes.flat_map(|code| (0..9).map(move |bit| code >> bit & 1 == 1)).collect();
        let data: Vec<u8> =
            bits.chunks(8).map(|bits| bits.iter().rev().fold(0, |byte, &bit| byte << 1 | u8::from(bit))).collect();
        bytes.push(8);
        data.chunks(255).for_each(|block| {
            bytes.push(block.len() as u8);
            bytes.extend(block);
        });
        bytes.extend([0, b';']);
        bytes
    }

    /// Width, height and colours of the first frame.
    fn shown(&self) -> (u32, u32, Vec<[u8; 3]>) {
        let image = decode(&self.bytes(), &DecodeOptions::default()).unwrap().image.to_rgb8();
        (image.width(), image.height(), image.pixels().map(|pixel| pixel.0).collect())
    }
}

/// A frame of 2x2 pixels in the middle of a row of four.
fn gif() -> Gif<'static> {
    Gif {
        canvas: (4, 2),
        global: Some(&COLOURS),
        background: 1,
        transparent: None,
        frame: (1, 0, 2, 2),
        local: None,
        indices: &[3, 2, 1, 3],
    }
}

/// The expected image of [`gif`] and its variants: the frame's four colours surrounded by `around`.
fn amid(around: [u8; 3], [a, b, c, d]: [[u8; 3]; 4]) -> (u32, u32, Vec<[u8; 3]>) {
    (4, 2, vec![around, a, b, around, around, c, d, around])
}

#[test]
fn a_small_frame_lies_on_the_first_colour_whatever_the_background_is_called() {
    let [first, second, third, fourth] = COLOURS;
    let frame = [fourth, third, second, fourth];
    assert_eq!(gif().shown(), amid(first, frame));
    assert_eq!(Gif { transparent: Some(2), ..gif() }.shown(), amid(third, frame));
}

#[test]
fn a_local_palette_counts_for_the_background_too() {
    let local = [[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]];
    assert_eq!(Gif { local: Some(&local), ..gif() }.shown(), amid(local[0], [local[3], local[2], local[1], local[3]]));
}

#[test]
fn colours_beyond_the_palette_are_black_and_without_a_palette_grey() {
    let [first, .., fourth] = COLOURS;
    let indices = [5, 6, 200, 3];
    assert_eq!(Gif { indices: &indices, ..gif() }.shown(), amid(first, [[0; 3], [0; 3], [0; 3], fourth]));
    assert_eq!(Gif { transparent: Some(9), ..gif() }.shown().2[0], [0; 3]);
    let grey = indices.map(|index| [index; 3]);
    let none = Gif { global: None, indices: &indices, ..gif() };
    assert_eq!(none.shown(), amid([0; 3], grey));
    let ramp = [[0; 3], [1; 3], [2; 3], [3; 3]];
    assert_eq!(Gif { global: Some(&ramp), indices: &indices, ..gif() }.shown(), amid([0; 3], grey));
}

#[test]
fn a_frame_beyond_the_canvas_makes_it_larger() {
    let [first, second, third, fourth] = COLOURS;
    let shown = Gif { canvas: (2, 2), frame: (1, 1, 2, 2), ..gif() }.shown();
    assert_eq!(shown, (3, 3, vec![first, first, first, first, fourth, third, first, second, fourth]));
    let mut options = DecodeOptions::default();
    options.max_pixels = 1 << 20;
    let far = Gif { frame: (60_000, 60_000, 2, 2), ..gif() }.bytes();
    assert_eq!(decode(&far, &options).unwrap_err().code(), "image.too_large");
}
