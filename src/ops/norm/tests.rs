use crate::ops::testing::{assert_close, batched, eval, single};
use crate::ops::{Op, Pointwise};

#[test]
fn statistics_are_those_of_batch_and_pixels() {
    let x = batched(&[2, 1, 2], &[1., 2., 10., 20., 3., 4., 30., 40.]);
    let stats = eval(Op::BatchStats, &[&x]);
    assert_close(stats[0].data(), &[2.5, 25.]);
    assert_close(stats[1].data(), &[1.25, 125.]);
}

#[test]
fn normalising_takes_the_biased_variance() {
    let x = batched(&[1], &[1., 2., 3., 4.]);
    let stats = eval(Op::BatchStats, &[&x]);
    let op = Pointwise::BatchNorm {
        eps: 1e-5,
        batch_stats: true,
    };
    let (gamma, beta) = (single(&[1], &[1.]), single(&[1], &[0.]));
    let y = eval(op, &[&x, &stats[0], &stats[1], &gamma, &beta]);
    assert_close(y[0].data(), &[-1.341_635, -0.447_212, 0.447_212, 1.341_635]);
}

#[test]
fn a_constant_channel_becomes_zero() {
    let x = batched(&[1, 3, 5], &[100.0; 45]);
    let stats = eval(Op::BatchStats, &[&x]);
    let op = Pointwise::BatchNorm {
        eps: 1e-5,
        batch_stats: true,
    };
    let (gamma, beta) = (single(&[1], &[1.]), single(&[1], &[0.]));
    let y = eval(op, &[&x, &stats[0], &stats[1], &gamma, &beta]);
    assert_eq!(y[0].data(), [0.0; 45]);
}

#[test]
fn sums_of_gradients() {
    let dy = batched(&[2], &[1., 2., 3., 4.]);
    let x = batched(&[2], &[10., 20., 30., 40.]);
    let sums = eval(Op::ChannelSums, &[&dy, &x, &single(&[2], &[20., 30.])]);
    assert_close(sums[0].data(), &[4., 6.]);
    assert_close(sums[1].data(), &[20., 20.]);
}
