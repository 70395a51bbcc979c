//! How connections join: under which ids and names, when the server has taken them in, and what keeps
//! them there.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crc::doors::classic::wire::Name;
use crc::relay::message::HostId;
use mio::net::TcpStream;
use mio::{Interest, Token};

use super::super::Stop;
use super::super::wire::{self, Heard, Identity, Role};
use super::{Client, Ear, Fleet, PATIENCE, unreachable_at};
use crate::command::Wire;

/// Clients of the classic wire say that they live so much more often than they must.
const ALIVE_MARGIN: u32 = 2;

impl Fleet {
    /// Begins to connect somebody new.
    pub(in crate::load) fn connect(
        &mut self,
        wire: Wire,
        role: Role,
        address: SocketAddr,
    ) -> Result<usize, Stop> {
        let at = self.clients.len();
        let fault = |error: io::Error| unreachable_at(address, &error);
        let mut stream = TcpStream::connect(address).map_err(fault)?;
        stream.set_nodelay(true).map_err(fault)?;
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(at), both).map_err(fault)?;
        let own = self.names.choose();
        let mut out = Vec::new();
        wire::join(wire, role, &own, &mut out);
        self.clients.push(Client {
            wire,
            role,
            own,
            address,
            stream,
            is_connected: false,
            is_registered: false,
            is_ending: false,
            to_read: false,
            to_write: false,
            begun: Vec::new(),
            out,
            written: 0,
            is_full: true, // until the system says that it is connected
        });
        Ok(at)
    }

    /// Connects these, at most `at_a_time` of them not registered, and waits until all are.
    pub(in crate::load) fn connect_all(
        &mut self,
        addresses: impl Iterator<Item = (Wire, SocketAddr)>,
        at_a_time: usize,
        ear: &mut impl Ear,
    ) -> Result<(), Stop> {
        for (wire, address) in addresses {
            self.connect(wire, Role::User, address)?;
            self.await_registered(at_a_time.saturating_sub(1), ear)?;
        }
        self.await_registered(0, ear)
    }

    /// Waits until no more than `missing` connections are not registered.
    pub(in crate::load) fn await_registered(
        &mut self,
        missing: usize,
        ear: &mut impl Ear,
    ) -> Result<(), Stop> {
        let mut before = self.registered;
        let mut deadline = Instant::now() + PATIENCE;
        while self.clients.len() - self.registered > missing {
            self.turn(Duration::from_millis(100), ear)?;
            if self.registered > before {
                before = self.registered;
                deadline = Instant::now() + PATIENCE;
            } else if Instant::now() > deadline {
                let client = self.clients.iter().find(|client| !client.is_registered);
                let Some(Client { wire, address, .. }) = client else { continue };
                let (wire, seconds) = (wire.name(), PATIENCE.as_secs());
                return Err(Stop::fault(format!(
                    "{address} has not answered a registration for {seconds} s: is this a {wire} door?"
                )));
            }
        }
        Ok(())
    }

    /// What concerns the connection itself.
    pub(super) fn attend(&mut self, at: usize, heard: &Heard<'_>) -> Result<(), Stop> {
        let client = &mut self.clients[at];
        match *heard {
            Heard::Welcome(id) if !client.is_registered => {
                client.own.id = id.unwrap_or(client.own.id);
                client.is_registered = true;
                self.registered += 1;
            }
            // A server that answers with its own registration has taken this one in.
            Heard::Host(_) if client.role == Role::Server && !client.is_registered => {
                client.is_registered = true;
                self.registered += 1;
            }
            Heard::Taken if client.wire == Wire::Crc && !client.is_registered => {
                client.own = self.names.choose();
                let (own, role) = (client.own, client.role);
                wire::join(Wire::Crc, role, &own, self.out(at));
            }
            Heard::Taken => {
                let (address, name) = (client.address, client.own.name);
                return Err(Stop::fault(format!("{address} has somebody called {name:?} already")));
            }
            Heard::Interval(interval) => {
                if !client.is_registered {
                    client.is_registered = true;
                    self.registered += 1;
                }
                let span = interval / ALIVE_MARGIN;
                if self.alive.is_none_or(|(old, _)| span < old) {
                    self.alive = Some((span, Instant::now() + span));
                }
            }
            Heard::Status(text) => self.status = Some(String::from_utf8_lossy(text).into_owned()),
            _ => {}
        }
        Ok(())
    }

    /// Classic clients say that they are alive, when it is time.
    pub(super) fn live_on(&mut self) {
        let Some((span, due)) = self.alive else { return };
        if self.turned < due {
            return;
        }
        self.alive = Some((span, self.turned + span));
        for at in 0..self.clients.len() {
            if self.clients[at].wire == Wire::Classic && self.clients[at].is_registered {
                let own = self.clients[at].own;
                wire::live_on(&own, self.out(at));
            }
        }
    }
}

/// Ids and names that nobody else is likely to have.
pub(super) struct Names {
    run: u32,
    taken: u32,
}

impl Names {
    pub(super) fn new() -> Self {
        Self { run: rand::random(), taken: 0 }
    }

    /// The next one: ids in a row from a random one on, names made of the same number.
    pub(super) fn choose(&mut self) -> Identity {
        loop {
            let id = self.run.wrapping_add(self.taken);
            self.taken += 1;
            if HostId(id).is_registrable() {
                let name = format!("L{id:x}");
                // Eight hexadecimal digits and the letter are one too many: the first digit goes.
                let name = if name.len() > 8 { format!("L{:07x}", id & 0x0fff_ffff) } else { name };
                let name = Name::new(name.as_bytes()).expect("eight bytes at most");
                return Identity { id, name };
            }
        }
    }
}
