//! The bundled client: the state machine [`App`] inside an event loop.
//!
//! `app`, `session` (one file a wire), `grammar` (lines), `rooms` and `options` are pure.
//! `shell` is the event loop around the socket. The frontends are `terminal`, `pipe` and
//! `buffered_pipe`; `peer` uses them for `crc peer`.

pub(crate) mod app;
mod buffered_pipe;
mod completion;
pub(crate) mod grammar;
mod human;
mod options;
mod peer;
mod pipe;
mod rooms;
mod server_uri;
mod session;
mod shell;
mod terminal;

use std::io::{self, ErrorKind, IsTerminal};
use std::net::{TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

use rand::rngs::{StdRng, SysRng};
use rand::{Rng, SeedableRng, TryRng};

pub use crate::relay::Identity;
use crate::tls::ClientTrust;
use crate::vocabulary::Event;
pub use app::App;
pub(crate) use app::Outcome;
use human::Style;
use options::RequestedUser;
pub use options::{Options, Trust};
pub(crate) use peer::{InputStatus, PeerFrontend};
use pipe::PipeFrontend;
pub use server_uri::ServerUri;
use shell::{Frontend, error_text};
use terminal::TerminalFrontend;

/// Time for one address of the server to accept the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects and runs a session until the user quits or the connection ends.
///
/// Returns success if the user quit. A failure is reported as an event with `json`, otherwise as a
/// line on standard error.
#[must_use]
pub fn run(options: &Options) -> ExitCode {
    match run_session(options) {
        Ok(Outcome::UserQuit) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::FAILURE,
        Err(why) => {
            if let Err(error) = report_failure(options.json, &why)
                && error.kind() != ErrorKind::BrokenPipe
            {
                shell::report_output_error(&error);
            }
            ExitCode::FAILURE
        }
    }
}

/// Reports that no session started; in JSON followed by the final event.
fn report_failure(json: bool, why: &str) -> io::Result<()> {
    pipe::print_event(json, &Event::error(why))?;
    if json {
        pipe::print_event(json, &Event::Disconnected { text: why.into() })?;
    }
    Ok(())
}

fn run_session(options: &Options) -> Result<Outcome, String> {
    let mut rng = SysRng
        .try_next_u64()
        .map(StdRng::seed_from_u64)
        .map_err(|error| format!("cannot read random numbers from the system: {error}"))?;
    let trust = options.trust.as_ref().filter(|_| options.server.is_tls);
    let trust = trust.map(load_trust).transpose()?;
    let socket = connect(&options.server)?;
    let tls = trust.map(|trust| trust.connect(&options.server.host)).transpose()?;
    let (mut app, prompt) = match options.user.clone() {
        RequestedUser::Crc { name, id, info } => {
            let identity = options::build_identity(name, id, info, user_name(), &mut rng);
            let name = identity.name.clone();
            (App::crc(identity, rng.next_u64()), name)
        }
        // The server decides the id, so the prompt cannot show it.
        RequestedUser::Direct { id } => (App::direct(id), b"direct".to_vec()),
        RequestedUser::Classic { name } => {
            let name = name.unwrap_or_else(|| options::default_classic_name(user_name(), &mut rng));
            (App::classic(name), name.unpadded().to_vec())
        }
    };
    let mut frontend = open_frontend(options.json, &prompt).map_err(|error| error_text(&error))?;
    shell::run(socket, tls, &mut app, &mut *frontend).map_err(|error| error_text(&error))
}

/// Opens the terminal if lines can be edited there, otherwise the pipes.
fn open_frontend(json: bool, prompt: &[u8]) -> io::Result<Box<dyn Frontend>> {
    let is_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    if is_terminal && !json {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let style = Style { colour: !no_color };
        if let Ok(terminal) = TerminalFrontend::open(prompt, style) {
            return Ok(Box::new(terminal));
        }
    }
    Ok(Box::new(PipeFrontend::open(json)?))
}

fn load_trust(trust: &Trust) -> Result<ClientTrust, String> {
    match trust {
        Trust::Authorities(path) => ClientTrust::authorities(path),
        Trust::Pin(fingerprint) => ClientTrust::pin(*fingerprint),
    }
}

/// Returns the name of the user's account.
fn user_name() -> Option<String> {
    let names = ["USER", "LOGNAME"].map(std::env::var);
    let mut known = names.into_iter().flatten();
    known.find(|name| !name.is_empty())
}

/// Connects to the first address of the server that accepts.
fn connect(uri: &ServerUri) -> Result<TcpStream, String> {
    let authority = uri.authority();
    let addresses = (uri.host.as_str(), uri.port).to_socket_addrs();
    let addresses = addresses.map_err(|error| {
        format!("cannot find {}: {}: check the spelling", uri.host, error_text(&error))
    })?;
    let mut error = io::Error::new(ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            // A loopback port without a listener can connect to itself.
            Ok(socket) if is_self_connected(&socket) => error = ErrorKind::ConnectionRefused.into(),
            Ok(socket) => return Ok(socket),
            Err(failure) => error = failure,
        }
    }
    let (why, advice) = match error.kind() {
        ErrorKind::ConnectionRefused => (
            "Connection refused".to_owned(),
            format!("is a server running there? Start one with: {}", uri.server_command()),
        ),
        _ => (error_text(&error), "check the address and the network".to_owned()),
    };
    Err(format!("cannot connect to {authority}: {why}: {advice}"))
}

fn is_self_connected(socket: &TcpStream) -> bool {
    matches!((socket.local_addr(), socket.peer_addr()), (Ok(a), Ok(b)) if a == b)
}
