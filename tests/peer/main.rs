//! Peer mode in the simulator: single rules, and random networks.

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

/// Returns the chats that a peer has shown, as sender and text, in order.
fn received_chats(events: &[Event]) -> Vec<(i64, String)> {
    let chats = events.iter().filter_map(|event| match event {
        Event::Chat { from, text, .. } => Some((*from, text.clone())),
        _ => None,
    });
    chats.collect()
}

/// Returns the number of receipts from each addressee.
fn receipt_counts(events: &[Event]) -> BTreeMap<i64, usize> {
    let mut receipts = BTreeMap::new();
    for event in events {
        if let Event::Receipt { from, .. } = event {
            *receipts.entry(*from).or_insert(0) += 1;
        }
    }
    receipts
}

/// Returns the texts of the error events.
fn error_texts(events: &[Event]) -> Vec<String> {
    let errors = events.iter().filter_map(|event| match event {
        Event::Error { text } => Some(text.clone()),
        _ => None,
    });
    errors.collect()
}
