//! What the operator sees of a node at one moment, as values that serialize to the JSON of
//! `docs/PROTOCOL.md`, "The control socket".

use std::collections::HashMap;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::id::{HostId, WideId};
use crate::link::{LinkId, Time};
use crate::node::{Link, Node};
use crate::relay::extension::Epoch;
use crate::relay::message::HostKind;
use crate::relay::{FirstLink, Host, Refusals, Token};
use crate::wires::Wire;

pub(super) fn adjacent_hosts(node: &Node, kind: HostKind) -> impl Iterator<Item = &Host> {
    let hosts = node.links().filter_map(|link| node.relay().adjacent_host(link.id()));
    hosts.filter(move |host| host.kind == kind)
}

/// Returns the number of users connected to this server, on whichever wire.
pub(super) fn connected_users(node: &Node) -> usize {
    adjacent_hosts(node, HostKind::User).count()
}

pub(super) fn kind_name(kind: HostKind) -> &'static str {
    match kind {
        HostKind::Server => "server",
        HostKind::User => "user",
    }
}

pub(super) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A host of the network.
#[derive(Serialize)]
pub(super) struct HostEntry {
    pub(super) id: HostId,
    kind: &'static str,
    pub(super) name: String,
    pub(super) info: String,
    pub(super) first_link_id: HostId,
    /// Whether the host is behind a lost link, and may come back.
    #[serde(skip)]
    pub(super) is_lost: bool,
    /// The wire of a user that is connected to this server, where it is asked for.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "serialize_wire")]
    pub(super) wire: Option<Wire>,
}

impl HostEntry {
    pub(super) fn new(node: &Node, host: &Host) -> Self {
        Self {
            id: host.id,
            kind: kind_name(host.kind),
            name: lossy(host.name()),
            info: lossy(host.info()),
            first_link_id: node.relay().first_link_host(host),
            is_lost: matches!(node.relay().first_link(host), FirstLink::Split(_)),
            wire: None,
        }
    }

    /// Returns every known host that `filter` accepts, by id.
    pub(super) fn all(node: &Node, filter: impl Fn(&Host) -> bool) -> Vec<Self> {
        let hosts = node.relay().hosts().iter().filter(|host| filter(host));
        let mut entries: Vec<Self> = hosts.map(|host| Self::new(node, host)).collect();
        entries.sort_by_key(|entry| entry.id);
        entries
    }

    /// Returns every user of the network, those connected to this server with their wire.
    pub(super) fn users(node: &Node) -> Vec<Self> {
        let wires = node.links().filter_map(|link| {
            let host = node.relay().adjacent_host(link.id())?;
            Some((host.id, link.wire()))
        });
        let wires: HashMap<HostId, Wire> = wires.collect();
        let mut users = Self::all(node, |host| host.kind == HostKind::User);
        for user in &mut users {
            user.wire = wires.get(&user.id).copied();
        }
        users
    }
}

/// Another server, and its place in the tree as this server knows it.
#[derive(Serialize)]
pub(super) struct ServerEntry {
    #[serde(flatten)]
    pub(super) host: HostEntry,
    #[serde(rename = "extended")]
    pub(super) is_extended: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parent_id: Option<HostId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_id: Option<HostId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hops: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) epoch: Option<EpochEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) users: Option<u32>,
    lost: bool,
}

/// An epoch of a server.
#[derive(Serialize)]
pub(super) struct EpochEntry {
    pub(super) boot: u32,
    pub(super) attach: u32,
}

impl ServerEntry {
    pub(super) fn new(node: &Node, host: &Host) -> Option<Self> {
        let report = node.relay().server_report(host)?;
        let host = HostEntry::new(node, host);
        let Epoch { boot, attach } = report.epoch.unwrap_or_default();
        Some(Self {
            is_extended: report.is_extended,
            parent_id: report.parent,
            next_id: report.next,
            hops: report.hops,
            epoch: report.epoch.map(|_| EpochEntry { boot, attach }),
            users: report.users,
            lost: host.is_lost,
            host,
        })
    }

    /// Returns every other server, by id.
    pub(super) fn all(node: &Node) -> Vec<Self> {
        let hosts = node.relay().hosts().iter();
        let mut servers: Vec<Self> = hosts.filter_map(|host| Self::new(node, host)).collect();
        servers.sort_by_key(|server| server.host.id);
        servers
    }
}

fn serialize_wire<S: Serializer>(wire: &Option<Wire>, serializer: S) -> Result<S::Ok, S::Error> {
    match wire {
        Some(wire) => serializer.collect_str(wire),
        None => serializer.serialize_none(),
    }
}

/// A connection.
#[derive(Serialize)]
pub(super) struct LinkEntry {
    #[serde(serialize_with = "serialize_display")]
    link: LinkId,
    pub(super) id: Option<HostId>,
    pub(super) kind: &'static str,
    pub(super) name: Option<String>,
    #[serde(serialize_with = "serialize_display")]
    pub(super) wire: Wire,
    #[serde(rename = "uplink")]
    pub(super) is_uplink: bool,
    pub(super) address: Option<String>,
    tls: bool,
    /// Why a server was admitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    admitted_by: Option<String>,
    #[serde(rename = "extended")]
    pub(super) is_extended: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    listen_address: Option<String>,
    #[serde(
        rename = "rtt_ms",
        skip_serializing_if = "Option::is_none",
        serialize_with = "serialize_milliseconds"
    )]
    pub(super) round_trip: Option<Duration>,
    #[serde(
        rename = "silence_s",
        skip_serializing_if = "Option::is_none",
        serialize_with = "serialize_optional_seconds"
    )]
    pub(super) silence: Option<Duration>,
    pub(super) refused: Refused,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) frames_in: u64,
    pub(super) frames_out: u64,
    pub(super) queue_bytes: usize,
    #[serde(rename = "age_s", serialize_with = "serialize_seconds")]
    pub(super) age: Duration,
}

/// Numbers of frames that were refused on a link, by reason.
#[derive(Serialize)]
pub(super) struct Refused {
    pub(super) false_source: u32,
    pub(super) taken_id: u32,
    pub(super) unknown_id: u32,
    pub(super) unreadable: u32,
    pub(super) not_admitted: u32,
    pub(super) unexpected: u32,
}

impl LinkEntry {
    pub(super) fn new(node: &Node, now: Time, link: &Link) -> Self {
        let report = node.link_report(link.id());
        let refusals = report.map_or_else(Refusals::default, |report| report.refusals);
        let host = node.relay().adjacent_host(link.id());
        let traffic = link.traffic();
        Self {
            link: link.id(),
            id: host.map(|host| host.id),
            kind: host.map_or("unregistered", |host| kind_name(host.kind)),
            name: host.map(|host| lossy(host.name())),
            wire: link.wire(),
            is_uplink: node.relay().is_uplink(link.id()),
            address: link.peer_addr().map(|address| address.to_string()),
            tls: link.is_tls(),
            admitted_by: report.and_then(|report| report.admitted_by).map(|by| by.to_string()),
            is_extended: report.is_some_and(|report| report.is_extended),
            listen_address: report
                .and_then(|report| report.listen_address)
                .map(|address| address.to_string()),
            round_trip: report.and_then(|report| report.round_trip),
            silence: link.received_at().map(|at| now.since(at)),
            refused: Refused {
                false_source: refusals.false_sources,
                taken_id: refusals.taken_ids,
                unknown_id: refusals.unknown_ids,
                unreadable: refusals.unreadable,
                not_admitted: refusals.not_admitted,
                unexpected: refusals.unexpected,
            },
            bytes_in: traffic.bytes_in,
            bytes_out: traffic.bytes_out,
            frames_in: traffic.frames_in,
            frames_out: traffic.frames_out,
            queue_bytes: link.queue_bytes(),
            age: now.since(link.opened_at()),
        }
    }

    /// Returns every connection to a server, by id.
    pub(super) fn to_servers(node: &Node, now: Time) -> Vec<Self> {
        let is_server = |link: &&Link| {
            let host = node.relay().adjacent_host(link.id());
            host.is_some_and(|host| host.kind == HostKind::Server)
        };
        let links = node.links().filter(is_server);
        let mut entries: Vec<Self> = links.map(|link| Self::new(node, now, link)).collect();
        entries.sort_by_key(|entry| entry.id);
        entries
    }

    /// Returns every connection: servers, unregistered ones, users, each by id.
    pub(super) fn all(node: &Node, now: Time) -> Vec<Self> {
        let mut entries: Vec<Self> = node.links().map(|link| Self::new(node, now, link)).collect();
        entries.sort_by_key(|entry| (entry.kind, entry.id));
        entries
    }
}

fn serialize_display<T: std::fmt::Display, S: Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn serialize_seconds<S: Serializer>(age: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(age.as_secs_f64())
}

fn serialize_optional_seconds<S: Serializer>(
    age: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    age.map(|age| age.as_secs_f64()).serialize(serializer)
}

pub(super) fn serialize_milliseconds<S: Serializer>(
    time: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    time.map(|time| time.as_secs_f64() * 1000.0).serialize(serializer)
}

/// The messages kept for absent users.
#[derive(Serialize)]
pub(super) struct MailReport {
    pub(super) messages: u64,
    pub(super) bytes: u64,
    pub(super) refused: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) failure: Option<String>,
    pub(super) waiting: Vec<Mailbox>,
}

/// The messages kept for one user.
#[derive(Serialize)]
pub(super) struct Mailbox {
    pub(super) id: WideId,
    pub(super) messages: u64,
    pub(super) bytes: u64,
}

impl MailReport {
    pub(super) fn new(node: &Node) -> Self {
        let spool = node.spool();
        let backlogs = spool.backlogs().into_iter();
        let waiting: Vec<Mailbox> = backlogs
            .map(|(id, backlog)| Mailbox { id, messages: backlog.messages, bytes: backlog.bytes })
            .collect();
        Self {
            messages: waiting.iter().map(|mailbox| mailbox.messages).sum(),
            bytes: waiting.iter().map(|mailbox| mailbox.bytes).sum(),
            refused: spool.refused(),
            failure: spool.failure().map(str::to_owned),
            waiting,
        }
    }
}

/// An invitation for a server.
#[derive(Serialize)]
pub(super) struct Invitation {
    pub(super) token: String,
    address: String,
    tls: bool,
    expires_s: u64,
}

impl Invitation {
    pub(super) fn new(token: &Token, lifetime: Duration) -> Self {
        Self {
            token: token.to_string(),
            address: token.address.to_string(),
            tls: token.pin.is_some(),
            expires_s: lifetime.as_secs(),
        }
    }
}
