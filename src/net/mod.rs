//! The shell: the one thread and the one poll loop that own every socket of a server or a peer.
//!
//! It moves bytes and time between the system and a machine, and decides nothing. `program` is what
//! the loop asks of the machine and of what else a program has; `server` and `peer` are those.
//! `ground` is what the loop stands on, `poller` where it waits. `connection` is a link's socket; `dial`
//! finds neighbours, with `resolve` for their names. `listen` is for doors, `control` the operator's
//! socket, `console` the operator's terminal, `stdio` what is shared with other programs.
//!
//! A turn has five steps: wait until the next deadline, read (a budget a link), advance, write
//! (likewise), reap. Sockets register once for both directions; readiness is a flag that only the
//! system's "would block", or a read that came back short, clears; a link whose flag is still set
//! at the end of a turn is runnable, and the next wait does not sleep. Connections are closed
//! in the last step alone. A server with nothing to do makes no system call.

mod connection;
mod console;
mod control;
mod dial;
mod ground;
mod listen;
mod peer;
mod poller;
mod program;
mod resolve;
mod server;
mod stdio;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mio::event::Event;
use mio::{Events, Token};
use signal_hook_mio::v1_0::Signals;

use self::connection::{Connection, Received};
pub use self::control::request;
use self::dial::{Dialled, Dialler};
use self::ground::{Ground, LINKS, LISTENERS, LISTENERS_MAX, SIGNALS, WAKER};
use self::listen::Listener;
pub use self::peer::{PeerServer, PeerSettings};
use self::poller::Poller;
use self::program::{House, Machine, Wanted};
pub use self::server::{Server, Settings};
pub use self::stdio::LogSink;
use crate::address::Address;
use crate::blocks::Blocks;
use crate::limits::READ_BYTES_PER_TURN;
use crate::relay::{CloseReason, LinkId, Time};

/// A program with its sockets.
struct Loop<M: Machine, H> {
    poller: Poller,
    node: M,
    house: H,
    /// When this turn began, by the clock of the machine.
    now: Time,
    dialler: Dialler,
    signals: Signals,
    listeners: Vec<Listener<M::Door>>,
    /// By [`LinkId::index`].
    connections: Blocks<Option<Connection>>,
    /// Links whose sockets may have more to read.
    readable: VecDeque<LinkId>,
    /// Links with bytes to send whose sockets may take more.
    writable: VecDeque<LinkId>,
    /// Links whose connections have ended, or are to be closed, in this turn.
    ended: Vec<(LinkId, CloseReason)>,
    buffer: Box<[u8]>,
    must_stop_at_once: bool,
}

impl<M: Machine, H: House<M>> Loop<M, H> {
    fn new(ground: Ground<M::Door>, node: M, house: H, targets: Vec<Address>) -> Self {
        let Ground { poll, listeners, signals, waker } = ground;
        Self {
            poller: Poller::new(poll),
            node,
            house,
            now: Time::default(),
            dialler: Dialler::new(M::NEIGHBOUR, targets, waker),
            signals,
            listeners,
            connections: Blocks::default(),
            readable: VecDeque::new(),
            writable: VecDeque::new(),
            ended: Vec::new(),
            buffer: vec![0; READ_BYTES_PER_TURN].into_boxed_slice(),
            must_stop_at_once: false,
        }
    }

    /// Where each door listens, with the port that was chosen if it was to be any.
    fn doors(&self) -> impl Iterator<Item = (M::Door, SocketAddr)> {
        self.listeners.iter().map(|listener| (listener.door(), listener.address()))
    }

    /// Serves until the operator or a signal ends it.
    ///
    /// # Errors
    /// If the system refuses to wait for events any more.
    fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        self.advance();
        loop {
            if self.write_and_reap() || self.must_stop_at_once {
                if self.must_stop_at_once {
                    self.house.give_up();
                }
                return Ok(());
            }
            let patience = self.patience();
            self.poller.wait(&mut events, patience)?;
            self.now = self.poller.clock();
            for event in &events {
                self.note(event);
            }
            self.read();
            self.advance();
        }
    }

    /// How long there is nothing to do unless the system has news; `None` for ever.
    fn patience(&self) -> Option<Duration> {
        let now = self.now;
        let is_busy = !self.readable.is_empty()
            || !self.writable.is_empty()
            || self.house.is_busy(&self.node, now)
            || self.listeners.iter().any(|listener| listener.readiness.is_ready(now));
        if is_busy {
            return Some(Duration::ZERO);
        }
        let pauses = self.listeners.iter().filter_map(|listener| listener.readiness.retry_at());
        let pauses = pauses.chain(self.house.retry_at());
        let deadline = pauses.chain(self.node.next_deadline()).min();
        deadline.map(|at| at.since(self.poller.clock()))
    }

    /// Step one: what the system has news of becomes a flag or a place in a list.
    fn note(&mut self, event: &Event) {
        match event.token() {
            SIGNALS => self.on_signals(),
            WAKER => {
                self.on_resolved();
                let now = self.now;
                self.house.woken(&mut self.node, now);
            }
            Token(token) if (LISTENERS..LISTENERS + LISTENERS_MAX).contains(&token) => {
                self.listeners[token - LISTENERS].readiness.note_ready();
            }
            token if token.0 < LINKS => self.house.note(token),
            Token(token) => self.note_link(token - LINKS, event),
        }
    }

    fn note_link(&mut self, index: usize, event: &Event) {
        let Some(connection) = self.connections.taken_mut(index) else {
            return;
        };
        let link = connection.id();
        if connection.dialling().is_some() {
            match connection.finish_dialling() {
                Ok(None) => return,
                Ok(Some(dialling)) => {
                    self.dialler.connected(link, &dialling);
                    self.node.dialled(self.now, link, Some(dialling.address));
                }
                Err(error) => {
                    let reason = CloseReason::Failed(error.to_string());
                    return self.ended.push((link, reason));
                }
            }
        }
        let Some(connection) = self.connections.taken_mut(index) else {
            return;
        };
        if connection.note_ready(event) {
            self.readable.push_back(link);
        }
        if event.is_writable() && !self.node.unsent(link).is_empty() {
            self.writable.push_back(link);
        }
    }

    /// Step two: a portion from every socket that has something.
    fn read(&mut self) {
        let now = self.now;
        if M::HAS_WALL {
            // A clock from before 1970 shows the first moment.
            let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.node.set_wall(now, wall);
        }
        for place in 0..self.listeners.len() {
            if self.listeners[place].readiness.is_ready(now) {
                self.accept(place, now);
            }
        }
        for _ in 0..self.readable.len() {
            let Some(link) = self.readable.pop_front() else {
                break;
            };
            let Some(connection) = connection_mut(&mut self.connections, link) else {
                continue;
            };
            let appetite = self.node.appetite(link);
            if appetite == 0 {
                connection.park();
                continue;
            }
            match connection.read(&mut self.buffer[..appetite]) {
                Received::Bytes { count, is_more } => {
                    let connections = &mut self.connections;
                    let mut socket = |to: LinkId, pieces: [&[u8]; 2]| {
                        connection_mut(connections, to).map_or(0, |to| to.offer(pieces))
                    };
                    self.node.receive(now, link, &self.buffer[..count], &mut socket);
                    if is_more {
                        self.readable.push_back(link);
                    }
                    self.write_pressed();
                }
                Received::Nothing => {}
                Received::End(reason) => self.ended.push((link, reason)),
            }
        }
        self.house.serve(&mut self.node, now, self.poller.registry());
    }

    fn accept(&mut self, place: usize, now: Time) {
        if self.node.is_stopping() {
            return;
        }
        for (stream, peer) in self.listeners[place].accept(now) {
            let door = self.listeners[place].door();
            let link = self.node.accepted(now, door, Some(peer));
            log::debug!("link {link}: connection from {peer}");
            self.install(Connection::accepted(link, stream));
        }
    }

    fn install(&mut self, mut connection: Connection) {
        let link = connection.id();
        let index = link.index as usize;
        if let Err(error) = connection.register(self.poller.registry(), Token(LINKS + index)) {
            self.ended.push((link, CloseReason::Failed(error.to_string())));
        }
        assert!(self.connections.taken(index).is_none(), "a link has one connection");
        self.connections.put(index, connection);
    }

    /// Step three: what is due by now.
    fn advance(&mut self) {
        let now = self.now;
        if self.node.next_deadline().is_some_and(|at| at <= now) {
            // What a link has to say beyond a queue that has become long goes on now.
            self.write_pressed();
            self.node.advance(now);
        }
        if self.node.is_stopping() {
            self.listeners.clear();
        }
    }

    /// Steps four and five, until neither gives the other more to do. Answers true if the server
    /// is to end.
    fn write_and_reap(&mut self) -> bool {
        for _ in 0..self.writable.len() {
            if let Some(link) = self.writable.pop_front() {
                self.write(link);
            }
        }
        loop {
            let mut is_done = true;
            let now = self.now;
            while let Some(action) = self.node.poll_wanted() {
                is_done = false;
                match action {
                    Wanted::Dial { target, link } => {
                        if let Some(dialled) = self.dialler.dial(target, link) {
                            self.begin(link, dialled);
                        }
                    }
                    Wanted::Close { link, reason } => {
                        self.write(link); // as much of a farewell as fits
                        self.ended.push((link, reason));
                    }
                    Wanted::Resume { link } => {
                        if let Some(connection) = connection_mut(&mut self.connections, link)
                            && connection.resume()
                        {
                            self.readable.push_back(link);
                        }
                    }
                    Wanted::Own(own) => self.house.carry_out(&mut self.node, now, own),
                    Wanted::Shutdown => return true,
                }
            }
            while let Some(link) = self.node.poll_unsent() {
                is_done = false;
                self.write(link);
            }
            if !self.ended.is_empty() {
                is_done = false;
                for (link, reason) in std::mem::take(&mut self.ended) {
                    self.reap(now, link, &reason);
                }
            }
            is_done &= !self.house.show(&mut self.node, now);
            if is_done {
                return false;
            }
        }
    }

    fn write_pressed(&mut self) {
        while let Some(pressed) = self.node.poll_pressed() {
            self.write(pressed);
        }
    }

    fn write(&mut self, link: LinkId) {
        let Some(connection) = connection_mut(&mut self.connections, link) else {
            return;
        };
        match connection.write(&mut self.node) {
            Ok(true) => self.writable.push_back(link),
            Ok(false) => {}
            // What the other end said before it went is still to be read; then comes its end.
            Err(error) => {
                log::debug!("link {link}: {error}");
                if connection.give_up_writing() {
                    self.readable.push_back(link);
                }
            }
        }
    }

    fn reap(&mut self, now: Time, link: LinkId, reason: &CloseReason) {
        let slot = self.connections.get_mut(link.index as usize);
        let taken = slot.and_then(|slot| slot.take_if(|connection| connection.id() == link));
        if let Some(mut connection) = taken {
            if let Some(dialling) = connection.dialling().take()
                && let Some(dialled) = self.dialler.ended(link, *dialling, reason)
            {
                return self.begin(link, dialled);
            }
            connection.close(self.poller.registry());
        }
        self.node.closed(now, link, reason);
    }

    /// Dials go on whose names have been looked up.
    fn on_resolved(&mut self) {
        while let Some(answer) = self.dialler.poll_resolved() {
            let link = answer.link;
            if self.node.is_open(link) {
                let dialled = self.dialler.resolved(answer);
                self.begin(link, dialled);
            } // or it took too long, and its link was given up
        }
    }

    /// A link is being connected, or cannot be.
    fn begin(&mut self, link: LinkId, dialled: Dialled) {
        match dialled {
            Ok(connection) => self.install(connection),
            Err(reason) => self.node.closed(self.now, link, &reason),
        }
    }

    fn on_signals(&mut self) {
        let now = self.now;
        for signal in self.signals.pending() {
            let name = signal_hook::low_level::signal_name(signal).unwrap_or("a signal");
            if self.node.is_stopping() {
                log::warn!("{name} again: ending at once");
                self.must_stop_at_once = true;
            } else {
                log::info!("{name}: stopping");
                self.node.stop(now);
            }
        }
    }
}

fn connection_mut(
    connections: &mut Blocks<Option<Connection>>,
    link: LinkId,
) -> Option<&mut Connection> {
    let connection = connections.taken_mut(link.index as usize)?;
    (connection.id() == link).then_some(connection)
}
