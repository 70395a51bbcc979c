//! Registration and keepalive of connections: ids, names, and the server's replies.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crc::id::HostId;
use crc::wires::Wire;
use crc::wires::classic::codec::Name;
use mio::net::TcpStream;
use mio::{Interest, Token};

use super::super::client_codec::{self, Identity, Incoming, Protocol, Role};
use super::super::error::LoadError;
use super::{Client, ClientPool, RESPONSE_TIMEOUT, Sink, connect_failed};

const CRC: Protocol = Protocol::Crc(Wire::CRC);
const CLASSIC: Protocol = Protocol::Crc(Wire::CLASSIC);

/// Number of keepalives of a classic client per required interval.
const KEEPALIVE_MARGIN: u32 = 2;

impl ClientPool {
    /// Starts to connect a new client. Returns its index.
    pub(in crate::load) fn connect(
        &mut self,
        protocol: Protocol,
        role: Role,
        address: SocketAddr,
    ) -> Result<usize, LoadError> {
        let index = self.clients.len();
        let fault = |error: io::Error| connect_failed(address, &error);
        let mut stream = TcpStream::connect(address).map_err(fault)?;
        stream.set_nodelay(true).map_err(fault)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(index), interest).map_err(fault)?;
        let identity = self.identities.next_identity();
        let mut out = Vec::new();
        client_codec::encode_join(protocol, role, &identity, &mut out);
        self.clients.push(Client {
            protocol,
            role,
            identity,
            server: HostId::NONE,
            address,
            stream,
            is_connected: false,
            is_registered: false,
            is_read_closed: false,
            in_read_list: false,
            in_write_list: false,
            web_socket_input: protocol.web_socket_input(),
            partial_frame: Vec::new(),
            send_buffer: out,
            written_bytes: 0,
            is_write_blocked: true, // until the socket is connected
        });
        Ok(index)
    }

    /// Connects clients, with at most `pending_max` unregistered at a time, and waits until all are
    /// registered.
    pub(in crate::load) fn connect_all(
        &mut self,
        addresses: impl Iterator<Item = (Protocol, SocketAddr)>,
        pending_max: usize,
        sink: &mut impl Sink,
    ) -> Result<(), LoadError> {
        for (protocol, address) in addresses {
            self.connect(protocol, Role::User, address)?;
            self.wait_until_registered(pending_max.saturating_sub(1), sink)?;
        }
        self.wait_until_registered(0, sink)
    }

    /// Waits until at most `pending_max` connections are unregistered.
    pub(in crate::load) fn wait_until_registered(
        &mut self,
        pending_max: usize,
        sink: &mut impl Sink,
    ) -> Result<(), LoadError> {
        let mut last_count = self.registered_count;
        let mut deadline = Instant::now() + RESPONSE_TIMEOUT;
        while self.clients.len() - self.registered_count > pending_max {
            self.run_turn(Duration::from_millis(100), sink)?;
            if self.registered_count > last_count {
                last_count = self.registered_count;
                deadline = Instant::now() + RESPONSE_TIMEOUT;
            } else if Instant::now() > deadline {
                let client = self.clients.iter().find(|client| !client.is_registered);
                let Some(Client { protocol, address, .. }) = client else { continue };
                let (protocol, seconds) = (protocol.name(), RESPONSE_TIMEOUT.as_secs());
                return Err(LoadError::failed(format!(
                    "{address} has not answered a registration for {seconds} s: is this a {protocol} listener?"
                )));
            }
        }
        Ok(())
    }

    /// Handles a frame about the connection itself, which is any but a chat.
    pub(super) fn handle_control(
        &mut self,
        index: usize,
        incoming: &Incoming<'_>,
    ) -> Result<(), LoadError> {
        let client = &mut self.clients[index];
        match *incoming {
            Incoming::Welcome { id, server } if !client.is_registered => {
                client.identity.id = id.unwrap_or(client.identity.id);
                client.server = server;
                client.is_registered = true;
                self.registered_count += 1;
            }
            // The server's own registration confirms this one.
            Incoming::HostUp(_) if client.role == Role::Server && !client.is_registered => {
                client.is_registered = true;
                self.registered_count += 1;
            }
            Incoming::IdentityTaken if client.protocol == CRC && !client.is_registered => {
                client.identity = self.identities.next_identity();
                let (identity, role) = (client.identity, client.role);
                client_codec::encode_join(CRC, role, &identity, self.send_buffer(index));
            }
            Incoming::IdentityTaken => {
                let (address, name) = (client.address, client.identity.name);
                return Err(LoadError::failed(format!("the name {name:?} is in use at {address}")));
            }
            Incoming::KeepaliveInterval(interval) => {
                if !client.is_registered {
                    client.is_registered = true;
                    self.registered_count += 1;
                }
                let send_interval = interval / KEEPALIVE_MARGIN;
                if self.keepalive.is_none_or(|(old, _)| send_interval < old) {
                    self.keepalive = Some((send_interval, Instant::now() + send_interval));
                }
            }
            Incoming::Ping(token) => {
                let protocol = client.protocol;
                client_codec::encode_pong(protocol, token, self.send_buffer(index));
            }
            Incoming::Status(text) => {
                self.unexpected_status = Some(String::from_utf8_lossy(text).into_owned());
            }
            _ => {}
        }
        Ok(())
    }

    /// Moves what is in the WebSocket messages of a program to the front of `bytes`, and joins when
    /// the WebSocket opens. Returns its length; all of `bytes` on other connections.
    pub(super) fn unwrap_payloads(
        &mut self,
        index: usize,
        bytes: &mut [u8],
    ) -> Result<usize, String> {
        let client = &mut self.clients[index];
        let Some(input) = &mut client.web_socket_input else { return Ok(bytes.len()) };
        let was_open = input.is_open();
        let length = input.unwrap_payloads(bytes)?;
        if input.is_open() && !was_open {
            let (protocol, identity) = (client.protocol, client.identity);
            client_codec::encode_first_frames(protocol, &identity, self.send_buffer(index));
        }
        Ok(length)
    }

    /// Sends the `Alive` of every classic client when due.
    pub(super) fn send_keepalives(&mut self) {
        let Some((send_interval, due)) = self.keepalive else { return };
        if self.last_turn_at < due {
            return;
        }
        self.keepalive = Some((send_interval, self.last_turn_at + send_interval));
        for index in 0..self.clients.len() {
            if self.clients[index].protocol == CLASSIC && self.clients[index].is_registered {
                let identity = self.clients[index].identity;
                client_codec::encode_alive(&identity, self.send_buffer(index));
            }
        }
    }
}

/// Generates ids and names that no other host is likely to have.
pub(super) struct IdentityGenerator {
    first_id: u32,
    count: u32,
}

impl IdentityGenerator {
    pub(super) fn new() -> Self {
        Self { first_id: rand::random(), count: 0 }
    }

    /// Returns the next identity. Ids are consecutive from a random one on; the name contains the
    /// id.
    pub(super) fn next_identity(&mut self) -> Identity {
        loop {
            let id = self.first_id.wrapping_add(self.count);
            self.count += 1;
            if HostId(id).is_registrable() {
                let name = format!("L{id:x}");
                // Eight hexadecimal digits and the letter exceed eight bytes, so the first digit is
                // dropped.
                let name = if name.len() > 8 { format!("L{:07x}", id & 0x0fff_ffff) } else { name };
                let name = Name::new(name.as_bytes()).expect("eight bytes at most");
                return Identity { id, name };
            }
        }
    }
}
