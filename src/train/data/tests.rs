use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

use super::*;

/// Writes a set of 2 x 2 pictures whose pixels count up from 0, with these labels.
fn write_set(folder: &Path, train_labels: &[u8], test_labels: &[u8]) {
    for (stem, labels) in [("train", train_labels), ("t10k", test_labels)] {
        let pixels: Vec<u8> = (0..labels.len() * 4).map(|i| i as u8).collect();
        write_images(folder, stem, [labels.len(), 2, 2], &pixels);
        write_labels(folder, stem, labels);
    }
}

fn write_images(folder: &Path, stem: &str, sizes: [usize; 3], pixels: &[u8]) {
    let path = folder.join(format!("{stem}-images-idx3-ubyte"));
    fs::write(path, [&idx_header(0x803, &sizes), pixels].concat()).unwrap();
}

fn write_labels(folder: &Path, stem: &str, labels: &[u8]) {
    let path = folder.join(format!("{stem}-labels-idx1-ubyte"));
    fs::write(path, [&idx_header(0x801, &[labels.len()]), labels].concat()).unwrap();
}

fn idx_header(magic: u32, sizes: &[usize]) -> Vec<u8> {
    let sizes = sizes.iter().map(|&size| size as u32);
    [magic]
        .into_iter()
        .chain(sizes)
        .flat_map(u32::to_be_bytes)
        .collect()
}

fn load_folder(name: &str, folder: &Path) -> Result<Dataset, DataError> {
    let places = Places {
        folder: Some(folder),
        net_file: None,
    };
    let name = if name.is_empty() {
        folder.to_str().unwrap()
    } else {
        name
    };
    load(&locate(name, &places).unwrap(), None)
}

/// Loads a set after `spoil` has changed its files, as Fashion-MNIST, and gives the message.
fn refusal(spoil: impl Fn(&Path)) -> String {
    let folder = tempfile::tempdir().unwrap();
    write_set(folder.path(), &[0, 1, 2], &[3]);
    load_folder("fashion_mnist", folder.path()).unwrap();
    spoil(folder.path());
    let message = load_folder("fashion_mnist", folder.path())
        .unwrap_err()
        .to_string();
    message.replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn loads_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    write_set(folder.path(), &[0, 3, 2], &[1]);
    let set = load_folder("", folder.path()).unwrap();
    assert_eq!(set.train.shape(), [1, 2, 2]);
    assert_eq!(set.train.labels(), [0, 3, 2]);
    assert_eq!((set.train.len(), set.test.len()), (3, 1));
    assert_eq!(set.class_names, ["0", "1", "2", "3"]);
    let set = load_folder("fashion_mnist", folder.path()).unwrap();
    assert_eq!(
        (set.class_names.len(), set.class_names[9].as_str()),
        (10, "Ankle boot")
    );
}

#[test]
fn refuses_sets_whose_files_do_not_belong_together() {
    assert_eq!(
        refusal(|folder| write_labels(folder, "train", &[0, 1])),
        "`train-images-idx3-ubyte` holds 3 images, but `train-labels-idx1-ubyte` holds 2 labels"
    );
    assert_eq!(
        refusal(|folder| write_labels(folder, "t10k", &[10])),
        "`t10k-labels-idx1-ubyte`: label 10 of sample 0 is out of range; \
         10 classes have the labels 0 to 9"
    );
    assert_eq!(
        refusal(|folder| write_images(folder, "t10k", [1, 1, 3], &[0; 3])),
        "`t10k-images-idx3-ubyte` holds images of [1, 1, 3], \
         but those to train on are [1, 2, 2]"
    );
    assert_eq!(
        refusal(|folder| write_images(folder, "train", [3, 0, 2], &[])),
        "`train-images-idx3-ubyte` holds no pixels: its sizes are [3, 0, 2]"
    );
    assert_eq!(
        refusal(|folder| write_images(folder, "train", [3, 2, 2], &[0; 11])),
        "`train-images-idx3-ubyte`: the sizes [3, 2, 2] need 12 bytes of values, but 11 follow"
    );
}

#[test]
fn a_class_that_was_never_trained_is_found() {
    let folder = tempfile::tempdir().unwrap();
    write_set(folder.path(), &[0, 1, 2], &[3]);
    let message = load_folder("", folder.path()).unwrap_err().to_string();
    assert!(
        message.contains("label 3 of sample 0 is out of range; 3 classes"),
        "{message}"
    );
}

#[test]
fn labels_must_be_classes() {
    assert_eq!(check_labels(&[0_u32, 9], 10), Ok(()));
    assert_eq!(check_labels(&[0_i64, 9], 10), Ok(()));
    let check = |labels: &[i64], sample, label| {
        let error = LabelError {
            sample,
            label,
            classes: 10,
        };
        assert_eq!(check_labels(labels, 10), Err(error));
    };
    check(&[0, 1, 10, 11], 2, 10);
    check(&[-1], 0, -1);
    check(&[5_000_000_000], 0, 5_000_000_000);
}

/// Six samples of two channels and one pixel, of which sample `i` is `[10 i, 10 i + 1]`.
fn six() -> Part {
    let bytes = (0..6).flat_map(|i| [10 * i, 10 * i + 1]).collect();
    Part::new(vec![2, 1, 1], Values::Bytes(bytes), (0..6).collect())
}

fn config(size: usize, seed: Option<u64>, drop_last: bool) -> BatchConfig {
    BatchConfig {
        size: NonZeroUsize::new(size).unwrap(),
        seed,
        drop_last,
    }
}

/// The labels of every batch of an epoch.
fn epoch(batches: &mut Batches<'_>, number: u64) -> Vec<Vec<u32>> {
    let (mut samples, mut labels) = ([0.0; 64], [0; 32]);
    let mut all = Vec::new();
    batches.start_epoch(number);
    while let Some(count) = batches.fill(&mut samples, &mut labels) {
        all.push(labels[..count].to_vec());
        for (sample, &label) in samples.chunks(2).zip(&labels[..count]) {
            let byte = |x: f32| (x * 255.0).round() as u32;
            assert_eq!(
                [byte(sample[0]), byte(sample[1])],
                [10 * label, 10 * label + 1]
            );
        }
    }
    assert_eq!(all.len(), batches.per_epoch());
    all
}

#[test]
fn deals_all_samples_and_keeps_the_short_last_batch() {
    let part = six();
    let mut batches = Batches::new(&part, None, config(4, None, false)).unwrap();
    assert_eq!(epoch(&mut batches, 0), [vec![0, 1, 2, 3], vec![4, 5]]);
    let mut batches = Batches::new(&part, None, config(3, None, false)).unwrap();
    assert_eq!(epoch(&mut batches, 0), [[0, 1, 2], [3, 4, 5]]);
    let mut batches = Batches::new(&part, None, config(7, None, false)).unwrap();
    assert_eq!(epoch(&mut batches, 0), [[0, 1, 2, 3, 4, 5]]);
}

#[test]
fn drops_the_short_last_batch_if_told_to() {
    let part = six();
    let mut batches = Batches::new(&part, None, config(4, None, true)).unwrap();
    assert_eq!(epoch(&mut batches, 0), [[0, 1, 2, 3]]);
    let mut batches = Batches::new(&part, None, config(7, None, true)).unwrap();
    assert_eq!(epoch(&mut batches, 0), Vec::<Vec<u32>>::new());
}

#[test]
fn the_order_depends_on_seed_and_epoch_only() {
    let part = six();
    let mut first = Batches::new(&part, None, config(4, Some(1), false)).unwrap();
    let mut resumed = Batches::new(&part, None, config(4, Some(1), false)).unwrap();
    let orders: Vec<_> = (0..3)
        .map(|number| epoch(&mut first, number).concat())
        .collect();
    assert_eq!(
        epoch(&mut resumed, 2).concat(),
        orders[2],
        "no earlier epoch is needed"
    );
    assert_ne!(orders[0], orders[1]);
    for order in &orders {
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, [0, 1, 2, 3, 4, 5], "every sample comes once");
    }
    let mut other = Batches::new(&part, None, config(4, Some(2), false)).unwrap();
    assert_ne!(epoch(&mut other, 0).concat(), orders[0]);
}

#[test]
fn what_lies_behind_a_short_batch_stays() {
    let part = six();
    let mut batches = Batches::new(&part, None, config(5, None, false)).unwrap();
    let (mut samples, mut labels) = ([-1.0; 10], [99; 5]);
    assert_eq!(batches.fill(&mut samples, &mut labels), Some(5));
    (samples, labels) = ([-1.0; 10], [99; 5]);
    assert_eq!(batches.fill(&mut samples, &mut labels), Some(1));
    assert_eq!(labels, [5, 99, 99, 99, 99]);
    assert_eq!(samples[2..], [-1.0; 8]);
    assert_eq!(batches.fill(&mut samples, &mut labels), None);
}

#[test]
fn scales_by_channel() {
    let part = Part::new(vec![2, 1, 2], Values::Bytes(vec![0, 255, 51, 102]), vec![0]);
    let fill = |mean: &[f32], std: &[f32]| {
        let scaling = Scaling {
            mean: mean.to_vec(),
            std: std.to_vec(),
        };
        let mut batches = Batches::new(&part, Some(&scaling), config(1, None, false))?;
        let mut samples = [0.0; 4];
        batches.fill(&mut samples, &mut [0]);
        Ok::<_, DataError>(samples)
    };
    assert_eq!(fill(&[0.0], &[1.0]).unwrap(), [0.0, 1.0, 0.2, 0.4]);
    assert_eq!(
        fill(&[0.5, 0.2], &[0.5, 0.1]).unwrap(),
        [-1.0, 1.0, 0.0, (0.4 - 0.2) / 0.1]
    );
    let message = fill(&[0.5, 0.5, 0.5], &[1.0]).unwrap_err().to_string();
    assert!(
        message.starts_with("cannot scale samples of 2 channels with mean [0.5,"),
        "{message}"
    );
    assert!(fill(&[0.5], &[0.0]).is_err());
    assert!(fill(&[f32::NAN], &[1.0]).is_err());
    assert!(fill(&[], &[1.0]).is_err());
}

#[test]
fn xor_is_dealt_out() {
    let set = load(&Source::Xor, None).unwrap();
    let mut batches = Batches::new(&set.train, None, config(4, None, false)).unwrap();
    let (mut samples, mut labels) = ([0.0; 8], [0; 4]);
    assert_eq!(batches.fill(&mut samples, &mut labels), Some(4));
    assert_eq!(samples, [0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0]);
    assert_eq!(labels, [0, 1, 1, 0]);
    batches.start_epoch(1);
    let chosen = batches.fill_inputs(&mut [&mut samples[..]]);
    assert_eq!(chosen, Some(&[0, 1, 2, 3][..]));
    assert_eq!(set.class_names, ["equal", "different"]);
}

#[test]
fn holds_samples_out_for_validation() {
    let mut train = six();
    let held_out = train.hold_out(2, 1).unwrap();
    assert_eq!((train.len(), held_out.len()), (4, 2));
    let mut all = [train.labels(), held_out.labels()].concat();
    assert!(train.labels().is_sorted() && held_out.labels().is_sorted());
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2, 3, 4, 5]);
    // The pixels went with their labels.
    let mut batches = Batches::new(&held_out, None, config(2, None, false)).unwrap();
    assert_eq!(epoch(&mut batches, 0).concat(), held_out.labels());

    let again = six().hold_out(2, 1).unwrap();
    assert_eq!(again, held_out, "the same seed draws the same samples");
    let message = six().hold_out(6, 1).unwrap_err().to_string();
    assert_eq!(
        message,
        "cannot hold out 6 of 6 samples; at least one must stay"
    );
}

/// Each class gives its share, and the largest remainders the rest.
#[test]
fn held_out_samples_have_the_classes_of_all() {
    let labels: Vec<u32> = (0..100)
        .map(|i| [0, 0, 0, 0, 0, 0, 1, 1, 1, 3][i % 10])
        .collect();
    let values = Values::Bytes((0..100).collect());
    let part = Part::new(vec![1], values, labels);
    let counts = |part: &Part| {
        [0, 1, 2, 3].map(|class| {
            part.labels()
                .iter()
                .filter(|&&label| label == class)
                .count()
        })
    };
    // 0.6, 0.3 and 0.1 of 25 are 15, 7.5 and 2.5.
    for (count, expected) in [(10, [6, 3, 0, 1]), (25, [15, 8, 0, 2]), (1, [1, 0, 0, 0])] {
        for seed in [1, 2] {
            let mut rest = part.clone();
            let held_out = rest.hold_out(count, seed).unwrap();
            assert_eq!(counts(&held_out), expected);
            assert_eq!(rest.len() + held_out.len(), 100);
        }
    }
    let draw = |seed| part.clone().hold_out(25, seed).unwrap();
    assert_ne!(draw(1), draw(2), "another seed draws others");
}

#[test]
fn the_shipped_set_is_complete_and_balanced() {
    let nowhere = Places {
        folder: None,
        net_file: None,
    };
    let set = load(&locate("fashion_mnist_small", &nowhere).unwrap(), None).unwrap();
    for (part, per_class) in [(&set.train, 1200), (&set.test, 200)] {
        assert_eq!(part.shape(), [1, 28, 28]);
        for class in 0..10 {
            let count = part
                .labels()
                .iter()
                .filter(|&&label| label == class)
                .count();
            assert_eq!(count, per_class, "class {class}");
        }
    }
}
