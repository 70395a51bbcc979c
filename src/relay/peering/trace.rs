//! Traces: the path to a host, hop by hop.
//!
//! TRACE goes from server to server towards the home of its target, and TRACE_REPLY comes back the
//! same way. Each server appends itself to TRACE, and enters into TRACE_REPLY how long the answer
//! took. A server that is alive answers a trace to its own id, which tells a server that has left
//! unnoticed from one that is there.

use std::time::Duration;

use rand::RngExt as _;

use super::Peering;
use crate::id::HostId;
use crate::limits::{TRACE_TIMEOUT, TRACES_MAX};
use crate::link::{LinkId, Time};
use crate::relay::cx::RelayCx;
use crate::relay::extension::codec::HOPS_MAX;
use crate::relay::extension::{Frame, Hop, Trace, TraceResult};
use crate::relay::outbox::Outbox;
use crate::relay::send;
use crate::relay::topology::{FirstLink, Home, Topology};

/// A trace that this server has started or passed on.
#[derive(Clone, Debug)]
pub(super) struct PendingTrace {
    /// Link on which the trace arrived; `None` if it started here.
    from: Option<LinkId>,
    sent_at: Time,
    purpose: Purpose,
}

/// What a trace that started here is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::relay) enum Purpose {
    /// The operator asks for the path.
    Report,
    /// To learn whether the server that has an id is alive.
    Probe,
    /// To learn that all that was sent before has passed the server which is to be the parent.
    Move,
}

/// The result of a trace that started at this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceReport {
    /// The host that was traced.
    pub target: HostId,
    /// How the trace ended.
    pub result: TraceResult,
    /// The servers on the path, the neighbour first. Each has entered how long the answer took from
    /// there on.
    pub hops: Vec<Hop>,
    /// Time from the start of the trace to its answer.
    pub round_trip: Duration,
}

/// A [`TraceReport`] that nobody has taken yet.
#[derive(Clone, Debug)]
pub(super) struct FinishedTrace {
    token: u64,
    finished_at: Time,
    report: TraceReport,
}

impl Peering {
    /// Starts a trace and returns its token.
    ///
    /// # Errors
    /// The result, if this server knows it without asking: the host is connected here, is behind a
    /// plain neighbour, is lost or unknown.
    pub(in crate::relay) fn start_trace<O: Outbox>(
        &mut self,
        target: HostId,
        purpose: Purpose,
        cx: &mut RelayCx<'_, O>,
    ) -> Result<u64, TraceResult> {
        let next_hop = towards_home(target, cx.topology)?;
        let token = self.rng.random();
        self.remember_trace(token, PendingTrace { from: None, sent_at: cx.now, purpose }, cx.now);
        let trace = Trace { token, target, hops: [].as_slice().into() };
        send::send_extension(cx.topology, next_hop, &Frame::Trace(trace), cx.out);
        Ok(token)
    }

    fn remember_trace(&mut self, token: u64, trace: PendingTrace, now: Time) {
        self.traces.retain(|_, trace| now.since(trace.sent_at) < TRACE_TIMEOUT);
        self.finished_traces.retain(|trace| now.since(trace.finished_at) < TRACE_TIMEOUT);
        if self.traces.len() < TRACES_MAX {
            self.traces.insert(token, trace);
        }
    }

    /// Passes a trace on, or replies to it.
    pub(super) fn handle_trace<O: Outbox>(
        &mut self,
        link: LinkId,
        trace: Trace<'_>,
        cx: &mut RelayCx<'_, O>,
    ) {
        let mut hops: Vec<Hop> = trace.hops.iter().collect();
        if hops.len() >= HOPS_MAX {
            return;
        }
        hops.push(Hop { server: cx.topology.own_id(), elapsed_micros: 0 });
        let result = match towards_home(trace.target, cx.topology) {
            Err(result) => result,
            Ok(next_hop) if next_hop == link => TraceResult::UNKNOWN,
            Ok(next_hop) => {
                let (from, sent_at, purpose) = (Some(link), cx.now, Purpose::Report);
                let pending = PendingTrace { from, sent_at, purpose };
                self.remember_trace(trace.token, pending, cx.now);
                let trace = Trace { hops: hops.as_slice().into(), ..trace };
                return send::send_extension(cx.topology, next_hop, &Frame::Trace(trace), cx.out);
            }
        };
        let trace = Trace { hops: hops.as_slice().into(), ..trace };
        send::send_extension(cx.topology, link, &Frame::TraceReply { result, trace }, cx.out);
    }

    /// Passes the reply to a trace back, or completes the trace.
    pub(super) fn handle_trace_reply<O: Outbox>(
        &mut self,
        link: LinkId,
        result: TraceResult,
        trace: Trace<'_>,
        cx: &mut RelayCx<'_, O>,
    ) {
        let Some(pending) = self.traces.remove(&trace.token) else { return };
        let elapsed = cx.now.since(pending.sent_at);
        let elapsed_micros = u32::try_from(elapsed.as_micros()).unwrap_or(u32::MAX);
        let mut hops: Vec<Hop> = trace.hops.iter().collect();
        let own_id = cx.topology.own_id();
        if let Some(hop) = hops.iter_mut().find(|hop| hop.server == own_id) {
            hop.elapsed_micros = elapsed_micros;
        }
        let is_found = result == TraceResult::HOME;
        match (pending.from, pending.purpose) {
            (Some(from), _) => {
                if cx.topology.find_link(from).is_some_and(|state| state.is_extended()) {
                    let trace = Trace { hops: hops.as_slice().into(), ..trace };
                    let reply = Frame::TraceReply { result, trace };
                    send::send_extension(cx.topology, from, &reply, cx.out);
                }
            }
            (None, Purpose::Probe) if is_found => self.on_probe_answered(trace.token, cx),
            (None, Purpose::Move) if is_found => self.on_move_traced(link, cx),
            (None, Purpose::Probe | Purpose::Move) => {}
            (None, Purpose::Report) => {
                if self.finished_traces.len() < TRACES_MAX {
                    let Trace { token, target, .. } = trace;
                    let report = TraceReport { target, result, hops, round_trip: elapsed };
                    self.finished_traces.push(FinishedTrace { token, finished_at: cx.now, report });
                }
            }
        }
    }

    /// Removes and returns the report of a trace that started here, if it is complete.
    pub(in crate::relay) fn take_trace_report(&mut self, token: u64) -> Option<TraceReport> {
        let index = self.finished_traces.iter().position(|trace| trace.token == token)?;
        Some(self.finished_traces.swap_remove(index).report)
    }
}

/// Returns the extended link towards the home of a host, or how a trace ends at this server.
fn towards_home(target: HostId, topology: &Topology) -> Result<LinkId, TraceResult> {
    if target == topology.own_id() {
        return Err(TraceResult::HOME);
    }
    let host = topology.hosts().get(target).ok_or(TraceResult::UNKNOWN)?;
    match (host.home(), topology.first_link(host)) {
        (_, FirstLink::Split(_)) => Err(TraceResult::SPLIT),
        (Home::Link(_), FirstLink::Link(next_hop)) if topology.link(next_hop).is_server() => {
            Err(TraceResult::PLAIN)
        }
        (Home::Link(_), FirstLink::Link(_)) => Err(TraceResult::HOME),
        (_, FirstLink::Link(next_hop)) => Ok(next_hop),
    }
}
