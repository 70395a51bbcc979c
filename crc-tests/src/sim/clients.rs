//! The clients of the simulated network: bare connections.

use crc::wires::Wire;

use super::{Client, ClientId, PipeEnd, World};

impl World {
    /// Connects a client to a server on the CRC wire. The client sends nothing by itself.
    pub fn connect(&mut self, server: usize) -> ClientId {
        self.connect_on(server, Wire::CRC)
    }

    /// Connects a client to a server on any wire.
    pub fn connect_on(&mut self, server: usize, wire: Wire) -> ClientId {
        let client = ClientId(self.clients.len());
        self.clients.push(Client::default());
        if self.accept(PipeEnd::Client(client), server, wire) {
            self.drive(server);
        } else {
            self.clients[client.0].is_closed = true;
        }
        client
    }

    /// Sends bytes from a client to its server.
    pub fn send(&mut self, client: ClientId, bytes: &[u8]) {
        let end = PipeEnd::Client(client);
        if let Some(&to) = self.net.pipes.get(&end) {
            self.transmit(end, to, bytes);
        }
    }

    /// Takes what a client has received since the last call.
    pub fn take_received(&mut self, client: ClientId) -> Vec<u8> {
        std::mem::take(&mut self.clients[client.0].received)
    }

    /// Returns whether a client's connection is closed.
    #[must_use]
    pub fn is_closed(&self, client: ClientId) -> bool {
        self.clients[client.0].is_closed
    }

    /// Makes a client stop reading. The sender keeps what does not fit into the pipe.
    pub fn pause_reading(&mut self, client: ClientId) {
        self.clients[client.0].is_reading_paused = true;
    }

    /// Makes a client read again.
    pub fn resume_reading(&mut self, client: ClientId) {
        self.clients[client.0].is_reading_paused = false;
        if let Some(&PipeEnd::Server { server, link }) =
            self.net.pipes.get(&PipeEnd::Client(client))
        {
            self.flush_link(server, link);
            self.drive(server);
        }
    }

    /// Closes a client's connection abruptly.
    pub fn disconnect(&mut self, client: ClientId) {
        self.clients[client.0].is_closed = true;
        let end = PipeEnd::Client(client);
        if let Some(&other) = self.net.pipes.get(&end) {
            self.close_pipe(end, other);
        }
    }
}
