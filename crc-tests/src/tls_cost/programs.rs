//! The servers under measurement: how each is started, and what its clients send.

use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::frames;
use crate::load::usage::process_cpu_time;

/// How long to wait for a server to accept connections.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// A kind of server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Program {
    /// The crc binary at a path.
    Crc(PathBuf),
    /// A forwarder of bytes that is built on the same library.
    Forwarder,
    /// nats-server, on the path.
    Nats,
    /// ngircd, on the path.
    Ngircd,
}

/// A user under its name, with its id in crc.
pub(super) struct User {
    id: u32,
    name: String,
}

impl User {
    pub(super) fn new(number: usize) -> Self {
        Self { id: 101 + number as u32, name: format!("user{number}") }
    }
}

/// What a client sends to sign in, and what the answer has in it.
pub(super) struct SignIn {
    pub(super) request: Vec<u8>,
    pub(super) answer: &'static [u8],
}

/// A running server, killed at the end.
pub(super) struct Server {
    child: Child,
    pub(super) port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn cpu(&self) -> Duration {
        process_cpu_time(self.child.id()).unwrap_or_default()
    }
}

impl Program {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Crc(_) => "crc",
            Self::Forwarder => "forwarder",
            Self::Nats => "nats-server",
            Self::Ngircd => "ngircd",
        }
    }

    /// Starts the server with the certificates in a folder.
    pub(super) fn start(&self, dir: &Path) -> Result<Server, String> {
        let (cert, key) = (dir.join("server.pem"), dir.join("server.key"));
        match self {
            Self::Crc(path) => {
                let mut command = Command::new(path);
                command.args(["server", "--id", "1", "--listen", "crcs://127.0.0.1:0"]);
                command.arg("--tls-cert").arg(cert).arg("--tls-key").arg(key);
                start_printing(&mut command)
            }
            Self::Forwarder => {
                let own = std::env::current_exe().map_err(|error| error.to_string())?;
                start_printing(Command::new(own).arg("tls-forwarder").arg("--dir").arg(dir))
            }
            Self::Nats => {
                let mut command = Command::new("nats-server");
                command.args(["--addr", "127.0.0.1", "--tls", "--tlscert"]).arg(cert);
                command.arg("--tlskey").arg(key).arg("--port");
                start_on_free_port(command, |command, port| _ = command.arg(port.to_string()))
            }
            Self::Ngircd => start_on_free_port(Command::new("ngircd"), |command, port| {
                let path = dir.join("ngircd.conf");
                let _ = fs::write(&path, ngircd_conf(port, &cert, &key));
                command.arg("-n").arg("-f").arg(path);
            }),
        }
    }

    /// Returns whether the server sends a line in plain text before the handshake.
    pub(super) fn greets_in_plain_text(&self) -> bool {
        *self == Self::Nats
    }

    /// Returns the most bytes that a client sends at once. ngircd reads 2,048 bytes at a time, and
    /// leaves the rest of a TLS record until more arrives.
    pub(super) fn write_bytes_max(&self) -> usize {
        if *self == Self::Ngircd { 1024 } else { usize::MAX }
    }

    /// Returns how the clients sign in; `None` if they need not.
    pub(super) fn sign_in(&self, User { id, name }: &User) -> Option<SignIn> {
        let (request, answer): (_, &[u8]) = match self {
            Self::Crc(_) => (frames::user_that_reads_cut_frames(*id, name, ""), b"network"),
            Self::Forwarder => return None,
            Self::Nats => {
                let request = format!("CONNECT {{\"verbose\":false}}\r\nSUB {name} 1\r\nPING\r\n");
                (request.into_bytes(), b"PONG\r\n")
            }
            Self::Ngircd => {
                let request = format!("NICK {name}\r\nUSER {name} 0 * :{name}\r\nPING end\r\n");
                (request.into_bytes(), b":end\r\n")
            }
        };
        Some(SignIn { request, answer })
    }

    /// Returns a message from one user to another.
    pub(super) fn message(&self, sender: &User, receiver: &User, text: &str) -> Vec<u8> {
        let name = &receiver.name;
        match self {
            Self::Crc(_) | Self::Forwarder => frames::chat(sender.id, receiver.id, text),
            Self::Nats => format!("PUB {name} {}\r\n{text}\r\n", text.len()).into_bytes(),
            Self::Ngircd => format!("PRIVMSG {name} :{text}\r\n").into_bytes(),
        }
    }

    /// Returns the last bytes of a message with this text as it is received.
    pub(super) fn message_end(&self, text: &str) -> Vec<u8> {
        match self {
            Self::Crc(_) | Self::Forwarder => text.into(),
            Self::Nats | Self::Ngircd => format!("{text}\r\n").into_bytes(),
        }
    }
}

/// Starts a program that prints `listening SCHEME 127.0.0.1:PORT`.
pub(super) fn start_printing(command: &mut Command) -> Result<Server, String> {
    let child = command.stdin(Stdio::null()).stderr(Stdio::null()).stdout(Stdio::piped());
    let mut child = child.spawn().map_err(|error| format!("{command:?}: {error}"))?;
    let mut line = String::new();
    let stdout = child.stdout.take().ok_or("no standard output")?;
    BufReader::new(stdout).read_line(&mut line).map_err(|error| error.to_string())?;
    let port = line.trim_end().rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    let port = port.ok_or_else(|| format!("{command:?} printed {line:?}"))?;
    Ok(Server { child, port })
}

/// Starts a program that is given a port, and waits until it accepts connections.
fn start_on_free_port(
    mut command: Command,
    set_port: impl FnOnce(&mut Command, u16),
) -> Result<Server, String> {
    let port = free_port().map_err(|error| error.to_string())?;
    set_port(&mut command, port);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
    let mut server = Server { child, port };
    let started_at = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        let has_ended = server.child.try_wait().is_ok_and(|status| status.is_some());
        if has_ended || started_at.elapsed() > START_TIMEOUT {
            return Err(format!("{command:?} does not accept connections on port {port}"));
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    Ok(server)
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Returns a configuration without penalties, look-ups and limits.
fn ngircd_conf(port: u16, cert: &Path, key: &Path) -> String {
    format!(
        "[Global]\nName = one.bench\nAdminInfo1 = benchmark\nInfo = benchmark\nPorts = 0\n\
         Listen = 127.0.0.1\nMotdPhrase = hello\n\
         [Limits]\nMaxConnections = 0\nMaxConnectionsIP = 0\nMaxPenaltyTime = 0\n\
         PingTimeout = 600\nPongTimeout = 600\n\
         [Options]\nDNS = no\nIdent = no\nPAM = no\n\
         [SSL]\nPorts = {port}\nCertFile = {}\nKeyFile = {}\n",
        cert.display(),
        key.display()
    )
}
