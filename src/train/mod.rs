//! Training: data in, better weights out, and a picture of how it went.

pub mod accumulate;
pub mod checkpoint;
pub mod clip;
pub mod data;
pub mod describe;
pub mod fingerprint;
pub mod fit;
pub mod judge;
pub mod loss;
pub mod mean;
pub mod optimizer;
pub mod picture;
pub mod plot;
pub mod rate;
pub mod regularize;
pub mod source;
pub mod step;
