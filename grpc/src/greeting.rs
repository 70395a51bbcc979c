//! The greeting service: a server, and any number of clients at the same time.

use std::sync::Arc;

use crc::internal::Printable;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use tonic::{Request, Response, Status};

use crate::channel::{self, RpcError, ShutdownSignals};
use crate::incoming::{incoming, server_builder};
use crate::limits::{GREETINGS_MAX, MESSAGE_BYTES_MAX, SHUTDOWN_DEADLINE};
use crate::proto::greeting::greeting_client::GreetingClient;
use crate::proto::greeting::greeting_server::{Greeting, GreetingServer};
use crate::proto::greeting::{ServerResponse, UserInfo};
use crate::screen::{Line, Screen};

/// The greeting service.
struct Greeter {
    lines: mpsc::Sender<Line>,
}

#[tonic::async_trait]
impl Greeting for Greeter {
    async fn greet(&self, request: Request<UserInfo>) -> Result<Response<ServerResponse>, Status> {
        let name = request.into_inner().name;
        let shown = Printable(name.as_bytes());
        let line = format!("[Server] Received request from user named '{shown}'");
        // The server keeps serving when its output is closed.
        let _ = self.lines.send(Line::Out(line)).await;
        Ok(Response::new(ServerResponse { message: format!("Hello, {name}.") }))
    }
}

/// Runs the server on a port of this machine until a signal arrives.
///
/// # Errors
/// Returns an error if the port cannot be listened on or the output cannot be written.
pub(crate) async fn serve(port: u16) -> Result<(), String> {
    let mut signals = ShutdownSignals::new()?;
    let (listener, address) = channel::listen(channel::localhost(port)).await?;
    let mut screen = Screen::open();
    screen.print(Line::Out(format!("Server started, listening on {}", address.port())));
    let greeter = GreetingServer::new(Greeter { lines: screen.sender() })
        .max_decoding_message_size(MESSAGE_BYTES_MAX);
    let (stop, stopped) = oneshot::channel::<()>();
    let incoming = incoming(listener);
    {
        let serving = server_builder()
            .serve_with_incoming_shutdown(greeter, incoming, async { drop(stopped.await) });
        tokio::pin!(serving);
        tokio::select! {
            outcome = &mut serving => return outcome.map_err(|error| error.to_string()),
            () = signals.recv() => drop(stop),
        }
        // Responses in progress may complete.
        let _ = timeout(SHUTDOWN_DEADLINE, serving).await;
    }
    screen.close().await
}

/// Runs one client for each name, until all have finished or a signal arrives.
///
/// # Errors
/// Returns the first failure of a client.
pub(crate) async fn greet(port: u16, names: Vec<String>) -> Result<(), String> {
    let mut signals = ShutdownSignals::new()?;
    let screen = Screen::open();
    tokio::select! {
        () = signals.recv() => Ok(()),
        outcome = greet_all(screen, port, names) => outcome,
    }
}

async fn greet_all(mut screen: Screen, port: u16, names: Vec<String>) -> Result<(), String> {
    let (result_sender, mut results) = mpsc::channel(names.len());
    let permits = Arc::new(Semaphore::new(GREETINGS_MAX));
    for (index, name) in names.into_iter().enumerate() {
        screen.print(Line::Out(format!("Client {} started", index + 1)));
        let (result_sender, permits) = (result_sender.clone(), Arc::clone(&permits));
        tokio::spawn(async move {
            let _permit = permits.acquire().await;
            let result = greet_one(port, name.clone()).await;
            let _ = result_sender.send((name, result)).await;
        });
    }
    drop(result_sender);
    let mut first_error = None;
    while let Some((name, result)) = results.recv().await {
        let name = Printable(name.as_bytes());
        match result {
            Ok(message) => {
                let message = Printable(message.as_bytes());
                let line = format!("[{name}] Message received from server: \"{message}\"");
                screen.print(Line::Out(line));
            }
            // An unavailable server affects all clients; a rejection affects one.
            Err(RpcError::Unavailable(why)) => {
                first_error.get_or_insert(why);
            }
            Err(RpcError::Rejected(why)) => {
                first_error.get_or_insert(format!("{name}: {why}"));
            }
        }
    }
    screen.finish().await?;
    first_error.map_or(Ok(()), Err)
}

async fn greet_one(port: u16, name: String) -> Result<String, RpcError> {
    let (channel, closed) = channel::connect(channel::localhost(port)).await?;
    let mut client = GreetingClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let response = channel::await_response(client.greet(UserInfo { name })).await;
    drop(client);
    // The permit is held until the descriptor of the connection is free.
    let _ = timeout(SHUTDOWN_DEADLINE, closed).await;
    Ok(response?.into_inner().message)
}
