//! A network of 50 servers, and a link with many users behind it.

use std::time::Duration;

use crc::limits::{PING_TIMEOUT, SPLIT_GRACE};
use crc_tests::sim::scale::{Loss, Options, Phase, run, run_large_link};

/// Plays a network of 50 servers with 4 users each.
fn play(loss: Loss) -> Vec<Phase> {
    let options = Options { servers: 50, users: 4, fan_out: 6, loss, seed: 1 };
    run(&options, |phase| println!("{phase}"))
}

fn check(loss: Loss, heal_time_max: Duration) {
    for phase in play(loss) {
        let time = phase.until_one_table.expect("one table");
        assert!(time <= heal_time_max, "{}: one table after {time:?}", phase.name);
        if phase.name == "root lost" {
            // Facts about 49 servers, and the quits of the users of the root, but no users.
            let (bytes, _) = phase.meter.bytes();
            assert!(bytes < 50 * 20_000, "{bytes} bytes for a root with 4 users");
        }
    }
}

#[test]
fn fifty_servers_have_one_table_again_after_their_root_was_killed() {
    check(Loss::Kill, Duration::from_secs(10));
}

#[test]
fn fifty_servers_have_one_table_again_after_their_root_vanished() {
    check(Loss::Vanish, PING_TIMEOUT + Duration::from_secs(10));
}

#[test]
fn link_that_is_back_within_the_grace_announces_no_user() {
    let phases = run_large_link(4_000, 2, 1);
    assert_eq!(phases.len(), 7, "{phases:?}");
    let back = &phases[1];
    assert!(back.until_one_table.is_some_and(|time| time < SPLIT_GRACE), "{back}");
    assert_eq!(back.frames.expect("observed frames").others, 0, "{back}");
    assert!(phases.iter().all(|phase| phase.until_one_table.is_some()), "{phases:?}");
}
