//! [`World`]: servers, connections that carry one frame after the other, and faults.

use std::collections::VecDeque;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::super::{Change, Epoch, Fact, Routes, Rule, Update};
use crate::id::HostId;
use crate::link::LinkId;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Frame {
    Hello(Fact),
    Offer(Fact),
    Commit(Fact),
    Announce(Fact),
    Withdraw(HostId),
    Closed,
}

/// Frames after the last fault that are too many.
const FRAMES_MAX: u32 = 20_000;

/// The state of a link at one end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum End {
    Idle,
    Offered,
    Committed(Epoch),
    Attached,
    Closed,
}

/// A connection. End 0 dialled.
pub(super) struct Wire {
    pub(super) nodes: [usize; 2],
    pub(super) ends: [End; 2],
    /// Frames towards each end.
    queues: [VecDeque<Frame>; 2],
    is_cut: bool,
    /// A slow connection: frames wait.
    weights: [u32; 2],
}

pub(super) struct Node {
    pub(super) routes: Routes,
    pub(super) is_dead: bool,
}

pub(super) struct World {
    rng: StdRng,
    pub(super) nodes: Vec<Node>,
    pub(super) wires: Vec<Wire>,
    suspended: Option<Rule>,
    /// Whether a server dials although it has an uplink.
    dials_any: bool,
    /// Whether a server looks at its table again when it receives a commit.
    checks_twice: bool,
    /// Whether conflicts are left as they are.
    pub(super) keeps_cycles: bool,
    fault_rate: f64,
    pub(super) log: Vec<String>,
}

pub(super) fn link(wire: usize) -> LinkId {
    LinkId { index: u32::try_from(wire).expect("few wires"), generation: 1 }
}

impl World {
    pub(super) fn new(seed: u64, suspended: Option<Rule>) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let count = rng.random_range(2..=8);
        let mut world = Self {
            dials_any: rng.random_bool(0.3),
            keeps_cycles: rng.random_bool(0.5),
            checks_twice: rng.random_bool(0.5),
            fault_rate: rng.random_range(0.03..0.4),
            rng,
            nodes: Vec::new(),
            wires: Vec::new(),
            suspended,
            log: Vec::new(),
        };
        for id in 1..=count {
            let routes = world.start(HostId(id), 1);
            world.nodes.push(Node { routes, is_dead: false });
        }
        world
    }

    fn start(&mut self, id: HostId, boot: u32) -> Routes {
        let mut routes = Routes::new(id, Epoch { boot, attach: 0 }, self.rng.random());
        routes.suspended = self.suspended;
        routes
    }

    pub(super) fn end_of(&self, wire: usize, node: usize) -> usize {
        usize::from(self.wires[wire].nodes[0] != node)
    }

    pub(super) fn wires_of(&self, node: usize) -> Vec<usize> {
        let is_open = |wire: &Wire| {
            wire.nodes.iter().zip(wire.ends).any(|(it, end)| *it == node && end != End::Closed)
        };
        (0..self.wires.len()).filter(|&wire| is_open(&self.wires[wire])).collect()
    }

    fn send(&mut self, wire: usize, end: usize, frame: Frame) {
        let wire = &mut self.wires[wire];
        if !wire.is_cut {
            wire.queues[1 - end].push_back(frame);
        }
    }

    /// Ends a queue with the notice that the connection is gone. Frames in it may be lost.
    fn end_queue(&mut self, wire: usize, end: usize) {
        let queue = &mut self.wires[wire].queues[end];
        if self.rng.random_bool(0.5) {
            queue.truncate(self.rng.random_range(0..=queue.len()));
        }
        queue.push_back(Frame::Closed);
    }

    fn cut(&mut self, wire: usize) {
        if !std::mem::replace(&mut self.wires[wire].is_cut, true) {
            self.end_queue(wire, 0);
            self.end_queue(wire, 1);
        }
    }

    /// Closes one end; the other learns it later.
    fn close(&mut self, wire: usize, end: usize) {
        let state = std::mem::replace(&mut self.wires[wire].ends[end], End::Closed);
        if !std::mem::replace(&mut self.wires[wire].is_cut, true) {
            self.end_queue(wire, 1 - end);
        }
        self.wires[wire].queues[end].clear();
        let node = self.wires[wire].nodes[end];
        if state == End::Attached && !self.nodes[node].is_dead {
            let changes = self.nodes[node].routes.detach(link(wire));
            self.apply(node, changes);
        }
    }

    fn apply(&mut self, node: usize, changes: Vec<Change>) {
        if !changes.is_empty() {
            self.log.push(format!("  {}: {changes:?}", node + 1));
        }
        let wires = self.wires_of(node);
        for change in &changes {
            for &wire in &wires {
                let end = self.end_of(wire, node);
                if self.wires[wire].ends[end] == End::Attached {
                    let frame = match self.nodes[node].routes.update(change, link(wire)) {
                        Some(Update::Announce(fact)) => Frame::Announce(fact),
                        Some(Update::Withdraw(id)) => Frame::Withdraw(id),
                        None => continue,
                    };
                    self.send(wire, end, frame);
                }
            }
        }
        if self.suspended.is_none() {
            self.nodes[node].routes.check();
        }
        for change in changes {
            match change {
                Change::Close { link, .. } if !self.keeps_cycles => {
                    self.close_by(node, link.index as usize);
                }
                Change::OwnIdElsewhere { epoch } => {
                    let change = self.nodes[node].routes.exceed(epoch);
                    self.apply(node, change.into_iter().collect());
                }
                Change::Down { id } => {
                    if self.rng.random_bool(0.3) {
                        let changes = self.nodes[node].routes.forget(id);
                        self.apply(node, changes);
                    }
                }
                Change::Own
                | Change::Up { .. }
                | Change::Moved { .. }
                | Change::Updated { .. }
                | Change::Close { .. } => {}
            }
        }
    }

    fn close_by(&mut self, node: usize, wire: usize) {
        let end = self.end_of(wire, node);
        if self.wires[wire].ends[end] != End::Closed {
            self.close(wire, end);
        }
    }

    fn knows(&self, node: usize, id: HostId) -> bool {
        let routes = &self.nodes[node].routes;
        routes.own().id == id || routes.route(id).is_some()
    }

    fn dial(&mut self) {
        let from = self.rng.random_range(0..self.nodes.len());
        let to = self.rng.random_range(0..self.nodes.len());
        let has_uplink = self.wires_of(from).iter().any(|&wire| self.end_of(wire, from) == 0);
        if from != to && !self.nodes[from].is_dead && (self.dials_any || !has_uplink) {
            if self.knows(from, self.nodes[to].routes.own().id) {
                return;
            }
            let (ends, queues) = ([End::Idle; 2], Default::default());
            let weights = [0; 2].map(|_| if self.rng.random_bool(0.25) { 1 } else { 10 });
            self.wires.push(Wire { nodes: [from, to], ends, queues, is_cut: false, weights });
            let wire = self.wires.len() - 1;
            self.log.push(format!("{} dials {} as {wire}", from + 1, to + 1));
            if self.nodes[to].is_dead {
                self.wires[wire].ends[1] = End::Closed;
                self.cut(wire);
            }
            self.send(wire, 0, Frame::Hello(self.nodes[from].routes.own()));
        }
    }

    fn attach(&mut self, wire: usize, end: usize, committed: Epoch, fact: Fact) {
        let node = self.wires[wire].nodes[end];
        self.wires[wire].ends[end] = End::Attached;
        let changes = self.nodes[node].routes.attach(link(wire), committed, fact);
        for fact in self.nodes[node].routes.burst(link(wire)) {
            self.send(wire, end, Frame::Announce(fact));
        }
        self.apply(node, changes);
    }

    fn commit(&mut self, wire: usize, end: usize) -> Epoch {
        let node = self.wires[wire].nodes[end];
        let change = self.nodes[node].routes.raise_attach();
        self.apply(node, vec![change]);
        let own = self.nodes[node].routes.own();
        self.send(wire, end, Frame::Commit(own));
        own.epoch
    }

    fn deliver(&mut self, wire: usize, end: usize) {
        let Some(frame) = self.wires[wire].queues[end].pop_front() else { return };
        let (node, state) = (self.wires[wire].nodes[end], self.wires[wire].ends[end]);
        if state == End::Closed {
            return;
        }
        self.log.push(format!("{} receives {frame:?} on {wire}", node + 1));
        let changes = match (frame, state) {
            (Frame::Hello(fact), _) if !self.knows(node, fact.id) => {
                self.wires[wire].ends[end] = End::Offered;
                self.send(wire, end, Frame::Offer(self.nodes[node].routes.own()));
                Vec::new()
            }
            (Frame::Offer(fact), _) if !self.knows(node, fact.id) => {
                let epoch = self.commit(wire, end);
                self.wires[wire].ends[end] = End::Committed(epoch);
                Vec::new()
            }
            (Frame::Commit(fact), End::Offered)
                if !self.checks_twice || !self.knows(node, fact.id) =>
            {
                let epoch = self.commit(wire, end);
                self.attach(wire, end, epoch, fact);
                Vec::new()
            }
            (Frame::Commit(fact), End::Committed(epoch)) => {
                self.attach(wire, end, epoch, fact);
                Vec::new()
            }
            (Frame::Announce(fact), _) => self.nodes[node].routes.learn(link(wire), fact),
            (Frame::Withdraw(id), _) => self.nodes[node].routes.withdraw(link(wire), id),
            _ => {
                self.close(wire, end);
                Vec::new()
            }
        };
        self.apply(node, changes);
    }

    /// Delivers a random frame. Returns whether there was one.
    fn deliver_any(&mut self) -> bool {
        let mut full = Vec::new();
        for (index, wire) in self.wires.iter().enumerate() {
            full.extend((0..2).filter(|&end| !wire.queues[end].is_empty()).map(|end| (index, end)));
        }
        if full.is_empty() {
            return false;
        }
        let weight = |&(wire, end): &(usize, usize)| self.wires[wire].weights[end];
        let mut ticket = self.rng.random_range(0..full.iter().map(weight).sum());
        let mut next = full.iter();
        let (wire, end) = loop {
            let it = next.next().expect("a ticket below the sum");
            match ticket.checked_sub(weight(it)) {
                Some(rest) => ticket = rest,
                None => break *it,
            }
        };
        self.deliver(wire, end);
        true
    }

    fn stop(&mut self, node: usize) {
        self.nodes[node].is_dead = true;
        for wire in self.wires_of(node) {
            let end = self.end_of(wire, node);
            self.close(wire, end);
        }
    }

    fn fault(&mut self) {
        let node = self.rng.random_range(0..self.nodes.len());
        match self.rng.random_range(0..20) {
            0..10 => self.dial(),
            10..14 if !self.wires.is_empty() => {
                let wire = self.rng.random_range(0..self.wires.len());
                self.log.push(format!("cut {wire}"));
                self.cut(wire);
            }
            14..16 => {
                let own = self.nodes[node].routes.own();
                self.log.push(format!("restart {}", node + 1));
                self.stop(node);
                let routes = self.start(own.id, own.epoch.boot + 1);
                self.nodes[node] = Node { routes, is_dead: false };
            }
            16 if self.rng.random_bool(0.3) => {
                self.log.push(format!("stop {}", node + 1));
                self.stop(node);
            }
            17.. => self.forget(node),
            _ => {}
        }
    }

    fn forget(&mut self, node: usize) {
        let lost: Vec<HostId> = self.nodes[node].routes.lost_ids().collect();
        for id in lost {
            let changes = self.nodes[node].routes.forget(id);
            self.apply(node, changes);
        }
    }

    pub(super) fn run(&mut self) -> Result<(), String> {
        for _ in 0..self.rng.random_range(20..600) {
            if self.rng.random_bool(self.fault_rate) {
                self.fault();
            } else {
                self.deliver_any();
            }
        }
        self.log.push("faults stop".to_owned());
        let mut frames = 0;
        loop {
            while self.deliver_any() {
                frames += 1;
                if frames > FRAMES_MAX {
                    return Err("frames circulate".to_owned());
                }
            }
            let lossy = |it: &Node| !it.is_dead && it.routes.lost_ids().next().is_some();
            let Some(node) = self.nodes.iter().position(lossy) else { break };
            self.forget(node);
        }
        self.check_end()
    }
}
