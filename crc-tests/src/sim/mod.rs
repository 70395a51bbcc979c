//! A network in memory: real [`Node`]s, links that delay and cut what passes, and virtual time.
//!
//! Nothing here waits: time jumps to the next event. The seed decides every delay and every cut,
//! so a seed replays a run to the byte. A client is a bare connection: bytes in, bytes out.

mod ether;
mod peers;
mod store;
mod trace;

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use crc::doors::Door;
use crc::doors::assembly::Assembly;
use crc::doors::crc::wire;
use crc::limits::Limits;
use crc::node::{Action, Node};
use crc::relay::message::HostId;
use crc::relay::{CloseReason, Identity, LinkId, Time};
use rand::RngExt as _;

use self::ether::Ether;
pub use self::peers::{PeerWorld, WALL};
use self::store::Stores;
use self::trace::Trace;
pub use self::trace::describe;

/// Events after which a network that should come to rest is said not to.
const EVENTS_MAX: u64 = 100_000_000;

/// How the links treat what passes.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Each piece arrives after a random time up to this; in order all the same.
    pub delay_max: Duration,
    /// What is sent arrives in random pieces.
    pub cuts: bool,
}

impl Default for Weather {
    fn default() -> Self {
        Self { delay_max: Duration::from_millis(2), cuts: false }
    }
}

/// A server to be started.
#[derive(Clone, Debug)]
pub struct ServerSpec {
    /// Its own label in the simulator, by which others name it as their parent.
    pub label: String,
    /// Its id.
    pub id: u32,
    /// Whether the id was chosen, as with `--id`.
    pub id_is_chosen: bool,
    /// Name on the wire.
    pub name: Vec<u8>,
    /// Info on the wire.
    pub info: Vec<u8>,
    /// Labels of its parents, in order.
    pub parents: Vec<String>,
    /// Its bounds.
    pub limits: Limits,
}

impl ServerSpec {
    /// A server with a chosen id, named by it, and the default bounds.
    #[must_use]
    pub fn new(id: u32, parent: Option<u32>) -> Self {
        Self {
            label: format!("s{id}"),
            id,
            id_is_chosen: true,
            name: format!("s{id}").into_bytes(),
            info: b"simulated".to_vec(),
            parents: parent.iter().map(|id| format!("s{id}")).collect(),
            limits: Limits::default(),
        }
    }
}

/// Names a client of the simulator, for as long as the simulator lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientId(usize);

/// One end of a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum End {
    Server { server: usize, link: LinkId },
    Client(ClientId),
}

#[derive(Debug)]
enum Event {
    /// Bytes reach an end.
    Bytes(End, Vec<u8>),
    /// The other end has closed.
    Closed(End, CloseReason),
    /// A dial reaches its parent.
    Dialled { from: End, label: String },
    /// The store of a server does what it was asked.
    Store { server: usize },
    /// A server listens to an end again.
    Resumed(End),
}

struct Server {
    label: String,
    /// `None` once it was killed or has shut down.
    node: Option<Node>,
    parents: Vec<String>,
    /// The first frame of each connection that it accepted, whole.
    first_frames: Vec<Vec<u8>>,
    firsts: HashMap<LinkId, (usize, Assembly)>,
}

#[derive(Default)]
struct Client {
    received: Vec<u8>,
    is_closed: bool,
    /// It takes nothing in; what is sent to it stays with the sender beyond what pipes hold.
    is_deaf: bool,
}

/// What a pipe holds for an end that does not read, like a socket's buffers.
const PIPE_BYTES_MAX: usize = 64 * 1024;

/// The network.
pub struct World {
    ether: Ether<End, Event>,
    servers: Vec<Server>,
    clients: Vec<Client>,
    /// Those that do not speak CRC.
    foreign: HashSet<End>,
    /// What has arrived at a server that does not listen now.
    parked: HashMap<End, VecDeque<Event>>,
    stores: Stores,
    /// What passed lately, if somebody wants to know.
    trace: Option<Trace<End>>,
}

impl World {
    /// An empty network.
    #[must_use]
    pub fn new(seed: u64, weather: Weather) -> Self {
        Self {
            ether: Ether::new(seed, weather),
            servers: Vec::new(),
            clients: Vec::new(),
            foreign: HashSet::new(),
            parked: HashMap::new(),
            stores: Stores::default(),
            trace: None,
        }
    }

    /// Virtual time since the beginning.
    #[must_use]
    pub fn now(&self) -> Time {
        self.ether.now
    }

    /// Starts a server; answers its number. A label may be used again after a kill: mail that was
    /// kept under it is there.
    pub fn start(&mut self, spec: ServerSpec) -> usize {
        let ServerSpec { label, id, id_is_chosen, name, info, parents, limits } = spec;
        let own = Identity { id: HostId(id), id_is_chosen, name, info };
        let mail = self.stores.open(&label);
        let seed = self.ether.rng.random();
        let node = Some(Node::with_mail(own, parents.len(), limits, &mail, seed));
        let (first_frames, firsts) = (Vec::new(), HashMap::new());
        self.servers.push(Server { label, node, parents, first_frames, firsts });
        self.step(self.servers.len() - 1);
        self.servers.len() - 1
    }

    /// A server's node, while it lives.
    #[must_use]
    pub fn node(&self, server: usize) -> Option<&Node> {
        self.servers[server].node.as_ref()
    }

    /// The number of the living server with this label.
    #[must_use]
    pub fn server(&self, label: &str) -> Option<usize> {
        self.servers.iter().position(|server| server.label == label && server.node.is_some())
    }

    /// The first frame of each connection that a server accepted.
    #[must_use]
    pub fn first_frames(&self, server: usize) -> &[Vec<u8>] {
        &self.servers[server].first_frames
    }

    /// Lets a server do something that is not an event of the network, such as an operator's wish.
    pub fn with_node<R>(&mut self, server: usize, act: impl FnOnce(&mut Node, Time) -> R) -> R {
        let now = self.ether.now;
        let node = self.servers[server].node.as_mut().expect("a living server");
        let result = act(node, now);
        self.step(server);
        result
    }

    /// A server ends without a word: whoever was connected sees the connection close.
    pub fn kill(&mut self, server: usize) {
        self.servers[server].node = None;
        let Self { stores, servers, ether, .. } = self;
        stores.crash(&servers[server].label, &mut ether.rng);
        let mut ends: Vec<(End, End)> = self.ether.pipes.iter().map(|(&a, &b)| (a, b)).collect();
        ends.retain(|(end, _)| matches!(end, End::Server { server: s, .. } if *s == server));
        ends.sort_by_key(|&(end, _)| match end {
            End::Server { link, .. } => link,
            End::Client(_) => unreachable!("only ends of servers were kept"),
        });
        for (end, other) in ends {
            self.unplug(end, other);
        }
    }

    /// The mail that was kept under a label is lost, as it is when it was in a server's memory.
    pub fn lose_mail(&mut self, label: &str) {
        self.stores.lose(label);
    }

    /// The next thing that a server's store of mail does is to fail.
    pub fn break_store(&mut self, server: usize) {
        self.stores.break_one(&self.servers[server].label);
    }

    /// Connects a client to a server's CRC door; nothing is said yet.
    pub fn connect(&mut self, server: usize) -> ClientId {
        self.connect_by(server, Door::Crc)
    }

    /// Connects a client to any door of a server.
    pub fn connect_by(&mut self, server: usize, door: Door) -> ClientId {
        let client = ClientId(self.clients.len());
        self.clients.push(Client::default());
        let now = self.ether.now;
        match self.servers[server].node.as_mut().filter(|node| !node.is_stopping()) {
            Some(node) => {
                let link = node.accepted(now, door, None);
                self.plug(End::Client(client), server, link, door);
                self.step(server);
            }
            None => self.clients[client.0].is_closed = true,
        }
        client
    }

    /// Sends bytes from a client to its server.
    pub fn send(&mut self, client: ClientId, bytes: &[u8]) {
        let end = End::Client(client);
        if let Some(&to) = self.ether.pipes.get(&end) {
            self.carry(end, to, bytes);
        }
    }

    /// What a client has received since it was last asked.
    pub fn take_received(&mut self, client: ClientId) -> Vec<u8> {
        std::mem::take(&mut self.clients[client.0].received)
    }

    /// Whether a client's connection has ended.
    #[must_use]
    pub fn is_closed(&self, client: ClientId) -> bool {
        self.clients[client.0].is_closed
    }

    /// A client stops reading: what is sent to it stays with the sender beyond what a pipe holds.
    pub fn deafen(&mut self, client: ClientId) {
        self.clients[client.0].is_deaf = true;
    }

    /// A client reads again.
    pub fn undeafen(&mut self, client: ClientId) {
        self.clients[client.0].is_deaf = false;
        if let Some(&End::Server { server, link }) = self.ether.pipes.get(&End::Client(client)) {
            self.write(server, link);
            self.step(server);
        }
    }

    /// A client's connection ends without a word.
    pub fn hang_up(&mut self, client: ClientId) {
        self.clients[client.0].is_closed = true;
        let end = End::Client(client);
        if let Some(&other) = self.ether.pipes.get(&end) {
            self.unplug(end, other);
        }
    }

    /// Cuts the link between a server and its parent; both sides see it close.
    pub fn cut_uplink(&mut self, server: usize) {
        let Some(node) = self.node(server) else {
            return;
        };
        let Some(link) = node.links().map(|l| l.id()).find(|&l| node.relay().is_uplink(l)) else {
            return;
        };
        let end = End::Server { server, link };
        if let Some(&other) = self.ether.pipes.get(&end) {
            self.unplug(end, other);
            let reason = CloseReason::Failed("connection reset".to_owned());
            self.ether.schedule(self.ether.now, Event::Closed(end, reason));
        }
    }

    /// Runs until nothing is on its way any more: deadlines that lie ahead do not count.
    ///
    /// # Panics
    /// If the network does not come to rest in 100 million events.
    pub fn settle(&mut self) {
        for _ in 0..EVENTS_MAX {
            self.fire_deadlines();
            let Some(at) = self.ether.next_at() else {
                return;
            };
            self.run_until(at);
        }
        panic!("the network does not come to rest:\n{}", self.trace().join("\n"));
    }

    /// Lets virtual time pass, with all that happens in it.
    pub fn pass(&mut self, span: Duration) {
        self.run_until(self.ether.now + span);
    }

    /// Keeps the latest frames from now on, for [`World::trace`].
    pub fn keep_trace(&mut self) {
        self.trace = Some(Trace::default());
    }

    /// The latest frames that were sent, oldest first.
    #[must_use]
    pub fn trace(&self) -> Vec<String> {
        self.trace.iter().flat_map(Trace::lines).map(str::to_owned).collect()
    }

    fn run_until(&mut self, end: Time) {
        loop {
            self.fire_deadlines();
            let deadline = self.next_deadline();
            let event = self.ether.next_at();
            let Some(next) = [deadline, event].into_iter().flatten().min().filter(|&t| t <= end)
            else {
                self.ether.now = end;
                return;
            };
            self.ether.now = self.ether.now.max(next);
            if event == Some(next) {
                let event = self.ether.pop().expect("the event that was seen");
                self.happen(event);
            }
        }
    }

    fn next_deadline(&self) -> Option<Time> {
        self.servers.iter().filter_map(|server| server.node.as_ref()?.next_deadline()).min()
    }

    fn fire_deadlines(&mut self) {
        for server in 0..self.servers.len() {
            let due = |node: &Node| node.next_deadline().is_some_and(|at| at <= self.ether.now);
            if self.servers[server].node.as_ref().is_some_and(due) {
                self.step(server);
            }
        }
    }

    fn happen(&mut self, event: Event) {
        let now = self.ether.now;
        if let Event::Bytes(end @ End::Server { .. }, _)
        | Event::Closed(end @ End::Server { .. }, _) = event
            && !self.is_listening(end)
        {
            return self.parked.entry(end).or_default().push_back(event);
        }
        match event {
            Event::Bytes(End::Client(client), bytes) => {
                self.clients[client.0].received.extend_from_slice(&bytes);
            }
            Event::Closed(End::Client(client), _) => self.clients[client.0].is_closed = true,
            Event::Bytes(End::Server { server, link }, bytes) => {
                if let Some(node) = &mut self.servers[server].node {
                    node.receive(now, link, &bytes);
                    self.note_first_frame(server, link, &bytes);
                    self.step(server);
                }
            }
            Event::Closed(End::Server { server, link }, reason) => {
                if let Some(node) = &mut self.servers[server].node {
                    node.closed(now, link, &reason);
                    self.step(server);
                }
            }
            Event::Dialled { from: End::Server { server, link }, label } => {
                let parent = self.server(&label).filter(|&p| {
                    self.servers[p].node.as_ref().is_some_and(|node| !node.is_stopping())
                });
                if self.servers[server].node.is_none() {
                    return;
                }
                let Some(parent) = parent else {
                    let reason = CloseReason::Failed("connection refused".to_owned());
                    return self.happen(Event::Closed(End::Server { server, link }, reason));
                };
                let node = self.servers[parent].node.as_mut().expect("a living parent");
                let accepted = node.accepted(now, Door::Crc, None);
                self.plug(End::Server { server, link }, parent, accepted, Door::Crc);
                let node = self.servers[server].node.as_mut().expect("a living child");
                node.dialled(now, link, None);
                self.step(server);
            }
            Event::Dialled { .. } => unreachable!("clients do not dial"),
            Event::Store { server } => {
                let replies = self.stores.visit(&self.servers[server].label);
                if let Some(node) = &mut self.servers[server].node {
                    for reply in replies {
                        node.mail_replied(now, reply);
                    }
                    self.step(server);
                }
            }
            Event::Resumed(end) => {
                for event in self.parked.remove(&end).unwrap_or_default() {
                    self.happen(event); // where it is parked again, so is what follows
                }
            }
        }
    }

    /// Whether a server takes in what arrives at its end of a pipe.
    fn is_listening(&self, end: End) -> bool {
        let End::Server { server, link } = end else { return true };
        let is_listening = |node: &Node| node.is_listening(link) || !node.is_open(link);
        !self.parked.contains_key(&end)
            && self.servers[server].node.as_ref().is_none_or(is_listening)
    }

    fn note_first_frame(&mut self, server: usize, link: LinkId, bytes: &[u8]) {
        let server = &mut self.servers[server];
        let Some((at, assembly)) = server.firsts.get_mut(&link) else {
            return;
        };
        let (at, first_frames) = (*at, &mut server.first_frames);
        let mut is_done = false;
        let len_of = |bytes: &[u8]| wire::frame_len(bytes, usize::MAX);
        let result = assembly.feed(bytes, len_of, |frame| {
            first_frames[at] = frame.to_vec();
            is_done = true;
            false
        });
        if is_done || result.is_err() {
            server.firsts.remove(&link);
        }
    }

    /// Lets a server do what is due, and carries out what it asks for.
    fn step(&mut self, server: usize) {
        let now = self.ether.now;
        let Some(node) = self.servers[server].node.as_mut() else {
            return;
        };
        node.advance(now);
        while let Some(node) = self.servers[server].node.as_mut() {
            if let Some(action) = node.poll_action() {
                self.act(server, action);
            } else if let Some(link) = node.poll_unsent() {
                self.write(server, link);
            } else {
                while node.poll_pressed().is_some() {}
                return;
            }
        }
    }

    fn act(&mut self, server: usize, action: Action) {
        let now = self.ether.now;
        match action {
            Action::Dial { parent, link } => {
                let label = self.servers[server].parents[parent].clone();
                let at = now + self.ether.delay();
                self.ether
                    .schedule(at, Event::Dialled { from: End::Server { server, link }, label });
            }
            Action::Close { link, reason } => {
                self.write(server, link);
                let end = End::Server { server, link };
                if let Some(&other) = self.ether.pipes.get(&end) {
                    self.unplug(end, other);
                }
                let node = self.servers[server].node.as_mut().expect("the server that acts");
                node.closed(now, link, &reason);
            }
            Action::Resume { link } => {
                self.ether.schedule(now, Event::Resumed(End::Server { server, link }));
            }
            Action::Mail(request) => {
                let label = self.servers[server].label.clone();
                if self.stores.ask(&label, request) {
                    let at = now + self.ether.delay();
                    self.ether.schedule(at, Event::Store { server });
                }
            }
            Action::Shutdown => self.kill(server),
        }
    }

    /// Moves a link's queue into its pipe, as far as the other end takes it.
    fn write(&mut self, server: usize, link: LinkId) {
        let end = End::Server { server, link };
        let Some(&to) = self.ether.pipes.get(&end) else {
            return;
        };
        loop {
            let node = self.servers[server].node.as_mut().expect("the server that writes");
            let mut bytes = node.unsent(link).to_vec();
            if let End::Client(client) = to
                && self.clients[client.0].is_deaf
            {
                bytes
                    .truncate(PIPE_BYTES_MAX.saturating_sub(self.clients[client.0].received.len()));
                self.clients[client.0].received.extend_from_slice(&bytes);
                node.sent(link, bytes.len());
                return;
            }
            if bytes.is_empty() {
                return;
            }
            node.sent(link, bytes.len());
            self.carry(end, to, &bytes);
        }
    }

    fn carry(&mut self, from: End, to: End, bytes: &[u8]) {
        if let Some(mut trace) = self.trace.take() {
            let way = format!("{} → {}", self.end_name(from), self.end_name(to));
            match self.foreign.contains(&from) {
                true => trace.note_bytes(self.ether.now, &way, bytes),
                false => trace.note(self.ether.now, from, &way, bytes),
            }
            self.trace = Some(trace);
        }
        self.ether.carry(to, bytes, Event::Bytes);
    }

    fn plug(&mut self, from: End, server: usize, link: LinkId, door: Door) {
        let accepted = End::Server { server, link };
        if door != Door::Crc {
            self.foreign.extend([from, accepted]);
        }
        self.ether.plug(from, accepted);
        if door == Door::Crc {
            let server = &mut self.servers[server];
            server.first_frames.push(Vec::new());
            server.firsts.insert(link, (server.first_frames.len() - 1, Assembly::default()));
        }
    }

    /// Takes a pipe away; `other` sees it close after what is on its way.
    fn unplug(&mut self, end: End, other: End) {
        let closed = Event::Closed(other, CloseReason::PeerClosed);
        self.ether.unplug(end, other, closed);
    }

    fn end_name(&self, end: End) -> String {
        match end {
            End::Server { server, .. } => self.servers[server].label.clone(),
            End::Client(client) => format!("client#{}", client.0),
        }
    }
}
