//! A network of real [`Peer`]s in memory, beside [`super::World`] and by the same means.

use std::collections::BTreeMap;
use std::time::Duration;

use crc::peer::wire::MessageId;
use crc::peer::{Action, Event, Peer, SayError};
use crc::relay::{CloseReason, LinkId, Time};
use rand::RngExt as _;

use super::Weather;
use super::ether::Ether;

/// Events after which a network that should come to rest is said not to.
const EVENTS_MAX: u64 = 100_000_000;

/// The wall clock at the beginning, counted from 1970.
pub const WALL: Duration = Duration::from_secs(1_800_000_000);

/// One end of a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct End {
    peer: usize,
    link: LinkId,
}

#[derive(Debug)]
enum Happening {
    Bytes(End, Vec<u8>),
    Closed(End, CloseReason),
    /// A dial reaches the place to which it was made.
    Dialled {
        from: End,
        place: String,
    },
    /// A deadline of a peer may have come.
    Alarm(usize),
}

struct Member {
    place: String,
    /// `None` once it was killed or has stopped.
    peer: Option<Peer>,
    targets: Vec<String>,
    /// When it is looked at next.
    alarm: Option<Time>,
    started: Time,
    events: Vec<Event>,
}

/// The network.
pub struct PeerWorld {
    ether: Ether<End, Happening>,
    members: Vec<Member>,
    /// The latest member at each place.
    places: BTreeMap<String, usize>,
}

impl PeerWorld {
    /// An empty network.
    #[must_use]
    pub fn new(seed: u64, weather: Weather) -> Self {
        let ether = Ether::new(seed, weather);
        Self { ether, members: Vec::new(), places: BTreeMap::new() }
    }

    /// Virtual time since the beginning.
    #[must_use]
    pub fn now(&self) -> Time {
        self.ether.now
    }

    /// Starts a peer at a place, by which others name it; answers its number.
    pub fn start(&mut self, place: &str, desired_id: Option<i64>, targets: &[&str]) -> usize {
        let wall = WALL + self.ether.now.since_start();
        let seed = self.ether.rng.random();
        let peer = Peer::new(desired_id, targets.len(), wall, seed);
        self.members.push(Member {
            place: place.to_owned(),
            peer: Some(peer),
            targets: targets.iter().map(|&target| target.to_owned()).collect(),
            alarm: None,
            started: self.ether.now,
            events: Vec::new(),
        });
        let number = self.members.len() - 1;
        self.places.insert(place.to_owned(), number);
        self.step(number);
        number
    }

    /// A peer, while it lives.
    #[must_use]
    pub fn peer(&self, number: usize) -> Option<&Peer> {
        self.members[number].peer.as_ref()
    }

    /// The id that a living peer goes by.
    ///
    /// # Panics
    /// If it is not there or has none.
    #[must_use]
    pub fn id(&self, number: usize) -> i64 {
        self.peer(number).expect("alive").id().expect("an id")
    }

    /// Lets a peer do something. Each has a clock of its own, which begins with it.
    ///
    /// # Panics
    /// If it does not live.
    pub fn with_peer<R>(&mut self, number: usize, act: impl FnOnce(&mut Peer, Time) -> R) -> R {
        let now = self.clock(number);
        let result = act(self.members[number].peer.as_mut().expect("alive"), now);
        self.step(number);
        result
    }

    /// A peer says something.
    ///
    /// # Errors
    /// As [`Peer::say`].
    pub fn say(&mut self, number: usize, to: i64, text: &str) -> Result<MessageId, SayError> {
        self.with_peer(number, |peer, now| peer.say(now, to, text))
    }

    /// What a peer's user was told since this was last asked.
    pub fn take_events(&mut self, number: usize) -> Vec<Event> {
        std::mem::take(&mut self.members[number].events)
    }

    /// A peer ends without a word: whoever was linked sees the connection close.
    pub fn kill(&mut self, number: usize) {
        self.members[number].peer = None;
        for (end, other) in self.ends(|end| end.peer == number) {
            self.unplug(end, other);
        }
    }

    /// Every link between two peers is reset. Answers whether there was one.
    pub fn cut(&mut self, one: usize, other: usize) -> bool {
        let ends = self.ends(|end| end.peer == one);
        let ends: Vec<_> = ends.into_iter().filter(|(_, end)| end.peer == other).collect();
        for &(end, other) in &ends {
            self.unplug(end, other);
            let reason = CloseReason::Failed("connection reset".to_owned());
            self.ether.schedule(self.ether.now, Happening::Closed(end, reason));
        }
        !ends.is_empty()
    }

    /// The pairs of peers that are connected, each pair once.
    #[must_use]
    pub fn connected(&self) -> Vec<(usize, usize)> {
        let mut pairs: Vec<(usize, usize)> =
            self.ether.pipes.iter().map(|(a, b)| (a.peer, b.peer)).filter(|(a, b)| a < b).collect();
        pairs.sort_unstable();
        pairs.dedup();
        pairs
    }

    /// The pipes of some ends, in an order that does not depend on chance.
    fn ends(&self, which: impl Fn(End) -> bool) -> Vec<(End, End)> {
        let pipes = self.ether.pipes.iter().map(|(&a, &b)| (a, b));
        let mut ends: Vec<_> = pipes.filter(|&(end, _)| which(end)).collect();
        ends.sort_unstable();
        ends
    }

    /// Lets virtual time pass, with all that happens in it.
    ///
    /// # Panics
    /// If too much does.
    pub fn pass(&mut self, span: Duration) {
        let end = self.ether.now + span;
        for _ in 0..EVENTS_MAX {
            match self.ether.next_at().filter(|&at| at <= end) {
                None => {
                    self.ether.now = end;
                    return;
                }
                Some(at) => {
                    self.ether.now = self.ether.now.max(at);
                    let event = self.ether.pop().expect("it was seen");
                    self.happen(event);
                }
            }
        }
        panic!("the network never comes to rest");
    }

    /// What a peer's own clock shows.
    fn clock(&self, number: usize) -> Time {
        Time::after(self.ether.now.since(self.members[number].started))
    }

    fn happen(&mut self, event: Happening) {
        match event {
            Happening::Bytes(End { peer: number, link }, bytes) => {
                let now = self.clock(number);
                if let Some(peer) = &mut self.members[number].peer {
                    peer.receive(now, link, &bytes);
                    self.step(number);
                }
            }
            Happening::Closed(End { peer: number, link }, reason) => {
                let now = self.clock(number);
                if let Some(peer) = &mut self.members[number].peer {
                    peer.closed(now, link, &reason);
                    self.step(number);
                }
            }
            Happening::Alarm(number) => {
                if self.members[number].alarm.is_some_and(|at| at <= self.ether.now) {
                    self.members[number].alarm = None;
                    self.step(number);
                }
            }
            Happening::Dialled { from, place } => self.connect(from, &place),
        }
    }

    fn connect(&mut self, from: End, place: &str) {
        if self.members[from.peer].peer.is_none() {
            return;
        }
        let there = self.places.get(place).copied();
        let there = there.filter(|&there| {
            self.members[there].peer.as_ref().is_some_and(|peer| !peer.is_stopping())
        });
        let Some(there) = there else {
            let reason = CloseReason::Failed("connection refused".to_owned());
            return self.happen(Happening::Closed(from, reason));
        };
        let now = self.clock(there);
        let link = self.members[there].peer.as_mut().expect("alive").accepted(now, None);
        self.ether.plug(from, End { peer: there, link });
        let now = self.clock(from.peer);
        self.members[from.peer].peer.as_mut().expect("alive").dialled(now, from.link, None);
        self.step(there);
        self.step(from.peer);
    }

    /// Lets a peer do what is due, and carries out what it asks for.
    fn step(&mut self, number: usize) {
        let now = self.clock(number);
        if let Some(peer) = &mut self.members[number].peer
            && peer.next_deadline().is_some_and(|at| at <= now)
        {
            peer.advance(now);
            let next = peer.next_deadline();
            assert!(next.is_none_or(|at| at > now), "{}: {next:?}", self.members[number].place);
        }
        while let Some(peer) = &mut self.members[number].peer {
            if let Some(action) = peer.poll_action() {
                self.act(number, action);
            } else if let Some(link) = peer.poll_unsent() {
                self.write(End { peer: number, link });
            } else {
                while peer.poll_pressed().is_some() {}
                break;
            }
        }
        let Member { peer, alarm, started, events, .. } = &mut self.members[number];
        let Some(peer) = peer else { return };
        events.extend(std::iter::from_fn(|| peer.poll_event()));
        if let Some(at) = peer.next_deadline().map(|at| *started + at.since_start())
            && alarm.is_none_or(|alarm| at < alarm)
        {
            *alarm = Some(at);
            self.ether.schedule(at, Happening::Alarm(number));
        }
    }

    fn act(&mut self, number: usize, action: Action) {
        match action {
            Action::Dial { target, link } => {
                let place = self.members[number].targets[target].clone();
                let at = self.ether.now + self.ether.delay();
                let from = End { peer: number, link };
                self.ether.schedule(at, Happening::Dialled { from, place });
            }
            Action::Close { link, reason } => {
                let end = End { peer: number, link };
                self.write(end);
                if let Some(&other) = self.ether.pipes.get(&end) {
                    self.unplug(end, other);
                }
                let now = self.clock(number);
                self.members[number].peer.as_mut().expect("alive").closed(now, link, &reason);
            }
            Action::Shutdown => self.kill(number),
        }
    }

    fn write(&mut self, end: End) {
        let Some(&to) = self.ether.pipes.get(&end) else { return };
        let peer = self.members[end.peer].peer.as_mut().expect("alive");
        let bytes = peer.unsent(end.link).to_vec();
        peer.sent(end.link, bytes.len());
        self.ether.carry(to, &bytes, Happening::Bytes);
    }

    fn unplug(&mut self, end: End, other: End) {
        self.ether.unplug(end, other, Happening::Closed(other, CloseReason::PeerClosed));
    }
}
