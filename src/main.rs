//! crc: the daemon, its client and its operator.
fn main() {}
