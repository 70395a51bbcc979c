//! The bodies of the fuzz targets in `fuzz/`: properties that hold for any bytes.
//!
//! `tests/corpus.rs` runs them over the corpus that the fuzzer has found.

mod codecs;
mod handshake;
mod node;
mod peer;
mod tls;

pub use self::codecs::{classic_codec, crc_codec, direct_codec, extension_codec};
pub use self::handshake::handshake;
pub use self::node::node;
pub use self::peer::peer;
pub use self::tls::tls;

/// Takes up to `count` bytes from the script. Returns one zero byte at its end.
fn take_bytes<'a>(script: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (bytes, rest) = script.split_at(count.min(script.len()));
    *script = rest;
    if bytes.is_empty() { &[0] } else { bytes }
}
