//! Eleven servers in network namespaces, with addresses of their own: each link is cut, by silence
//! and by a reset, and the times to notice it and to heal are measured.
//!
//! The test needs root and iproute2, and says so where it is skipped. Everything that it creates is
//! in namespaces of its own, which are removed at the end. With `CRC_NAMESPACES_FULL` set, every
//! link is cut by silence with the default times, which takes three minutes; without it, one link
//! with shorter times. `docs/TESTING.md` has the command.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Number of servers. Server 1 is the root.
const SERVERS: u32 = 11;

/// The first parent and the fallback of each other server. All have smaller ids, so that no
/// fallback closes a loop. Server 2 reaches server 1 over two networks.
const PARENTS: [(u32, [u32; 2]); 10] = [
    (2, [1, 1]),
    (3, [1, 2]),
    (4, [1, 3]),
    (5, [2, 1]),
    (6, [2, 3]),
    (7, [3, 1]),
    (8, [3, 2]),
    (9, [4, 1]),
    (10, [5, 4]),
    (11, [5, 4]),
];

/// Time to heal after a reset.
const RESET_HEAL_MAX: Duration = Duration::from_secs(1);
/// Time to heal after silence, apart from the time to detect it: with the default of 15 s, 20 s.
const SILENCE_HEAL_MAX: Duration = Duration::from_secs(5);
/// Deadline for conditions that are not measured.
const TIMEOUT: Duration = Duration::from_secs(60);
/// A hardware address that nobody has.
const NOBODY: &str = "02:00:00:00:0b:ad";

/// How a link is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// Its packets are sent to a hardware address that nobody has.
    Silence,
    /// The kernel resets the connection.
    Reset,
}

/// Times since a link was cut.
#[derive(Debug)]
struct Times {
    noticed: Duration,
    healed: Duration,
}

/// Runs `ip` with words separated by spaces. Returns its error, if it fails.
fn try_ip(words: &str) -> Result<(), String> {
    let output = Command::new("ip").args(words.split(' ')).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("ip: {error}"))?;
    let error = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("ip {words}: {}", error.trim())) }
}

#[track_caller]
fn ip(words: &str) {
    if let Err(error) = try_ip(words) {
        panic!("{error}");
    }
}

#[track_caller]
fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        if let Some(result) = condition() {
            return result;
        }
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::park_timeout(Duration::from_millis(5)); // interval between checks
    }
}

/// Two networks of namespaces, and a server in each; all are removed at the end.
struct Network {
    servers: Vec<Child>,
    dir: tempfile::TempDir,
}

impl Drop for Network {
    fn drop(&mut self) {
        for server in &mut self.servers {
            let _ = server.kill();
            let _ = server.wait();
        }
        for id in 0..=SERVERS {
            let _ = try_ip(&format!("netns del {}", namespace(id)));
        }
    }
}

/// Returns the namespace of a server; 0 is that of the bridges between them.
fn namespace(id: u32) -> String {
    format!("crc-test-{}-{id}", std::process::id())
}

/// Returns the address of a server in a network.
fn address(network: usize, id: u32) -> String {
    format!("10.77.{network}.{id}")
}

impl Network {
    /// Creates the namespaces. Returns why that is not possible here.
    fn create() -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("it needs root".to_owned());
        }
        let dir = tempfile::tempdir().expect("a temporary folder");
        let network = Self { servers: Vec::new(), dir };
        let hub = namespace(0);
        try_ip(&format!("netns add {hub}"))?;
        for bridge in 0..2 {
            try_ip(&format!("-n {hub} link add br{bridge} type bridge"))?;
            ip(&format!("-n {hub} link set br{bridge} up"));
        }
        for id in 1..=SERVERS {
            let space = namespace(id);
            ip(&format!("netns add {space}"));
            ip(&format!("-n {space} link set lo up"));
            for net in 0..2 {
                let port = format!("p{net}x{id}");
                let pair = format!("link add {port} type veth peer name eth{net} netns {space}");
                try_ip(&format!("-n {hub} {pair}"))?;
                ip(&format!("-n {hub} link set {port} master br{net} up"));
                ip(&format!("-n {space} addr add {}/24 dev eth{net}", address(net, id)));
                ip(&format!("-n {space} link set eth{net} up"));
            }
        }
        Ok(network)
    }

    fn control(&self, id: u32) -> PathBuf {
        self.dir.path().join(format!("control{id}"))
    }

    /// Starts all servers and waits until they know each other.
    fn start_servers(&mut self, options: &[&str]) {
        for id in 1..=SERVERS {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", &namespace(id), env!("CARGO_BIN_EXE_crc"), "server"]);
            command.args(["--id", &id.to_string(), "--listen", "0.0.0.0:3600", "--control"]);
            command.arg(self.control(id)).args(["--allow-servers", "10.77.0.0/16"]).args(options);
            for (_, parents) in PARENTS.iter().filter(|(child, _)| *child == id) {
                let is_twice = parents[0] == parents[1];
                for (index, &parent) in parents.iter().enumerate() {
                    let net = if is_twice { index } else { 0 };
                    command.args(["--parent", &format!("{}:3600", address(net, parent))]);
                }
            }
            let log = self.dir.path().join(format!("log{id}"));
            let log = std::fs::File::create(log).expect("a log");
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
            self.servers.push(command.spawn().expect("ip runs"));
        }
        eventually("all servers know each other", || self.is_one_table().then_some(()));
    }

    /// Sends a command to a server.
    fn query(&self, id: u32, command: &str) -> Option<Value> {
        let mut stream = UnixStream::connect(self.control(id)).ok()?;
        stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
        stream.write_all(format!("json {command}\n").as_bytes()).ok()?;
        let mut reader = BufReader::new(stream);
        let mut status = String::new();
        reader.read_line(&mut status).ok()?;
        let length = status.strip_prefix("ok ")?.trim_end().parse().ok()?;
        let mut text = vec![0; length];
        reader.read_exact(&mut text).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Returns whether every server reaches every other one.
    fn is_one_table(&self) -> bool {
        (1..=SERVERS).all(|id| {
            let Some(servers) = self.query(id, "servers") else { return false };
            let servers = servers.as_array().expect("servers");
            servers.len() == SERVERS as usize - 1 && servers.iter().all(|it| it["lost"] == false)
        })
    }

    /// Returns whether traces between a server and the root arrive.
    fn is_traced(&self, id: u32) -> bool {
        [(1, id), (id, 1)].into_iter().all(|(from, to)| {
            let path = self.query(from, &format!("trace {to}"));
            path.is_some_and(|path| path["result"] == "home")
        })
    }

    /// Returns the link of a server to its parent: its id, and the address of the parent.
    fn uplink(&self, child: u32) -> Option<(String, String)> {
        let links = self.query(child, "links")?;
        let links = links.as_array().expect("links");
        let uplink = links.iter().find(|it| it["uplink"] == true && it["id"].is_number())?;
        let address = uplink["address"].as_str()?.split(':').next()?.to_owned();
        Some((uplink["link"].as_str()?.to_owned(), address))
    }

    /// Makes the two ends of a link unreachable for each other, or reachable again.
    fn set_silent(child: u32, parent_address: &str, is_silent: bool) {
        let mut octets = parent_address.split('.').skip(2);
        let net: usize = octets.next().expect("a network").parse().expect("a number");
        let parent: u32 = octets.next().expect("a host").parse().expect("a number");
        let ends = [(child, parent_address.to_owned()), (parent, address(net, child))];
        for (at, to) in ends {
            let neighbour = format!("-n {} neigh", namespace(at));
            if is_silent {
                ip(&format!("{neighbour} replace {to} lladdr {NOBODY} dev eth{net} nud permanent"));
            } else {
                ip(&format!("{neighbour} del {to} dev eth{net}"));
            }
        }
    }

    /// Resets the connection of a child to its parent.
    fn reset(child: u32, parent_address: &str) {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &namespace(child), "ss", "--kill", "--tcp"]);
        command.args(["state", "established", "dst", parent_address, "dport", "=", "3600"]);
        let output = command.stdin(Stdio::null()).output().expect("ip runs");
        let killed = String::from_utf8_lossy(&output.stdout);
        assert!(killed.contains(parent_address), "ss ends the connection: {output:?}");
    }

    /// Cuts the link of a server to its parent, and measures.
    fn cut(&self, child: u32, cut: Cut) -> Times {
        let (link, parent) = eventually("the child has a parent", || self.uplink(child));
        let started = Instant::now();
        match cut {
            Cut::Silence => Self::set_silent(child, &parent, true),
            Cut::Reset => Self::reset(child, &parent),
        }
        let noticed = eventually(&format!("server {child} notices"), || {
            let is_same = self.uplink(child).is_some_and(|(now, _)| now == link);
            (!is_same).then(|| started.elapsed())
        });
        let healed = eventually(&format!("the network of server {child} is whole"), || {
            let has_parent = self.uplink(child).is_some();
            let is_whole = has_parent && self.is_one_table() && self.is_traced(child);
            is_whole.then(|| started.elapsed())
        });
        if cut == Cut::Silence {
            Self::set_silent(child, &parent, false);
        }
        Times { noticed, healed }
    }
}

/// The times of all links, a line each.
fn table(cut: Cut, rows: &[(u32, Times)]) -> String {
    let mut text = format!("{cut:?} on the link of a server to its parent, in ms\n");
    text.push_str("server  noticed  healed\n");
    for (child, Times { noticed, healed }) in rows {
        let (noticed, healed) = (noticed.as_millis(), healed.as_millis());
        writeln!(text, "{child:>6}  {noticed:>7}  {healed:>6}").expect("a string");
    }
    text
}

#[test]
fn every_cut_link_is_noticed_and_the_network_heals() {
    let mut network = match Network::create() {
        Ok(network) => network,
        Err(reason) => return eprintln!("SKIPPED: namespaces of the network: {reason}"),
    };
    let is_full = std::env::var_os("CRC_NAMESPACES_FULL").is_some();
    let (options, timeout) = match is_full {
        true => (&[][..], Duration::from_secs(15)),
        false => {
            (&["--ping-interval", "0.5", "--ping-timeout", "1.5"][..], Duration::from_millis(1500))
        }
    };
    network.start_servers(options);
    let children = PARENTS.map(|(child, _)| child);
    // Silence first: when they are reset, the links are older than those that flap.
    let silent = if is_full { &children[..] } else { &children[3..4] };
    let silences: Vec<_> =
        silent.iter().map(|&child| (child, network.cut(child, Cut::Silence))).collect();
    eprintln!("{}", table(Cut::Silence, &silences));
    let resets: Vec<_> =
        children.iter().map(|&child| (child, network.cut(child, Cut::Reset))).collect();
    eprintln!("{}", table(Cut::Reset, &resets));
    for (child, times) in &resets {
        assert!(times.healed <= RESET_HEAL_MAX, "reset of server {child}: {times:?}");
    }
    for (child, times) in &silences {
        let is_in_time = times.healed <= timeout + SILENCE_HEAL_MAX;
        assert!(is_in_time, "silence of server {child}: {times:?}");
    }
}
