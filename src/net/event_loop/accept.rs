//! Accepting connections.

use mio::Token;

use super::EventLoop;
use crate::link::{CloseReason, Machine, Origin, Security, Time};
use crate::net::connection::Connection;
use crate::net::services::Services;
use crate::net::setup::LINK_TOKEN_BASE;
use crate::net::transport::Transport;
use crate::tls::TlsStream;

impl<M: Machine, S: Services<M>> EventLoop<M, S> {
    /// Accepts from every listener that is ready. Returns one at which a connection waits that
    /// there is no descriptor for.
    pub(super) fn accept_all(&mut self, now: Time) -> Option<usize> {
        let mut crowded = None;
        for index in 0..self.listeners.len() {
            if self.listeners[index].readiness.is_ready(now) && self.accept(index, now) {
                crowded = Some(index);
            }
        }
        crowded
    }

    /// Accepts from one listener and opens a link for each connection. Returns whether a connection
    /// waits that there is no descriptor for.
    fn accept(&mut self, index: usize, now: Time) -> bool {
        if self.machine.is_stopping() {
            return false;
        }
        let accepted = self.listeners[index].accept(now);
        for (stream, peer) in accepted.connections {
            let listener_id = self.listener_ids[index];
            let is_tls = self.listeners[index].is_tls();
            let security = if is_tls { Security::Encrypted } else { Security::Plain };
            let is_proxied = self.trusted_proxies.iter().any(|range| range.contains(peer.ip()));
            // The address is known when the header of the proxy has been read.
            let origin = Origin { address: Some(peer).filter(|_| !is_proxied), security };
            let link = self.machine.accepted(now, listener_id, &origin);
            log::debug!("link {link}: connection from {peer}");
            let tls = self.tls.accept.as_ref().filter(|_| is_tls);
            let transport = match tls.map(TlsStream::accept).transpose() {
                Ok(tls) => Transport::accepted(stream, tls, is_proxied),
                Err(error) => {
                    let reason = CloseReason::Io(error.to_string());
                    self.machine.closed(now, link, &reason);
                    continue;
                }
            };
            self.add_connection(Connection::new(link, transport, None));
        }
        accepted.is_out_of_descriptors
    }

    /// Handles that there is no descriptor for a connection that waits at a listener.
    pub(super) fn make_room(&mut self, listener: usize, now: Time) {
        if self.machine.make_room(now) {
            self.reserve.on_eviction(now);
        } else {
            self.listeners[listener].refuse(now, &mut self.reserve);
        }
    }

    /// Registers a connection and adds it to the table.
    pub(super) fn add_connection(&mut self, mut connection: Connection) {
        let link = connection.id();
        let index = link.index as usize;
        if let Err(error) =
            connection.register(self.poller.registry(), Token(LINK_TOKEN_BASE + index))
        {
            self.closing.push((link, CloseReason::Io(error.to_string())));
        }
        self.connections.insert(connection);
    }
}
