//! No damage to a file makes a reader panic, hang or allocate without bound: it reads the file or
//! says what is wrong.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, a helper may fail by panicking too"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use netc::io::idx::{self, IdxKind};
use netc::io::weights::{self, NamedTensor, WeightsFile};
use netc::io::{image, npy};
use proptest::prelude::*;
use tempfile::TempDir;

/// One change to the bytes of a file; places are taken modulo its length.
#[derive(Debug, Clone)]
enum Damage {
    Set(usize, u8),
    Cut(usize),
    Remove(usize, usize),
    Repeat(usize, usize),
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let length = bytes.len();
        match *self {
            Self::Set(place, value) => bytes[place % length] = value,
            Self::Cut(place) => bytes.truncate(place % length),
            Self::Remove(place, count) => {
                let start = place % length;
                bytes.drain(start..(start + count).min(length));
            }
            Self::Repeat(place, count) => {
                let start = place % length;
                let part = bytes[start..(start + count).min(length)].to_vec();
                bytes.splice(start..start, part);
            }
        }
    }
}

fn damages() -> impl Strategy<Value = Vec<Damage>> {
    // Digits, brackets and quotes reach further into a header than other bytes do.
    let byte = prop_oneof![
        any::<u8>(),
        prop::sample::select(b"0189-_.eE()[]{}'\"\\,: ".to_vec())
    ];
    // Most of the structure is in the first bytes.
    let place = || prop_oneof![0_usize..24, any::<usize>()];
    let one = prop_oneof![
        4 => (place(), byte).prop_map(|(place, value)| Damage::Set(place, value)),
        1 => any::<usize>().prop_map(Damage::Cut),
        1 => (place(), 1_usize..20).prop_map(|(place, count)| Damage::Remove(place, count)),
        1 => (place(), 1_usize..20).prop_map(|(place, count)| Damage::Repeat(place, count)),
    ];
    prop::collection::vec(one, 1..6)
}

/// Damages a file and reads it; a reader that gives a message must name the file.
fn check(
    good: &[u8],
    damages: &[Damage],
    read: impl Fn(&Path) -> Result<(), String>,
) -> Result<(), TestCaseError> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("damaged");
    let mut bytes = good.to_vec();
    for damage in damages {
        damage.apply(&mut bytes);
    }
    fs::write(&path, &bytes).unwrap();
    if let Err(message) = read(&path) {
        prop_assert!(
            message.starts_with(&format!("`{}`: ", path.display())),
            "{}",
            message
        );
    }
    Ok(())
}

fn good_file(name: &str, write: impl Fn(&Path)) -> Vec<u8> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(name);
    write(&path);
    fs::read(path).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..Default::default() })]

    #[test]
    fn damaged_weights(damages in damages()) {
        let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
        let tensors = [
            NamedTensor { name: "conv1.weight", shape: &[2, 1, 2], data: &[1.0; 4] },
            NamedTensor { name: "conv1.bias", shape: &[2], data: &[1.0; 2] },
        ];
        let good = good_file("w", |path| weights::write(path, &tensors, &metadata).unwrap());
        check(&good, &damages, read_weights)?;
    }

    #[test]
    fn damaged_arrays(damages in damages()) {
        let good = good_file("x", |path| npy::write(path, &[2, 3], &[1.0; 6]).unwrap());
        check(&good, &damages, |path| {
            npy::read_indices(path).map_err(|e| e.to_string()).ok();
            read_array(path)
        })?;
    }

    #[test]
    fn damaged_images(damages in damages(), packed in any::<bool>()) {
        let mut good = vec![0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 3];
        good.extend(0..18);
        if packed {
            good = gzipped(&good);
        }
        check(&good, &damages, read_idx)?;
    }
}

/// What reads a file, without what it holds.
type Read = fn(&Path) -> Result<(), String>;

fn read_weights(path: &Path) -> Result<(), String> {
    let mut file = WeightsFile::open(path).map_err(|e| e.to_string())?;
    let names: Vec<_> = file.tensors().map(|(name, _)| name.to_owned()).collect();
    for name in names {
        file.read(&name).map_err(|e| e.to_string())?;
    }
    Ok(())
}

fn read_array(path: &Path) -> Result<(), String> {
    npy::read(path).map(drop).map_err(|e| e.to_string())
}

fn read_archive(path: &Path) -> Result<(), String> {
    npy::read_named(path, "x")
        .map(drop)
        .map_err(|e| e.to_string())
}

fn read_idx(path: &Path) -> Result<(), String> {
    idx::read(path, IdxKind::Images)
        .map(drop)
        .map_err(|e| e.to_string())
}

fn read_picture(path: &Path) -> Result<(), String> {
    image::read(path).map(drop).map_err(|e| e.to_string())
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zipped(bytes: &[u8]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let how = zip::write::SimpleFileOptions::default();
    archive.start_file("x.npy", how).unwrap();
    archive.write_all(bytes).unwrap();
    archive.finish().unwrap().into_inner()
}

/// A small file of each format that is read.
fn good_files() -> Vec<(&'static str, Vec<u8>, Read)> {
    let tensors = [NamedTensor {
        name: "conv1.weight",
        shape: &[2, 1, 2],
        data: &[1.0; 4],
    }];
    let weights = good_file("w", |path| {
        weights::write(path, &tensors, &BTreeMap::new()).unwrap();
    });
    let array = good_file("x", |path| npy::write(path, &[2, 3], &[1.0; 6]).unwrap());
    let archive = zipped(&array);
    let mut pictures = vec![0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 3];
    pictures.extend(0..18);
    let packed = gzipped(&pictures);
    let encoded = |format| {
        let picture =
            ::image::RgbImage::from_fn(9, 7, |x, y| ::image::Rgb([x as u8 * 20, y as u8 * 30, 7]));
        let mut bytes = std::io::Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    };
    vec![
        ("w.safetensors", weights, read_weights as Read),
        ("x.npy", array, read_array),
        ("x.npz", archive, read_archive),
        ("x-idx3-ubyte", pictures, read_idx),
        ("x-idx3-ubyte.gz", packed, read_idx),
        ("x.png", encoded(::image::ImageFormat::Png), read_picture),
        ("x.jpg", encoded(::image::ImageFormat::Jpeg), read_picture),
    ]
}

/// Reads some bytes as a file; what it says names the file, and it takes neither long nor much memory.
fn read_quickly(name: &str, bytes: &[u8], read: Read) -> Result<(), String> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    let begin = Instant::now();
    let result = read(&path);
    // A reader takes a millisecond; the machine may be busy.
    assert!(begin.elapsed() < Duration::from_secs(5), "{name}");
    if let Err(message) = &result {
        let start = format!("`{}", folder.path().join(name).display());
        assert!(message.starts_with(&start), "{message}");
    }
    result
}

#[test]
fn files_cut_off_anywhere_are_refused() {
    for (name, bytes, read) in good_files() {
        assert_eq!(read_quickly(name, &bytes, read), Ok(()));
        for length in 0..bytes.len() {
            let result = read_quickly(name, &bytes[..length], read);
            // The last chunk of a PNG file and the last mark of a JPEG file say only that it ends.
            let tail = match name {
                "x.png" => 16,
                "x.jpg" => bytes.len() / 4,
                _ => 0,
            };
            assert!(
                result.is_err() || length + tail >= bytes.len(),
                "{name} cut off after {length} of {} bytes",
                bytes.len()
            );
        }
    }
}

#[test]
fn any_byte_may_be_wrong() {
    for (name, bytes, read) in good_files() {
        for place in 0..bytes.len() {
            for wrong in [bytes[place] ^ 1, bytes[place] ^ 0x80, 0, 0xff] {
                let mut bytes = bytes.clone();
                bytes[place] = wrong;
                // Wrong numbers of an array are numbers, too, so nothing is said of the result.
                read_quickly(name, &bytes, read).ok();
            }
        }
    }
}

/// The most memory that this process has taken, in bytes.
fn most_memory() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kilobytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kilobytes.parse::<usize>().unwrap() * 1024
}

#[test]
fn headers_that_promise_too_much_cost_no_memory() {
    let before = most_memory();
    let npy = |shape: &str| {
        let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
        let length = (text.len() as u16).to_le_bytes();
        [
            &b"\x93NUMPY\x01\x00"[..],
            &length,
            text.as_bytes(),
            &[0; 64],
        ]
        .concat()
    };
    let idx = |sizes: [u32; 3]| {
        let sizes = sizes.map(u32::to_be_bytes).concat();
        [&[0, 0, 8, 3][..], &sizes, &[0; 64]].concat()
    };
    let weights = |header: &str| {
        let length = (header.len() as u64).to_le_bytes();
        [&length[..], header.as_bytes(), &[0; 64]].concat()
    };
    // A PNG file of one chunk of picture data, whose header says any width and height.
    let png = |width: u32, height: u32| {
        let chunk = |kind: &[u8], data: &[u8]| {
            let mut sum = flate2::Crc::new();
            sum.update(kind);
            sum.update(data);
            let length = (data.len() as u32).to_be_bytes();
            [&length[..], kind, data, &sum.sum().to_be_bytes()].concat()
        };
        let sizes = [width.to_be_bytes(), height.to_be_bytes()].concat();
        let header = [&sizes[..], &[8, 2, 0, 0, 0]].concat();
        let mut data = flate2::write::ZlibEncoder::new(Vec::new(), Compression::best());
        for _ in 0..256 {
            data.write_all(&[0; 1 << 16]).unwrap();
        }
        [
            b"\x89PNG\r\n\x1a\n".to_vec(),
            chunk(b"IHDR", &header),
            chunk(b"IDAT", &data.finish().unwrap()),
            chunk(b"IEND", &[]),
        ]
        .concat()
    };
    let mut jpeg = good_files().pop().unwrap().1;
    let frame = jpeg
        .windows(2)
        .position(|mark| mark == [0xff, 0xc0])
        .unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xff; 4]);
    let member = |claimed: u32| {
        let mut bytes = zipped(&npy("(1, 16)"));
        // The size that comes out stands in the entry at its front and in the list at the end.
        let entry = bytes
            .windows(4)
            .position(|mark| mark == b"PK\x01\x02")
            .unwrap();
        for place in [22, entry + 24] {
            bytes[place..place + 4].copy_from_slice(&claimed.to_le_bytes());
        }
        bytes
    };
    let cases: Vec<(&str, Vec<u8>, Read)> = vec![
        ("x.npy", npy("(4611686018427387904, 4)"), read_array),
        ("x.npy", npy("(4294967296, 4294967296)"), read_array),
        ("x.npy", npy("(1000000000, 4)"), read_array),
        ("x.npz", zipped(&npy("(1000000000, 4)")), read_archive),
        ("x.npz", member(0xffff_fff0), read_archive),
        ("x-idx3-ubyte", idx([u32::MAX; 3]), read_idx),
        ("x-idx3-ubyte", idx([60_000, 1000, 1000]), read_idx),
        (
            "x-idx3-ubyte.gz",
            gzipped(&idx([60_000, 1000, 1000])),
            read_idx,
        ),
        ("w.safetensors", vec![0xff; 64], read_weights),
        (
            "w.safetensors",
            [&(1_u64 << 40).to_le_bytes()[..], &[b'{'; 64]].concat(),
            read_weights,
        ),
        (
            "w.safetensors",
            weights(
                r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,64]}}"#,
            ),
            read_weights,
        ),
        (
            "w.safetensors",
            weights(r#"{"a":{"dtype":"F32","shape":[1000000000],"data_offsets":[0,4000000000]}}"#),
            read_weights,
        ),
        ("x.png", png(100_000, 100_000), read_picture),
        ("x.png", png(0x7fff_ffff, 0x7fff_ffff), read_picture),
        ("x.jpg", jpeg, read_picture),
    ];
    for (name, bytes, read) in cases {
        let result = read_quickly(name, &bytes, read);
        assert!(result.is_err(), "{name}: {} bytes", bytes.len());
    }
    let taken = most_memory() - before;
    assert!(taken < 200 << 20, "{taken} bytes");
}
