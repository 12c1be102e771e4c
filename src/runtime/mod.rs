//! Runs programs: memory, threads, parameters. The only place that starts threads.

pub mod buffer;
pub mod convert;
mod crew;
pub mod exec;
pub mod float;
pub mod limit;
pub mod params;
pub mod rows;
mod whole;

pub use exec::{Session, SessionError};
