//! Rooms on trees of servers whose links are reset and silent, and whose servers end and start
//! again.

use super::*;

use crc::room::RoomName;
use crc_tests::sim::Silence;

const ROOMS: [&str; 3] = ["#lab", "#dev", "#ops"];

/// A CRC user.
struct Member {
    client: ClientId,
    id: u32,
    /// Index of the server.
    server: usize,
    rooms: BTreeSet<&'static str>,
    /// The beginning of a frame whose rest has not arrived.
    cut_frame: Vec<u8>,
}

/// A tree of servers with users who join rooms, leave them and speak.
struct Network {
    rng: StdRng,
    world: World,
    /// Index in the world of each server.
    servers: Vec<usize>,
    members: Vec<Member>,
    next_user: u32,
    /// The number of the next message.
    next_message: u32,
    /// The latest message that each user has received of each other in each room.
    received: BTreeMap<(u32, String, String), u32>,
}

impl Network {
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let delay_max = Duration::from_millis(*[2, 50, 300].choose(&mut rng).expect("a delay"));
        let splits_writes = rng.random_bool(0.5);
        let mut world = World::new(seed, NetConditions { delay_max, splits_writes });
        let count = rng.random_range(2..6);
        let mut servers = Vec::new();
        for id in 1..=count {
            let parent = (id > 1).then(|| rng.random_range(1..id));
            servers.push(world.start(server_spec(seed, id, parent)));
        }
        world.run_for(Duration::from_secs(10));
        let (members, received) = (Vec::new(), BTreeMap::new());
        Self { rng, world, servers, members, next_user: 101, next_message: 1, received }
    }

    fn add_user(&mut self) {
        let server = self.rng.random_range(0..self.servers.len());
        let id = self.next_user;
        self.next_user += 1;
        let client = join_user(&mut self.world, self.servers[server], id);
        let (rooms, cut_frame) = (BTreeSet::new(), Vec::new());
        self.members.push(Member { client, id, server, rooms, cut_frame });
    }

    /// Lets one thing happen.
    fn step(&mut self) {
        let member =
            (!self.members.is_empty()).then(|| self.rng.random_range(0..self.members.len()));
        match (self.rng.random_range(0..20), member) {
            (0..3, _) | (_, None) => self.add_user(),
            (3..8, Some(member)) => {
                let room = *ROOMS.choose(&mut self.rng).expect("a room");
                let is_in = self.members[member].rooms.contains(room);
                let command = if is_in { "/part" } else { "/join" };
                match is_in {
                    true => self.members[member].rooms.remove(room),
                    false => self.members[member].rooms.insert(room),
                };
                self.say_to_server(member, &format!("{command} {room}"));
            }
            (8..14, Some(member)) => self.speak(member),
            (14, Some(member)) => {
                let member = self.members.remove(member);
                self.world.send(member.client, &quit(member.id, "bye"));
            }
            (15..17, Some(_)) => {
                let server = *self.servers.choose(&mut self.rng).expect("a server");
                self.world.reset_uplink(server);
            }
            (17, Some(_)) => {
                let server = *self.servers.choose(&mut self.rng).expect("a server");
                let span = Duration::from_secs(self.rng.random_range(1..25));
                self.world.silence_uplink(server, Silence::Both, Some(span));
            }
            (18, Some(_)) => self.restart(),
            _ => {
                let span = Duration::from_millis(self.rng.random_range(0..4_000));
                self.world.run_for(span);
                self.take_received();
            }
        }
    }

    /// Ends a server, whose users are gone, and starts it again.
    fn restart(&mut self) {
        let server = self.rng.random_range(0..self.servers.len());
        self.take_received();
        self.world.kill(self.servers[server]);
        self.members.retain(|member| member.server != server);
        self.world.run_for(Duration::from_millis(self.rng.random_range(0..9_000)));
        let id = u32::try_from(server + 1).expect("a small id");
        let seed = self.rng.random_range(0..3);
        // The parent that it had is not remembered: any with a smaller id makes a tree.
        let parent = (id > 1).then(|| self.rng.random_range(1..id));
        self.servers[server] = self.world.start(server_spec(seed, id, parent));
    }

    fn say_to_server(&mut self, member: usize, text: &str) {
        let Member { client, id, server, .. } = self.members[member];
        let server_id = u32::try_from(server + 1).expect("a small id");
        self.world.send(client, &chat(id, server_id, text));
    }

    /// Lets a user speak in one of its rooms.
    fn speak(&mut self, member: usize) {
        let Member { client, id, ref rooms, .. } = self.members[member];
        let rooms: Vec<&str> = rooms.iter().copied().collect();
        let Some(room) = rooms.choose(&mut self.rng) else { return };
        let number = self.next_message;
        self.next_message += 1;
        let to = shown_id(room);
        self.world.send(client, &chat(id, to, &number.to_string()));
    }

    /// Checks that what users have received of each other is new and in order. Returns the messages
    /// by recipient.
    fn take_received(&mut self) -> BTreeMap<u32, Vec<(String, String, u32)>> {
        let mut messages = BTreeMap::new();
        for member in &mut self.members {
            let mut bytes = std::mem::take(&mut member.cut_frame);
            bytes.extend(self.world.take_received(member.client));
            let mut rest = &bytes[..];
            while let Some((message, len)) = codec::parse(rest, FRAME_BYTES_MAX).expect("frames") {
                rest = &rest[len..];
                let Message::Chat { source, text, .. } = message else { continue };
                let Some(room) = ROOMS.iter().find(|room| shown_id(room) == source.0) else {
                    continue;
                };
                let text = String::from_utf8_lossy(text);
                let (sender, number) = text.split_once("> ").expect("a sender");
                let number: u32 = number.parse().expect("a number");
                let key = (member.id, (*room).to_owned(), sender.to_owned());
                let earlier = self.received.insert(key, number);
                assert!(
                    earlier.is_none_or(|earlier| earlier < number),
                    "{} received {number} of {sender} in {room} after {earlier:?}",
                    member.id
                );
                let heard = ((*room).to_owned(), sender[1..].to_owned(), number);
                messages.entry(member.id).or_insert_with(Vec::new).push(heard);
            }
            member.cut_frame = rest.to_vec();
        }
        messages
    }

    /// Waits until the network has healed, and checks that all servers agree and that each message
    /// reaches each member once, and nobody else.
    fn check(&mut self) {
        self.world.run_for(Duration::from_secs(110));
        self.take_received();
        for room in ROOMS {
            let is_member = |member: &&Member| member.rooms.contains(room);
            let expected: BTreeSet<u32> =
                self.members.iter().filter(is_member).map(|member| member.id).collect();
            for &server in &self.servers {
                let relay = self.world.node(server).expect("a running server").relay();
                let name = RoomName::parse(room.as_bytes()).expect("a name");
                let known: BTreeSet<u32> = relay.room_members(name).map(|host| host.id.0).collect();
                assert_eq!(known, expected, "the members of {room} at {}", relay.identity().id);
            }
        }
        let mut expected: BTreeMap<u32, BTreeSet<(String, String, u32)>> = BTreeMap::new();
        for at in 0..self.members.len() {
            let Member { client, id, ref rooms, .. } = self.members[at];
            for room in rooms.clone() {
                let number = self.next_message;
                self.next_message += 1;
                self.world.send(client, &chat(id, shown_id(room), &number.to_string()));
                for member in self.members.iter().filter(|it| it.id != id) {
                    if member.rooms.contains(room) {
                        let heard = (room.to_owned(), format!("u{id}"), number);
                        expected.entry(member.id).or_default().insert(heard);
                    }
                }
            }
        }
        self.world.run_for(Duration::from_secs(4));
        let received = self.take_received();
        let received: BTreeMap<u32, BTreeSet<_>> =
            received.into_iter().map(|(id, heard)| (id, heard.into_iter().collect())).collect();
        assert_eq!(received, expected);
    }
}

/// Returns the id under which a room is shown, since nobody else has it.
fn shown_id(room: &str) -> u32 {
    let name = RoomName::parse(room.as_bytes()).expect("a name");
    name.shown_ids().next().expect("an id").0
}

#[test]
fn members_of_rooms_agree_after_any_faults_and_each_hears_a_message_once() {
    for seed in seeds(0..128) {
        let mut network = Network::new(seed);
        for _ in 0..60 {
            network.step();
        }
        network.check();
    }
}
