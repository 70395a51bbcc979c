//! Trees of six processes in which servers of this project and plain ones alternate: users of every
//! server exchange chats, their quits reach everybody, and no habit ends a plain server.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use crc::limits::FRAME_BYTES_MAX;
use crc::relay::message::{Message, Registration};
use crc::wires::crc::codec;
use crc_tests::frames::{chat, quit, user};

/// How long anything may take on a busy machine before it counts as never.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Pause between two looks at what has arrived.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

const USER_IDS: Range<u32> = 101..107;
/// The first id of users that wait until their server is linked, and leave.
const SCOUT_ID_START: u32 = 201;

/// The parents of the six servers, by index.
const CHAIN: [Option<usize>; 6] = [None, Some(0), Some(1), Some(2), Some(3), Some(4)];
const TREE: [Option<usize>; 6] = [None, Some(0), Some(0), Some(1), Some(1), Some(2)];

static CRC: LazyLock<PathBuf> =
    LazyLock::new(|| crc_tests::binary::locate().expect("crc is built"));

/// A server, killed when this value is dropped.
struct Server {
    child: Child,
    address: String,
    is_plain: bool,
}

impl Server {
    fn start(id: usize, parent: Option<&str>, preset: Option<&str>) -> Self {
        let program = match preset {
            Some(_) => Path::new(env!("CARGO_BIN_EXE_crc-tests")),
            None => &CRC,
        };
        let mut command = Command::new(program);
        match preset {
            Some(preset) => command.args(["plain-server", "--preset", preset]),
            None => command.args(["server", "--log", "error"]),
        };
        command.args(["--listen", "127.0.0.1:0"]);
        command.args([format!("--id={id}"), format!("--name=s{id}")]);
        if let Some(parent) = parent {
            command.args(["--parent", parent]);
        }
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it runs");
        let mut line = String::new();
        let stdout = child.stdout.as_mut().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let address = line.strip_prefix("listening crc ").expect("the listener").trim().to_owned();
        Self { child, address, is_plain: preset.is_some() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A user, and what it has received.
struct User {
    id: u32,
    stream: TcpStream,
    unparsed: Vec<u8>,
    others: BTreeSet<u32>,
    chats: BTreeMap<u32, usize>,
    quits: BTreeMap<u32, usize>,
}

impl User {
    fn join(id: u32, server: &Server) -> Self {
        let mut stream = TcpStream::connect(&server.address).expect("a listener");
        stream.write_all(&user(id, &format!("u{id}"), "mixed")).expect("a connection");
        stream.set_nonblocking(true).expect("a socket");
        let (unparsed, others) = (Vec::new(), BTreeSet::new());
        let (chats, quits) = (BTreeMap::new(), BTreeMap::new());
        Self { id, stream, unparsed, others, chats, quits }
    }

    fn receive(&mut self) {
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => panic!("the server of user {} has closed the connection", self.id),
                Ok(count) => self.unparsed.extend(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("user {}: {error}", self.id),
            }
        }
        let mut parsed_bytes = 0;
        while let Some((message, len)) =
            codec::parse(&self.unparsed[parsed_bytes..], FRAME_BYTES_MAX).expect("frames")
        {
            match message {
                Message::Registration(Registration { source, .. })
                    if USER_IDS.contains(&source.0) && source.0 != self.id =>
                {
                    self.others.insert(source.0);
                }
                Message::Chat { source, .. } => *self.chats.entry(source.0).or_default() += 1,
                Message::ClientQuit { source, .. } if USER_IDS.contains(&source.0) => {
                    *self.quits.entry(source.0).or_default() += 1;
                }
                _ => {}
            }
            parsed_bytes += len;
        }
        self.unparsed.drain(..parsed_bytes);
    }
}

/// Receives until something holds for each user.
fn wait_for(users: &mut [User], what: &str, is_complete: impl Fn(&User) -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !users.iter().all(&is_complete) {
        assert!(
            Instant::now() < deadline,
            "{what}: {:?}",
            users.iter().map(|it| (it.id, &it.others, &it.chats, &it.quits)).collect::<Vec<_>>()
        );
        std::thread::sleep(POLL_INTERVAL);
        users.iter_mut().for_each(User::receive);
    }
}

fn check(preset: &str, parents: &[Option<usize>; 6], is_plain_root: bool) {
    println!("preset {preset}, parents {parents:?}, plain root: {is_plain_root}");
    let mut servers: Vec<Server> = Vec::new();
    let mut users: Vec<User> = Vec::new();
    for (i, parent) in parents.iter().enumerate() {
        let parent = parent.map(|parent| &servers[parent]);
        let is_plain = parent.map_or(is_plain_root, |parent| !parent.is_plain);
        let address = parent.map(|parent| parent.address.as_str());
        let server = Server::start(i + 1, address, is_plain.then_some(preset));
        let number = u32::try_from(i).expect("an index");
        if i > 0 {
            // A plain server does not send its parent the users that it had before.
            let mut scout = [User::join(SCOUT_ID_START + number, &server)];
            wait_for(&mut scout, "link to the parent", |scout| {
                scout.others.contains(&USER_IDS.start)
            });
        }
        users.push(User::join(USER_IDS.start + number, &server));
        servers.push(server);
        wait_for(&mut users, "users that each user sees", |user| user.others.len() == i);
    }
    let ids: Vec<u32> = users.iter().map(|user| user.id).collect();
    for user in &mut users {
        for &other in ids.iter().filter(|&&other| other != user.id) {
            user.stream.write_all(&chat(user.id, other, "Hi")).expect("a connection");
        }
    }
    wait_for(&mut users, "chats that each user has received", |user| user.chats.len() == 5);
    for user in &users {
        assert!(user.chats.values().all(|&count| count == 1), "{}: {:?}", user.id, user.chats);
    }
    leave_one_by_one(users);
    for (server, id) in servers.iter_mut().zip(1..) {
        let end = server.child.try_wait().expect("a child");
        assert_eq!(end, None, "the end of server {id}, plain: {}", server.is_plain);
    }
}

/// Lets one user after the other leave, by a quit or by the end of its connection.
fn leave_one_by_one(mut users: Vec<User>) {
    while let Some(mut leaver) = users.pop() {
        if leaver.id % 2 == 0 {
            leaver.stream.write_all(&quit(leaver.id, "bye")).expect("a connection");
        }
        let id = leaver.id;
        drop(leaver);
        wait_for(&mut users, "quits", |user| user.quits.contains_key(&id));
    }
}

fn check_preset(preset: &str) {
    for parents in [&CHAIN, &TREE] {
        for is_plain_root in [false, true] {
            check(preset, parents, is_plain_root);
        }
    }
}

/// Writes a test for each preset.
macro_rules! presets {
    ($($name:ident: $preset:literal;)*) => {
        $(
            #[test]
            fn $name() {
                check_preset($preset);
            }
        )*
    };
}

presets! {
    plain_servers_work_in_trees_of_six: "plain";
    plain_servers_a_work_in_trees_of_six: "A";
    plain_servers_b_work_in_trees_of_six: "B";
    plain_servers_c_work_in_trees_of_six: "C";
    plain_servers_d_work_in_trees_of_six: "D";
    plain_servers_e_work_in_trees_of_six: "E";
}
