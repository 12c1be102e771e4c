use super::{Concat, Pad, Slice};
use crate::ir::{Shape, Type};
use crate::ops::testing::{assert_close, batched, eval, ramp, refusal};

#[test]
fn channels_stack_image_by_image() {
    let a = batched(&[1, 1, 2], &[1., 2., 3., 4.]);
    let b = batched(&[2, 1, 2], &[10., 20., 30., 40., 50., 60., 70., 80.]);
    let y = eval(Concat { axis: 0 }, &[&a, &b]);
    assert_eq!(y[0].dims(), [3, 1, 2]);
    assert_close(
        y[0].data(),
        &[1., 2., 10., 20., 30., 40., 3., 4., 50., 60., 70., 80.],
    );
}

#[test]
fn slices_take_them_back() {
    let x = batched(&[3, 1, 2], &ramp(12));
    let slice = Slice {
        axis: 0,
        from: 1,
        to: 3,
    };
    let y = eval(slice, &[&x]);
    assert_eq!(y[0].dims(), [2, 1, 2]);
    assert_close(y[0].data(), &[3., 4., 5., 6., 9., 10., 11., 12.]);
}

#[test]
fn rows_and_columns_join_too() {
    let a = batched(&[2, 1, 2], &ramp(4));
    let b = batched(&[2, 1, 2], &[10., 20., 30., 40.]);
    let y = eval(Concat { axis: 1 }, &[&a, &b]);
    assert_eq!(y[0].dims(), [2, 2, 2]);
    assert_close(y[0].data(), &[1., 2., 10., 20., 3., 4., 30., 40.]);
    let c = batched(&[2, 1, 1], &[5., 6.]);
    let y = eval(Concat { axis: 2 }, &[&a, &c]);
    assert_eq!(y[0].dims(), [2, 1, 3]);
    assert_close(y[0].data(), &[1., 2., 5., 3., 4., 6.]);
    let slice = Slice {
        axis: 2,
        from: 1,
        to: 3,
    };
    assert_close(
        eval(slice, &y.iter().collect::<Vec<_>>())[0].data(),
        &[2., 5., 4., 6.],
    );
}

#[test]
fn a_number_around() {
    let pad = Pad {
        before: vec![0, 1, 0],
        after: vec![1, 0, 2],
        value: 9.0,
    };
    let y = eval(pad, &[&batched(&[1, 1, 2], &ramp(4))]);
    assert_eq!(y[0].dims(), [2, 2, 4]);
    let nines = [9.0; 8];
    let image = |a: f64, b: f64| [vec![9., 9., 9., 9., a, b, 9., 9.], nines.to_vec()].concat();
    assert_close(y[0].data(), &[image(1., 2.), image(3., 4.)].concat());
}

#[test]
fn refusals() {
    let map = |dims: &[usize]| Type::f32(Shape::batched(dims));
    let concat = Concat { axis: 1 };
    insta::assert_snapshot!(refusal(concat, &[map(&[2, 3, 4]), map(&[2, 5, 5])]), @"branch 2 has shape [2, 5, 5], which does not stack on [2, 3, 4]: all but the height must agree");
    insta::assert_snapshot!(refusal(concat, &[map(&[2])]), @"the branch must have a shape like [C, H, …], not [2]");
    let slice = Slice {
        axis: 1,
        from: 2,
        to: 9,
    };
    insta::assert_snapshot!(refusal(slice, &[map(&[2, 8, 4])]), @r"
    height 2 to 9 is not a part of 0 to 8
    help: `to = 8` takes height to the end
    ");
    let pad = Pad {
        before: vec![0; 3],
        after: vec![1; 3],
        value: 0.0,
    };
    insta::assert_snapshot!(refusal(pad, &[map(&[2])]), @r"
    the input must have a shape like [C, H, W], not [2]
    help: `reshape([2, 1, 1])` before it makes it a map of one pixel
    ");
}
