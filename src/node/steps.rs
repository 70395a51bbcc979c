//! What sessions ask for, carried out: registrations, chats, and mail from and to them.

use super::{Link, Node};
use crate::doors::Step;
use crate::limits::BURST_PORTION_BYTES;
use crate::relay::message::{HostId, Kind, Message, Registration};
use crate::relay::{CloseReason, FirstLink, LinkId, Outbox as _};

impl Node {
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
