//! The frontend of `crc peer`: the client's terminal or pipe around a [`Peer`].

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IsTerminal as _};
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;

use super::buffered_pipe::BufferedPipeFrontend;
use super::grammar::{self, Command, LineStart, Recipient};
use super::rooms::Rooms;
use super::shell::{Frontend, report_output_error};
use crate::limits::EXCERPT_BYTES_MAX;
use crate::link::{Machine as _, Time};
use crate::peer::wire::MessageId;
use crate::peer::{self, Peer};
use crate::room::RoomName;
use crate::ui::{Input, is_transient};
use crate::vocabulary::{Event, Text, User};

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
    /// The rooms that this peer has joined.
    rooms: Rooms,
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
            rooms: Rooms::default(),
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
        self.frontend.on_lines_handled(self.rooms.current());
        InputStatus::Open
    }

    fn handle_line(&mut self, peer: &mut Peer, now: Time, line: &str) {
        if line.trim() == "/state" {
            let text = peer.gauges().to_string().into();
            return self.show_event(peer, now, &Event::Status { code: None, text });
        }
        let current_room = self.rooms.current().map(str::to_owned);
        if let Some(room) = current_room
            && grammar::line_start(line) != LineStart::Explicit
        {
            let text = line.trim_end_matches(['\r', '\n']).trim_start();
            return self.send_to_room(peer, now, &room, text);
        }
        match grammar::parse(line) {
            Err(error) => self.show_event(peer, now, &Event::error(error.to_string())),
            Ok(None) => {}
            Ok(Some(Command::Send { to, text })) => self.send(peer, now, to, text),
            Ok(Some(Command::List)) => {
                let user = |id: i64| User { id: Some(id), name: id.to_string().into() };
                let users = peer.other_ids().map(user).collect();
                self.show_event(peer, now, &Event::Users { users, more: false });
            }
            Ok(Some(Command::Rooms | Command::Names(_))) => {
                let why = "peers do not know who is in which room: see /list for who is online";
                self.show_event(peer, now, &Event::error(why));
            }
            Ok(Some(Command::SendToRoom { room, text })) => {
                self.send_to_room(peer, now, room, text);
            }
            Ok(Some(Command::Join(room))) => self.join_room(peer, now, room),
            Ok(Some(Command::Part { room, .. })) => self.part_room(peer, now, room),
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

    fn send_to_room(&mut self, peer: &mut Peer, now: Time, room: &str, text: &str) {
        let sent = match RoomName::parse(room.as_bytes()) {
            Ok(name) => peer.send_to_room(now, name, text).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(why) = sent {
            self.show_event(peer, now, &Event::error(format!("{room}: {why}")));
        }
    }

    fn join_room(&mut self, peer: &mut Peer, now: Time, room: &str) {
        let event = match RoomName::parse(room.as_bytes()) {
            Ok(name) => {
                peer.join_room(name);
                self.rooms.join(room);
                Event::RoomJoin { room: room.into(), id: peer.id(), name: own_name(peer) }
            }
            Err(error) => Event::error(format!("{room}: {error}")),
        };
        self.show_event(peer, now, &event);
    }

    /// Leaves a room, without the text, since other peers do not know who is in a room.
    fn part_room(&mut self, peer: &mut Peer, now: Time, room: Option<&str>) {
        let Some(room) = room.or(self.rooms.current()).map(str::to_owned) else {
            let why = "you are in no room: see /help";
            return self.show_event(peer, now, &Event::error(why));
        };
        let is_left = RoomName::parse(room.as_bytes()).is_ok_and(|name| peer.part_room(name));
        let event = if is_left {
            self.rooms.part(&room);
            let (id, name) = (peer.id(), own_name(peer));
            Event::RoomPart { room: room.into(), id, name, text: None }
        } else {
            Event::error(format!("{room}: you are not in this room"))
        };
        self.show_event(peer, now, &event);
    }

    /// Shows the peer's events. Returns whether the peer was stopped because the output is closed.
    pub(crate) fn show_events(&mut self, peer: &mut Peer, now: Time) -> bool {
        while let Some(event) = peer.poll_event() {
            let event = match event {
                peer::Event::Ready { id } => Event::Ready { id },
                peer::Event::Chat { from, to, text } => {
                    Event::PeerChat { from, to, text: text.into() }
                }
                peer::Event::RoomChat { room, from, text } => {
                    let mut room = room.into();
                    self.rooms.rename(&mut room);
                    Event::Room { room, from: Some(from), name: None, text: text.into() }
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

/// Returns the name of a peer, which is its id once it has one.
fn own_name(peer: &Peer) -> Text {
    peer.id().map_or_else(|| "peer".into(), |id| id.to_string().into())
}

/// The text of `/help`.
const HELP: &str = "\
5 Hi there!               sends to the peer with that id, now or when it comes
#lab Hi all!              sends to the room #lab, now
Hi all!                   sends to the current room, unless it begins as one of the lines above
/join #lab                joins the room and makes it the current one
/part [#lab]              leaves the room, or the current one
@List, /list              shows who is online
/state                    shows how much is kept, and how much may be
@Quit, /quit              leaves
/help                     shows this table
Each line of a pasted text is sent as if it was typed.";
