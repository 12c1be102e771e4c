use super::*;

fn curve(label: &str, values: &[f64]) -> Curve {
    Curve {
        label: label.to_owned(),
        values: values.to_vec(),
    }
}

/// Draws the curves and checks what every picture must be: text without a number that is not one.
fn picture(losses: &[Curve], accuracies: &[Curve]) -> String {
    let curves = Curves {
        title: "LeNet5 on fashion_mnist <small>".to_owned(),
        losses: losses.to_vec(),
        accuracies: accuracies.to_vec(),
    };
    let text = svg(&curves).unwrap();
    assert!(
        text.starts_with("<svg") && text.ends_with("</svg>\n"),
        "{text}"
    );
    assert!(!text.contains("NaN") && !text.contains(">inf"), "{text}");
    assert!(text.contains("&lt;small&gt;"));
    text
}

fn count(text: &str, what: &str) -> usize {
    text.matches(what).count()
}

#[test]
fn draws_two_panels_with_labels_and_legends() {
    let losses = [
        curve("training", &[0.9, 0.6, 0.5]),
        curve("validation", &[0.7, 0.6, 0.55]),
    ];
    let accuracies = [curve("validation", &[0.7, 0.8, 0.883])];
    let text = picture(&losses, &accuracies);
    for expected in [
        "Loss",
        "Accuracy",
        "epoch",
        "training: 0.500",
        "validation: 0.550",
        "validation: 88.3 %",
    ] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    assert_eq!(count(&text, "<circle"), 9);
}

#[test]
fn draws_the_loss_alone() {
    let text = picture(&[curve("training", &[0.25, 0.1])], &[]);
    assert!(text.contains("Loss") && !text.contains("Accuracy"));
    assert!(text.contains(&format!("width=\"{}\"", PANEL.0)), "{text}");
}

#[test]
fn one_epoch_is_a_point() {
    let text = picture(&[curve("training", &[0.5])], &[curve("training", &[0.8])]);
    assert_eq!(count(&text, "<circle"), 2);
}

#[test]
fn values_that_are_not_finite_are_gaps_that_the_legend_counts() {
    let broken = [0.9, f64::NAN, 0.7, 0.6, f64::INFINITY, f64::NEG_INFINITY];
    let text = picture(
        &[curve("training", &broken)],
        &[curve("training", &[f64::NAN; 6])],
    );
    assert!(text.contains("training (not finite in 3 of 6)"), "{text}");
    assert!(text.contains("training (not finite in 6 of 6)"), "{text}");
    assert_eq!(count(&text, "<circle"), 3);
}

#[test]
fn constant_empty_and_huge_curves_are_drawn() {
    picture(
        &[curve("training", &[2.302; 10])],
        &[curve("training", &[0.1; 10])],
    );
    picture(
        &[curve("training", &[0.0; 10])],
        &[curve("training", &[1.0; 10])],
    );
    picture(&[curve("training", &[])], &[]);
    picture(&[], &[]);
    picture(&[curve("training", &[1.0, 1e30, 3.0e38])], &[]);
}

#[test]
fn long_trainings_have_no_dots() {
    let values: Vec<f64> = (0..500).map(|i| 1.0 / f64::from(i + 1)).collect();
    let text = picture(&[curve("training", &values)], &[]);
    assert_eq!(count(&text, "<circle"), 0);
}

#[test]
fn is_written_to_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("curves.svg");
    let curves = Curves {
        title: String::new(),
        losses: vec![],
        accuracies: vec![],
    };
    write(&path, &curves).unwrap();
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        svg(&curves).unwrap()
    );
}
