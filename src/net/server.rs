//! `crc server`: a [`Node`] in the loop, with its mailbox and its operator.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mio::{Registry, Token};

use super::Loop;
use super::console::Console;
use super::control::Control;
use super::ground::{Ground, HOUSE};
use super::program::House;
use crate::address::Address;
use crate::doors::Door;
use crate::limits::Limits;
use crate::mail::Request;
use crate::mailbox::Mailbox;
use crate::node::Node;
use crate::relay::{Identity, Time};

const CONSOLE: Token = Token(HOUSE);
const CONSOLE_OUTPUT: Token = Token(HOUSE + 1);
const CONTROL: Token = Token(HOUSE + 2);
const CONTROL_CONNECTIONS: usize = HOUSE + 3;

/// How a server is to run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who it is.
    pub own: Identity,
    /// Where it listens, a door each.
    pub doors: Vec<(Door, Address)>,
    /// Whom it joins, in order of preference.
    pub parents: Vec<Address>,
    /// The file in which mail waits; in memory without one.
    pub mailbox: Option<PathBuf>,
    /// Where `crc ctl` finds it.
    pub control: Option<PathBuf>,
    /// How long to look for news again and again before sleeping until there is some: a core is
    /// busy for so long after each message, and the next one finds it awake. Zero: not at all.
    pub busy_poll: Duration,
    /// Its bounds.
    pub limits: Limits,
    /// Decides its random choices.
    pub seed: u64,
}

/// A server with its sockets.
pub struct Server(Loop<Node, ServerHouse>);

struct ServerHouse {
    mailbox: Mailbox,
    console: Option<Console>,
    control: Option<Control>,
}

impl Server {
    /// Opens the doors and the control socket.
    ///
    /// # Errors
    /// A text that names the address or path that cannot be used.
    pub fn open(settings: Settings) -> Result<Self, String> {
        let ground = Ground::open(&settings.doors)?;
        let registry = ground.poll.registry();
        let control = settings.control.as_deref();
        let control = control.map(|path| Control::open(path, registry, CONTROL)).transpose()?;
        let (mailbox, mail) = match &settings.mailbox {
            None => {
                if settings.doors.iter().any(|(door, _)| *door == Door::Direct) {
                    log::info!(
                        "messages to the absent wait in memory and are lost with this server; with \
                         --mailbox FILE they are on disk"
                    );
                }
                Mailbox::memory()
            }
            Some(path) => {
                let waker = Arc::clone(&ground.waker);
                // A loop that cannot be woken finds the answers at its next turn.
                Mailbox::disk(path, move || drop(waker.wake()))?
            }
        };
        let console = Console::open(registry, CONSOLE);
        let Settings { own, parents, busy_poll, limits, seed, .. } = settings;
        let node = Node::with_mail(own, parents.len(), limits, &mail, seed);
        let house = ServerHouse { mailbox, console, control };
        let mut server = Loop::new(ground, node, house, parents);
        server.poller.busy_poll = busy_poll;
        Ok(Self(server))
    }

    /// Where each door listens, with the port that was chosen if it was to be any.
    pub fn doors(&self) -> impl Iterator<Item = (Door, SocketAddr)> {
        self.0.doors()
    }

    /// Serves until the operator or a signal ends it.
    ///
    /// # Errors
    /// If the system refuses to wait for events any more.
    pub fn run(self) -> io::Result<()> {
        self.0.run()
    }
}

impl House<Node> for ServerHouse {
    fn is_busy(&self, _: &Node, now: Time) -> bool {
        self.console.as_ref().is_some_and(Console::is_ready)
            || self
                .control
                .as_ref()
                .is_some_and(|control| control.is_asked() || control.readiness.is_ready(now))
    }

    fn retry_at(&self) -> Option<Time> {
        self.control.as_ref().and_then(|control| control.readiness.retry_at())
    }

    fn note(&mut self, token: Token) {
        match token {
            CONSOLE => {
                if let Some(console) = &mut self.console {
                    console.note_ready();
                }
            }
            CONSOLE_OUTPUT => {} // it is written in any case
            CONTROL => {
                if let Some(control) = &mut self.control {
                    control.readiness.note_ready();
                }
            }
            Token(token) => {
                if let Some(control) = &mut self.control {
                    control.note_asking(token - CONTROL_CONNECTIONS);
                }
            }
        }
    }

    fn woken(&mut self, node: &mut Node, now: Time) {
        while let Some(reply) = self.mailbox.poll() {
            node.mail_replied(now, reply);
        }
    }

    fn serve(&mut self, node: &mut Node, now: Time, registry: &Registry) {
        if let Some(control) = &mut self.control {
            if control.readiness.is_ready(now) {
                control.accept(now, registry, CONTROL_CONNECTIONS);
            }
            control.serve(node, now, registry);
        }
        if let Some(mut console) = self.console.take_if(|console| console.has_work()) {
            let is_open = console.run(node, now, registry, (CONSOLE, CONSOLE_OUTPUT));
            self.console = is_open.then_some(console);
        }
    }

    fn carry_out(&mut self, node: &mut Node, now: Time, request: Request) {
        self.mailbox.request(request);
        self.woken(node, now); // a mailbox in memory has answered already
    }

    fn show(&mut self, _: &mut Node, _: Time) -> bool {
        false
    }

    fn give_up(&mut self) {
        self.mailbox.give_up();
    }
}
