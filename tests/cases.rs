//! Runs every scripted case in the simulator and against the binary, as `cargo run -p crc-tests`
//! does.

use crc_tests::runner::suite::{SuiteOptions, run_all};

#[test]
fn every_case_passes_strictly_in_the_simulator_and_against_processes() {
    let cases = [concat!(env!("CARGO_MANIFEST_DIR"), "/crc-tests/cases").into()];
    let crc = Some(env!("CARGO_BIN_EXE_crc").into());
    let options = SuiteOptions { is_strict: true, crc, ..SuiteOptions::default() };
    let summary = run_all(&cases, &options).expect("cases and a binary");
    assert!(summary.is_passed(), "{summary}");
}
