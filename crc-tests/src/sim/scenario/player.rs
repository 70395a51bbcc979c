//! [`Player`]: plays a scenario and checks its predicates after each event.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crc::link::Time;

use super::event::{Event, label};
use super::liar::{Liar, Lie};
use super::users::{Standing, User};
use super::{HEAL_TIME_MAX, Outcome, Predicate, Scenario, Violation};
use crate::frames;
use crate::sim::observer::Observer;
use crate::sim::{PlainConditions, PlainSpec, ServerSpec, World};

/// Time in which the servers join before the first event.
const JOIN_TIME: Duration = Duration::from_secs(10);
/// Time in which a server joins before the next one starts, if there are plain servers.
const PLAIN_JOIN_TIME: Duration = Duration::from_secs(3);
/// Time for which a user stays before it leaves, if plain servers are adjacent to each other.
const PLAIN_STAY_TIME: Duration = Duration::from_secs(2);
/// Pause between two probes, if there are plain servers.
const PLAIN_CHAT_PAUSE: Duration = Duration::from_millis(60);
/// Interval between two looks at a network that heals.
const HEAL_STEP: Duration = Duration::from_millis(500);
/// Time in which a network that has healed must be quiet: longer than between two PINGs.
const QUIET_TIME: Duration = Duration::from_secs(12);
/// Time in which a probe arrives.
const PROBE_TIME: Duration = Duration::from_secs(8);

/// A chat that was sent.
#[derive(Debug)]
pub(super) struct SentChat {
    pub(super) user: u32,
    pub(super) to: u32,
    pub(super) sent_at: Time,
    pub(super) is_delivered: bool,
    /// The servers that it has visited.
    pub(super) visited: BTreeSet<usize>,
}

/// A scenario that is played.
pub(super) struct Player<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) world: World,
    /// The index in the world of each server that runs.
    pub(super) servers: Vec<Option<usize>>,
    pub(super) users: BTreeMap<u32, User>,
    liars: BTreeMap<u32, Liar>,
    /// The ids that a liar has claimed, and has once their users have left.
    pub(super) claimed_by_liars: BTreeSet<u32>,
    /// The servers at which each id has registered.
    pub(super) homes: BTreeMap<u32, BTreeSet<usize>>,
    /// By sequence number.
    pub(super) chats: Vec<SentChat>,
    /// The time of the latest fault, which may change the tree.
    pub(super) faulted_at: Option<Time>,
    /// The number of the latest chat received from each user by each other.
    pub(super) latest: BTreeMap<(u32, u32), usize>,
    /// Whether only PING and PONG may be sent, and the first other frame.
    pub(super) must_be_quiet: bool,
    pub(super) unquiet: Option<String>,
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
            claimed_by_liars: BTreeSet::new(),
            homes: BTreeMap::new(),
            chats: Vec::new(),
            faulted_at: None,
            latest: BTreeMap::new(),
            must_be_quiet: false,
            unquiet: None,
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
            self.apply(event);
            match event {
                Event::Wait(span) => self.run_for(span)?,
                _ => self.check_always()?,
            }
        }
        self.stop_faults();
        self.heal()?;
        self.must_be_quiet = true;
        self.run_for(QUIET_TIME)?;
        self.must_be_quiet = false;
        self.probe()?;
        self.leave()
    }

    /// Lets time pass, and checks what must always hold.
    fn run_for(&mut self, span: Duration) -> Result<(), Violation> {
        self.world.run_for(span);
        self.check_always()
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Wait(_) => {}
            Event::Join { user, id, server } => self.join(user, id, server),
            Event::Quit { user } => self.end_user(user, true),
            Event::Disconnect { user } => self.end_user(user, false),
            Event::StopReading { user } => self.set_reading(user, false),
            Event::Read { user } => self.set_reading(user, true),
            Event::Chat { user, id, count } => {
                for _ in 0..count {
                    self.send_chat(user, id);
                }
            }
            Event::Liar { liar, server } => self.join_liar(liar, server),
            Event::Lie { liar, lie } => self.lie(liar, lie),
            Event::Start { server, has_memory } => {
                if self.servers[server].is_none() {
                    if !has_memory {
                        self.world.discard_mail(&label(server));
                    }
                    self.start(server);
                    self.on_fault();
                }
            }
            Event::Reset { server }
            | Event::Silence { server, .. }
            | Event::Kill { server }
            | Event::Vanish { server }
            | Event::Pause { server, .. } => self.apply_fault(event, server),
        }
    }

    fn apply_fault(&mut self, event: Event, server: usize) {
        let Some(index) = self.servers[server] else { return };
        self.on_fault();
        match event {
            Event::Reset { .. } => self.world.reset_uplink(index),
            Event::Silence { silence, span, .. } => self.world.silence_uplink(index, silence, span),
            Event::Pause { span, .. } => self.world.pause(index, span),
            Event::Kill { .. } => {
                self.world.kill(index);
                self.forget(server);
            }
            _ => {
                self.world.vanish(index);
                self.forget(server);
            }
        }
    }

    pub(super) fn on_fault(&mut self) {
        self.faulted_at = Some(self.world.now());
    }

    fn start(&mut self, server: usize) {
        let plan = &self.scenario.servers[server];
        let id = u32::try_from(server + 1).expect("few servers");
        if let Some(habits) = plan.plain_habits() {
            let parent = plan.parents.first().map(|&at| u32::try_from(at + 1).expect("few"));
            self.servers[server] = Some(self.world.start_plain(PlainSpec::new(id, parent, habits)));
            return;
        }
        let mut spec = ServerSpec::new(id, None);
        spec.id_is_chosen = plan.is_id_configured;
        spec.parents = plan.parents.iter().map(|&at| label(at)).collect();
        match self.scenario.batching % 3 {
            0 => {}
            1 => spec.limits.announce_batch_users_min = 0,
            _ => {
                spec.limits.announce_batch_users_min = 1;
                spec.limits.announce_batch_delay_min = Duration::from_millis(700);
            }
        }
        self.servers[server] = Some(self.world.start(spec));
    }

    /// Handles that a server has ended, and its users with it.
    fn forget(&mut self, server: usize) {
        self.servers[server] = None;
        for user in self.users.values_mut().filter(|user| user.home == server) {
            user.standing = Standing::Left;
        }
    }

    fn join(&mut self, number: u32, id: u32, server: usize) {
        let Some(index) = self.servers[server] else { return };
        if self.users.contains_key(&number) {
            return;
        }
        let client = self.world.connect(index);
        let name = format!("n{}", number % 3);
        self.world.send(client, &frames::user_that_reads_cut_frames(id, &name, "simulated"));
        self.homes.entry(id).or_default().insert(server);
        let mut user = User::new(client, id, server);
        user.is_on_plain = self.scenario.servers[server].habits.is_some();
        self.users.insert(number, user);
    }

    fn join_liar(&mut self, number: u32, server: usize) {
        if let Some(index) = self.servers[server]
            && !self.liars.contains_key(&number)
        {
            let liar = Liar::new(self.world.connect(index), number);
            self.world.send(liar.client, &liar.introduction());
            self.liars.insert(number, liar);
        }
    }

    /// Lets a liar lie about all that there is, so also about who is at its neighbour.
    fn lie(&mut self, number: u32, lie: Lie) {
        let Some(liar) = self.liars.get(&number) else { return };
        let users: BTreeSet<u32> = self.online().map(|(_, user)| user.id).collect();
        let users: Vec<u32> = users.into_iter().collect();
        if lie == Lie::Home {
            self.claimed_by_liars.extend(users.iter().copied());
        }
        let running = self.servers.iter().flatten().filter_map(|&index| self.world.node(index));
        let servers: Vec<u32> = running.map(|node| node.relay().identity().id.0).collect();
        self.world.send(liar.client, &liar.lie(lie, &users, &servers));
    }

    fn end_user(&mut self, number: u32, says_so: bool) {
        let Some(user) = self.users.get_mut(&number) else { return };
        if user.standing == Standing::Left {
            return;
        }
        if says_so && user.is_online() {
            self.world.send(user.client, &frames::quit(user.id, "bye"));
        } else {
            self.world.disconnect(user.client);
        }
        user.standing = Standing::Left;
    }

    fn set_reading(&mut self, number: u32, is_reading: bool) {
        let Some(user) = self.users.get_mut(&number) else { return };
        user.is_reading = is_reading;
        match is_reading {
            true => self.world.resume_reading(user.client),
            false => self.world.pause_reading(user.client),
        }
    }

    pub(super) fn send_chat(&mut self, number: u32, to: u32) {
        let Some(user) = self.users.get(&number).filter(|user| user.is_online()) else { return };
        let text = format!("{} {to}", self.chats.len());
        let (sent_at, visited) = (self.world.now(), BTreeSet::new());
        self.chats.push(SentChat { user: number, to, sent_at, is_delivered: false, visited });
        self.world.send(user.client, &frames::chat(user.id, to, &text));
    }

    /// Ends all faults that end: what is silent for good stays so, and who has vanished is gone.
    fn stop_faults(&mut self) {
        self.on_fault();
        self.world.end_silences();
        self.world.continue_all();
        for liar in self.liars.values() {
            self.world.disconnect(liar.client);
        }
        for user in self.users.keys().copied().collect::<Vec<_>>() {
            self.set_reading(user, true);
        }
    }

    /// Waits for as long as a network may take to heal, and returns what does not hold then.
    fn heal(&mut self) -> Result<(), Violation> {
        let began_at = self.world.now();
        let mut result = Ok(());
        while self.world.now().since(began_at) < HEAL_TIME_MAX {
            self.run_for(HEAL_STEP)?;
            result = self.check_end();
            if result.is_err() {
                self.heal_time = self.world.now().since(began_at);
            }
        }
        result
    }

    /// Checks that only PING and PONG are sent, that a probe between every two users arrives, and
    /// that everybody else is unknown.
    fn probe(&mut self) -> Result<(), Violation> {
        self.check_quiet()?;
        let online: Vec<(u32, u32)> = self.online().map(|(&number, it)| (number, it.id)).collect();
        let (first, before) = (self.chats.len(), self.unknown_counts());
        let graph = self.graph().map_err(|(predicate, text)| self.violation(predicate, text))?;
        for &(number, _) in &online {
            for &(_, id) in online.iter().filter(|&&(other, _)| other != number) {
                self.send_chat(number, id);
                if self.has_plain_servers() {
                    // Some read once, and more than 1,024 bytes of chats end them.
                    self.run_for(PLAIN_CHAT_PAUSE)?;
                }
            }
        }
        self.run_for(PROBE_TIME)?;
        self.check_probes(&graph, first, &before)
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
