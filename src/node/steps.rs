//! What sessions ask for, carried out: registrations, chats, and mail from and to them.

use super::{Action, Link, Node};
use crate::doors::Step;
use crate::doors::assembly::Flow;
use crate::limits::BURST_PORTION_BYTES;
use crate::relay::message::{HostId, Kind, Message, Registration};
use crate::relay::{CloseReason, FirstLink, LinkId, Outbox as _};

impl Node {
    /// The first frame of some bytes, of a wire whose words are not the relay's; if it is a chat, with those
    /// behind it that go the same way.
    pub(super) fn handle_words(&mut self, id: LinkId, bytes: &[u8], len: usize) -> Flow {
        if self.links.is_pressed {
            return Flow::Hold;
        }
        if !self.is_open(id) {
            return Flow::Stop;
        }
        // What a session answers goes into the queue of a client that may not be reading.
        if let Some(reason) = self.links.overfull(id) {
            self.links.close(id, reason);
            return Flow::Stop;
        }
        if self.links.get(id).is_some_and(|link| link.is_broadcasting) {
            return Flow::Hold;
        }
        let receive = |session: &mut crate::doors::Session, desk: &mut crate::doors::Desk<'_>| {
            session.receive(&bytes[..len], desk)
        };
        let (frames, more_bytes) = match self.links.at_desk(id, &self.relay, receive) {
            None => return Flow::Stop,
            Some(Step::Hold) => return Flow::Hold,
            Some(Step::Chat { from, to, text }) => self.chats(id, (from, to), &text, &bytes[len..]),
            Some(step) => {
                self.perform(id, step);
                (1, 0)
            }
        };
        if let Some(link) = self.links.get_mut(id) {
            link.traffic.frames_in += frames;
        }
        Flow::MoreAfter(len + more_bytes)
    }

    /// Passes on a chat of a session's client, and those in the same row that follow it in `rest`: they
    /// are looked up once. Answers how many chats that was, and how many bytes of the rest.
    fn chats(
        &mut self,
        id: LinkId,
        ends: (HostId, HostId),
        text: &[u8],
        rest: &[u8],
    ) -> (u64, usize) {
        let (source, destination) = ends;
        if self.links.closing.is_empty()
            && let Some(first) = self.relay.lane(id, source, destination)
            && let Some(link) = self.links.get(id)
        {
            let mut rest = link.session.chats_after(rest, &self.links.limits);
            if let Some(frames) = self.links.pass_chats(first, ends, text, &mut rest) {
                log::debug!("link {id}: {frames} chats from {source} to {destination}");
                return (frames, rest.taken_bytes());
            }
        }
        let chat = Message::Chat { source, destination, text };
        self.relay.receive(self.links.now, id, &chat, &mut self.links);
        (1, 0)
    }

    /// Carries out what a link's session asks for.
    pub(super) fn perform(&mut self, id: LinkId, step: Step<'_>) {
        let now = self.links.now;
        match step {
            Step::Nothing | Step::Hold => {}
            Step::Say(message) => self.relay.receive(now, id, &message, &mut self.links),
            Step::Register { id: host, name } => self.register(id, host, &name),
            Step::Chat { from, to, text } => {
                self.chats(id, (from, to), &text, &[]);
            }
            Step::ChatToAll { from, text } => self.begin_broadcast(id, from, &text),
            Step::Keep { from, to, text } => match self.links.mail.keep(now, id, from, to, &text) {
                Ok(()) => {
                    if let Some(link) = self.links.get_mut(id) {
                        link.unkept += 1;
                    }
                }
                Err(refusal) => {
                    // Said often enough to be seen, and not for each.
                    let refused = self.links.mail.refused();
                    if refused.is_power_of_two() {
                        log::warn!("a message to {to} is refused ({refused} so far): {refusal}");
                    }
                }
            },
            Step::Close(reason) => self.links.close(id, reason),
        }
    }

    /// A session's client joins as a user, or as another one than before.
    fn register(&mut self, id: LinkId, host: HostId, name: &[u8]) {
        let now = self.links.now;
        if self.relay.adjacent(id).is_some() {
            let name = String::from_utf8_lossy(name);
            let reason = CloseReason::Session(format!("is known as {name} from now on"));
            self.relay.closed(now, id, &reason, &mut self.links);
            self.relay.accepted(now, id);
        }
        let door = self.links.get(id).map(|link| link.door().to_string()).unwrap_or_default();
        let registration = Registration {
            kind: Kind::User,
            source: host,
            last_hop: HostId::NONE,
            name,
            info: door.as_bytes(),
        };
        self.relay.receive(now, id, &Message::Registration(registration), &mut self.links);
        if self.relay.adjacent(id).is_none() {
            // The relay closes the link and has said why; a client on this wire is told in its words.
            self.links.refuse(id);
            self.links.close(id, CloseReason::Session("not registered".to_owned()));
        }
    }

    /// Puts mail into the queues of those who can be reached, as far as there is room.
    pub(super) fn hand_over(&mut self) {
        while let Some(user) = self.links.mail.next_ready() {
            let host = self.relay.hosts().get(user);
            let Some(FirstLink::Link(link)) = host.map(|host| host.first_link) else {
                self.links.mail.unreachable();
                continue;
            };
            if self.links.unsent_bytes(link) >= BURST_PORTION_BYTES {
                self.links.mail.blocked(link);
                continue;
            }
            let mail = self.links.mail.take_ready();
            let known_as = self.links.shared.numbers.user(mail.from, self.relay.hosts());
            let known_as = known_as.map(|host| host.id);
            let (relay, links) = (&mut self.relay, &mut self.links);
            relay.pass_mail(mail.from, known_as, user, &mail.text, links);
            let mark = links.get(link).map_or(u64::MAX, |link| link.traffic.bytes_out);
            links.mail.handed(link, mark, mail.id);
        }
    }

    /// Goes on with what a link said while it had to wait, if it has to no more.
    pub(super) fn release(&mut self, id: LinkId) {
        let is_pressed = self.links.is_pressed;
        let Some(link) = self.links.live_mut(id) else {
            return;
        };
        if link.unkept > 0 || link.is_broadcasting || link.is_paused {
            return;
        }
        if is_pressed && link.held.is_some() {
            return self.links.pause(id);
        }
        if let Some(held) = link.held.take() {
            self.feed(id, &held, &mut |_, _| 0);
            if self.is_listening(id) {
                self.links.actions.push_back(Action::Resume { link: id });
            }
        }
    }

    /// Sessions tell their clients what has changed in this turn.
    pub(super) fn refresh_all(&mut self) {
        let links = self.links.slots.iter().map(Link::id).collect::<Vec<_>>();
        for id in links {
            self.refresh(id);
        }
    }

    pub(super) fn refresh(&mut self, id: LinkId) {
        let now = self.links.now;
        self.links.at_desk(id, &self.relay, |session, desk| {
            session.refresh(now, desk.shared, desk.queue);
        });
    }
}
