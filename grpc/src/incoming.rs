//! Connections that come: how many at a time, how long they may say nothing, and what happens when
//! the system has none left to give.
//!
//! Invariants: an accept that fails is tried again later and ends nothing; a connection counts until
//! it is dropped; one that does not begin to speak HTTP/2 is closed.

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

/// A connection that came, which leaves its place to another when it ends.
type AcceptedConnection = Connection<OwnedSemaphorePermit>;

/// A server within its bounds.
pub(crate) fn server_builder() -> Server {
    Server::builder()
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .timeout(REQUEST_DEADLINE)
}

/// The connections of a listener, which closes when this is dropped.
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
            // Out of descriptors, mostly: it takes time until there is one.
            Err(_) => sleep(ACCEPT_BACKOFF).await,
        }
    }
}
