//! Training: data in, better weights out, and a picture of how it went.

pub mod data;
pub mod fit;
pub mod mean;
pub mod optimizer;
pub mod picture;
pub mod plot;
pub mod rate;
pub mod source;
pub mod step;
