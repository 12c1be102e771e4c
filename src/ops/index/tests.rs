use super::{Index, IndexGrad};
use crate::ir::{Shape, Type};
use crate::ops::testing::{assert_close, batched, eval, ramp, refusal, told};

fn index(items: &[usize]) -> Index {
    Index {
        items: items.into(),
    }
}

#[test]
fn items_may_come_again() {
    let x = batched(&[3, 1, 2], &ramp(12));
    let y = eval(index(&[2, 0, 2]), &[&x]);
    assert_close(
        y[0].data(),
        &[5., 6., 1., 2., 5., 6., 11., 12., 7., 8., 11., 12.],
    );
    let grad = IndexGrad {
        items: [2, 0, 2].into(),
        channels: 3,
    };
    let dx = eval(grad, &[&batched(&[3, 1, 2], &ramp(6))]);
    assert_close(dx[0].data(), &[3., 4., 0., 0., 6., 8.]);
}

#[test]
fn a_shuffle_deals_channels_out() {
    assert_eq!(*Index::shuffle(6, 2).unwrap().items, [0, 3, 1, 4, 2, 5]);
    assert_eq!(*Index::shuffle(6, 3).unwrap().items, [0, 2, 4, 1, 3, 5]);
    insta::assert_snapshot!(told(&Index::shuffle(6, 4).unwrap_err()), @r"
    6 channels leave 2 over when dealt out to 4 groups
    help: `shuffle(3)` divides 6 channels
    help: `shuffle(6)` divides 6 channels
    ");
}

#[test]
fn items_are_channels() {
    let three = Type::f32(Shape::batched([3, 1, 2]));
    insta::assert_snapshot!(refusal(index(&[0, 3]), std::slice::from_ref(&three)), @"item 1 is channel 3, but the channels are 0 to 2");
    insta::assert_snapshot!(refusal(index(&[]), &[three]), @"a list of channels has at least one item");
}
