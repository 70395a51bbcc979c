//! Parameters of chat traffic, and the placement of its clients.

use super::client_codec::{Protocol, Room, TextPlace};
use super::delivery_tracker::Addressing;
use super::pace::Pace;

/// Parameters of the traffic.
#[derive(Clone, Debug)]
pub(super) struct ChatParameters {
    pub(super) protocol: Protocol,
    pub(super) addressing: Addressing,
    /// Size of each text in bytes.
    pub(super) text_bytes: usize,
    pub(super) pace: Pace,
    /// Whether clients are distributed over all servers, instead of senders on the first and
    /// receivers on the last.
    pub(super) spreads_clients: bool,
}

impl ChatParameters {
    /// Returns the number of connections.
    pub(super) fn connection_count(&self) -> usize {
        self.addressing.client_count()
    }

    /// Returns the room that the clients are in. No other load on this machine has the same.
    pub(super) fn room(&self) -> Option<Room> {
        let is_room = matches!(self.addressing, Addressing::Room { .. });
        is_room.then(|| Room::new(format!("#L{:x}", std::process::id())))
    }

    /// Returns where the texts are in their frames.
    pub(super) fn text_place(&self) -> TextPlace {
        TextPlace::new(self.protocol, self.text_bytes, self.room().as_ref())
    }

    /// Returns the server of each client.
    pub(super) fn client_servers(&self, server_count: usize) -> impl Iterator<Item = usize> {
        let (parameters, sender_count) = (self.clone(), self.addressing.sender_count());
        (0..self.connection_count()).map(move |client| match parameters.addressing {
            Addressing::AllToAll { .. } | Addressing::Room { .. } => client % server_count,
            Addressing::Paired { .. } if parameters.spreads_clients => {
                (client % sender_count + client / sender_count) % server_count
            }
            Addressing::Paired { .. } => client / sender_count * (server_count - 1),
        })
    }
}

#[cfg(test)]
mod tests {
    use crc::wires::Wire;

    use super::*;

    #[track_caller]
    fn check(receivers: Addressing, spread: bool, servers: usize, expected: &[usize]) {
        let pace = Pace::InFlight(1);
        let talk = ChatParameters {
            protocol: Wire::CRC.into(),
            addressing: receivers,
            text_bytes: 16,
            pace,
            spreads_clients: spread,
        };
        assert_eq!(talk.client_servers(servers).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn clients_are_placed_on_servers_by_pattern_and_spread() {
        check(Addressing::Paired { pairs: 2 }, false, 1, &[0, 0, 0, 0]);
        check(Addressing::Paired { pairs: 2 }, false, 3, &[0, 0, 2, 2]);
        check(Addressing::Paired { pairs: 3 }, true, 3, &[0, 1, 2, 1, 2, 0]);
        check(Addressing::AllToAll { clients: 4 }, false, 3, &[0, 1, 2, 0]);
        check(Addressing::Room { members: 4, speakers: 1 }, false, 3, &[0, 1, 2, 0]);
    }
}
