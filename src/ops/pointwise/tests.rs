use super::Pointwise;
use crate::ops::testing::{assert_close, batched, eval, single};

const NAN: f64 = f64::NAN;
const INF: f64 = f64::INFINITY;

fn unary(op: Pointwise, x: &[f64]) -> Vec<f64> {
    eval(op, &[&single(&[x.len()], x)])[0].data().to_vec()
}

fn binary(op: Pointwise, a: &[f64], b: &[f64]) -> Vec<f64> {
    let (a, b) = (single(&[a.len()], a), single(&[b.len()], b));
    eval(op, &[&a, &b])[0].data().to_vec()
}

#[test]
fn arithmetic() {
    let (a, b) = (&[6., -3., 0.5], &[2., 4., -0.25]);
    let rows = [
        (Pointwise::Add, [8., 1., 0.25]),
        (Pointwise::Sub, [4., -7., 0.75]),
        (Pointwise::Mul, [12., -12., -0.125]),
        (Pointwise::Div, [3., -0.75, -2.]),
        (Pointwise::Max, [6., 4., 0.5]),
        (Pointwise::Min, [2., -3., -0.25]),
    ];
    for (op, expected) in rows {
        assert_close(&binary(op, a, b), &expected);
    }
    let x = &[4., 0.25, 1.];
    let rows = [
        (Pointwise::Neg, [-4., -0.25, -1.]),
        (Pointwise::Sqrt, [2., 0.5, 1.]),
        (Pointwise::Rsqrt, [0.5, 2., 1.]),
        (Pointwise::Square, [16., 0.0625, 1.]),
        (Pointwise::Exp, [54.598_150, 1.284_025, std::f64::consts::E]),
        (Pointwise::Log, [1.386_294, -1.386_294, 0.]),
        (Pointwise::Tanh, [0.999_329, 0.244_919, 0.761_594]),
        (Pointwise::Sigmoid, [0.982_014, 0.562_177, 0.731_059]),
    ];
    for (op, expected) in rows {
        assert_close(&unary(op, x), &expected);
    }
}

#[test]
fn a_nan_stays_one() {
    assert_close(&unary(Pointwise::Relu, &[NAN, -1., 2.]), &[NAN, 0., 2.]);
    let (a, b) = (&[NAN, 1., NAN], &[1., NAN, NAN]);
    for op in [Pointwise::Max, Pointwise::Min] {
        assert_close(&binary(op, a, b), &[NAN; 3]);
    }
}

#[test]
fn the_gradient_of_relu_is_zero_at_zero() {
    let dx = binary(
        Pointwise::ReluGrad,
        &[0., -0., 2., 1e-30],
        &[5., 5., 5., 5.],
    );
    assert_close(&dx, &[0., 0., 5., 5.]);
}

#[test]
fn saturated_gates() {
    let x = [-1000., -100., -88.8, 0., 88.8, 1000.];
    let y = unary(Pointwise::Sigmoid, &x);
    assert_close(&y, &[0., 0., 0., 0.5, 1., 1.]);
    let dx = binary(Pointwise::SigmoidGrad, &y, &[1.0; 6]);
    assert_close(&dx, &[0., 0., 0., 0.25, 0., 0.]);
    let y = unary(Pointwise::Tanh, &x);
    assert_close(&y, &[-1., -1., -1., 0., 1., 1.]);
    let dx = binary(Pointwise::TanhGrad, &y, &[1.0; 6]);
    assert_close(&dx, &[0., 0., 0., 1., 0., 0.]);
    // In single precision the powers of e overflow already at 88.8.
    let single = [-1000.0_f32, -88.8, 0.0, 88.8, 1000.0].map(|x| Pointwise::Sigmoid.scalar(&[x]));
    assert_eq!(single, [0.0, 0.0, 0.5, 1.0, 1.0]);
}

#[test]
fn activations() {
    let x = &[-2., -0.5, 0., 0.5, 3.];
    let rows = [
        (
            Pointwise::Clip { lo: -1., hi: 2. },
            [-1., -0.5, 0., 0.5, 2.],
        ),
        (
            Pointwise::Elu { alpha: 2. },
            [-1.729_329, -0.786_939, 0., 0.5, 3.],
        ),
        (
            Pointwise::Softplus,
            [
                0.126_928,
                0.474_077,
                std::f64::consts::LN_2,
                0.974_077,
                3.048_587,
            ],
        ),
        (
            Pointwise::Gelu,
            [-0.045_500, -0.154_269, 0., 0.345_731, 2.995_950],
        ),
    ];
    for (op, expected) in rows {
        assert_close(&unary(op, x), &expected);
    }
    assert_close(
        &binary(Pointwise::Prelu, x, &[0.25, -3., 9., 0.1, 0.1]),
        &[-0.5, 1.5, 0., 0.5, 3.],
    );
}

#[test]
fn gradients_at_kinks() {
    let ones = &[1.; 3];
    let clip = Pointwise::ClipGrad { lo: -1., hi: 2. };
    assert_close(&binary(clip, &[-1., 2., 0.], ones), &[0., 0., 1.]);
    let elu = Pointwise::EluGrad { alpha: 0.5 };
    assert_close(&binary(elu, &[0., -0., -0.5], ones), &[0.5, 0.5, 0.]);
    let (x, slope) = (
        single(&[3], &[0., -0., 1e-30]),
        single(&[3], &[0.1, 0.2, 0.3]),
    );
    let dx = eval(Pointwise::PreluGrad, &[&x, &slope, &single(&[3], ones)]);
    assert_close(dx[0].data(), &[0.1, 0.2, 1.]);
}

#[test]
fn extremes_of_activations() {
    let x = [-INF, -1000., -100., -88.8, 0., 88.8, 1000., INF, NAN];
    let ones = [1.0; 9];
    let elu = Pointwise::Elu { alpha: 1. };
    let y = unary(elu, &x);
    assert_close(&y, &[-1., -1., -1., -1., 0., 88.8, 1000., INF, NAN]);
    let slope = binary(Pointwise::EluGrad { alpha: 1. }, &y, &ones);
    assert_close(&slope, &[0., 0., 0., 0., 1., 1., 1., 1., NAN]);
    let y = unary(Pointwise::Softplus, &x);
    assert_close(
        &y,
        &[
            0.,
            0.,
            0.,
            0.,
            std::f64::consts::LN_2,
            88.8,
            1000.,
            INF,
            NAN,
        ],
    );
    let slope = binary(Pointwise::SoftplusGrad, &y, &ones);
    assert_close(&slope, &[0., 0., 0., 0., 0.5, 1., 1., 1., NAN]);
    let y = unary(Pointwise::Gelu, &x);
    assert_close(&y, &[0., 0., 0., 0., 0., 88.8, 1000., INF, NAN]);
    let slope = binary(Pointwise::GeluGrad, &x, &ones);
    assert_close(&slope, &[0., 0., 0., 0., 0.5, 1., 1., 1., NAN]);
}

#[test]
fn binary_cross_entropy() {
    // ln 2 at 0; a confident answer costs e^-|x| where it is right and |x| where it is wrong.
    let small = (-10.0_f64).exp().ln_1p();
    let rows = [
        (0., 0.3, std::f64::consts::LN_2),
        (10., 1., small),
        (-10., 0., small),
        (10., 0., 10. + small),
        (-1000., 1., 1000.),
        (1000., 1., 0.),
        (-1000., 0., 0.),
        (1000., 0.25, 750.),
        (2., 0.25, 1.626_928),
    ];
    let (x, t): (Vec<f64>, Vec<f64>) = rows.iter().map(|row| (row.0, row.1)).unzip();
    let expected: Vec<f64> = rows.iter().map(|row| row.2).collect();
    assert_close(&binary(Pointwise::BinaryCrossEntropy, &x, &t), &expected);
    // In single precision as well, where 1 + e^-10 is rounded.
    let single = Pointwise::BinaryCrossEntropy.scalar(&[10.0_f32, 1.0]);
    assert!((f64::from(single) / small - 1.0).abs() < 1e-6, "{single}");
}

#[test]
fn infinities() {
    assert_eq!(unary(Pointwise::Relu, &[INF, -INF]), [INF, 0.0]);
    assert_eq!(
        binary(Pointwise::Max, &[INF, -INF], &[-INF, -INF]),
        [INF, -INF]
    );
    assert_eq!(
        binary(Pointwise::Min, &[INF, INF], &[-INF, INF]),
        [-INF, INF]
    );
}

#[test]
fn operands_stretch_channel_by_channel() {
    let map = batched(&[2, 1, 2], &[1., 2., 3., 4., 5., 6., 7., 8.]);
    let channels = single(&[2], &[10., 20.]);
    let sum = eval(Pointwise::Add, &[&map, &channels]);
    assert_close(sum[0].data(), &[11., 12., 23., 24., 15., 16., 27., 28.]);
    let gates = batched(&[2], &[1., 10., 100., 1000.]);
    let product = eval(Pointwise::Mul, &[&gates, &map]);
    assert_close(
        product[0].data(),
        &[1., 2., 30., 40., 500., 600., 7000., 8000.],
    );
    let mask = batched(&[1, 1, 2], &[0., 1., 2., 3.]);
    let product = eval(Pointwise::Mul, &[&mask, &map]);
    assert_close(product[0].data(), &[0., 2., 0., 4., 10., 18., 14., 24.]);
    let number = single(&[], &[3.]);
    let product = eval(Pointwise::Mul, &[&number, &channels]);
    assert_close(product[0].data(), &[30., 60.]);
    // One number an image is not one number a channel.
    let each = batched(&[], &[1., 2.]);
    let features = batched(&[2], &[1., 2., 3., 4.]);
    let product = eval(Pointwise::Mul, &[&each, &features]);
    assert_close(product[0].data(), &[1., 2., 6., 8.]);
}

#[test]
fn batch_norm_at_rest() {
    let one = |value: f64| single(&[1], &[value]);
    for (eps, expected) in [(1e-3_f32, 30.151_134), (1e-5, 95.346_259)] {
        let op = Pointwise::BatchNorm {
            eps,
            batch_stats: false,
        };
        let y = eval(
            op,
            &[
                &batched(&[1], &[1.]),
                &one(0.),
                &one(1e-4),
                &one(1.),
                &one(0.),
            ],
        );
        let error = (y[0].data()[0] - expected).abs();
        assert!(error < 1e-4, "eps is a single-precision number: {error}");
    }
}
