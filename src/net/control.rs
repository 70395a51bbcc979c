//! The control socket, through which `crc ctl` sends commands to a running server.
//!
//! The protocol is in `docs/PROTOCOL.md`, "The control socket". The socket is a file that only its
//! owner may use (mode 0600). A stale one, which no server listens on, is replaced.

use std::io::{self, BufRead, BufReader, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mio::net::{UnixListener, UnixStream};
use mio::{Interest, Registry, Token};
use rustix::fs::Mode;

use super::listen::{Accept, Readiness};
use super::reload::Reloader;
use super::reserve::DescriptorReserve;
use crate::limits::{CONTROL_CONNECTIONS_MAX, OPERATOR_LINE_BYTES_MAX, OPERATOR_OUTPUT_BYTES_MAX};
use crate::link::Time;
use crate::node::Node;
use crate::operator::{self, Answer, CommandResult, Format, PendingTrace, render_reload};

/// How long `crc ctl` waits for an answer.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Control connections that can be served when there are no other file descriptors left.
const DESCRIPTORS_RESERVED: usize = 2;

/// Maximum length of the socket's path in bytes: what `sun_path` of the system's socket address
/// holds, without its NUL.
const PATH_BYTES_MAX: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// The listening socket and its connections.
pub(super) struct ControlSocket {
    path: PathBuf,
    listener: UnixListener,
    pub(super) readiness: Readiness,
    /// At most [`CONTROL_CONNECTIONS_MAX`] entries; none while there is no connection.
    connections: Vec<Option<ControlConn>>,
    /// Lets the operator connect when clients hold all other descriptors.
    reserve: DescriptorReserve,
}

/// A control connection.
struct ControlConn {
    stream: UnixStream,
    /// Bytes of requests that are not answered yet.
    pending_input: Vec<u8>,
    pending_output: Vec<u8>,
    is_ready: bool,
    /// A request whose answer is asked from other servers. Further requests wait for it.
    pending: Option<PendingTrace>,
    /// A request was too long: further input is read and dropped, so that the error arrives.
    is_discarding_input: bool,
}

impl ControlSocket {
    /// Creates the socket and registers it.
    pub(super) fn open(path: &Path, registry: &Registry, token: Token) -> Result<Self, String> {
        let fail = |what: &str| format!("control socket {}: {what}", path.display());
        check_path_len(path)?;
        remove_stale_socket(path).map_err(|what| fail(&what))?;
        // The socket must have its mode from the start: others could connect before a chmod.
        let previous_umask = rustix::process::umask(Mode::RWXG | Mode::RWXO | Mode::XUSR);
        let listener = UnixListener::bind(path);
        rustix::process::umask(previous_umask);
        let mut listener = listener.map_err(|error| fail(&error.to_string()))?;
        registry
            .register(&mut listener, token, Interest::READABLE)
            .map_err(|error| fail(&error.to_string()))?;
        Ok(Self {
            path: path.to_owned(),
            listener,
            readiness: Readiness::default(),
            connections: Vec::new(),
            reserve: DescriptorReserve::new(DESCRIPTORS_RESERVED),
        })
    }

    /// Accepts all waiting connections. The first one has the token `token_base`.
    pub(super) fn accept(&mut self, now: Time, registry: &Registry, token_base: usize) {
        let label = "the control socket";
        loop {
            match self.readiness.accept(now, label, || self.listener.accept()) {
                Accept::Connection((stream, _)) => {
                    self.add_connection(stream, registry, token_base);
                }
                Accept::OutOfDescriptors(_) if self.reserve.release() => {}
                Accept::OutOfDescriptors(error) => {
                    return self.readiness.on_accept_error(now, label, &error);
                }
                Accept::WouldBlock => return,
            }
        }
    }

    fn add_connection(&mut self, mut stream: UnixStream, registry: &Registry, token_base: usize) {
        let free = self.connections.iter().position(Option::is_none);
        let index = free.unwrap_or(self.connections.len());
        if index == CONTROL_CONNECTIONS_MAX {
            let message = format!(
                "{CONTROL_CONNECTIONS_MAX} control connections are open; close one and try again\n"
            );
            let _ = stream.write_all(&encode_response(&Err(message)));
            drop(stream);
            return self.reserve.refill();
        }
        let interest = Interest::READABLE | Interest::WRITABLE;
        match registry.register(&mut stream, Token(token_base + index), interest) {
            Ok(()) => {
                self.connections.resize_with(self.connections.len().max(index + 1), || None);
                self.connections[index] = Some(ControlConn {
                    stream,
                    pending_input: Vec::new(),
                    pending_output: Vec::new(),
                    is_ready: false,
                    pending: None,
                    is_discarding_input: false,
                });
            }
            Err(error) => log::error!("control socket: cannot watch a connection: {error}"),
        }
    }

    /// Records that a connection may have a request, or take more of an answer.
    pub(super) fn set_ready(&mut self, index: usize) {
        if let Some(Some(conn)) = self.connections.get_mut(index) {
            conn.is_ready = true;
        }
    }

    /// Whether a connection may have something to read or write.
    pub(super) fn has_ready_connection(&self) -> bool {
        self.connections.iter().flatten().any(|conn| conn.is_ready && conn.pending.is_none())
    }

    /// When a connection must be served or accepted if no event comes.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        let pending = self.connections.iter().flatten().filter_map(|conn| conn.pending.as_ref());
        pending.map(PendingTrace::deadline).chain(self.readiness.retry_at()).min()
    }

    /// Serves once every connection that is ready or waits for an answer.
    pub(super) fn serve(
        &mut self,
        node: &mut Node,
        now: Time,
        registry: &Registry,
        reloader: &mut Reloader,
    ) {
        for entry in &mut self.connections {
            if let Some(conn) = entry
                && (conn.is_ready || conn.pending.is_some())
                && !conn.serve(node, now, reloader)
            {
                let _ = registry.deregister(&mut conn.stream); // closing it does the same
                *entry = None;
                self.reserve.refill();
                self.readiness.retry_now();
            }
        }
        while self.connections.pop_if(|connection| connection.is_none()).is_some() {}
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl ControlConn {
    /// Writes pending answers, executes complete requests, and reads once. Returns false when the
    /// connection is done: it is broken, or its input has ended and all requests are answered.
    fn serve(&mut self, node: &mut Node, now: Time, reloader: &mut Reloader) -> bool {
        if let Some(pending) = &self.pending {
            let Some(result) = pending.poll(node, now) else { return true };
            self.pending = None;
            self.pending_output.extend_from_slice(&encode_response(&result));
        }
        if !self.write() {
            return false;
        }
        self.handle_requests(node, now, reloader);
        if self.pending_output.len() >= OPERATOR_OUTPUT_BYTES_MAX {
            let is_alive = self.write();
            // An event reports free space only after a write has filled the socket.
            self.is_ready = self.pending_output.len() < OPERATOR_OUTPUT_BYTES_MAX;
            return is_alive;
        }
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => {
                self.is_ready = false;
                let is_waiting = self.pending.is_some();
                return self.write() && (is_waiting || !self.pending_output.is_empty());
            }
            Ok(_) if self.is_discarding_input => {}
            Ok(count) => {
                self.pending_input.extend_from_slice(&buffer[..count]);
                self.handle_requests(node, now, reloader);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.is_ready = false,
            Err(_) => return false,
        }
        self.write()
    }

    /// Executes complete requests while pending answers stay below their bound, up to one whose
    /// answer has to be waited for.
    fn handle_requests(&mut self, node: &mut Node, now: Time, reloader: &mut Reloader) {
        while self.pending.is_none()
            && self.pending_output.len() < OPERATOR_OUTPUT_BYTES_MAX
            && let Some(end) = self.pending_input.iter().position(|&byte| byte == b'\n')
        {
            let line: Vec<u8> = self.pending_input.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let result = match handle_request(node, now, line.trim()) {
                Answer::Ready(result) => result,
                Answer::Reload(format) => render_reload(reloader.reload(node, "operator"), format),
                Answer::Pending(pending) => {
                    self.pending = Some(pending);
                    break;
                }
            };
            self.pending_output.extend_from_slice(&encode_response(&result));
        }
        if self.pending_input.len() > OPERATOR_LINE_BYTES_MAX + 4096 {
            let message = format!(
                "a request has at most {OPERATOR_LINE_BYTES_MAX} bytes; send a shorter one\n"
            );
            self.pending_output.extend_from_slice(&encode_response(&Err(message)));
            self.pending_input = Vec::new();
            self.is_discarding_input = true;
        }
    }

    /// Writes pending answers. Returns false if the connection is broken.
    fn write(&mut self) -> bool {
        while !self.pending_output.is_empty() {
            match self.stream.write(&self.pending_output) {
                Ok(count) => drop(self.pending_output.drain(..count)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
        self.pending_output = Vec::new();
        true
    }
}

/// Executes one request.
fn handle_request(node: &mut Node, now: Time, line: &str) -> Answer {
    let Some((format, command)) = parse_request(line) else {
        return Answer::Ready(Err("a request is `text COMMAND` or `json COMMAND`\n".to_owned()));
    };
    log::debug!("operator: {}", crate::printable::Printable(command.as_bytes()));
    operator::execute(node, now, command, format)
}

/// The first word of a request.
fn keyword(format: Format) -> &'static str {
    match format {
        Format::Text => "text",
        Format::Json => "json",
    }
}

fn encode_request(format: Format, command: &str) -> String {
    format!("{} {command}\n", keyword(format))
}

/// Parses a request without its newline.
fn parse_request(line: &str) -> Option<(Format, &str)> {
    let (word, command) = line.split_once(' ').unwrap_or((line, ""));
    let format = [Format::Text, Format::Json].into_iter().find(|&f| keyword(f) == word)?;
    Some((format, command))
}

/// The first words of a response: of an answer and of an error.
const STATUSES: [&str; 2] = ["ok", "error"];

/// Encodes a response: a line with status and length, and the text.
fn encode_response(result: &CommandResult) -> Vec<u8> {
    let [ok, error] = STATUSES;
    let (status, text) = match result {
        Ok(text) => (ok, text),
        Err(text) => (error, text),
    };
    format!("{status} {}\n{text}", text.len()).into_bytes()
}

/// Reads a response. Returns `None` if it is none.
fn read_response(reader: &mut impl BufRead) -> io::Result<Option<CommandResult>> {
    let mut header = String::new();
    reader.read_line(&mut header)?;
    let Some((status, length)) = header.trim_end().split_once(' ') else {
        return Ok(None);
    };
    let Ok(length) = length.parse() else {
        return Ok(None);
    };
    let mut text = String::new();
    reader.take(length).read_to_string(&mut text)?;
    let [ok, error] = STATUSES;
    Ok(match status {
        _ if text.len() as u64 != length => None,
        _ if status == ok => Some(Ok(text)),
        _ if status == error => Some(Err(text)),
        _ => None,
    })
}

/// Checks that a socket can have this path.
fn check_path_len(path: &Path) -> Result<(), String> {
    match path.as_os_str().len() {
        len if len > PATH_BYTES_MAX => Err(format!(
            "control socket {}: the path has {len} bytes, the limit is {PATH_BYTES_MAX}; choose a \
             shorter path",
            path.display()
        )),
        _ => Ok(()),
    }
}

/// Removes a socket that no server listens on.
fn remove_stale_socket(path: &Path) -> Result<(), String> {
    let Ok(metadata) = std::fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !metadata.file_type().is_socket() {
        return Err("a file of this name exists and is not a socket; choose another path".into());
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Err("another server answers on it; choose another path, or stop that one".into()),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => std::fs::remove_file(path)
            .map_err(|error| {
                format!(
                    "cannot replace the stale socket: {error}; remove it, or choose another path"
                )
            }),
        Err(error) => {
            Err(format!("cannot find out whether a server uses it: {error}; choose another path"))
        }
    }
}

/// Sends a command to the server behind a control socket, and returns its answer. Blocks until it
/// comes.
///
/// # Errors
/// If the server cannot be reached or gives no answer. An error of the command itself is in the
/// inner `Result`.
pub fn send_control_command(
    path: &Path,
    format: Format,
    command: &str,
) -> Result<CommandResult, String> {
    check_path_len(path)?;
    let fail = |error: io::Error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => format!(
            "no server answers on {} ({error}); start one with --control {0}",
            path.display()
        ),
        ErrorKind::WouldBlock => format!(
            "{}: no answer in {RESPONSE_TIMEOUT:?}; look into the log of the server",
            path.display()
        ),
        _ => format!("{}: {error}", path.display()),
    };
    let mut stream = std::os::unix::net::UnixStream::connect(path).map_err(fail)?;
    stream.set_read_timeout(Some(RESPONSE_TIMEOUT)).map_err(fail)?;
    stream.write_all(encode_request(format, command).as_bytes()).map_err(fail)?;
    let response = read_response(&mut BufReader::new(stream)).map_err(fail)?;
    response.ok_or_else(|| {
        format!("{}: the answer does not come from a crc server; correct --control", path.display())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_and_response_survive_the_round_trip() {
        for (format, command) in [(Format::Text, "kick 7  be quiet"), (Format::Json, "state")] {
            let request = encode_request(format, command);
            assert_eq!(parse_request(request.trim_end()), Some((format, command)));
        }
        assert_eq!(parse_request("xml state"), None);
        for result in [Ok("1 user\n".to_owned()), Err("unknown\n".to_owned()), Ok(String::new())] {
            let bytes = encode_response(&result);
            assert_eq!(read_response(&mut &bytes[..]).expect("bytes"), Some(result));
        }
        for bytes in [&b""[..], b"ok\n", b"ok x\n", b"maybe 1\nx", b"ok 5\nx", b"HTTP/1.1 400\n"] {
            assert_eq!(read_response(&mut &bytes[..]).expect("bytes"), None, "{bytes:?}");
        }
    }
}
