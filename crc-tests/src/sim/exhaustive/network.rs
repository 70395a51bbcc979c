//! [`Network`]: the small networks that are explored.

use std::time::Duration;

use crc::id::HostId;
use crc::limits::Limits;
use crc::node::Node;
use crc::relay::Identity;

use super::canonical::Counts;
use super::process::Program;
use crate::plain::{Habits, IntroductionHop, PlainServer};

/// A network with its users and their scripts.
#[derive(Clone, Debug)]
pub struct Network {
    /// Its name on the command line.
    pub name: &'static str,
    /// Whether the servers have joined before a history begins.
    pub(super) is_joined: bool,
    pub(super) servers: Vec<ServerSpec>,
    pub(super) users: Vec<UserSpec>,
}

/// A server. Its id is its position plus 1.
#[derive(Clone, Debug)]
pub(super) struct ServerSpec {
    pub(super) parents: Vec<usize>,
    /// `Some` if it is a plain server, which dials its first parent once.
    pub(super) habits: Option<Habits>,
}

/// A user.
#[derive(Clone, Debug)]
pub(super) struct UserSpec {
    pub(super) id: u32,
    pub(super) home: usize,
    pub(super) script: Vec<UserStep>,
}

/// A step of a user.
#[derive(Clone, Copy, Debug)]
pub(super) enum UserStep {
    Join,
    Chat { to: u32 },
    Quit,
}

const FRODO: u32 = 101;
const SAM: u32 = 102;

impl Network {
    /// Returns all networks.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let (join, quit) = (UserStep::Join, UserStep::Quit);
        let claim = |home| UserSpec { id: FRODO, home, script: vec![join] };
        // Across plain servers, one id for two users is settled as well as they allow only.
        let two_users = |one, two| vec![claim(one), UserSpec { id: SAM, ..claim(two) }];
        let two_claims = || vec![claim(0), claim(2)];
        let chats = || {
            let to_sam = UserStep::Chat { to: SAM };
            let to_frodo = UserStep::Chat { to: FRODO };
            vec![
                UserSpec { id: FRODO, home: 0, script: vec![join, to_sam, to_sam] },
                UserSpec { id: SAM, home: 2, script: vec![join, to_frodo, quit] },
            ]
        };
        let pair = || vec![ours(None), ours(Some(0))];
        let line = || vec![ours(None), ours(Some(0)), ours(Some(1))];
        let ring = || vec![ours(Some(2)), ours(Some(0)), ours(Some(1))];
        let mixed = |at: usize, introduction_hop| {
            let mut servers = line();
            servers[at].habits = Some(Habits { introduction_hop, ..Habits::ours_plain() });
            servers
        };
        let one_user = vec![UserSpec { id: FRODO, home: 0, script: vec![join, quit] }];
        let pair_claims = vec![claim(0), claim(1)];
        let boot = |name, servers| Self { name, is_joined: false, servers, users: Vec::new() };
        let network = |name, servers, users| Self { name, is_joined: true, servers, users };
        vec![
            network("pair", pair(), one_user),
            network("pair-claim", pair(), pair_claims),
            network("line", line(), two_users(0, 2)),
            boot("pair-boot", pair()),
            boot("line-boot", line()),
            boot("ring-boot", ring()),
            network("line-claim", line(), two_claims()),
            network("line-chat", line(), chats()),
            network("ring", ring(), two_users(0, 2)),
            network("ring-claim", ring(), two_claims()),
            network("ring-chat", ring(), chats()),
            network("plain-middle", mixed(1, IntroductionHop::Newcomer), two_users(0, 2)),
            network("plain-leaf", mixed(2, IntroductionHop::Own), two_users(0, 1)),
            network("plain-root", mixed(0, IntroductionHop::Zero), two_users(1, 2)),
        ]
    }

    /// Returns the network with this name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|network| network.name == name)
    }

    /// Returns the time within which it heals after the last fault: twice the detection time and
    /// 5 s. A plain server may know a child for connected that has lost it, and refuses the id; the
    /// child tries again after a minute, or up to a tenth more.
    pub(super) fn heal_time(&self) -> Duration {
        let is_mixed = self.servers.iter().any(|server| server.habits.is_some());
        Duration::from_secs(if is_mixed { 35 + 66 } else { 35 })
    }

    /// Returns whether counts of handled bytes decide anything in it.
    pub(super) fn counts(&self) -> Counts {
        let mut steps = self.users.iter().flat_map(|user| &user.script);
        let has_chats = steps.any(|step| matches!(step, UserStep::Chat { .. }));
        if has_chats { Counts::Relevant } else { Counts::Irrelevant }
    }

    /// Returns in how many turns the timers of the servers run. In a ring, the servers have a turn
    /// each. Otherwise they could close a cycle and cut it again without end, with higher epochs
    /// each time.
    pub(super) fn turns(&self) -> u32 {
        let is_ring = self.servers.iter().all(|server| !server.parents.is_empty());
        if is_ring { self.servers.len() as u32 } else { 1 }
    }

    /// Returns the program of a server.
    pub(super) fn program(&self, server: usize, restarts: u8) -> Program {
        let ServerSpec { parents, habits } = &self.servers[server];
        let (id, name) = (Self::id_of(server), Self::label(server));
        if let Some(habits) = habits {
            return Program::Plain(Box::new(PlainServer::new(id, &name, habits.clone())));
        }
        let name = name.into_bytes();
        let identity = Identity { id: HostId(id), is_id_configured: true, name, info: Vec::new() };
        let seed = u64::from(id) * 1000 + u64::from(restarts);
        Program::Node(Box::new(Node::new(identity, parents.len(), Limits::default(), seed)))
    }

    /// Returns the id of a server.
    pub(super) fn id_of(server: usize) -> u32 {
        u32::try_from(server).expect("few servers") + 1
    }

    /// Returns the name of a server in histories.
    pub(super) fn label(server: usize) -> String {
        format!("s{}", Self::id_of(server))
    }

    /// Returns the number of the first chat of a user: one number for each step of all scripts.
    pub(super) fn first_chat(&self, user: usize) -> usize {
        self.users[..user].iter().map(|user| user.script.len()).sum()
    }
}

fn ours(parent: Option<usize>) -> ServerSpec {
    ServerSpec { parents: parent.into_iter().collect(), habits: None }
}
