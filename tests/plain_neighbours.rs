//! Trees of servers of this project and of plain ones, each with the habits of another program.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crc::limits::FRAME_BYTES_MAX;
use crc::relay::message::{HostKind, Message};
use crc::wires::crc::codec;
use crc_tests::frames::{self, chat, quit};
use crc_tests::plain::Habits;
use crc_tests::sim::{
    ClientId, NetConditions, PlainConditions, PlainSpec, ServerSpec, TraceEnd, World,
};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

/// A server of a tree, with the number of its parent.
#[derive(Clone, Copy, Debug)]
enum Member {
    Ours(Option<u32>),
    Plain(Option<u32>),
}

use Member::{Ours, Plain};

/// The trees. Server ids count from 1.
const OURS_ABOVE_PLAIN: &[Member] = &[Ours(None), Plain(Some(1))];
const PLAIN_ABOVE_OURS: &[Member] = &[Plain(None), Ours(Some(1))];
const OURS_PLAIN_OURS: &[Member] = &[Ours(None), Plain(Some(1)), Ours(Some(2))];
const PLAIN_OURS_PLAIN: &[Member] = &[Plain(None), Ours(Some(1)), Plain(Some(2))];

/// Time in which all paced announcements arrive.
const ROUND: Duration = Duration::from_secs(2);

/// What a client has received.
#[derive(Debug, Default)]
struct ClientView {
    /// How often each user was registered, and how often each has quit.
    registrations: BTreeMap<u32, usize>,
    quits: BTreeMap<u32, usize>,
    chats: BTreeMap<u32, usize>,
    statuses: Vec<String>,
}

impl ClientView {
    fn receive(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (message, len) = codec::parse(bytes, FRAME_BYTES_MAX)
                .expect("frames of the protocol")
                .expect("whole frames");
            match message {
                Message::Registration(registration) => {
                    assert_eq!(registration.kind, HostKind::User);
                    *self.registrations.entry(registration.source.0).or_default() += 1;
                }
                Message::ClientQuit { source, .. } => {
                    *self.quits.entry(source.0).or_default() += 1;
                }
                Message::Chat { source, .. } => *self.chats.entry(source.0).or_default() += 1,
                Message::Status { text, .. } => {
                    self.statuses.push(String::from_utf8_lossy(text).into_owned());
                }
                Message::ServerQuit { .. } => panic!("a client received a server quit"),
            }
            bytes = &bytes[len..];
        }
    }
}

struct User {
    id: u32,
    client: ClientId,
    is_on_ours: bool,
    view: ClientView,
}

struct MixedTree {
    world: World,
    servers: Vec<usize>,
    users: Vec<User>,
}

impl MixedTree {
    /// Starts the servers one after the other. Two users join each before the next one starts, so
    /// that each server receives both a burst and announcements.
    fn start(seed: u64, members: &[Member], habits: &Habits) -> Self {
        let mut world = World::new(seed, NetConditions::default());
        let coalesces_writes = seed % 2 == 1;
        world.set_plain_conditions(PlainConditions { coalesces_writes, ..Default::default() });
        world.enable_full_trace();
        let mut tree = Self { world, servers: Vec::new(), users: Vec::new() };
        for (id, &member) in (1..).zip(members) {
            let server = match member {
                Ours(parent) => tree.world.start(ServerSpec::new(id, parent)),
                Plain(parent) => tree.world.start_plain(PlainSpec::new(id, parent, habits.clone())),
            };
            tree.servers.push(server);
            tree.world.run_for(ROUND);
            for user in [100 * id + 1, 100 * id + 2] {
                tree.join(server, user, matches!(member, Ours(_)));
            }
        }
        tree
    }

    fn join(&mut self, server: usize, id: u32, is_on_ours: bool) {
        let client = self.world.connect(server);
        self.world.send(client, &frames::user(id, &format!("u{id}"), "mixed"));
        self.world.run_for(ROUND);
        self.users.push(User { id, client, is_on_ours, view: ClientView::default() });
    }

    fn receive_all(&mut self) {
        self.world.run_for(ROUND);
        for user in &mut self.users {
            user.view.receive(&self.world.take_received(user.client));
        }
    }

    /// Lets each user send a chat to each other user.
    fn chat_between_all_pairs(&mut self) {
        let ids: Vec<u32> = self.users.iter().map(|user| user.id).collect();
        for user in &self.users {
            for &other in ids.iter().filter(|&&other| other != user.id) {
                self.world.send(user.client, &chat(user.id, other, "Hi"));
            }
        }
        self.receive_all();
        for user in &self.users {
            let once: BTreeMap<u32, usize> =
                ids.iter().filter(|&&other| other != user.id).map(|&other| (other, 1)).collect();
            let (id, view) = (user.id, &user.view);
            assert_eq!(view.chats, once, "chats to {id}\n{}", self.trace());
            if user.is_on_ours {
                assert!(once.keys().eq(view.registrations.keys()), "users that {id} sees");
                assert_eq!(view.statuses.len(), 1, "statuses to {id}: {:?}", view.statuses);
            }
        }
    }

    /// Returns how often a user has received the quit of each other user.
    fn quits_to(&mut self, id: u32) -> BTreeMap<u32, usize> {
        self.receive_all();
        self.users.iter().find(|user| user.id == id).expect("a user").view.quits.clone()
    }

    /// Lets the first user of the first server and the last user of the last server leave.
    fn quit_at_both_ends(&mut self) {
        let leavers = [self.users.remove(0), self.users.pop().expect("a user")];
        self.world.send(leavers[0].client, &quit(leavers[0].id, "bye"));
        self.world.disconnect(leavers[1].client);
        self.receive_all();
        let once = leavers.map(|user| (user.id, 1)).into();
        for user in &self.users {
            assert_eq!(user.view.quits, once, "quits to {}\n{}", user.id, self.trace());
        }
    }

    /// Asserts that no user of a server of ours was announced twice, such as after its quit.
    fn assert_no_user_came_back(&self) {
        for user in self.users.iter().filter(|user| user.is_on_ours) {
            let counts = &user.view.registrations;
            let id = user.id;
            assert!(counts.values().all(|&n| n == 1), "{counts:?} to {id}\n{}", self.trace());
        }
    }

    fn assert_no_plain_server_has_ended(&self) {
        let ended: Vec<_> = self.world.ended_plain_servers().collect();
        assert_eq!(ended, [], "plain-safe\n{}", self.trace());
    }

    /// Asserts that no plain server received a status to log: in these trees, all of them would be
    /// from ours.
    fn assert_no_status_was_sent_to_plain_servers(&self) {
        for plain in self.servers.iter().filter_map(|&server| self.world.plain(server)) {
            assert_eq!(plain.status_log(), [""; 0], "statuses\n{}", self.trace());
        }
    }

    /// Asserts that each server of ours introduced itself once to each plain neighbour.
    fn assert_introductions_were_not_repeated(&self) {
        let mut introductions = BTreeSet::new();
        for frame in self.world.traced_frames() {
            let (TraceEnd::Server(from), TraceEnd::Server(to)) = (frame.from, frame.to) else {
                continue;
            };
            let Some(node) = self.world.node(from) else { continue };
            let id = node.relay().identity().id;
            let introduction = format!("00 server registration, source {id},");
            if frame.description.starts_with(&introduction) {
                assert!(introductions.insert((from, to)), "introductions\n{}", self.trace());
            }
        }
    }

    fn trace(&self) -> String {
        self.world.trace(|end| self.world.default_name(end)).join("\n")
    }
}

fn check(members: &[Member], habits: &Habits, seed: u64) {
    println!("seed {seed}");
    let mut tree = MixedTree::start(seed, members, habits);
    tree.assert_no_plain_server_has_ended();
    tree.chat_between_all_pairs();
    tree.quit_at_both_ends();
    tree.world.run_for(Duration::from_secs(90)); // longer than claims and the retries of uplinks
    tree.receive_all();
    tree.assert_no_plain_server_has_ended();
    tree.assert_no_user_came_back();
    tree.assert_introductions_were_not_repeated();
    tree.assert_no_status_was_sent_to_plain_servers();
}

fn preset(name: &str) -> Habits {
    Habits::preset(name).expect("a preset")
}

/// Lets 400 users join a server of ours before it is linked with a plain one, and asserts that the
/// plain server then knows them all.
fn check_burst(habits: &Habits, is_plain_root: bool, coalesces_writes: bool) {
    let mut world = World::new(1, NetConditions::default());
    world.set_plain_conditions(PlainConditions { coalesces_writes, ..Default::default() });
    world.enable_trace();
    let plain_root =
        is_plain_root.then(|| world.start_plain(PlainSpec::new(2, None, habits.clone())));
    let ours = world.start(ServerSpec::new(1, is_plain_root.then_some(2)));
    for id in 1001..=1400 {
        let client = world.connect(ours);
        world.send(client, &frames::user_that_reads_cut_frames(id, &format!("u{id}"), "many"));
    }
    let plain = plain_root.unwrap_or_else(|| {
        world.run_for(ROUND);
        world.start_plain(PlainSpec::new(2, Some(1), habits.clone()))
    });
    world.run_for(Duration::from_secs(20));
    let trace = || world.trace(|end| world.default_name(end)).join("\n");
    assert_eq!(world.ended_plain_servers().collect::<Vec<_>>(), [], "plain-safe\n{}", trace());
    let known = world.plain(plain).expect("plain").host_ids();
    assert!(known.eq([1].into_iter().chain(1001..=1400)), "hosts known to the plain server");
}

#[test]
fn killed_plain_child_is_followed_by_another_with_its_id() {
    let mut tree = MixedTree::start(1, OURS_ABOVE_PLAIN, &Habits::ours_plain());
    tree.world.kill(tree.servers[1]);
    tree.world.run_for(Duration::from_secs(10)); // longer than the grace of a split
    assert_eq!(tree.quits_to(101), [(201, 1), (202, 1)].into());
    tree.users.retain(|user| user.is_on_ours);
    let plain = tree.world.start_plain(PlainSpec::new(2, Some(1), Habits::ours_plain()));
    tree.world.run_for(ROUND);
    for id in [201, 202] {
        tree.join(plain, id, false);
    }
    tree.chat_between_all_pairs();
}

#[test]
fn ours_joins_its_plain_parent_again_after_a_cut() {
    let mut tree = MixedTree::start(1, PLAIN_ABOVE_OURS, &Habits::ours_plain());
    tree.world.cut_uplink(tree.servers[1]);
    tree.world.run_for(Duration::from_secs(30));
    assert_eq!(tree.quits_to(101), [(201, 1), (202, 1)].into());
    tree.chat_between_all_pairs();
}

#[test]
fn plain_child_that_is_cut_off_leaves_both_sides_to_themselves() {
    let mut tree = MixedTree::start(1, OURS_ABOVE_PLAIN, &Habits::ours_plain());
    tree.world.cut_uplink(tree.servers[1]);
    tree.world.run_for(Duration::from_secs(10));
    assert_eq!(tree.quits_to(101), [(201, 1), (202, 1)].into());
    assert_eq!(tree.quits_to(201), [(101, 1), (102, 1)].into());
}

#[test]
fn burst_of_400_users_reaches_a_plain_child() {
    for name in ["plain", "A", "B", "C", "D", "E"] {
        for coalesces in [false, true] {
            println!("preset {name}, coalesces {coalesces}");
            check_burst(&preset(name), false, coalesces);
        }
    }
}

#[test]
fn burst_of_400_users_reaches_a_plain_parent() {
    for name in ["plain", "A", "B", "C", "D", "E"] {
        for coalesces in [false, true] {
            println!("preset {name}, coalesces {coalesces}");
            check_burst(&preset(name), true, coalesces);
        }
    }
}

#[test]
fn random_habits_work_in_every_tree() {
    for seed in 0..100 {
        let habits = Habits::random(&mut StdRng::seed_from_u64(seed));
        println!("{habits:?}");
        for tree in [OURS_ABOVE_PLAIN, PLAIN_ABOVE_OURS, OURS_PLAIN_OURS, PLAIN_OURS_PLAIN] {
            check(tree, &habits, seed);
        }
    }
}

/// Plays 40 trees; `crc-tests mixed` plays any number.
#[test]
fn random_trees_connect_all_that_plain_servers_alone_connect() {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let report = crc_tests::sim::mixed::play_seeds(0..40, cores, &AtomicBool::new(false));
    assert!(report.failures.is_empty(), "{report}");
}

/// Writes a test for each named tree and preset.
macro_rules! trees {
    ($($(#[$attribute:meta])* $name:ident: $tree:ident with $preset:literal;)*) => {
        $(
            #[test]
            $(#[$attribute])*
            fn $name() {
                for seed in 0..6 {
                    check($tree, &preset($preset), seed);
                }
            }
        )*
    };
}

trees! {
    ours_above_plain_works: OURS_ABOVE_PLAIN with "plain";
    ours_above_plain_a_works: OURS_ABOVE_PLAIN with "A";
    ours_above_plain_b_works: OURS_ABOVE_PLAIN with "B";
    ours_above_plain_c_works: OURS_ABOVE_PLAIN with "C";
    ours_above_plain_d_works: OURS_ABOVE_PLAIN with "D";
    ours_above_plain_e_works: OURS_ABOVE_PLAIN with "E";
    plain_above_ours_works: PLAIN_ABOVE_OURS with "plain";
    plain_a_above_ours_works: PLAIN_ABOVE_OURS with "A";
    plain_b_above_ours_works: PLAIN_ABOVE_OURS with "B";
    plain_c_above_ours_works: PLAIN_ABOVE_OURS with "C";
    plain_d_above_ours_works: PLAIN_ABOVE_OURS with "D";
    plain_e_above_ours_works: PLAIN_ABOVE_OURS with "E";
    plain_between_ours_works: OURS_PLAIN_OURS with "plain";
    plain_a_between_ours_works: OURS_PLAIN_OURS with "A";
    plain_b_between_ours_works: OURS_PLAIN_OURS with "B";
    plain_c_between_ours_works: OURS_PLAIN_OURS with "C";
    plain_d_between_ours_works: OURS_PLAIN_OURS with "D";
    plain_e_between_ours_works: OURS_PLAIN_OURS with "E";
    ours_between_plain_works: PLAIN_OURS_PLAIN with "plain";
    ours_between_plain_a_works: PLAIN_OURS_PLAIN with "A";
    ours_between_plain_b_works: PLAIN_OURS_PLAIN with "B";
    ours_between_plain_c_works: PLAIN_OURS_PLAIN with "C";
    ours_between_plain_d_works: PLAIN_OURS_PLAIN with "D";
    ours_between_plain_e_works: PLAIN_OURS_PLAIN with "E";
}
