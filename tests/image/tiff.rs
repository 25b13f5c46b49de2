//! Kinds of TIFF that Pillow does not write, and refused kinds. The golden formats have the kinds that Pillow writes.

use image::{Rgb, RgbImage};
use residua::image::{DecodeOptions, Format, decode};

use crate::compare::{assert_equal, pixels};

const SHORT: u16 = 3;
const LONG: u16 = 4;

/// Tags of a directory: number, type and values.
type Tags = Vec<(u16, u16, Vec<u32>)>;

/// A file with one directory, in either byte order; the pixel data come first, at offset 8.
fn tiff(little: bool, data: &[u8], tags: &[(u16, u16, Vec<u32>)]) -> Vec<u8> {
    let two = |n: u32| if little { (n as u16).to_le_bytes() } else { (n as u16).to_be_bytes() };
    let four = |n: u32| if little { n.to_le_bytes() } else { n.to_be_bytes() };
    let mut bytes = if little { b"II*\0".to_vec() } else { b"MM\0*".to_vec() };
    let mut far = Vec::new();
    let directory = 8 + data.len().next_multiple_of(2);
    let after = directory + 2 + 12 * tags.len() + 4;
    let mut entries = Vec::new();
    for (tag, kind, values) in tags {
        let packed: Vec<u8> =
            values.iter().flat_map(|&n| if *kind == SHORT { two(n).to_vec() } else { four(n).to_vec() }).collect();
        entries.extend([two((*tag).into()), two((*kind).into())].concat());
        entries.extend(four(values.len() as u32));
        if packed.len() <= 4 {
            entries.extend([&packed[..], &[0; 4]].concat().iter().take(4));
        } else {
            entries.extend(four((after + far.len()) as u32));
            far.extend(packed);
        }
    }
    bytes.extend(four(directory as u32));
    bytes.extend(data);
    bytes.resize(directory, 0);
    bytes.extend(two(tags.len() as u32));
    bytes.extend([entries, four(0).to_vec(), far].concat());
    bytes
}

/// The tags of an uncompressed image of one strip.
fn strip(width: u32, height: u32, bits: &[u32], colours: u32, len: usize) -> Tags {
    vec![
        (256, LONG, vec![width]),
        (257, LONG, vec![height]),
        (258, SHORT, bits.to_vec()),
        (259, SHORT, vec![1]),
        (262, SHORT, vec![colours]),
        (273, LONG, vec![8]),
        (277, SHORT, vec![bits.len() as u32]),
        (278, LONG, vec![height]),
        (279, LONG, vec![len as u32]),
    ]
}

fn set(tags: &mut Tags, tag: u16, values: &[u32]) {
    tags.retain(|(known, ..)| *known != tag);
    tags.push((
        tag,
        if values.iter().any(|&n| n > 0xffff) || (322..=325).contains(&tag) || tag == 273 { LONG } else { SHORT },
        values.to_vec(),
    ));
    tags.sort();
}

fn shown(bytes: &[u8]) -> RgbImage {
    let decoded = decode(bytes, &DecodeOptions::default()).unwrap();
    assert_eq!(decoded.format, Format::Tiff);
    decoded.image.into_rgb8()
}

fn refused(bytes: &[u8], words: &str) {
    let error = decode(bytes, &DecodeOptions::default()).unwrap_err();
    assert!(error.code() == "image.unsupported" && error.to_string().contains(words), "{error} lacks {words}");
}

#[test]
fn few_bits_of_grey_and_palettes_are_unpacked() {
    for little in [true, false] {
        for bits in [1, 2, 4, 8] {
            let (width, height) = (5_u32, 3_u32);
            let most = (1_u32 << bits) - 1;
            let value = |x: u32, y: u32| (x * 7 + y * 11 + 3) & most;
            let mut data = Vec::new();
            for y in 0..height {
                let row = (0..width).fold(0_u64, |row, x| row << bits | u64::from(value(x, y)));
                let len = (width * bits).div_ceil(8);
                data.extend_from_slice(&(row << (8 * len - width * bits)).to_be_bytes()[8 - len as usize..]);
            }
            let grey = |level: u32| Rgb([(level * 255 / most) as u8; 3]);
            let black_is_zero = tiff(little, &data, &strip(width, height, &[bits], 1, data.len()));
            let want = RgbImage::from_fn(width, height, |x, y| grey(value(x, y)));
            assert_equal(&format!("{bits} bits of grey"), &pixels(&shown(&black_is_zero)), &pixels(&want));
            let white_is_zero = tiff(little, &data, &strip(width, height, &[bits], 0, data.len()));
            let want = RgbImage::from_fn(width, height, |x, y| grey(most - value(x, y)));
            assert_equal(&format!("{bits} bits, white is zero"), &pixels(&shown(&white_is_zero)), &pixels(&want));
            let colour = |index: u32, c: u32| (index * 40 + c * 70) & 0xff;
            let mut tags = strip(width, height, &[bits], 3, data.len());
            let map: Vec<u32> = (0..3).flat_map(|c| (0..=most).map(move |i| colour(i, c) << 8 | 0x7f)).collect();
            set(&mut tags, 320, &map);
            let want = RgbImage::from_fn(width, height, |x, y| Rgb([0, 1, 2].map(|c| colour(value(x, y), c) as u8)));
            assert_equal(
                &format!("palette of {bits} bits"),
                &pixels(&shown(&tiff(little, &data, &tags))),
                &pixels(&want),
            );
        }
    }
}

#[test]
fn planes_tiles_and_sixteen_bits_are_put_together() {
    let (width, height) = (21_u32, 18_u32);
    let value = |x: u32, y: u32, c: u32| (x * 11 + y * 5 + c * 83) as u8;
    let want = pixels(&RgbImage::from_fn(width, height, |x, y| Rgb([0, 1, 2].map(|c| value(x, y, c)))));
    let size = (width * height) as usize;

    // Planes of red, green and blue, and an unused alpha.
    let planes: Vec<u8> =
        (0..4).flat_map(|c| (0..height).flat_map(move |y| (0..width).map(move |x| value(x, y, c)))).collect();
    let mut tags = strip(width, height, &[8; 4], 2, size);
    set(&mut tags, 273, &[0, 1, 2, 3].map(|plane| 8 + plane * size as u32));
    set(&mut tags, 279, &[size as u32; 4]);
    set(&mut tags, 284, &[2]);
    set(&mut tags, 338, &[2]);
    assert_equal("planes", &pixels(&shown(&tiff(true, &planes, &tags))), &want);

    // 2x2 tiles of 16x16 pixels, which reach beyond the edge.
    let mut data = Vec::new();
    for (top, left) in [(0, 0), (0, 16), (16, 0), (16, 16)] {
        data.extend((0..256_u32).flat_map(|i| [0, 1, 2].map(|c| value(left + i % 16, top + i / 16, c))));
    }
    let mut tags = strip(width, height, &[8; 3], 2, 0);
    tags.retain(|(tag, ..)| ![273, 278, 279].contains(tag));
    set(&mut tags, 322, &[16]);
    set(&mut tags, 323, &[16]);
    set(&mut tags, 324, &[8, 776, 1544, 2312]);
    set(&mut tags, 325, &[768; 4]);
    assert_equal("tiles", &pixels(&shown(&tiff(false, &data, &tags))), &want);

    for little in [true, false] {
        let deep: Vec<u8> = (0..size as u32)
            .flat_map(|i| [0, 1, 2].map(|c| u16::from(value(i % width, i / width, c)) << 8 | 0xff))
            .flat_map(|v| if little { v.to_le_bytes() } else { v.to_be_bytes() })
            .collect();
        let bytes = tiff(little, &deep, &strip(width, height, &[16; 3], 2, deep.len()));
        assert_equal("sixteen bits", &pixels(&shown(&bytes)), &want);
    }
}

/// Pillow always turns a TIFF upright, so residua does too.
#[test]
fn a_tiff_is_turned_upright_in_any_case() {
    let mut tags = strip(2, 1, &[8], 1, 2);
    set(&mut tags, 274, &[6]);
    let bytes = tiff(true, &[10, 200], &tags);
    let mut options = DecodeOptions::default();
    for exif in [true, false] {
        options.exif = exif;
        let image = decode(&bytes, &options).unwrap().image.into_luma8();
        assert_eq!((image.dimensions(), image.into_raw()), ((1, 2), vec![10, 200]));
    }
}

#[test]
fn what_is_not_read_of_tiff_is_named() {
    let plain = |tag: u16, values: &[u32]| {
        let mut tags = strip(2, 2, &[8], 1, 4);
        set(&mut tags, tag, values);
        tiff(true, &[0; 4], &tags)
    };
    refused(&plain(50_706, &[1]), "raw photo");
    refused(&plain(254, &[1]), "preview");
    refused(&plain(262, &[32_803]), "photometric interpretation");
    refused(&plain(262, &[8]), "L*a*b*");
    refused(&plain(339, &[3]), "floating point");
    refused(&plain(266, &[2]), "bits reversed");
    refused(&plain(258, &[12]), "12 bits");
    refused(&plain(259, &[4]), "compression");
    refused(b"II*\0\x10\0\0\0CR\x02\0", "raw photo");
}

#[test]
fn a_tiff_that_ends_early_is_truncated() {
    let bytes = tiff(true, &[7; 4], &strip(200, 200, &[8], 1, 40_000));
    assert_eq!(decode(&bytes, &DecodeOptions::default()).unwrap_err().code(), "image.truncated");
}

#[test]
fn no_size_that_a_tiff_announces_costs_more_than_the_limit() {
    let mut options = DecodeOptions::default();
    options.max_pixels = 1 << 20;
    let over = |tags: &Tags| decode(&tiff(true, &[0; 16], tags), &options).unwrap_err().code().to_string();
    assert_eq!(over(&strip(100_000, 100_000, &[8; 3], 2, 16)), "image.too_large");
    // Tiles much larger than the image.
    let mut tags = strip(4, 4, &[8], 1, 16);
    tags.retain(|(tag, ..)| ![273, 278, 279].contains(tag));
    for (tag, values) in [(322, 1 << 20), (323, 1 << 20), (324, 8), (325, 16)] {
        set(&mut tags, tag, &[values]);
    }
    assert_eq!(over(&tags), "image.too_large");
}

/// A colour is divided by the alpha that it was multiplied with; at alpha 0 it is black.
#[test]
fn colours_are_divided_by_their_alpha() {
    for extra in [&[1][..], &[1, 0]] {
        let pixels = [[100, 50, 7, 200], [100, 50, 7, 0], [100, 50, 7, 255], [100, 50, 7, 60]];
        let data: Vec<u8> = pixels.iter().flat_map(|pixel| [&pixel[..], &[9][..extra.len() - 1]].concat()).collect();
        let mut tags = strip(4, 1, &vec![8; 3 + extra.len()], 2, data.len());
        set(&mut tags, 338, extra);
        let want = [127, 63, 8, 0, 0, 0, 100, 50, 7, 255, 212, 29];
        assert_eq!(shown(&tiff(true, &data, &tags)).into_raw(), want, "{extra:?}");
    }
}
