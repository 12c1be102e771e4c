//! The words that keys of `train` choose among, for the reference.

use super::{augment, clip, data, init, optimizer, regularize, schedule, table};
use crate::sema::layers::Layer;

/// Each key with what it can be.
pub(in crate::sema) fn choices() -> Vec<(&'static str, Vec<&'static Layer>)> {
    vec![
        (
            "data",
            vec![
                &data::FASHION_MNIST,
                &data::FASHION_MNIST_SMALL,
                &data::XOR,
                &data::FOLDER,
            ],
        ),
        (
            "loss",
            vec![
                &table::CROSS_ENTROPY,
                &table::BINARY_CROSS_ENTROPY,
                &table::MSE,
                &table::MAE,
                &table::HUBER,
            ],
        ),
        (
            "optimizer",
            vec![
                &optimizer::SGD,
                &optimizer::ADAM,
                &optimizer::ADAMW,
                &optimizer::RMSPROP,
                &optimizer::ADAGRAD,
            ],
        ),
        (
            "schedule",
            vec![
                &schedule::CONSTANT,
                &schedule::STEP,
                &schedule::EXPONENTIAL,
                &schedule::COSINE,
                &schedule::LINEAR,
                &schedule::POLYNOMIAL,
                &schedule::PLATEAU,
            ],
        ),
        ("init", init::INITIALISERS.iter().collect()),
        (
            "regularize",
            vec![
                &regularize::L1,
                &regularize::L2,
                &regularize::GROUP_LASSO,
                &regularize::MAX_NORM,
            ],
        ),
        ("clip", vec![&clip::NORM, &clip::VALUE]),
        (
            "augment",
            vec![
                &augment::FLIP,
                &augment::FLIP_VERTICAL,
                &augment::CROP,
                &augment::ROTATE,
                &augment::CUTOUT,
                &augment::BRIGHTNESS,
                &augment::CONTRAST,
                &augment::NOISE,
            ],
        ),
    ]
}
