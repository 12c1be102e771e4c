//! The `netc` command.

fn main() {}
