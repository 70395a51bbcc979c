//! What a network's news mean for the chat: who is chosen, followed and missed.

use crc::printable::Printable;
use crc::relay::message::HostId;

use super::directory::{News, User};
use super::peer::Peer;
use super::relay::Relay;
use super::{Link, Talk, Target, What};

impl Talk {
    pub(super) fn on_news(&mut self, news: Result<Vec<News>, String>) -> Result<(), String> {
        let news = match news {
            Ok(news) => news,
            Err(why) => {
                self.relay = None;
                if self.target.is_none() {
                    return Err(format!("the network is lost before anybody was found: {why}"));
                }
                self.note(format!("the network is lost, the chat goes on directly: {why}"));
                return Ok(());
            }
        };
        for news in news {
            match news {
                News::Welcome => {}
                News::Settled(users) => self.on_settled(users),
                News::Came(user) if user.name == self.name.as_bytes() => {
                    let name = Printable(&user.name);
                    self.note(format!("another {name} has come to the network"));
                }
                News::Came(_) => self.look_around(),
                News::Left(user) => self.on_left(user),
                News::Refused(why) => return Err(why),
            }
        }
        Ok(())
    }

    /// Before anything else it must be certain that the name is ours. Somebody whose connection the
    /// network has not missed yet, as after a crash, has no say.
    fn on_settled(&mut self, users: Vec<User>) {
        let own = self.name.clone().into_bytes();
        self.later(async move {
            for user in users.into_iter().filter(|user| user.name == own) {
                match Peer::dial(user.address).await {
                    Ok((peer, _)) if peer.name.as_bytes() == own => {
                        return What::Namesake(Some(user));
                    }
                    _ => {}
                }
            }
            What::Namesake(None)
        });
    }

    /// Chooses whom to chat with, where that is open.
    pub(super) fn look_around(&mut self) {
        if self.with.is_none()
            && self.is_name_certain
            && let Some(relay) = &self.relay
            && let Some(user) = relay.directory().first_but(self.name.as_bytes(), &self.busy)
        {
            let (name, address) = (Printable(&user.name), user.address);
            let note = format!("{name} is in the network, at {address}");
            self.with = Some(user.name.clone());
            self.note(note);
        }
        self.follow();
    }

    /// Goes to where the other is now, unless there is a connection that the network stands for.
    pub(super) fn follow(&mut self) {
        let (Some(relay), Some(with)) = (&self.relay, &self.with) else { return };
        let stands = !matches!(self.link, Link::Down)
            && self.target_id().is_some_and(|id| relay.directory().has(id));
        if stands || !self.is_name_certain {
            return;
        }
        let Some(user) = relay.directory().next(with, self.target_id()) else { return };
        let (id, address) = (user.id, user.address);
        if self.target_id() == Some(id) {
            return;
        }
        self.target = Some(Target { address, user: Some(id) });
        if let Link::Up(_) = self.link {
            self.note(format!("{} has come again, at {address}", self.peer()));
        }
        self.attempt += 1; // what the last connection has to tell is about the past
        self.link = Link::Down;
    }

    fn on_left(&mut self, user: User) {
        if self.target_id() != Some(user.id) {
            return;
        }
        self.follow();
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

/// News of a network; without one, none ever.
pub(super) async fn news(relay: &mut Option<Relay>) -> Result<Vec<News>, String> {
    match relay {
        Some(relay) => relay.news().await,
        None => std::future::pending().await,
    }
}
