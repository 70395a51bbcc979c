//! `crc-tests load` as a program: every wire and pattern against real servers, and every way to
//! fail.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{LazyLock, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crc::wires::crc::codec;
use crc_tests::frames::status;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
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
            for count in ["lost", "disordered", "astray", "unknown_addressee", "not_sent"] {
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
    assert_eq!(report["results"]["registrations_told"], 30 * 29, "{report}");
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
    for phase in ["applied", "told"] {
        assert!(number(&results[phase]["hosts_per_s"]) > 0.0, "{phase}: {results}");
    }
    assert_eq!(results["lost"], 0, "{results}");
    assert!(number(&results["before"]["latency_us"]["count"]) >= 49.0, "{results}");
}

#[test]
fn growth_writes_one_file_per_point_and_the_script_plots_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let points = folder.path().join("points");
    let words = "growth --connections 4,12 --hosts 10,200 --hops 1,2 --pairs 2 --in-flight 2 \
                 --duration 50ms --warm-up 0s --quiet";
    let output =
        load_command_with_own_servers(words).arg("--out").arg(&points).output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    for (name, key, value) in
        [("connections-12", "connections", 12), ("hosts-200", "hosts", 200), ("hops-2", "hops", 2)]
    {
        let text = std::fs::read(points.join(format!("{name}.json"))).expect(name);
        let report: Value = serde_json::from_slice(&text).expect("JSON");
        assert_eq!(report["parameters"][key], value, "{name}");
    }
    assert_eq!(std::fs::read_dir(&points).expect("a folder").count(), 6);
    let picture = folder.path().join("growth.svg");
    let Some(output) = plot(&["growth".as_ref(), points.as_os_str(), picture.as_os_str()]) else {
        return; // there is no Python here
    };
    assert!(output.status.success(), "{output:?}");
    let svg = std::fs::read_to_string(picture).expect("a picture");
    for label in
        ["connections to one server", "hosts that the server knows", "200", "µs per message"]
    {
        assert!(svg.contains(label), "{label}: {svg}");
    }
    assert_eq!(svg.matches("<polyline").count(), 3);
}

#[test]
fn plot_script_draws_a_comparison_of_peers() {
    let folder = tempfile::tempdir().expect("a folder");
    let (source, picture) = (folder.path().join("c.json"), folder.path().join("c.svg"));
    let runs = r#"{
        "64 B & more": {
            "crc": [{"msgs_per_s": 2e6, "server_us_per_msg": 0.4},
                    {"msgs_per_s": 1e6, "server_us_per_msg": 0.5},
                    {"msgs_per_s": 3e6, "server_us_per_msg": 0.6}],
            "<other>": [{"msgs_per_s": 1234567, "server_us_per_msg": null}], "nobody": []},
        "idle": {"crc": [{"rss_bytes_per_conn": 5}]}}"#;
    std::fs::write(&source, runs).expect("written");
    let words = ["peers".as_ref(), source.as_os_str(), picture.as_os_str()];
    let Some(output) = plot(&words) else { return };
    assert!(output.status.success(), "{output:?}");
    let svg = std::fs::read_to_string(&picture).expect("a picture");
    for text in
        ["64 B &amp; more: messages per second", "&lt;other&gt;", ">2 M<", ">1.23 M<", ">0.5<"]
    {
        assert!(svg.contains(text), "{text}: {svg}");
    }
    assert!(!svg.contains("nobody"), "{svg}");
    let words = [&words[..], &["--case".as_ref(), "64 C".as_ref()]].concat();
    assert_failed(&plot(&words).expect("Python"), 1, "has no case '64 C'");
}

/// Runs the script where there is a Python.
fn plot(arguments: &[&OsStr]) -> Option<Output> {
    let python = std::env::var("CRC_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/plot-performance");
    Command::new(python).arg(script).args(arguments).output().ok()
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

#[test]
fn load_reports_partial_results_when_the_server_dies() {
    let mut server = Server::start();
    let words = format!("--server {} --pairs 2 --duration 1m --json", server.address);
    let child = load_command(&words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("it runs");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let first = lines.by_ref().map_while(Result::ok).find(|line| line.contains("on the way"));
    assert!(first.is_some_and(|line| line.contains("/s  p99")));
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
    assert!(number(&report["results"]["lost"]) > 0.0, "what was on its way is lost: {report}");
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
            assert!(table.contains("had not arrived when the load was cut off"), "{table}");
        }
    }
}

/// Which client has which id.
type ClientIds = Mutex<Vec<(u32, usize)>>;

/// A server that takes in two clients and passes chats on, all but every tenth.
fn lossy_server(listener: &TcpListener) {
    let streams: Vec<_> = listener.incoming().take(2).map(|s| s.expect("a client")).collect();
    let writers: Vec<_> = streams.iter().map(|s| s.try_clone().expect("a socket")).collect();
    let (ids, writers) = (ClientIds::default(), &writers);
    thread::scope(|scope| {
        for (at, stream) in streams.into_iter().enumerate() {
            let ids = &ids;
            scope.spawn(move || serve_client(at, stream, writers, ids));
        }
    });
}

fn serve_client(index: usize, mut stream: TcpStream, writers: &[TcpStream], ids: &ClientIds) {
    let id = |bytes: &[u8]| u32::from_be_bytes(bytes[..4].try_into().expect("four"));
    let (mut bytes, mut buffer, mut count) = (Vec::new(), [0; 4096], 0);
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        bytes.extend_from_slice(&buffer[..read]);
        while let Ok(Some(len)) = codec::frame_len(&bytes, 1 << 20) {
            if len > bytes.len() {
                break;
            }
            let frame: Vec<u8> = bytes.drain(..len).collect();
            if frame[0] == 0x80 {
                ids.lock().expect("no panic").push((id(&frame[1..]), index));
                (&writers[index]).write_all(&status(1, 0, 0, "Welcome")).expect("it reads");
                continue;
            }
            let to = id(&frame[5..]);
            let found = ids.lock().expect("no panic").iter().find(|(id, _)| *id == to).copied();
            count += 1;
            if let Some((_, receiver)) = found.filter(|_| count % 10 != 0) {
                let _ = (&writers[receiver]).write_all(&frame); // it may have gone
            }
        }
    }
}

#[test]
fn chats_dropped_by_a_server_are_counted_as_lost() {
    for pace in ["--rate 400", "--in-flight 4"] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = thread::spawn(move || lossy_server(&listener));
        let words = format!("--server {address} {pace} --pairs 1 --duration 500ms --quiet --json");
        let report = run_to_report(&mut load_command(&words));
        let results = &report["results"];
        let (sent, lost) = (number(&results["sent"]), number(&results["lost"]));
        assert!(sent >= 20.0 && (lost / sent - 0.1).abs() < 0.05, "{pace}: {report}");
        assert_eq!(results["disordered"], 0, "{report}");
        server.join().expect("no panic");
    }
}
