//! `residua similar`: the search, its index, near-duplicates.

use std::{fs, time::Duration};

use image::imageops::FilterType;
use safetensors::SafeTensors;
use serde_json::Value;

use crate::{Folder, assert_fails, err, on_cpu, out, residua};

/// Eight different photos, with an exact copy and a copy of half the size, encoded again, of the last one.
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

    // An unchanged file is not read again: its stamp is kept, but its bytes are not an image.
    let first = folder.path("album/0.jpg");
    let (old, time) = (fs::read(&first).unwrap(), fs::metadata(&first).unwrap().modified().unwrap());
    fs::write(&first, vec![0; old.len()]).unwrap();
    fs::File::options().write(true).open(&first).unwrap().set_modified(time).unwrap();
    assert_eq!(out(&on_cpu(&with_index)), out(&fresh));
    // A changed file is read again, and a deleted one is not found.
    fs::File::options().write(true).open(&first).unwrap().set_modified(time + Duration::from_secs(5)).unwrap();
    fs::remove_file(folder.path("album/x copy.jpg")).unwrap();
    let output = on_cpu(&with_index);
    assert_fails(&output, 1, "image.decode");
    let neighbours = records(&out(&output))[0]["neighbours"].to_string();
    assert!(neighbours.contains("w small") && !neighbours.contains("x copy"), "{neighbours}");

    let bytes = fs::read(&index).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.tensor("embeddings").unwrap().shape(), [7, 96], "the broken and the removed image are missing");
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
    fs::create_dir(folder.path("one")).unwrap();
    fs::copy(&query, folder.path("one/photo.jpg")).unwrap();
    let none = on_cpu(&["similar", "--duplicates", "--in", &folder.path("one")]);
    assert!(out(&none).is_empty() && err(&none).contains("no near-duplicates"), "{}", err(&none));
    let all = ["similar", "--duplicates", "--in", &index, "--min-score", "-1", "--format", "jsonl"];
    assert_eq!(records(&out(&on_cpu(&[&all[..], &["--pairs"]].concat()))).len(), 9 * 8 / 2, "each pair once");
    let groups = records(&out(&on_cpu(&all)));
    assert_eq!((groups.len(), groups[0]["paths"].as_array().unwrap().len()), (1, 9), "{groups:?}");

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

#[test]
fn no_similarity_is_above_one_and_copies_have_exactly_one() {
    let (folder, album) = album();
    for i in 0..7 {
        fs::copy(folder.path(&format!("album/{i}.jpg")), folder.path(&format!("album/{i} again.jpg"))).unwrap();
    }
    let scores = |output: &std::process::Output| -> Vec<f64> {
        assert_eq!(output.status.code(), Some(0), "{}", err(output));
        records(&out(output)).iter().map(|record| record["score"].as_f64().unwrap()).collect()
    };
    // On the best adapter: the CPU path sums differently.
    let run = |arguments: &[&str]| residua(&[&["similar", "--in", &album, "--format", "jsonl"], arguments].concat());
    let pairs = scores(&run(&["--duplicates", "--pairs", "--min-score", "-1"]));
    assert_eq!(pairs.len(), 16 * 15 / 2);
    assert!(pairs.iter().all(|score| (-1.0..=1.0).contains(score)), "{pairs:?}");
    assert!(pairs.iter().filter(|score| **score == 1.0).count() >= 7, "{pairs:?}");
    let copies = run(&["--duplicates", "--min-score", "1"]);
    assert!(scores(&copies).iter().all(|score| *score == 1.0) && scores(&copies).len() >= 7, "{}", out(&copies));
    let found = records(&out(&run(&[&folder.path("query.jpg"), "-k", "16"])));
    let neighbours = found[0]["neighbours"].as_array().unwrap();
    let score = |name: &str| {
        let named = |n: &&Value| n["path"].as_str().unwrap().ends_with(name);
        neighbours.iter().find(named).unwrap()["score"].as_f64().unwrap()
    };
    for i in 0..7 {
        assert_eq!(score(&format!("/{i}.jpg")), score(&format!("/{i} again.jpg")), "equal images have equal scores");
    }
    assert!(neighbours.iter().all(|n| n["score"].as_f64().unwrap() <= 1.0));
}

#[test]
fn a_group_has_what_is_alike_through_others_and_tells_its_lowest_similarity() {
    let folder = Folder::new();
    fs::create_dir(folder.path("p")).unwrap();
    // Each picture is a little brighter on one side than the previous one, so neighbours are more similar than the ends.
    for i in 0..6_u32 {
        let pixel = |x: u32, y: u32| image::Rgb([(x * 2 + i * 12) as u8, (y * 3) as u8, (255 - i * 40) as u8]);
        image::RgbImage::from_fn(64, 64, pixel).save(folder.path(&format!("p/{i}.png"))).unwrap();
    }
    let run = |arguments: &[&str]| {
        let place = folder.path("p");
        let output = on_cpu(&[&["similar", "--duplicates", "--in", &place, "--format", "jsonl"], arguments].concat());
        assert_eq!(output.status.code(), Some(0), "{}", err(&output));
        records(&out(&output))
    };
    let all = run(&["--pairs", "--min-score", "-1"]);
    let lowest = all.iter().map(|pair| pair["score"].as_f64().unwrap()).fold(1.0, f64::min);
    // The lowest similarity that still joins all pictures into one group.
    let mut links: Vec<f64> = all.iter().map(|pair| pair["score"].as_f64().unwrap()).collect();
    links.sort_by(|a, b| b.total_cmp(a));
    let chain =
        links.iter().find(|least| run(&["--min-score", &least.to_string()])[0]["paths"].as_array().unwrap().len() == 6);
    let chain = *chain.unwrap();
    assert!(lowest < chain, "the ends are less similar than neighbours: {all:?}");
    let groups = run(&["--min-score", &chain.to_string()]);
    assert_eq!(groups.len(), 1, "{groups:?}");
    assert_eq!(groups[0]["score"].as_f64().unwrap(), lowest, "{groups:?}");
    assert!(run(&["--min-score", "1"]).is_empty());
}

#[test]
fn an_index_outlives_a_folder_that_is_empty_for_a_while() {
    let (folder, album) = album();
    let index = folder.path("album.index");
    let search = ["similar", "--duplicates", "--in", &album, "--index", &index];
    assert_eq!(on_cpu(&search).status.code(), Some(0));
    let bytes = fs::read(&index).unwrap();
    fs::rename(&album, folder.path("elsewhere")).unwrap();
    fs::create_dir(&album).unwrap();
    let output = on_cpu(&search);
    assert_fails(&output, 1, "image.none");
    assert!(!err(&output).contains("failed"), "{}", err(&output));
    assert_eq!(fs::read(&index).unwrap(), bytes);
}

#[test]
fn no_similarity_is_above_one() {
    for score in ["1.01", "-1.5", "NaN", "95"] {
        let output = residua(&["similar", "--duplicates", "--in", ".", "--min-score", score]);
        assert_eq!(output.status.code(), Some(2), "{score}");
        assert!(err(&output).contains("expected a similarity from -1 to 1"), "{}", err(&output));
    }
}
