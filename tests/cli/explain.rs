//! `residua explain`: the picture, the numbers, and the choice of the class.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{Folder, assert_fails, err, on_cpu, out, residua};

#[test]
fn the_picture_is_the_photo_in_its_size_with_a_legend_below() {
    let folder = Folder::new();
    let photo = folder.image("photo.png", 500, 300);
    let (picture, numbers) = (folder.path("heat.png"), folder.path("map.json"));
    let output = residua(&["explain", &photo, "-o", &picture, "--json", &numbers]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(out(&output).contains("of 500x300 pixels"), "{}", out(&output));
    let drawn = image::open(&picture).unwrap().to_rgb8();
    assert!(drawn.width() == 500 && drawn.height() > 300, "{:?}", drawn.dimensions());
    let coloured =
        drawn.enumerate_pixels().filter(|(_, y, p)| *y < 300 && p.0.iter().max() != p.0.iter().min()).count();
    assert!(coloured > 1000, "no heat: {coloured} coloured pixels");
    let map: Value = serde_json::from_str(&fs::read_to_string(&numbers).unwrap()).unwrap();
    let rows = map["map"].as_array().unwrap();
    assert_eq!((rows.len(), rows[0].as_array().unwrap().len()), (8, 8));
    assert_eq!(map["region"]["width"], 500.0);
}

#[test]
fn what_the_network_does_not_see_has_no_colour() {
    let folder = Folder::new();
    let picture = folder.path("heat.png");
    let photo = folder.image("photo.png", 600, 200);
    assert!(on_cpu(&["explain", &photo, "-o", &picture, "--resize", "32", "--crop", "32"]).status.success());
    let drawn = image::open(&picture).unwrap().to_rgb8();
    for (x, y, pixel) in drawn.enumerate_pixels().filter(|(x, y, _)| *y < 200 && !(200..400).contains(x)) {
        assert_eq!(pixel.0, [pixel.0[0]; 3], "{x}, {y}");
    }
}

#[test]
fn classes_by_index_name_and_part_of_a_name() {
    let folder = Folder::new();
    let photo = folder.image("photo.png", 40, 30);
    let explain = |class: &str| on_cpu(&["explain", &photo, "-o", &folder.path("heat.png"), "--class", class]);
    for class in ["8", "ship", "SHIP", "shi"] {
        let output = explain(class);
        assert!(output.status.success() && out(&output).contains("ship"), "{class}: {}", err(&output));
    }
    for class in ["10", "submarine", "o"] {
        assert_fails(&explain(class), 2, "config.value");
    }
    assert!(err(&explain("o")).contains("automobile"), "{}", err(&explain("o")));
}

#[test]
fn upright_photos_extreme_shapes_and_bad_input() {
    let folder = Folder::new();
    let picture = folder.path("heat.png");
    for (width, height) in [(1, 1), (3000, 1), (1, 3000), (2500, 1600)] {
        let photo = folder.image("photo.png", width, height);
        let output = on_cpu(&["explain", &photo, "-o", &picture]);
        assert_eq!(output.status.code(), Some(0), "{width}x{height}: {}", err(&output));
        let (drawn_width, drawn_height) = image::image_dimensions(&picture).unwrap();
        assert!(drawn_width >= width && drawn_height > height);
    }
    // EXIF orientation 6: turned to the right, the photo is upright.
    let photo = folder.image("photo.jpg", 700, 420);
    let jpeg = fs::read(photo).unwrap();
    let exif = b"\xff\xe1\x00\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let turned = folder.file("turned.jpg", [&jpeg[..2], exif, &jpeg[2..]].concat());
    assert!(on_cpu(&["explain", &turned, "-o", &picture]).status.success());
    let (width, height) = image::image_dimensions(&picture).unwrap();
    assert!(width == 420 && height > 700, "{width}x{height}");

    let nowhere = folder.path("none.png");
    let text = folder.file("text.jpg", "not a photo");
    assert_fails(&on_cpu(&["explain", &text, "-o", &nowhere]), 1, "image.decode");
    assert!(!Path::new(&nowhere).exists());
    let photo = folder.image("photo.png", 40, 30);
    assert_fails(&on_cpu(&["explain", &photo, "-o", &folder.path("no/such/folder.png")]), 2, "io");
}
