//! The app driven by hand: lines and frames in, events and frames out. One file a wire, and one for
//! quitting, which is the same on all wires.

use super::*;

mod classic;
mod classic_lists;
mod crc;
mod crc_waiting;
mod direct;
mod quitting;
mod rooms;

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn take_events(app: &mut App) -> Vec<String> {
    std::iter::from_fn(|| app.poll_event().map(|event| event.to_json())).collect()
}

/// Returns the texts of the errors since the last call.
///
/// # Panics
/// There was another event.
fn take_errors(app: &mut App) -> Vec<String> {
    let text = |event| match event {
        Event::Error { text } => text.to_string(),
        other => panic!("{other:?}"),
    };
    std::iter::from_fn(|| app.poll_event().map(text)).collect()
}
