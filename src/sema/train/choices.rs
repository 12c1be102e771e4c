//! The words that keys of `train` choose among, for the reference.

use super::table;
use crate::sema::layers::Layer;

/// Each key with what it can be.
pub(in crate::sema) static CHOICES: &[(&str, &[&Layer])] = &[
    ("loss", &[&table::CROSS_ENTROPY, &table::MSE]),
    ("optimizer", &[&table::SGD, &table::ADAM, &table::ADAMW]),
    (
        "schedule",
        &[&table::CONSTANT, &table::COSINE, &table::STEP],
    ),
    (
        "init",
        &[&table::FAN_IN, &table::HE, &table::XAVIER, &table::ZEROS],
    ),
];
