//! An operator who watches and steers the server by JSON over WebSocket.

use std::borrow::Cow;

use serde::Deserialize;
use tungstenite::protocol::frame::coding::CloseCode;

use super::command::Str;
use super::message::{Assembler, Incoming};
use super::websocket::{Closing, Fault, Frame, write_pong, write_text};
use crate::id::HostId;
use crate::limits::{OPERATOR_LINE_BYTES_MAX, WEB_LOADS_MAX};
use crate::link::{CloseReason, SendQueue};
use crate::vocabulary::{Borrowed, EventOf};
use crate::wires::{Effect, Effects, SessionCx, WebRequest};

/// The subprotocol.
pub(super) const PROTOCOL: &str = "crc.operator.v1";

/// An operator's connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Operator {
    is_signed_in: bool,
    closing: Closing,
    assembler: Assembler,
}

/// A request.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
enum Request<'a> {
    SignIn {
        #[serde(borrow)]
        token: Str<'a>,
    },
    Users {
        server: u32,
    },
    Loads {
        servers: Vec<u32>,
    },
    Kick {
        id: u32,
        #[serde(borrow)]
        text: Option<Str<'a>>,
    },
    Shutdown {},
}

impl Operator {
    pub(super) fn buffer_bytes(&self) -> usize {
        self.assembler.capacity()
    }

    /// Handles a whole frame.
    pub(super) fn on_frame(
        &mut self,
        frame: &[u8],
        cx: &mut SessionCx<'_>,
        effects: &mut Effects<'_>,
    ) {
        if self.closing.is_closed() {
            return;
        }
        let frame = Frame::parse(frame, OPERATOR_LINE_BYTES_MAX);
        match frame.and_then(|frame| self.assembler.add(&frame, OPERATOR_LINE_BYTES_MAX)) {
            Ok(Incoming::Nothing) => {}
            Ok(Incoming::Ping(payload)) => write_pong(&payload, cx.queue.tail()),
            Ok(Incoming::Text(message)) => self.handle(&message, cx, effects),
            Ok(Incoming::Close) => {
                self.closing.close(CloseCode::Normal, "", cx.queue);
                effects.push(Effect::Close(CloseReason::PeerClosed));
            }
            Err(fault) => self.fail(fault, cx.queue, effects),
        }
    }

    fn handle(&mut self, message: &str, cx: &mut SessionCx<'_>, effects: &mut Effects<'_>) {
        let request = match serde_json::from_str(message) {
            Ok(request) => request,
            Err(error) => return self.send_error(&format!("not a request: {error}"), cx.queue),
        };
        let request = match request {
            Request::SignIn { token } => return self.sign_in(&token.0, cx, effects),
            _ if !self.is_signed_in => {
                return self.send_error("write {\"do\":\"sign_in\",\"token\":…} first", cx.queue);
            }
            Request::Users { server } => WebRequest::Users { server: HostId(server) },
            Request::Loads { servers } => {
                let servers = servers.into_iter().take(WEB_LOADS_MAX).map(HostId).collect();
                WebRequest::Loads { servers }
            }
            Request::Kick { id, text } => {
                let text = text.map_or_else(String::new, |text| text.0.into_owned());
                WebRequest::Kick { id: HostId(id), text }
            }
            Request::Shutdown {} => WebRequest::Shutdown,
        };
        effects.push(Effect::Web(request));
    }

    fn sign_in(&mut self, token: &str, cx: &mut SessionCx<'_>, effects: &mut Effects<'_>) {
        let expected = cx.web.operator_token.as_ref();
        if !expected.is_some_and(|expected| expected.matches(token.as_bytes())) {
            let fault = Fault { code: CloseCode::Policy, reason: "wrong token" };
            return self.fail(fault, cx.queue, effects);
        }
        if !std::mem::replace(&mut self.is_signed_in, true) {
            effects.push(Effect::Authenticated);
            effects.push(Effect::Web(WebRequest::Watch));
        }
    }

    /// Ends the connection because of the client.
    fn fail(&mut self, fault: Fault, queue: &mut SendQueue, effects: &mut Effects<'_>) {
        self.closing.close(fault.code, fault.reason, queue);
        let reason = format!("operator's WebSocket: {}", fault.reason);
        effects.push(Effect::Close(CloseReason::ProtocolError(reason)));
    }

    /// Sends an event to an operator who has signed in.
    pub(super) fn send_event(&self, event: &[u8], queue: &mut SendQueue) {
        if !self.closing.is_closed() {
            write_text(queue.tail(), |out| out.extend_from_slice(event));
        }
    }

    fn send_error(&self, text: &str, queue: &mut SendQueue) {
        let event = EventOf::Error { text: Borrowed(text.as_bytes()) };
        write_text(queue.tail(), |out| event.write_json(out));
    }

    /// Says why the node ends the connection.
    pub(super) fn on_closing(&mut self, reason: &CloseReason, queue: &mut SendQueue) {
        let code = match reason {
            CloseReason::PeerClosed | CloseReason::Io(_) | CloseReason::QueueFull { .. } => return,
            CloseReason::Shutdown => CloseCode::Away,
            _ => CloseCode::Policy,
        };
        let text: Cow<'_, str> = match reason {
            CloseReason::RegisterDeadline if self.is_signed_in => "sign in again".into(),
            _ => reason.to_string().into(),
        };
        self.closing.close(code, &text, queue);
    }
}
