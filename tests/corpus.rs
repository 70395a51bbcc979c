//! What the fuzzer has found, and frames by hand, over and over again.

use std::fs;
use std::path::Path;

use crc_tests::{frames, fuzz};

#[track_caller]
fn over(target: &str, body: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut count = 0;
    for entry in fs::read_dir(&corpus).expect("a corpus") {
        let path = entry.expect("an entry").path();
        println!("{}", path.display()); // shown if it fails
        body(&fs::read(&path).expect("readable"));
        count += 1;
    }
    assert!(count > 10, "{count} files in {}", corpus.display());
}

#[test]
fn the_codec_holds() {
    over("wire", fuzz::wire);
    fuzz::wire(&frames::status(1, 2, 3, "four"));
}

#[test]
fn the_direct_codec_holds() {
    over("direct", fuzz::direct);
}

#[test]
fn the_classic_codec_holds() {
    over("classic", fuzz::classic);
}

#[test]
fn the_node_holds() {
    over("node", fuzz::node);
}

#[test]
fn the_peer_holds() {
    over("peer", fuzz::peer);
}
