//! The two ends of the Chat service: what serves it, and what speaks to the other's.

use std::net::SocketAddr;

use crc::relay::message::HostId;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use super::choice::{Answer, Reply};
use crate::channel::{Failure, Gone, answer, connect};
use crate::incoming::{incoming, server};
use crate::limits::{LEAVE_DEADLINE, MESSAGE_BYTES_MAX, RECEIVED_MAX};
use crate::proto::chat::chat_client::ChatClient;
use crate::proto::chat::chat_server::{Chat, ChatServer};
use crate::proto::chat::{ChatMessage, Nothing};

/// Metadata of `GetInfo` by which those who look for anybody choose (`choice`): who asks, by the id in
/// the network, and whether they want nobody else.
const ID: &str = "crc-chat-id";
const CHOSEN: &str = "crc-chat-chosen";

/// Metadata of the answer: whoever sends it answers such questions.
const RULE: &str = "crc-chat-rule";

/// Who asks whether we chat with them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    pub(crate) id: HostId,
    /// Whether they want nobody else.
    pub(crate) has_chosen: bool,
}

/// A question, or no more than a look from somebody who does not say who they are; a reply that is
/// dropped is an error to them, and they may ask again.
pub(crate) struct Asked {
    pub(crate) question: Option<Question>,
    pub(crate) reply: oneshot::Sender<Reply>,
}

/// The other, as far as a connection reaches.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Who they say that they are.
    pub(crate) name: String,
    /// With whom they chat, and whether they choose as we do (`choice`).
    pub(crate) answer: Answer,
    client: ChatClient<Channel>,
}

impl Peer {
    /// Connects and asks who is there.
    ///
    /// # Errors
    /// Nobody is there, or nobody who chats.
    pub(crate) async fn dial(
        address: SocketAddr,
        question: Option<Question>,
    ) -> Result<(Self, Gone), Failure> {
        let (channel, gone) = connect(address).await?;
        let mut client = ChatClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let mut request = Request::new(Nothing {});
        if let Some(Question { id, has_chosen }) = question {
            request.metadata_mut().insert(ID, id.0.into());
            if has_chosen {
                request.metadata_mut().insert(CHOSEN, MetadataValue::from_static("1"));
            }
        }
        let response = answer(client.get_info(request)).await?;
        let knows_rule = response.metadata().contains_key(RULE);
        let ChatMessage { sender: name, body: partner, .. } = response.into_inner();
        let answer = Answer { partner: partner.into_bytes(), knows_rule };
        Ok((Self { name, answer, client }, gone))
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
        async move { answer(client.send_message(message)).await.map(drop) }
    }
}

fn message(sender: &str, body: &str) -> ChatMessage {
    let timestamp = Timestamp::now().as_second();
    ChatMessage { timestamp, sender: sender.to_owned(), body: body.to_owned() }
}

/// A service that runs, and what comes to it.
pub(crate) struct Service {
    pub(crate) received: mpsc::Receiver<ChatMessage>,
    pub(crate) asked: mpsc::Receiver<Asked>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Service {
    /// Serves as `name`, from now on.
    pub(crate) fn start(name: &str, listener: TcpListener) -> Self {
        let (sender, received) = mpsc::channel(RECEIVED_MAX);
        let (asks, asked) = mpsc::channel(1);
        let own = Own { name: name.to_owned(), asks, received: sender };
        let own = ChatServer::new(own).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let (stop, stopped) = oneshot::channel();
        let incoming = incoming(listener);
        let serving = tokio::spawn(async move {
            // It ends when it is stopped; that a connection fails is no end.
            let _ = server()
                .serve_with_incoming_shutdown(own, incoming, async { drop(stopped.await) })
                .await;
        });
        Self { received, asked, stop, serving }
    }

    /// Takes no more, and answers with what was taken and not seen yet.
    pub(crate) async fn stop(mut self) -> Vec<ChatMessage> {
        drop((self.stop, self.asked));
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
    asks: mpsc::Sender<Asked>,
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

    async fn get_info(&self, request: Request<Nothing>) -> Result<Response<ChatMessage>, Status> {
        let metadata = request.metadata();
        let id = metadata.get(ID).and_then(|id| id.to_str().ok()?.parse().ok()).map(HostId);
        let question = id.map(|id| Question { id, has_chosen: metadata.contains_key(CHOSEN) });
        let (reply, replied) = oneshot::channel();
        let _ = self.asks.send(Asked { question, reply }).await;
        match replied.await {
            Ok(Reply::Partner(partner)) => {
                let partner = String::from_utf8_lossy(&partner);
                let mut response = Response::new(message(&self.name, &partner));
                response.metadata_mut().insert(RULE, MetadataValue::from_static("1"));
                Ok(response)
            }
            Ok(Reply::Later) => Err(Status::unavailable("too many ask")),
            Err(_) => Err(Status::unavailable("leaving")),
        }
    }
}
