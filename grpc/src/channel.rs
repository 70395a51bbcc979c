//! TCP connections for gRPC, and error messages for their failures.
//!
//! A [`Channel`] made by [`connect`] uses one TCP connection. It never reconnects by itself, which
//! would hide that the other end was away. Its end is signalled through a [`ClosedSignal`] without
//! any request.

use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use crc::internal::Printable;
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

/// Returns the loopback address with a port.
pub(crate) fn localhost(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Opens a listener. Returns it with its address, whose port is the one chosen for port 0.
///
/// # Errors
/// Returns an error if the address is in use or not one of this machine.
pub(crate) async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), String> {
    let failed = |error: io::Error| format!("cannot listen on {address}: {}", error_text(&error));
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// Sets the options of a connection: small messages are sent at once, and the connection ends when
/// its other end has vanished. TCP keepalive is used because some servers close a connection that
/// sends HTTP/2 pings.
pub(crate) fn set_socket_options(stream: &TcpStream) {
    let user_timeout = KEEPALIVE_INTERVAL * (KEEPALIVE_PROBES_MAX + 1);
    let user_timeout_ms = u32::try_from(user_timeout.as_millis()).unwrap_or(u32::MAX);
    // The options are best effort: the connection works without them.
    let _ = stream.set_nodelay(true);
    let _ = sockopt::set_tcp_keepidle(stream, KEEPALIVE_INTERVAL);
    let _ = sockopt::set_tcp_keepintvl(stream, KEEPALIVE_INTERVAL);
    let _ = sockopt::set_tcp_keepcnt(stream, KEEPALIVE_PROBES_MAX);
    let _ = sockopt::set_tcp_user_timeout(stream, user_timeout_ms);
    let _ = sockopt::set_socket_keepalive(stream, true);
}

/// The end of an error message about a connection attempt or a request that timed out.
pub(crate) const NO_ANSWER: &str = "it does not answer";

/// A failed request.
#[derive(Debug)]
pub(crate) enum RpcError {
    /// There is no server, or the connection ended.
    Unavailable(String),
    /// The server answered with an error.
    Rejected(String),
}

impl RpcError {
    /// Returns the error message.
    pub(crate) fn message(&self) -> &str {
        let (Self::Unavailable(text) | Self::Rejected(text)) = self;
        text
    }
}

/// Resolves when the connection has ended.
pub(crate) type ClosedSignal = oneshot::Receiver<()>;

/// Opens a channel to a server.
///
/// # Errors
/// Returns [`RpcError::Unavailable`].
pub(crate) async fn connect(address: SocketAddr) -> Result<(Channel, ClosedSignal), RpcError> {
    let unavailable = |why: &str| RpcError::Unavailable(format!("no server at {address}: {why}"));
    let stream = match timeout(CONNECT_DEADLINE, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(unavailable(&error_text(&error))),
        Err(_) => return Err(unavailable(NO_ANSWER)),
    };
    set_socket_options(&stream);
    let (close_guard, closed) = oneshot::channel::<()>();
    let stream = Mutex::new(Some(Connection::dialled(stream, close_guard)));
    let connector = tower::service_fn(move |_| {
        let stream = stream.lock().unwrap_or_else(PoisonError::into_inner).take();
        async { stream.map(TokioIo::new).ok_or(io::Error::from(io::ErrorKind::NotConnected)) }
    });
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|error| {
        unavailable(&error.to_string()) // unreachable: every socket address makes a valid URI
    })?;
    match timeout(CONNECT_DEADLINE, endpoint.connect_with_connector(connector)).await {
        Ok(Ok(channel)) => Ok((channel, closed)),
        Ok(Err(error)) => Err(unavailable(&root_cause(&error))),
        Err(_) => Err(unavailable(NO_ANSWER)),
    }
}

/// Waits for the response to a request.
///
/// # Errors Returns an error if there is no response within [`RESPONSE_DEADLINE`], if the
/// connection ended, or if the response is an error status.
pub(crate) async fn await_response<T>(
    request: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<tonic::Response<T>, RpcError> {
    match timeout(RESPONSE_DEADLINE, request).await {
        Ok(Ok(response)) => Ok(response),
        // A status with a source is a transport error; one without came from the server.
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

/// The signals that end the program: SIGHUP, SIGINT and SIGTERM.
pub(crate) struct ShutdownSignals([Signal; 3]);

impl ShutdownSignals {
    /// Installs the signal handlers.
    ///
    /// # Errors
    /// Returns an error if the system refuses them.
    pub(crate) fn new() -> Result<Self, String> {
        let subscribe = |kind| {
            signal(kind).map_err(|error| format!("cannot install a signal handler: {error}"))
        };
        let [hangup, interrupt, terminate] =
            [SignalKind::hangup(), SignalKind::interrupt(), SignalKind::terminate()];
        Ok(Self([subscribe(hangup)?, subscribe(interrupt)?, subscribe(terminate)?]))
    }

    /// Waits for the first signal.
    pub(crate) async fn recv(&mut self) {
        let [hangup, interrupt, terminate] = &mut self.0;
        tokio::select! {
            _ = hangup.recv() => {}
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}

/// Returns the text of an error without its number, "(os error N)".
pub(crate) fn error_text(error: &(impl Error + ?Sized)) -> String {
    let text = error.to_string();
    match text.split_once(" (os error ") {
        Some((reason, _)) => reason.to_owned(),
        None => text,
    }
}

/// Returns the text of the innermost source of an error, printable.
fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    Printable(error_text(last).as_bytes()).to_string()
}
