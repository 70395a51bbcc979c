//! Random scenarios, and those that have failed before.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crc::link::Time;
use crc_tests::sim::scenario::Scenario;

use super::seeds;

/// Number of seeds that are played.
const SEEDS: u64 = 256;

/// Plays the scenarios of 256 seeds on all cores. `crc-tests simulate` plays any number.
#[test]
fn scenarios_of_256_seeds_break_no_predicate() {
    let seeds = seeds(0..SEEDS);
    let next_seed = AtomicU64::new(seeds.start);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let play_all = || {
        let mut failures = Vec::new();
        loop {
            let seed = next_seed.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return failures;
            }
            if let Some((shrunk, end)) = Scenario::draw(seed, &[]).shrink() {
                let violation = end.violation.expect("a shrunk scenario fails");
                failures.push(format!("seed {seed}: {violation}\n{shrunk}"));
            }
        }
    };
    let failures: Vec<String> = thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(play_all)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn scenarios_are_parsed_as_they_are_printed() {
    for seed in 0..2000 {
        let scenario = Scenario::draw(seed, &[]);
        let parsed = scenario.to_string().parse::<Scenario>();
        assert!(parsed.as_ref() == Ok(&scenario), "seed {seed}: {parsed:?}\n{scenario}");
    }
}

/// A scenario that failed once, as it was shrunk, in a file of its own.
#[test]
fn scenarios_that_failed_before_break_no_predicate() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/simulation/scenarios");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder of scenarios")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    for path in paths {
        println!("{}", path.display());
        let text = std::fs::read_to_string(&path).expect("a scenario");
        let scenario: Scenario = text.parse().expect("a scenario");
        assert_eq!(scenario.to_string().parse::<Scenario>().expect("as printed"), scenario);
        let violation = scenario.play().violation;
        assert!(violation.is_none(), "{}: {}", path.display(), violation.expect("one"));
    }
}

#[test]
fn seed_replays_to_the_byte() {
    for seed in 0..16 {
        let scenario = Scenario::draw(seed, &[]);
        let (one, other) = (scenario.play(), scenario.play());
        assert_eq!((one.digest, one.bytes), (other.digest, other.bytes), "seed {seed}");
    }
}

/// Nothing depends on what the clock shows.
#[test]
fn seed_replays_to_the_byte_after_years() {
    let years = Time::from_start(Duration::from_secs(1_000_000_000));
    for seed in 0..16 {
        let scenario = Scenario::draw(seed, &[]);
        let (one, other) = (scenario.play(), scenario.play_from(years));
        assert_eq!((one.digest, one.bytes), (other.digest, other.bytes), "seed {seed}");
    }
}
