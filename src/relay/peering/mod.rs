//! [`Peering`]: who joins the network through this server, the link to the parent, and what the
//! loss of a link to a server leads to.

mod admitting;
mod claims;
mod deferred;
mod departures;
mod ending;
mod extended;
mod facts;
mod handover;
mod handshake;
mod hello;
mod homes;
mod join;
mod leave;
mod link;
mod liveness;
mod loads;
mod moving;
mod nicks;
mod plain;
mod probing;
mod profiles;
mod refusal;
mod replay;
mod returning;
mod rooms;
mod send_facts;
mod split;
mod splits;
mod trace;
mod uplink;

use std::collections::{BTreeMap, BTreeSet};

use rand::RngExt as _;

pub use self::loads::LoadReport;
pub(crate) use self::nicks::NickClaim;
pub(super) use self::splits::DeferredMessage;
pub(super) use self::trace::Purpose;
pub use self::trace::TraceReport;

use self::admitting::Admitting;
use self::claims::Claims;
use self::ending::Ending;
use self::handover::Move;
use self::handshake::Handshake;
use self::hello::Own;
use self::link::ExtendedLink;
use self::liveness::Liveness;
use self::loads::Loads;
use self::replay::Replay;
use self::splits::Splits;
use self::trace::{FinishedTrace, PendingTrace};
use self::uplink::Uplink;
use crate::id::HostId;
use crate::limits::{Limits, TRACES_MAX};
use crate::link::{LinkId, SeededRng, Time};
use crate::relay::cx::RelayCx;
use crate::relay::extension::codec::PROVES_KEYS;
use crate::relay::outbox::Outbox;
use crate::relay::timers::{Timer, Timers};
use crate::relay::topology::{Role, ServerKey, SplitId, Topology};

/// The uplink, the splits, and the claims on ids in use.
#[derive(Clone, Debug)]
pub(super) struct Peering {
    admitting: Admitting,
    uplink: Uplink,
    splits: Splits,
    claims: Claims,
    /// Port on which this server accepts servers; 0 if there is none.
    listen_port: u16,
    /// Links to servers that have registered and have no role yet.
    handshakes: BTreeMap<LinkId, Handshake>,
    extended: BTreeMap<LinkId, ExtendedLink>,
    /// By extended link.
    liveness: BTreeMap<LinkId, Liveness>,
    /// Times of the timers that watch plain neighbours.
    plain_timers: BTreeMap<LinkId, Time>,
    /// Servers that have come back within the grace, and the end of it. Hosts that they do not
    /// confirm stay until then.
    grace_until: BTreeMap<HostId, Time>,
    /// Children that have been asked to join another server.
    moved: BTreeSet<LinkId>,
    /// The change to another parent that is in progress.
    moving: Option<Move>,
    /// Links on which the neighbour has sent END, to attach elsewhere.
    ending: BTreeMap<LinkId, Ending>,
    replay: Replay,
    /// Servers that can be reached again, and the splits that they were in. What was deferred for
    /// their hosts is sent before the event ends.
    returned: Vec<(SplitId, ServerKey)>,
    /// When the next users leave rooms in which their home has not confirmed them.
    rooms_sync_due: Option<Time>,
    traces: BTreeMap<u64, PendingTrace>,
    finished_traces: Vec<FinishedTrace>,
    loads: Loads,
    /// For ids and for the delays between dials.
    rng: SeededRng,
}

impl Peering {
    /// Creates the peering of a server with this many parents.
    pub(super) fn new(parent_count: usize, seed: u64) -> Self {
        Self {
            admitting: Admitting::default(),
            uplink: Uplink::new(parent_count),
            splits: Splits::default(),
            claims: Claims::default(),
            listen_port: 0,
            handshakes: BTreeMap::new(),
            extended: BTreeMap::new(),
            liveness: BTreeMap::new(),
            plain_timers: BTreeMap::new(),
            grace_until: BTreeMap::new(),
            moved: BTreeSet::new(),
            moving: None,
            ending: BTreeMap::new(),
            replay: Replay::default(),
            returned: Vec::new(),
            rooms_sync_due: None,
            traces: BTreeMap::new(),
            finished_traces: Vec::new(),
            loads: Loads::default(),
            rng: SeededRng::new(seed),
        }
    }

    /// Returns whether there are parents, and none has answered.
    pub(super) fn lacks_parent(&self) -> bool {
        self.uplink.lacks_parent()
    }

    /// Returns whether a link leads to the parent, or dials it.
    pub(super) fn is_uplink(&self, link: LinkId) -> bool {
        self.uplink.has_link(link) || self.is_moving_to(link)
    }

    /// Returns the time of the next dial.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.uplink.deadline()
    }

    /// Stops dialling for good.
    pub(super) fn stop(&mut self) {
        self.uplink.stop();
    }

    /// Dials a parent, if that is due.
    pub(super) fn advance<O: Outbox>(&mut self, cx: &mut RelayCx<'_, O>) {
        if let Some(parent) = self.uplink.due_parent(cx.now) {
            let link = cx.out.dial(parent);
            cx.add_link(link, true);
            self.uplink.on_dial(link, Some(parent));
        }
        self.ask_earlier_parent(cx);
    }

    /// Sends this server's registration over a link to a parent that has been dialled.
    pub(super) fn register_with_parent(
        &mut self,
        topology: &Topology,
        link: LinkId,
        out: &mut impl Outbox,
    ) {
        let token = self.rng.random();
        let proves_keys = if self.has_key_for(link) { PROVES_KEYS } else { 0 };
        let mut own = Own { is_moving: self.is_moving_to(link), ..self.own_link(token) };
        own.capabilities |= proves_keys;
        if self.is_asking(link) {
            self.on_asked(link);
            return returning::send_question(topology, link, own, out);
        }
        hello::register_with_parent(topology, link, own, self.replay.last_uplink(), out);
    }

    /// Returns what this server says of itself and of a link with this token.
    fn own_link(&self, token: u64) -> Own {
        let listen_port = self.listen_port;
        Own { listen_port, token, is_moving: false, capabilities: 0 }
    }

    /// Sets the port that HELLO and OFFER name.
    pub(super) fn set_listen_port(&mut self, port: u16) {
        self.listen_port = port;
    }

    /// Keeps a message for a lost host. Returns false if the split has no room for the message.
    pub(super) fn defer(
        &mut self,
        split: SplitId,
        message: DeferredMessage,
        limits: &Limits,
    ) -> bool {
        self.splits.defer(split, message, limits)
    }

    /// Counts a message that is dropped without an answer.
    pub(super) fn count_dropped(&mut self) {
        self.splits.count_dropped();
    }

    /// Withdraws the claim of a link on an id. Returns whether it had one.
    pub(super) fn withdraw_claim(&mut self, link: LinkId, id: HostId, timers: &mut Timers) -> bool {
        self.claims.withdraw(link, id, timers)
    }

    /// Checks that the sets which no timer empties have their bounds, and no leftovers.
    fn check_sets(&self, topology: &Topology) {
        assert!(self.traces.len() <= TRACES_MAX, "traces that wait");
        assert!(self.finished_traces.len() <= TRACES_MAX, "traces that nobody has taken");
        self.loads.check();
        assert!(self.returned.is_empty(), "what was deferred is sent in the same event");
        let is_extended = |link| self.extended.contains_key(link);
        assert!(self.moved.iter().all(is_extended), "children that move are adjacent");
        let is_server = |&id: &HostId| topology.server_key(id).is_some();
        assert!(self.grace_until.keys().all(is_server), "a server that is back is known");
    }

    /// Checks that splits, claims, links and the uplink agree with the topology and have their
    /// timers.
    ///
    /// # Panics
    /// If they do not.
    pub(super) fn check(&self, topology: &Topology, timers: &Timers) -> usize {
        self.splits.check(topology.splits());
        self.replay.check(self.extended.keys().copied());
        self.check_sets(topology);
        let mut timer_count = 0;
        for split in topology.splits() {
            let due = timers.times_of(Timer::Split(split));
            assert_eq!(due.len(), 1, "split {split:?} has one timer");
            timer_count += 1;
        }
        timer_count += self.check_handshakes(topology, timers);
        timer_count += self.check_handovers(timers);
        timer_count += self.check_rooms_sync(topology, timers);
        for (&link, liveness) in &self.liveness {
            assert!(self.extended.contains_key(&link), "{link} is an extended link");
            let due = timers.times_of(Timer::Liveness(link));
            assert_eq!(due, [liveness.due], "liveness of {link}");
            timer_count += 1;
        }
        for (&link, &at) in &self.plain_timers {
            let state = topology.find_link(link);
            let is_plain = state.is_some_and(|state| state.is_server() && !state.is_extended());
            assert!(is_plain, "{link} is a link to a plain neighbour");
            assert_eq!(timers.times_of(Timer::PlainLiveness(link)), [at], "liveness of {link}");
            timer_count += 1;
        }
        for state in topology.links() {
            let is_extended = self.extended.contains_key(&state.id());
            assert_eq!(is_extended, state.is_extended(), "extended link {}", state.id());
        }
        let is_server = |link| topology.find_link(link).is_some_and(|state| state.is_server());
        timer_count += self.claims.check(is_server, timers);
        self.check_admitting(|link| topology.find_link(link).is_some());
        for state in topology.links() {
            match *state.role() {
                Role::Unregistered { deadline, is_uplink } => {
                    assert!(!is_uplink || self.is_uplink(state.id()), "{} dials", state.id());
                    // A deadline that has passed closes the link, which ends soon.
                    let due = timers.times_of(Timer::RegisterDeadline(state.id()));
                    assert!(due.is_empty() || due == [deadline], "deadline of {}", state.id());
                    timer_count += due.len();
                }
                Role::User { .. } | Role::Server { .. } => {}
            }
        }
        timer_count
    }
}

#[cfg(test)]
mod tests {
    use crate::id::HostId;
    use crate::limits::{CLAIM_GRANT_DELAY, Limits, REGISTER_DEADLINE, SPLIT_GRACE};
    use crate::link::{CloseReason, Time};
    use crate::relay::message::HostKind::{Server, User};
    use crate::relay::message::{Message, Registration};
    use crate::relay::recorder::{Bench, link_id, registration};
    use crate::relay::timers::Timer;

    /// User 101 here, server 2 on link 2 with user 202.
    fn bench() -> Bench {
        let mut bench = Bench::new();
        bench.join(1, User, 101);
        bench.join(2, Server, 2);
        bench.receive(2, &registration(User, 202, 2));
        bench.out.take();
        bench
    }

    #[test]
    fn hosts_of_a_lost_server_leave_after_the_grace_and_deferred_chats_are_refused() {
        let mut bench = bench();
        bench.close(2);
        bench.chat(1, 101, 202);
        assert_eq!(bench.out.take(), [] as [&str; 0]);
        bench.wait(SPLIT_GRACE);
        assert_eq!(bench.out.take(), ["1: -202 split", "1: Unknown ID 202"]);
        assert_eq!(bench.relay.hosts().iter().count(), 1);
    }

    #[test]
    fn hosts_that_rejoin_within_the_grace_get_the_deferred_chats() {
        let mut bench = bench();
        bench.close(2);
        bench.chat(1, 101, 202);
        bench.join(3, Server, 2);
        bench.out.take();
        bench.receive(3, &registration(User, 202, 2));
        assert_eq!(bench.out.take(), ["3: chat of 2 bytes from 101 to 202"]);
        bench.wait(SPLIT_GRACE * 2);
        assert_eq!(bench.out.take(), ["3: chat of 4 bytes from 1 to 0"]); // asks whether it lives
    }

    #[test]
    fn split_without_a_grace_removes_its_hosts_at_once() {
        let limits = Limits { split_grace: std::time::Duration::ZERO, ..Limits::default() };
        let mut bench = Bench::with(0, limits);
        bench.join(1, User, 101);
        bench.join(2, Server, 2);
        bench.receive(2, &registration(User, 202, 2));
        bench.out.take();
        bench.close(2);
        assert_eq!(bench.out.take(), ["1: -202 split"]);
    }

    #[test]
    fn claimed_id_is_granted_once_it_has_been_free_for_the_delay() {
        let mut bench = bench();
        let name = &b"another"[..];
        let (kind, source, last_hop, info) = (User, HostId(101), HostId(2), &b""[..]);
        let claim = Registration { kind, source, last_hop, name, info };
        bench.receive(2, &Message::Registration(claim));
        let refused = "2: status 2 from 1 to 2: Someone has already registered with ID 101";
        assert_eq!(bench.out.take(), [refused]);
        bench.join(3, User, 103);
        bench.out.take();
        bench.receive(1, &Message::ClientQuit { source: HostId(101), text: b"bye" });
        bench.close(1);
        bench.out.take();
        bench.wait(CLAIM_GRANT_DELAY);
        let probe = "2: chat of 4 bytes from 1 to 0"; // asks whether the server lives
        assert_eq!(bench.out.take(), ["3: +101", probe]);
        assert!(bench.relay.topology.is_first_link(HostId(101), link_id(2)));
    }

    #[test]
    fn link_that_does_not_register_is_closed_at_its_deadline() {
        let mut bench = Bench::new();
        bench.relay.accepted(bench.now, link_id(1), &mut bench.out);
        bench.wait(REGISTER_DEADLINE);
        assert_eq!(bench.out.take(), [format!("1: close: {}", CloseReason::RegisterDeadline)]);
    }

    #[test]
    fn parent_is_dialled_and_answers() {
        let mut bench = Bench::with(1, Limits::default());
        bench.relay.advance(bench.now, &mut bench.out);
        bench.relay.check();
        let uplink = link_id(101);
        assert!(bench.relay.is_uplink(uplink));
        bench.relay.dialled(uplink, &mut bench.out);
        let expected = ["101: registration of server 1  by 0", "101: HELLO from 1"];
        assert_eq!(bench.out.take(), expected);
        bench.receive(101, &registration(Server, 2, 2));
        bench.wait(crate::limits::OFFER_TIMEOUT);
        assert_eq!(bench.relay.adjacent_host(uplink).map(|host| host.id), Some(HostId(2)));
        bench.close(101);
        assert!(!bench.relay.is_uplink(uplink));
        assert!(bench.relay.next_deadline(bench.now).is_some());
    }

    #[test]
    #[should_panic(expected = "has one timer")]
    fn check_fails_for_a_split_without_a_timer() {
        let mut bench = bench();
        bench.close(2);
        let split = bench.relay.topology.splits().next().expect("a split");
        bench.relay.timers.remove(bench.now + SPLIT_GRACE, Timer::Split(split));
        bench.relay.check();
    }

    #[test]
    #[should_panic(expected = "every timer belongs to a part")]
    fn check_fails_for_a_timer_of_a_claim_that_is_gone() {
        let mut bench = bench();
        bench.relay.timers.insert(Time::default(), Timer::Claim(HostId(7)));
        bench.relay.check();
    }
}
