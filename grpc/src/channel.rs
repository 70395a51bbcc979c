//! Connections that gRPC runs over, both ways, and what their failures are to people.
//!
//! A [`Channel`] of ours is one TCP connection. It never dials again by itself, which would hide
//! that the other end was away, and its end is told: nothing has to be asked for it.

use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use crc::printable::Printable;
use hyper_util::rt::TokioIo;
use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::connection::Connection;
use crate::limits::{
    CONNECT_DEADLINE, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES_MAX, RESPONSE_DEADLINE,
};

/// A port of this machine, from this machine only.
pub(crate) fn localhost(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Listens; answers with the port that it became, too.
///
/// # Errors
/// The address is in use, or not one of this machine's.
pub(crate) async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), String> {
    let failed = |error: io::Error| format!("cannot listen on {address}: {}", error_text(&error));
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// Lets a connection carry small messages at once, and end when its other end is gone without a word:
/// a machine that has lost its power or its network. Probes are the system's: those of HTTP/2 count
/// as an attack in some servers.
pub(crate) fn set_socket_options(stream: &TcpStream) {
    let user_timeout = KEEPALIVE_INTERVAL * (KEEPALIVE_PROBES_MAX + 1);
    let user_timeout_ms = u32::try_from(user_timeout.as_millis()).unwrap_or(u32::MAX);
    // A system that knows one of them not is no reason not to speak.
    let _ = stream.set_nodelay(true);
    let _ = sockopt::set_tcp_keepidle(stream, KEEPALIVE_INTERVAL);
    let _ = sockopt::set_tcp_keepintvl(stream, KEEPALIVE_INTERVAL);
    let _ = sockopt::set_tcp_keepcnt(stream, KEEPALIVE_PROBES_MAX);
    let _ = sockopt::set_tcp_user_timeout(stream, user_timeout_ms);
    let _ = sockopt::set_socket_keepalive(stream, true);
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum RpcError {
    /// Nobody is there, or not any more.
    Unavailable(String),
    /// There is somebody, and what they answered is no.
    Rejected(String),
}

impl RpcError {
    /// The words for either.
    pub(crate) fn message(&self) -> &str {
        let (Self::Unavailable(text) | Self::Rejected(text)) = self;
        text
    }
}

/// Ends when the connection has.
pub(crate) type ClosedSignal = oneshot::Receiver<()>;

/// Connects.
///
/// # Errors
/// [`RpcError::Absent`].
pub(crate) async fn connect(address: SocketAddr) -> Result<(Channel, ClosedSignal), RpcError> {
    let unavailable = |why: &str| RpcError::Unavailable(format!("no server at {address}: {why}"));
    let stream = match timeout(CONNECT_DEADLINE, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(unavailable(&error_text(&error))),
        Err(_) => return Err(unavailable("it does not answer")),
    };
    set_socket_options(&stream);
    let (close_guard, closed) = oneshot::channel::<()>();
    let stream = Mutex::new(Some(Connection::dialled(stream, close_guard)));
    let connector = tower::service_fn(move |_| {
        let stream = stream.lock().unwrap_or_else(PoisonError::into_inner).take();
        async { stream.map(TokioIo::new).ok_or(io::Error::from(io::ErrorKind::NotConnected)) }
    });
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|error| {
        unavailable(&error.to_string()) // never: an address is a URI
    })?;
    match timeout(CONNECT_DEADLINE, endpoint.connect_with_connector(connector)).await {
        Ok(Ok(channel)) => Ok((channel, closed)),
        Ok(Err(error)) => Err(unavailable(&root_cause(&error))),
        Err(_) => Err(unavailable("it does not answer")),
    }
}

/// The answer to a request that was sent.
///
/// # Errors
/// There is none in time, the connection ended, or it is an error status.
pub(crate) async fn await_response<T>(
    request: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<tonic::Response<T>, RpcError> {
    match timeout(RESPONSE_DEADLINE, request).await {
        Ok(Ok(response)) => Ok(response),
        // What has a cause went wrong on this side of the wire.
        Ok(Err(status)) => Err(match status.source() {
            Some(error) => {
                RpcError::Unavailable(format!("the connection ended: {}", root_cause(error)))
            }
            None => {
                let text = Printable(status.message().as_bytes());
                let text = format!("the answer is an error, {:?}: {text}", status.code());
                match status.code() {
                    Code::Unavailable => RpcError::Unavailable(text),
                    _ => RpcError::Rejected(text),
                }
            }
        }),
        Err(_) => {
            let seconds = RESPONSE_DEADLINE.as_secs();
            Err(RpcError::Unavailable(format!("no answer within {seconds} seconds")))
        }
    }
}

/// Signals that ask the program to end.
pub(crate) struct ShutdownSignals([Signal; 3]);

impl ShutdownSignals {
    /// # Errors
    /// The system has none left.
    pub(crate) fn new() -> Result<Self, String> {
        let subscribe = |kind| signal(kind).map_err(|error| format!("signals: {error}"));
        let [hangup, interrupt, terminate] =
            [SignalKind::hangup(), SignalKind::interrupt(), SignalKind::terminate()];
        Ok(Self([subscribe(hangup)?, subscribe(interrupt)?, subscribe(terminate)?]))
    }

    /// The first of them.
    pub(crate) async fn recv(&mut self) {
        let [hangup, interrupt, terminate] = &mut self.0;
        tokio::select! {
            _ = hangup.recv() => {}
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}

/// What an error says to people: without the system's number for it.
pub(crate) fn error_text(error: &(impl Error + ?Sized)) -> String {
    let text = error.to_string();
    match text.split_once(" (os error ") {
        Some((reason, _)) => reason.to_owned(),
        None => text,
    }
}

/// The cause of all the others, which only say where it happened.
fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    Printable(error_text(last).as_bytes()).to_string()
}
