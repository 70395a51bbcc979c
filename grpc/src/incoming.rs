//! Accepting connections, within bounds.
//!
//! Invariants: a failed accept is retried after [`ACCEPT_BACKOFF`] and ends nothing; a connection
//! holds its permit until it is dropped; a connection that sends no HTTP/2 preface is closed.

use std::io;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::sleep;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;

use crate::channel;
use crate::connection::Connection;
use crate::limits::{
    ACCEPT_BACKOFF, CONNECTIONS_MAX, PREFACE_DEADLINE, REQUEST_DEADLINE, STREAMS_MAX, WINDOW_BYTES,
};

/// An accepted connection, which holds a permit until it ends.
type AcceptedConnection = Connection<OwnedSemaphorePermit>;

/// Returns a server builder with the bounds of this program.
pub(crate) fn server_builder() -> Server {
    Server::builder()
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .timeout(REQUEST_DEADLINE)
}

/// Returns the connections of a listener. Dropping the stream closes the listener.
pub(crate) fn incoming(listener: TcpListener) -> ReceiverStream<io::Result<AcceptedConnection>> {
    let (accepted, incoming) = mpsc::channel(1);
    tokio::spawn(async move {
        tokio::select! {
            () = accepted.closed() => {}
            () = accept_loop(listener, &accepted) => {}
        }
    });
    ReceiverStream::new(incoming)
}

async fn accept_loop(
    listener: TcpListener,
    accepted: &mpsc::Sender<io::Result<AcceptedConnection>>,
) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    while let Ok(permit) = Arc::clone(&permits).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                channel::set_socket_options(&stream);
                let connection = Connection::accepted(stream, PREFACE_DEADLINE, permit);
                if accepted.send(Ok(connection)).await.is_err() {
                    return;
                }
            }
            // Usually out of descriptors.
            Err(_) => sleep(ACCEPT_BACKOFF).await,
        }
    }
}
