//! The two ends of the Chat service: what serves it, and what speaks to the other's.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use crate::channel::{Failure, Gone, answer, connect};
use crate::incoming::{incoming, server};
use crate::limits::{LEAVE_DEADLINE, MESSAGE_BYTES_MAX, RECEIVED_MAX};
use crate::proto::chat::chat_client::ChatClient;
use crate::proto::chat::chat_server::{Chat, ChatServer};
use crate::proto::chat::{ChatMessage, Nothing};

/// The other, as far as a connection reaches.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Who they say that they are.
    pub(crate) name: String,
    /// Whom they found in a network and chat with; empty when there is nobody, or they say nothing.
    pub(crate) partner: String,
    client: ChatClient<Channel>,
}

impl Peer {
    /// Connects and asks who is there.
    ///
    /// # Errors
    /// Nobody is there, or nobody who chats.
    pub(crate) async fn dial(address: SocketAddr) -> Result<(Self, Gone), Failure> {
        let (channel, gone) = connect(address).await?;
        let mut client = ChatClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let ChatMessage { sender: name, body: partner, .. } =
            answer(client.get_info(Nothing {})).await?;
        Ok((Self { name, partner, client }, gone))
    }

    /// Whether the connection still has somebody at its other end.
    pub(crate) fn ask(&self) -> impl Future<Output = Result<(), Failure>> + Send + use<> {
        let mut client = self.client.clone();
        async move { answer(client.get_info(Nothing {})).await.map(drop) }
    }

    /// Says something; the future owns all that it needs.
    pub(crate) fn say(
        &self,
        sender: &str,
        body: &str,
    ) -> impl Future<Output = Result<(), Failure>> + Send + use<> {
        let mut client = self.client.clone();
        let message = message(sender, body);
        async move { answer(client.send_message(message)).await.map(|Nothing {}| ()) }
    }
}

fn message(sender: &str, body: &str) -> ChatMessage {
    let timestamp = Timestamp::now().as_second();
    ChatMessage { timestamp, sender: sender.to_owned(), body: body.to_owned() }
}

/// With whom one chats whom a network has told of: the body of what `GetInfo` answers, so that a third
/// who looks for anybody goes on to the next.
#[derive(Clone, Default)]
pub(crate) struct Partner(Arc<Mutex<String>>);

impl Partner {
    pub(crate) fn set(&self, name: &str) {
        name.clone_into(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn name(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A service that runs, and what comes to it.
pub(crate) struct Service {
    pub(crate) received: mpsc::Receiver<ChatMessage>,
    pub(crate) partner: Partner,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Service {
    /// Serves as `name`, from now on.
    pub(crate) fn start(name: &str, listener: TcpListener) -> Self {
        let (sender, received) = mpsc::channel(RECEIVED_MAX);
        let partner = Partner::default();
        let own = Own { name: name.to_owned(), partner: partner.clone(), received: sender };
        let own = ChatServer::new(own).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let (stop, stopped) = oneshot::channel();
        let incoming = incoming(listener);
        let serving = tokio::spawn(async move {
            // It ends when it is stopped; that a connection fails is no end.
            let _ = server()
                .serve_with_incoming_shutdown(own, incoming, async { drop(stopped.await) })
                .await;
        });
        Self { received, partner, stop, serving }
    }

    /// Takes no more, and answers with what was taken and not seen yet.
    pub(crate) async fn stop(mut self) -> Vec<ChatMessage> {
        drop(self.stop);
        let (mut rest, mut serving) = (Vec::new(), self.serving);
        let all = async {
            while let Some(message) = self.received.recv().await {
                rest.push(message);
            }
        };
        let _ = timeout(LEAVE_DEADLINE, all).await;
        serving.abort();
        let _ = (&mut serving).await;
        rest
    }
}

struct Own {
    name: String,
    partner: Partner,
    received: mpsc::Sender<ChatMessage>,
}

#[tonic::async_trait]
impl Chat for Own {
    async fn send_message(
        &self,
        request: Request<ChatMessage>,
    ) -> Result<Response<Nothing>, Status> {
        match self.received.send(request.into_inner()).await {
            Ok(()) => Ok(Response::new(Nothing {})),
            Err(_) => Err(Status::unavailable("leaving")),
        }
    }

    async fn get_info(&self, _: Request<Nothing>) -> Result<Response<ChatMessage>, Status> {
        Ok(Response::new(message(&self.name, &self.partner.name())))
    }
}
