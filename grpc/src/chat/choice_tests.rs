//! The rule of `choice`: by hand, and in crowds where anything happens in any order.

use crc::relay::message::HostId;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::choice::*;
use super::directory::User;

fn user(id: u32) -> User {
    let address = ([127, 0, 0, 1], 1).into();
    User { id: HostId(id), name: name(id), address }
}

fn name(id: u32) -> Vec<u8> {
    format!("user{id}").into()
}

fn choice(id: u32) -> Choice<u32> {
    Choice::new(HostId(id), &name(id))
}

fn asker(id: u32, has_chosen: bool) -> Asker {
    Asker { id: HostId(id), name: name(id), has_chosen }
}

fn says(partner: Option<u32>, knows_rule: bool) -> Answer {
    Answer { partner: partner.map(name).unwrap_or_default(), knows_rule }
}

#[test]
fn a_larger_id_and_who_has_chosen_are_promised_and_others_only_look() {
    let partner = |id| Reply::Partner(name(id));
    let mut five = choice(5);
    assert_eq!(five.on_asked(asker(3, false), 0), [(0, Reply::Partner(vec![]))]);
    assert_eq!(five.on_asked(asker(7, false), 1), [(1, partner(7))]);
    assert_eq!(five.on_asked(asker(9, true), 2), [(2, partner(7))]);
    let mut five = choice(5);
    assert_eq!(five.on_asked(asker(3, true), 0), [(0, partner(3))]);
}

#[test]
fn questions_wait_for_the_answer_to_ours() {
    for (answer, verdict, chosen) in [
        (says(Some(5), true), Verdict::Chosen, 3),
        (says(None, false), Verdict::Chosen, 3),
        (says(Some(9), true), Verdict::Busy, 7),
    ] {
        let mut five = choice(5);
        five.ask(HostId(3));
        assert_eq!(five.on_asked(asker(7, false), 0), []);
        assert_eq!(five.on_asked(asker(8, false), 1), []);
        let reply = Reply::Partner(name(chosen));
        let replies = vec![(0, reply.clone()), (1, reply)];
        assert_eq!(five.on_answer(&user(3), &answer), (verdict, replies));
    }
    let mut five = choice(5);
    five.ask(HostId(3));
    let mut more = (10..).map(|id| five.on_asked(asker(id, false), id));
    assert!(more.by_ref().take(WAITING_MAX).all(|replies| replies.is_empty()));
    let id = 10 + u32::try_from(WAITING_MAX).expect("small");
    assert_eq!(more.next(), Some(vec![(id, Reply::Later)]));
}

/// People who don't hear of all others at once, whose questions and answers may be lost, and
/// of whom some die.
struct Crowd {
    people: Vec<Person>,
    asked: Vec<(usize, usize, u32, bool)>,
    answered: Vec<(usize, usize, u32, Reply)>,
    next_question: u32,
}

struct Person {
    choice: Choice<(usize, u32)>,
    users: Vec<User>,
    question: Option<(u32, usize)>,
    is_certain: bool,
    is_alive: bool,
}

impl Crowd {
    fn new(count: usize) -> Self {
        let person = |at| Person {
            choice: Choice::new(id(at), &name(id(at).0)),
            users: Vec::new(),
            question: None,
            is_certain: false,
            is_alive: true,
        };
        let people = (0..count).map(person).collect();
        Self { people, asked: Vec::new(), answered: Vec::new(), next_question: 0 }
    }

    /// Something happens, if anything still can.
    fn step(&mut self, rng: &mut StdRng, has_faults: bool) -> bool {
        let count = self.people.len();
        let mut can = Vec::new();
        for at in (0..count).filter(|at| self.people[*at].is_alive) {
            let person = &self.people[at];
            let unknown = (0..count).filter(|other| {
                *other != at
                    && self.people[*other].is_alive
                    && !person.users.iter().any(|user| user.id == id(*other))
            });
            can.extend(unknown.map(|other| (0, at, other)));
            if person.question.is_none() && !person.is_certain {
                let next = match person.choice.chosen() {
                    Some((chosen, _)) => Some(chosen),
                    None => person.choice.next(&person.users).map(|user| user.id),
                };
                can.extend(next.map(|next| (1, at, place(next))));
            }
        }
        can.extend((0..self.asked.len()).map(|at| (2, at, 0)));
        can.extend((0..self.answered.len()).map(|at| (3, at, 0)));
        if can.is_empty() {
            return false;
        }
        if has_faults && rng.random_bool(0.02) {
            self.kill(rng.random_range(0..count));
            return true;
        }
        let is_lost = has_faults && rng.random_bool(0.1);
        match can[rng.random_range(0..can.len())] {
            (0, at, other) => self.people[at].users.push(user(id(other).0)),
            (1, at, other) => {
                let (person, question) = (&mut self.people[at], self.next_question);
                self.next_question += 1;
                let has_chosen = person.choice.chosen().is_some();
                person.choice.ask(id(other));
                person.question = Some((question, other));
                self.asked.push((at, other, question, has_chosen));
            }
            (2, index, _) => {
                let (from, to, question, has_chosen) = self.asked.swap_remove(index);
                // Who asks is known to be there when the question is looked at.
                let person = &mut self.people[to];
                if !person.users.iter().any(|user| user.id == id(from)) {
                    if self.people[from].is_alive {
                        self.people[to].users.push(user(id(from).0));
                    } else {
                        return true;
                    }
                }
                let person = &mut self.people[to];
                let (name, id) = (name(id(from).0), id(from));
                let asker = Asker { id, name, has_chosen };
                let replies = person.choice.on_asked(asker, (from, question));
                self.reply(to, replies);
                if is_lost {
                    self.silence(from, question);
                }
            }
            (_, index, _) => {
                let (from, to, question, reply) = self.answered.swap_remove(index);
                let person = &mut self.people[to];
                if person.question != Some((question, from)) {
                    return true;
                }
                let Reply::Partner(partner) = reply else {
                    self.silence(to, question);
                    return true;
                };
                person.question = None;
                let answer = Answer { partner, knows_rule: true };
                let (verdict, replies) = person.choice.on_answer(&user(id(from).0), &answer);
                person.is_certain |= verdict == Verdict::Chosen;
                self.reply(to, replies);
            }
        }
        true
    }

    fn reply(&mut self, from: usize, replies: Vec<((usize, u32), Reply)>) {
        let answered =
            replies.into_iter().map(|((to, question), reply)| (from, to, question, reply));
        self.answered.extend(answered);
    }

    fn silence(&mut self, at: usize, question: u32) {
        let person = &mut self.people[at];
        if let Some((_, of)) = person.question.take_if(|(open, _)| *open == question) {
            let replies = person.choice.on_silence(id(of));
            self.reply(at, replies);
        }
    }

    fn kill(&mut self, at: usize) {
        self.people[at].is_alive = false;
        self.asked.retain(|(_, to, ..)| *to != at);
        self.answered.retain(|(from, to, ..)| *from != at && *to != at);
        for other in 0..self.people.len() {
            let person = &mut self.people[other];
            person.users.retain(|user| user.id != id(at));
            let is_theirs = person.choice.chosen().is_some_and(|(chosen, _)| chosen == id(at));
            if !(person.is_certain && is_theirs) {
                let replies = person.choice.on_left(id(at));
                self.reply(other, replies);
            }
            let person = &self.people[other];
            if let Some((question, of)) = person.question
                && of == at
            {
                self.silence(other, question);
            }
        }
    }
}

fn id(at: usize) -> HostId {
    HostId(u32::try_from(at).expect("few") + 1)
}

fn place(id: HostId) -> usize {
    usize::try_from(id.0).expect("small") - 1
}

#[test]
fn all_become_pairs_and_at_most_one_stays_alone() {
    for seed in 0..3000 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut crowd = Crowd::new(rng.random_range(2..9));
        let faults = rng.random_range(0..200);
        let steps = (0..100_000).take_while(|step| crowd.step(&mut rng, *step < faults)).count();
        assert!(steps < 100_000, "seed {seed}: it does not settle");
        let mut alone = 0;
        for (at, person) in crowd.people.iter().enumerate().filter(|(_, one)| one.is_alive) {
            let Some((chosen, _)) = person.choice.chosen() else {
                alone += 1;
                continue;
            };
            let other = &crowd.people[place(chosen)];
            let is_mutual = other.choice.chosen().is_some_and(|(back, _)| back == id(at));
            assert!(person.is_certain, "seed {seed}: {} is not certain", at + 1);
            assert!(is_mutual || !other.is_alive, "seed {seed}: {} and {chosen:?}", at + 1);
        }
        assert!(alone <= 1, "seed {seed}: {alone} stay alone");
    }
}
