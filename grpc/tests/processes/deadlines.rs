//! Timeouts of 5 s and 10 s towards peers that do not answer.

use std::thread;

use crate::{chat, hostile, network};

/// The checks run concurrently because they mostly wait.
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
    assert_eq!(failed, [""; 0], "the failures are reported above");
}
