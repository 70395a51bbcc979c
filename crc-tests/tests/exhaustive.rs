//! Small networks, explored exhaustively.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crc_tests::sim::exhaustive::{Network, Options, run};

/// Visits every state of a network and checks that no predicate is broken in any.
fn exhaust(network: &str, faults: u8) {
    let options = Options {
        network: Network::find(network).expect("a network"),
        faults,
        faults_in_flight: faults,
        delay_max: Duration::ZERO,
        tick: Duration::from_secs(1),
        states_max: usize::MAX,
        time_max: Duration::from_secs(120),
    };
    let report = run(&options, &AtomicBool::new(false), |_, _, _| {});
    println!("{report}");
    assert!(report.violation().is_none(), "{report}");
    assert!(report.is_exhausted() && report.states() > 100, "{report}");
}

#[test]
fn two_servers_hold_all_predicates_in_every_history_with_a_fault() {
    exhaust("pair-boot", 1);
}

#[test]
fn two_servers_with_a_contested_id_hold_all_predicates_in_every_history() {
    exhaust("pair-claim", 0);
}

#[test]
fn three_servers_with_a_contested_id_hold_all_predicates_in_every_history() {
    exhaust("line-claim", 0);
}

#[test]
fn three_servers_in_a_ring_hold_all_predicates_in_every_history() {
    exhaust("ring-claim", 0);
}
