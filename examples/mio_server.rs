//! A crc server in a loop of one's own: `cargo run --example mio_server -- 127.0.0.1:3600`.
//!
//! The program owns the sockets, the clock and the loop; a [`Node`] decides everything else. It
//! also takes part in the network itself: a bot, connected by a link without a socket, answers
//! every chat with the number of users. Try it with `crc client`, and type `bot hello`.
//!
//! `crc::net::Server` is the same with more: parents, signals, a console, mail on disk.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crc::id::HostId;
use crc::limits::{FRAME_BYTES_MAX, Limits};
use crc::link::{CloseReason, LinkId, ListenerId, Machine as _, Origin, Time};
use crc::mail::store::Mailbox;
use crc::node::{Action, Node};
use crc::relay::Identity;
use crc::relay::message::{HostKind, Message, Registration};
use crc::wires::Wire;
use crc::wires::crc::codec;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

const BOT_ID: HostId = HostId(2);
const LISTENER: Token = Token(usize::MAX);

/// A server with its sockets.
pub(crate) struct Server {
    poll: Poll,
    pub(crate) listener: TcpListener,
    start: Instant,
    node: Node,
    crc: ListenerId,
    mailbox: Mailbox,
    /// Open sockets by the place of their link.
    sockets: HashMap<usize, (LinkId, TcpStream)>,
    bot: LinkId,
}

impl Server {
    pub(crate) fn open(address: SocketAddr) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::bind(address)?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let name = b"embedded".to_vec();
        let identity = Identity { id: HostId(1), is_id_configured: true, name, info: Vec::new() };
        let (mailbox, inventory) = Mailbox::in_memory();
        let mut node = Node::with_mail(identity, 0, Limits::default(), &inventory, 1);
        let (start, sockets) = (Instant::now(), HashMap::new());

        let crc = node.add_listener(Wire::CRC);
        let bot = node.accepted(Time::default(), crc, &Origin::default());
        let (kind, last_hop) = (HostKind::User, HostId::NONE);
        let bot_host = Registration { kind, source: BOT_ID, last_hop, name: b"bot", info: b"" };
        let mut frame = Vec::new();
        codec::encode(&Message::Registration(bot_host), &mut frame);
        node.receive(Time::default(), bot, &frame);
        Ok(Self { poll, listener, start, node, crc, mailbox, sockets, bot })
    }

    /// Waits for events, for at most `timeout`, and handles them. Returns false once the node has
    /// shut down.
    pub(crate) fn turn(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        let deadline = self.node.next_deadline().map(|at| at.since(self.now()));
        let timeout = [deadline, timeout].into_iter().flatten().min();
        let mut events = Events::with_capacity(64);
        match self.poll.poll(&mut events, timeout) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &events {
            match event.token() {
                LISTENER => self.accept()?,
                Token(place) => {
                    self.read(place);
                    self.write(place);
                }
            }
        }
        self.node.advance(self.now());
        self.run_actions()
    }

    fn now(&self) -> Time {
        Time::from_start(self.start.elapsed())
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let (mut stream, peer) = match self.listener.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nodelay(true)?;
            let link = self.node.accepted(self.now(), self.crc, &Origin::new(peer));
            let place = link.index as usize;
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(place), interest)?;
            self.sockets.insert(place, (link, stream));
        }
    }

    /// Reads until the socket is empty, which edge-triggered events require, or the node wants no
    /// more.
    fn read(&mut self, place: usize) {
        let (now, mut buffer) = (self.now(), [0; 16 * 1024]);
        while let Some((link, stream)) = self.sockets.get_mut(&place) {
            let link = *link;
            if self.node.read_budget(link) == 0 {
                return; // until `Action::Resume`
            }
            match stream.read(&mut buffer) {
                Ok(0) => return self.close(link, &CloseReason::PeerClosed),
                Ok(count) => self.node.receive(now, link, &buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return self.close(link, &CloseReason::Io(error.to_string())),
            }
        }
    }

    /// Writes until the send queue is empty or the socket is full.
    fn write(&mut self, place: usize) {
        let Some((link, stream)) = self.sockets.get_mut(&place) else {
            return;
        };
        let link = *link;
        while !self.node.unsent(link).is_empty() {
            match stream.write(self.node.unsent(link)) {
                Ok(count) => self.node.sent(link, count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return, // full, or closed: the next event says which
            }
        }
    }

    fn close(&mut self, link: LinkId, reason: &CloseReason) {
        self.sockets.remove(&(link.index as usize));
        self.node.closed(self.now(), link, reason);
    }

    /// Carries out actions and writes until there is nothing left to do.
    fn run_actions(&mut self) -> io::Result<bool> {
        loop {
            if let Some(action) = self.node.poll_action() {
                match action {
                    Action::Close { link, reason } => {
                        self.write(link.index as usize);
                        self.close(link, &reason);
                    }
                    Action::Resume { link } => self.read(link.index as usize),
                    Action::Store(request) => {
                        self.mailbox.request(request);
                        while let Some(reply) = self.mailbox.poll() {
                            self.node.on_store_reply(self.now(), reply);
                        }
                    }
                    // Its sockets wait for TCP alone, and it has no parent.
                    Action::Keepalive { .. } | Action::Dial { .. } | Action::DialAddress { .. } => {
                    }
                    Action::Shutdown => return Ok(false),
                }
            } else if let Some(link) = self.node.poll_unsent() {
                if link == self.bot {
                    self.run_bot();
                } else {
                    self.write(link.index as usize);
                }
            } else {
                return Ok(true);
            }
        }
    }

    /// Reads the frames for the bot and answers each chat.
    fn run_bot(&mut self) {
        let bytes = self.node.unsent(self.bot).to_vec();
        self.node.sent(self.bot, bytes.len());
        let hosts = self.node.relay().hosts().iter();
        let text = format!("{} users", hosts.filter(|host| host.kind == HostKind::User).count());
        let (mut rest, mut answers) = (&bytes[..], Vec::new());
        while let Ok(Some((message, len))) = codec::parse(rest, FRAME_BYTES_MAX) {
            if let Message::Chat { source: destination, .. } = message {
                let text = text.as_bytes();
                let answer = Message::Chat { source: BOT_ID, destination, text };
                codec::encode(&answer, &mut answers);
            }
            rest = &rest[len..];
        }
        self.node.receive(self.now(), self.bot, &answers);
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3600".to_owned());
    let mut server = Server::open(address.parse()?)?;
    println!("listening crc {}", server.listener.local_addr()?);
    while server.turn(None)? {}
    Ok(())
}
