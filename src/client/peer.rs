//! The user of a peer: the client's terminal or filter, around a [`Peer`] instead of a server's
//! session.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IsTerminal as _};
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;

use super::event::{Event, User};
use super::grammar::{self, Addressee, Command};
use super::lines::Typed;
use super::shell::{Front, complain};
use super::unread::Unread;
use crate::limits::EXCERPT_BYTES_MAX;
use crate::link::Time;
use crate::peer::wire::MessageId;
use crate::peer::{self, Peer};

/// Messages whose first words are remembered, for the mark when their receipts come.
const MARKS_MAX: usize = 1000;

/// Whether there is more to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// There may be.
    More,
    /// No more lines come.
    End,
}

/// What the user sees and types.
pub struct PeerFront {
    front: Box<dyn Front>,
    is_terminal: bool,
    json: bool,
    /// What was said, as far as it is shown with its receipt.
    said: VecDeque<(MessageId, String)>,
    is_muted: bool,
}

impl PeerFront {
    /// Takes the terminal or the pipes over.
    ///
    /// # Errors
    /// When standard input cannot be read.
    pub fn open(json: bool) -> io::Result<Self> {
        let is_terminal = !json && io::stdin().is_terminal() && io::stdout().is_terminal();
        let front =
            if is_terminal { super::front(json, b"peer")? } else { Box::new(Unread::open(json)?) };
        Ok(Self { front, is_terminal, json, said: VecDeque::new(), is_muted: false })
    }

    /// Readable when [`PeerFront::read`] has something.
    #[must_use]
    pub fn input(&self) -> BorrowedFd<'_> {
        self.front.input()
    }

    /// Others can connect there. A program finds this in the log, as its events are the contract's.
    pub fn listening(&mut self, address: SocketAddr) {
        log::info!("listening peer {address}");
        if self.is_terminal {
            let text = format!("listening on {address}; /help shows what can be typed").into();
            let _ = self.front.show(&Event::Status { code: None, text });
        }
    }

    /// Carries out what was typed. At a terminal the end of input ends the peer; behind pipes it
    /// goes on for others.
    pub fn read(&mut self, peer: &mut Peer, now: Time) -> Seen {
        let mut typed = Vec::new();
        match self.front.read(&mut typed) {
            Ok(()) => {}
            Err(error) if is_transient(&error) => return Seen::More,
            Err(_) => typed.push(Typed::End),
        }
        for typed in typed {
            match typed {
                Typed::Line(line) => self.line(peer, now, &line),
                Typed::Unreadable(why) => self.tell(peer, now, &Event::error(why)),
                Typed::End if !self.is_terminal => return Seen::End,
                Typed::End | Typed::Interrupt => {
                    peer.stop(now);
                    return Seen::End;
                }
            }
        }
        Seen::More
    }

    fn line(&mut self, peer: &mut Peer, now: Time, line: &str) {
        if line.trim() == "/state" {
            let text = peer.gauges().to_string().into();
            return self.tell(peer, now, &Event::Status { code: None, text });
        }
        match grammar::parse(line) {
            Err(error) => self.tell(peer, now, &Event::error(error.to_string())),
            Ok(None) => {}
            Ok(Some(Command::Say { to, text })) => self.say(peer, now, to, text),
            Ok(Some(Command::List)) => {
                let user = |id: i64| User { id: Some(id), name: id.to_string().into() };
                let users = peer.others().map(user).collect();
                self.tell(peer, now, &Event::Users { users });
            }
            Ok(Some(Command::Quit(_))) => peer.stop(now),
            Ok(Some(Command::Help)) => {
                self.tell(peer, now, &Event::Help { text: HELP.into() });
            }
        }
    }

    fn say(&mut self, peer: &mut Peer, now: Time, to: Addressee<'_>, text: &str) {
        let to = match to {
            Addressee::Number(to) | Addressee::NumberOrName(to) | Addressee::Name(to) => to,
        };
        let said = match to.parse::<i64>() {
            Ok(to) => peer.say(now, to, text).map_err(|error| error.to_string()),
            Err(_) => Err(format!("{to} is not an id: peers have numbers")),
        };
        match said {
            Ok(message) => {
                if self.said.len() == MARKS_MAX {
                    self.said.pop_front();
                }
                let mut end = text.len().min(EXCERPT_BYTES_MAX);
                while !text.is_char_boundary(end) {
                    end -= 1;
                }
                self.said.push_back((message, text[..end].to_owned()));
            }
            Err(why) => self.tell(peer, now, &Event::error(why)),
        }
    }

    /// Shows what the peer has to tell. Answers whether that has given it more to do: it stops when
    /// nobody can see it any more.
    pub fn show(&mut self, peer: &mut Peer, now: Time) -> bool {
        while let Some(event) = peer.poll_event() {
            let event = match event {
                peer::Event::Ready { id } => Event::Ready { id },
                peer::Event::Chat { from, to, text } => Event::Told { from, to, text: text.into() },
                peer::Event::Receipt { from, message } => {
                    let place = self.said.iter().position(|(id, _)| *id == message);
                    let said = place.and_then(|place| self.said.remove(place));
                    let about = said.map(|(_, text)| text.into());
                    Event::Receipt { from, about: about.unwrap_or_default() }
                }
                peer::Event::Peer { id } => Event::Peer { id },
                peer::Event::PeerLeft { .. } if self.json => continue,
                peer::Event::PeerLeft { id } => {
                    Event::Quit { id: Some(id), name: None, text: None }
                }
                peer::Event::Error { text } => Event::error(text),
            };
            self.tell(peer, now, &event);
        }
        self.is_muted && peer.is_stopping()
    }

    fn tell(&mut self, peer: &mut Peer, now: Time, event: &Event) {
        if self.is_muted {
            return;
        }
        if let Err(error) = self.front.show(event) {
            self.is_muted = true;
            if error.kind() != ErrorKind::BrokenPipe {
                complain(&error);
            }
            peer.stop(now);
        }
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// What can be typed.
const HELP: &str = "\
5 Hi there!               sends to the peer with that id, now or when it comes
@List, /list              shows who is there
/state                    shows how much is kept, and how much may be
@Quit, /quit              leaves
/help                     shows this table";
