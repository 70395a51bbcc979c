//! `crc-tests tls-handshakes`: handshakes at a rate, most of which never end.

use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use crc::internal::tls::ClientTrust;

use super::pair;

/// Connections with an unfinished handshake that are held at a time; the oldest is closed for a new
/// one.
const HELD_MAX: usize = 5_000;

/// Begins TLS handshakes with a server at a steady rate, and leaves most of them unfinished
///
/// Run `crc-tests load chat --server` on the plain listener of the same server meanwhile.
#[derive(Args, Clone, Debug)]
pub struct HandshakesArguments {
    /// The TLS listener of the server
    #[arg(long, value_name = "IP:PORT")]
    server: SocketAddr,
    /// The certificate of its authority
    #[arg(long, value_name = "FILE")]
    tls_ca: PathBuf,
    /// Handshakes a second of clients that send their first message and nothing more
    #[arg(long, value_name = "N", default_value_t = 1_000.0)]
    unfinished: f64,
    /// Handshakes a second that end, after which the client leaves
    #[arg(long, value_name = "N", default_value_t = 50.0)]
    finished: f64,
    /// How long, in seconds
    #[arg(long, value_name = "N", default_value_t = 10.0)]
    seconds: f64,
}

/// Runs the command. Exit codes: 0 if it ran, 1 if the authority or the server cannot be used.
#[must_use]
pub fn run(arguments: &HandshakesArguments, interrupted: &AtomicBool) -> ExitCode {
    match begin_all(arguments, interrupted) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(io::stderr(), "crc-tests: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn begin_all(arguments: &HandshakesArguments, interrupted: &AtomicBool) -> Result<(), String> {
    let trust = ClientTrust::authorities(&arguments.tls_ca)?;
    let mut hello = Vec::new();
    let mut stream = trust.connect("localhost")?;
    stream.flush(&mut Sink(&mut hello)).map_err(|error| error.to_string())?;
    pair::connect(&trust, arguments.server.port(), false)
        .map_err(|error| format!("{}: {error}", arguments.server))?;
    let [begun, refused, ended, failed] = [(); 4].map(|()| AtomicU64::new(0));
    let until = Instant::now() + Duration::from_secs_f64(arguments.seconds);
    let is_over = || Instant::now() >= until || interrupted.load(Ordering::Relaxed);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut held = VecDeque::new();
            at_rate(arguments.unfinished, is_over, || match TcpStream::connect(arguments.server) {
                Ok(mut stream) => {
                    let counter = if stream.write_all(&hello).is_ok() { &begun } else { &refused };
                    counter.fetch_add(1, Ordering::Relaxed);
                    held.push_back(stream);
                    if held.len() > HELD_MAX {
                        held.pop_front();
                    }
                }
                Err(_) => drop(refused.fetch_add(1, Ordering::Relaxed)),
            });
        });
        at_rate(arguments.finished, is_over, || {
            let result = pair::connect(&trust, arguments.server.port(), false);
            let counter = if result.is_ok() { &ended } else { &failed };
            counter.fetch_add(1, Ordering::Relaxed);
        });
    });
    let [begun, refused, ended, failed] =
        [begun, refused, ended, failed].map(AtomicU64::into_inner);
    drop(writeln!(
        io::stdout(),
        "{begun} handshakes begun and left, {refused} not connected; {ended} ended, {failed} failed"
    ));
    Ok(())
}

/// Calls `act` at a rate, until it is over. What is late is made up for.
fn at_rate(per_second: f64, is_over: impl Fn() -> bool, mut act: impl FnMut()) {
    let started_at = Instant::now();
    let mut count = 0_u32;
    while !is_over() {
        let due = started_at + Duration::from_secs_f64(f64::from(count) / per_second.max(1e-9));
        match due.checked_duration_since(Instant::now()) {
            Some(pause) => std::thread::park_timeout(pause.min(Duration::from_millis(100))),
            None => {
                act();
                count += 1;
            }
        }
    }
}

/// Keeps what is written.
struct Sink<'a>(&'a mut Vec<u8>);

impl io::Read for Sink<'_> {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

impl io::Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
