//! A simulator of the serverless mode: real [`Peer`]s over the transport of [`super::World`].

use std::collections::BTreeMap;
use std::time::Duration;

use crc::link::{CloseReason, LinkId, ListenerId, Machine as _, Origin, Time};
use crc::peer::wire::MessageId;
use crc::peer::{Action, Event, Peer, SendError};
use crc::room::RoomName;
use rand::RngExt as _;

use super::NetConditions;
use super::virtual_net::VirtualNet;

/// Maximum number of events in one call of [`PeerWorld::run_for`].
const EVENTS_MAX: u64 = 100_000_000;

/// The wall clock at the start, since 1970.
pub const WALL_CLOCK_START: Duration = Duration::from_secs(1_800_000_000);

/// One end of a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct PipeEnd {
    peer: usize,
    link: LinkId,
}

#[derive(Debug)]
enum NetEvent {
    Bytes(PipeEnd, Vec<u8>),
    Closed(PipeEnd, CloseReason),
    /// A dial arrives at its address.
    Dialled {
        from: PipeEnd,
        address: String,
    },
    /// The next timer of a peer may be due.
    Wakeup(usize),
}

struct SimPeer {
    address: String,
    /// The peer, or `None` after it was killed or has stopped.
    peer: Option<Peer>,
    targets: Vec<String>,
    /// When the peer's timers are checked next.
    next_wakeup: Option<Time>,
    started_at: Time,
    events: Vec<Event>,
}

/// A network of peers without servers.
pub struct PeerWorld {
    net: VirtualNet<PipeEnd, NetEvent>,
    peers: Vec<SimPeer>,
    /// The index of the latest peer at each address.
    latest_by_address: BTreeMap<String, usize>,
}

impl PeerWorld {
    /// Returns an empty network.
    #[must_use]
    pub fn new(seed: u64, conditions: NetConditions) -> Self {
        let net = VirtualNet::new(seed, conditions);
        Self { net, peers: Vec::new(), latest_by_address: BTreeMap::new() }
    }

    /// Returns the virtual time since the start.
    #[must_use]
    pub fn now(&self) -> Time {
        self.net.now
    }

    /// Starts a peer at an address, and returns its index.
    pub fn start(&mut self, address: &str, desired_id: Option<i64>, targets: &[&str]) -> usize {
        let wall_clock = WALL_CLOCK_START + self.net.now.since_start();
        let seed = self.net.rng.random();
        let peer = Peer::new(desired_id, targets.len(), wall_clock, seed);
        self.peers.push(SimPeer {
            address: address.to_owned(),
            peer: Some(peer),
            targets: targets.iter().map(|&target| target.to_owned()).collect(),
            next_wakeup: None,
            started_at: self.net.now,
            events: Vec::new(),
        });
        let index = self.peers.len() - 1;
        self.latest_by_address.insert(address.to_owned(), index);
        self.drive(index);
        index
    }

    /// Returns a peer while it runs.
    #[must_use]
    pub fn peer(&self, index: usize) -> Option<&Peer> {
        self.peers[index].peer.as_ref()
    }

    /// Returns the id of a running peer.
    ///
    /// # Panics
    /// If the peer is not running, or has no id yet.
    #[must_use]
    pub fn id(&self, index: usize) -> i64 {
        self.peer(index).expect("alive").id().expect("an id")
    }

    /// Calls a method of a peer with the time on its own clock, which starts with the peer, and
    /// applies its actions.
    ///
    /// # Panics
    /// If the peer is not running.
    pub fn with_peer<R>(&mut self, index: usize, call: impl FnOnce(&mut Peer, Time) -> R) -> R {
        let now = self.local_time(index);
        let result = call(self.peers[index].peer.as_mut().expect("alive"), now);
        self.drive(index);
        result
    }

    /// Sends a message from a peer.
    ///
    /// # Errors
    /// Returns the error of [`Peer::send`].
    pub fn send(&mut self, index: usize, to: i64, text: &str) -> Result<MessageId, SendError> {
        self.with_peer(index, |peer, now| peer.send(now, to, text))
    }

    /// Lets a peer join a room.
    pub fn join_room(&mut self, index: usize, room: RoomName<'_>) {
        self.with_peer(index, |peer, _| peer.join_room(room));
    }

    /// Sends a message of a peer to a room.
    ///
    /// # Errors
    /// Returns the error of [`Peer::send_to_room`].
    pub fn send_to_room(
        &mut self,
        index: usize,
        room: RoomName<'_>,
        text: &str,
    ) -> Result<(), SendError> {
        self.with_peer(index, |peer, now| peer.send_to_room(now, room, text))
    }

    /// Takes a peer's events since the last call.
    pub fn take_events(&mut self, index: usize) -> Vec<Event> {
        std::mem::take(&mut self.peers[index].events)
    }

    /// Ends a peer abruptly. Linked peers see their connections close.
    pub fn kill(&mut self, index: usize) {
        self.peers[index].peer = None;
        for (end, other) in self.pipe_ends(|end| end.peer == index) {
            self.close_pipe(end, other);
        }
    }

    /// Resets every link between two peers. Returns whether there was one.
    pub fn reset_links(&mut self, one: usize, other: usize) -> bool {
        let ends = self.pipe_ends(|end| end.peer == one);
        let ends: Vec<_> = ends.into_iter().filter(|(_, end)| end.peer == other).collect();
        for &(end, other) in &ends {
            self.close_pipe(end, other);
            let reason = CloseReason::Io("connection reset".to_owned());
            self.net.schedule(self.net.now, NetEvent::Closed(end, reason));
        }
        !ends.is_empty()
    }

    /// Returns the connected pairs of peers, each pair once.
    #[must_use]
    pub fn connected_pairs(&self) -> Vec<(usize, usize)> {
        let mut pairs: Vec<(usize, usize)> =
            self.net.pipes.iter().map(|(a, b)| (a.peer, b.peer)).filter(|(a, b)| a < b).collect();
        pairs.sort_unstable();
        pairs.dedup();
        pairs
    }

    /// Returns the pipes whose first end matches, in a deterministic order.
    fn pipe_ends(&self, is_wanted: impl Fn(PipeEnd) -> bool) -> Vec<(PipeEnd, PipeEnd)> {
        let pipes = self.net.pipes.iter().map(|(&a, &b)| (a, b));
        let mut ends: Vec<_> = pipes.filter(|&(end, _)| is_wanted(end)).collect();
        ends.sort_unstable();
        ends
    }

    /// Advances virtual time and handles the events in it.
    ///
    /// # Panics
    /// If there are more than 100 million events.
    pub fn run_for(&mut self, span: Duration) {
        let end = self.net.now + span;
        for _ in 0..EVENTS_MAX {
            match self.net.next_event_at().filter(|&at| at <= end) {
                None => {
                    self.net.now = end;
                    return;
                }
                Some(at) => {
                    self.net.now = self.net.now.max(at);
                    let event = self.net.pop().expect("a pending event");
                    self.handle_event(event);
                }
            }
        }
        panic!("events do not end after {EVENTS_MAX}");
    }

    /// Returns the time on a peer's own clock.
    fn local_time(&self, index: usize) -> Time {
        Time::from_start(self.net.now.since(self.peers[index].started_at))
    }

    fn handle_event(&mut self, event: NetEvent) {
        match event {
            NetEvent::Bytes(PipeEnd { peer: index, link }, bytes) => {
                let now = self.local_time(index);
                if let Some(peer) = &mut self.peers[index].peer {
                    peer.receive(now, link, &bytes);
                    self.drive(index);
                }
            }
            NetEvent::Closed(PipeEnd { peer: index, link }, reason) => {
                let now = self.local_time(index);
                if let Some(peer) = &mut self.peers[index].peer {
                    peer.closed(now, link, &reason);
                    self.drive(index);
                }
            }
            NetEvent::Wakeup(index) => {
                if self.peers[index].next_wakeup.is_some_and(|at| at <= self.net.now) {
                    self.peers[index].next_wakeup = None;
                    self.drive(index);
                }
            }
            NetEvent::Dialled { from, address } => self.connect(from, &address),
        }
    }

    fn connect(&mut self, from: PipeEnd, address: &str) {
        if self.peers[from.peer].peer.is_none() {
            return;
        }
        let acceptor = self.latest_by_address.get(address).copied();
        let there = acceptor.filter(|&there| {
            self.peers[there].peer.as_ref().is_some_and(|peer| !peer.is_stopping())
        });
        let Some(there) = there else {
            let reason = CloseReason::Io("connection refused".to_owned());
            return self.handle_event(NetEvent::Closed(from, reason));
        };
        let now = self.local_time(there);
        let link = self.peers[there].peer.as_mut().expect("alive").accepted(
            now,
            ListenerId::default(),
            &Origin::default(),
        );
        self.net.open_pipe(from, PipeEnd { peer: there, link });
        let now = self.local_time(from.peer);
        self.peers[from.peer].peer.as_mut().expect("alive").dialled(
            now,
            from.link,
            &Origin::default(),
        );
        self.drive(there);
        self.drive(from.peer);
    }

    /// Runs a peer's due timers, and applies its actions.
    fn drive(&mut self, index: usize) {
        let now = self.local_time(index);
        if let Some(peer) = &mut self.peers[index].peer
            && peer.next_deadline().is_some_and(|at| at <= now)
        {
            peer.advance(now);
            let next = peer.next_deadline();
            assert!(next.is_none_or(|at| at > now), "{}: {next:?}", self.peers[index].address);
        }
        while let Some(peer) = &mut self.peers[index].peer {
            if let Some(action) = peer.poll_action() {
                self.apply_action(index, action);
            } else if let Some(link) = peer.poll_unsent() {
                self.flush_link(PipeEnd { peer: index, link });
            } else {
                while peer.poll_above_high_water().is_some() {}
                break;
            }
        }
        let SimPeer { peer, next_wakeup, started_at, events, .. } = &mut self.peers[index];
        let Some(peer) = peer else { return };
        events.extend(std::iter::from_fn(|| peer.poll_event()));
        if let Some(at) = peer.next_deadline().map(|at| *started_at + at.since_start())
            && next_wakeup.is_none_or(|next| at < next)
        {
            *next_wakeup = Some(at);
            self.net.schedule(at, NetEvent::Wakeup(index));
        }
    }

    fn apply_action(&mut self, index: usize, action: Action) {
        match action {
            Action::DialAddress { .. } => unreachable!("peers dial their targets only"),
            Action::Dial { target, link } => {
                let address = self.peers[index].targets[target].clone();
                let at = self.net.now + self.net.random_delay();
                let from = PipeEnd { peer: index, link };
                self.net.schedule(at, NetEvent::Dialled { from, address });
            }
            Action::Close { link, reason } => {
                let end = PipeEnd { peer: index, link };
                self.flush_link(end);
                if let Some(&other) = self.net.pipes.get(&end) {
                    self.close_pipe(end, other);
                }
                let now = self.local_time(index);
                self.peers[index].peer.as_mut().expect("alive").closed(now, link, &reason);
            }
            Action::Keepalive { .. } | Action::Resume { .. } => {}
            Action::Shutdown => self.kill(index),
        }
    }

    fn flush_link(&mut self, end: PipeEnd) {
        let Some(&to) = self.net.pipes.get(&end) else { return };
        let peer = self.peers[end.peer].peer.as_mut().expect("alive");
        let bytes = peer.unsent(end.link).to_vec();
        peer.sent(end.link, bytes.len());
        let splits_writes = self.net.conditions.splits_writes;
        self.net.send(to, &bytes, splits_writes, NetEvent::Bytes);
    }

    fn close_pipe(&mut self, end: PipeEnd, other: PipeEnd) {
        self.net.close_pipe(end, other, NetEvent::Closed(other, CloseReason::PeerClosed));
    }
}
