//! `crc-tests simulate --large-link`: a link with very many users behind it is reset and comes back
//! within the grace, and then is lost for longer.
//!
//! The users may be in rooms. They then leave them while the link is cut, so that their home sends
//! all of them again. In the end a further server joins, and is sent everything.
//!
//! Server 1 is the root. Server 2 is its child, and server 3 is the one behind the link, with three
//! children of its own; the users are at these four, on the direct wire. Servers 1 and 2 have a CRC
//! client each, which is sent all registrations and quits.

use std::fmt;
use std::time::Duration;

use crc::id::HostId;
use crc::limits::SPLIT_GRACE;
use crc::relay::extension::Frame;
use crc::relay::message::{HostKind, Message, Registration};
use crc::wires::Wire;
use crc::wires::crc::codec;
use crc::wires::direct::codec as direct;
use crc::wires::direct::codec::Control;

use super::table::Tables;
use crate::frames;
use crate::sim::observer::{Observation, Observer};
use crate::sim::{ClientId, Meter, NetConditions, ServerSpec, Turn, World};

/// Interval between two comparisons of the tables.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// Virtual time after which a phase counts as one that does not end.
const PHASE_TIME_MAX: Duration = Duration::from_secs(300);

/// The parent of each server, from server 1 on.
const PARENTS: [Option<u32>; 6] = [None, Some(1), Some(1), Some(3), Some(3), Some(3)];

/// The id of the client at a server is the sum of this and that of the server.
const WATCHER_IDS: u32 = 1_000_000_000;

/// The index of the server behind the link; those after it are its children.
const BEHIND: usize = 2;

/// A phase of the run.
#[derive(Clone, Debug)]
pub struct LinkPhase {
    /// What it begins with.
    pub name: &'static str,
    /// Virtual time until all servers have one table.
    pub until_one_table: Option<Duration>,
    /// What calls into servers took.
    pub meter: Meter,
    /// The frames on all links but the one that was lost, by kind; `None` if they were not
    /// observed.
    pub frames: Option<Traffic>,
}

/// Numbers of frames that were sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// PING, PONG and ACK.
    pub pings: u32,
    /// Facts about servers, and their registrations.
    pub facts: u32,
    /// Anything else, such as registrations and quits of users.
    pub others: u32,
}

impl fmt::Display for LinkPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.until_one_table {
            Some(time) => write!(f, "{}: one table after {:.2} s", self.name, time.as_secs_f64())?,
            None => write!(f, "{}: no one table", self.name)?,
        }
        if let Some(Traffic { pings, facts, others }) = self.frames {
            write!(f, "; on other links {pings} pings, {facts} facts, {others} other frames")?;
        }
        write!(f, "; {} calls, longest", self.meter.calls())?;
        for Turn { cpu, call, server, at } in self.meter.longest() {
            let (ms, at) = (cpu.as_secs_f64() * 1000.0, at.since_start().as_secs_f64());
            write!(f, " {call} {ms:.2} ms (server {} at {at:.2} s)", server + 1)?;
        }
        Ok(())
    }
}

struct Network {
    world: World,
    servers: Vec<usize>,
    /// The CRC clients.
    clients: Vec<ClientId>,
    users: Vec<ClientId>,
}

/// Plays a network with so many users behind one link, each of them in some rooms.
#[must_use]
pub fn run_large_link(users: u32, rooms: u32, seed: u64) -> Vec<LinkPhase> {
    let mut network = Network::start(users, seed);
    network.join_rooms(rooms);
    let all: Vec<usize> = (0..PARENTS.len()).collect();
    let mut phases = Vec::new();
    let mut end_phase = |network: &mut Network, name, parts: &[&[usize]]| {
        let until_one_table = network.run_until_one_table(parts);
        network.world.run_for(2 * SPLIT_GRACE);
        let (meter, frames) = (network.world.restart_meter(), network.take_traffic());
        phases.push(LinkPhase { name, until_one_table, meter, frames });
    };
    end_phase(&mut network, "start", &[&all]);
    network.world.observer = Some(Observer::new(network.world.now()));
    network.world.reset_uplink(BEHIND);
    network.world.run_for(Duration::from_millis(50)); // until both ends have noticed
    end_phase(&mut network, "reset, and back within the grace", &[&all]);
    network.world.set_isolated(BEHIND, true);
    network.world.reset_uplink(BEHIND);
    end_phase(&mut network, "lost for longer", &[&all[..BEHIND], &all[BEHIND..]]);
    network.world.set_isolated(BEHIND, false);
    end_phase(&mut network, "back after the grace", &[&all]);
    if rooms > 0 {
        network.world.set_isolated(BEHIND, true);
        network.world.reset_uplink(BEHIND);
        network.leave_rooms(rooms);
        network.world.run_for(Duration::from_secs(1));
        network.world.set_isolated(BEHIND, false);
        end_phase(&mut network, "back within the grace without rooms", &[&all]);
        network.join_rooms(rooms);
        end_phase(&mut network, "all join rooms", &[&all]);
        network.start_another();
        let all: Vec<usize> = (0..network.servers.len()).collect();
        end_phase(&mut network, "a further server", &[&all]);
    }
    phases
}

impl Network {
    fn start(users: u32, seed: u64) -> Self {
        let mut world = World::new(seed, NetConditions::default());
        world.disable_checks();
        world.restart_meter();
        let (mut servers, mut clients, mut all_users) = (Vec::new(), Vec::new(), Vec::new());
        let homes = u32::try_from(PARENTS.len() - BEHIND).expect("a few servers");
        for (id, (at, parent)) in (1..).zip(PARENTS.into_iter().enumerate()) {
            let server = world.start(ServerSpec::new(id, parent));
            servers.push(server);
            if at < BEHIND {
                let client = world.connect(server);
                world.send(client, &frames::user_that_reads_cut_frames(WATCHER_IDS + id, "", ""));
                clients.push(client);
                continue;
            }
            for _ in 0..users / homes {
                all_users.push(world.connect_on(server, Wire::DIRECT));
            }
        }
        Self { world, servers, clients, users: all_users }
    }

    /// Lets each user join its rooms.
    fn join_rooms(&mut self, rooms: u32) {
        self.send_of_rooms(rooms, Control::Join);
    }

    /// Lets each user leave its rooms.
    fn leave_rooms(&mut self, rooms: u32) {
        self.send_of_rooms(rooms, Control::Part);
    }

    fn send_of_rooms(&mut self, rooms: u32, control: fn(String) -> Control) {
        for (number, &user) in self.users.iter().enumerate() {
            for room in 0..rooms {
                let name = match room {
                    0 => "#all".to_owned(),
                    room => format!("#room-{room}-{}", number % 1000),
                };
                let mut frame = Vec::new();
                let control = Some(control(name));
                direct::encode(
                    &direct::Message { control, ..direct::Message::default() },
                    &mut frame,
                );
                self.world.send(user, &frame);
            }
        }
    }

    /// Starts a further server, which joins the root.
    fn start_another(&mut self) {
        let id = u32::try_from(self.servers.len()).expect("a few servers") + 1;
        self.servers.push(self.world.start(ServerSpec::new(id, Some(1))));
    }

    /// Runs until the servers in each part have one table, for 5 minutes at most.
    fn run_until_one_table(&mut self, parts: &[&[usize]]) -> Option<Duration> {
        let started_at = self.world.now();
        loop {
            let elapsed = self.world.now().since(started_at);
            let are_one = |part: &&[usize]| {
                let servers: Vec<_> = part.iter().map(|&at| Some(self.servers[at])).collect();
                Tables::default().are_one(&self.world, &servers)
            };
            if parts.iter().all(are_one) {
                return Some(elapsed);
            }
            if elapsed >= PHASE_TIME_MAX {
                return None;
            }
            self.world.run_for(CHECK_INTERVAL);
            for &client in &self.clients {
                self.world.take_received(client);
            }
        }
    }

    /// Counts the frames that were observed on all links but the one that was lost, and ends the
    /// observation.
    fn take_traffic(&mut self) -> Option<Traffic> {
        let observer = self.world.observer.take()?;
        let (near, far) = (Some(self.servers[0]), Some(self.servers[BEHIND]));
        let ends = &self.world.net.pipes;
        let mut traffic = Traffic::default();
        for observation in &observer.observations {
            let Observation::Frame(frame) = observation else { continue };
            // The ends of the lost link have no pipe any more.
            let Some(from) = ends.get(&frame.to) else { continue };
            let servers = (from.server(), frame.to.server());
            if servers == (near, far) || servers == (far, near) {
                continue;
            }
            *match kind_of(&frame.bytes) {
                Kind::Ping => &mut traffic.pings,
                Kind::Fact => &mut traffic.facts,
                Kind::Other => &mut traffic.others,
            } += 1;
        }
        Some(traffic)
    }
}

enum Kind {
    Ping,
    Fact,
    Other,
}

fn kind_of(bytes: &[u8]) -> Kind {
    match codec::parse_frame(bytes) {
        Message::Registration(Registration { kind: HostKind::Server, .. }) => Kind::Fact,
        Message::Status { destination: HostId::EXTENSION, code, text, .. } => {
            match Frame::parse(code, text) {
                Some(Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Ack { .. })) => Kind::Ping,
                Some(Ok(Frame::Server(_))) => Kind::Fact,
                _ => Kind::Other,
            }
        }
        _ => Kind::Other,
    }
}
