//! Training: data in, better weights out, and a picture of how it went.

pub mod data;
pub mod mean;
pub mod plot;
