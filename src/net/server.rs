//! `crc server`: a [`Node`] in the loop, with its mailbox and its operator.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mio::{Registry, Token};

use super::EventLoop;
use super::console::Console;
use super::control::ControlSocket;
use super::services::Services;
use super::setup::{LoopSetup, SERVICE_TOKEN_BASE};
use crate::limits::Limits;
use crate::link::Time;
use crate::mail::StoreRequest;
use crate::mail::store::Mailbox;
use crate::node::Node;
use crate::relay::Identity;
use crate::uri::Address;
use crate::wires::Wire;

const CONSOLE_INPUT: Token = Token(SERVICE_TOKEN_BASE);
const CONSOLE_OUTPUT: Token = Token(SERVICE_TOKEN_BASE + 1);
const CONTROL_LISTENER: Token = Token(SERVICE_TOKEN_BASE + 2);
const CONTROL_TOKEN_BASE: usize = SERVICE_TOKEN_BASE + 3;

/// How a server is to run.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Who it is.
    pub identity: Identity,
    /// Where it listens, a door each.
    pub listeners: Vec<(Wire, Address)>,
    /// Whom it joins, in order of preference.
    pub parents: Vec<Address>,
    /// The file in which mail waits; in memory without one.
    pub mailbox: Option<PathBuf>,
    /// Where `crc ctl` finds it.
    pub control_socket: Option<PathBuf>,
    /// How long to look for news again and again before sleeping until there is some: a core is
    /// busy for so long after each message, and the next one finds it awake. Zero: not at all.
    pub busy_poll: Duration,
    /// Its bounds.
    pub limits: Limits,
    /// Decides its random choices.
    pub seed: u64,
}

/// A server with its sockets.
pub struct Server(EventLoop<Node, ServerServices>);

struct ServerServices {
    mailbox: Mailbox,
    console: Option<Console>,
    control: Option<ControlSocket>,
}

impl Server {
    /// Opens the doors and the control socket.
    ///
    /// # Errors
    /// A text that names the address or path that cannot be used.
    pub fn open(settings: ServerSettings) -> Result<Self, String> {
        let listeners = settings.listeners.iter();
        let addresses = listeners.map(|(wire, address)| (wire.name(), address.clone()));
        let setup = LoopSetup::open(&addresses.collect::<Vec<_>>())?;
        let registry = setup.poll.registry();
        let control = settings.control_socket.as_deref();
        let control = control
            .map(|path| ControlSocket::open(path, registry, CONTROL_LISTENER))
            .transpose()?;
        let (mailbox, inventory) = match &settings.mailbox {
            None => {
                if settings.listeners.iter().any(|(wire, _)| *wire == Wire::Direct) {
                    log::info!(
                        "messages to the absent wait in memory and are lost with this server; with \
                         --mailbox FILE they are on disk"
                    );
                }
                Mailbox::in_memory()
            }
            Some(path) => {
                let waker = Arc::clone(&setup.waker);
                // A loop that cannot be woken finds the answers at its next turn.
                Mailbox::open(path, move || drop(waker.wake()))?
            }
        };
        let console = Console::open(registry, CONSOLE_INPUT);
        let ServerSettings { identity, listeners, parents, busy_poll, limits, seed, .. } = settings;
        let mut node = Node::with_mail(identity, parents.len(), limits, &inventory, seed);
        let listener_ids = listeners.iter().map(|(wire, _)| node.add_listener(*wire)).collect();
        let services = ServerServices { mailbox, console, control };
        let mut event_loop = EventLoop::new(setup, node, listener_ids, services, parents);
        event_loop.poller.busy_poll = busy_poll;
        Ok(Self(event_loop))
    }

    /// Where each door listens, with the port that was chosen if it was to be any.
    pub fn listen_addresses(&self) -> impl Iterator<Item = (&'static str, SocketAddr)> {
        self.0.listen_addresses()
    }

    /// Serves until the operator or a signal ends it.
    ///
    /// # Errors
    /// If the system refuses to wait for events any more.
    pub fn run(self) -> io::Result<()> {
        self.0.run()
    }
}

impl Services<Node> for ServerServices {
    fn has_work(&self, _: &Node, now: Time) -> bool {
        self.console.as_ref().is_some_and(Console::is_ready)
            || self.control.as_ref().is_some_and(|control| {
                control.has_ready_connection() || control.readiness.is_ready(now)
            })
    }

    fn next_deadline(&self) -> Option<Time> {
        self.control.as_ref().and_then(|control| control.readiness.retry_at())
    }

    fn on_event(&mut self, token: Token) {
        match token {
            CONSOLE_INPUT => {
                if let Some(console) = &mut self.console {
                    console.set_ready();
                }
            }
            CONSOLE_OUTPUT => {} // it is written in any case
            CONTROL_LISTENER => {
                if let Some(control) = &mut self.control {
                    control.readiness.set_ready();
                }
            }
            Token(token) => {
                if let Some(control) = &mut self.control {
                    control.set_ready(token - CONTROL_TOKEN_BASE);
                }
            }
        }
    }

    fn on_wake(&mut self, node: &mut Node, now: Time) {
        while let Some(reply) = self.mailbox.poll() {
            node.on_store_reply(now, reply);
        }
    }

    fn run_pending(&mut self, node: &mut Node, now: Time, registry: &Registry) {
        if let Some(control) = &mut self.control {
            if control.readiness.is_ready(now) {
                control.accept(now, registry, CONTROL_TOKEN_BASE);
            }
            control.serve(node, now, registry);
        }
        if let Some(mut console) = self.console.take_if(|console| console.has_work()) {
            let is_open = console.run(node, now, registry, (CONSOLE_INPUT, CONSOLE_OUTPUT));
            self.console = is_open.then_some(console);
        }
    }

    fn handle_store_request(&mut self, node: &mut Node, now: Time, request: StoreRequest) {
        self.mailbox.request(request);
        self.on_wake(node, now); // a mailbox in memory has answered already
    }

    fn drain_events(&mut self, _: &mut Node, _: Time) -> bool {
        false
    }

    fn abort(&mut self) {
        self.mailbox.detach();
    }
}
