use super::Dropout;
use crate::ir::DType;
use crate::ir::{Shape, Type};
use crate::ops::testing::{batched, eval_typed, refusal, single};

const ELEMENTS: usize = 4096;

fn dropped(rate: f32, stream: u32, seed: f64) -> Vec<f64> {
    let x = batched(&[ELEMENTS / 2], &[1.0; ELEMENTS]);
    let seed = single(&[], &[seed]);
    let op = Dropout { rate, stream };
    let y = eval_typed(op, &[(&x, DType::F32), (&seed, DType::I32)]);
    y[0].data().to_vec()
}

#[test]
fn what_is_kept_is_scaled_up() {
    let half = dropped(0.5, 0, 1.0);
    assert!(half.iter().all(|&x| x == 0.0 || x == 2.0));
    let mean = half.iter().sum::<f64>() / ELEMENTS as f64;
    // Four standard deviations of the mean of so many coins.
    assert!(
        (mean - 1.0).abs() < 4.0 / (ELEMENTS as f64).sqrt(),
        "{mean}"
    );
    assert_eq!(dropped(1.0, 0, 1.0), vec![0.0; ELEMENTS]);
    assert_eq!(dropped(0.0, 0, 1.0), vec![1.0; ELEMENTS]);
}

#[test]
fn the_mask_follows_from_seed_and_stream() {
    let mask = dropped(0.5, 3, 7.0);
    assert_eq!(mask, dropped(0.5, 3, 7.0));
    for other in [dropped(0.5, 3, 8.0), dropped(0.5, 4, 7.0)] {
        let same = mask.iter().zip(&other).filter(|(a, b)| a == b).count();
        let share = same as f64 / ELEMENTS as f64;
        assert!((share - 0.5).abs() < 0.05, "independent: {share}");
    }
    let (first, second) = mask.split_at(ELEMENTS / 2);
    assert_ne!(first, second, "images have masks of their own");
}

#[test]
fn a_rate_is_a_share() {
    let x = Type::f32(Shape::batched([4]));
    let seed = Type::i32(Shape::single([]));
    let op = Dropout {
        rate: 1.5,
        stream: 0,
    };
    insta::assert_snapshot!(refusal(op, &[x, seed]), @"the rate must be from 0 to 1, not 1.5");
}
