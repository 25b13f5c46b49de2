//! Checkpoints from good and bad bytes.

use std::{fs, path::Path};

use residua::{Error, Result, checkpoint::Checkpoint};

/// A file of `header` and `data`.
fn file(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(data);
    bytes
}

/// One tensor `conv1.weight` of `dtype` and `shape`.
fn one(dtype: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let end = data.len();
    file(&format!(r#"{{"conv1.weight":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[0,{end}]}}}}"#), data)
}

fn parse(bytes: impl Into<Vec<u8>>) -> Result<Checkpoint> {
    Checkpoint::from_bytes("test", bytes.into())
}

fn code(bytes: impl Into<Vec<u8>>) -> &'static str {
    parse(bytes).map_or_else(|e| e.code(), |_| "ok")
}

fn values(dtype: &str, data: &[u8], count: usize) -> Result<Vec<f32>> {
    let checkpoint = parse(one(dtype, &format!("[{count}]"), data))?;
    checkpoint.tensor("conv1.weight", &[count]).map(|v| v.into_owned())
}

fn le(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

#[test]
fn a_good_file_is_read() {
    let header = r#"{"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[],"data_offsets":[8,12]},
        "module.bn1.num_batches_tracked":{"dtype":"I64","shape":[],"data_offsets":[12,20]},
        "a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}}"#;
    let mut data = le(&[1.0, 2.0, 3.0]);
    data.extend_from_slice(&7i64.to_le_bytes());
    let checkpoint = parse(file(header, &data)).unwrap();
    assert_eq!(checkpoint.name(), "test");
    assert_eq!(checkpoint.metadata()["format"], "pt");
    assert_eq!(checkpoint.shapes().keys().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(checkpoint.tensor("a", &[2, 1]).unwrap().as_ref(), [1.0, 2.0]);
    assert_eq!(checkpoint.tensor("b", &[]).unwrap().as_ref(), [3.0]);
}

#[test]
fn static_bytes_need_no_copy() {
    static EMPTY: [u8; 10] = [2, 0, 0, 0, 0, 0, 0, 0, b'{', b'}'];
    let checkpoint = Checkpoint::from_bytes("static", EMPTY.as_slice()).unwrap();
    assert!(checkpoint.shapes().is_empty());
}

#[test]
fn row_01_too_short_for_a_length() {
    assert_eq!(code([]), "model.truncated");
    assert_eq!(code([0; 7]), "model.truncated");
}

#[test]
fn row_02_absurd_header_lengths() {
    for length in [1u64 << 63, u64::MAX, 100_000_001, 1000, 3] {
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.extend_from_slice(b"{}");
        assert_eq!(code(bytes), "model.header", "{length}");
    }
}

#[test]
fn row_03_headers_that_are_no_header() {
    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(3000), "]".repeat(3000));
    for header in
        ["[]", "{", r#"{"a":1}"#, r#"{"__metadata__":{"a":1}}"#, r#"{"a":{"dtype":"F32"}}"#, "", &deep, "{}{}"]
    {
        assert_eq!(code(file(header, &[])), "model.header", "{header:.40}");
    }
    let mut latin = file("{}", &[]);
    latin[9] = 0xff;
    assert_eq!(code(latin), "model.header");
}

#[test]
fn row_04_a_header_that_starts_with_space() {
    let Err(Error::ModelHeader { reason, .. }) = parse(file(" {}", &[])) else { panic!() };
    assert!(reason.contains("start"), "{reason}");
    assert_eq!(code(file("{} ", &[])), "ok");
}

#[test]
fn row_05_too_few_and_too_many_bytes() {
    let whole = one("F32", "[2]", &le(&[1.0, 2.0]));
    assert_eq!(code(&whole[..]), "ok");
    let Err(Error::ModelTruncated { reason, .. }) = parse(&whole[..whole.len() - 1]) else { panic!() };
    assert_eq!(reason, "the header announces 8 bytes of tensors, but the file has 7");
    let trailing = [&whole[..], b"PK"].concat();
    let Err(Error::ModelHeader { reason, .. }) = parse(trailing) else { panic!() };
    assert_eq!(reason, "2 bytes follow the last tensor");
}

#[test]
fn row_06_offsets_that_overlap_leave_holes_or_run_backwards() {
    let two = |a: &str, b: &str| {
        let header = format!(
            r#"{{"a":{{"dtype":"F32","shape":[1],"data_offsets":{a}}},"b":{{"dtype":"F32","shape":[1],"data_offsets":{b}}}}}"#
        );
        code(file(&header, &[0; 16]))
    };
    for (a, b) in [("[0,4]", "[2,6]"), ("[0,4]", "[0,4]"), ("[0,4]", "[8,12]"), ("[4,0]", "[4,8]"), ("[4,8]", "[8,12]")]
    {
        assert_eq!(two(a, b), "model.header", "{a} {b}");
    }
}

#[test]
fn row_07_a_tensor_named_twice() {
    for second in ["F32", "F16"] {
        let end = if second == "F32" { 8 } else { 6 };
        let header = format!(
            r#"{{"a":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}},"a":{{"dtype":"{second}","shape":[1],"data_offsets":[4,{end}]}}}}"#
        );
        let Err(Error::ModelHeader { reason, .. }) = parse(file(&header, &vec![0; end])) else { panic!() };
        assert_eq!(reason, "tensor a appears twice");
    }
    let escaped = r#"{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"\u0061":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#;
    assert_eq!(code(file(escaped, &[])), "model.header");
}

#[test]
fn row_08_shapes_that_overflow_are_negative_or_do_not_fit() {
    for shape in ["[4294967296,4294967296]", "[18446744073709551615,2]", "[-1]", "[3]", "[2,2]", "[1.0]", "[1e30]"] {
        assert_eq!(code(one("F32", shape, &[0; 8])), "model.header", "{shape}");
    }
}

#[test]
fn row_11_known_counters_are_ignored() {
    let header = r#"{"module.bn1.num_batches_tracked":{"dtype":"I64","shape":[],"data_offsets":[0,8]}}"#;
    assert!(parse(file(header, &[0; 8])).unwrap().shapes().is_empty());
}

#[test]
fn row_12_asking_for_another_shape_or_name() {
    let checkpoint = parse(one("F32", "[2,1]", &[0; 8])).unwrap();
    let Err(Error::TensorShape { tensor, expected, got, .. }) = checkpoint.tensor("conv1.weight", &[1, 2]) else {
        panic!()
    };
    assert_eq!((tensor.as_str(), expected, got), ("conv1.weight", vec![1, 2], vec![2, 1]));
    assert_eq!(checkpoint.tensor("conv2.weight", &[1]).unwrap_err().code(), "model.missing_tensor");
}

#[test]
fn row_13_halves_are_widened_exactly() {
    // 1, -2, the largest finite and the smallest subnormal value of each type.
    let half = [0x3c00u16, 0xc000, 0x7bff, 0x0001].map(u16::to_le_bytes).concat();
    assert_eq!(values("F16", &half, 4).unwrap(), [1.0, -2.0, 65504.0, 2f32.powi(-24)]);
    let brain = [0x3f80u16, 0xc000, 0x7f7f, 0x0001].map(u16::to_le_bytes).concat();
    assert_eq!(values("F8_E4M3", &[0x38, 0xb9, 0x7e], 3).unwrap(), [1.0, -1.125, 448.0]);
    assert_eq!(values("F8_E5M2", &[0x3c, 0xbd, 0x7b], 3).unwrap(), [1.0, -1.25, 57344.0]);
    assert_eq!(values("BF16", &brain, 4).unwrap(), [1.0, -2.0, f32::from_bits(0x7f7f_0000), f32::from_bits(0x1_0000)]);
}

#[test]
fn row_14_doubles_are_narrowed_within_their_range() {
    let bytes = |values: &[f64]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    assert_eq!(values("F64", &bytes(&[0.1, -3.5, 1e-60]), 3).unwrap(), [0.1, -3.5, 0.0]);
    let Err(Error::TensorValue { index, value, .. }) = values("F64", &bytes(&[1.0, -1e300]), 2) else { panic!() };
    assert_eq!((index, value.as_str()), (1, "-1e300, which is beyond f32,"));
}

#[test]
fn row_15_other_types_are_named() {
    for (dtype, size) in [("F8_E8M0", 1), ("I8", 1), ("I64", 8), ("C64", 8), ("BOOL", 1), ("U16", 2)] {
        let Err(Error::TensorDtype { tensor, dtype: found, .. }) = values(dtype, &vec![0; 2 * size], 2) else {
            panic!("{dtype}")
        };
        assert_eq!((tensor.as_str(), found.as_str()), ("conv1.weight", dtype));
    }
    assert_eq!(code(one("F4", "[2]", &[0])), "ok");
    assert_eq!(code(one("Q4_K", "[2]", &[0, 0])), "model.header");
}

#[test]
fn row_16_values_that_are_not_finite() {
    for (odd, text) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (f32::NEG_INFINITY, "-inf")] {
        let Err(Error::TensorValue { index, value, .. }) = values("F32", &le(&[0.0, 1.0, odd]), 3) else { panic!() };
        assert_eq!((index, value.as_str()), (2, text));
    }
    let Err(Error::TensorValue { index: 0, .. }) = values("F16", &0x7c00u16.to_le_bytes(), 1) else { panic!() };
}

#[test]
fn row_17_variances() {
    let read = |name: &str, v: f32| {
        let header = format!(r#"{{"{name}":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}}}"#);
        parse(file(&header, &v.to_le_bytes())).unwrap().tensor(name, &[1]).map(|v| v[0]).map_err(|e| e.code())
    };
    for small in [0.0, 1e-12, f32::MIN_POSITIVE] {
        assert_eq!(read("bn1.running_var", small), Ok(small));
    }
    for negative in [-1e-5, -0.5] {
        assert_eq!(read("bn1.running_var", negative), Err("model.value"));
        assert_eq!(read("bn1.running_mean", negative), Ok(negative));
    }
}

#[test]
fn row_19_other_formats_are_recognised_with_a_way_out() {
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4\n";
    let cases: [(&[u8], &str, &str); 12] = [
        (b"PK\x03\x04\x00\x00\x08\x08\x00\x00", "zip", "safetensors.torch.save_file"),
        (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", "pickle", "safetensors.torch.save_file"),
        (b"\x80\x04\x95\x00\x00\x00\x00\x00", "pickle", "run none of its code"),
        (b"\x08\x07\x12\x07pytorch\x1a\x05", "ONNX", "safetensors"),
        (b"GGUF\x03\x00\x00\x00\x00\x00", "GGUF", "safetensors"),
        (pointer, "git-LFS", "git lfs pull"),
        (b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", "gzip", "decompress"),
        (b"\xfd7zXZ\x00\x00\x04\xe6\xd6", "xz", "decompress"),
        (b"<!DOCTYPE html><html><head>", "HTML", "fetch"),
        (b"\n  <html><body>Sign in", "HTML", "fetch"),
        (b"{\"metadata\": {}, \"weight_map\": {}}", "JSON", "several files"),
        (b"Not Found: no such repository", "text", ".safetensors"),
    ];
    for (bytes, kind, way) in cases {
        match parse(bytes) {
            Err(Error::ModelFormat { found, hint, .. }) => {
                assert!(found.contains(kind) && hint.contains(way), "{kind}: {found}; {hint}");
            }
            other => panic!("{kind}: {other:?}"),
        }
    }
    let onnx = Checkpoint::from_bytes("net.ONNX", b"\x0a\x00\x00\x00\x00\x00\x00\x00\x00".to_vec()).unwrap_err();
    assert_eq!(onnx.code(), "model.format");
}

/// A header length can look like the mark of another format.
#[test]
fn a_header_as_long_as_a_mark_is_still_safetensors() {
    let length = 0x088b1f;
    let header = format!("{{}}{}", " ".repeat(length - 2));
    let bytes = file(&header, &[]);
    assert!(bytes.starts_with(b"\x1f\x8b\x08\x00"));
    assert_eq!(code(bytes), "ok");
}

#[test]
fn two_spellings_of_one_tensor_are_refused() {
    let names = ["conv1", "layer1.0.conv1", "layer2.0.shortcut.0", "layer2.0.downsample.0"];
    let tensors =
        names.map(|name| format!(r#""{name}.weight":{{"dtype":"F32","shape":[0,0,0,0],"data_offsets":[0,0]}}"#));
    let Err(Error::ModelHeader { reason, .. }) = parse(file(&format!("{{{}}}", tensors.join(",")), &[])) else {
        panic!()
    };
    assert!(reason.contains("both mean layer2.0.downsample.0.weight"), "{reason}");
}

#[test]
fn errors_name_the_tensor_as_the_file_does() {
    let header = r#"{"module.conv1.weight":{"dtype":"I8","shape":[1],"data_offsets":[0,1]}}"#;
    let checkpoint = parse(file(header, &[0])).unwrap();
    let Err(Error::TensorDtype { tensor, .. }) = checkpoint.tensor("conv1.weight", &[1]) else { panic!() };
    assert_eq!(tensor, "module.conv1.weight");
}

#[test]
fn files_and_folders() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    assert_eq!(Checkpoint::open(&path).unwrap_err().code(), "io");
    let Err(Error::Io { source: reason, .. }) = Checkpoint::open(folder.path()) else { panic!() };
    let reason = reason.to_string();
    assert!(reason.contains("folder"), "{reason}");

    // Larger than the part that is checked first.
    let data = le(&(0..1000).map(|i| i as f32).collect::<Vec<_>>());
    fs::write(&path, one("F32", "[1000]", &data)).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    assert_eq!(checkpoint.name(), path.display().to_string());
    assert_eq!(checkpoint.clone().tensor("conv1.weight", &[1000]).unwrap()[999], 999.0);

    let pickle = folder.path().join("pytorch_model.bin");
    fs::write(&pickle, b"PK\x03\x04 and more").unwrap();
    assert_eq!(Checkpoint::open(&pickle).unwrap_err().code(), "model.header");
    assert_eq!(parse(b"PK\x03\x04 and more".to_vec()).unwrap_err().code(), "model.format");
}

/// Cutting or changing any byte of a file never panics.
#[test]
fn no_damage_panics() {
    let whole =
        fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cifar_resnet20a.safetensors")).unwrap();
    let look = |bytes: Vec<u8>| {
        if let Ok(checkpoint) = parse(bytes) {
            for (name, shape) in checkpoint.shapes() {
                let _ = checkpoint.tensor(name, shape);
            }
        }
    };
    for length in 0..whole.len() {
        look(whole[..length].to_vec());
    }
    for i in 0..whole.len() {
        for change in [0x01, 0x20, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[i] ^= change;
            look(bytes);
        }
    }
}
