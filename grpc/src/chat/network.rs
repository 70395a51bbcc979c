//! What a network means for the chat: who is chosen, followed and missed, and how it is joined again
//! when it is lost. A chat that goes on is disturbed by none of that.

use std::net::SocketAddr;

use crc::address::Address;
use crc::printable::Printable;
use crc::relay::backoff;
use crc::relay::message::HostId;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::choice::{Asker, Choice, Reply, Verdict};
use super::directory::{News, User};
use super::peer::{Asked, Peer, Question};
use super::relay::{self, Relay};
use super::{Link, Talk, Target, What};
use crate::limits::STRANGERS_MAX;

type Replying = oneshot::Sender<Reply>;

/// A network that was joined.
pub(super) struct Network {
    server: Address,
    /// Where we told it that we are.
    address: SocketAddr,
    /// `None` while it is lost.
    pub(super) relay: Option<Relay>,
    /// Where anybody will do.
    choice: Option<Choice<Replying>>,
    /// Questions of people of whom we have not been told yet.
    strangers: Vec<(Question, Replying)>,
    /// Whether nobody was there before under our name.
    is_name_certain: bool,
}

impl Network {
    pub(super) fn new(server: Address, address: SocketAddr, relay: Relay) -> Self {
        let (choice, strangers) = (None, Vec::new());
        Self { server, address, relay: Some(relay), choice, strangers, is_name_certain: false }
    }

    /// Anybody will do.
    pub(super) fn choose(&mut self, name: &str) {
        let id = self.relay.as_ref().map_or(HostId::NONE, |relay| relay.directory().id());
        self.choice = Some(Choice::new(id, name.as_bytes()));
    }

    fn user(&self, id: HostId) -> Option<&User> {
        self.relay.as_ref()?.directory().user(id)
    }

    /// Whether somebody may be there, as far as is known.
    pub(super) fn may_have(&self, id: HostId) -> bool {
        self.relay.is_none() || self.user(id).is_some()
    }

    /// What we ask the other.
    pub(super) fn question(&mut self, of: HostId) -> Option<Question> {
        let id = self.relay.as_ref()?.directory().id();
        let has_chosen = self.choice.as_ref().is_none_or(|choice| choice.chosen().is_some());
        if let Some(choice) = &mut self.choice {
            choice.ask(of);
        }
        Some(Question { id, has_chosen })
    }
}

impl Talk {
    /// Somebody asks with whom we chat, and may want to be the one.
    pub(super) fn on_asked(&mut self, Asked { question, reply }: Asked) {
        let partner = self.with.clone().unwrap_or_default();
        let Some(network) = &mut self.network else { return send(reply, Reply::Partner(partner)) };
        let (Some(choice), Some(question)) = (&mut network.choice, question) else {
            return send(reply, Reply::Partner(partner));
        };
        let relay = network.relay.as_ref().filter(|_| network.is_name_certain);
        let user = relay.and_then(|relay| relay.directory().user(question.id));
        let Some(user) = user else {
            network.strangers.retain(|(_, reply)| !reply.is_closed());
            match network.strangers.len() < STRANGERS_MAX {
                true => network.strangers.push((question, reply)),
                false => send(reply, Reply::Later),
            }
            return;
        };
        let Question { id, has_chosen } = question;
        let asker = Asker { id, name: user.name.clone(), has_chosen };
        let replies = choice.on_asked(asker, reply);
        self.heed_choice(replies);
        self.look_around();
    }

    /// The other has answered, where anybody will do; whether they are the one.
    pub(super) fn is_chosen(&mut self, peer: &Peer) -> bool {
        let id = self.target_id();
        let Some(network) = &mut self.network else { return true };
        let user = id.and_then(|id| network.user(id).cloned());
        let Some(choice) = &mut network.choice else { return true };
        let Some(user) = user else {
            // They are no longer known: only who was chosen before will do.
            let is_chosen = choice.chosen().is_some();
            self.on_silence();
            return is_chosen;
        };
        let (verdict, replies) = choice.on_answer(&user, &peer.answer);
        self.heed_choice(replies);
        if verdict == Verdict::Busy {
            let partner = Printable(&peer.answer.partner);
            self.note(format!("{} chats with {partner}", Printable(&user.name)));
            self.dialled = None; // the next is somebody else
        }
        verdict == Verdict::Chosen
    }

    /// Nobody has answered; the next may.
    pub(super) fn on_silence(&mut self) {
        let id = self.target_id();
        if let Some(choice) = self.network.as_mut().and_then(|network| network.choice.as_mut())
            && let Some(id) = id
        {
            let replies = choice.on_silence(id);
            self.heed_choice(replies);
        }
    }

    /// Whoever answers cannot chat; `false` where they are the only one who will do.
    pub(super) fn passes_by(&mut self, why: &str) -> bool {
        let id = self.target_id();
        let Some(choice) = self.network.as_mut().and_then(|network| network.choice.as_mut()) else {
            return false;
        };
        let Some(id) = id else { return false };
        let replies = choice.on_refusal(id);
        self.heed_choice(replies);
        self.note(format!("somebody in the network does not chat: {why}"));
        true
    }

    /// Answers those who asked, and goes to whoever is chosen by now.
    fn heed_choice(&mut self, replies: Vec<(Replying, Reply)>) {
        replies.into_iter().for_each(|(replying, reply)| send(replying, reply));
        let Some(network) = &self.network else { return };
        let Some(choice) = &network.choice else { return };
        let chosen = choice.chosen().map(|(id, name)| (id, name.to_vec()));
        let with = chosen.as_ref().map(|(_, name)| name);
        if with == self.with.as_ref() {
            return;
        }
        let Some((id, name)) = chosen else {
            (self.with, self.target, self.link) = (None, None, Link::Down);
            self.attempt += 1;
            return;
        };
        self.with = Some(name);
        self.dialled = None; // they are there: they have just said so
        if let Some(User { name, address, .. }) = network.user(id).cloned() {
            self.note(format!("{} is in the network, at {address}", Printable(&name)));
            if self.target_id() != Some(id) {
                self.go_to(Some(id), address);
            }
        }
    }

    fn go_to(&mut self, user: Option<HostId>, address: SocketAddr) {
        self.target = Some(Target::new(address, user));
        self.attempt += 1; // what the last connection has to tell is about the past
        self.link = Link::Down;
    }

    pub(super) fn on_news(&mut self, news: Result<Vec<News>, String>) -> Result<(), String> {
        let news = match news {
            Ok(news) => news,
            Err(why) => {
                self.on_lost(&why);
                return Ok(());
            }
        };
        for news in news {
            match news {
                News::Welcome => {}
                News::Settled(users) => self.on_settled(users),
                News::Came(user) => self.on_came(&user),
                News::Left(user) => self.on_left(user),
                News::Refused(why) => return Err(why),
            }
        }
        Ok(())
    }

    fn on_lost(&mut self, why: &str) {
        let Some(network) = &mut self.network else { return };
        network.relay = None;
        let (server, address, name) = (network.server.clone(), network.address, self.name.clone());
        self.later(async move { What::Rejoined(Box::new(rejoin(&server, &name, address).await)) });
        let goes_on = if self.peer_name.is_some() { ", the chat goes on directly" } else { "" };
        self.note(format!(
            "the network is lost{goes_on}, and joined again when it is there: {why}"
        ));
    }

    pub(super) fn on_rejoined(&mut self, relay: Relay) {
        let Some(network) = &mut self.network else { return };
        if let Some(choice) = &mut network.choice {
            choice.set_id(relay.directory().id());
        }
        network.relay = Some(relay);
        self.note("the network is there again".to_owned());
    }

    fn on_came(&mut self, user: &User) {
        let own = self.network.as_ref().map(|network| network.address);
        if user.name == self.name.as_bytes() && own != Some(user.address) {
            let name = Printable(&user.name);
            return self.note(format!("another {name} has come to the network"));
        }
        self.look_around();
    }

    /// Before anything else it must be certain that the name is ours. Somebody whose connection the
    /// network has not missed yet, as after a crash, has no say; nor has what it remembers of us.
    fn on_settled(&mut self, users: Vec<User>) {
        let Some(network) = &mut self.network else { return };
        let own = network.address;
        let is_namesake = |user: &User| user.name == self.name.as_bytes() && user.address != own;
        let namesakes: Vec<User> = users.into_iter().filter(is_namesake).collect();
        if network.is_name_certain {
            return self.on_resettled(&namesakes);
        }
        self.later(async move {
            for user in namesakes {
                match Peer::dial(user.address, None).await {
                    Ok((peer, _)) if peer.name.as_bytes() == user.name => {
                        return What::Namesake(Some(user));
                    }
                    _ => {}
                }
            }
            What::Namesake(None)
        });
    }

    /// All who are there after the network was lost for a while. Some have left meanwhile.
    fn on_resettled(&mut self, namesakes: &[User]) {
        for user in namesakes {
            self.on_came(user);
        }
        let Some(network) = &mut self.network else { return };
        if self.peer_name.is_none()
            && let (Some(relay), Some(choice)) = (&network.relay, &mut network.choice)
            && let Some((id, name)) = choice.chosen()
            && !relay.directory().has(id)
            && relay.directory().next(name, None).is_none()
        {
            let replies = choice.on_left(id);
            self.heed_choice(replies);
        }
        self.look_around();
    }

    pub(super) fn on_name_is_ours(&mut self) {
        if let Some(network) = &mut self.network {
            network.is_name_certain = true;
        }
        self.look_around();
    }

    /// Hears those who asked too early, looks for somebody where that is open, and follows.
    pub(super) fn look_around(&mut self) {
        let Some(network) = &mut self.network else { return };
        if !network.is_name_certain {
            return;
        }
        let is_known = |(question, _): &mut (Question, Replying)| {
            let relay = network.relay.as_ref();
            relay.is_some_and(|relay| relay.directory().has(question.id))
        };
        let known: Vec<_> = network.strangers.extract_if(.., is_known).collect();
        if !known.is_empty() {
            // Each of them looks around again.
            return known.into_iter().for_each(|(question, reply)| {
                self.on_asked(Asked { question: Some(question), reply });
            });
        }
        if let (Some(relay), Some(choice)) = (&network.relay, &network.choice)
            && choice.chosen().is_none()
            && matches!(self.link, Link::Down)
        {
            let next = choice.next(relay.directory().users());
            let next = next.map(|user| (user.address, user.id));
            if next.map(|(_, id)| id) != self.target_id() {
                self.target = next.map(|(address, id)| Target::new(address, Some(id)));
            }
        }
        self.follow();
    }

    /// Goes to where the other is now, unless there is a connection that the network stands for.
    pub(super) fn follow(&mut self) {
        let (Some(network), Some(with)) = (&mut self.network, &self.with) else { return };
        let Some(relay) = network.relay.as_ref().filter(|_| network.is_name_certain) else {
            return;
        };
        let target_id = self.target.as_ref().and_then(|target| target.user);
        let stands = !matches!(self.link, Link::Down)
            && target_id.is_some_and(|id| relay.directory().has(id));
        if stands {
            return;
        }
        let Some(user) = relay.directory().next(with, target_id) else { return };
        let (id, address) = (user.id, user.address);
        if target_id == Some(id) {
            return;
        }
        if let Some(choice) = &mut network.choice {
            choice.follow(id);
        }
        let is_up = matches!(self.link, Link::Up(_));
        match &mut self.target {
            // The network, or the way to it, was away, and not the other.
            Some(target) if target.address == address => {
                target.user = Some(id);
                if is_up {
                    self.note(format!("{} is in the network again", self.peer()));
                }
            }
            _ => {
                if is_up {
                    self.note(format!("{} has come again, at {address}", self.peer()));
                }
                self.go_to(Some(id), address);
            }
        }
    }

    fn on_left(&mut self, user: User) {
        if let Some(choice) = self.network.as_mut().and_then(|network| network.choice.as_mut()) {
            let is_chosen = choice.chosen().is_some_and(|(id, _)| id == user.id);
            // Who was there is waited for, as they may come again.
            if !(is_chosen && self.peer_name.is_some()) {
                let replies = choice.on_left(user.id);
                self.heed_choice(replies);
            }
        }
        if self.target_id() != Some(user.id) {
            return self.look_around();
        }
        self.look_around();
        // Who ends leaves the network and the chat, and either may be heard of first: what goes on
        // is asked over the connection itself.
        match &self.link {
            Link::Up(peer) if self.target_id() == Some(user.id) => {
                let answer = peer.ask();
                self.later(async { What::Parted(user, answer.await) });
            }
            _ => self.note(format!("{} has left the network", Printable(&user.name))),
        }
    }

    /// Who the other is in the network.
    pub(super) fn target_id(&self) -> Option<HostId> {
        self.target.as_ref()?.user
    }
}

fn send(replying: Replying, reply: Reply) {
    let _ = replying.send(reply); // who has given up asks again
}

/// News of a network; without one, none ever.
pub(super) async fn news(network: &mut Option<Network>) -> Result<Vec<News>, String> {
    match network.as_mut().and_then(|network| network.relay.as_mut()) {
        Some(relay) => relay.news().await,
        None => std::future::pending().await,
    }
}

/// Joins again, as soon as that is possible.
async fn rejoin(server: &Address, name: &str, address: SocketAddr) -> Relay {
    let mut rng = StdRng::from_rng(&mut rand::rng());
    for failed_rounds in 0.. {
        sleep(backoff(failed_rounds.min(8), &mut rng)).await;
        if let Ok(stream) = relay::connect(server).await
            && let Ok(relay) = Relay::join(stream, name, address).await
        {
            return relay;
        }
    }
    unreachable!("there is always another round")
}
