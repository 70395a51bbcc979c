//! What the links of another server carry, as an event for the operator's page.

use std::time::Duration;

use serde::Serialize;

use crate::id::HostId;
use crate::operator::snapshot::serialize_milliseconds;
use crate::relay::LoadReport;
use crate::relay::extension::LinkLoad;

/// The answer of a server that was asked.
#[derive(Serialize)]
#[serde(tag = "event", rename = "loads")]
pub(super) struct Loads {
    server: HostId,
    links: Vec<Load>,
}

/// A link of that server to another one.
#[derive(Serialize)]
struct Load {
    id: HostId,
    #[serde(
        rename = "rtt_ms",
        skip_serializing_if = "Option::is_none",
        serialize_with = "serialize_milliseconds"
    )]
    round_trip: Option<Duration>,
    queue_bytes: u32,
    frames: u64,
    bytes: u64,
}

impl Loads {
    pub(super) fn new(report: &LoadReport) -> Self {
        let links = report.links.iter().map(|&load| {
            let LinkLoad { neighbour, round_trip_micros, queue_bytes, frames, bytes } = load;
            let round_trip = Duration::from_micros(round_trip_micros.into());
            let round_trip = (!round_trip.is_zero()).then_some(round_trip);
            Load { id: neighbour, round_trip, queue_bytes, frames, bytes }
        });
        Self { server: report.server, links: links.collect() }
    }
}
