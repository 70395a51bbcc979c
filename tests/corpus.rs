//! The fuzz targets over their corpus: inputs that the fuzzer has found, and some by hand.

use std::fs;
use std::path::Path;

use crc_tests::{frames, fuzz};

#[track_caller]
fn replay(target: &str, body: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut count = 0;
    for entry in fs::read_dir(&corpus).expect("a corpus") {
        let path = entry.expect("an entry").path();
        println!("{}", path.display()); // printed if the test fails
        body(&fs::read(&path).expect("readable"));
        count += 1;
    }
    assert!(count > 10, "{count} files in {}", corpus.display());
}

#[test]
fn crc_codec_survives_its_corpus() {
    replay("crc", fuzz::crc_codec);
    fuzz::crc_codec(&frames::status(1, 2, 3, "four"));
}

#[test]
fn direct_codec_survives_its_corpus() {
    replay("direct", fuzz::direct_codec);
}

#[test]
fn classic_codec_survives_its_corpus() {
    replay("classic", fuzz::classic_codec);
}

#[test]
fn extension_codec_survives_its_corpus() {
    replay("extension", fuzz::extension_codec);
}

#[test]
fn node_survives_its_corpus() {
    replay("node", fuzz::node);
}

#[test]
fn peer_survives_its_corpus() {
    replay("peer", fuzz::peer);
}

#[test]
fn http_wire_survives_its_corpus() {
    replay("http", fuzz::http);
}

#[test]
fn irc_wire_survives_its_corpus() {
    replay("irc", fuzz::irc);
}

#[test]
fn handshake_survives_its_corpus() {
    replay("handshake", fuzz::handshake);
}

#[test]
fn proxy_header_survives_its_corpus() {
    replay("proxy", fuzz::proxy);
}

#[test]
fn texts_survive_their_corpus() {
    replay("texts", fuzz::texts);
}

#[test]
fn tls_survives_its_corpus() {
    replay("tls", fuzz::tls);
}
