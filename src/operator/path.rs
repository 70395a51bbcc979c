//! What `trace` shows: the servers on a path, with times.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::snapshot::serialize_milliseconds;
use crate::id::HostId;
use crate::node::Node;
use crate::relay::TraceReport;
use crate::relay::extension::TraceResult;

/// The answer to `trace`.
#[derive(Serialize)]
pub(super) struct TraceAnswer {
    pub(super) id: HostId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    #[serde(serialize_with = "serialize_result")]
    result: TraceResult,
    /// This server first.
    pub(super) hops: Vec<HopEntry>,
}

/// A server on the path.
#[derive(Serialize)]
pub(super) struct HopEntry {
    pub(super) id: HostId,
    pub(super) name: String,
    /// Time from this server to the hop and back; `None` for this server.
    #[serde(
        rename = "round_trip_ms",
        skip_serializing_if = "Option::is_none",
        serialize_with = "serialize_milliseconds"
    )]
    pub(super) round_trip: Option<Duration>,
}

impl TraceAnswer {
    pub(super) fn new(node: &Node, report: &TraceReport) -> Self {
        let (own, hosts) = (node.relay().identity(), node.relay().hosts());
        let name = |id: HostId| {
            let name =
                if id == own.id { Some(&own.name[..]) } else { hosts.get(id).map(|it| it.name()) };
            name.map(|name| String::from_utf8_lossy(name).into_owned())
        };
        let named =
            |id, round_trip| HopEntry { id, name: name(id).unwrap_or_default(), round_trip };
        // Each hop has entered how long the answer took from there on.
        let hops = report.hops.iter().map(|hop| {
            let beyond = Duration::from_micros(hop.elapsed_micros.into());
            named(hop.server, Some(report.round_trip.saturating_sub(beyond)))
        });
        Self {
            id: report.target,
            name: name(report.target),
            result: report.result,
            hops: std::iter::once(named(own.id, None)).chain(hops).collect(),
        }
    }

    /// What the last server on the path says of the host.
    pub(super) fn verdict(&self) -> String {
        let Some(last) = self.hops.last().map(|hop| hop.id) else { return String::new() };
        match self.result {
            TraceResult::HOME if last == self.id => "is this server".to_owned(),
            TraceResult::HOME => format!("is connected to server {last}"),
            TraceResult::UNKNOWN => format!("is not known to server {last}"),
            TraceResult::SPLIT => format!("was lost by server {last}, and may come back"),
            TraceResult::PLAIN => format!("is behind a plain neighbour of server {last}"),
            _ => format!("is out of reach of server {last}"),
        }
    }
}

fn serialize_result<S: Serializer>(result: &TraceResult, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match *result {
        TraceResult::HOME => "home",
        TraceResult::UNKNOWN => "unknown",
        TraceResult::SPLIT => "lost",
        TraceResult::PLAIN => "plain",
        _ => "other",
    })
}
