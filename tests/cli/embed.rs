//! `residua embed`: its output.

use std::fs;

use serde_json::Value;

use crate::{Folder, assert_fails, err, on_cpu, out};

#[test]
fn json_lines_and_numpy_arrays_hold_the_same_numbers() {
    let folder = Folder::new();
    folder.image("a.png", 40, 50);
    folder.file("b.png", "no image");
    folder.image("c.png", 60, 30);
    let all = folder.path("");
    let output = on_cpu(&["embed", "-r", &all]);
    assert_eq!(output.status.code(), Some(1), "{}", err(&output));
    let records: Vec<Value> = out(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let keys: Vec<&String> = records[0].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["embedding", "model", "path"]);
    assert_eq!(records[1]["error"]["code"], "image.decode", "{}", records[1]);

    let array = folder.path("out.npy");
    let output = on_cpu(&["embed", "-r", &all, "--format", "npy", "-o", &array]);
    assert_eq!(output.status.code(), Some(1), "{}", err(&output));
    let bytes = fs::read(&array).unwrap();
    let output = on_cpu(&["embed", "-r", &all, "--format", "npy"]);
    assert_eq!(output.stdout, bytes, "through a pipe");
    // The header of numpy.lib.format, version 1.0.
    assert_eq!(&bytes[..10], b"\x93NUMPY\x01\x00\x76\x00");
    let header = String::from_utf8(bytes[10..128].to_vec()).unwrap();
    assert_eq!(header.trim_end(), "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 96), }");
    assert!(header.ends_with('\n'));
    let values: Vec<f32> = bytemuck::pod_collect_to_vec(&bytes[128..]);
    assert_eq!(values.len(), 3 * 96);
    for (row, record) in values.chunks(96).zip(&records) {
        match record["embedding"].as_array() {
            Some(embedding) => {
                assert!(row.iter().zip(embedding).all(|(x, json)| json.as_f64().unwrap() as f32 == *x), "{row:?}");
            }
            None => assert!(row.iter().all(|x| x.is_nan()), "the row of a failed image"),
        }
    }
    let names: Vec<_> = fs::read_dir(&all).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 4, "no temporary file is left: {names:?}");
}

#[test]
fn the_paths_of_an_array_are_written_beside_it_in_the_order_of_its_rows() {
    let folder = Folder::new();
    folder.image("a.png", 40, 50);
    folder.file("b.png", "no image");
    folder.image("c.png", 60, 30);
    let (all, array, paths) = (folder.path(""), folder.path("out.npy"), folder.path("paths.txt"));
    let run = |arguments: &[&str]| on_cpu(&[&["embed", "--format", "npy"], arguments].concat());
    let expected = ["a.png", "b.png", "c.png"].map(|name| folder.path(name));
    let output = run(&["-r", &all, "-o", &array, "--paths", &paths]);
    assert_eq!(output.status.code(), Some(1), "{}", err(&output));
    assert_eq!(fs::read_to_string(&paths).unwrap().lines().collect::<Vec<_>>(), expected);
    // The list can be read back, and is the same through a pipe.
    let output = run(&[&format!("@{paths}"), "--paths", &folder.path("again.txt")]);
    assert_eq!(output.stdout, fs::read(&array).unwrap());
    assert_eq!(fs::read(folder.path("again.txt")).unwrap(), fs::read(&paths).unwrap());
    let names: Vec<_> = fs::read_dir(&all).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 6, "no temporary file is left: {names:?}");

    assert_fails(&run(&["-r", &all, "-o", &array, "--paths", &array]), 2, "config.value");
    assert_fails(&on_cpu(&["embed", "-r", &all, "--paths", &paths]), 2, "config.value");
    assert_fails(&run(&["-r", &all, "--paths", &folder.path("nowhere/paths.txt")]), 2, "io");
}

#[cfg(unix)]
#[test]
fn a_name_with_a_line_end_takes_one_line_and_with_nul_it_is_kept() {
    let folder = Folder::new();
    fs::create_dir(folder.path("p")).unwrap();
    let odd = folder.image("p/a\nb.png", 9, 9);
    folder.image("p/c.png", 9, 9);
    let (place, paths) = (folder.path("p"), folder.path("paths.txt"));
    let run = |arguments: &[&str]| {
        let options = ["embed", "--format", "npy", "-o", "/dev/null", "--paths", &paths];
        let output = on_cpu(&[&options, arguments].concat());
        assert_eq!(output.status.code(), Some(0), "{}", err(&output));
        fs::read_to_string(&paths).unwrap()
    };
    assert_eq!(run(&["-r", &place]), format!("{place}/a\\nb.png\n{place}/c.png\n"));
    let nul = run(&["-0", "-r", &place]);
    assert_eq!(nul, format!("{odd}\0{place}/c.png\0"));
    assert_eq!(run(&["-0", &format!("@{}", folder.file("list", &nul))]), nul, "it can be read back");
}
