//! The bodies of the fuzz targets in `fuzz/`: properties that hold for any bytes.
//!
//! `tests/corpus.rs` runs them over the corpus that the fuzzer has found.

use std::fs;
use std::path::Path;

mod codecs;
mod handshake;
mod http;
mod irc;
mod node;
mod peer;
mod pump;
mod texts;
mod tls;

pub use self::codecs::{classic_codec, crc_codec, direct_codec, extension_codec};
pub use self::handshake::handshake;
pub use self::http::http;
pub use self::irc::irc;
pub use self::node::node;
pub use self::peer::peer;
pub use self::texts::{proxy, texts};
pub use self::tls::tls;

/// Returns the corpus of a target: the inputs that its fuzzer has found, and those made by hand.
///
/// # Panics
/// If there is no such folder in this repository.
#[must_use]
pub fn corpus(target: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut paths: Vec<_> =
        fs::read_dir(dir).expect("a corpus").map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("readable")).collect()
}

/// Takes up to `count` bytes from the script. Returns one zero byte at its end.
fn take_bytes<'a>(script: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (bytes, rest) = script.split_at(count.min(script.len()));
    *script = rest;
    if bytes.is_empty() { &[0] } else { bytes }
}
