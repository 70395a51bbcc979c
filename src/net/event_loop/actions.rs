//! What the machine and signals ask for, and the ends of connections and dials.

use signal_hook::consts::SIGHUP;

use super::EventLoop;
use crate::link::{Action, CloseReason, LinkId, Machine};
use crate::net::dial::DialResult;
use crate::net::services::Services;

impl<M: Machine, S: Services<M>> EventLoop<M, S> {
    /// Applies one action. Returns whether the machine has shut down.
    pub(super) fn apply(&mut self, action: Action<M::StoreRequest>) -> bool {
        match action {
            Action::Dial { target, link } => {
                if let Some(result) = self.dialler.dial(target, link) {
                    self.handle_dial_result(link, result);
                }
            }
            Action::DialAddress { address, link } => {
                let result = self.dialler.dial_address(address, link);
                self.handle_dial_result(link, result);
            }
            Action::Close { link, reason } => {
                self.write(link); // what the socket takes of the last bytes
                self.closing.push((link, reason));
            }
            Action::Keepalive { link, keepalive } => {
                if let Some(connection) = self.connections.get_mut(link) {
                    connection.set_keepalive(keepalive);
                }
            }
            Action::Resume { link } => {
                if let Some(connection) = self.connections.get_mut(link)
                    && connection.resume()
                {
                    self.readable.push_back(link);
                }
            }
            Action::Store(request) => {
                self.services.handle_store_request(&mut self.machine, self.now, request);
            }
            Action::Shutdown => return true,
        }
        false
    }

    /// Handles SIGTERM and SIGINT, the first of which starts to drain, and the second exits; and
    /// SIGHUP, which reloads.
    pub(super) fn on_signals(&mut self) {
        let now = self.now;
        for signal in self.signals.pending() {
            let name = signal_hook::low_level::signal_name(signal).unwrap_or("a signal");
            if signal == SIGHUP {
                self.services.on_hangup(&mut self.machine, now);
            } else if self.machine.is_stopping() {
                log::warn!("{name} again: ending at once");
                self.must_exit_now = true;
            } else {
                log::info!("{name}: stopping");
                self.machine.stop(now);
            }
        }
        self.use_reloaded();
    }

    /// Uses what a reload has brought for the connections that begin from now on.
    pub(super) fn use_reloaded(&mut self) {
        if let Some(tls) = self.services.take_tls() {
            self.dialler.set_tls(tls.connect.clone());
            self.tls = tls;
        }
        if let Some(trusted_proxies) = self.services.take_trusted_proxies() {
            self.trusted_proxies = trusted_proxies;
        }
    }

    /// Closes a connection; a failed dial goes on with the target's next address.
    pub(super) fn reap(&mut self, link: LinkId, reason: &CloseReason) {
        if let Some(mut connection) = self.connections.take(link) {
            if connection.awaits_proxy_header()
                && let Some(proxy) = connection.origin().address
            {
                log::warn!("link {link}: connection from the proxy {proxy} ends: {reason}");
            }
            if let Some(pending_dial) = connection.pending_dial().take()
                && let Some(result) = self.dialler.dial_next_address(link, *pending_dial, reason)
            {
                return self.handle_dial_result(link, result);
            }
            connection.close(self.poller.registry());
        }
        self.machine.closed(self.now, link, reason);
    }

    /// Continues the dials whose names have been resolved.
    pub(super) fn on_resolved(&mut self) {
        while let Some(resolution) = self.dialler.poll_resolved() {
            let link = resolution.link;
            if self.machine.is_open(link) {
                let result = self.dialler.dial_resolved(resolution);
                self.handle_dial_result(link, result);
            } // or the link was given up meanwhile
        }
    }

    /// Adds the connection of a dial, or reports its failure to the machine.
    fn handle_dial_result(&mut self, link: LinkId, result: DialResult) {
        match result {
            Ok(connection) => self.add_connection(connection),
            Err(reason) => self.machine.closed(self.now, link, &reason),
        }
    }
}
