//! Loads that fail, and what they leave behind.

use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::*;

#[test]
fn load_reports_partial_results_when_the_server_dies() {
    let mut server = Server::start();
    let words = format!("--server {} --pairs 2 --duration 1m --json", server.address);
    let child = load_command(&words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("it runs");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let first = lines.by_ref().map_while(Result::ok).find(|line| line.contains("on the way"));
    assert!(first.is_some_and(|line| line.contains("/s  p99")));
    // Killed at any moment, the server may have just delivered all. Stopped until a whole second
    // brings nothing, it holds every message that may be in flight.
    let pid = Pid::from_raw(server.child.id().try_into().expect("a process id"));
    kill(pid, Signal::SIGSTOP).expect("stopped");
    let still = lines.by_ref().map_while(Result::ok).find(|line| line.contains(" 0/s  p99"));
    assert!(still.is_some(), "the load has ended before a second without a message");
    server.child.kill().expect("killed");
    let errors = lines.map_while(Result::ok).filter(|line| !line.contains("on the way"));
    let errors: Vec<_> = errors.collect();
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(1));
    let [error] = &errors[..] else { panic!("one line: {errors:?}") };
    assert!(error.contains("is lost to a client"), "{error}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(error.ends_with(report["error"].as_str().expect("a reason")), "{error}");
    assert!(number(&report["results"]["messages"]) > 0.0, "{report}");
    assert_eq!(number(&report["results"]["lost"]), 2.0 * 64.0, "all in flight: {report}");
    assert_eq!(report["results"]["server_cpu_us_per_message"], Value::Null);
}

#[test]
fn load_failure_is_one_line_with_its_exit_code() {
    let output = |words: &str| load_command(words).output().expect("it runs");
    // A port that was free a moment ago.
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    assert_failed(&output(&format!("--server {free} --quiet")), 1, &format!("cannot reach {free}"));
    assert_failed(&output("--server nowhere --quiet"), 1, "cannot reach nowhere");
    assert_failed(&output("--crc /none/crc --quiet"), 1, "/none/crc is not a file");
    let words = format!("--server {free} --pid 4194305 --quiet");
    assert_failed(&output(&words), 1, "--pid 4194305: there is no such process");
    assert_failed(&output("--size 3"), 2, "--size 3: expected 16 to");
    assert_eq!(output("--rate none").status.code(), Some(2));
    assert_eq!(output("--nonsense").status.code(), Some(2));
}

#[test]
fn load_explains_in_flight_beyond_the_client_queue() {
    let words = "--pairs 1 --size 200000 --in-flight 500 --duration 20s --quiet";
    let output = load_command_with_own_servers(words).output().expect("it runs");
    assert_failed(&output, 1, "--in-flight 500 of --size 200000 is more than the 262144 bytes");
}

/// The children of a process.
fn child_pids(pid: u32) -> Vec<i32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = std::fs::read_to_string(path).expect("a running process");
    text.split_whitespace().map(|word| word.parse().expect("an id")).collect()
}

/// Whether it has ended; one that nobody has waited for yet has.
fn has_exited(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.map_or(true, |stat| stat.contains(") Z "))
}

#[test]
fn started_servers_end_with_the_load_on_sigint_and_sigkill() {
    for signal in [Signal::SIGINT, Signal::SIGKILL] {
        let child = load_command_with_own_servers("--servers 2 --pairs 1 --duration 1m")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.expect("it runs");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        assert!(lines.by_ref().map_while(Result::ok).any(|line| line.contains("on the way")));
        let servers = child_pids(child.id());
        assert_eq!(servers.len(), 2);
        kill(Pid::from_raw(child.id().cast_signed()), signal).expect("there");
        let remaining_lines: Vec<_> = lines.map_while(Result::ok).collect();
        let output = child.wait_with_output().expect("it ends");
        let deadline = Instant::now() + TIMEOUT;
        while !servers.iter().all(|&pid| has_exited(pid)) {
            assert!(Instant::now() < deadline, "never: the servers end");
            thread::park_timeout(Duration::from_millis(2)); // between two looks
        }
        if signal == Signal::SIGINT {
            assert_eq!(output.status.code(), Some(1));
            assert!(
                remaining_lines.last().is_some_and(|line| line.contains("interrupted")),
                "{remaining_lines:?}"
            );
            let table = String::from_utf8(output.stdout).expect("text");
            assert!(table.starts_with("messages "), "{table}");
            // Nothing is lost: what was on its way was not waited for.
            assert!(table.contains("had not arrived when the load ended early"), "{table}");
        }
    }
}
