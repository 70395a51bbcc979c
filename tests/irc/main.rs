//! The IRC wire over simulated networks, to the byte. Users of the other wires take part.

mod collisions;
mod mail;
mod messages;
mod names;
mod profiles;
mod queries;
mod registration;
mod renames;
mod rooms;
mod runs;
mod splits;
mod tags;

use std::time::Duration;

use crc::limits::{
    IRC_CHANGE_INTERVAL, IRC_PING_INTERVAL, IRC_PING_TIMEOUT, IRC_RENAME_TIMEOUT, SPLIT_GRACE,
};
use crc::wires::Wire;
use crc_tests::frames::{chat, quit, split_frames, user_that_reads_cut_frames};
use crc_tests::sim::{ClientId, NetConditions, ServerSpec, World};

const SECOND: Duration = Duration::from_secs(1);

/// A network, and its servers `s1`, `s2`, … in a chain.
struct Net {
    world: World,
    servers: Vec<usize>,
}

impl Net {
    /// Starts servers with the ids from 1 on, each with the one before it as its parent.
    fn chain(count: u32) -> Self {
        let mut world = World::new(1, NetConditions::default());
        let spec = |id: u32| ServerSpec::new(id, (id > 1).then(|| id - 1));
        let servers = (1..=count).map(|id| world.start(spec(id))).collect();
        world.run_for(SECOND);
        Self { world, servers }
    }

    /// Connects to the server with an id, and sends lines.
    fn connect(&mut self, server: usize, lines: &str) -> ClientId {
        let client = self.begin(server, lines);
        self.world.run_until_quiescent();
        client
    }

    /// Registers an IRC client, and takes the welcome.
    fn register(&mut self, server: usize, nick: &str) -> ClientId {
        let client = self.connect(server, &format!("NICK {nick}\nUSER {nick} 0 * :{nick} B"));
        let lines = self.take(client);
        assert!(lines.iter().any(|line| line.contains(" 001 ")), "{lines:#?}");
        client
    }

    /// Registers an IRC client with capabilities.
    fn register_with(&mut self, server: usize, nick: &str, caps: &str) -> ClientId {
        let lines = format!("CAP REQ :{caps}\nNICK {nick}\nUSER {nick} 0 * :{nick} B\nCAP END");
        let client = self.connect(server, &lines);
        let lines = self.take(client);
        assert!(lines.iter().any(|line| line.contains(" 001 ")), "{lines:#?}");
        client
    }

    /// Registers a CRC user.
    fn crc_user(&mut self, server: usize, id: u32, name: &str) -> ClientId {
        self.crc_user_with_info(server, (id, name, "a hobbit"))
    }

    /// Registers a CRC user with an info.
    fn crc_user_with_info(&mut self, server: usize, user: (u32, &str, &str)) -> ClientId {
        let client = self.begin_crc_user(server, user);
        self.world.run_until_quiescent();
        self.world.take_received(client);
        client
    }

    /// Sends the registration of a CRC user, and waits for nothing.
    fn begin_crc_user(&mut self, server: usize, (id, name, info): (u32, &str, &str)) -> ClientId {
        let client = self.world.connect(self.servers[server - 1]);
        self.world.send(client, &user_that_reads_cut_frames(id, name, info));
        client
    }

    /// Connects to the server with an id and sends lines, and waits for nothing.
    fn begin(&mut self, server: usize, lines: &str) -> ClientId {
        let client = self.world.connect_on(self.servers[server - 1], Wire::IRC);
        self.begin_send(client, lines);
        client
    }

    /// Sends lines of a client, and waits for nothing.
    fn begin_send(&mut self, client: ClientId, lines: &str) {
        let bytes = lines.lines().map(|line| format!("{line}\r\n")).collect::<String>();
        self.world.send(client, bytes.as_bytes());
    }

    /// Returns the id of the user with a name, as a server knows it.
    fn id_of(&self, server: usize, name: &str) -> u32 {
        let hosts = self.world.node(self.servers[server - 1]).expect("alive").relay().hosts();
        let found = hosts.iter().into_iter().find(|host| host.name() == name.as_bytes());
        found.expect("a user").id.0
    }

    /// Sends lines of a client, and waits until nothing is in flight.
    fn send(&mut self, client: ClientId, lines: &str) {
        self.begin_send(client, lines);
        self.world.run_until_quiescent();
    }

    /// Sends a chat of a CRC user.
    fn chat(&mut self, client: ClientId, from: u32, to: u32, text: &str) {
        self.world.send(client, &chat(from, to, text));
        self.world.run_until_quiescent();
    }

    /// Takes the texts of the chats that a CRC user has received.
    fn take_chats(&mut self, client: ClientId) -> Vec<String> {
        let frames = split_frames(&self.world.take_received(client));
        let chats = frames.iter().filter(|frame| frame[0] == 0x81 && frame[5..9] != [0; 4]);
        chats.map(|frame| String::from_utf8_lossy(&frame[13..]).into_owned()).collect()
    }

    /// Takes the lines that a client has received.
    #[track_caller]
    fn take(&mut self, client: ClientId) -> Vec<String> {
        let bytes = self.world.take_received(client);
        let text = String::from_utf8(bytes).expect("UTF-8");
        assert!(text.is_empty() || text.ends_with("\r\n"), "whole lines: {text:?}");
        text.split_terminator("\r\n").map(str::to_owned).collect()
    }

    /// Sends lines, and returns the replies.
    #[track_caller]
    fn ask(&mut self, client: ClientId, lines: &str) -> Vec<String> {
        self.take(client);
        self.send(client, lines);
        self.take(client)
    }

    /// Checks the lines that a client has received.
    #[track_caller]
    fn expect(&mut self, client: ClientId, expected: &[&str]) {
        assert_eq!(self.take(client), expected);
    }

    /// Sends lines, and checks the replies.
    #[track_caller]
    fn check(&mut self, client: ClientId, lines: &str, expected: &[&str]) {
        assert_eq!(self.ask(client, lines), expected, "{lines}");
    }
}
