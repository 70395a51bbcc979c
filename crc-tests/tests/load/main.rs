//! `crc-tests load` as a program: every wire and pattern against real servers, and every way to
//! fail.

mod failures;
mod losses;
mod plots;

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::Value;

/// How long anything may take on a busy machine before it counts as never.
const TIMEOUT: Duration = Duration::from_secs(60);

static CRC: LazyLock<PathBuf> =
    LazyLock::new(|| crc_tests::binary::locate().expect("crc is built"));

fn load_command(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crc-tests"));
    command.arg("load").args(arguments.split_whitespace());
    command.stdin(Stdio::null());
    command
}

/// A load with servers of its own.
fn load_command_with_own_servers(arguments: &str) -> Command {
    let mut command = load_command(arguments);
    command.arg("--crc").arg(&*CRC);
    command
}

#[track_caller]
fn run_to_report(command: &mut Command) -> Value {
    let output = command.output().expect("it runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}: {errors}", output.status);
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

/// It fails with this code and a last line that says this.
#[track_caller]
fn assert_failed(output: &Output, code: i32, expected: &str) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{errors}");
    let last = errors.lines().last().expect("a line");
    assert!(last.contains(expected), "{errors}");
}

#[track_caller]
fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is a number"))
}

/// A server that runs, ended with the test.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start() -> Self {
        let mut child = Command::new(&*CRC)
            .args(["server", "--listen", "127.0.0.1:0", "--log", "error"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a server");
        let stdout = child.stdout.take().expect("piped");
        let line = BufReader::new(stdout).lines().next().expect("a line").expect("text");
        let address = line.strip_prefix("listening crc ").expect("an address").to_owned();
        Self { child, address }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn every_pattern_runs_on_every_wire_across_two_servers() {
    for wire in ["crc", "direct", "classic"] {
        for (pattern, clients) in [("pairs", 4), ("all-to-all", 3)] {
            let words = format!(
                "--wire {wire} --pattern {pattern} --clients {clients} --servers 2 --in-flight 3 \
                 --size 20 --duration 100ms --warm-up 20ms --quiet --json"
            );
            let report = run_to_report(&mut load_command_with_own_servers(&words));
            let (parameters, results) = (&report["parameters"], &report["results"]);
            assert_eq!(parameters["wire"], wire);
            assert_eq!(parameters["pattern"], pattern);
            assert_eq!(parameters["clients"], clients);
            assert_eq!(report["error"], Value::Null, "{words}: {report}");
            for count in ["lost", "out_of_order", "misdelivered", "unknown_addressee", "not_sent"] {
                assert_eq!(results[count], 0, "{words}: {count}: {report}");
            }
            assert!(number(&results["messages"]) > 0.0, "{words}: {report}");
            assert!(number(&results["sent"]) >= number(&results["messages"]), "{report}");
            let latency = &results["latency_us"];
            let percentiles =
                ["p50", "p90", "p99", "p99_9", "max"].map(|key| number(&latency[key]));
            assert!(percentiles[0] > 0.0 && percentiles.is_sorted(), "{words}: {latency}");
            let steps = results["histogram"].as_array().expect("steps");
            let last = steps.last().expect("one");
            assert_eq!((&last["count"], number(&last["percentile"])), (&latency["count"], 100.0));
            assert_eq!(results["server_cpu_shares"].as_array().map(Vec::len), Some(2));
            assert!(number(&results["server_cpu_us_per_message"]) > 0.0, "{report}");
            assert!(number(&results["memory_bytes"]["loaded"]) > 100_000.0, "{report}");
        }
    }
}

#[test]
fn rate_is_held_across_several_senders() {
    let words = "--rate 1000 --pairs 3 --duration 500ms --warm-up 50ms --quiet --json";
    let results = run_to_report(&mut load_command_with_own_servers(words))["results"].take();
    // 500 messages are due in the measured time. Each has a latency, one that arrives later too.
    let count = number(&results["latency_us"]["count"]);
    assert!((499.0..=501.0).contains(&count), "{results}");
    assert_eq!(results["lost"], 0, "{results}");
    assert!(number(&results["sent"]) >= 549.0, "{results}");
}

#[test]
fn idle_clients_and_announced_hosts_are_counted_and_measured() {
    let words = "--idle 20 --hosts 500 --servers 2 --pairs 1 --duration 50ms --quiet --json";
    let report = run_to_report(&mut load_command_with_own_servers(words));
    assert_eq!(report["parameters"]["connections"], 22);
    assert_eq!(report["results"]["lost"], 0, "{report}");
    assert!(number(&report["results"]["memory_bytes"]["per_host"]) > 0.0, "{report}");
    assert!(!report["results"]["memory_bytes"]["per_idle_client"].is_null(), "{report}");
}

#[test]
fn connect_workload_announces_every_client_to_every_other() {
    let report = run_to_report(&mut load_command_with_own_servers(
        "connect --clients 30 --servers 2 --quiet --json",
    ));
    assert_eq!(report["results"]["registrations_announced"], 30 * 29, "{report}");
    assert!(number(&report["results"]["server_cpu_us_per_client"]) > 0.0, "{report}");
    assert!(number(&report["results"]["memory_bytes"]["peak"]) > 100_000.0, "{report}");
    let words = "connect --clients 9 --at-a-time 2 --wire direct --quiet --json";
    let report = run_to_report(&mut load_command_with_own_servers(words));
    assert!(number(&report["results"]["clients_per_s"]) > 0.0, "{report}");
}

#[test]
fn burst_workload_measures_both_phases_and_loses_nothing() {
    let words = "burst --users 3000 --servers 2 --duration 100ms --rate 500 --quiet --json";
    let results = run_to_report(&mut load_command_with_own_servers(words))["results"].take();
    for phase in ["applied", "announced"] {
        assert!(number(&results[phase]["hosts_per_s"]) > 0.0, "{phase}: {results}");
    }
    assert_eq!(results["lost"], 0, "{results}");
    assert!(number(&results["before"]["latency_us"]["count"]) >= 49.0, "{results}");
}

#[test]
fn running_server_is_loaded_and_left_running() {
    let mut server = Server::start();
    let pid = server.child.id();
    let words =
        format!("--server {} --pid {pid} --pairs 2 --duration 50ms --quiet", server.address);
    let report = run_to_report(load_command(&words).arg("--json"));
    assert_eq!(report["results"]["lost"], 0, "{report}");
    assert!(number(&report["results"]["server_cpu_us_per_message"]) > 0.0, "{report}");
    let output = load_command(&words).output().expect("it runs");
    let table = String::from_utf8(output.stdout).expect("text");
    let labels = table.lines().map(|line| line.split("  ").next().unwrap_or_default());
    let labels: Vec<_> = labels.filter(|label| *label != "disturbed").collect();
    assert_eq!(
        labels,
        [
            "messages",
            "data",
            "latency",
            "lost",
            "server CPU",
            "server memory",
            "generator",
            "verdict"
        ],
        "{table}"
    );
    assert!(server.child.try_wait().expect("a child").is_none(), "the server has ended");
}
