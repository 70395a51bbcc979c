//! What a program has besides its links: terminals, control sockets, stores, threads.
//!
//! [`Services`] is a type parameter of the loop, like its [`Machine`]: each program has a loop of
//! its own, compiled for it.

use mio::{Registry, Token};

use crate::cidr::Cidr;
use crate::link::{Machine, Time};
use crate::operator::LoopStats;
use crate::tls::TlsConfigs;

/// The part of a program beside its links. Its tokens begin at `setup::SERVICE_TOKEN_BASE`.
pub(super) trait Services<M: Machine> {
    /// Whether [`Services::run_pending`] has something to do now.
    fn has_work(&self, machine: &M, now: Time) -> bool;
    /// When it has something to do if no event comes.
    fn next_deadline(&self) -> Option<Time>;
    /// Records an event for one of its tokens.
    fn on_event(&mut self, token: Token);
    /// Handles a wake-up by another thread.
    fn on_wake(&mut self, machine: &mut M, now: Time);
    /// Does its part of a turn, after the links were read.
    fn run_pending(&mut self, machine: &mut M, now: Time, registry: &Registry, stats: &LoopStats);
    /// Returns whether anybody can read the counters of the loop, which are kept only then.
    fn wants_stats(&self) -> bool {
        false
    }
    /// Handles a request of the machine to its store.
    fn handle_store_request(&mut self, machine: &mut M, now: Time, request: M::StoreRequest);
    /// Shows the machine's events to the user. Returns whether this gave the machine more to do.
    fn drain_events(&mut self, machine: &mut M, now: Time) -> bool;
    /// Handles SIGHUP.
    fn on_hangup(&mut self, machine: &mut M, now: Time);
    /// Returns the certificates that new connections use from now on, once.
    fn take_tls(&mut self) -> Option<TlsConfigs>;
    /// Returns the trusted proxies of a reload, once.
    fn take_trusted_proxies(&mut self) -> Option<Vec<Cidr>> {
        None
    }
    /// Abandons all unfinished work: the process exits at once.
    fn abort(&mut self);
}
