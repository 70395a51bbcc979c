//! Connections that come: how many at a time, how long they may say nothing, and what happens when
//! the system has none left to give.
//!
//! Invariants: an accept that fails is tried again later and ends nothing; a connection counts until
//! it is dropped; one that does not begin to speak HTTP/2 is closed.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Sleep, sleep};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::transport::server::{Connected, TcpConnectInfo};

use crate::channel;
use crate::limits::{
    ACCEPT_PAUSE, CONNECTIONS_MAX, OPENING_DEADLINE, REQUEST_DEADLINE, STREAMS_MAX, WINDOW_BYTES,
};

/// What every HTTP/2 client sends first, RFC 9113 section 3.4.
const PREFACE_BYTES: usize = 24;

/// A server within its bounds.
pub(crate) fn server() -> Server {
    Server::builder()
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .timeout(REQUEST_DEADLINE)
}

/// The connections of a listener, which closes when this is dropped.
pub(crate) fn incoming(listener: TcpListener) -> ReceiverStream<io::Result<Accepted>> {
    let (accepted, incoming) = mpsc::channel(1);
    tokio::spawn(async move {
        tokio::select! {
            () = accepted.closed() => {}
            () = accept(listener, &accepted) => {}
        }
    });
    ReceiverStream::new(incoming)
}

async fn accept(listener: TcpListener, accepted: &mpsc::Sender<io::Result<Accepted>>) {
    let free = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    while let Ok(permit) = Arc::clone(&free).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                channel::prepare(&stream);
                let opening = Some(Opening { until: Box::pin(sleep(OPENING_DEADLINE)), bytes: 0 });
                if accepted.send(Ok(Accepted { stream, opening, _permit: permit })).await.is_err() {
                    return;
                }
            }
            // Out of descriptors, mostly: it takes time until there is one.
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// A connection that came.
pub(crate) struct Accepted {
    stream: TcpStream,
    /// Until it has begun to speak.
    opening: Option<Opening>,
    _permit: OwnedSemaphorePermit,
}

struct Opening {
    until: Pin<Box<Sleep>>,
    bytes: usize,
}

impl Connected for Accepted {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(opening) = &mut self.opening
            && opening.until.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if let Some(opening) = &mut self.opening {
            opening.bytes += buffer.filled().len() - before;
            if opening.bytes >= PREFACE_BYTES {
                self.opening = None;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
