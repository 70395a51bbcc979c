//! A chat of two, directly. Everything that happens comes to one loop, which knows the state:
//! whether the other is there, where they would be, and what is on its way.
//!
//! The contract's lines go to standard output, all that is beside them to standard error. Invariants:
//! one message is on its way at a time, so their order is that of the lines; a message is sent
//! once, and said to be undelivered unless it was answered; an attempt to connect comes
//! [`DIAL_INTERVAL`] after the one before, unless that was answered by somebody else or the other has
//! just been heard of; in a network there is none while nobody is known to be anywhere.

mod begin;
mod choice;
#[cfg(test)]
mod choice_tests;
mod directory;
mod network;
mod peer;
mod relay;

use std::net::SocketAddr;

use crc::printable::Printable;
use crc::relay::message::HostId;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use self::directory::User;
use self::network::Network;
use self::peer::{Peer, Service};
use self::relay::Relay;
use crate::channel::{Failure, Gone, Signals};
use crate::cli::Way;
use crate::limits::DIAL_INTERVAL;
use crate::proto::chat::ChatMessage;
use crate::screen::{Line, Screen, Typed};

/// Chats until the input ends or a signal comes.
///
/// # Errors
/// What keeps the chat from beginning, or an answer that shows that the other cannot chat.
pub(crate) async fn run(name: String, way: Way) -> Result<(), String> {
    let mut signals = Signals::new()?;
    let ready = tokio::select! {
        () = signals.any() => return Ok(()),
        ready = begin::prepare(name, way) => ready?,
    };
    let (mut talk, service, happened, typed) = ready;
    talk.wait();
    let (outcome, service) = talk.chat(signals, service, happened, typed).await;
    talk.leave(service).await?;
    outcome
}

/// Where the other is to be found.
struct Target {
    address: SocketAddr,
    /// Who it is in the network, where there is one.
    user: Option<HostId>,
    /// Whether it was said that they cannot be reached.
    is_unreachable: bool,
}

impl Target {
    fn new(address: SocketAddr, user: Option<HostId>) -> Self {
        Self { address, user, is_unreachable: false }
    }
}

enum Link {
    Down,
    Dialling,
    Up(Box<Peer>),
}

/// What a task has to tell, and the attempt to connect that it belongs to.
struct Happening {
    attempt: u64,
    what: What,
}

enum What {
    Answered(Result<(Peer, Gone), Failure>),
    Gone,
    Sent(String, Result<(), Failure>),
    /// Who has left the network, and whether the connection stands.
    Parted(User, Result<(), Failure>),
    /// Whoever was there before under our name and still is.
    Namesake(Option<User>),
    /// The network was lost, and is there again.
    Rejoined(Box<Relay>),
}

struct Talk {
    name: String,
    screen: Screen,
    network: Option<Network>,
    /// Whom to chat with in the network, once that is certain.
    with: Option<Vec<u8>>,
    target: Option<Target>,
    link: Link,
    attempt: u64,
    dialled: Option<Instant>,
    /// The other's name once they have been there.
    peer_name: Option<String>,
    /// A line that was typed before anybody was there.
    held: Option<String>,
    is_sending: bool,
    is_input_open: bool,
    happens: mpsc::Sender<Happening>,
}

impl Talk {
    /// The loop.
    async fn chat(
        &mut self,
        mut signals: Signals,
        mut service: Service,
        mut happened: mpsc::Receiver<Happening>,
        mut input: mpsc::Receiver<Typed>,
    ) -> (Result<(), String>, Service) {
        while self.is_input_open || self.held.is_some() || self.is_sending {
            let is_behind = self.screen.is_behind();
            let dial_at = self.dial_at();
            let takes_lines = self.is_input_open && self.held.is_none() && !self.is_sending;
            let outcome = tokio::select! {
                () = signals.any() => break,
                can_be_seen = self.screen.tend() => if can_be_seen { Ok(()) } else { break },
                Some(happening) = happened.recv() => self.on_happening(happening),
                news = network::news(&mut self.network) => self.on_news(news),
                () = sleep_until(dial_at.unwrap_or_else(Instant::now)), if dial_at.is_some() => {
                    self.dial();
                    Ok(())
                }
                Some(asked) = service.asked.recv() => {
                    self.on_asked(asked);
                    Ok(())
                }
                Some(message) = service.received.recv(), if !is_behind => {
                    self.screen.say(Line::Out(shown(&message)));
                    Ok(())
                }
                typed = input.recv(), if takes_lines && !is_behind => {
                    self.on_typed(typed);
                    Ok(())
                }
            };
            if outcome.is_err() {
                return (outcome, service);
            }
        }
        (Ok(()), service)
    }

    /// Leaves so that the other sees the end of the chat before the end of the membership.
    async fn leave(mut self, service: Service) -> Result<(), String> {
        self.link = Link::Down;
        for message in service.stop().await {
            self.screen.say(Line::Out(shown(&message)));
        }
        if let Some(relay) = self.network.take().and_then(|network| network.relay) {
            relay.quit().await;
        }
        self.screen.close().await
    }

    /// When to connect next: never while there is nobody to connect to.
    fn dial_at(&self) -> Option<Instant> {
        let target = self.target.as_ref().filter(|_| matches!(self.link, Link::Down))?;
        if let (Some(network), Some(id)) = (&self.network, target.user)
            && !network.may_have(id)
        {
            return None;
        }
        Some(self.dialled.map_or_else(Instant::now, |dialled| dialled + DIAL_INTERVAL))
    }

    fn dial(&mut self) {
        let Some(target) = &self.target else { return };
        let (address, user) = (target.address, target.user);
        let question = match (&mut self.network, user) {
            (Some(network), Some(user)) => network.question(user),
            _ => None,
        };
        self.attempt += 1;
        self.dialled = Some(Instant::now());
        self.link = Link::Dialling;
        self.later(async move { What::Answered(Peer::dial(address, question).await) });
    }

    /// Lets something happen in its own time, for the present connection.
    fn later(&self, what: impl Future<Output = What> + Send + 'static) {
        let (attempt, happens) = (self.attempt, self.happens.clone());
        tokio::spawn(async move {
            let what = what.await;
            let _ = happens.send(Happening { attempt, what }).await;
        });
    }

    fn on_happening(&mut self, Happening { attempt, what }: Happening) -> Result<(), String> {
        let is_present = attempt == self.attempt;
        match what {
            What::Answered(Ok((peer, gone))) if is_present => self.on_peer(peer, gone),
            What::Answered(Err(failure)) if is_present => {
                self.link = Link::Down;
                match failure {
                    Failure::Refused(why) => {
                        if !self.passes_by(&why) {
                            return Err(format!("who answers there does not chat: {why}"));
                        }
                    }
                    Failure::Absent(why) => {
                        self.say_unreachable(&why);
                        self.on_silence();
                    }
                }
                self.look_around();
            }
            What::Gone if is_present => self.on_gone(),
            What::Answered(_) | What::Gone => {}
            What::Sent(line, outcome) => {
                self.is_sending = false;
                if let Err(failure) = outcome {
                    self.refuse(&line, failure.text());
                    if is_present && matches!(failure, Failure::Absent(_)) {
                        self.on_gone();
                    }
                }
            }
            What::Parted(user, outcome) => {
                let goes_on = is_present && outcome.is_ok();
                if is_present && !goes_on {
                    self.on_gone();
                }
                let more = if goes_on { ", the chat goes on directly" } else { "" };
                self.note(format!("{} has left the network{more}", Printable(&user.name)));
            }
            What::Namesake(Some(user)) => {
                let name = Printable(&user.name);
                let address = user.address;
                return Err(format!("the name {name} is taken in the network, at {address}"));
            }
            What::Namesake(None) => self.on_name_is_ours(),
            What::Rejoined(relay) => self.on_rejoined(*relay),
        }
        Ok(())
    }

    fn on_peer(&mut self, peer: Peer, gone: Gone) {
        // In a network the address may be that of somebody who has left since.
        if let Some(with) = self.with.as_ref().filter(|with| **with != *peer.name.as_bytes()) {
            let (name, with) = (Printable(peer.name.as_bytes()), Printable(with));
            let note = format!("{name} answers where {with} should be");
            self.link = Link::Down;
            self.target = None;
            return self.note(note);
        }
        if !self.is_chosen(&peer) {
            self.link = Link::Down;
            return self.look_around();
        }
        let (own, name) = (Printable(self.name.as_bytes()), Printable(peer.name.as_bytes()));
        let welcome = format!("Welcome, {own}. You are chatting with {name}.");
        self.screen.say(Line::Out(welcome));
        let partner = &peer.answer.partner;
        if !partner.is_empty() && partner != self.name.as_bytes() {
            // They hear what is said here, and talk to somebody else.
            self.note(format!(
                "{} chats with {}",
                Printable(peer.name.as_bytes()),
                Printable(partner)
            ));
        }
        self.peer_name = Some(peer.name.clone());
        self.link = Link::Up(Box::new(peer));
        self.later(async {
            let _ = gone.await;
            What::Gone
        });
        if let Some(line) = self.held.take() {
            self.send(line);
        }
    }

    /// Somebody is said to be there and cannot be reached: told once, as long as they never were.
    fn say_unreachable(&mut self, why: &str) {
        let Some(target) = &mut self.target else { return };
        if self.peer_name.is_none() && target.user.is_some() && !target.is_unreachable {
            target.is_unreachable = true;
            self.note(format!("not reached, and tried again: {why}"));
        }
    }

    fn on_gone(&mut self) {
        if !matches!(self.link, Link::Up(_)) {
            return;
        }
        self.link = Link::Down;
        self.note(format!("{} is away", self.peer()));
        self.wait();
        self.follow();
    }

    fn on_typed(&mut self, typed: Option<Typed>) {
        match typed {
            None => self.is_input_open = false,
            Some(Typed::Line(line)) if line.is_empty() => {}
            Some(Typed::Line(line)) if self.peer_name.is_none() => self.held = Some(line),
            Some(Typed::Line(line)) => self.send(line),
            Some(Typed::Unsendable(why)) => self.note(why),
        }
    }

    fn send(&mut self, line: String) {
        let Link::Up(peer) = &self.link else {
            let why = format!("{} is away", self.peer());
            return self.refuse(&line, &why);
        };
        let answer = peer.say(&self.name, &line);
        self.is_sending = true;
        self.later(async move { What::Sent(line, answer.await) });
    }

    fn refuse(&mut self, line: &str, why: &str) {
        self.note(format!("not delivered, {why}: {}", Printable(line.as_bytes())));
    }

    fn wait(&mut self) {
        self.screen.say(Line::Out("Waiting for other peer to connect...".to_owned()));
    }

    fn note(&mut self, note: String) {
        self.screen.say(Line::Err(note));
    }

    /// The other's name, as it may be shown.
    fn peer(&self) -> String {
        let name = self.peer_name.as_deref().unwrap_or("the other");
        Printable(name.as_bytes()).to_string()
    }
}

/// A message as the contract has it, `[17:24] Alice> Hello, Bob!`, in local time.
fn shown(message: &ChatMessage) -> String {
    let (sender, body) = (Printable(message.sender.as_bytes()), Printable(message.body.as_bytes()));
    match Timestamp::from_second(message.timestamp) {
        Ok(time) => {
            let time = time.to_zoned(TimeZone::system()).strftime("%H:%M");
            format!("[{time}] {sender}> {body}")
        }
        Err(_) => format!("[--:--] {sender}> {body}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_is_one_line_whatever_it_is() {
        let message = |timestamp, body: &str| {
            let (sender, body) = ("Al\u{1b}ice".to_owned(), body.to_owned());
            shown(&ChatMessage { timestamp, sender, body })
        };
        assert_eq!(message(i64::MAX, "a\nb"), "[--:--] Al\\u{1b}ice> a\\nb");
        assert_eq!(message(i64::MIN, "\u{202e}"), "[--:--] Al\\u{1b}ice> \\u{202e}");
        assert!(message(0, "x").ends_with("] Al\\u{1b}ice> x"));
    }
}
