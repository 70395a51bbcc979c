//! A server process of the real binary, and connections to it.

use std::fs;
use std::io::{ErrorKind, Read, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Deadline for every condition; generous, for busy machines.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);

pub(super) const CRC: &str = env!("CARGO_BIN_EXE_crc");

/// Waits until `condition` returns a value, and returns it.
#[track_caller]
pub(super) fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        if let Some(result) = condition() {
            return result;
        }
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::park_timeout(Duration::from_millis(2)); // interval between checks
    }
}

/// A running server, killed at the end of the test.
pub(super) struct Server {
    pub(super) child: Child,
    pub(super) port: u16,
    /// The wire and the port of every listener.
    ports: Vec<(String, u16)>,
    pub(super) log: PathBuf,
    pub(super) dir: tempfile::TempDir,
}

impl Server {
    pub(super) fn start(options: &[&str]) -> Self {
        Self::start_with_stdin(options, Stdio::null())
    }

    pub(super) fn start_with_stdin(options: &[&str], stdin: Stdio) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let log = dir.path().join("log");
        let control = dir.path().join("control");
        let control = control.to_str().expect("text");
        let mut command = Command::new(CRC);
        command.arg("server").args(options);
        let defaults = [("--listen", "127.0.0.1:0"), ("--control", control), ("--log", "debug")];
        for (option, value) in defaults {
            if !options.contains(&option) {
                command.args([option, value]);
            }
        }
        let mut child = command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log).expect("a log"))
            .spawn()
            .expect("the server starts");
        let stdout = child.stdout.as_mut().expect("piped");
        let mut ports = Vec::new();
        let is_listener = |option: &&&str| ["--listen", "--direct", "--classic"].contains(*option);
        let is_crc_implied = !options.contains(&"--listen");
        let listeners = options.iter().filter(is_listener).count() + usize::from(is_crc_implied);
        for _ in 0..listeners {
            let line = read_line(stdout);
            let Some((wire, port)) = parse_listening_line(&line) else {
                let log = fs::read_to_string(&log).unwrap_or_default();
                panic!("unexpected line {line:?}; the log: {log}");
            };
            ports.push((wire, port));
        }
        let port = ports[0].1;
        assert_eq!(ports[0].0, "crc");
        Self { child, port, ports, log, dir }
    }

    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Returns the port of the first listener of a wire.
    pub(super) fn port_of(&self, wire: &str) -> u16 {
        self.ports.iter().find(|(name, _)| name == wire).expect("a listener of this wire").1
    }

    pub(super) fn control(&self) -> PathBuf {
        self.dir.path().join("control")
    }

    pub(super) fn process_id(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(super) fn connect(&self) -> RawClient {
        RawClient::connect(self.port)
    }

    pub(super) fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("a running process");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a size");
        line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
    }

    pub(super) fn ctl(&self, arguments: &[&str]) -> Output {
        ctl(&self.control(), arguments)
    }

    pub(super) fn state(&self) -> Value {
        let output = self.ctl(&["--json", "state"]);
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    pub(super) fn host_ids(&self) -> Vec<u64> {
        let state = self.state();
        let hosts = state["hosts"].as_array().expect("hosts");
        hosts.iter().map(|host| host["id"].as_u64().expect("an id")).collect()
    }

    #[track_caller]
    pub(super) fn wait_for_hosts(&self, ids: &[u64]) {
        let what = format!("the server knows {ids:?}");
        eventually(&what, || (self.host_ids() == ids).then_some(()));
    }

    #[track_caller]
    pub(super) fn wait_for_log(&self, part: &str) {
        eventually(&format!("{part:?} in the log"), || {
            fs::read_to_string(&self.log).expect("a log").contains(part).then_some(())
        });
    }

    pub(super) fn send_signal(&self, signal: Signal) {
        kill_process(self.process_id(), signal).expect("the server is there");
    }

    pub(super) fn wait_for_exit(&mut self) -> ExitStatus {
        eventually("the server ends", || self.child.try_wait().expect("a child"))
    }
}

/// Reads one line and no further.
fn read_line(stdout: &mut impl Read) -> String {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while stdout.read(&mut byte).expect("readable") == 1 && byte != *b"\n" {
        line.push(byte[0]);
    }
    String::from_utf8(line).expect("text")
}

/// Parses `listening WIRE 127.0.0.1:PORT`.
fn parse_listening_line(line: &str) -> Option<(String, u16)> {
    let (wire, address) = line.strip_prefix("listening ")?.split_once(' ')?;
    Some((wire.to_owned(), address.strip_prefix("127.0.0.1:")?.parse().ok()?))
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn ctl(control: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(CRC);
    command.args(["ctl", "--control"]).arg(control).args(arguments).output().expect("crc ctl runs")
}

/// A TCP connection to a server, without any protocol.
pub(super) struct RawClient {
    pub(super) stream: TcpStream,
    pub(super) received: Vec<u8>,
}

impl RawClient {
    pub(super) fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("an open port");
        stream.set_nodelay(true).expect("an option"); // each write arrives by itself
        stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
        Self { stream, received: Vec::new() }
    }

    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server reads");
    }

    /// Reads until the frame has arrived. All bytes stay in `received`.
    #[track_caller]
    pub(super) fn expect_frame(&mut self, frame: &[u8]) {
        let deadline = Instant::now() + TIMEOUT;
        while !self.received.windows(frame.len()).any(|window| window == frame) {
            let mut buffer = [0; 4096];
            let count = self.stream.read(&mut buffer).expect("more to come");
            assert!(count > 0 && Instant::now() < deadline, "closed before {frame:02x?}");
            self.received.extend_from_slice(&buffer[..count]);
        }
    }

    /// Reads until the server closes. Returns everything received.
    pub(super) fn read_until_closed(mut self) -> Vec<u8> {
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return self.received,
                Ok(count) => self.received.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return self.received,
                Err(error) => panic!("the server should close: {error}"),
            }
        }
    }
}
