//! What takes five or ten seconds because the program waits as long for somebody who says nothing.

use std::thread;

use crate::{chat, hostile, network};

/// Each has programs of its own: all wait at the same time, which is most of what they do.
#[test]
fn unresponsive_peers_are_given_up_at_their_deadlines() {
    let checks: [(&str, fn()); 3] = [
        ("unanswered", chat::unanswered_message_is_reported_undelivered),
        ("stopped", network::chat_with_an_unresponsive_peer_is_not_reported_to_continue),
        ("silent", hostile::silent_connections_use_no_cpu_and_are_closed_for_new_clients),
    ];
    let failed: Vec<&str> = thread::scope(|scope| {
        let threads = checks.map(|(name, part)| {
            let thread = thread::Builder::new().name(name.to_owned());
            (name, thread.spawn_scoped(scope, part).expect("a thread"))
        });
        let results = threads.map(|(name, thread)| (name, thread.join()));
        results.into_iter().filter(|(_, result)| result.is_err()).map(|(name, _)| name).collect()
    });
    assert_eq!(failed, [""; 0], "what failed is said above");
}
