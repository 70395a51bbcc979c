//! What takes five or ten seconds because the program waits as long for somebody who says nothing.

use std::thread;

use crate::{chat, hostile, network};

/// Each has programs of its own: all wait at the same time, which is most of what they do.
#[test]
fn who_says_nothing_is_not_waited_for_forever() {
    let parts: [(&str, fn()); 3] = [
        ("unanswered", chat::what_is_not_answered_is_not_delivered),
        ("stopped", network::nobody_is_said_to_go_on_who_does_not_answer),
        ("silent", hostile::connections_that_say_nothing_cost_nothing_and_make_room),
    ];
    let failed: Vec<&str> = thread::scope(|scope| {
        let threads = parts.map(|(name, part)| {
            let thread = thread::Builder::new().name(name.to_owned());
            (name, thread.spawn_scoped(scope, part).expect("a thread"))
        });
        let results = threads.map(|(name, thread)| (name, thread.join()));
        results.into_iter().filter(|(_, result)| result.is_err()).map(|(name, _)| name).collect()
    });
    assert_eq!(failed, [""; 0], "what failed is said above");
}
