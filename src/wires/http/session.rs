//! The session of an HTTP connection, and of the WebSocket that it may become.

use super::answer::{Next, answer};
use super::chat::Chat;
use super::operator::Operator;
use super::response::{Delivery, Response};
use super::{request, response, websocket};
use crate::limits::{Limits, OPERATOR_LINE_BYTES_MAX};
use crate::link::{CloseReason, SendQueue, Time};
use crate::names::Names;
use crate::relay::notice::Notice;
use crate::relay::{Interests, Relay};
use crate::wires::{Effect, Effects, NoticeCx, SessionCx, WebReply, Wire};

/// An HTTP session.
#[derive(Clone, Debug, Default)]
pub struct Session {
    state: State,
}

/// What a connection is used for.
#[derive(Clone, Debug, Default)]
enum State {
    /// The first request.
    #[default]
    Connected,
    /// Further requests, after at least one was answered.
    Requests,
    /// The reply to a request, which arrives in parts.
    Reply(Delivery),
    /// Chat.
    Chat(Box<Chat>),
    /// The operator's WebSocket.
    Operator(Box<Operator>),
    /// Nothing: it ends once what was written is sent.
    Ended,
}

impl crate::wires::Session for Session {
    #[inline]
    fn wire(&self) -> Wire {
        Wire::HTTP
    }

    fn clone_box(&self) -> Box<dyn crate::wires::Session> {
        Box::new(self.clone())
    }

    /// The framing changes with what the connection is used for. What a session refuses with an
    /// answer is a frame, too.
    #[inline]
    fn frame_len(&self, bytes: &[u8], limits: &Limits) -> Result<Option<usize>, String> {
        Ok(match self.state {
            State::Connected | State::Requests | State::Reply(_) => request::head_len(bytes),
            State::Operator(_) => websocket::frame_len(bytes, OPERATOR_LINE_BYTES_MAX),
            State::Chat(_) => websocket::frame_len(bytes, limits.frame_bytes_max),
            State::Ended => Some(bytes.len()),
        })
    }

    fn on_frame<'a>(&mut self, frame: &'a [u8], cx: &mut SessionCx<'_>, effects: &mut Effects<'a>) {
        match &mut self.state {
            State::Connected | State::Requests => match answer(frame, cx) {
                Next::Requests => self.state = State::Requests,
                Next::Chat => self.state = State::Chat(Box::default()),
                Next::Operator => self.state = State::Operator(Box::default()),
                Next::Reply(delivery, request) => {
                    self.state = State::Reply(delivery);
                    effects.push(Effect::Authenticated);
                    effects.push(Effect::Web(request));
                }
                Next::End => {
                    self.state = State::Ended;
                    effects.push(Effect::CloseWhenSent);
                }
            },
            State::Reply(_) => effects.push(Effect::Defer),
            State::Chat(chat) => chat.on_frame(frame, cx, effects),
            State::Operator(operator) => operator.on_frame(frame, cx, effects),
            State::Ended => {}
        }
    }

    fn on_notice(&mut self, notice: &Notice<'_>, cx: &mut NoticeCx<'_>) {
        if let State::Chat(chat) = &mut self.state {
            chat.on_notice(notice, cx);
        }
    }

    fn on_timer(&mut self, cx: &mut SessionCx<'_>, _: &mut Effects<'_>) {
        if let State::Chat(chat) = &mut self.state {
            chat.on_timer(cx.now);
        }
    }

    fn deadline(&self) -> Option<Time> {
        match &self.state {
            State::Chat(chat) => chat.deadline(),
            _ => None,
        }
    }

    fn interests(&self) -> Interests {
        match &self.state {
            State::Chat(chat) => chat.interests(),
            _ => Interests::default(),
        }
    }

    fn is_behind(&self, _: &Names) -> bool {
        matches!(&self.state, State::Chat(chat) if chat.is_behind())
    }

    fn send_pending(&mut self, _: Time, relay: &Relay, _: &mut Names, queue: &mut SendQueue) {
        if let State::Chat(chat) = &mut self.state {
            chat.send_pending(relay, queue);
        }
    }

    fn is_answered(&self) -> bool {
        matches!(self.state, State::Requests | State::Ended)
    }

    fn buffer_bytes(&self) -> usize {
        match &self.state {
            State::Chat(chat) => chat.buffer_bytes(),
            State::Operator(operator) => operator.buffer_bytes(),
            _ => 0,
        }
    }

    fn on_closing(&mut self, reason: &CloseReason, has_partial: bool, queue: &mut SendQueue) {
        let is_late = matches!(reason, CloseReason::RegisterDeadline | CloseReason::FrameDeadline);
        match &mut self.state {
            State::Chat(chat) => chat.on_closing(reason, queue),
            State::Operator(operator) => operator.on_closing(reason, queue),
            State::Connected | State::Requests if is_late && has_partial => {
                let response = Response::text(408, "the request took too long\n");
                response.write(Delivery { is_head: false, closes: true }, queue.tail());
            }
            _ => {}
        }
    }

    fn on_web_reply(&mut self, reply: WebReply<'_>, queue: &mut SendQueue) -> bool {
        let out = queue.tail();
        match (&self.state, reply) {
            (State::Operator(operator), WebReply::Event(event)) => {
                operator.send_event(event, queue);
            }
            (State::Reply(delivery), WebReply::Head { content_type }) => {
                response::write_stream_head(content_type, *delivery, out);
            }
            (State::Reply(delivery), WebReply::Body(part)) => {
                response::write_part(part, *delivery, out);
            }
            (State::Reply(delivery), WebReply::End) => {
                let closes = delivery.closes;
                response::write_end(*delivery, out);
                self.state = if closes { State::Ended } else { State::Requests };
                return closes;
            }
            _ => {}
        }
        false
    }
}
