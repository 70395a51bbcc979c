//! The numbers of room messages, by which a server delivers each once and none after a later one.

use super::Topology;
use super::host::ServerKey;
use crate::limits::ROOM_NUMBERS_MAX;

/// Position of the boot count in the number of a room message: above 2^40 messages.
const BOOT_SHIFT: u32 = 40;

/// The latest room message from the users of another server, which may have left since: a message
/// that waited for this server may come when that is back.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LatestNumber {
    number: u64,
    /// The nonce of the server when the message came; 0 before the first one.
    nonce: u64,
}

impl Topology {
    /// Returns the number of the next room message of a user of this server. It is higher than
    /// those of an earlier instance, which had a lower boot count.
    pub(in crate::relay) fn next_room_number(&mut self) -> u64 {
        let first = u64::from(self.routes.own_epoch().boot) << BOOT_SHIFT;
        self.rooms.own_number = first.max(self.rooms.own_number) + 1;
        self.rooms.own_number
    }

    /// Returns whether a user of another server may have sent a room message with a number: the
    /// server has started as often as the number says, or more often. One that is too high would
    /// stand in the way of all that follow. Over a link that this server has ended, it is not
    /// checked: the fact is gone.
    pub(in crate::relay) fn may_have_room_number(&self, server: ServerKey, number: u64) -> bool {
        let fact = self.routes.fact(self.servers.id(server));
        fact.is_none_or(|fact| number >> BOOT_SHIFT <= u64::from(fact.epoch.boot))
    }

    /// Records the number of a room message from a user of another server. Returns false if it has
    /// been recorded, or a higher one.
    ///
    /// Another instance of the server that has not started more often than the number before says
    /// counts from the beginning: it is another machine with the same id, or has lost its files.
    pub(in crate::relay) fn record_room_number(&mut self, server: ServerKey, number: u64) -> bool {
        let id = self.servers.id(server);
        let instance = self.routes.instance(id);
        let mut latest = self.rooms.numbers.get(&id).copied().unwrap_or_default();
        if let Some((nonce, boot)) = instance.filter(|&(nonce, _)| nonce != latest.nonce) {
            latest.nonce = nonce;
            if u64::from(boot) <= latest.number >> BOOT_SHIFT {
                latest.number = 0;
            }
        }
        let is_new = number > latest.number;
        latest.number = number.max(latest.number);
        if self.rooms.numbers.len() < ROOM_NUMBERS_MAX || self.rooms.numbers.contains_key(&id) {
            self.rooms.numbers.insert(id, latest);
        }
        is_new
    }

    /// Forgets the numbers of servers that have left, if there are too many.
    pub(super) fn forget_room_numbers(&mut self) {
        if self.rooms.numbers.len() == ROOM_NUMBERS_MAX {
            let mut numbers = std::mem::take(&mut self.rooms.numbers);
            numbers.retain(|&id, _| self.server_key(id).is_some());
            self.rooms.numbers = numbers;
        }
    }
}
