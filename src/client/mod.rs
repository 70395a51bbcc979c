//! The bundled client: a pure [`App`] inside a thin shell.
//!
//! `app` decides, `session` speaks the wire, `grammar` and `event` are what goes in and comes out
//! for the user; all of that is pure. `shell` is the loop around the socket, and `terminal` and
//! `filter` are the two faces it can have.

pub mod app;
mod completion;
pub mod event;
mod filter;
pub mod grammar;
mod human;
mod lines;
mod session;
mod shell;
mod terminal;
mod url;

use std::io::{self, ErrorKind, IsTerminal};
use std::net::{TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

use rand::rngs::{StdRng, SysRng};
use rand::{Rng, SeedableRng, TryRng};

use crate::limits::{INFO_BYTES_MAX, NAME_BYTES_MAX};
pub use crate::relay::Identity;
use crate::relay::message::HostId;
pub use app::{App, Outcome};
use event::Event;
use filter::Filter;
use human::Style;
use shell::{Front, reason};
use terminal::Terminal;
pub use url::{Scheme, Url, UrlError};

/// How long one address may take to answer.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// What `crc client` was asked for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where to connect.
    pub url: Url,
    /// `--name`, at most [`NAME_BYTES_MAX`] bytes; without it the user's name on this machine.
    pub name: Option<String>,
    /// `--id`, one that can be registered; without it a random one.
    pub id: Option<u32>,
    /// `--info`, at most [`INFO_BYTES_MAX`] bytes.
    pub info: String,
    /// `--json`: events as JSON, and nothing else on standard output.
    pub json: bool,
}

/// Connects, and chats until the user leaves or the connection ends.
///
/// Succeeds when the user left; everything else is told, as an event with `json`, else as a line on
/// standard error, and fails.
#[must_use]
pub fn run(options: &Options) -> ExitCode {
    match chat(options) {
        Ok(Outcome::Left) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::FAILURE,
        Err(why) => {
            if let Err(error) = show_failure(options.json, &why)
                && error.kind() != ErrorKind::BrokenPipe
            {
                shell::complain(&error);
            }
            ExitCode::FAILURE
        }
    }
}

/// Tells why there never was a session, for programs with the end that they wait for.
fn show_failure(json: bool, why: &str) -> io::Result<()> {
    filter::show(json, &Event::error(why))?;
    if json {
        filter::show(json, &Event::Disconnected { text: why.into() })?;
    }
    Ok(())
}

fn chat(options: &Options) -> Result<Outcome, String> {
    let mut seed = SysRng
        .try_next_u64()
        .map(StdRng::seed_from_u64)
        .map_err(|error| format!("the system gives no random numbers: {error}"))?;
    let identity = identity(options, &mut seed)?;
    let socket = connect(&options.url)?;
    let name = identity.name.clone();
    let mut app = match options.url.scheme {
        Scheme::Crc => App::crc(identity, seed.next_u64()),
    };
    let mut front = front(options.json, &name).map_err(|error| reason(&error))?;
    shell::run(socket, &mut app, &mut *front).map_err(|error| reason(&error))
}

/// The terminal where there is one that can edit lines, else pipes.
fn front(json: bool, name: &[u8]) -> io::Result<Box<dyn Front>> {
    let is_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    if is_terminal && !json {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let style = Style { colour: !no_color };
        if let Ok(terminal) = Terminal::open(name, style) {
            return Ok(Box::new(terminal));
        }
    }
    Ok(Box::new(Filter::open(json)?))
}

fn identity(options: &Options, rng: &mut StdRng) -> Result<Identity, String> {
    let id = match options.id.map(HostId) {
        None => HostId::random(rng),
        Some(id) if id.is_registrable() => id,
        Some(id) => {
            return Err(format!(
                "--id {id} cannot be registered: choose one from 1 to {}",
                u32::MAX - 1
            ));
        }
    };
    let name = match &options.name {
        Some(name) => name.clone(),
        None => user_name().unwrap_or_else(|| format!("user-{id}")),
    };
    let bounded = |option: &str, text: &str, bytes_max: usize| match text.len() {
        len if len > bytes_max => {
            Err(format!("{option} is too long: {len} bytes, and {bytes_max} fit"))
        }
        _ => Ok(text.as_bytes().to_vec()),
    };
    Ok(Identity {
        id,
        id_is_chosen: options.id.is_some(),
        name: bounded("--name", &name, NAME_BYTES_MAX)?,
        info: bounded("--info", &options.info, INFO_BYTES_MAX)?,
    })
}

/// The user's name on this machine.
fn user_name() -> Option<String> {
    let names = ["USER", "LOGNAME"].map(std::env::var);
    let mut known = names.into_iter().flatten();
    known.find(|name| !name.is_empty() && name.len() <= NAME_BYTES_MAX)
}

/// Connects to the first address of the host that answers.
fn connect(url: &Url) -> Result<TcpStream, String> {
    let server = url.authority();
    let addresses = (url.host.as_str(), url.port).to_socket_addrs();
    let addresses = addresses.map_err(|error| {
        format!("cannot find {}: {}: check the spelling", url.host, reason(&error))
    })?;
    let mut error = io::Error::new(ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT_DEADLINE) {
            // On one's own machine a port that nobody listens on can connect to itself.
            Ok(socket) if is_own_end(&socket) => error = ErrorKind::ConnectionRefused.into(),
            Ok(socket) => return Ok(socket),
            Err(failure) => error = failure,
        }
    }
    let (why, advice) = match error.kind() {
        ErrorKind::ConnectionRefused => (
            "Connection refused".to_owned(),
            format!("is a server running there? Start one with: {}", server_command(url)),
        ),
        _ => (reason(&error), "check the address and the network".to_owned()),
    };
    Err(format!("cannot connect to {server}: {why}: {advice}"))
}

fn is_own_end(socket: &TcpStream) -> bool {
    matches!((socket.local_addr(), socket.peer_addr()), (Ok(a), Ok(b)) if a == b)
}

fn server_command(url: &Url) -> String {
    if url.port == Url::default().port {
        "crc server".to_owned()
    } else {
        format!("crc server --listen {}", url.authority())
    }
}
