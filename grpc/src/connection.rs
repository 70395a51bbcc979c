//! A TCP connection for gRPC, dialled or accepted.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use tonic::transport::server::{Connected, TcpConnectInfo};

/// Length of the preface that every HTTP/2 client sends first (RFC 9113, section 3.4).
const PREFACE_BYTES: usize = 24;

/// A connection with a guard that is dropped when the connection ends.
pub(crate) struct Connection<T> {
    stream: TcpStream,
    /// Set until the preface of an accepted connection has arrived.
    preface: Option<PrefaceWait>,
    _guard: T,
}

/// The wait for the preface.
struct PrefaceWait {
    deadline: Pin<Box<Sleep>>,
    bytes_read: usize,
}

impl<T> Connection<T> {
    /// Returns a dialled connection.
    pub(crate) fn dialled(stream: TcpStream, guard: T) -> Self {
        Self { stream, preface: None, _guard: guard }
    }

    /// Returns an accepted connection. Reading fails with [`io::ErrorKind::TimedOut`] if the client
    /// has not sent the preface within `deadline` from now.
    pub(crate) fn accepted(stream: TcpStream, deadline: Duration, guard: T) -> Self {
        let preface = PrefaceWait { deadline: Box::pin(sleep(deadline)), bytes_read: 0 };
        Self { stream, preface: Some(preface), _guard: guard }
    }
}

impl<T> Connected for Connection<T> {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

impl<T: Unpin> AsyncRead for Connection<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(preface) = &mut self.preface
            && preface.deadline.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if let Some(preface) = &mut self.preface {
            preface.bytes_read += buffer.filled().len() - before;
            if preface.bytes_read >= PREFACE_BYTES {
                self.preface = None;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: Unpin> AsyncWrite for Connection<T> {
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
