//! Users on the classic wire: names without ids. In a scenario they take part in rooms alone.

use crc::wires::Wire;
use crc::wires::classic::codec::{self as classic, Form, Message, Name};

use super::Predicate;
use super::player::Player;
use super::rooms::ReceivedInRoom;
use super::users::{Broken, Standing, User};

/// The beginning of the text by which a server informs a user that its id is another's.
const ID_TAKEN: &[u8] = b"Someone has already registered with ID ";

/// Returns a message of a user.
pub(super) fn message(name: &str, destination: &str, text: &str) -> Vec<u8> {
    let name_of = |name: &str| Name::new(name.as_bytes()).expect("a short name");
    let (destination, source) = (name_of(destination), name_of(name));
    let mut bytes = Vec::new();
    let message = Message { destination, source, text: text.as_bytes() };
    classic::encode(&message, Form::Compact, &mut bytes);
    bytes
}

/// Returns a command of a user to its server.
pub(super) fn command(name: &str, text: &str) -> Vec<u8> {
    message(name, "-SERVER-", text)
}

impl Player<'_> {
    /// Lets a user connect on the classic wire.
    pub(super) fn join_classic(&mut self, number: u32, server: usize) {
        let Some(index) = self.servers[server].filter(|_| !self.is_plain(server)) else { return };
        if self.users.contains_key(&number) {
            return;
        }
        let client = self.world.connect_on(index, Wire::CLASSIC);
        let name = format!("c{number}");
        self.world.send(client, &command(&name, &format!("Connect {name}")));
        let mut user = User::new(client, 0, server, self.world.now());
        user.is_classic = true;
        user.name = name;
        self.users.insert(number, user);
    }

    /// Finds the id of a user on the classic wire that has just been accepted. Its server has
    /// chosen that, and does not say so.
    pub(super) fn find_classic_id(&mut self, number: u32) {
        let user = &self.users[&number];
        if !user.is_classic || user.id != 0 || !user.is_online() {
            return;
        }
        let node = self.servers[user.home].and_then(|index| self.world.node(index));
        let mut hosts = node.into_iter().flat_map(|node| node.relay().hosts().iter());
        let found = hosts.find(|host| host.name() == user.name.as_bytes());
        let id = found.map_or(0, |host| host.id.0);
        self.users.get_mut(&number).expect("a user").id = id;
    }
}

impl User {
    /// Handles received bytes of the classic wire, of which there are no chats for it.
    pub(super) fn receive_classic(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        let broken = |error: classic::WireError| {
            (Predicate::WholeFrames, format!("to classic {}: {error}", self.name))
        };
        let mut rest = bytes;
        let mut frames = Vec::new();
        while let Some(len) = classic::frame_len(rest).map_err(broken)? {
            let (frame, behind) = rest.split_at(len);
            frames.push(frame);
            rest = behind;
        }
        for frame in frames {
            let Some(Message { destination, source, text }) = classic::parse_frame(frame) else {
                continue;
            };
            let is_answer = source == Name::SERVER && self.standing == Standing::Registering;
            if is_answer && text.starts_with(b"Interval ") {
                self.standing = Standing::Online;
            } else if is_answer && text.starts_with(b"Error ") {
                self.standing = Standing::Left;
            } else if source == Name::SERVER && self.is_online() && text.starts_with(ID_TAKEN) {
                self.standing = Standing::Evicted;
            } else if source != Name::SERVER {
                let destination = destination.unpadded();
                let received = ReceivedInRoom::on_classic(self.id, destination, source, text);
                self.received_in_rooms.extend(received);
            }
        }
        self.unread = rest.to_vec();
        Ok(())
    }
}
