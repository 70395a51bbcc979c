//! `crc peer`: a [`Peer`] in the loop, and its user at a terminal or behind pipes.

use std::io;
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use super::Loop;
use super::ground::{Ground, HOUSE};
use super::program::{House, PeerDoor};
use crate::address::Address;
use crate::client::{PeerFront, Seen};
use crate::peer::Peer;
use crate::relay::Time;
use std::os::fd::AsRawFd as _;

const INPUT: Token = Token(HOUSE);

/// How a peer is to run.
#[derive(Clone, Debug)]
pub struct PeerSettings {
    /// Where it listens.
    pub listen: Address,
    /// The id that it wishes.
    pub desired_id: Option<i64>,
    /// Whom it links to.
    pub peers: Vec<Address>,
    /// Whether its user is a program.
    pub json: bool,
    /// Decides its random choices.
    pub seed: u64,
}

/// A peer with its sockets.
pub struct PeerServer(Loop<Peer, PeerHouse>);

struct PeerHouse {
    front: PeerFront,
    is_ready: bool,
    /// A file or the like: always ready, and unknown to the poll loop.
    is_file: bool,
    is_open: bool,
}

impl PeerServer {
    /// Listens, and takes the user's terminal or pipes over.
    ///
    /// # Errors
    /// A text that names what cannot be used.
    pub fn open(settings: PeerSettings) -> Result<Self, String> {
        let PeerSettings { listen, desired_id, peers, json, seed } = settings;
        let ground = Ground::open(&[(PeerDoor, listen)])?;
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let peer = Peer::new(desired_id, peers.len(), wall, seed);
        let front = PeerFront::open(json).map_err(|error| format!("cannot read input: {error}"))?;
        let fd = front.input().as_raw_fd();
        let registered =
            ground.poll.registry().register(&mut SourceFd(&fd), INPUT, Interest::READABLE);
        let is_file =
            registered.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
        let is_open = is_file || registered.is_ok();
        let house = PeerHouse { front, is_ready: is_file, is_file, is_open };
        let mut server = Self(Loop::new(ground, peer, house, peers));
        let address = server.address();
        server.0.house.front.listening(address);
        Ok(server)
    }

    /// Where it listens, with the port that was chosen if it was to be any.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.doors().next().expect("one door").1
    }

    /// Runs until the user or a signal ends it.
    ///
    /// # Errors
    /// If the system refuses to wait for events any more.
    pub fn run(self) -> io::Result<()> {
        self.0.run()
    }
}

impl House<Peer> for PeerHouse {
    /// Lines wait until there is an id to say them under.
    fn is_busy(&self, peer: &Peer, _: Time) -> bool {
        self.is_ready && self.is_open && peer.id().is_some() && !peer.is_stopping()
    }

    fn retry_at(&self) -> Option<Time> {
        None
    }

    fn note(&mut self, _: Token) {
        self.is_ready = true;
    }

    fn woken(&mut self, _: &mut Peer, _: Time) {}

    fn serve(&mut self, peer: &mut Peer, now: Time, registry: &Registry) {
        if !self.is_busy(peer, now) {
            return;
        }
        self.is_ready = self.is_file;
        match self.front.read(peer, now) {
            Seen::More => {
                // Registering anew asks whether there is more.
                let fd = self.front.input().as_raw_fd();
                self.is_open = self.is_file
                    || registry.reregister(&mut SourceFd(&fd), INPUT, Interest::READABLE).is_ok();
            }
            Seen::End => {
                self.is_open = false;
                let fd = self.front.input().as_raw_fd();
                let _ = registry.deregister(&mut SourceFd(&fd)); // a file was never known
            }
        }
    }

    fn carry_out(&mut self, _: &mut Peer, _: Time, own: std::convert::Infallible) {
        match own {}
    }

    fn show(&mut self, peer: &mut Peer, now: Time) -> bool {
        self.front.show(peer, now)
    }

    fn give_up(&mut self) {}
}
