//! Training: data in, better weights out, and a picture of how it went.

pub mod checkpoint;
pub mod data;
pub mod fingerprint;
pub mod fit;
pub mod judge;
pub mod mean;
pub mod optimizer;
pub mod plot;
pub mod rate;
pub mod source;
pub mod step;
