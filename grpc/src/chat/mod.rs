//! A chat of two, directly. Everything that happens comes to one loop, which knows the state:
//! whether the other is there, where they would be, and what is on its way.
//!
//! The contract's lines go to standard output, all that is beside them to standard error. Invariants:
//! one message is on its way at a time, so their order is that of the lines; a message is sent
//! once, and said to be undelivered unless it was answered; an attempt to connect comes
//! [`DIAL_INTERVAL`] after the one before, unless that was answered by somebody else or the other has
//! just been heard of; in a network there is none while nobody is known to be anywhere.

mod crc_client;
mod directory;
mod network;
mod pairing;
#[cfg(test)]
mod pairing_tests;
mod partner;
mod peer;
mod setup;

use std::net::SocketAddr;

use crc::id::HostId;
use crc::printable::Printable;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use self::crc_client::CrcClient;
use self::directory::User;
use self::network::Network;
use self::peer::{ChatService, Peer};
use crate::channel::{ClosedSignal, RpcError, ShutdownSignals};
use crate::cli::Discovery;
use crate::limits::DIAL_INTERVAL;
use crate::proto::chat::ChatMessage;
use crate::screen::{Input, Line, Screen};

/// Chats until the input ends or a signal comes.
///
/// # Errors
/// What keeps the chat from beginning, or an answer that shows that the other cannot chat.
pub(crate) async fn run(name: String, discovery: Discovery) -> Result<(), String> {
    let mut signals = ShutdownSignals::new()?;
    let ready = tokio::select! {
        () = signals.recv() => return Ok(()),
        ready = setup::prepare(name, discovery) => ready?,
    };
    let (mut session, service, incoming_events, input) = ready;
    session.print_waiting();
    let (outcome, service) = session.run_loop(signals, service, incoming_events, input).await;
    session.leave(service).await?;
    outcome
}

/// Where the other is to be found.
struct Target {
    address: SocketAddr,
    /// Who it is in the network, where there is one.
    user_id: Option<HostId>,
    /// Whether it was said that they cannot be reached.
    is_unreachable_reported: bool,
}

impl Target {
    fn new(address: SocketAddr, user_id: Option<HostId>) -> Self {
        Self { address, user_id, is_unreachable_reported: false }
    }
}

enum Link {
    Down,
    Dialling,
    Up(Box<Peer>),
}

/// What a task has to tell, and the attempt to connect that it belongs to.
struct TaskEvent {
    generation: u64,
    kind: TaskEventKind,
}

enum TaskEventKind {
    Dialled(Result<(Peer, ClosedSignal), RpcError>),
    Closed,
    Sent(String, Result<(), RpcError>),
    /// Who has left the network, and whether the connection stands.
    QuitProbed(User, Result<(), RpcError>),
    /// Whoever was there before under our name and still is.
    NameChecked(Option<User>),
    /// The network was lost, and is there again.
    Rejoined(Box<CrcClient>),
}

struct ChatSession {
    name: String,
    screen: Screen,
    network: Option<Network>,
    /// Whom to chat with in the network, once that is certain.
    partner: Option<Vec<u8>>,
    target: Option<Target>,
    link: Link,
    generation: u64,
    last_dial: Option<Instant>,
    /// The other's name once they have been there.
    peer_name: Option<String>,
    /// A line that was typed before anybody was there.
    deferred_line: Option<String>,
    is_sending: bool,
    is_input_open: bool,
    events: mpsc::Sender<TaskEvent>,
}

impl ChatSession {
    /// The loop.
    async fn run_loop(
        &mut self,
        mut signals: ShutdownSignals,
        mut service: ChatService,
        mut incoming_events: mpsc::Receiver<TaskEvent>,
        mut input: mpsc::Receiver<Input>,
    ) -> (Result<(), String>, ChatService) {
        while self.is_input_open || self.deferred_line.is_some() || self.is_sending {
            let has_pending_output = self.screen.has_pending();
            let next_dial = self.next_dial();
            let accepts_input =
                self.is_input_open && self.deferred_line.is_none() && !self.is_sending;
            let outcome = tokio::select! {
                () = signals.recv() => break,
                is_output_open = self.screen.flush_one() => if is_output_open { Ok(()) } else { break },
                Some(event) = incoming_events.recv() => self.on_task_event(event),
                events = network::next_events(&mut self.network) => self.on_directory_events(events),
                () = sleep_until(next_dial.unwrap_or_else(Instant::now)), if next_dial.is_some() => {
                    self.dial();
                    Ok(())
                }
                Some(request) = service.requests.recv() => {
                    self.on_pair_request(request);
                    Ok(())
                }
                Some(message) = service.messages.recv(), if !has_pending_output => {
                    self.screen.print(Line::Out(format_message(&message)));
                    Ok(())
                }
                line = input.recv(), if accepts_input && !has_pending_output => {
                    self.on_input(line);
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
    async fn leave(mut self, service: ChatService) -> Result<(), String> {
        self.link = Link::Down;
        for message in service.stop().await {
            self.screen.print(Line::Out(format_message(&message)));
        }
        if let Some(client) = self.network.take().and_then(|network| network.client) {
            client.quit().await;
        }
        self.screen.close().await
    }

    /// When to connect next: never while there is nobody to connect to.
    fn next_dial(&self) -> Option<Instant> {
        let target = self.target.as_ref().filter(|_| matches!(self.link, Link::Down))?;
        if let (Some(network), Some(id)) = (&self.network, target.user_id)
            && !network.may_contain(id)
        {
            return None;
        }
        Some(self.last_dial.map_or_else(Instant::now, |dialled| dialled + DIAL_INTERVAL))
    }

    fn dial(&mut self) {
        let Some(target) = &self.target else { return };
        let (address, user_id) = (target.address, target.user_id);
        let pair_request = match (&mut self.network, user_id) {
            (Some(network), Some(user)) => network.make_request(user),
            _ => None,
        };
        self.generation += 1;
        self.last_dial = Some(Instant::now());
        self.link = Link::Dialling;
        self.spawn(async move { TaskEventKind::Dialled(Peer::dial(address, pair_request).await) });
    }

    /// Lets something happen in its own time, for the present connection.
    fn spawn(&self, task: impl Future<Output = TaskEventKind> + Send + 'static) {
        let (generation, events) = (self.generation, self.events.clone());
        tokio::spawn(async move {
            let kind = task.await;
            let _ = events.send(TaskEvent { generation, kind }).await;
        });
    }

    fn on_task_event(&mut self, TaskEvent { generation, kind }: TaskEvent) -> Result<(), String> {
        let is_current = generation == self.generation;
        match kind {
            TaskEventKind::Dialled(Ok((peer, closed))) if is_current => {
                self.on_connected(peer, closed);
            }
            TaskEventKind::Dialled(Err(failure)) if is_current => {
                self.link = Link::Down;
                match failure {
                    RpcError::Rejected(why) => {
                        if !self.skip_peer(&why) {
                            return Err(format!("who answers there does not chat: {why}"));
                        }
                    }
                    RpcError::Unavailable(why) => {
                        self.report_unreachable(&why);
                        self.on_peer_unreachable();
                    }
                }
                self.update_target();
            }
            TaskEventKind::Closed if is_current => self.on_disconnected(),
            TaskEventKind::Dialled(_) | TaskEventKind::Closed => {}
            TaskEventKind::Sent(line, outcome) => {
                self.is_sending = false;
                if let Err(failure) = outcome {
                    self.report_undelivered(&line, failure.message());
                    if is_current && matches!(failure, RpcError::Unavailable(_)) {
                        self.on_disconnected();
                    }
                }
            }
            TaskEventKind::QuitProbed(user, outcome) => {
                let is_still_connected = is_current && outcome.is_ok();
                if is_current && !is_still_connected {
                    self.on_disconnected();
                }
                let more = if is_still_connected { ", the chat goes on directly" } else { "" };
                self.print_note(format!("{} has left the network{more}", Printable(&user.name)));
            }
            TaskEventKind::NameChecked(Some(user)) => {
                let name = Printable(&user.name);
                let address = user.address;
                return Err(format!("the name {name} is taken in the network, at {address}"));
            }
            TaskEventKind::NameChecked(None) => self.on_name_confirmed(),
            TaskEventKind::Rejoined(client) => self.on_network_rejoined(*client),
        }
        Ok(())
    }

    fn on_connected(&mut self, peer: Peer, closed: ClosedSignal) {
        // In a network the address may be that of somebody who has left since.
        if let Some(partner) = self.partner.as_ref().filter(|with| **with != *peer.name.as_bytes())
        {
            let (name, partner) = (Printable(peer.name.as_bytes()), Printable(partner));
            let note = format!("{name} answers where {partner} should be");
            self.link = Link::Down;
            self.target = None;
            return self.print_note(note);
        }
        if !self.accept_peer(&peer) {
            self.link = Link::Down;
            return self.update_target();
        }
        let (own, name) = (Printable(self.name.as_bytes()), Printable(peer.name.as_bytes()));
        let welcome = format!("Welcome, {own}. You are chatting with {name}.");
        self.screen.print(Line::Out(welcome));
        let partner = &peer.info.partner;
        if !partner.is_empty() && partner != self.name.as_bytes() {
            // They hear what is said here, and talk to somebody else.
            self.print_note(format!(
                "{} chats with {}",
                Printable(peer.name.as_bytes()),
                Printable(partner)
            ));
        }
        self.peer_name = Some(peer.name.clone());
        self.link = Link::Up(Box::new(peer));
        self.spawn(async {
            let _ = closed.await;
            TaskEventKind::Closed
        });
        if let Some(line) = self.deferred_line.take() {
            self.send_line(line);
        }
    }

    /// Somebody is said to be there and cannot be reached: told once, as long as they never were.
    fn report_unreachable(&mut self, why: &str) {
        let Some(target) = &mut self.target else { return };
        if self.peer_name.is_none() && target.user_id.is_some() && !target.is_unreachable_reported {
            target.is_unreachable_reported = true;
            self.print_note(format!("not reached, and tried again: {why}"));
        }
    }

    fn on_disconnected(&mut self) {
        if !matches!(self.link, Link::Up(_)) {
            return;
        }
        self.link = Link::Down;
        self.print_note(format!("{} is away", self.peer_display_name()));
        self.print_waiting();
        self.follow_partner();
    }

    fn on_input(&mut self, input: Option<Input>) {
        match input {
            None => self.is_input_open = false,
            Some(Input::Line(line)) if line.is_empty() => {}
            Some(Input::Line(line)) if self.peer_name.is_none() => self.deferred_line = Some(line),
            Some(Input::Line(line)) => self.send_line(line),
            Some(Input::Invalid(why)) => self.print_note(why),
        }
    }

    fn send_line(&mut self, line: String) {
        let Link::Up(peer) = &self.link else {
            let why = format!("{} is away", self.peer_display_name());
            return self.report_undelivered(&line, &why);
        };
        let answer = peer.send(&self.name, &line);
        self.is_sending = true;
        self.spawn(async move { TaskEventKind::Sent(line, answer.await) });
    }

    fn report_undelivered(&mut self, line: &str, why: &str) {
        self.print_note(format!("not delivered, {why}: {}", Printable(line.as_bytes())));
    }

    fn print_waiting(&mut self) {
        self.screen.print(Line::Out("Waiting for other peer to connect...".to_owned()));
    }

    fn print_note(&mut self, note: String) {
        self.screen.print(Line::Err(note));
    }

    /// The other's name, as it may be shown.
    fn peer_display_name(&self) -> String {
        let name = self.peer_name.as_deref().unwrap_or("the other");
        Printable(name.as_bytes()).to_string()
    }
}

/// A message as the contract has it, `[17:24] Alice> Hello, Bob!`, in local time.
fn format_message(message: &ChatMessage) -> String {
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
    fn received_message_is_shown_as_one_printable_line() {
        let message = |timestamp, body: &str| {
            let (sender, body) = ("Al\u{1b}ice".to_owned(), body.to_owned());
            format_message(&ChatMessage { timestamp, sender, body })
        };
        assert_eq!(message(i64::MAX, "a\nb"), "[--:--] Al\\u{1b}ice> a\\nb");
        assert_eq!(message(i64::MIN, "\u{202e}"), "[--:--] Al\\u{1b}ice> \\u{202e}");
        assert!(message(0, "x").ends_with("] Al\\u{1b}ice> x"));
    }
}
