//! Training: data in, better weights out, and a picture of how it went.

pub mod data;
pub mod mean;
pub mod optimizer;
pub mod plot;
pub mod step;
