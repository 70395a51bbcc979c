//! What a program has besides its links: sockets, terminals and threads of its own.
//!
//! [`Services`] is a type parameter of the loop, like its [`Machine`]: each program has a loop of its
//! own, compiled for it.

use mio::{Registry, Token};

use crate::link::{Machine, Time};

/// What a program has beside its links. Its tokens are those that the loop leaves to it.
pub(super) trait Services<M: Machine> {
    /// Whether it has something to do at once.
    fn has_work(&self, machine: &M, now: Time) -> bool;
    /// When it has something to do if nothing happens.
    fn next_deadline(&self) -> Option<Time>;
    /// The system has news for one of its tokens.
    fn on_event(&mut self, token: Token);
    /// Another thread has woken the loop.
    fn on_wake(&mut self, machine: &mut M, now: Time);
    /// Its part of a turn, after the links were read.
    fn run_pending(&mut self, machine: &mut M, now: Time, registry: &Registry);
    /// Does what the machine wants.
    fn handle_store_request(&mut self, machine: &mut M, now: Time, request: M::StoreRequest);
    /// Shows what there is to show. Answers whether that has given the machine more to do.
    fn drain_events(&mut self, machine: &mut M, now: Time) -> bool;
    /// The program ends at once, whatever is not finished.
    fn abort(&mut self);
}
