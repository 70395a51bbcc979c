//! Tests of `pairing`: single rules, and random groups of users.

use crc::id::HostId;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::directory::User;
use super::pairing::*;

fn user(id: u32) -> User {
    let address = ([127, 0, 0, 1], 1).into();
    User { id: HostId(id), name: name(id), address }
}

fn name(id: u32) -> Vec<u8> {
    format!("user{id}").into()
}

fn pairing(id: u32) -> Pairing<u32> {
    Pairing::new(HostId(id), &name(id))
}

fn requester(id: u32, has_chosen_us: bool) -> Requester {
    Requester { id: HostId(id), name: name(id), has_chosen_us }
}

fn peer_info(partner: Option<u32>, supports_pairing: bool) -> PeerInfo {
    PeerInfo { partner: partner.map(name).unwrap_or_default(), supports_pairing }
}

#[test]
fn request_is_promised_to_a_larger_id_or_to_a_peer_that_has_chosen_us() {
    let partner = |id| PairReply::Partner(name(id));
    let mut five = pairing(5);
    assert_eq!(five.on_request(requester(3, false), 0), [(0, PairReply::Partner(vec![]))]);
    assert_eq!(five.on_request(requester(7, false), 1), [(1, partner(7))]);
    assert_eq!(five.on_request(requester(9, true), 2), [(2, partner(7))]);
    let mut five = pairing(5);
    assert_eq!(five.on_request(requester(3, true), 0), [(0, partner(3))]);
}

#[test]
fn requests_are_deferred_while_our_own_request_is_open() {
    for (info, verdict, partner_id) in [
        (peer_info(Some(5), true), Verdict::Paired, 3),
        (peer_info(None, false), Verdict::Paired, 3),
        (peer_info(Some(9), true), Verdict::Busy, 7),
    ] {
        let mut five = pairing(5);
        five.on_request_sent(HostId(3));
        assert_eq!(five.on_request(requester(7, false), 0), []);
        assert_eq!(five.on_request(requester(8, false), 1), []);
        let reply = PairReply::Partner(name(partner_id));
        let replies = vec![(0, reply.clone()), (1, reply)];
        assert_eq!(five.on_info(&user(3), &info), (verdict, replies));
    }
    let mut five = pairing(5);
    five.on_request_sent(HostId(3));
    let mut more = (10..).map(|id| five.on_request(requester(id, false), id));
    assert!(more.by_ref().take(DEFERRED_MAX).all(|replies| replies.is_empty()));
    let id = 10 + u32::try_from(DEFERRED_MAX).expect("small");
    assert_eq!(more.next(), Some(vec![(id, PairReply::RetryLater)]));
}

/// Users who learn of each other one by one, whose requests and replies may be lost, and of whom
/// some are killed.
struct Simulation {
    people: Vec<Person>,
    requests: Vec<(usize, usize, u32, bool)>,
    replies: Vec<(usize, usize, u32, PairReply)>,
    next_request: u32,
}

struct Person {
    pairing: Pairing<(usize, u32)>,
    users: Vec<User>,
    open_request: Option<(u32, usize)>,
    is_paired: bool,
    is_alive: bool,
}

/// A step of the simulation. `index` is the user that takes it.
#[derive(Clone, Copy)]
enum Action {
    /// The user learns of another.
    Join { index: usize, other: usize },
    /// The user sends a request to another.
    Request { index: usize, other: usize },
    /// The request at this index arrives.
    DeliverRequest(usize),
    /// The reply at this index arrives.
    DeliverReply(usize),
}

impl Simulation {
    fn new(count: usize) -> Self {
        let person = |at| Person {
            pairing: Pairing::new(id(at), &name(id(at).0)),
            users: Vec::new(),
            open_request: None,
            is_paired: false,
            is_alive: true,
        };
        let people = (0..count).map(person).collect();
        Self { people, requests: Vec::new(), replies: Vec::new(), next_request: 0 }
    }

    /// Returns every action that is possible now.
    fn possible_actions(&self) -> Vec<Action> {
        let count = self.people.len();
        let mut actions = Vec::new();
        for index in (0..count).filter(|at| self.people[*at].is_alive) {
            let person = &self.people[index];
            let unknown = (0..count).filter(|other| {
                *other != index
                    && self.people[*other].is_alive
                    && !person.users.iter().any(|user| user.id == id(*other))
            });
            actions.extend(unknown.map(|other| Action::Join { index, other }));
            if person.open_request.is_none() && !person.is_paired {
                let next = match person.pairing.partner() {
                    Some((chosen, _)) => Some(chosen),
                    None => person.pairing.next_candidate(&person.users).map(|user| user.id),
                };
                actions.extend(next.map(|next| Action::Request { index, other: index_of(next) }));
            }
        }
        actions.extend((0..self.requests.len()).map(Action::DeliverRequest));
        actions.extend((0..self.replies.len()).map(Action::DeliverReply));
        actions
    }

    /// Runs one random possible action. Returns whether there was one.
    fn run_step(&mut self, rng: &mut StdRng, has_faults: bool) -> bool {
        let actions = self.possible_actions();
        if actions.is_empty() {
            return false;
        }
        if has_faults && rng.random_bool(0.02) {
            self.kill(rng.random_range(0..self.people.len()));
            return true;
        }
        let is_dropped = has_faults && rng.random_bool(0.1);
        match actions[rng.random_range(0..actions.len())] {
            Action::Join { index, other } => self.people[index].users.push(user(id(other).0)),
            Action::Request { index, other } => self.send_request(index, other),
            Action::DeliverRequest(index) => self.deliver_request(index, is_dropped),
            Action::DeliverReply(index) => self.deliver_reply(index),
        }
        true
    }

    fn send_request(&mut self, index: usize, other: usize) {
        let (person, request) = (&mut self.people[index], self.next_request);
        self.next_request += 1;
        let has_chosen_us = person.pairing.partner().is_some();
        person.pairing.on_request_sent(id(other));
        person.open_request = Some((request, other));
        self.requests.push((index, other, request, has_chosen_us));
    }

    /// Delivers a request. If `is_dropped`, its sender does not wait for the reply.
    fn deliver_request(&mut self, index: usize, is_dropped: bool) {
        let (from, to, request, has_chosen_us) = self.requests.swap_remove(index);
        // A request is handled only once its sender is known.
        if !self.people[to].users.iter().any(|user| user.id == id(from)) {
            if !self.people[from].is_alive {
                return;
            }
            self.people[to].users.push(user(id(from).0));
        }
        let requester = requester(id(from).0, has_chosen_us);
        let replies = self.people[to].pairing.on_request(requester, (from, request));
        self.queue_replies(to, replies);
        if is_dropped {
            self.time_out(from, request);
        }
    }

    fn deliver_reply(&mut self, index: usize) {
        let (from, to, request, reply) = self.replies.swap_remove(index);
        let person = &mut self.people[to];
        if person.open_request != Some((request, from)) {
            return;
        }
        let PairReply::Partner(partner) = reply else { return self.time_out(to, request) };
        person.open_request = None;
        let info = PeerInfo { partner, supports_pairing: true };
        let (verdict, replies) = person.pairing.on_info(&user(id(from).0), &info);
        person.is_paired |= verdict == Verdict::Paired;
        self.queue_replies(to, replies);
    }

    fn queue_replies(&mut self, from: usize, replies: Vec<((usize, u32), PairReply)>) {
        let queued = replies.into_iter().map(|((to, request), reply)| (from, to, request, reply));
        self.replies.extend(queued);
    }

    fn time_out(&mut self, index: usize, request: u32) {
        let person = &mut self.people[index];
        if let Some((_, asked)) = person.open_request.take_if(|(open, _)| *open == request) {
            let replies = person.pairing.on_unreachable(id(asked));
            self.queue_replies(index, replies);
        }
    }

    fn kill(&mut self, index: usize) {
        self.people[index].is_alive = false;
        self.requests.retain(|(_, to, ..)| *to != index);
        self.replies.retain(|(from, to, ..)| *from != index && *to != index);
        for other in 0..self.people.len() {
            let person = &mut self.people[other];
            person.users.retain(|user| user.id != id(index));
            let is_partner =
                person.pairing.partner().is_some_and(|(chosen, _)| chosen == id(index));
            if !(person.is_paired && is_partner) {
                let replies = person.pairing.on_quit(id(index));
                self.queue_replies(other, replies);
            }
            let person = &self.people[other];
            if let Some((request, asked)) = person.open_request
                && asked == index
            {
                self.time_out(other, request);
            }
        }
    }
}

fn id(index: usize) -> HostId {
    HostId(u32::try_from(index).expect("few") + 1)
}

fn index_of(id: HostId) -> usize {
    usize::try_from(id.0).expect("small") - 1
}

#[test]
fn all_peers_pair_up_and_at_most_one_stays_alone() {
    for seed in 0..3000 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut simulation = Simulation::new(rng.random_range(2..9));
        let faulty_steps = rng.random_range(0..200);
        let steps = (0..100_000)
            .take_while(|step| simulation.run_step(&mut rng, *step < faulty_steps))
            .count();
        assert!(steps < 100_000, "seed {seed}: not quiescent");
        let mut alone = 0;
        for (index, person) in simulation.people.iter().enumerate().filter(|(_, one)| one.is_alive)
        {
            let Some((chosen, _)) = person.pairing.partner() else {
                alone += 1;
                continue;
            };
            let other = &simulation.people[index_of(chosen)];
            let is_mutual = other.pairing.partner().is_some_and(|(back, _)| back == id(index));
            assert!(person.is_paired, "seed {seed}: {} is not paired", index + 1);
            assert!(is_mutual || !other.is_alive, "seed {seed}: {} and {chosen:?}", index + 1);
        }
        assert!(alone <= 1, "seed {seed}: {alone} stay alone");
    }
}
