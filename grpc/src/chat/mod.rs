//! A chat between two users over a direct connection.
//!
//! One loop handles all events and owns the state, [`ChatSession`]: the connection, the address to
//! dial, and the message in flight. `network` handles the events of a crc network, `partner`
//! chooses the partner and follows it there. The documented lines go to standard output, notes to
//! standard error.
//!
//! Invariants:
//!
//! 1. One message is in flight at a time, so messages keep the order of the lines.
//! 2. A message is sent once, and reported as not delivered unless it was answered.
//! 3. A connection attempt starts [`DIAL_INTERVAL`] after the previous one, or at once if the
//!    previous one reached another user or the partner has just sent a request.
//! 4. In a network there is no attempt while no user to connect to is known.

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
use crc::internal::Printable;
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

/// Runs a chat until the input ends or a signal arrives.
///
/// # Errors
/// Returns an error if the chat cannot start, or if the only possible partner does not provide the
/// Chat service.
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

/// The user to connect to.
struct Target {
    address: SocketAddr,
    /// The user's id in the network, if there is a network.
    user_id: Option<HostId>,
    /// Whether a failure to connect was reported.
    is_unreachable_reported: bool,
}

impl Target {
    fn new(address: SocketAddr, user_id: Option<HostId>) -> Self {
        Self { address, user_id, is_unreachable_reported: false }
    }
}

/// The connection to the target.
enum Link {
    Down,
    Dialling,
    Up(Box<Peer>),
}

/// The result of a task, and the connection attempt that it belongs to.
struct TaskEvent {
    generation: u64,
    kind: TaskEventKind,
}

enum TaskEventKind {
    Dialled(Result<(Peer, ClosedSignal), RpcError>),
    Closed,
    Sent(String, Result<(), RpcError>),
    /// A connected user left the network; whether the connection is still up.
    QuitProbed(User, Result<(), RpcError>),
    /// The name check; a reachable user that already has our name.
    NameChecked(Option<User>),
    /// The network was rejoined.
    Rejoined(Box<CrcClient>),
}

/// The state of a chat.
struct ChatSession {
    name: String,
    screen: Screen,
    network: Option<Network>,
    /// The name of the partner in the network, once it is chosen.
    partner: Option<Vec<u8>>,
    target: Option<Target>,
    link: Link,
    /// Number of the current connection attempt; results of earlier ones are ignored.
    generation: u64,
    last_dial: Option<Instant>,
    /// The peer's name, once it was connected.
    peer_name: Option<String>,
    /// A line typed before the first connection.
    deferred_line: Option<String>,
    is_sending: bool,
    is_input_open: bool,
    events: mpsc::Sender<TaskEvent>,
}

impl ChatSession {
    /// Runs the event loop until the input has ended and everything is sent.
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

    /// Ends the chat, and then leaves the network, so that the peer sees the two in this order.
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

    /// Returns the time of the next connection attempt; `None` without a target.
    fn next_dial(&self) -> Option<Instant> {
        let target = self.target.as_ref().filter(|_| matches!(self.link, Link::Down))?;
        if let (Some(network), Some(id)) = (&self.network, target.user_id)
            && !network.may_contain(id)
        {
            return None;
        }
        Some(self.last_dial.map_or_else(Instant::now, |dialled| dialled + DIAL_INTERVAL))
    }

    /// Starts a connection attempt.
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

    /// Spawns a task for the current connection attempt.
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
                    RpcError::Rejected(why) => self.skip_peer(&why)?,
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
                let more = if is_still_connected { ", the chat continues directly" } else { "" };
                self.print_note(format!("{} has left the network{more}", Printable(&user.name)));
            }
            TaskEventKind::NameChecked(Some(user)) => {
                let name = Printable(&user.name);
                let address = user.address;
                return Err(format!(
                    "the name {name} is taken in the network, at {address}: choose another name"
                ));
            }
            TaskEventKind::NameChecked(None) => self.on_name_confirmed(),
            TaskEventKind::Rejoined(client) => self.on_network_rejoined(*client),
        }
        Ok(())
    }

    fn on_connected(&mut self, peer: Peer, closed: ClosedSignal) {
        // In a network the address may have passed to another user since.
        if let Some(partner) =
            self.partner.as_ref().filter(|partner| **partner != *peer.name.as_bytes())
        {
            let (name, partner) = (Printable(peer.name.as_bytes()), Printable(partner));
            let note = format!("{name} answers at the address of {partner}: disconnected");
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
            // The peer receives our messages, but sends its own to its partner.
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

    /// Reports once that a user in the network cannot be reached, unless it was connected before.
    fn report_unreachable(&mut self, why: &str) {
        let Some(target) = &mut self.target else { return };
        if self.peer_name.is_none() && target.user_id.is_some() && !target.is_unreachable_reported {
            target.is_unreachable_reported = true;
            self.print_note(format!("not connected, retrying: {why}"));
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

    /// Returns the peer's name, printable.
    fn peer_display_name(&self) -> String {
        let name = self.peer_name.as_deref().unwrap_or("the peer");
        Printable(name.as_bytes()).to_string()
    }
}

/// Formats a message as `[17:24] Alice> Hello, Bob!`, in local time.
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
