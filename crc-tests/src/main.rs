//! The case runner's command line.
fn main() {}
