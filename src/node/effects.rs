//! The effects of sessions: registrations, chats and mail.

use super::{Link, Node};
use crate::id::{HostId, WideId};
use crate::limits::QUEUE_LOW_WATER_BYTES;
use crate::link::{CloseReason, LinkId};
use crate::mail::{AppendError, Sender};
use crate::names::nick::is_nick;
use crate::relay::message::{HostKind, Message, Registration};
use crate::relay::notice::{Notice, rename_text};
use crate::relay::{FirstLink, MailText, Outbox as _, RoomRefusal};
use crate::wires::{Effect, Effects, RoomAction, RoomRequest};

impl Node {
    /// Applies the effects of an event of a link's session, in order.
    pub(super) fn apply_all(&mut self, id: LinkId, effects: Effects<'_>) {
        for effect in effects {
            self.apply(id, effect);
        }
    }

    /// Applies one effect.
    pub(super) fn apply(&mut self, id: LinkId, effect: Effect<'_>) {
        let now = self.links.now;
        match effect {
            Effect::Defer => {}
            Effect::Relay(message) => {
                if let Message::Chat { destination: to, .. }
                | Message::Registration(Registration { source: to, .. }) = message
                {
                    self.register_if_reserved(to);
                }
                self.relay.receive(now, id, &message, &mut self.links);
            }
            Effect::Register { id: host, name, info } => {
                self.register(id, host, &name, info.as_deref());
            }
            Effect::Continue => {
                let mut effects = Effects::new();
                self.links.with_session(id, &self.relay, |session, cx| {
                    session.on_continue(cx, &mut effects);
                });
                self.apply_all(id, effects);
            }
            Effect::Chat { from, to, text } => {
                self.forward_chats(id, (from, to), &text, &[]);
            }
            Effect::Broadcast { from, text } => self.start_broadcast(id, from, &text),
            Effect::Room(request) => self.apply_room(id, &request),
            Effect::Profile(change) => {
                let result = self.relay.change_profile(now, id, &change, &mut self.links);
                self.report_refusal(id, b"", result);
            }
            Effect::SendMail { from, to, text } => self.append_mail(id, from, to, &text),
            Effect::Quit { from: source, text } => {
                let quit = Message::ClientQuit { source, text: &text };
                self.relay.receive(now, id, &quit, &mut self.links);
            }
            Effect::Authenticated => self.authenticate(id),
            Effect::Web(request) => self.web_requests.push_back((id, request)),
            Effect::Close(reason) => self.links.close(id, reason),
            Effect::CloseWhenSent => self.links.close_when_sent(id),
        }
    }

    /// Applies a request about a room, and informs the client of a refusal.
    fn apply_room(&mut self, id: LinkId, request: &RoomRequest<'_>) {
        let (now, room) = (self.links.now, &*request.room);
        let (relay, links) = (&mut self.relay, &mut self.links);
        let result = match &request.action {
            RoomAction::Join => relay.join_room(now, id, room, links),
            RoomAction::Part(text) => relay.part_room(now, id, (room, text), links),
            RoomAction::Topic(text) => relay.set_topic(now, id, (room, text), links),
            RoomAction::Chat(text) => {
                relay.chat_in_room(now, id, (room, &[text]), links);
                Ok(())
            }
        };
        self.report_refusal(id, room, result);
    }

    /// Informs a client why a request is refused.
    fn report_refusal(&mut self, id: LinkId, room: &[u8], result: Result<(), RoomRefusal>) {
        if let Err(refusal) = result {
            let reason = refusal.to_string();
            let notice = Notice::RoomRefused { room, reason: &reason };
            self.links.notify(id, self.relay.view(), &notice);
        }
    }

    /// Registers the client of this server for which an id is reserved, if there is one: something
    /// is sent to it, or someone else asks for the id.
    fn register_if_reserved(&mut self, host: HostId) -> bool {
        let link = self.links.names.reserved_ids.link_of(host);
        if let Some(link) = link {
            self.register_assigned(link, None);
        }
        link.is_some()
    }

    /// Registers the client of a link that was assigned an id and is not a user yet, see
    /// [`Session::on_first_use`](crate::wires::Session::on_first_use).
    #[cold]
    pub(super) fn register_assigned(&mut self, id: LinkId, frame: Option<&[u8]>) {
        let mut effects = Effects::new();
        self.links.with_session(id, &self.relay, |session, cx| {
            session.on_first_use(frame, cx, &mut effects);
        });
        self.apply_all(id, effects);
    }

    /// Appends mail from a link, or refuses it. A message to a client of this server that is not a
    /// user yet is a chat.
    fn append_mail(&mut self, id: LinkId, from: WideId, to: WideId, text: &[u8]) {
        if let Ok(host) = u32::try_from(to.0).map(HostId)
            && self.register_if_reserved(host)
            && let Some(sender) = self.relay.adjacent_host(id).map(|sender| sender.id)
        {
            self.forward_chats(id, (sender, host), text, &[]);
            return;
        }
        let name = self.relay.adjacent_host(id).map_or(&[][..], |sender| sender.name());
        let nick = if is_nick(name) { name } else { b"" };
        let sent_at_ms = u64::try_from(self.links.unix_time().as_millis()).unwrap_or_default();
        let sender = Sender { link: id, id: from, nick, sent_at_ms };
        match self.links.spool.append(self.links.now, &sender, to, text) {
            Ok(()) => {
                if let Some(link) = self.links.get_mut(id) {
                    link.unacked_mail += 1;
                }
            }
            Err(error) => {
                // Logged at growing intervals instead of for each message.
                let refused_count = self.links.spool.refused();
                if refused_count.is_power_of_two() {
                    log::warn!("a message to {to} is refused ({refused_count} so far): {error}");
                }
                self.refuse_mail(id, to, &error);
            }
        }
    }

    /// Notifies the sender of the oldest of its messages that is stored now.
    pub(super) fn confirm_mail(&mut self, id: LinkId) {
        self.links.notify(id, self.relay.view(), &Notice::MailKept);
    }

    /// Notifies the sender of a message that is not kept. Must be called before anything that the
    /// sender sent after it is handled.
    pub(super) fn refuse_mail(&mut self, id: LinkId, to: WideId, error: &AppendError) {
        let reason = error.to_string();
        self.links.notify(id, self.relay.view(), &Notice::MailRefused { to, reason: &reason });
    }

    /// Registers a session's client as a user. A user that it was before leaves.
    fn register(&mut self, id: LinkId, host_id: HostId, name: &[u8], info: Option<&[u8]>) {
        let now = self.links.now;
        if self.relay.adjacent_host(id).is_some() {
            let reason = CloseReason::Session(rename_text(name));
            self.relay.closed(now, id, &reason, &mut self.links);
            self.relay.accepted(now, id, &mut self.links);
        }
        let wire_name = self.links.get(id).map_or("", |link| link.wire().name());
        let registration = Registration {
            kind: HostKind::User,
            source: host_id,
            last_hop: HostId::NONE,
            name,
            info: info.unwrap_or(wire_name.as_bytes()),
        };
        self.relay.receive(now, id, &Message::Registration(registration), &mut self.links);
        if self.relay.adjacent_host(id).is_none() {
            // The relay has logged the reason and closes the link; the session reports it on its
            // wire.
            self.links.refuse_registration(id);
            self.links.close(id, CloseReason::Session("not registered".to_owned()));
        }
    }

    /// Delivers mail to users who can be reached, as far as their links' queues have room.
    pub(super) fn deliver_ready_mail(&mut self) {
        while let Some(user) = self.links.spool.next_ready() {
            let host = self.relay.hosts().get(user);
            let first_link = host.map(|host| self.relay.first_link(host));
            let Some(FirstLink::Link(link)) = first_link else {
                self.links.spool.on_unreachable();
                continue;
            };
            if self.links.spool.waits_for_other_link(link) {
                continue;
            }
            let is_full = self.links.unsent_bytes(link) >= QUEUE_LOW_WATER_BYTES;
            if is_full || self.relay.has_paced_frames(link) {
                self.links.spool.on_queue_full(link);
                continue;
            }
            let mail = self.links.spool.take_ready();
            let sender = self.links.names.wide_ids.find_user(mail.from, self.relay.hosts());
            let sender_host = sender.map(|host| host.id);
            let (relay, links) = (&mut self.relay, &mut self.links);
            let text = MailText {
                sender: mail.from,
                nick: &mail.from_nick,
                sent_at_ms: mail.sent_at_ms,
                text: &mail.text,
            };
            relay.forward_mail(links.now, (&text, sender_host), user, links);
            let end_offset = links.get(link).map_or(u64::MAX, |link| link.traffic.bytes_out);
            let end_offset = Some(end_offset).filter(|_| !relay.has_paced_frames(link));
            links.spool.on_queued(link, end_offset, mail.id);
        }
    }

    /// Lets every session send shared state that changed in this turn.
    pub(super) fn send_pending_to_all(&mut self) {
        let links = self.links.table.iter().map(Link::id).collect::<Vec<_>>();
        for id in links {
            self.send_pending_to(id);
        }
    }

    pub(super) fn send_pending_to(&mut self, id: LinkId) {
        let now = self.links.now;
        self.links.with_session(id, &self.relay, |session, cx| {
            session.send_pending(now, cx.relay, cx.names, cx.queue);
        });
    }
}
