use std::error::Error;
use std::fs;

use super::*;

/// Writes `bytes` to a file, opens it as weights, and gives the message without the file's name.
fn refusal(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    fs::write(&path, bytes).unwrap();
    let error = WeightsFile::open(&path).unwrap_err();
    let message = error.to_string();
    let named = format!("`{}`: ", path.display());
    assert!(
        message.starts_with(&named),
        "the message names the file: {message}"
    );
    let cause = error.source().map(|e| format!(": {e}")).unwrap_or_default();
    format!("{}{cause}", &message[named.len()..])
}

/// A file with this header text and so many bytes of zeros after it.
fn with_header(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(vec![0; data]);
    bytes
}

fn entry(name: &str, dtype: &str, shape: &str, begin: u64, end: u64) -> String {
    format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{begin},{end}]}}"#)
}

fn names(expected: &[(&str, &[usize])]) -> Vec<(String, Vec<usize>)> {
    expected
        .iter()
        .map(|&(name, shape)| (name.to_owned(), shape.to_vec()))
        .collect()
}

#[test]
fn refuses_broken_header_lengths() {
    assert_eq!(
        refusal(b""),
        "holds 0 bytes; a safetensors file starts with 8 bytes of header length"
    );
    let mut huge = (i64::MAX as u64).to_le_bytes().to_vec();
    huge.extend([0; 12]);
    assert_eq!(
        refusal(&huge),
        "the header claims 9223372036854775807 bytes, but the file holds 20 in all"
    );
    let mut beyond = 13_u64.to_le_bytes().to_vec();
    beyond.extend([b' '; 12]);
    assert_eq!(
        refusal(&beyond),
        "the header claims 13 bytes, but the file holds 20 in all"
    );
    assert_eq!(
        refusal(b"version https://git-lfs.github.com/spec/v1\n"),
        "the header claims 2336927755350992246 bytes, but the file holds 43 in all (it looks like a text file)"
    );
    assert!(refusal(b"PK\x03\x04\x00\x00\x08\x08archive").contains("`torch.save`"));
}

#[test]
fn refuses_a_long_header_before_reading_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let file = fs::File::create(&path).unwrap();
    // The file is sparse: it claims, and has, a terabyte.
    file.set_len(1 << 40).unwrap();
    std::io::Write::write_all(&mut &file, &(1_u64 << 39).to_le_bytes()).unwrap();
    let message = WeightsFile::open(&path).unwrap_err().to_string();
    assert!(
        message.ends_with("the header claims 549755813888 bytes; at most 16777216 are read"),
        "{message}"
    );
}

#[test]
fn refuses_headers_that_are_not_the_formats() {
    let check = |header: &str, cause: &str| {
        let message = refusal(&with_header(header, 4));
        let expected = format!(
            "the header of {} bytes is not that of a safetensors file",
            header.len()
        );
        assert!(
            message.starts_with(&expected) && message.contains(cause),
            "{message}"
        );
    };
    check("", "EOF");
    check("[]", "expected a map of tensors");
    check(r#"{"a":1}"#, "expected struct TensorInfo");
    check(
        &format!("{{{}}}", entry("a", "F31", "[1]", 0, 4)),
        "unknown variant `F31`",
    );
    check(
        &format!("{{{}}}", entry("a", "F32", "[-1]", 0, 4)),
        "expected usize",
    );
    // Nesting must neither overflow the stack nor take long, wherever the parser meets it.
    let deep = "[".repeat(100_000);
    check(&deep, "invalid type");
    check(&format!(r#"{{"a":{deep}"#), "expected value");
    check(&format!(r#"{{"a":{{"more":{deep}"#), "at line 1");
}

#[test]
fn refuses_places_that_contradict_each_other() {
    let check = |entries: &[String], data: usize, expected: &str| {
        assert_eq!(
            refusal(&with_header(&format!("{{{}}}", entries.join(",")), data)),
            expected
        );
    };
    check(
        &[entry("a", "F32", "[2, 3]", 0, 20)],
        20,
        "tensor `a` of shape [2, 3] and type F32 needs 24 bytes, but its entry claims bytes 0 to 20",
    );
    check(
        &[entry("a", "F32", "[1]", 4, 0)],
        4,
        "tensor `a` of shape [1] and type F32 needs 4 bytes, but its entry claims bytes 4 to 0",
    );
    check(
        &[
            entry("a", "F32", "[2]", 0, 8),
            entry("b", "F32", "[2]", 4, 12),
        ],
        12,
        "the data of tensor `b` starts at byte 4, expected 8, where the data before it ends",
    );
    check(
        &[entry("a", "F32", "[1]", 8, 12)],
        12,
        "the data of tensor `a` starts at byte 8, expected 0, where the data before it ends",
    );
    check(
        &[entry("a", "F32", "[2]", 0, 8)],
        7,
        "the header describes 8 bytes of values, but 7 follow it",
    );
    check(
        &[entry("a", "F32", "[2]", 0, 8)],
        9,
        "the header describes 8 bytes of values, but 9 follow it",
    );
    check(
        &[entry("a", "F32", "[4611686018427387904, 4]", 0, 0)],
        0,
        "tensor `a` claims the shape [4611686018427387904, 4], which is too large to address",
    );
    check(
        &[
            entry("a", "F32", "[0]", 0, 0),
            entry("a", "F32", "[1]", 0, 4),
        ],
        4,
        "tensor `a` is listed twice",
    );
}

#[test]
fn what_is_written_is_read_again_and_by_the_reference_reader() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let long: Vec<f32> = (0..CHUNK_BYTES / 2).map(|i| i as f32).collect();
    let tensors = [
        NamedTensor {
            name: "conv1.weight",
            shape: &[2, 1, 1, 2],
            data: &[1.0, -2.0, f32::INFINITY, 0.5],
        },
        NamedTensor {
            name: "scalar",
            shape: &[],
            data: &[7.0],
        },
        NamedTensor {
            name: "a.long",
            shape: &[long.len()],
            data: &long,
        },
    ];
    let metadata = BTreeMap::from([("eps".to_owned(), "1e-5".to_owned())]);
    write(&path, &tensors, &metadata).unwrap();

    let mut file = WeightsFile::open(&path).unwrap();
    assert_eq!(file.metadata(), &metadata);
    assert_eq!(file.tensors().count(), 3);
    for tensor in tensors {
        let read = file.read(tensor.name).unwrap();
        assert_eq!((read.shape(), read.data()), (tensor.shape, tensor.data));
    }
    let message = file.read("b").unwrap_err().to_string();
    assert!(message.ends_with("holds no tensor `b`"), "{message}");
    let message = file
        .read_into("scalar", &mut [0.0; 2])
        .unwrap_err()
        .to_string();
    assert!(
        message.ends_with("tensor `scalar` holds 1 values, expected 2"),
        "{message}"
    );

    let bytes = fs::read(&path).unwrap();
    let reference = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let long_bytes: Vec<u8> = long.iter().flat_map(|x| x.to_le_bytes()).collect();
    assert_eq!(reference.tensor("a.long").unwrap().data(), long_bytes);
    let (header_length, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(header_length % 8, 0);
    assert_eq!(header.metadata().as_ref().unwrap()["eps"], "1e-5");

    write(&path, &tensors, &metadata).unwrap();
    assert_eq!(
        fs::read(&path).unwrap(),
        bytes,
        "equal weights give equal bytes"
    );
}

#[test]
#[expect(
    clippy::approx_constant,
    reason = "the values are rounded numbers on purpose"
)]
fn converts_other_floating_point_types_and_refuses_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let entries = [
        entry("double", "F64", "[1]", 0, 8),
        entry("half", "F16", "[1]", 8, 10),
        entry("brain", "BF16", "[1]", 10, 12),
        entry("count", "I32", "[1]", 12, 16),
    ];
    let header = format!("{{{}}}", entries.join(","));
    let mut bytes = with_header(&header, 0);
    bytes.extend(3.14_f64.to_le_bytes());
    bytes.extend([0x00, 0x3e, 0xc0, 0xbf]);
    bytes.extend(5_i32.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    let mut file = WeightsFile::open(&path).unwrap();
    assert_eq!(file.read("double").unwrap().data(), [3.14]);
    assert_eq!(file.read("half").unwrap().data(), [1.5]);
    assert_eq!(file.read("brain").unwrap().data(), [-1.5]);
    let message = file.read("count").unwrap_err().to_string();
    assert!(
        message.ends_with("tensor `count` has type I32, expected F32, F64, F16 or BF16"),
        "{message}"
    );
    let message = fit(
        &names(&[
            ("double", &[1]),
            ("half", &[1]),
            ("brain", &[1]),
            ("count", &[1]),
        ]),
        &file,
    );
    assert!(
        message
            .unwrap_err()
            .to_string()
            .contains("count is [1], expected [1]; its type is I32")
    );
}

#[test]
fn reports_all_that_does_not_fit_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let tensors = [
        NamedTensor {
            name: "conv1.weight",
            shape: &[2, 1, 1, 1],
            data: &[0.0; 2],
        },
        NamedTensor {
            name: "conv1.bias",
            shape: &[3],
            data: &[0.0; 3],
        },
        NamedTensor {
            name: "dense1.weight",
            shape: &[3, 5],
            data: &[0.0; 15],
        },
        NamedTensor {
            name: "fc.bias",
            shape: &[5],
            data: &[0.0; 5],
        },
        NamedTensor {
            name: "bn1.num_batches_tracked",
            shape: &[],
            data: &[1.0],
        },
    ];
    write(&path, &tensors, &BTreeMap::new()).unwrap();
    let file = WeightsFile::open(&path).unwrap();
    let expected = names(&[
        ("conv1.weight", &[2, 1, 1, 1]),
        ("conv1.bias", &[2]),
        ("dense1.weight", &[5, 3]),
        ("dense1.bias", &[5]),
    ]);
    let message = fit(&expected, &file).unwrap_err().to_string();
    assert_eq!(
        message,
        format!(
            "`{}`: the weights do not fit the network
  missing from the file (1):
    dense1.bias [5]
  in the file but not in the network (1):
    fc.bias [5]
  different in the file (2):
    conv1.bias is [3], expected [2]
    dense1.weight is [3, 5], expected [5, 3]; \
it seems to be transposed: a dense layer's weight is stored as [out, in]",
            path.display()
        )
    );
    assert!(fit(&names(&[]), &file).is_err());
    let all: Vec<_> = file
        .tensors()
        .map(|(name, shape)| (name.to_owned(), shape.to_vec()))
        .collect();
    fit(&all, &file).unwrap();
}

#[test]
fn long_lists_are_cut() {
    let many = (0..40).map(|i| (format!("t{i}"), vec![1])).collect();
    let text = Difference {
        missing: many,
        ..Difference::default()
    }
    .to_string();
    assert!(
        text.starts_with("\n  missing from the file (40):\n    t0 [1]\n"),
        "{text}"
    );
    assert!(text.ends_with("\n    t11 [1]\n    and 28 more"), "{text}");
}
