//! Tests of passing and failing cases in the simulator.

use std::path::Path;

use super::*;
use crate::runner::run::{Outcome, run_case};

fn run_case_with(commands: &[&str], final_state: &str) -> Outcome {
    let servers = [
        "LAUNCHSERVER --id 1 --servername theshire --port 1",
        "LAUNCHSERVER --id 2 --servername bree --port 2 --connect_to_host theshire \
         --connect_to_port 1 --split-grace 1",
        "LAUNCHCLIENT --id 101 --username frodo --serverhost theshire --serverport 1",
        "LAUNCHCLIENT --id 102 --username sam --serverhost bree --serverport 2",
    ];
    let commands: Vec<_> = servers.iter().chain(commands).collect();
    let commands = serde_json::to_string(&commands).expect("texts");
    let text = format!(
        "{{\"type\": \"network_connectivity\", \"commands\": {commands}, \
         \"final_state\": {{{final_state}}}}}"
    );
    let case = Case::parse(Path::new("a.json"), text.as_bytes()).expect("a good case");
    run_case(&case, &mut Simulator::new(), true)
}

const HI: &str = "CLIENTCOMMAND --username frodo --command MESSAGE 102 Hi";
const PASSED: Outcome = Outcome::Passed { warnings: Vec::new() };

#[test]
fn failed_case_includes_the_trace_of_frames() {
    let state = r#""sam": {"chat_messages_log": ["Hi"], "connected_user_ids": [101]}"#;
    assert_eq!(run_case_with(&[HI], state), PASSED);
    match run_case_with(&[HI], r#""sam": {"chat_messages_log": ["Ho"]}"#) {
        Outcome::Passed { .. } => panic!("passed with another text"),
        Outcome::Failed { reasons, trace } => {
            assert_eq!(reasons, ["sam: chat_messages_log: missing `Ho`; unexpected `Hi`"]);
            let last = trace.last().expect("frames");
            assert!(
                last.ends_with("bree → sam: 81 chat, source 101, destination 102, text `Hi`"),
                "{last}"
            );
        }
    }
}

#[test]
fn killed_or_quit_host_keeps_its_last_state() {
    let quit = "CLIENTCOMMAND --username frodo --command QUIT";
    let before =
        r#""theshire": {"hosts_db": [2, 101, 102]}, "frodo": {"connected_user_ids": [102]}"#;
    assert_eq!(run_case_with(&["KILL bree", "WAIT 4.9"], before), PASSED);
    let after = r#""theshire": {"hosts_db": [101]}, "frodo": {"connected_user_ids": []}"#;
    assert_eq!(run_case_with(&["KILL bree", "WAIT 5.1"], after), PASSED);
    let after_quit = r#""theshire": {"hosts_db": []}, "frodo": {"connected_user_ids": [102]},
        "sam": {"connected_user_ids": [101]},
        "bree": {"hosts_db": [1, 101, 102],
                 "recvd_messages_asdqw": ["80 00000066 00000000 03 0000 73616d"]}"#;
    assert_eq!(run_case_with(&["KILL bree", quit, "WAIT 5.1", "KILL sam"], after_quit), PASSED);
}

#[test]
fn impossible_launch_fails_the_case() {
    let again = "LAUNCHSERVER --id 3 --servername bree --port 2";
    let late = "LAUNCHCLIENT --id 103 --username pip --serverhost bree --serverport 2";
    for (commands, expected) in [
        (&[again][..], "another server listens at bree:2 already"),
        (&["KILL bree", late], "no server listens at bree:2"),
    ] {
        match run_case_with(commands, "") {
            Outcome::Failed { reasons, .. } => {
                assert!(reasons[0].ends_with(expected), "{reasons:?}");
            }
            Outcome::Passed { .. } => panic!("passed in spite of: {expected}"),
        }
    }
}

#[test]
fn golden_trace_lists_the_frames_of_each_command_by_connection() {
    let hi = r#"{"type": "CRC_functionality", "commands": [
        "LAUNCHSERVER --id 1 --servername theshire --port 1",
        "LAUNCHCLIENT --id 101 --username frodo --serverhost theshire --serverport 1",
        "LAUNCHCLIENT --wire classic --username pip --serverhost theshire --serverport 1",
        "CLIENTCOMMAND --username frodo --command MESSAGE 7 Hi"], "final_state": {}}"#;
    let case = Case::parse(Path::new("a.json"), hi.as_bytes()).expect("a good case");
    let mut simulator = Simulator::with_golden_trace();
    assert_eq!(run_case(&case, &mut simulator, true), PASSED);
    let trace = simulator.golden_trace(&case);
    let last = "\
# CLIENTCOMMAND --username frodo --command MESSAGE 7 Hi
frodo → theshire: 81 chat, source 101, destination 7, text `Hi`
theshire → frodo: 01 status, source 1, destination 0, code 0x0001, text `Unknown ID 7`
";
    assert!(trace.ends_with(last), "{trace}");
    let connect = "pip → theshire: classic message of 256 bytes, destination `-SERVER-`, \
                   source `pip`, text `Connect pip`\n";
    assert!(trace.contains(connect), "{trace}");
}
