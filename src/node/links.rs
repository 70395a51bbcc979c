//! The links of a server: everything that a node keeps for each connection, and the way in which the
//! relay's decisions reach them.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;

use rand::rngs::StdRng;

use super::Action;
use super::link::{Link, Traffic};
use crate::doors::assembly::Assembly;
use crate::doors::{Desk, Door, SendQueue, Session, Shared};
use crate::limits::Limits;
use crate::mail::Room;
use crate::relay::message::{HostId, Kind, Message, StatusCode, WideId};
use crate::relay::{CloseReason, Host, LinkId, Outbox, Relay, Time};
use crate::slots::Slots;

/// The links and what the relay asks for them: everything but the relay itself.
#[derive(Debug)]
pub(super) struct Links {
    pub(super) slots: Slots<Link>,
    pub(super) limits: Limits,
    pub(super) shared: Shared,
    pub(super) mail: Room,
    pub(super) rng: StdRng,
    pub(super) now: Time,
    /// A queue has become long in this turn, and has not been written since.
    pub(super) is_pressed: bool,
    /// Who is not to hear that somebody is unknown.
    pub(super) hushed: Option<LinkId>,
    /// Hosts that came with the bytes that are handled now.
    pub(super) joined: u32,
    /// Links whose frames go on in the next turn.
    pub(super) paused: Vec<LinkId>,
    /// Told to close; the relay has not heard of it yet.
    pub(super) closing: VecDeque<(LinkId, CloseReason)>,
    pub(super) actions: VecDeque<Action>,
    /// When sessions are called next.
    pub(super) alarms: BTreeSet<(Time, LinkId)>,
}

impl Links {
    pub(super) fn new(limits: Limits, mail: Room, rng: StdRng) -> Self {
        Self {
            slots: Slots::default(),
            limits,
            shared: Shared::default(),
            mail,
            rng,
            now: Time::default(),
            is_pressed: false,
            hushed: None,
            joined: 0,
            paused: Vec::new(),
            closing: VecDeque::new(),
            actions: VecDeque::new(),
            alarms: BTreeSet::new(),
        }
    }

    pub(super) fn open(&mut self, door: Door, peer: Option<SocketAddr>) -> LinkId {
        let since = self.now;
        self.slots.open(|id| Link {
            id,
            assembly: Assembly::default(),
            session: Session::new(door),
            queue: SendQueue::default(),
            kind: Kind::User,
            traffic: Traffic::default(),
            peer,
            since,
            is_closing: false,
            brings_hosts: false,
            unkept: 0,
            is_broadcasting: false,
            is_paused: false,
            held: None,
            alarm: None,
        })
    }

    pub(super) fn get(&self, id: LinkId) -> Option<&Link> {
        self.slots.get(id)
    }

    pub(super) fn get_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        self.slots.get_mut(id)
    }

    /// Something happens: so late is it.
    pub(super) fn begin(&mut self, now: Time) {
        self.now = now;
        self.is_pressed = false;
    }

    /// What a link said and was not handled comes in the next turn.
    pub(super) fn pause(&mut self, id: LinkId) {
        if let Some(link) = self.get_mut(id)
            && !std::mem::replace(&mut link.is_paused, true)
        {
            self.paused.push(id);
        }
    }

    /// A link that has not been told to close.
    pub(super) fn live_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        self.get_mut(id).filter(|link| !link.is_closing)
    }

    /// Lets a link's session do something in which it may answer its client.
    pub(super) fn at_desk<R>(
        &mut self,
        id: LinkId,
        relay: &Relay,
        act: impl FnOnce(&mut Session, &mut Desk<'_>) -> R,
    ) -> Option<R> {
        self.live_mut(id)?;
        let Self { slots, shared, mail, limits, rng, now, .. } = self;
        let put = |link: &mut Link| {
            let unsent_bytes = link.queue.len();
            let mut desk = Desk {
                now: *now,
                relay,
                shared,
                mail,
                is_keeping: link.unkept > 0,
                is_held: link.held.is_some(),
                queue: &mut link.queue,
                limits,
                rng,
            };
            let result = act(&mut link.session, &mut desk);
            link.count(unsent_bytes);
            (result, link.next_alarm())
        };
        let ((result, alarm), is_pressed) = slots.put(id, put)?;
        self.is_pressed |= is_pressed;
        self.set_alarm(id, alarm);
        Some(result)
    }

    /// Notes when a link's session is to be called, if that is earlier than was known.
    pub(super) fn set_alarm(&mut self, id: LinkId, alarm: Option<Time>) {
        if let Some(at) = alarm
            && let Some(link) = self.slots.get_mut(id)
        {
            if let Some(before) = link.alarm.replace(at) {
                self.alarms.remove(&(before, id));
            }
            self.alarms.insert((at, id));
        }
    }

    /// The next link whose alarm has come.
    pub(super) fn next_alarm(&mut self) -> Option<LinkId> {
        let &(at, id) = self.alarms.first().filter(|&&(at, _)| at <= self.now)?;
        self.alarms.remove(&(at, id));
        if let Some(link) = self.get_mut(id) {
            link.alarm = None;
        }
        Some(id)
    }

    /// Forgets a link.
    pub(super) fn remove(&mut self, id: LinkId) {
        if let Some(mut link) = self.slots.remove(id) {
            link.session.closed(&mut self.shared);
            if let Some(alarm) = link.alarm {
                self.alarms.remove(&(alarm, id));
            }
            self.mail.closed(id);
        }
    }

    /// Ends a link that holds more unsent bytes than it may. Answers whether it does.
    pub(super) fn close_overfull(&mut self, id: LinkId) -> bool {
        let Some(link) = self.get(id) else { return false };
        let (is_overfull, unsent_bytes) = (link.is_overfull(&self.limits), link.queue.len());
        if is_overfull {
            self.close(id, CloseReason::QueueFull { unsent_bytes });
        }
        is_overfull
    }

    /// Lets a link's session put something from the relay into its queue, if it may still grow.
    fn put(&mut self, id: LinkId, put: impl FnOnce(&mut Session, &Shared, &mut SendQueue)) {
        let Self { slots, shared, limits, .. } = self;
        let put = |link: &mut Link| {
            link.may_grow(limits).then(|| {
                let unsent_bytes = link.queue.len();
                put(&mut link.session, shared, &mut link.queue);
                link.count(unsent_bytes);
                link.next_alarm()
            })
        };
        match slots.put(id, put) {
            None => {}
            Some((Some(alarm), is_pressed)) => {
                self.is_pressed |= is_pressed;
                self.set_alarm(id, alarm);
            }
            Some((None, _)) => {
                self.close_overfull(id);
            }
        }
    }

    /// Lets a link's session refuse what its client asked for, though it may be told to close already.
    pub(super) fn refuse(&mut self, id: LinkId) {
        let _ = self.slots.put(id, |link| {
            let unsent_bytes = link.queue.len();
            link.session.refused(&mut link.queue);
            link.count(unsent_bytes);
        });
    }
}

impl Outbox for Links {
    fn deliver(&mut self, id: LinkId, message: &Message<'_>) {
        if self.hushed == Some(id)
            && matches!(message, Message::Status { code: StatusCode::UNKNOWN_ID, .. })
        {
            return;
        }
        self.put(id, |session, shared, queue| session.deliver(message, shared, queue));
    }

    fn deliver_mail(&mut self, id: LinkId, sender: WideId, destination: HostId, text: &[u8]) {
        self.put(id, |session, shared, queue| {
            session.deliver_mail(sender, destination, text, shared, queue);
        });
    }

    fn unsent_bytes(&self, id: LinkId) -> usize {
        self.get(id).map_or(0, |link| link.queue.len())
    }

    fn registered(&mut self, id: LinkId, kind: Kind) -> bool {
        let Some(link) = self.get_mut(id) else { return false };
        link.kind = kind;
        link.session.hears_of_hosts()
    }

    fn close(&mut self, id: LinkId, reason: CloseReason) {
        if let Some(link) = self.live_mut(id) {
            link.is_closing = true;
            self.closing.push_back((id, reason));
        }
    }

    fn dial(&mut self, parent: usize) -> LinkId {
        let link = self.open(Door::Crc, None);
        self.actions.push_back(Action::Dial { parent, link });
        link
    }

    fn came(&mut self, host: &Host) {
        self.joined += 1;
        self.shared.came(host);
        if host.kind == Kind::User && !self.mail.is_idle() {
            for number in self.shared.numbers.all_of(host.id) {
                self.mail.came(number, host.id);
            }
        }
    }

    fn left(&mut self, host: &Host) {
        if host.kind == Kind::User && !self.mail.is_idle() {
            for number in self.shared.numbers.all_of(host.id) {
                self.mail.stop(number);
            }
        }
        if let Some((number, next)) = self.shared.left(host) {
            self.mail.came(number, next);
        }
    }
}
