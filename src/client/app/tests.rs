//! The app, driven by hand: lines and frames in, events and frames out. One file a wire, and one for
//! how a session ends, which is the same for all.

use super::*;

mod classic;
mod crc;
mod direct;
mod quitting;

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn take_events(app: &mut App) -> Vec<String> {
    std::iter::from_fn(|| app.poll_event().map(|event| event.to_json())).collect()
}

/// The texts of the errors shown since the last call; anything else shown is a mistake.
fn take_errors(app: &mut App) -> Vec<String> {
    let text = |event| match event {
        Event::Error { text } => text.to_string(),
        other => panic!("{other:?}"),
    };
    std::iter::from_fn(|| app.poll_event().map(text)).collect()
}
