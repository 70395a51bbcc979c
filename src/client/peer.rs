//! The frontend of `crc peer`: the client's terminal or pipe around a [`Peer`].

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IsTerminal as _};
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;

use super::buffered_pipe::BufferedPipeFrontend;
use super::event::{Event, User};
use super::grammar::{self, Command, Recipient};
use super::shell::{Frontend, report_output_error};
use crate::limits::EXCERPT_BYTES_MAX;
use crate::link::{Machine as _, Time};
use crate::peer::wire::MessageId;
use crate::peer::{self, Peer};
use crate::ui::{Input, is_transient};

/// Maximum number of sent messages whose start is kept, to be shown with the receipt.
const EXCERPTS_MAX: usize = 1000;

/// The state of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InputStatus {
    /// More lines may follow.
    Open,
    /// The input has ended.
    Ended,
}

/// The user's side of a peer.
pub(crate) struct PeerFrontend {
    frontend: Box<dyn Frontend>,
    is_terminal: bool,
    json: bool,
    /// The start of each sent message whose receipt is outstanding, oldest first.
    sent_excerpts: VecDeque<(MessageId, String)>,
    is_output_closed: bool,
}

impl PeerFrontend {
    /// Opens the terminal or the pipes.
    ///
    /// # Errors
    /// Standard input is closed.
    pub(crate) fn open(json: bool) -> io::Result<Self> {
        let is_terminal = !json && io::stdin().is_terminal() && io::stdout().is_terminal();
        let frontend = if is_terminal {
            super::open_frontend(json, b"peer")?
        } else {
            Box::new(BufferedPipeFrontend::open(json)?)
        };
        Ok(Self {
            frontend,
            is_terminal,
            json,
            sent_excerpts: VecDeque::new(),
            is_output_closed: false,
        })
    }

    /// Returns a descriptor that is readable when [`PeerFrontend::read_input`] has input.
    #[must_use]
    pub(crate) fn input_fd(&self) -> BorrowedFd<'_> {
        self.frontend.input_fd()
    }

    /// Reports the address on which the peer listens: in the log, and at a terminal to the user.
    pub(crate) fn on_listening(&mut self, address: SocketAddr) {
        log::info!("listening peer {address}");
        if self.is_terminal {
            let text = format!("listening on {address}; /help shows what can be typed").into();
            let _ = self.frontend.show(&Event::Status { code: None, text });
        }
    }

    /// Reads input and executes the lines. The end of input stops the peer at a terminal only;
    /// behind a pipe the peer goes on relaying.
    pub(crate) fn read_input(&mut self, peer: &mut Peer, now: Time) -> InputStatus {
        let mut inputs = Vec::new();
        match self.frontend.read_input(&mut inputs) {
            Ok(()) => {}
            Err(error) if is_transient(&error) => return InputStatus::Open,
            Err(_) => inputs.push(Input::Eof),
        }
        for input in inputs {
            match input {
                Input::Line(line) => self.handle_line(peer, now, &line),
                Input::Invalid(error) => {
                    self.show_event(peer, now, &Event::error(error.to_string()));
                }
                Input::Eof if !self.is_terminal => return InputStatus::Ended,
                Input::Eof | Input::Interrupt => {
                    peer.stop(now);
                    return InputStatus::Ended;
                }
            }
        }
        self.frontend.on_lines_handled(None);
        InputStatus::Open
    }

    fn handle_line(&mut self, peer: &mut Peer, now: Time, line: &str) {
        if line.trim() == "/state" {
            let text = peer.gauges().to_string().into();
            return self.show_event(peer, now, &Event::Status { code: None, text });
        }
        match grammar::parse(line) {
            Err(error) => self.show_event(peer, now, &Event::error(error.to_string())),
            Ok(None) => {}
            Ok(Some(Command::Send { to, text })) => self.send(peer, now, to, text),
            Ok(Some(Command::List)) => {
                let user = |id: i64| User { id: Some(id), name: id.to_string().into() };
                let users = peer.other_ids().map(user).collect();
                self.show_event(peer, now, &Event::Users { users });
            }
            Ok(Some(
                Command::SendToRoom { .. }
                | Command::Join(_)
                | Command::Part { .. }
                | Command::Rooms
                | Command::Names(_),
            )) => {
                let why = "peers have no rooms: write to a peer, see /help";
                self.show_event(peer, now, &Event::error(why));
            }
            Ok(Some(Command::Quit(_))) => peer.stop(now),
            Ok(Some(Command::Help)) => {
                self.show_event(peer, now, &Event::Help { text: HELP.into() });
            }
        }
    }

    fn send(&mut self, peer: &mut Peer, now: Time, to: Recipient<'_>, text: &str) {
        let to = match to {
            Recipient::Number(to) | Recipient::NumberOrName(to) | Recipient::Name(to) => to,
        };
        let result = match to.parse::<i64>() {
            Ok(to) => peer.send(now, to, text).map_err(|error| error.to_string()),
            Err(_) => Err(format!("{to} is not an id: write the number of a peer, see /list")),
        };
        match result {
            Ok(message) => {
                if self.sent_excerpts.len() == EXCERPTS_MAX {
                    self.sent_excerpts.pop_front();
                }
                let excerpt = &text[..text.floor_char_boundary(EXCERPT_BYTES_MAX)];
                self.sent_excerpts.push_back((message, excerpt.to_owned()));
            }
            Err(why) => self.show_event(peer, now, &Event::error(why)),
        }
    }

    /// Shows the peer's events. Returns whether the peer was stopped because the output is closed.
    pub(crate) fn show_events(&mut self, peer: &mut Peer, now: Time) -> bool {
        while let Some(event) = peer.poll_event() {
            let event = match event {
                peer::Event::Ready { id } => Event::Ready { id },
                peer::Event::Chat { from, to, text } => {
                    Event::PeerChat { from, to, text: text.into() }
                }
                peer::Event::Receipt { from, message } => {
                    let index = self.sent_excerpts.iter().position(|(id, _)| *id == message);
                    let sent = index.and_then(|index| self.sent_excerpts.remove(index));
                    let excerpt = sent.map(|(_, text)| text.into());
                    Event::Receipt { from, excerpt: excerpt.unwrap_or_default() }
                }
                peer::Event::PeerUp { id } => Event::Peer { id },
                peer::Event::PeerDown { .. } if self.json => continue,
                peer::Event::PeerDown { id } => {
                    Event::Quit { id: Some(id), name: None, text: None }
                }
                peer::Event::Error { text } => Event::error(text),
            };
            self.show_event(peer, now, &event);
        }
        self.is_output_closed && peer.is_stopping()
    }

    fn show_event(&mut self, peer: &mut Peer, now: Time, event: &Event) {
        if self.is_output_closed {
            return;
        }
        if let Err(error) = self.frontend.show(event) {
            self.is_output_closed = true;
            if error.kind() != ErrorKind::BrokenPipe {
                report_output_error(&error);
            }
            peer.stop(now);
        }
    }
}

/// The text of `/help`.
const HELP: &str = "\
5 Hi there!               sends to the peer with that id, now or when it comes
@List, /list              shows who is online
/state                    shows how much is kept, and how much may be
@Quit, /quit              leaves
/help                     shows this table
Each line of a pasted text is sent as if it was typed.";
