use super::*;
use crate::interp::{Bindings, StepValues, run_step};
use crate::ir::{Init, Param, ParamRole};
use crate::ops::testing::{assert_close, ramp, single};

fn rule(groups: usize, keep: usize) -> Prune {
    Prune {
        weight: "w".to_owned(),
        mask: "m".to_owned(),
        groups,
        keep,
    }
}

#[test]
fn each_group_loses_its_own_least_channels() {
    // Two groups of two filters over four channels of one weight each.
    #[rustfmt::skip]
    let weight = [
        1.0, -5.0, 0.1, 2.0,
        1.0,  0.0, 0.1, 2.0,
        3.0,  0.2, 4.0, 9.0,
        3.0, -0.3, 4.0, 9.0,
    ];
    let mut mask = [1.0; 16];
    assert!(prune(&weight, &mut mask, [4, 4, 1, 1], &rule(2, 2)));
    let read = |mask: &[f32]| channels_read(mask, [4, 4], 2);
    // Sums of the first group: 2, 5, 0.2, 4; of the second: 6, 0.5, 8, 18.
    assert_eq!(read(&mask), [[1, 3], [2, 3]]);
    assert_eq!(mask[..4], mask[4..8]);
    // What has been done is not done again, and what is gone does not come back.
    let grown = weight.map(|weight| 10.0 - weight);
    assert!(!prune(&grown, &mut mask, [4, 4, 1, 1], &rule(2, 2)));
    assert!(prune(&grown, &mut mask, [4, 4, 1, 1], &rule(2, 1)));
    assert_eq!(read(&mask), [[3], [2]]);
}

#[test]
fn importance_covers_the_whole_kernel_and_ties_go_in_order() {
    let weight = [1.0, -1.0, 0.0, 0.5, 2.0, 0.0];
    let mut mask = [1.0; 3];
    assert!(prune(&weight, &mut mask, [1, 3, 1, 2], &rule(1, 2)));
    assert_eq!(mask, [1.0, 0.0, 1.0]);
    assert!(prune(&weight, &mut mask, [1, 3, 1, 2], &rule(1, 1)));
    assert_eq!(mask, [0.0, 0.0, 1.0], "of 2 and 2 the first goes");
}

#[test]
fn stages_fill_the_first_half() {
    let condensing = Condensing {
        groups: 4,
        condense: 4,
    };
    let events: Vec<String> = condensing
        .events("c", ["w", "m"], 2)
        .map(|event| event.to_string())
        .collect();
    assert_eq!(
        events,
        [
            "after 1/6 prune m by w {groups 4, keep 6}",
            "after 2/6 prune m by w {groups 4, keep 4}",
            "after 3/6 prune m by w {groups 4, keep 2}",
        ]
    );
}

#[test]
fn sizes_that_do_not_divide() {
    let keep = |groups, condense| Condensing { groups, condense }.keep(12, 10);
    assert_eq!(keep(5, 4), Ok(3));
    insta::assert_snapshot!(keep(4, 4).unwrap_err(), @"10 filters leave 2 over when split into 4 groups");
    insta::assert_snapshot!(
        keep(5, 5).unwrap_err(),
        @"12 input channels leave 2 over when split into 5 shares, of which training keeps one"
    );
}

/// The slope of the lasso, by the definition and by central differences of the penalty.
#[test]
fn the_slope_is_that_of_the_penalty() {
    const SIZES: [usize; 4] = [4, 3, 1, 2];
    let mut builder = Builder::new("lasso");
    let mut param = |name: &str, dims: [usize; 4], role| {
        let (name, init) = (name.to_owned(), Init::Constant(1.0));
        builder.param(dims, Param { name, role, init })
    };
    let weight = param("w", SIZES, ParamRole::Weight);
    let mask = param("m", [4, 3, 1, 1], ParamRole::Mask);
    let slope = lasso_slope(&mut builder, [weight, mask], &rule(2, 1), 0.5);
    builder.output("slope", slope);
    let graph = builder.finish();
    let weights: Vec<f64> = ramp(24).iter().map(|x| (x * 0.7).sin()).collect();
    #[rustfmt::skip]
    let open = [1., 1., 0., 1., 1., 0., 1., 0., 1., 1., 0., 1.];
    let slope = |mask: &[f64]| {
        let mut bindings = Bindings::<f64>::new(&graph);
        bindings.set_named(&graph, "w", single(&SIZES, &weights));
        bindings.set_named(&graph, "m", single(&[4, 3, 1, 1], mask));
        let values = run_step(&graph, 1, &StepValues::REST, &mut bindings);
        values[graph.output("slope").unwrap()].data().to_vec()
    };
    let penalty = |weights: &[f64]| -> f64 {
        let norm = |group: usize, channel: usize| {
            let weights = (2 * group..2 * group + 2)
                .flat_map(|row| [0, 1].map(|place| (row * 3 + channel, place)))
                .map(|(at, place)| open[at] * weights[at * 2 + place]);
            weights.map(|weight| weight * weight).sum::<f64>().sqrt()
        };
        let norms = (0..2).flat_map(|group| [0, 1, 2].map(|channel| norm(group, channel)));
        0.5 * norms.sum::<f64>()
    };
    let differences: Vec<f64> = (0..24)
        .map(|at| {
            let moved = |by: f64| {
                let mut weights = weights.clone();
                weights[at] += by;
                penalty(&weights)
            };
            (moved(1e-6) - moved(-1e-6)) / 2e-6
        })
        .collect();
    // Central differences of a function with values near 1 are good to about 1e-10.
    for (found, wanted) in slope(&open).iter().zip(&differences) {
        assert!((found - wanted).abs() < 1e-8, "{found} {wanted}");
    }
    // One channel a group is left: the lasso has ended.
    let condensed = [1., 0., 0., 1., 0., 0., 0., 0., 1., 0., 0., 1.];
    assert_close(&slope(&condensed), &[0.; 24]);
}
