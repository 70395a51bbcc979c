//! `crc-tests simulate` as a process: a seed replays to the byte.

use std::process::Command;

use crc_tests::sim::scenario::Scenario;

/// Number of seeds that are played.
const SEEDS: u64 = 16;

/// Plays the seeds in another process, and returns the digest and the number of bytes that it
/// prints.
fn simulate(jobs: &str) -> (u64, u64) {
    let seeds = SEEDS.to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_crc-tests"))
        .args(["simulate", "--seeds", &seeds, "--jobs", jobs])
        .output()
        .expect("crc-tests runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(output.status.success(), "{text}");
    let line = text.lines().find(|line| line.starts_with(&format!("{SEEDS} of {SEEDS} seeds")));
    let words: Vec<&str> = line.expect("the last line of progress").split(' ').collect();
    let before = |word: &str| words.iter().position(|it| *it == word).expect("a word") - 1;
    let digest = u64::from_str_radix(words.last().expect("a digest"), 16).expect("a digest");
    (digest, words[before("bytes")].parse().expect("a number"))
}

/// The same seeds twice in this process, and in others with another number of jobs.
#[test]
fn seeds_replay_to_the_byte_in_any_process() {
    let play = || {
        (0..SEEDS)
            .map(|seed| Scenario::draw(seed, &[]).play())
            .fold((0, 0), |(sum, bytes), it| (u64::wrapping_add(sum, it.digest), bytes + it.bytes))
    };
    let expected = play();
    assert_eq!(play(), expected, "in this process");
    assert_eq!(simulate("1"), expected, "in another process");
    assert_eq!(simulate("3"), expected, "with three seeds at a time");
}
