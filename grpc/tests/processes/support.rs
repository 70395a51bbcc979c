//! Running programs whose lines are waited for, and ports that nobody else takes.

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

/// How long anything may take on a busy machine before it counts as never.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const WAITING: &str = "Waiting for other peer to connect...";

/// Waits until something is so.
#[track_caller]
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::park_timeout(Duration::from_millis(2)); // between two looks
    }
}

/// Waits for the end of a program.
#[track_caller]
pub(crate) fn end(child: &mut Child) -> ExitStatus {
    let mut status = None;
    until("it ends", || {
        status = child.try_wait().expect("a child");
        status.is_some()
    });
    status.expect("it has ended")
}

/// Waits for somebody to connect.
#[track_caller]
pub(crate) fn accept(listener: &TcpListener) -> TcpStream {
    listener.set_nonblocking(true).expect("a socket");
    let mut stream = None;
    until("somebody connects", || {
        stream = listener.accept().ok();
        stream.is_some()
    });
    let (stream, _) = stream.expect("it was accepted");
    stream.set_nonblocking(false).expect("a socket");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream
}

/// A program whose lines are looked at one after the other: none may be passed over.
pub(crate) struct Program {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

impl Program {
    pub(crate) fn start(words: &[&str]) -> Self {
        Self::run(Command::new(env!("CARGO_BIN_EXE_crc-grpc")).args(words))
    }

    pub(crate) fn run(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stdout = lines(child.stdout.take().expect("piped"));
        let stderr = lines(child.stderr.take().expect("piped"));
        Self { stdin: child.stdin.take(), child, stdout, stderr }
    }

    pub(crate) fn types(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("open");
        writeln!(stdin, "{line}").and_then(|()| stdin.flush()).expect("it reads");
    }

    /// The next line on standard output.
    #[track_caller]
    pub(crate) fn line(&self) -> String {
        self.stdout.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            let notes: Vec<String> = self.stderr.try_iter().collect();
            panic!("no more lines; on standard error: {notes:#?}")
        })
    }

    /// The next line on standard output, if there is one by now.
    pub(crate) fn line_by_now(&self) -> Option<String> {
        self.stdout.try_recv().ok()
    }

    #[track_caller]
    pub(crate) fn shows(&self, line: &str) {
        assert_eq!(self.line(), line);
    }

    /// The next line is a message, sent within the last minutes or so.
    #[track_caller]
    pub(crate) fn hears(&self, message: &str) {
        let line = self.line();
        let (time, rest) = line.split_once("] ").expect("a time");
        let digits: Vec<bool> = time.bytes().map(|byte| byte.is_ascii_digit()).collect();
        assert_eq!(digits, [false, true, true, false, true, true], "{line}");
        assert_eq!((&time[..1], &time[3..4], rest), ("[", ":", message), "{line}");
    }

    /// The next line on standard error.
    #[track_caller]
    pub(crate) fn note(&self) -> String {
        self.stderr.recv_timeout(PATIENCE).expect("a line on standard error")
    }

    #[track_caller]
    pub(crate) fn notes(&self, line: &str) {
        assert_eq!(self.note(), format!("crc-grpc: {line}"));
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it is there");
    }

    pub(crate) fn ends_input(&mut self) {
        drop(self.stdin.take());
    }

    /// Waits for its end and answers its code; nothing may have been said that was not looked at.
    #[track_caller]
    pub(crate) fn ends(&mut self) -> Option<i32> {
        let status = end(&mut self.child);
        let rest: Vec<String> = self.stdout.iter().chain(self.stderr.iter()).collect();
        assert_eq!(rest, [""; 0], "said and not looked at");
        status.code()
    }

    /// Waits for its end, whatever it says before.
    pub(crate) fn ends_after_anything(&mut self) -> Option<i32> {
        self.stdout.iter().for_each(drop);
        self.stderr.iter().for_each(drop);
        self.ends()
    }

    /// Ends its input, upon which it leaves.
    #[track_caller]
    pub(crate) fn leaves(&mut self) {
        self.ends_input();
        assert_eq!(self.ends(), Some(0));
    }

    /// The one line with which it fails.
    #[track_caller]
    pub(crate) fn fails(&mut self) -> String {
        let note = self.note();
        assert_eq!(self.ends(), Some(1), "{note}");
        note.strip_prefix("crc-grpc: ").expect("the program's name").to_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
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

/// A port on which nothing listens until a program of the test does: whoever asks for any free one
/// gets another.
pub(crate) struct Reserved {
    _socket: OwnedFd,
    pub(crate) port: String,
}

impl Reserved {
    pub(crate) fn new() -> Self {
        // No program that is started meanwhile may have it, too, and hold the port longer.
        let (family, kind) = (AddressFamily::INET, SocketType::STREAM);
        let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None).expect("a socket");
        sockopt::set_socket_reuseaddr(&socket, true).expect("an option");
        bind(&socket, &SocketAddrV4::new([127, 0, 0, 1].into(), 0)).expect("a port");
        let address: std::net::SocketAddr =
            getsockname(&socket).expect("a name").try_into().expect("an address");
        Self { _socket: socket, port: address.port().to_string() }
    }
}

/// A crc server of this workspace.
pub(crate) struct Relay {
    program: Program,
    pub(crate) address: String,
    control: tempfile::TempDir,
}

impl Relay {
    pub(crate) fn start(options: &[&str]) -> Self {
        Self::start_at("0", options)
    }

    pub(crate) fn start_at(port: &str, options: &[&str]) -> Self {
        let control = tempfile::tempdir().expect("a folder");
        let mut command = Command::new(crc());
        let listen = format!("127.0.0.1:{port}");
        command.args(["server", "--listen", &listen, "--log", "error", "--control"]);
        let program = Program::run(command.arg(control.path().join("socket")).args(options));
        let line = program.line();
        let address = line.strip_prefix("listening crc ").expect("where it listens").to_owned();
        Self { program, address, control }
    }

    pub(crate) fn ctl(&self, words: &[&str]) -> String {
        let mut command = Command::new(crc());
        command.args(["ctl", "--control"]).arg(self.control.path().join("socket")).args(words);
        let output = command.output().expect("crc ctl runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    /// A client of the bundled kind that has joined.
    pub(crate) fn client(&self, name: &str, info: &str) -> Program {
        let url = format!("crc://{}", self.address);
        let words = ["client", &url, "--name", name, "--info", info, "--json"];
        let client = Program::run(Command::new(crc()).args(words));
        assert!(client.line().starts_with("{\"event\":\"connected\""));
        client
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.program.signal(signal);
    }
}

fn crc() -> &'static PathBuf {
    static CRC: OnceLock<PathBuf> = OnceLock::new();
    CRC.get_or_init(|| crc_tests::binary::locate().unwrap_or_else(|fault| panic!("{fault}")))
}
