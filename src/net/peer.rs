//! `crc peer`: the event loop of a [`Peer`] and its user's terminal or pipes.

use std::io;
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use super::dial::DialTarget;
use super::event_loop::EventLoop;
use super::listen::ListenSpec;
use super::services::Services;
use super::setup::{LoopSetup, SERVICE_TOKEN_BASE, STOP_SIGNALS};
use crate::client::{InputStatus, PeerFrontend};
use crate::link::{ListenerId, Machine as _, Time};
use crate::operator::LoopStats;
use crate::peer::Peer;
use crate::tls::TlsConfigs;
use crate::uri::Address;
use std::os::fd::AsRawFd as _;

const INPUT_TOKEN: Token = Token(SERVICE_TOKEN_BASE);

/// The settings of a peer.
#[derive(Clone, Debug)]
pub struct PeerSettings {
    /// The address on which the peer listens.
    pub listen: Address,
    /// The id to request.
    pub desired_id: Option<i64>,
    /// The addresses to dial.
    pub peers: Vec<Address>,
    /// Whether events are written as JSON.
    pub json: bool,
    /// The seed of all random choices.
    pub seed: u64,
}

/// A peer with its sockets and frontend.
pub struct PeerServer(EventLoop<Peer, PeerServices>);

struct PeerServices {
    frontend: PeerFrontend,
    is_input_ready: bool,
    /// The input is a file: always ready, and not registered with the poll.
    is_always_ready: bool,
    is_input_open: bool,
}

impl PeerServer {
    /// Opens the listener and the frontend.
    ///
    /// # Errors
    /// The listener or standard input cannot be opened.
    pub fn open(settings: PeerSettings) -> Result<Self, String> {
        let PeerSettings { listen, desired_id, peers, json, seed } = settings;
        let spec = ListenSpec { scheme: "peer".to_owned(), is_tls: false, address: listen };
        let setup = LoopSetup::open(&[spec], TlsConfigs::default(), &STOP_SIGNALS)?;
        let wall_clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let peer = Peer::new(desired_id, peers.len(), wall_clock, seed);
        let frontend =
            PeerFrontend::open(json).map_err(|error| format!("cannot read input: {error}"))?;
        let fd = frontend.input_fd().as_raw_fd();
        let registered =
            setup.poll.registry().register(&mut SourceFd(&fd), INPUT_TOKEN, Interest::READABLE);
        let is_always_ready =
            registered.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
        let is_input_open = is_always_ready || registered.is_ok();
        let services = PeerServices {
            frontend,
            is_input_ready: is_always_ready,
            is_always_ready,
            is_input_open,
        };
        let targets =
            peers.into_iter().map(|address| DialTarget { address, is_tls: false, pin: None });
        let listener_ids = vec![ListenerId::default()];
        let mut server =
            Self(EventLoop::new(setup, peer, listener_ids, services, targets.collect()));
        let address = server.address();
        server.0.services.frontend.on_listening(address);
        Ok(server)
    }

    /// Returns the address of the listener with its actual port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.listen_addresses().next().expect("one listener").1
    }

    /// Runs until the user or a signal stops the peer.
    ///
    /// # Errors
    /// The system's poll failed.
    pub fn run(self) -> io::Result<()> {
        self.0.run()
    }
}

impl Services<Peer> for PeerServices {
    /// Lines are read once the peer has an id to send them from.
    fn has_work(&self, peer: &Peer, _: Time) -> bool {
        self.is_input_ready && self.is_input_open && peer.id().is_some() && !peer.is_stopping()
    }

    fn next_deadline(&self) -> Option<Time> {
        None
    }

    fn on_event(&mut self, _: Token) {
        self.is_input_ready = true;
    }

    fn on_wake(&mut self, _: &mut Peer, _: Time) {}

    fn run_pending(&mut self, peer: &mut Peer, now: Time, registry: &Registry, _: &LoopStats) {
        if !self.has_work(peer, now) {
            return;
        }
        self.is_input_ready = self.is_always_ready;
        match self.frontend.read_input(peer, now) {
            InputStatus::Open => {
                // Registering again reports input that is already there.
                let fd = self.frontend.input_fd().as_raw_fd();
                self.is_input_open = self.is_always_ready
                    || registry
                        .reregister(&mut SourceFd(&fd), INPUT_TOKEN, Interest::READABLE)
                        .is_ok();
            }
            InputStatus::Ended => {
                self.is_input_open = false;
                let fd = self.frontend.input_fd().as_raw_fd();
                let _ = registry.deregister(&mut SourceFd(&fd)); // fails for a file, which was never registered
            }
        }
    }

    fn handle_store_request(&mut self, _: &mut Peer, _: Time, request: std::convert::Infallible) {
        match request {}
    }

    fn drain_events(&mut self, peer: &mut Peer, now: Time) -> bool {
        self.frontend.show_events(peer, now)
    }

    fn on_hangup(&mut self, _: &mut Peer, _: Time) {}

    fn take_tls(&mut self) -> Option<TlsConfigs> {
        None
    }

    fn abort(&mut self) {}
}
