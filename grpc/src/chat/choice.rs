//! With whom to chat, where anybody will do: the rule by which any number of people who look for
//! anybody become pairs, and nobody talks to somebody who talks to a third.
//!
//! No sockets. Everyone asks the others, one after the other, and the larger id is the one that
//! counts: a question from a larger id, or from somebody who has chosen us, may be answered with a
//! promise; a question from a smaller id is only a look, which finds those who don't know the rule.
//! Invariants: a promise is given to one person, and kept until they are gone; no promise is given
//! while a question to a smaller id is open, as its answer may be one: questions wait meanwhile. They
//! wait for smaller ids only, so never in a circle; of those who know the rule, at most one stays
//! alone.

use crc::relay::message::HostId;

use super::directory::User;

/// Questions that wait; further ones are refused and come again.
pub(super) const WAITING_MAX: usize = 64;

/// Who asks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asker {
    pub(crate) id: HostId,
    pub(crate) name: Vec<u8>,
    /// Whether they want nobody else.
    pub(crate) has_chosen: bool,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reply {
    /// With whom we chat, from now on or already; empty for nobody.
    Partner(Vec<u8>),
    /// Nothing can be said now.
    Later,
}

/// What somebody who was asked said.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    /// With whom they chat; empty for nobody.
    pub(crate) partner: Vec<u8>,
    /// Whether they know the rule.
    pub(crate) knows_rule: bool,
}

/// What an answer means.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// They are the one.
    Chosen,
    /// They have somebody else.
    Busy,
    /// They will ask, or have yet to hear of us.
    NotYet,
}

#[derive(Debug, PartialEq)]
struct Chosen {
    id: HostId,
    name: Vec<u8>,
}

/// The choice of one person; `W` is a question that waits for its [`Reply`].
#[derive(Debug)]
pub(crate) struct Choice<W> {
    id: HostId,
    name: Vec<u8>,
    chosen: Option<Chosen>,
    asking: Option<HostId>,
    /// Whether they have asked since we did: then their answer may be older than their question.
    has_crossed: bool,
    /// Whom we asked last, whatever came of it.
    last: Option<HostId>,
    /// Those who have somebody else, or will ask us.
    passed: Vec<HostId>,
    waiting: Vec<(Asker, W)>,
}

impl<W> Choice<W> {
    pub(crate) fn new(id: HostId, name: &[u8]) -> Self {
        Self {
            id,
            name: name.to_vec(),
            chosen: None,
            asking: None,
            has_crossed: false,
            last: None,
            passed: Vec::new(),
            waiting: Vec::new(),
        }
    }

    /// The network knows us by another id.
    pub(crate) fn set_id(&mut self, id: HostId) {
        self.id = id;
    }

    /// Whoever is chosen has come again, with another id.
    pub(crate) fn follow(&mut self, id: HostId) {
        if let Some(chosen) = &mut self.chosen {
            chosen.id = id;
        }
    }

    /// Who was chosen.
    pub(crate) fn chosen(&self) -> Option<(HostId, &[u8])> {
        self.chosen.as_ref().map(|chosen| (chosen.id, &chosen.name[..]))
    }

    /// Whom to ask next, in turn; `None` while a question is open, and when somebody is chosen.
    pub(crate) fn next<'a>(&self, users: &'a [User]) -> Option<&'a User> {
        if self.chosen.is_some() || self.asking.is_some() {
            return None;
        }
        let open = || {
            users.iter().filter(|user| user.name != self.name && !self.passed.contains(&user.id))
        };
        let mut after = open().skip_while(|user| Some(user.id) != self.last).skip(1);
        after.next().or_else(|| open().next())
    }

    /// A question is on its way.
    pub(crate) fn ask(&mut self, id: HostId) {
        (self.asking, self.last, self.has_crossed) = (Some(id), Some(id), false);
    }

    /// Somebody asks; what is answered to whom.
    pub(crate) fn on_asked(&mut self, asker: Asker, question: W) -> Vec<(W, Reply)> {
        self.has_crossed |= self.last == Some(asker.id);
        if let Some(chosen) = &self.chosen {
            return vec![(question, Reply::Partner(chosen.name.clone()))];
        }
        if !asker.has_chosen && asker.id < self.id {
            // Whoever looks is free, even if they were not before: then it is for us to ask.
            self.passed.retain(|id| *id != asker.id);
            return vec![(question, Reply::Partner(Vec::new()))];
        }
        let may_be_promised = self.asking.is_some_and(|id| id < self.id && id != asker.id);
        if may_be_promised && self.waiting.len() >= WAITING_MAX {
            return vec![(question, Reply::Later)];
        }
        self.waiting.retain(|(waits, _)| waits.id != asker.id); // they have given that one up
        let (id, name) = (asker.id, asker.name.clone());
        self.waiting.push((asker, question));
        if may_be_promised { Vec::new() } else { self.choose(id, name) }
    }

    /// Whom we asked has answered; what that means, and what is answered to those who wait.
    pub(crate) fn on_answer(&mut self, of: &User, answer: &Answer) -> (Verdict, Vec<(W, Reply)>) {
        if self.asking == Some(of.id) {
            self.asking = None;
        }
        let is_free = answer.partner.is_empty();
        let is_theirs = answer.partner == self.name || (is_free && !answer.knows_rule);
        match &self.chosen {
            Some(chosen) if chosen.id != of.id => (Verdict::NotYet, Vec::new()),
            Some(_) if is_theirs => (Verdict::Chosen, Vec::new()),
            Some(_) if is_free || self.has_crossed => (Verdict::NotYet, Vec::new()),
            None if is_theirs => (Verdict::Chosen, self.choose(of.id, of.name.clone())),
            None if self.has_crossed => (Verdict::NotYet, self.choose_who_waits()),
            Some(_) | None => {
                self.revoke();
                self.passed.push(of.id);
                let verdict = if is_free { Verdict::NotYet } else { Verdict::Busy };
                (verdict, self.choose_who_waits())
            }
        }
    }

    /// Whom we asked cannot chat.
    pub(crate) fn on_refusal(&mut self, of: HostId) -> Vec<(W, Reply)> {
        self.asking = None;
        self.revoke();
        self.passed.push(of);
        self.choose_who_waits()
    }

    /// Whom we asked has not answered.
    pub(crate) fn on_silence(&mut self, of: HostId) -> Vec<(W, Reply)> {
        if self.asking != Some(of) {
            return Vec::new();
        }
        self.asking = None;
        self.choose_who_waits()
    }

    /// Somebody has left the network; a promise to them is void.
    pub(crate) fn on_left(&mut self, id: HostId) -> Vec<(W, Reply)> {
        self.passed.retain(|passed| *passed != id);
        self.waiting.retain(|(waits, _)| waits.id != id);
        if self.chosen.as_ref().is_some_and(|chosen| chosen.id == id) {
            self.revoke();
        }
        self.asking.take_if(|asking| *asking == id);
        if self.asking.is_none() { self.choose_who_waits() } else { Vec::new() }
    }

    fn revoke(&mut self) {
        if self.chosen.take().is_some() {
            self.passed.clear(); // who was told of the promise waits for us to look
        }
    }

    /// Takes the first of those who wait, if any does.
    fn choose_who_waits(&mut self) -> Vec<(W, Reply)> {
        match self.waiting.first() {
            Some((Asker { id, name, .. }, _)) if self.chosen.is_none() => {
                self.choose(*id, name.clone())
            }
            _ => Vec::new(),
        }
    }

    fn choose(&mut self, id: HostId, name: Vec<u8>) -> Vec<(W, Reply)> {
        self.asking = None;
        let replies = self.waiting.drain(..);
        let replies = replies.map(|(_, question)| (question, Reply::Partner(name.clone())));
        let replies = replies.collect();
        self.chosen = Some(Chosen { id, name });
        replies
    }
}
