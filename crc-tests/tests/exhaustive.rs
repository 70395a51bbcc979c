//! A small network, explored exhaustively.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crc_tests::sim::exhaustive::{Network, Options, Report, run};

fn explore(faults: u8, states_max: usize) -> Report {
    let options = Options {
        network: Network::find("pair").expect("a network"),
        faults,
        delay_max: Duration::ZERO,
        states_max,
        time_max: Duration::from_secs(120),
    };
    let report = run(&options, &AtomicBool::new(false), |_, _, _| {});
    println!("{report}");
    assert!(report.violation().is_none(), "{report}");
    report
}

#[test]
fn two_servers_and_a_user_hold_all_predicates_in_every_history_without_faults() {
    assert!(explore(0, usize::MAX).is_exhausted());
}

#[test]
fn two_servers_and_a_user_hold_all_predicates_in_short_histories_with_a_fault() {
    assert!(explore(1, 5_000).states() >= 5_000);
}
