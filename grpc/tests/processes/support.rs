//! Running programs and waiting for their output, and reserving ports.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::net::{
    AddressFamily, SocketAddrV4, SocketFlags, SocketType, bind, getsockname, socket_with, sockopt,
};
use rustix::process::{Pid, Signal, kill_process};

/// Maximum wait for any condition, generous for a busy machine.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// The line that a chat prints before it is connected.
pub(crate) const WAITING_LINE: &str = "Waiting for other peer to connect...";

/// Waits until a condition holds.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::park_timeout(Duration::from_millis(2)); // poll interval
    }
}

/// Waits until a program exits.
#[track_caller]
pub(crate) fn wait_for_exit(child: &mut Child) -> ExitStatus {
    let mut status = None;
    wait_until("the program exits", || {
        status = child.try_wait().expect("a child");
        status.is_some()
    });
    status.expect("the program has exited")
}

/// Waits for a connection.
#[track_caller]
pub(crate) fn accept(listener: &TcpListener) -> TcpStream {
    listener.set_nonblocking(true).expect("a socket");
    let mut stream = None;
    wait_until("a client connects", || {
        stream = listener.accept().ok();
        stream.is_some()
    });
    let (stream, _) = stream.expect("a connection");
    stream.set_nonblocking(false).expect("a socket");
    stream.set_read_timeout(Some(TIMEOUT)).expect("a socket");
    stream
}

/// A running program. Its lines are checked one after the other; none may be skipped.
pub(crate) struct Program {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

impl Program {
    /// Starts `crc-grpc`.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::spawn(Command::new(env!("CARGO_BIN_EXE_crc-grpc")).args(arguments))
    }

    /// Starts any program.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stdout = spawn_line_reader(child.stdout.take().expect("piped"));
        let stderr = spawn_line_reader(child.stderr.take().expect("piped"));
        Self { stdin: child.stdin.take(), child, stdout, stderr }
    }

    pub(crate) fn type_line(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("open");
        writeln!(stdin, "{line}").and_then(|()| stdin.flush()).expect("the program reads");
    }

    /// Waits for the next line on standard output.
    #[track_caller]
    pub(crate) fn next_line(&self) -> String {
        self.stdout.recv_timeout(TIMEOUT).unwrap_or_else(|_| {
            let notes: Vec<String> = self.stderr.try_iter().collect();
            panic!("no more lines; on standard error: {notes:#?}")
        })
    }

    /// Returns the next line on standard output, if there is one.
    pub(crate) fn try_next_line(&self) -> Option<String> {
        self.stdout.try_recv().ok()
    }

    #[track_caller]
    pub(crate) fn expect_line(&self, line: &str) {
        assert_eq!(self.next_line(), line);
    }

    /// Waits for the next line, which must be a message with any valid time.
    #[track_caller]
    pub(crate) fn expect_message(&self, message: &str) {
        let line = self.next_line();
        let (time, rest) = line.split_once("] ").expect("a time");
        let digits: Vec<bool> = time.bytes().map(|byte| byte.is_ascii_digit()).collect();
        assert_eq!(digits, [false, true, true, false, true, true], "{line}");
        assert_eq!((&time[..1], &time[3..4], rest), ("[", ":", message), "{line}");
    }

    /// Waits for the next line on standard error.
    #[track_caller]
    pub(crate) fn next_note(&self) -> String {
        self.stderr.recv_timeout(TIMEOUT).expect("a line on standard error")
    }

    #[track_caller]
    pub(crate) fn expect_note(&self, line: &str) {
        assert_eq!(self.next_note(), format!("crc-grpc: {line}"));
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn send_signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    pub(crate) fn close_stdin(&mut self) {
        drop(self.stdin.take());
    }

    /// Waits for the exit and returns the code. All output must have been checked before.
    #[track_caller]
    pub(crate) fn wait_for_exit_code(&mut self) -> Option<i32> {
        let status = wait_for_exit(&mut self.child);
        let rest: Vec<String> = self.stdout.iter().chain(self.stderr.iter()).collect();
        assert_eq!(rest, [""; 0], "unchecked output");
        status.code()
    }

    /// Discards all output and returns the exit code.
    pub(crate) fn drain_and_wait_for_exit_code(&mut self) -> Option<i32> {
        self.stdout.iter().for_each(drop);
        self.stderr.iter().for_each(drop);
        self.wait_for_exit_code()
    }

    /// Closes the input and expects exit code 0.
    #[track_caller]
    pub(crate) fn exit_at_end_of_input(&mut self) {
        self.close_stdin();
        assert_eq!(self.wait_for_exit_code(), Some(0));
    }

    /// Expects exit code 1 and returns the error line.
    #[track_caller]
    pub(crate) fn expect_failure(&mut self) -> String {
        let note = self.next_note();
        assert_eq!(self.wait_for_exit_code(), Some(1), "{note}");
        note.strip_prefix("crc-grpc: ").expect("the program's name").to_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn_line_reader(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// A port that the system gives to no other program, and on which nothing listens until a program
/// of the test does.
pub(crate) struct ReservedPort {
    _socket: OwnedFd,
    pub(crate) port: String,
}

impl ReservedPort {
    pub(crate) fn new() -> Self {
        // Programs started meanwhile must not inherit the socket.
        let (family, kind) = (AddressFamily::INET, SocketType::STREAM);
        let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None).expect("a socket");
        sockopt::set_socket_reuseaddr(&socket, true).expect("an option");
        bind(&socket, &SocketAddrV4::new([127, 0, 0, 1].into(), 0)).expect("a port");
        let address: std::net::SocketAddr =
            getsockname(&socket).expect("a name").try_into().expect("an address");
        Self { _socket: socket, port: address.port().to_string() }
    }
}

/// A running crc server of this workspace.
pub(crate) struct CrcServer {
    program: Program,
    pub(crate) address: String,
    control_dir: tempfile::TempDir,
}

impl CrcServer {
    pub(crate) fn start(options: &[&str]) -> Self {
        Self::start_on_port("0", options)
    }

    pub(crate) fn start_on_port(port: &str, options: &[&str]) -> Self {
        let control_dir = tempfile::tempdir().expect("a folder");
        let mut command = Command::new(crc_binary());
        let listen = format!("127.0.0.1:{port}");
        command.args(["server", "--listen", &listen, "--log", "error", "--control"]);
        let program = Program::spawn(command.arg(control_dir.path().join("socket")).args(options));
        let line = program.next_line();
        let address = line.strip_prefix("listening crc ").expect("the address").to_owned();
        Self { program, address, control_dir }
    }

    pub(crate) fn ctl(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(crc_binary());
        command
            .args(["ctl", "--control"])
            .arg(self.control_dir.path().join("socket"))
            .args(arguments);
        let output = command.output().expect("crc ctl runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    /// Starts the bundled client and waits until it has joined.
    pub(crate) fn start_client(&self, name: &str, info: &str) -> Program {
        let url = format!("crc://{}", self.address);
        let words = ["client", &url, "--name", name, "--info", info, "--json"];
        let client = Program::spawn(Command::new(crc_binary()).args(words));
        assert!(client.next_line().starts_with("{\"event\":\"connected\""));
        client
    }

    pub(crate) fn send_signal(&self, signal: Signal) {
        self.program.send_signal(signal);
    }
}

fn crc_binary() -> &'static PathBuf {
    static CRC: OnceLock<PathBuf> = OnceLock::new();
    CRC.get_or_init(|| crc_tests::binary::locate().unwrap_or_else(|fault| panic!("{fault}")))
}
