use super::{Across, Axis, BatchNorm, LocalResponseNorm, Reduce};
use crate::interp::{self, Bindings, StepValues};
use crate::ir::{Builder, Graph, Shape, Type, ValueId};
use crate::ops::testing::{assert_close, batched, told};
use crate::ops::{Array, ShapeError, dropout, layers};

fn layer(
    dims: &[usize],
    append: impl Fn(&mut Builder, ValueId) -> Result<ValueId, ShapeError>,
) -> Result<Graph, ShapeError> {
    let mut builder = Builder::new("layer");
    let x = builder.input("x", Type::f32(Shape::batched(dims)));
    let y = append(&mut builder, x)?;
    builder.output("y", y);
    Ok(builder.finish())
}

fn output(graph: &Graph, x: &Array<f64>) -> Array<f64> {
    let batch = x.data().len() / x.shape().elements();
    let mut bindings = Bindings::new(graph);
    bindings.set_named(graph, "x", x.clone());
    let values = interp::run(graph, batch, &StepValues::REST, &bindings);
    values[graph.output("y").unwrap()].clone()
}

#[test]
fn the_running_variance_is_the_unbiased_one() {
    let norm = BatchNorm {
        eps: 1e-5,
        momentum: 0.1,
        train: true,
    };
    let graph = layer(&[1], |builder, x| {
        let params = layers::batch_norm_params(builder, "bn", 1, true);
        layers::batch_norm(builder, x, params, norm)
    });
    let graph = graph.unwrap();
    let mut bindings = Bindings::<f64>::new(&graph);
    bindings.set_named(&graph, "x", batched(&[1], &[1., 2., 3., 4.]));
    let values = interp::run_step(&graph, 4, &StepValues::REST, &mut bindings);
    assert_close(
        values[graph.output("y").unwrap()].data(),
        &[-1.341_635, -0.447_212, 0.447_212, 1.341_635],
    );
    assert_close(
        bindings.get_named(&graph, "bn.running_mean").data(),
        &[0.25],
    );
    assert_close(
        bindings.get_named(&graph, "bn.running_var").data(),
        &[1.066_667],
    );
}

#[test]
fn shared_statistics_move_once_for_each_use() {
    let norm = BatchNorm {
        eps: 1e-5,
        momentum: 0.5,
        train: true,
    };
    let graph = layer(&[1], |builder, x| {
        let params = layers::batch_norm_params(builder, "bn", 1, false);
        let y = layers::batch_norm(builder, x, params, norm)?;
        layers::batch_norm(builder, y, params, norm)
    });
    let graph = graph.unwrap();
    assert_eq!(graph.updates.len(), 2);
    let mut bindings = Bindings::<f64>::new(&graph);
    bindings.set_named(&graph, "x", batched(&[1], &[4., 8.]));
    interp::run_step(&graph, 2, &StepValues::REST, &mut bindings);
    // First to half of the mean 6, then half-way to the mean 0 of what was normalised.
    assert_close(bindings.get_named(&graph, "bn.running_mean").data(), &[1.5]);
}

#[test]
fn dropout_at_rest_is_the_input_itself() {
    let op = dropout::Dropout {
        rate: 0.5,
        stream: 0,
    };
    let graph = layer(&[4], |builder, x| layers::dropout(builder, x, op, false)).unwrap();
    assert!(graph.nodes.is_empty());
    let refused = dropout::Dropout {
        rate: f32::NAN,
        stream: 0,
    };
    assert!(
        layer(&[4], |builder, x| layers::dropout(
            builder, x, refused, false
        ))
        .is_err()
    );
}

#[test]
fn global_pools() {
    let x = batched(&[2, 1, 3], &[1., 2., 3., 4., -5., 7.]);
    let graph = layer(&[2, 1, 3], layers::global_avg_pool).unwrap();
    assert_close(output(&graph, &x).data(), &[2., 2.]);
    let graph = layer(&[2, 1, 3], layers::global_max_pool).unwrap();
    assert_close(output(&graph, &x).data(), &[3., 7.]);
}

#[test]
fn maxout_takes_consecutive_channels() {
    let graph = layer(&[4], |builder, x| layers::maxout(builder, x, 2)).unwrap();
    assert_close(
        output(&graph, &batched(&[4], &[1., 5., 2., 3.])).data(),
        &[5., 3.],
    );
    let graph = layer(&[4, 1, 2], |builder, x| layers::maxout(builder, x, 2)).unwrap();
    let x = batched(&[4, 1, 2], &[1., 8., 5., 7., 2., 6., 3., 5.]);
    assert_close(output(&graph, &x).data(), &[5., 8., 3., 6.]);
}

#[test]
fn local_response_normalisation() {
    let ones = [1.0; 5];
    let tens = [10., 20., 30., 40., 50.];
    let all = LocalResponseNorm {
        size: 5,
        alpha: 1.0,
        beta: 1.0,
        k: 1.0,
        across: Across::Channels,
        by_window: true,
    };
    let paper = LocalResponseNorm {
        alpha: 1e-4,
        beta: 0.75,
        k: 2.0,
        by_window: false,
        ..all
    };
    let cases = [
        (ones, all, [0.625, 0.555_556, 0.5, 0.555_556, 0.625]),
        (
            ones,
            LocalResponseNorm {
                by_window: false,
                ..all
            },
            [0.25, 0.2, 0.166_667, 0.2, 0.25],
        ),
        (
            tens,
            paper,
            [5.651_838, 10.708_635, 14.866_753, 19.880_839, 25.148_669],
        ),
        (
            tens,
            LocalResponseNorm {
                by_window: true,
                ..paper
            },
            [5.884_357, 11.631_335, 17.135_998, 22.864_254, 28.661_937],
        ),
    ];
    for (x, norm, expected) in cases {
        let graph = layer(&[5, 1, 1], |builder, x| {
            layers::local_response_norm(builder, x, norm)
        });
        let y = output(&graph.unwrap(), &batched(&[5, 1, 1], &x));
        assert_close(y.data(), &expected);
    }
}

/// Sums over pixels of one channel, counted by hand.
#[test]
fn response_normalisation_within_a_channel() {
    let norm = LocalResponseNorm {
        size: 3,
        alpha: 9.0,
        beta: 1.0,
        k: 1.0,
        across: Across::Space,
        by_window: true,
    };
    let graph = layer(&[1, 1, 3], |b, x| layers::local_response_norm(b, x, norm)).unwrap();
    let y = output(&graph, &batched(&[1, 1, 3], &[1., 2., 3.]));
    assert_close(y.data(), &[1. / 6., 2. / 15., 3. / 14.]);
}

#[test]
fn reductions_keep_an_axis_of_one() {
    let x = batched(&[2, 2, 2], &[1., 2., 3., 4., 5., 7., 6., 8.]);
    let cases = [
        (
            Reduce::Sum,
            Axis::Channels,
            vec![1, 2, 2],
            vec![6., 9., 9., 12.],
        ),
        (
            Reduce::Mean,
            Axis::Height,
            vec![2, 1, 2],
            vec![2., 3., 5.5, 7.5],
        ),
        (
            Reduce::Max,
            Axis::Width,
            vec![2, 2, 1],
            vec![2., 4., 7., 8.],
        ),
        (Reduce::Mean, Axis::Space, vec![2, 1, 1], vec![2.5, 6.5]),
        (
            Reduce::Max,
            Axis::Channels,
            vec![1, 2, 2],
            vec![5., 7., 6., 8.],
        ),
    ];
    for (kind, axis, dims, expected) in cases {
        let graph = layer(&[2, 2, 2], |b, x| layers::reduce(b, x, kind, axis)).unwrap();
        let y = output(&graph, &x);
        assert_eq!(y.dims(), dims);
        assert_close(y.data(), &expected);
    }
    let vector = layer(&[4], |b, x| {
        layers::reduce(b, x, Reduce::Mean, Axis::Height)
    });
    insta::assert_snapshot!(told(&vector.unwrap_err()), @r"
    the input must have a shape like [C, H, W], not [4]
    help: `reshape([4, 1, 1])` before it makes it a map of one pixel
    ");
}

#[test]
fn stochastic_depth_drops_whole_samples() {
    let depth = |rate: f32, train: bool| {
        let dropout = dropout::Dropout { rate, stream: 1 };
        layer(&[3], |b, x| layers::stochastic_depth(b, x, dropout, train))
    };
    let x = batched(&[3], &[1.0; 3 * 64]);
    let y = output(&depth(0.5, true).unwrap(), &x);
    let mut kept = 0;
    for sample in y.data().chunks(3) {
        assert!(sample == [0.0; 3] || sample == [2.0; 3], "{sample:?}");
        kept += usize::from(sample[0] > 0.0);
    }
    // Four deviations around a half of 64 samples.
    assert!((16..=48).contains(&kept), "{kept} of 64 are kept");
    assert_eq!(output(&depth(0.0, true).unwrap(), &x), x);
    assert!(
        output(&depth(1.0, true).unwrap(), &x)
            .data()
            .iter()
            .all(|&y| y == 0.0)
    );
    assert_eq!(output(&depth(0.5, false).unwrap(), &x), x);
    insta::assert_snapshot!(told(&depth(1.5, true).unwrap_err()), @"the rate must be from 0 to 1, not 1.5");
}
