//! Both ends of the Chat service: the server, and the client of the partner's server.

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

/// Request metadata of `GetInfo` for the pairing of users without a named partner (`pairing`): the
/// sender's id in the network, and whether it has chosen us as its partner.
const ID_KEY: &str = "crc-chat-id";
const CHOSEN_KEY: &str = "crc-chat-chosen";

/// Response metadata of `GetInfo`: the sender supports pairing.
const PAIRING_KEY: &str = "crc-chat-rule";

/// A request to be paired.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PairRequest {
    /// The sender's id in the network.
    pub(crate) id: HostId,
    /// Whether the sender has chosen us as its partner.
    pub(crate) has_chosen_us: bool,
}

/// A received `GetInfo`. `request` is `None` without pairing metadata. Dropping `reply` answers
/// with an error status, after which the sender may retry.
pub(crate) struct IncomingRequest {
    pub(crate) request: Option<PairRequest>,
    pub(crate) reply: oneshot::Sender<PairReply>,
}

/// A connected chat peer.
#[derive(Debug)]
pub(crate) struct Peer {
    /// The name that the peer gives.
    pub(crate) name: String,
    /// The peer's partner, and whether it supports pairing.
    pub(crate) info: PeerInfo,
    client: ChatClient<Channel>,
}

impl Peer {
    /// Connects and requests the peer's info.
    ///
    /// # Errors
    /// Returns an error if there is no server or it does not provide the Chat service.
    pub(crate) async fn dial(
        address: SocketAddr,
        pair_request: Option<PairRequest>,
    ) -> Result<(Self, ClosedSignal), RpcError> {
        let (channel, closed) = connect(address).await?;
        let mut client = ChatClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let mut request = Request::new(Nothing {});
        if let Some(PairRequest { id, has_chosen_us }) = pair_request {
            request.metadata_mut().insert(ID_KEY, id.0.into());
            if has_chosen_us {
                request.metadata_mut().insert(CHOSEN_KEY, MetadataValue::from_static("1"));
            }
        }
        let response = await_response(client.get_info(request)).await?;
        let supports_pairing = response.metadata().contains_key(PAIRING_KEY);
        let ChatMessage { sender: name, body: partner, .. } = response.into_inner();
        let info = PeerInfo { partner: partner.into_bytes(), supports_pairing };
        Ok((Self { name, info, client }, closed))
    }

    /// Checks that the peer still answers on this connection.
    pub(crate) fn ping(&self) -> impl Future<Output = Result<(), RpcError>> + Send + use<> {
        let mut client = self.client.clone();
        async move { await_response(client.get_info(Nothing {})).await.map(drop) }
    }

    /// Sends a message. The future does not borrow the peer.
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

/// Returns a message with the current time.
fn message(sender: &str, body: &str) -> ChatMessage {
    let timestamp = Timestamp::now().as_second();
    ChatMessage { timestamp, sender: sender.to_owned(), body: body.to_owned() }
}

/// The running Chat server, and what it receives.
pub(crate) struct ChatService {
    pub(crate) messages: mpsc::Receiver<ChatMessage>,
    pub(crate) requests: mpsc::Receiver<IncomingRequest>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl ChatService {
    /// Starts serving as `name`.
    pub(crate) fn start(name: &str, listener: TcpListener) -> Self {
        let (sender, messages) = mpsc::channel(RECEIVED_MESSAGES_MAX);
        let (request_sender, requests) = mpsc::channel(1);
        let handler =
            ChatHandler { name: name.to_owned(), requests: request_sender, messages: sender };
        let handler = ChatServer::new(handler).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let (stop, stopped) = oneshot::channel();
        let incoming = incoming(listener);
        let task = tokio::spawn(async move {
            // The server ends when it is stopped; failed connections do not end it.
            let _ = server_builder()
                .serve_with_incoming_shutdown(handler, incoming, async { drop(stopped.await) })
                .await;
        });
        Self { messages, requests, stop, task }
    }

    /// Stops the server. Returns the accepted messages that were not shown yet.
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

/// The implementation of the Chat service.
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
            Err(_) => Err(Status::unavailable("the chat has ended")),
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
            Ok(PairReply::RetryLater) => {
                Err(Status::unavailable("too many pair requests: retry later"))
            }
            Err(_) => Err(Status::unavailable("the chat has ended")),
        }
    }
}
