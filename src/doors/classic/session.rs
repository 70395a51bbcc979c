//! A classic client's session.

use crate::doors::{Desk, SendQueue, Shared, Step};
use crate::relay::Time;
use crate::relay::message::{Message, WideId};

/// A classic client.
#[derive(Debug, Default)]
pub struct Session {}

impl Session {
    pub(in crate::doors) fn receive<'a>(
        &mut self,
        _frame: &'a [u8],
        _desk: &mut Desk<'_>,
    ) -> Step<'a> {
        Step::Nothing
    }
    pub(in crate::doors) fn refused(&mut self, _queue: &mut SendQueue) {}
    pub(in crate::doors) fn deliver(
        &mut self,
        _message: &Message<'_>,
        _shared: &Shared,
        _queue: &mut SendQueue,
    ) {
    }
    pub(in crate::doors) fn deliver_mail(
        &mut self,
        _sender: WideId,
        _text: &[u8],
        _shared: &Shared,
        _queue: &mut SendQueue,
    ) {
    }
    pub(in crate::doors) fn deadline(&self) -> Option<Time> {
        None
    }
    pub(in crate::doors) fn expire(&mut self, _desk: &mut Desk<'_>) -> Step<'static> {
        Step::Nothing
    }
    pub(in crate::doors) fn refresh(
        &mut self,
        _now: Time,
        _shared: &mut Shared,
        _queue: &mut SendQueue,
    ) {
    }
    pub(in crate::doors) fn closed(&mut self, _shared: &mut Shared) {}
}
