//! A network simulator: real [`Node`]s, in-memory links with delays and split writes, and virtual
//! time.
//!
//! Time jumps to the next event. The seed decides every delay and every split, so one seed gives
//! one run, to the byte. A client is a bare connection: bytes in, bytes out.

mod arrivals;
mod clients;
mod deadlines;
pub mod exhaustive;
mod faults;
mod meter;
pub mod mixed;
mod observer;
mod peers;
mod pipes;
mod plain;
mod record;
mod run;
pub mod scale;
pub mod scenario;
pub mod simulate;
mod spec;
mod store;
mod trace;
mod virtual_net;

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use crc::id::HostId;
use crc::link::frame_decoder::FrameDecoder;
use crc::link::{CloseReason, LinkId, Time};
use crc::mail::Mail;
use crc::node::Node;
use crc::relay::Identity;
use crc::wires::Wire;
use rand::RngExt as _;

use crate::plain::ConnId;

use self::deadlines::Deadlines;
use self::faults::Faults;
pub use self::faults::Silence;
pub use self::meter::{Call, Meter, Turn};
use self::observer::Observer;
pub use self::peers::{PeerWorld, WALL_CLOCK_START};
use self::plain::PlainProcess;
use self::run::Event;
pub use self::spec::{NetConditions, PlainConditions, PlainSpec, ServerSpec};
use self::store::MailStores;
use self::trace::Trace;
pub use self::trace::{TracedFrame, describe_frame};
use self::virtual_net::VirtualNet;

/// Maximum number of events before a network is considered never to become quiescent.
const EVENTS_MAX: u64 = 100_000_000;

/// Identifies a client for the lifetime of its [`World`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(usize);

/// One end of a traced connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TraceEnd {
    /// A server, by the number that [`World::start`] returned.
    Server(usize),
    /// A client.
    Client(ClientId),
}

/// One end of a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum PipeEnd {
    Server { server: usize, link: LinkId },
    PlainServer { server: usize, conn: ConnId },
    Client(ClientId),
}

impl PipeEnd {
    /// Returns the number of its server, if it is a server's.
    fn server(self) -> Option<usize> {
        match self {
            Self::Server { server, .. } | Self::PlainServer { server, .. } => Some(server),
            Self::Client(_) => None,
        }
    }
}

#[derive(Default)]
struct Server {
    label: String,
    /// `None` once it was killed or has shut down, and if it is a plain server.
    node: Option<Node>,
    /// `Some` if it is a plain server.
    plain: Option<PlainProcess>,
    parents: Vec<String>,
    /// The first frame of each connection that it accepted, whole.
    first_frames: Vec<Vec<u8>>,
    first_frame_decoders: HashMap<LinkId, (usize, FrameDecoder)>,
    /// Its process reads what has arrived, and runs no timers yet.
    is_reading: bool,
    /// Number of events since it knew many hosts, see [`Server::check_relay`].
    large_events: u64,
}

#[derive(Default)]
struct Client {
    received: Vec<u8>,
    is_closed: bool,
    /// Whether it does not read. The sender keeps what does not fit into the pipe.
    is_reading_paused: bool,
}

/// The network.
pub struct World {
    net: VirtualNet<PipeEnd, Event>,
    servers: Vec<Server>,
    clients: Vec<Client>,
    /// The wires of the ends that do not speak CRC.
    non_crc_ends: HashMap<PipeEnd, Wire>,
    /// Events for server ends that do not read at present.
    deferred_events: HashMap<PipeEnd, VecDeque<Event>>,
    stores: MailStores,
    /// Servers whose dials fail.
    isolated_servers: HashSet<usize>,
    /// The conditions of the links towards plain servers.
    plain_conditions: PlainConditions,
    /// The recorded frames, if recording is enabled.
    trace: Option<Trace<PipeEnd>>,
    faults: Faults,
    /// What is sent over the links, if a scenario observes it.
    observer: Option<Observer>,
    /// What calls into servers take, if it is measured.
    meter: Option<Meter>,
    /// The next deadline of each server that runs.
    deadlines: Deadlines,
    /// Whether relays are checked after each event.
    checks_relays: bool,
}

impl World {
    /// An empty network.
    #[must_use]
    pub fn new(seed: u64, conditions: NetConditions) -> Self {
        Self {
            net: VirtualNet::new(seed, conditions),
            servers: Vec::new(),
            clients: Vec::new(),
            non_crc_ends: HashMap::new(),
            deferred_events: HashMap::new(),
            stores: MailStores::default(),
            isolated_servers: HashSet::new(),
            plain_conditions: PlainConditions::default(),
            trace: None,
            faults: Faults::default(),
            observer: None,
            meter: None,
            deadlines: Deadlines::default(),
            checks_relays: true,
        }
    }

    /// Returns the virtual time since the start.
    #[must_use]
    pub fn now(&self) -> Time {
        self.net.now
    }

    /// Starts a server, and returns its index. A label may be reused after a kill; the server then
    /// finds the mail stored under it.
    pub fn start(&mut self, spec: ServerSpec) -> usize {
        let ServerSpec { label, id, id_is_chosen, name, info, parents, limits } = spec;
        let identity = Identity { id: HostId(id), is_id_configured: id_is_chosen, name, info };
        let mail = self.stores.open(&label);
        let seed = self.net.rng.random();
        let mut node = Node::with_mail(identity, parents.len(), limits, &mail, seed);
        node.add_listener(Wire::CRC);
        node.set_listen_port(run::port_of(self.servers.len()));
        node.set_admission(run::admission());
        let node = Some(node);
        self.servers.push(Server { label, node, parents, ..Server::default() });
        self.drive(self.servers.len() - 1);
        self.servers.len() - 1
    }

    /// Returns a server's node while it runs.
    #[must_use]
    pub fn node(&self, server: usize) -> Option<&Node> {
        self.servers[server].node.as_ref()
    }

    /// Returns the index of the running server with this label.
    #[must_use]
    pub fn server(&self, label: &str) -> Option<usize> {
        let is_running = |server: &Server| {
            server.node.is_some() || server.plain.as_ref().is_some_and(PlainProcess::is_running)
        };
        self.servers.iter().position(|server| server.label == label && is_running(server))
    }

    /// Returns the first frame of each connection that a server accepted.
    #[must_use]
    pub fn first_frames(&self, server: usize) -> &[Vec<u8>] {
        &self.servers[server].first_frames
    }

    /// Calls a method of a node directly, such as an operator's command, and applies its actions.
    pub fn with_node<R>(&mut self, server: usize, call: impl FnOnce(&mut Node, Time) -> R) -> R {
        let now = self.net.now;
        let node = self.servers[server].node.as_mut().expect("a running server");
        let result = call(node, now);
        self.drive(server);
        result
    }

    /// Ends a server abruptly. Connected hosts see their connections close.
    pub fn kill(&mut self, server: usize) {
        self.end_process(server);
        for (end, other) in self.sorted_pipes() {
            if end.server() == Some(server) {
                self.close_pipe(end, other);
            }
        }
    }

    /// Ends a server's process, and its mail store with it.
    fn end_process(&mut self, server: usize) {
        self.servers[server].node = None;
        self.deadlines.set(server, None);
        if let Some(plain) = &mut self.servers[server].plain {
            plain.kill();
        }
        self.faults.forget_process(server);
        let Self { stores, servers, net, .. } = self;
        stores.crash(&servers[server].label, &mut net.rng);
        self.observe_kept_mail(server);
    }

    /// Discards the mail stored under a label, as when it was only in memory.
    pub fn discard_mail(&mut self, label: &str) {
        self.stores.discard(label);
    }

    /// Returns the mail that is stored under a label.
    fn mails(&self, label: &str) -> impl Iterator<Item = &Mail> {
        self.stores.mails(label)
    }

    /// Makes the next request to a server's mail store fail.
    pub fn fail_next_store_request(&mut self, server: usize) {
        self.stores.fail_next(&self.servers[server].label);
    }

    /// Cuts the link between a server and its parent. Both sides see it close.
    pub fn cut_uplink(&mut self, server: usize) {
        let Some(end) = self.uplink_end(server) else {
            return;
        };
        if let Some(&other) = self.net.pipes.get(&end) {
            self.close_pipe(end, other);
            let reason = CloseReason::Io("connection reset".to_owned());
            self.net.schedule(self.net.now, Event::Closed(end, reason));
        }
    }

    /// Makes all dials of a server fail, or lets them succeed again.
    pub fn set_isolated(&mut self, server: usize, is_isolated: bool) {
        match is_isolated {
            true => self.isolated_servers.insert(server),
            false => self.isolated_servers.remove(&server),
        };
    }

    fn uplink_end(&self, server: usize) -> Option<PipeEnd> {
        if let Some(plain) = self.plain(server) {
            return Some(PipeEnd::PlainServer { server, conn: plain.uplink()? });
        }
        let node = self.node(server)?;
        let link = node.links().map(|link| link.id()).find(|&l| node.relay().is_uplink(l))?;
        Some(PipeEnd::Server { server, link })
    }

    /// Runs until no event is pending. Timers that are not yet due do not count.
    ///
    /// # Panics
    /// If events do not end within 100 million.
    pub fn run_until_quiescent(&mut self) {
        for _ in 0..EVENTS_MAX {
            self.fire_deadlines();
            let Some(at) = self.net.next_event_at() else {
                return;
            };
            self.run_until(at);
        }
        let trace = self.trace(|end| self.default_name(end));
        panic!("events do not end after {EVENTS_MAX}; latest frames:\n{}", trace.join("\n"));
    }

    /// Advances virtual time and handles the events in it.
    pub fn run_for(&mut self, span: Duration) {
        self.run_until(self.net.now + span);
    }

    /// Starts to measure calls into servers and bytes between them. Returns what was measured since
    /// the last call.
    pub fn restart_meter(&mut self) -> Meter {
        self.meter.replace(Meter::default()).unwrap_or_default()
    }

    /// Leaves out the checks of relays after each event, which look at every host.
    pub fn disable_checks(&mut self) {
        self.checks_relays = false;
    }

    /// Starts to record the latest 400 frames.
    pub fn enable_trace(&mut self) {
        self.trace = Some(Trace::bounded());
    }

    /// Starts to record every frame.
    pub fn enable_full_trace(&mut self) {
        self.trace = Some(Trace::unbounded());
    }

    /// Returns the recorded frames in the order in which they were sent.
    pub fn traced_frames(&self) -> impl Iterator<Item = TracedFrame<TraceEnd>> {
        let end = |end: PipeEnd| match end {
            PipeEnd::Server { server, .. } | PipeEnd::PlainServer { server, .. } => {
                TraceEnd::Server(server)
            }
            PipeEnd::Client(client) => TraceEnd::Client(client),
        };
        self.trace.iter().flat_map(Trace::frames).map(move |frame| TracedFrame {
            sent_at: frame.sent_at,
            from: end(frame.from),
            to: end(frame.to),
            description: frame.description.clone(),
        })
    }

    /// Returns the recorded frames as text, one line each, with time, sender and receiver.
    pub fn trace(&self, name_of: impl Fn(TraceEnd) -> String) -> Vec<String> {
        let line = |frame: TracedFrame<TraceEnd>| {
            let (from, to) = (name_of(frame.from), name_of(frame.to));
            let seconds = frame.sent_at.since_start().as_secs_f64();
            format!("{seconds:10.4} {from} → {to}: {}", frame.description)
        };
        self.traced_frames().map(line).collect()
    }

    /// Returns the label of a server, or the number of a client.
    #[must_use]
    pub fn default_name(&self, end: TraceEnd) -> String {
        match end {
            TraceEnd::Server(server) => self.servers[server].label.clone(),
            TraceEnd::Client(client) => format!("client#{}", client.0),
        }
    }
}
