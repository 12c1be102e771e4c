use std::error::Error;
use std::fs;

use super::*;

/// A file of format version 1 with this dictionary and these bytes of values.
fn file(dictionary: &str, values: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((dictionary.len() as u16).to_le_bytes());
    bytes.extend(dictionary.as_bytes());
    bytes.extend(values);
    bytes
}

fn dictionary(dtype: &str, fortran: &str, shape: &str) -> String {
    format!("{{'descr': '{dtype}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n")
}

fn with_file<T>(bytes: &[u8], read: impl Fn(&Path) -> T) -> T {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    fs::write(&path, bytes).unwrap();
    read(&path)
}

/// The message without the file's name, and the cause if there is one.
fn refusal(bytes: &[u8]) -> String {
    with_file(bytes, |path| {
        let error = read(path).unwrap_err();
        let cause = error.source().map(|e| format!(": {e}")).unwrap_or_default();
        let message = error.to_string();
        let named = format!("`{}`: ", path.display());
        assert!(
            message.starts_with(&named),
            "the message names the file: {message}"
        );
        format!("{}{cause}", &message[named.len()..])
    })
}

#[test]
fn what_is_written_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    for shape in [vec![], vec![6], vec![2, 3], vec![1, 2, 3], vec![0, 3]] {
        let count = element_count(&shape).unwrap();
        let data: Vec<f32> = (0..count).map(|i| i as f32 - 1.5).collect();
        write(&path, &shape, &data).unwrap();
        let tensor = read(&path).unwrap();
        assert_eq!(
            (tensor.shape(), tensor.data()),
            (shape.as_slice(), data.as_slice())
        );
    }
    let bytes = fs::read(&path).unwrap();
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    assert_eq!(
        (bytes.len()) % 64,
        0,
        "the values of an aligned file start at a multiple of 64"
    );
}

#[test]
fn reads_every_number_type() {
    let check = |dtype: &str, values: &[u8], expected: [f32; 2]| {
        with_file(&file(&dictionary(dtype, "False", "(2,)"), values), |path| {
            assert_eq!(read(path).unwrap().data(), expected, "{dtype}");
            let indices = read_indices(path).map(|(_, values)| values);
            if dtype.contains('f') {
                let message = indices.unwrap_err().to_string();
                assert!(
                    message.contains(&format!("type {dtype}, expected i1 to i8")),
                    "{message}"
                );
            } else {
                assert_eq!(indices.unwrap(), expected.map(|x| x as i64), "{dtype}");
            }
        });
    };
    check(
        "<f4",
        &[1.5_f32.to_le_bytes(), (-2.0_f32).to_le_bytes()].concat(),
        [1.5, -2.0],
    );
    check(
        ">f4",
        &[1.5_f32.to_be_bytes(), (-2.0_f32).to_be_bytes()].concat(),
        [1.5, -2.0],
    );
    check(
        "<f8",
        &[1.5_f64.to_le_bytes(), (-2.0_f64).to_le_bytes()].concat(),
        [1.5, -2.0],
    );
    check("|i1", &[1, 0xfe], [1.0, -2.0]);
    check("<i2", &[1, 0, 0xfe, 0xff], [1.0, -2.0]);
    check(
        "<i4",
        &[1_i32.to_le_bytes(), (-2_i32).to_le_bytes()].concat(),
        [1.0, -2.0],
    );
    check(
        ">i8",
        &[1_i64.to_be_bytes(), (-2_i64).to_be_bytes()].concat(),
        [1.0, -2.0],
    );
    check("|u1", &[1, 200], [1.0, 200.0]);
    check("<u2", &[1, 0, 0, 1], [1.0, 256.0]);
    check(
        "<u4",
        &[1_u32.to_le_bytes(), 7_u32.to_le_bytes()].concat(),
        [1.0, 7.0],
    );
    check(
        "<u8",
        &[1_u64.to_le_bytes(), 7_u64.to_le_bytes()].concat(),
        [1.0, 7.0],
    );
}

#[test]
fn labels_beyond_the_range_are_named() {
    let values = [7_u64.to_le_bytes(), u64::MAX.to_le_bytes()].concat();
    with_file(
        &file(&dictionary("<u8", "False", "(2,)"), &values),
        |path| {
            let message = read_indices(path).unwrap_err().to_string();
            assert!(
                message.ends_with("value 18446744073709551615 at place 1 is too large"),
                "{message}"
            );
        },
    );
}

#[test]
fn fortran_order_becomes_c_order() {
    let check = |shape: &str, stored: &[u8], expected: &[f32]| {
        with_file(&file(&dictionary("|u1", "True", shape), stored), |path| {
            assert_eq!(read(path).unwrap().data(), expected, "{shape}");
        });
    };
    check(
        "(2, 3)",
        &[1, 4, 2, 5, 3, 6],
        &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
    );
    check(
        "(2, 1, 3)",
        &[1, 4, 2, 5, 3, 6],
        &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
    );
    check(
        "(2, 2, 2)",
        &[0, 4, 2, 6, 1, 5, 3, 7],
        &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0],
    );
    check("(3,)", &[1, 2, 3], &[1.0, 2.0, 3.0]);
    check("()", &[9], &[9.0]);
    check("(0, 2)", &[], &[]);
}

#[test]
fn refuses_what_is_not_an_array() {
    assert_eq!(
        refusal(b""),
        "holds 0 bytes and does not start as a NumPy array (`.npy`) does"
    );
    assert!(refusal(b"PK\x03\x04 archive of arrays").contains("a zip archive"));
    assert!(refusal(b"1.0 2.0 3.0\n").ends_with("(it looks like a text file)"));
    assert!(
        refusal(b"\x93NUMPY\x09\x00\x01\x00{}").starts_with("holds 12 bytes and does not start")
    );
    assert!(refusal(b"\x93NUMPY\x01").starts_with("holds 7 bytes and does not start"));
}

#[test]
fn refuses_headers_that_do_not_fit_the_file() {
    let mut long = file("{}", &[]);
    long[8] = 200;
    assert_eq!(
        refusal(&long),
        "the header claims 200 bytes, but only 2 follow"
    );
    let version_2 = b"\x93NUMPY\x02\x00\xff\xff\xff\xff{}";
    assert_eq!(
        refusal(version_2),
        "the header claims 4294967295 bytes, but only 2 follow"
    );
    let padded = file(&" ".repeat(20_000), &[]);
    assert_eq!(
        refusal(&padded),
        "the header claims 20000 bytes; at most 10000 are read"
    );
}

#[test]
fn refuses_values_that_do_not_fit_the_shape() {
    let check = |shape: &str, values: usize, expected: &str| {
        assert_eq!(
            refusal(&file(&dictionary("<f4", "False", shape), &vec![0; values])),
            expected
        );
    };
    let needs =
        "an array of shape [2, 3] and type <f4 needs 24 bytes of values, but the file holds";
    check("(2, 3)", 23, &format!("{needs} 23"));
    check("(2, 3)", 28, &format!("{needs} 28"));
    check(
        "(1099511627776,)",
        4,
        "an array of shape [1099511627776] and type <f4 needs 4398046511104 bytes of values, but the file holds 4",
    );
    let overflow = "the header claims sizes whose product is too large to address";
    check("(4294967296, 4294967296)", 4, overflow);
    check("(4294967296, 4294967296, 0)", 0, overflow);
    check("(4611686018427387904,)", 4, overflow);
    check("(99999999999999999999999,)", 4, overflow);
}

#[test]
fn refuses_headers_made_to_hurt_the_parser() {
    let content = "the header is not that of an array of numbers: ";
    let check = |dictionary: &str, expected: &str| {
        let message = refusal(&file(dictionary, &[]));
        assert!(message.starts_with(expected), "{message}");
    };
    check(
        &"(".repeat(9_000),
        &format!("{content}brackets are nested more than 4 deep"),
    );
    check(
        &dictionary("<f4", "False", "(0xffffffffffffffff, 2)"),
        &format!("{content}found `0xffffffffffffffff`"),
    );
    check(
        &dictionary("<f4", "False", "(-1,)"),
        &format!("{content}found `-1`"),
    );
    check(
        "{'descr': '<f4",
        &format!("{content}a string is not closed"),
    );
    check(
        "{'descr': '\\'(((((",
        &format!("{content}a string is not closed"),
    );
    check(
        "{'descr': [('a', '<f4'), ('b', '<i4')], 'fortran_order': False, 'shape': (1,)}",
        &format!("{content}it has records"),
    );
    check(
        "{'descr': '<f4', 'fortran_order': False}",
        "the header cannot be understood: dict is missing key 'shape'",
    );
    check("\u{00e9}", &format!("{content}found `"));
    check(
        &dictionary("<f2", "False", "(1,)"),
        "the values have type <f2, expected f4, f8, i1 to i8 or u1 to u8",
    );
    check(
        &dictionary("|O", "False", "(1,)"),
        "the values have type |O, expected",
    );
    check(
        &dictionary("<f99999999999999999999", "False", "(1,)"),
        "the header cannot be understood: invalid type string",
    );
}
