//! `residua similar`: the search, its index, near-duplicates.

use std::{fs, time::Duration};

use image::imageops::FilterType;
use safetensors::SafeTensors;
use serde_json::Value;

use crate::{Folder, assert_fails, err, on_cpu, out};

/// Eight unlike photos, and of the last one an exact copy and one in half its size, encoded anew.
fn album() -> (Folder, String) {
    let folder = Folder::new();
    fs::create_dir(folder.path("album")).unwrap();
    let pixel = |i: u32, x: u32, y: u32| {
        let wave = |a: u32, b: u32| (127.0 + 120.0 * ((a * x + b * y) as f32 / 90.0).sin()) as u8;
        image::Rgb([wave(i + 1, 2), wave(3, i), wave(9 - i, 7 * i)])
    };
    for i in 0..8 {
        let photo = image::RgbImage::from_fn(160, 120, |x, y| pixel(i, x, y));
        photo.save(folder.path(&format!("album/{i}.jpg"))).unwrap();
        if i == 7 {
            photo.save(folder.path("album/x copy.jpg")).unwrap();
            image::imageops::resize(&photo, 80, 60, FilterType::CatmullRom)
                .save(folder.path("album/w small.jpg"))
                .unwrap();
        }
    }
    fs::rename(folder.path("album/7.jpg"), folder.path("query.jpg")).unwrap();
    let album = folder.path("album");
    (folder, album)
}

fn records(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn copies_come_first_and_an_index_reads_only_what_changed() {
    let (folder, album) = album();
    let (query, index) = (folder.path("query.jpg"), folder.path("album.index"));
    let search = ["similar", &query, "--format", "jsonl", "-k", "4", "--in"];
    let fresh = on_cpu(&[&search[..], &[&album]].concat());
    assert_eq!(fresh.status.code(), Some(0), "{}", err(&fresh));
    let found = records(&out(&fresh));
    let neighbours = found[0]["neighbours"].as_array().unwrap();
    let name = |i: usize| neighbours[i]["path"].as_str().unwrap().rsplit('/').next().unwrap().to_string();
    let score = |i: usize| neighbours[i]["score"].as_f64().unwrap();
    assert_eq!((found.len(), neighbours.len(), name(0), name(1)), (1, 4, "x copy.jpg".into(), "w small.jpg".into()));
    assert!((score(0) - 1.0).abs() < 1e-6 && score(1) > 0.99 && score(2) < score(1), "{neighbours:?}");

    let with_index = [&search[..], &[&album, "--index", &index]].concat();
    assert_eq!(out(&on_cpu(&with_index)), out(&fresh));
    let of_index = on_cpu(&[&search[..], &[&index]].concat());
    assert_eq!(out(&of_index), out(&fresh), "{}", err(&of_index));

    // A file that did not change is not read: its stamp is kept while its bytes become no image.
    let first = folder.path("album/0.jpg");
    let (old, time) = (fs::read(&first).unwrap(), fs::metadata(&first).unwrap().modified().unwrap());
    fs::write(&first, vec![0; old.len()]).unwrap();
    fs::File::options().write(true).open(&first).unwrap().set_modified(time).unwrap();
    assert_eq!(out(&on_cpu(&with_index)), out(&fresh));
    // One that did is, and one that is gone is found no more.
    fs::File::options().write(true).open(&first).unwrap().set_modified(time + Duration::from_secs(5)).unwrap();
    fs::remove_file(folder.path("album/x copy.jpg")).unwrap();
    let output = on_cpu(&with_index);
    assert_fails(&output, 1, "image.decode");
    let neighbours = records(&out(&output))[0]["neighbours"].to_string();
    assert!(neighbours.contains("w small") && !neighbours.contains("x copy"), "{neighbours}");

    let bytes = fs::read(&index).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.tensor("embeddings").unwrap().shape(), [7, 96], "eight, less the broken and the removed one");
    let paths = String::from_utf8(file.tensor("paths").unwrap().data().to_vec()).unwrap();
    assert_eq!(paths.split_terminator('\0').count(), 7);
    let row: Vec<f32> = bytemuck::pod_collect_to_vec(&file.tensor("embeddings").unwrap().data()[..4 * 96]);
    assert!((row.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-5, "rows are of unit length");
}

#[test]
fn near_duplicates_and_what_is_refused() {
    let (folder, album) = album();
    let (query, index) = (folder.path("query.jpg"), folder.path("album.index"));
    let output = on_cpu(&["similar", "--duplicates", "--min-score", "0.99", "--in", &album, "--index", &index]);
    let lines: Vec<String> = out(&output).lines().map(String::from).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("w small.jpg") && lines[0].ends_with("x copy.jpg"), "{lines:?}");
    let all = on_cpu(&["similar", "--duplicates", "--in", &index, "--min-score", "-1", "--format", "jsonl"]);
    assert_eq!(records(&out(&all)).len(), 9 * 8 / 2, "each pair once");

    let other = folder.checkpoint("other.safetensors", "cifar_resnet20a", |_, _, _| true);
    for arguments in [&["--in", &index][..], &["--in", &album, "--index", &index]] {
        assert_fails(&on_cpu(&[&["similar", &query, "-m", &other], arguments].concat()), 2, "config.value");
    }
    assert_fails(&on_cpu(&["similar", &query, "--in", &index, "--crop", "48"]), 2, "config.value");
    assert_fails(&on_cpu(&["similar", &query, "--in", &query]), 2, "model.header");
    assert_fails(&on_cpu(&["similar", &query, "--in", &folder.path("nowhere")]), 2, "io");
    let output = on_cpu(&["similar", &album, &query, "--in", &index, "--format", "jsonl", "--min-score", "0.99"]);
    assert_eq!(output.status.code(), Some(1));
    let found = records(&out(&output));
    assert!(found[0]["error"]["code"].is_string(), "{found:?}");
    assert_eq!(found[1]["neighbours"].as_array().unwrap().len(), 2, "{found:?}");
}
