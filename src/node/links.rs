//! The links of a node, and the [`Outbox`] through which the relay uses them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use smallvec::SmallVec;

use super::Action;
use super::frame_deadlines::FrameDeadlines;
use super::link::{InputKind, Link, LinkRole, Wait, Waits};
use super::strangers::Strangers;
use crate::id::HostId;
use crate::limits::{Limits, ROOM_CHANGES_PER_TURN_MAX};
use crate::link::frame_decoder::FrameDecoder;
use crate::link::{
    CloseReason, Keepalive, LinkId, LinkTable, Origin, Security, SeededRng, SendQueue, Time,
    Traffic,
};
use crate::mail::Spool;
use crate::names::Names;
use crate::relay::message::{HostKind, Message, StatusCode};
use crate::relay::notice::{Notice, RoomChats};
use crate::relay::{Displaced, Host, Interests, Outbox, Relay, Unacknowledged, View};
use crate::wires::{NoticeCx, RoomFrames, Session, SessionCx, WebAccess, Wire};

/// The links, with everything that their sessions share.
#[derive(Clone, Debug)]
pub(super) struct Links {
    pub(super) table: LinkTable<Link>,
    pub(super) limits: Limits,
    /// Which requests of browsers are answered.
    pub(super) web: WebAccess,
    /// The message of the day; empty if there is none.
    pub(super) motd: String,
    pub(super) names: Names,
    pub(super) spool: Spool,
    pub(super) rng: SeededRng,
    /// Time of the last event. State rather than an argument, because the shell gives no time to
    /// `sent`, `poll_unsent` and `next_deadline`, which take this one.
    pub(super) now: Time,
    /// What follows in the input waits for the next turn: a queue rose above the high-water mark in
    /// this event, or very many users have joined or left rooms.
    pub(super) must_pause: bool,
    /// The link whose frame is being handled by its session.
    pub(super) frame_link: Option<LinkId>,
    /// Link that gets no [`Notice::UnknownId`]: the sender of a broadcast.
    pub(super) unknown_id_muted: Option<LinkId>,
    /// Number of hosts that the input of this event added, and of its changes to the rooms of
    /// users.
    pub(super) table_changes: u32,
    /// Links whose deferred input is handled in the next turn.
    pub(super) paused: Vec<LinkId>,
    /// Links that the node has ended, and that the relay does not know to be closed yet.
    pub(super) closing: VecDeque<(LinkId, CloseReason)>,
    /// Users of this server that have lost their ids, and are registered again under others.
    pub(super) displaced: Vec<(LinkId, Displaced)>,
    pub(super) actions: VecDeque<Action>,
    /// Number of chats and mail that were dropped because their link was being closed or its
    /// queue was full.
    pub(super) undelivered: u64,
    /// The traffic of links that have ended, by wire.
    pub(super) ended_traffic: BTreeMap<&'static str, Traffic>,
    /// When the timers of sessions run.
    pub(super) timers: BTreeSet<(Time, LinkId)>,
    /// When incomplete frames must be complete.
    pub(super) frame_deadlines: FrameDeadlines,
    pub(super) strangers: Strangers,
    /// Time since 1970 at a time of this program, at most a second before a turn.
    pub(super) wall_clock: Option<(Time, Duration)>,
}

impl Links {
    pub(super) fn new(limits: Limits, spool: Spool, rng: SeededRng) -> Self {
        Self {
            table: LinkTable::default(),
            limits,
            web: WebAccess::default(),
            motd: String::new(),
            names: Names::default(),
            spool,
            rng,
            now: Time::default(),
            must_pause: false,
            frame_link: None,
            unknown_id_muted: None,
            table_changes: 0,
            paused: Vec::new(),
            closing: VecDeque::new(),
            displaced: Vec::new(),
            actions: VecDeque::new(),
            undelivered: 0,
            ended_traffic: BTreeMap::new(),
            timers: BTreeSet::new(),
            frame_deadlines: FrameDeadlines::default(),
            strangers: Strangers::default(),
            wall_clock: None,
        }
    }

    pub(super) fn open(&mut self, wire: Wire, origin: &Origin) -> LinkId {
        let opened_at = self.now;
        self.table.open(|id| Link {
            id,
            decoder: FrameDecoder::default(),
            session: wire.open_session(),
            queue: SendQueue::default(),
            role: LinkRole::Dialled,
            traffic: Traffic::default(),
            origin: *origin,
            opened_at,
            is_closing: false,
            ends_when_sent: false,
            late_output: None,
            last_input: InputKind::Mixed,
            unacked_mail: 0,
            waits: Waits::default(),
            deferred_input: None,
            arrivals: None,
            timer: None,
        })
    }

    pub(super) fn get(&self, id: LinkId) -> Option<&Link> {
        self.table.get(id)
    }

    pub(super) fn get_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        self.table.get_mut(id)
    }

    /// Starts handling an event at `now`.
    pub(super) fn begin_event(&mut self, now: Time) {
        self.now = now;
        self.must_pause = false;
    }

    /// Returns the time since 1970.
    pub(super) fn unix_time(&self) -> Duration {
        let (at, unix_time) = self.wall_clock.unwrap_or_default();
        unix_time.saturating_add(self.now.since(at))
    }

    /// Schedules a link's deferred input for the next turn.
    pub(super) fn pause(&mut self, id: LinkId) {
        if let Some(link) = self.get_mut(id)
            && link.waits.insert(Wait::NextTurn)
        {
            self.paused.push(id);
        }
    }

    /// Returns a link unless the node has ended it.
    pub(super) fn live_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        self.get_mut(id).filter(|link| !link.is_closing)
    }

    /// Calls a link's session, which may reply to its client. Returns `None` if the link has ended.
    pub(super) fn with_session<R>(
        &mut self,
        id: LinkId,
        relay: &Relay,
        f: impl FnOnce(&mut dyn Session, &mut SessionCx<'_>) -> R,
    ) -> Option<R> {
        self.live_mut(id)?;
        let unix_time = self.unix_time();
        let Self { table, names, spool, limits, web, motd, rng, now, .. } = self;
        let call = |link: &mut Link| {
            let len_before = link.queue.len();
            let mut cx = SessionCx {
                now: *now,
                link: id,
                relay,
                names,
                spool,
                has_unacked_mail: link.unacked_mail > 0,
                has_deferred_input: link.deferred_input.is_some(),
                queue: &mut link.queue,
                limits,
                web,
                motd,
                is_encrypted: link.origin.security != Security::Plain,
                unix_time,
                rng,
            };
            let result = f(&mut *link.session, &mut cx);
            link.count_queued(len_before);
            (result, link.earlier_timer())
        };
        let ((result, timer), above_high_water) = table.enqueue_with(id, call)?;
        self.must_pause |= above_high_water;
        self.set_timer(id, timer);
        Some(result)
    }

    /// Closes a link whose queue exceeds its maximum. Returns whether it does.
    pub(super) fn close_if_overfull(&mut self, id: LinkId) -> bool {
        let Some(link) = self.get(id) else { return false };
        let (is_overfull, unsent_bytes) = (link.is_overfull(&self.limits), link.queue.len());
        if is_overfull {
            self.close(id, CloseReason::QueueFull { unsent_bytes });
        }
        is_overfull
    }

    /// Calls a link's session to put this many frames into its queue, or closes the link if the
    /// queue is full. Returns whether they were put there.
    fn enqueue(
        &mut self,
        id: LinkId,
        frames: usize,
        write: impl FnOnce(&mut dyn Session, &Names, &mut SendQueue),
    ) -> bool {
        let Self { table, names, limits, .. } = self;
        let mut is_queued = false;
        let enqueue = |link: &mut Link| {
            let queue_bytes_max = link.queue_bytes_max(limits);
            if let Some(queue) = &mut link.late_output {
                is_queued = queue.len() < queue_bytes_max;
                if is_queued {
                    write(&mut *link.session, names, queue);
                }
                return Some(None);
            }
            is_queued = link.accepts_output(limits);
            is_queued.then(|| {
                let len_before = link.queue.len();
                write(&mut *link.session, names, &mut link.queue);
                link.count_queued_frames(frames, len_before);
                link.earlier_timer()
            })
        };
        match table.enqueue_with(id, enqueue) {
            None => {}
            Some((Some(timer), above_high_water)) => {
                self.must_pause |= above_high_water;
                self.set_timer(id, timer);
            }
            Some((None, _)) => {
                self.table.count_buffers(id); // the late output of a link that has ended
                self.close_if_overfull(id);
            }
        }
        is_queued
    }
}

impl Outbox for Links {
    fn deliver(&mut self, id: LinkId, message: &Message<'_>) {
        let is_queued = self.enqueue(id, 1, |session, _, queue| session.on_message(message, queue));
        let is_message = matches!(
            message,
            Message::Chat { .. } | Message::Status { code: StatusCode::MAIL, .. }
        );
        self.undelivered += u64::from(!is_queued && is_message);
    }

    fn notify(&mut self, id: LinkId, view: View<'_>, notice: &Notice<'_>) {
        if self.unknown_id_muted == Some(id) && matches!(notice, Notice::UnknownId(_)) {
            return;
        }
        let unix_time = self.unix_time();
        let is_queued = self.enqueue(id, 1, |session, names, queue| {
            session.on_notice(notice, &mut NoticeCx { view, names, queue, unix_time });
        });
        let is_message = matches!(notice, Notice::Chat { .. } | Notice::Mail { .. });
        self.undelivered += u64::from(!is_queued && is_message);
    }

    fn notify_members(
        &mut self,
        members: &mut dyn Iterator<Item = (LinkId, HostId)>,
        view: View<'_>,
        chats: &RoomChats<'_>,
    ) {
        let mut encoded = RoomFrames::default();
        let unix_time = self.unix_time();
        for (id, destination) in members {
            self.enqueue(id, chats.texts.len(), |session, names, queue| {
                let mut cx = NoticeCx { view, names, queue, unix_time };
                session.on_room_chats(chats, destination, &mut encoded, &mut cx);
            });
        }
    }

    fn unix_time(&self) -> Duration {
        // Without a wall clock, nothing in the network depends on when this server has started.
        self.wall_clock.map_or(Duration::ZERO, |_| Self::unix_time(self))
    }

    fn unsent_bytes(&self, id: LinkId) -> usize {
        self.get(id).map_or(0, |link| link.queue.len())
    }

    fn traffic(&self, id: LinkId) -> Traffic {
        self.get(id).map(|link| link.traffic).unwrap_or_default()
    }

    fn received_at(&self, id: LinkId) -> Time {
        self.get(id).and_then(Link::received_at).unwrap_or(self.now)
    }

    fn origin(&self, id: LinkId) -> Origin {
        self.get(id).map(|link| link.origin).unwrap_or_default()
    }

    fn check_address(&mut self, id: LinkId, kind: HostKind) -> Result<(), CloseReason> {
        self.check_address_of(id, kind)
    }

    fn link_registered(&mut self, id: LinkId, kind: HostKind) -> Interests {
        let now = self.now;
        self.count_registered(id, kind);
        let Some(link) = self.get_mut(id) else { return Interests::default() };
        if kind == HostKind::Server {
            link.arrivals_mut(now);
        }
        let interests = link.session.interests();
        if kind == HostKind::Server {
            let Limits { ping_interval: idle, ping_timeout: timeout, .. } = self.limits;
            let keepalive = Keepalive { idle, timeout };
            self.actions.push_back(Action::Keepalive { link: id, keepalive });
        }
        interests
    }

    fn close(&mut self, id: LinkId, reason: CloseReason) {
        if self.live_mut(id).is_some() {
            self.write_last_words(id, &reason);
            if let Some(link) = self.get_mut(id) {
                link.is_closing = true;
            }
            self.closing.push_back((id, reason));
        }
    }

    fn displace(&mut self, id: LinkId, user: Displaced) -> bool {
        let takes_other_id = self.live_mut(id).is_some_and(|link| link.session.takes_other_id());
        if takes_other_id {
            self.displaced.push((id, user));
        }
        takes_other_id
    }

    fn keep_unacknowledged(&mut self, id: LinkId) {
        self.make_resumable(id);
    }

    fn handled_bytes(&self, id: LinkId) -> u64 {
        self.handled_on(id)
    }

    fn acknowledge(&mut self, id: LinkId, handled_bytes: u64) {
        self.release_kept(id, handled_bytes);
    }

    fn acknowledge_input(&mut self, id: LinkId) {
        let arrivals = self.get_mut(id).and_then(|link| link.arrivals.as_mut());
        if let Some(handled) = arrivals.and_then(|arrivals| arrivals.handled.as_mut()) {
            handled.must_acknowledge = true;
        }
    }

    fn end_output(&mut self, id: LinkId) -> u64 {
        self.get_mut(id).map_or(0, |link| {
            link.late_output.get_or_insert_default();
            link.traffic.bytes_out
        })
    }

    fn take_unacknowledged(&mut self, id: LinkId, each: &mut dyn FnMut(Unacknowledged<'_>)) {
        self.take_unacknowledged_of(id, each);
    }

    fn hold_back(&mut self, id: LinkId) -> bool {
        let is_input = self.frame_link == Some(id);
        if let Some(link) = self.get_mut(id).filter(|_| is_input) {
            link.waits.insert(Wait::LostHost);
        }
        is_input
    }

    fn is_held_back(&self, id: LinkId) -> bool {
        self.get(id).is_some_and(|link| link.waits.is_for(Wait::LostHost))
    }

    fn release(&mut self, id: LinkId) {
        let now = self.now;
        if let Some(link) = self.get_mut(id)
            && link.waits.remove(Wait::LostHost)
        {
            if let Some(arrivals) = &mut link.arrivals {
                arrivals.at = now; // the other end has not been silent, but was not read
            }
            self.pause(id);
        }
    }

    fn dial(&mut self, parent: usize) -> LinkId {
        let link = self.open(Wire::CRC, &Origin::default());
        self.actions.push_back(Action::Dial { target: parent, link });
        link
    }

    fn dial_address(&mut self, address: SocketAddr) -> LinkId {
        let link = self.open(Wire::CRC, &Origin::default());
        self.actions.push_back(Action::DialAddress { address, link });
        link
    }

    fn awaits_hosts(&self) -> bool {
        !self.spool.is_idle()
    }

    fn host_up(&mut self, host: &Host) {
        self.table_changes += 1;
        self.names.host_up(host);
        if host.kind == HostKind::User && !self.spool.is_idle() {
            for mailbox in self.names.mailboxes_of(host) {
                self.spool.user_up(mailbox, host.id);
            }
        }
    }

    fn rooms_changed(&mut self) {
        self.table_changes += 1;
        self.must_pause |= self.table_changes >= ROOM_CHANGES_PER_TURN_MAX;
    }

    fn host_down(&mut self, host: &Host) {
        if host.kind == HostKind::User && !self.spool.is_idle() {
            for mailbox in self.names.mailboxes_of(host) {
                self.spool.user_down(mailbox, host.id);
            }
        }
        if let Some((wide_id, new_owner)) = self.names.host_down(host, self.unix_time()) {
            self.spool.user_up(wide_id, new_owner);
        }
    }

    fn namesakes(&self, nick: &[u8]) -> SmallVec<[HostId; 2]> {
        self.names.nicks.namesakes(nick)
    }

    fn give_nick(&mut self, host: &Host) {
        self.names.nicks.give_nick(host);
    }
}
