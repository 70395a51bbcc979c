//! The two ends of the Chat service: what serves it, and what speaks to the other's.

use std::net::SocketAddr;

use crc::id::HostId;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use super::pairing::{PairReply, PeerInfo};
use crate::channel::{ClosedSignal, RpcError, await_response, connect};
use crate::incoming::{incoming, server_builder};
use crate::limits::{MESSAGE_BYTES_MAX, RECEIVED_MESSAGES_MAX, SHUTDOWN_DEADLINE};
use crate::proto::chat::chat_client::ChatClient;
use crate::proto::chat::chat_server::{Chat, ChatServer};
use crate::proto::chat::{ChatMessage, Nothing};

/// Metadata of `GetInfo` by which those who look for anybody choose (`choice`): who asks, by the id in
/// the network, and whether they want nobody else.
const ID_KEY: &str = "crc-chat-id";
const CHOSEN_KEY: &str = "crc-chat-chosen";

/// Metadata of the answer: whoever sends it answers such questions.
const PAIRING_KEY: &str = "crc-chat-rule";

/// Who asks whether we chat with them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PairRequest {
    pub(crate) id: HostId,
    /// Whether they want nobody else.
    pub(crate) has_chosen_us: bool,
}

/// A question, or no more than a look from somebody who does not say who they are; a reply that is
/// dropped is an error to them, and they may ask again.
pub(crate) struct IncomingRequest {
    pub(crate) request: Option<PairRequest>,
    pub(crate) reply: oneshot::Sender<PairReply>,
}

/// The other, as far as a connection reaches.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Who they say that they are.
    pub(crate) name: String,
    /// With whom they chat, and whether they choose as we do (`choice`).
    pub(crate) info: PeerInfo,
    client: ChatClient<Channel>,
}

impl Peer {
    /// Connects and asks who is there.
    ///
    /// # Errors
    /// Nobody is there, or nobody who chats.
    pub(crate) async fn dial(
        address: SocketAddr,
        pair_request: Option<PairRequest>,
    ) -> Result<(Self, ClosedSignal), RpcError> {
        let (channel, closed) = connect(address).await?;
        let mut client = ChatClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let mut request = Request::new(Nothing {});
        if let Some(PairRequest { id, has_chosen_us: has_chosen }) = pair_request {
            request.metadata_mut().insert(ID_KEY, id.0.into());
            if has_chosen {
                request.metadata_mut().insert(CHOSEN_KEY, MetadataValue::from_static("1"));
            }
        }
        let response = await_response(client.get_info(request)).await?;
        let supports_pairing = response.metadata().contains_key(PAIRING_KEY);
        let ChatMessage { sender: name, body: partner, .. } = response.into_inner();
        let info = PeerInfo { partner: partner.into_bytes(), supports_pairing };
        Ok((Self { name, info, client }, closed))
    }

    /// Whether the connection still has somebody at its other end.
    pub(crate) fn ping(&self) -> impl Future<Output = Result<(), RpcError>> + Send + use<> {
        let mut client = self.client.clone();
        async move { await_response(client.get_info(Nothing {})).await.map(drop) }
    }

    /// Says something; the future owns all that it needs.
    pub(crate) fn send(
        &self,
        sender: &str,
        body: &str,
    ) -> impl Future<Output = Result<(), RpcError>> + Send + use<> {
        let mut client = self.client.clone();
        let message = message(sender, body);
        async move { await_response(client.send_message(message)).await.map(drop) }
    }
}

fn message(sender: &str, body: &str) -> ChatMessage {
    let timestamp = Timestamp::now().as_second();
    ChatMessage { timestamp, sender: sender.to_owned(), body: body.to_owned() }
}

/// A service that runs, and what comes to it.
pub(crate) struct ChatService {
    pub(crate) messages: mpsc::Receiver<ChatMessage>,
    pub(crate) requests: mpsc::Receiver<IncomingRequest>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl ChatService {
    /// Serves as `name`, from now on.
    pub(crate) fn start(name: &str, listener: TcpListener) -> Self {
        let (sender, messages) = mpsc::channel(RECEIVED_MESSAGES_MAX);
        let (request_sender, requests) = mpsc::channel(1);
        let handler =
            ChatHandler { name: name.to_owned(), requests: request_sender, messages: sender };
        let handler = ChatServer::new(handler).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let (stop, stopped) = oneshot::channel();
        let incoming = incoming(listener);
        let task = tokio::spawn(async move {
            // It ends when it is stopped; that a connection fails is no end.
            let _ = server_builder()
                .serve_with_incoming_shutdown(handler, incoming, async { drop(stopped.await) })
                .await;
        });
        Self { messages, requests, stop, task }
    }

    /// Takes no more, and answers with what was taken and not seen yet.
    pub(crate) async fn stop(mut self) -> Vec<ChatMessage> {
        drop((self.stop, self.requests));
        let (mut unread, mut task) = (Vec::new(), self.task);
        let drain = async {
            while let Some(message) = self.messages.recv().await {
                unread.push(message);
            }
        };
        let _ = timeout(SHUTDOWN_DEADLINE, drain).await;
        task.abort();
        let _ = (&mut task).await;
        unread
    }
}

struct ChatHandler {
    name: String,
    requests: mpsc::Sender<IncomingRequest>,
    messages: mpsc::Sender<ChatMessage>,
}

#[tonic::async_trait]
impl Chat for ChatHandler {
    async fn send_message(
        &self,
        request: Request<ChatMessage>,
    ) -> Result<Response<Nothing>, Status> {
        match self.messages.send(request.into_inner()).await {
            Ok(()) => Ok(Response::new(Nothing {})),
            Err(_) => Err(Status::unavailable("leaving")),
        }
    }

    async fn get_info(&self, request: Request<Nothing>) -> Result<Response<ChatMessage>, Status> {
        let metadata = request.metadata();
        let id = metadata.get(ID_KEY).and_then(|id| id.to_str().ok()?.parse().ok()).map(HostId);
        let pair_request =
            id.map(|id| PairRequest { id, has_chosen_us: metadata.contains_key(CHOSEN_KEY) });
        let (reply, replied) = oneshot::channel();
        let _ = self.requests.send(IncomingRequest { request: pair_request, reply }).await;
        match replied.await {
            Ok(PairReply::Partner(partner)) => {
                let partner = String::from_utf8_lossy(&partner);
                let mut response = Response::new(message(&self.name, &partner));
                response.metadata_mut().insert(PAIRING_KEY, MetadataValue::from_static("1"));
                Ok(response)
            }
            Ok(PairReply::RetryLater) => Err(Status::unavailable("too many ask")),
            Err(_) => Err(Status::unavailable("leaving")),
        }
    }
}
