//! Peer mode in the simulator: its rules one by one, and networks by chance.

mod bounds;
mod hostile;
mod ids;
mod messaging;
mod simulation;

use std::collections::BTreeMap;
use std::time::Duration;

use crc::peer::Event;
use crc_tests::sim::{NetConditions, PeerWorld};

fn world() -> PeerWorld {
    PeerWorld::new(1, NetConditions::default())
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// What a peer was told by others, in order.
fn received_chats(events: &[Event]) -> Vec<(i64, String)> {
    let chats = events.iter().filter_map(|event| match event {
        Event::Chat { from, text, .. } => Some((*from, text.clone())),
        _ => None,
    });
    chats.collect()
}

/// How many receipts came from each.
fn receipt_counts(events: &[Event]) -> BTreeMap<i64, usize> {
    let mut receipts = BTreeMap::new();
    for event in events {
        if let Event::Receipt { from, .. } = event {
            *receipts.entry(*from).or_insert(0) += 1;
        }
    }
    receipts
}

fn error_texts(events: &[Event]) -> Vec<String> {
    let errors = events.iter().filter_map(|event| match event {
        Event::Error { text } => Some(text.clone()),
        _ => None,
    });
    errors.collect()
}
