//! [`Player`]: plays a scenario and checks its predicates after each event.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crc::link::Time;

use super::accounting::ChatKey;
use super::chats::SentChat;
use super::end::Graph;
use super::event::Event;
use super::liar::Liar;
use super::rooms::RoomLog;
use super::texts::ChatText;
use super::users::User;
use super::{HEAL_TIME_MAX, Outcome, Predicate, REFUSED_TIME_MAX, Scenario, Violation};
use crate::sim::observer::Observer;
use crate::sim::{ClientId, PlainConditions, World};

/// Time in which the servers join before the first event.
const JOIN_TIME: Duration = Duration::from_secs(10);
/// Time in which a server joins before the next one starts, if there are plain servers.
const PLAIN_JOIN_TIME: Duration = Duration::from_secs(3);
/// Time for which a user stays before it leaves, if plain servers are adjacent to each other.
const PLAIN_STAY_TIME: Duration = Duration::from_secs(2);
/// Pause between two probes, if there are plain servers.
const PLAIN_CHAT_PAUSE: Duration = Duration::from_millis(60);
/// Time that a move to a parent which a server prefers takes at most, with the longest delays.
const LATE_MOVE_TIME_MAX: Duration = Duration::from_secs(5);
/// Interval between two looks at a network that heals.
const HEAL_STEP: Duration = Duration::from_millis(500);
/// Number of times that one of two servers with one id leaves for a minute, until they keep apart.
const TWIN_ROUNDS_MAX: u32 = 6;
/// Time in which a network that has healed must be quiet: longer than between two PINGs.
const QUIET_TIME: Duration = Duration::from_secs(12);
/// Time in which a probe arrives.
pub(super) const PROBE_TIME: Duration = Duration::from_secs(8);

/// A scenario that is played.
pub(super) struct Player<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) world: World,
    /// The index in the world of each server that runs.
    pub(super) servers: Vec<Option<usize>>,
    pub(super) users: BTreeMap<u32, User>,
    pub(super) liars: BTreeMap<u32, Liar>,
    /// Whether a liar may have the routes to others' servers, until the network has healed.
    pub(super) has_impostor: bool,
    /// The servers that were stopped, each with its index in the world, and the time.
    pub(super) stopping: BTreeMap<usize, (usize, Time)>,
    /// The times of the resets of links.
    pub(super) resets: Vec<Time>,
    /// By server, the first and the last of the resets since its link was stable.
    pub(super) reset_runs: BTreeMap<usize, (Time, Time)>,
    /// When a server was last stopped, or started after that, so that others move.
    pub(super) moves_began_at: Option<Time>,
    /// When servers have started again, by server.
    pub(super) started_again_at: BTreeMap<usize, Time>,
    /// A server has started while another one was down, which may be its only parent.
    pub(super) may_be_apart: bool,
    /// The programs that have not registered, with their server and the time of their connection.
    pub(super) idlers: Vec<(ClientId, usize, Time)>,
    /// The ids that a liar has claimed, and has once their users have left.
    pub(super) claimed_by_liars: BTreeSet<u32>,
    /// The labels of the servers whose mail store fails.
    pub(super) failed_stores: BTreeSet<String>,
    /// The programs that have sent what breaks the protocol.
    pub(super) garbage: Vec<ClientId>,
    /// The ids that these have registered, each with the index of the server.
    pub(super) garbage_ids: BTreeSet<(u32, usize)>,
    /// The servers at which each id has been registered by a user.
    pub(super) homes: BTreeMap<u32, BTreeSet<usize>>,
    /// By sequence number.
    pub(super) chats: Vec<SentChat>,
    /// The answers that an id is unknown.
    pub(super) answered: BTreeMap<ChatKey, usize>,
    /// The times of the faults, which may change the tree; that of a pause also when it ends.
    pub(super) faults: Vec<Time>,
    /// The number of the latest chat received from each user by each other.
    pub(super) latest: BTreeMap<(u32, u32), usize>,
    /// Whether only PING and PONG may be sent, and the first other frame.
    pub(super) must_be_quiet: bool,
    pub(super) unquiet: Option<String>,
    /// What has happened in rooms.
    pub(super) rooms: RoomLog,
    /// When it was last checked whether users have been shown quits of others who have not left.
    pub(super) quits_checked_at: Time,
    heal_time: Duration,
}

impl<'a> Player<'a> {
    pub(super) fn new(scenario: &'a Scenario, start: Time, is_traced: bool) -> Self {
        let mut world = World::new(scenario.seed, scenario.conditions);
        world.net.now = start;
        world.observer = Some(Observer::new(start));
        let coalesces_writes = scenario.seed % 2 == 1;
        world.set_plain_conditions(PlainConditions { coalesces_writes, ..Default::default() });
        if is_traced {
            world.enable_full_trace();
        }
        Self {
            scenario,
            world,
            servers: vec![None; scenario.servers.len()],
            users: BTreeMap::new(),
            liars: BTreeMap::new(),
            has_impostor: false,
            stopping: BTreeMap::new(),
            resets: Vec::new(),
            reset_runs: BTreeMap::new(),
            moves_began_at: None,
            started_again_at: BTreeMap::new(),
            may_be_apart: false,
            idlers: Vec::new(),
            failed_stores: BTreeSet::new(),
            garbage: Vec::new(),
            garbage_ids: BTreeSet::new(),
            claimed_by_liars: BTreeSet::new(),
            homes: BTreeMap::new(),
            chats: Vec::new(),
            answered: BTreeMap::new(),
            faults: Vec::new(),
            latest: BTreeMap::new(),
            must_be_quiet: false,
            unquiet: None,
            rooms: RoomLog::default(),
            quits_checked_at: start,
            heal_time: Duration::ZERO,
        }
    }

    pub(super) fn violation(&self, predicate: Predicate, text: String) -> Violation {
        Violation { predicate, at: self.world.now(), text }
    }

    pub(super) fn into_outcome(self, result: Result<(), Violation>) -> Outcome {
        let observer = self.world.observer.as_ref().expect("an observer");
        Outcome {
            violation: result.err(),
            heal_time: self.heal_time,
            simulated: self.world.now().since(observer.started_at),
            digest: observer.digest,
            bytes: observer.bytes,
            trace: self.world.trace(|end| self.world.default_name(end)),
        }
    }

    pub(super) fn play(&mut self) -> Result<(), Violation> {
        for server in 0..self.servers.len() {
            self.start(server);
            if self.has_plain_servers() {
                // A plain server does not introduce its children to a parent that it joins later.
                self.run_for(PLAIN_JOIN_TIME)?;
            }
        }
        self.run_for(JOIN_TIME)?;
        for &event in &self.scenario.events {
            if let Event::Quit { .. } | Event::Disconnect { .. } = event
                && self.has_adjacent_plain_servers()
            {
                // Between plain servers, an echo that crosses the quit brings a user back for ever.
                self.run_for(PLAIN_STAY_TIME)?;
            }
            self.apply(event)?;
            match event {
                Event::Wait(span) => self.run_for(span)?,
                _ => self.check_always()?,
            }
        }
        self.stop_faults();
        self.heal()?;
        self.has_impostor = false;
        self.stay_quiet()?;
        self.check_accounting()?;
        let graph = self.graph().map_err(|(predicate, text)| self.violation(predicate, text))?;
        self.check_arrivals(&graph)?;
        self.check_room_arrivals(&graph)?;
        self.probe(&graph)?;
        self.probe_rooms(&graph)?;
        self.leave()
    }

    /// Lets time pass, and checks what must always hold.
    pub(super) fn run_for(&mut self, span: Duration) -> Result<(), Violation> {
        self.world.run_for(span);
        self.check_always()
    }

    /// Lets time pass in which only pings may flow. If servers may still move to a parent that they
    /// prefer, which nobody is shown, that time begins once more.
    fn stay_quiet(&mut self) -> Result<(), Violation> {
        self.must_be_quiet = true;
        self.run_for(QUIET_TIME)?;
        if self.scenario.may_move() && self.unquiet.take().is_some() {
            self.must_be_quiet = false;
            self.run_for(HEAL_TIME_MAX)?;
            let result = self.check_end();
            self.end_move(result)?;
            self.must_be_quiet = true;
            self.run_for(QUIET_TIME)?;
        }
        self.must_be_quiet = false;
        Ok(())
    }

    /// Ends all faults that end: what is silent for good stays so, and who has vanished is gone.
    fn stop_faults(&mut self) {
        self.on_fault();
        self.world.end_partitions();
        self.world.end_silences();
        self.world.continue_all();
        let liars = self.liars.values().map(|liar| liar.client);
        for client in liars.chain(self.garbage.iter().copied()) {
            self.world.disconnect(client);
        }
        for user in self.users.keys().copied().collect::<Vec<_>>() {
            self.set_reading(user, true);
        }
    }

    /// Waits for as long as a network may take to heal, and returns what does not hold then.
    ///
    /// A server that was refused joins its parent after a minute: not while probes are sent.
    fn heal(&mut self) -> Result<(), Violation> {
        let began_at = self.world.now();
        let mut result = self.heal_until(began_at, began_at + HEAL_TIME_MAX);
        if self.was_refused() && (result.is_err() || self.lacks_parent()) {
            result = self.heal_until(began_at, began_at + HEAL_TIME_MAX + REFUSED_TIME_MAX);
        }
        match result.is_err() && self.scenario.has_twins() {
            true => self.heal_twins(began_at),
            false => result,
        }
    }

    /// Waits until a network has healed in which two servers have one id. One of them leaves for a
    /// minute whenever the two meet, and servers may join another tree meanwhile.
    fn heal_twins(&mut self, began_at: Time) -> Result<(), Violation> {
        let end_at = began_at + HEAL_TIME_MAX + TWIN_ROUNDS_MAX * REFUSED_TIME_MAX;
        loop {
            self.run_for(HEAL_STEP)?;
            let result = self.check_end();
            if result.is_ok() || self.world.now() >= end_at {
                self.heal_time = self.world.now().since(began_at);
                return result;
            }
        }
    }

    fn heal_until(&mut self, began_at: Time, end_at: Time) -> Result<(), Violation> {
        let (mut result, mut has_healed) = (Ok(()), false);
        while self.world.now() < end_at {
            self.run_for(HEAL_STEP)?;
            result = self.check_end();
            match result {
                Ok(()) => has_healed = true,
                Err(_) => self.heal_time = self.world.now().since(began_at),
            }
        }
        match has_healed {
            true => self.end_move(result),
            false => result,
        }
    }

    /// Waits for the end of a late move to a parent that a server prefers, if the network does not
    /// fulfil the predicates at this moment.
    fn end_move(&mut self, mut result: Result<(), Violation>) -> Result<(), Violation> {
        let end_at = self.world.now() + LATE_MOVE_TIME_MAX;
        while result.is_err() && self.scenario.may_move() && self.world.now() < end_at {
            self.run_for(HEAL_STEP)?;
            result = self.check_end();
        }
        result
    }

    /// Returns whether a parent has refused the id of a server that runs.
    fn was_refused(&self) -> bool {
        let nodes = self.servers.iter().flatten().filter_map(|&server| self.world.node(server));
        nodes.into_iter().any(|node| {
            let refusal = format!(
                "A machine has already registered with ID {}",
                node.relay().identity().id.0
            );
            node.relay().status_updates().any(|text| text == refusal)
        })
    }

    /// Returns whether a crc server that has parents is attached to none. A plain one dials once.
    fn lacks_parent(&self) -> bool {
        let mut running = self.servers.iter().enumerate();
        running.any(|(server, index)| {
            let has_parents = !self.scenario.servers[server].parents.is_empty();
            let is_attached = index.is_none_or(|index| self.is_attached(index));
            has_parents && !is_attached && !self.is_plain(server)
        })
    }

    /// Returns whether a server, by its index in the world and in the scenario, is attached to one
    /// that is none of its parents, as MOVE may say. One that was paused when it was asked counts
    /// as a plain server, and is not asked again.
    pub(super) fn is_led_away(&self, index: usize, server: usize) -> bool {
        let mut events = self.scenario.events.iter();
        if events.any(|event| matches!(event, Event::Pause { .. })) {
            return false;
        }
        let end = self.world.uplink_end(index);
        let other = end.and_then(|end| self.world.net.pipes.get(&end)?.server());
        let neighbour = self.servers.iter().position(|it| other.is_some() && *it == other);
        neighbour.is_some_and(|it| !self.scenario.servers[server].parents.contains(&it))
    }

    /// Checks that only PING and PONG are sent, that a probe between every two users arrives, and
    /// that everybody else is unknown.
    fn probe(&mut self, graph: &Graph) -> Result<(), Violation> {
        self.check_quiet()?;
        let online: Vec<(u32, u32)> = self
            .online()
            .filter(|(_, it)| !it.is_named())
            .map(|(&number, it)| (number, it.id))
            .collect();
        let (first, before) = (self.chats.len(), self.unknown_counts());
        for &(number, _) in &online {
            for &(_, id) in online.iter().filter(|&&(other, _)| other != number) {
                self.send_chat(number, id, ChatText::Number);
                self.pause_for_plain_servers()?;
            }
        }
        self.run_for(PROBE_TIME)?;
        self.check_accounting()?;
        self.check_probes(graph, first, &before)
    }

    /// Lets time pass after a chat, if there are plain servers: some read once, and more than 1,024
    /// bytes of chats end them.
    pub(super) fn pause_for_plain_servers(&mut self) -> Result<(), Violation> {
        if self.has_plain_servers() { self.run_for(PLAIN_CHAT_PAUSE) } else { Ok(()) }
    }

    /// Lets all users leave. Nobody may stay in a table.
    fn leave(&mut self) -> Result<(), Violation> {
        let users: Vec<u32> = self.users.keys().copied().collect();
        for number in users {
            self.end_user(number, number % 2 == 0);
        }
        self.run_for(PROBE_TIME)?;
        self.check_end()
    }

    pub(super) fn online(&self) -> impl Iterator<Item = (&u32, &User)> {
        self.users.iter().filter(|(_, user)| user.is_online())
    }
}
