//! The bundled client: a pure [`App`] inside a thin shell.
//!
//! `app` decides, `session` speaks the wires, `grammar` and `event` are what goes in and comes out
//! for the user, `options` is who the user is to be; all of that is pure. `shell` is the loop around the socket, and `terminal` and
//! `filter` are the two faces it can have, which `peer` has too.

pub mod app;
mod completion;
pub mod event;
mod filter;
pub mod grammar;
mod human;
mod lines;
mod options;
mod peer;
mod session;
mod shell;
mod terminal;
mod unread;
mod url;

use std::io::{self, ErrorKind, IsTerminal};
use std::net::{TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

use rand::rngs::{StdRng, SysRng};
use rand::{Rng, SeedableRng, TryRng};

pub use crate::relay::Identity;
pub use app::{App, Outcome};
use event::Event;
use filter::Filter;
use human::Style;
use options::User;
pub use options::{Misuse, Options};
pub use peer::{PeerFront, Seen};
use shell::{Front, reason};
use terminal::Terminal;
pub use url::{Scheme, Url};

/// How long one address may take to answer.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

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
    let socket = connect(&options.url)?;
    let (mut app, prompt) = match options.user.clone() {
        User::Crc { name, id, info } => {
            let identity = options::identity(name, id, info, user_name(), &mut seed);
            let name = identity.name.clone();
            (App::crc(identity, seed.next_u64()), name)
        }
        // The server has the last word about the id, so there is none to show yet.
        User::Direct { id } => (App::direct(id), b"direct".to_vec()),
        User::Classic { name } => {
            let name = name.unwrap_or_else(|| options::name_from_account(user_name(), &mut seed));
            (App::classic(name), name.unpadded().to_vec())
        }
    };
    let mut front = front(options.json, &prompt).map_err(|error| reason(&error))?;
    shell::run(socket, &mut app, &mut *front).map_err(|error| reason(&error))
}

/// The terminal where there is one that can edit lines, else pipes.
fn front(json: bool, prompt: &[u8]) -> io::Result<Box<dyn Front>> {
    let is_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    if is_terminal && !json {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let style = Style { colour: !no_color };
        if let Ok(terminal) = Terminal::open(prompt, style) {
            return Ok(Box::new(terminal));
        }
    }
    Ok(Box::new(Filter::open(json)?))
}

/// The user's name on this machine.
fn user_name() -> Option<String> {
    let names = ["USER", "LOGNAME"].map(std::env::var);
    let mut known = names.into_iter().flatten();
    known.find(|name| !name.is_empty())
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
            format!("is a server running there? Start one with: {}", url.server_command()),
        ),
        _ => (reason(&error), "check the address and the network".to_owned()),
    };
    Err(format!("cannot connect to {server}: {why}: {advice}"))
}

fn is_own_end(socket: &TcpStream) -> bool {
    matches!((socket.local_addr(), socket.peer_addr()), (Ok(a), Ok(b)) if a == b)
}
