//! Row 19: pickles that ask for more than they hold, and those that are damaged.

use std::path::Path;

use crate::{folder::Folder, model_costs};

fn golden(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/pth").join(name).display().to_string()
}

#[test]
fn row_19_pickles_cost_no_more_than_they_hold() {
    let folder = Folder::new();
    let coded = |what: &str, code: &str, bytes: Vec<u8>| {
        let path = folder.file("model.pth", bytes);
        model_costs(what, code, &path, &[]);
    };
    let costs = |what: &str, bytes: Vec<u8>| coded(what, "model.header", bytes);
    let pickle = |body: Vec<u8>| [&b"\x80\x02"[..], &body, b"."].concat();
    costs("pickle of 5000000 opcodes", pickle(vec![b'N'; 5_000_000]));
    coded("pickle of 499000 empty dictionaries", "model.unknown_architecture", pickle(vec![b'}'; 499_000]));
    costs("pickle nested 200000 deep", pickle(vec![b']'; 200_000]));
    // Forty lists, each of which holds the previous list twice.
    let doubled: Vec<u8> =
        (1..40).flat_map(|slot| [b']', b'h', slot - 1, b'a', b'h', slot - 1, b'a', b'q', slot]).collect();
    costs("pickle whose memo doubles 40 times", pickle([&b"]q\x00"[..], &doubled].concat()));
    // A string of 9 MB that is fetched 1000 times.
    let length = 9_000_000_u32;
    let long =
        [&b"X"[..], &length.to_le_bytes(), &vec![b'a'; length as usize], b"q\x00", &b"h\x00".repeat(1000)].concat();
    costs("pickle with a string of 9 MB fetched 1000 times", pickle(long));
    costs("pickle with a string of 4 GiB announced", pickle(b"X\xff\xff\xff\xffaaaa".to_vec()));
    costs("zip archive with a directory of 4 GiB announced", {
        let mut end = b"PK\x03\x04 and nothing PK\x05\x06".to_vec();
        end.extend([0, 0, 0, 0, 1, 0, 1, 0, 0xf0, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0]);
        end
    });
    let tar = std::fs::read(golden("old.tar.pth")).unwrap();
    costs("tar archive with a sparse member", {
        let mut sparse = tar.clone();
        sparse[156] = b'S';
        sparse
    });
    costs("tar archive with a member of 8 GiB announced", {
        let mut large = tar;
        large[124..136].copy_from_slice(b"77777777777\0");
        large
    });
    model_costs("zip archive of tensors that are packed", "model.header", &golden("packed.pth"), &[]);
    model_costs("pickle of 2 GB out of one number", "model.header", &golden("expanded.pth"), &[]);
}
