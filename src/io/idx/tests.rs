use std::error::Error;
use std::fs;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

fn idx(magic: u32, sizes: &[u32], data: &[u8]) -> Vec<u8> {
    let words = [&[magic], sizes].concat();
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    bytes.extend(data);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn read_bytes(name: &str, bytes: &[u8], kind: IdxKind) -> Result<IdxArray, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    read(&path, kind).map_err(|error| {
        let message = error.to_string();
        let named = format!("`{}`: ", path.display());
        assert!(
            message.starts_with(&named),
            "the message names the file: {message}"
        );
        let cause = error.source().map(|e| format!(": {e}")).unwrap_or_default();
        format!("{}{cause}", &message[named.len()..])
    })
}

fn refusal(bytes: &[u8]) -> String {
    read_bytes("a.idx", bytes, IdxKind::Images).unwrap_err()
}

#[test]
fn the_content_and_not_the_name_says_whether_it_is_compressed() {
    let plain = idx(0x803, &[2, 1, 2], &[1, 2, 3, 4]);
    let expected = IdxArray {
        shape: vec![2, 1, 2],
        data: vec![1, 2, 3, 4],
    };
    for name in ["images.idx", "images.gz"] {
        for bytes in [plain.clone(), gzip(&plain)] {
            assert_eq!(read_bytes(name, &bytes, IdxKind::Images).unwrap(), expected);
        }
    }
    // Several members one after the other are one gzip file.
    let members = [gzip(&plain[..7]), gzip(&plain[7..])].concat();
    assert_eq!(
        read_bytes("a", &members, IdxKind::Images).unwrap(),
        expected
    );
    let labels = read_bytes("a", &idx(0x801, &[3], &[9, 8, 7]), IdxKind::Labels).unwrap();
    assert_eq!(labels.data, [9, 8, 7]);
}

#[test]
fn refuses_empty_and_cut_files() {
    assert_eq!(
        refusal(b""),
        "holds 0 bytes, but an IDX header of 3 axes has 16"
    );
    assert_eq!(
        refusal(&gzip(b"")),
        "holds 0 bytes after decompression, but an IDX header of 3 axes has 16"
    );
    assert_eq!(
        refusal(&idx(0x803, &[2], &[])),
        "holds 8 bytes, but an IDX header of 3 axes has 16"
    );
    let short = idx(0x803, &[2, 1, 2], &[1, 2, 3]);
    assert_eq!(
        refusal(&short),
        "the sizes [2, 1, 2] need 4 bytes of values, but 3 follow"
    );
    assert_eq!(
        refusal(&gzip(&short)),
        "the sizes [2, 1, 2] need 4 bytes of values, but 3 follow after decompression"
    );
    let long = idx(0x803, &[2, 1, 2], &[0; 9]);
    assert_eq!(
        refusal(&long),
        "the sizes [2, 1, 2] need 4 bytes of values, but more follow"
    );
}

#[test]
fn refuses_other_files() {
    assert_eq!(
        refusal(&idx(0x801, &[3], &[1; 9])),
        "starts with the magic number 0x00000801, expected 0x00000803 (images, unsigned bytes with 3 axes)"
    );
    assert!(
        refusal(b"<!DOCTYPE html><html>")
            .ends_with("(it looks like HTML or XML, perhaps a failed download)")
    );
    // A file that was compressed twice is still compressed after decompression.
    let twice = gzip(&gzip(&idx(0x803, &[1, 1, 1], &[1])));
    assert!(refusal(&twice).ends_with("(it looks like a gzip file)"));
}

#[test]
fn refuses_sizes_that_no_such_file_can_have() {
    let most = u32::MAX;
    assert_eq!(
        refusal(&idx(0x803, &[most, most, most], &[1])),
        "the header claims the sizes [4294967295, 4294967295, 4294967295], more than a file of 17 bytes can hold"
    );
    let bytes = gzip(&idx(0x803, &[most, 28, 28], &[1]));
    assert!(
        refusal(&bytes).starts_with("the header claims the sizes [4294967295, 28, 28], more than")
    );
}

#[test]
fn refuses_damaged_gzip_data() {
    let data: Vec<u8> = (0..1000_u32).map(|i| (i * i % 251) as u8).collect();
    let good = gzip(&idx(0x803, &[10, 10, 10], &data));
    assert!(read_bytes("a", &good, IdxKind::Images).is_ok());
    let damaged = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        refusal(&bytes)
    };
    let cut = damaged(&|bytes| bytes.truncate(good.len() / 2));
    assert!(
        cut.starts_with("the gzip data is cut short or damaged: "),
        "{cut}"
    );
    // The last eight bytes are the checksum and the length; one wrong bit in them must be noticed.
    for place in [good.len() / 2, good.len() - 8, good.len() - 1] {
        let flipped = damaged(&|bytes| bytes[place] ^= 1);
        assert!(
            flipped.starts_with("the gzip data is cut short or damaged: "),
            "byte {place}: {flipped}"
        );
    }
    let no_end = damaged(&|bytes| bytes.truncate(good.len() - 1));
    assert!(
        no_end.starts_with("the gzip data is cut short or damaged"),
        "{no_end}"
    );
}
