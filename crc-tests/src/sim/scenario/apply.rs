//! What the events of a scenario do to the network.

use std::collections::BTreeSet;
use std::time::Duration;

use crc::wires::Wire;

use super::Violation;
use super::always::CLIENT_QUEUE_BYTES_MAX;
use super::direct;
use super::event::{Event, label};
use super::liar::{Liar, Lie};
use super::player::Player;
use super::users::{Standing, User};
use crate::frames;
use crate::sim::{PlainSpec, ServerSpec};

/// The id in the registration that a program does not finish.
const IDLER_ID: u32 = 8000;

/// Interval in which servers ask earlier parents: several times while a network heals.
const RETURN_INTERVAL: Duration = Duration::from_secs(5);

/// Interval in which users on the classic wire would have to show that they are alive: never.
const ALIVE_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

impl Player<'_> {
    pub(super) fn apply(&mut self, event: Event) -> Result<(), Violation> {
        match event {
            Event::Wait(_) => {}
            Event::Join { user, id, server, is_direct } => self.join((user, is_direct), id, server),
            Event::JoinClassic { user, server } => self.join_classic(user, server),
            Event::JoinIrc { user, server } => self.join_irc(user, server),
            Event::Quit { user } => self.end_user(user, true),
            Event::Disconnect { user } => self.end_user(user, false),
            Event::StopReading { user } => self.set_reading(user, false),
            Event::Read { user } => self.set_reading(user, true),
            // A server that was paused sends all chats at once, and more than 1,024 bytes of them
            // end some plain servers.
            Event::Chat { .. } if self.has_plain_servers() && self.world.faults.has_paused() => {}
            Event::Chat { user, id, count, text } => {
                for _ in 0..count {
                    self.send_chat(user, id, text);
                }
            }
            Event::JoinRoom { .. }
            | Event::PartRoom { .. }
            | Event::Topic { .. }
            | Event::Away { .. }
            | Event::Names { .. }
            | Event::Say { .. } => self.apply_in_room(event)?,
            Event::Stop { server } => self.stop(server),
            Event::Liar { liar, server } => self.join_liar(liar, server),
            Event::Lie { liar, lie } => {
                self.lie(liar, lie);
                if matches!(lie, Lie::Epochs | Lie::OldFacts) {
                    self.on_fault(); // routes may lead to the liar
                }
            }
            Event::Start { server, has_memory } => self.start_again(server, has_memory)?,
            Event::Partition { group, span } => {
                let labels = group.iter().map(label).collect();
                self.world.partition(labels, span);
                self.on_fault();
            }
            Event::Unreachable { server, span } => {
                self.world.make_unreachable(label(server), span);
                self.on_fault();
            }
            Event::StoreFails { server } => {
                if let Some(index) = self.servers[server] {
                    self.world.fail_next_store_request(index);
                    self.failed_stores.insert(label(server));
                }
            }
            Event::Garbage { server, seed } => self.send_garbage(server, seed)?,
            Event::Idle { server, bytes } => self.join_idler(server, bytes),
            Event::Reset { server } => self.reset(server, None),
            Event::HalfOpenReset { server, span } => self.reset(server, Some(span)),
            Event::Silence { server, .. }
            | Event::Kill { server }
            | Event::Vanish { server }
            | Event::Pause { server, .. } => self.apply_fault(event, server),
        }
        Ok(())
    }

    fn start_again(&mut self, server: usize, has_memory: bool) -> Result<(), Violation> {
        if self.servers[server].is_some() {
            return Ok(());
        }
        let was_stopped = self.wait_until_stopped(server)?;
        if !has_memory {
            self.world.discard_mail(&label(server));
        }
        self.start(server);
        self.may_be_apart |= self.servers.iter().any(Option::is_none);
        match was_stopped {
            true => self.on_started_again(server),
            false => self.on_fault(),
        }
        Ok(())
    }

    fn apply_fault(&mut self, event: Event, server: usize) {
        let Some(index) = self.servers[server] else { return };
        self.on_fault();
        match event {
            Event::Silence { silence, span, .. } => self.world.silence_uplink(index, silence, span),
            Event::Pause { span, .. } => {
                self.world.pause(index, span);
                // A server that was taken for silent comes back only now.
                self.faults.push(self.world.now() + span);
            }
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
        self.faults.push(self.world.now());
    }

    pub(super) fn start(&mut self, server: usize) {
        self.failed_stores.remove(&label(server));
        let plan = &self.scenario.servers[server];
        let id = plan.first_id(server);
        if let Some(habits) = plan.plain_habits() {
            let parent = plan.parents.first().map(|&at| u32::try_from(at + 1).expect("few"));
            self.servers[server] = Some(self.world.start_plain(PlainSpec::new(id, parent, habits)));
            return;
        }
        let mut spec = ServerSpec { label: label(server), ..ServerSpec::new(id, None) };
        spec.id_is_chosen = plan.is_id_configured;
        spec.parents = plan.parents.iter().map(|&at| label(at)).collect();
        spec.limits.return_interval = RETURN_INTERVAL;
        spec.limits.classic_alive_interval = ALIVE_INTERVAL;
        spec.limits.client_queue_bytes_max = CLIENT_QUEUE_BYTES_MAX;
        if let Some(hosts) = self.scenario.split_batch {
            spec.limits.split_batch_hosts_max = hosts;
        }
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
    pub(super) fn forget(&mut self, server: usize) {
        self.servers[server] = None;
        let now = self.world.now();
        for user in self.users.values_mut().filter(|user| user.home == server) {
            user.leave(now);
        }
    }

    fn join(&mut self, (number, is_direct): (u32, bool), id: u32, server: usize) {
        let Some(index) = self.servers[server] else { return };
        if self.users.contains_key(&number) {
            return;
        }
        let wire = if is_direct { Wire::DIRECT } else { Wire::CRC };
        let client = self.world.connect_on(index, wire);
        let name = format!("n{}", number % 3);
        let registration = match is_direct {
            true => direct::request_id(id),
            false => frames::user_that_reads_cut_frames(id, &name, "simulated"),
        };
        self.world.send(client, &registration);
        self.homes.entry(id).or_default().insert(server);
        let mut user = User::new(client, id, server, self.world.now());
        user.is_direct = is_direct;
        user.name = if is_direct { id.to_string() } else { name };
        user.is_on_plain = self.scenario.servers[server].habits.is_some();
        self.users.insert(number, user);
    }

    /// Lets a program connect that does not register.
    fn join_idler(&mut self, server: usize, bytes: u32) {
        let Some(index) = self.servers[server].filter(|_| !self.is_plain(server)) else { return };
        let client = self.world.connect(index);
        let registration = frames::user(IDLER_ID, "", "");
        let bytes = registration.len().saturating_sub(1).min(bytes as usize);
        self.world.send(client, &registration[..bytes]);
        self.idlers.push((client, index, self.world.now()));
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
        // An old fact about a server that is not connected is the latest.
        self.has_impostor |= matches!(lie, Lie::Epochs | Lie::OldFacts);
        if lie == Lie::Home || lie == Lie::Sources && liar.is_plain() {
            self.claimed_by_liars.extend(users.iter().copied());
        }
        let running = self.servers.iter().flatten().filter_map(|&index| self.world.node(index));
        let servers: Vec<u32> = running.map(|node| node.relay().identity().id.0).collect();
        self.world.send(liar.client, &liar.lie(lie, &users, &servers));
    }

    pub(super) fn end_user(&mut self, number: u32, says_so: bool) {
        let Some(user) = self.users.get_mut(&number) else { return };
        if user.standing == Standing::Left {
            return;
        }
        if says_so && user.is_online() && !user.is_direct && !user.is_named() {
            self.world.send(user.client, &frames::quit(user.id, "bye"));
        } else {
            self.world.disconnect(user.client);
        }
        user.leave(self.world.now());
    }

    pub(super) fn set_reading(&mut self, number: u32, is_reading: bool) {
        let Some(user) = self.users.get_mut(&number) else { return };
        user.is_reading = is_reading;
        match is_reading {
            true => self.world.resume_reading(user.client),
            false => self.world.pause_reading(user.client),
        }
    }
}
