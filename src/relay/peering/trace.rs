//! Traces: the path to a host, hop by hop.
//!
//! TRACE goes from server to server towards the home of its target, and TRACE_REPLY comes back the
//! same way. Each server appends itself to TRACE, and enters into TRACE_REPLY how long the answer
//! took. A server that is alive answers a trace to its own id, which tells a server that has left
//! unnoticed from one that is there.

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
use crate::relay::topology::{FirstLink, Home};

/// A trace that this server has started or passed on.
#[derive(Debug)]
pub(super) struct PendingTrace {
    /// Link on which the trace arrived; `None` if it started here.
    from: Option<LinkId>,
    sent_at: Time,
    /// The trace asks whether the server that has an id is alive.
    is_probe: bool,
}

/// The result of a trace that started at this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceReport {
    /// Token that [`Relay::start_trace`](crate::relay::Relay::start_trace) returned.
    pub token: u64,
    /// The host that was traced.
    pub target: HostId,
    /// How the trace ended.
    pub result: TraceResult,
    /// The servers on the path, the neighbour first.
    pub hops: Vec<Hop>,
}

impl Peering {
    /// Starts a trace. Returns its token, or `None` if the host is not behind an extended link.
    pub(in crate::relay) fn start_trace<O: Outbox>(
        &mut self,
        target: HostId,
        is_probe: bool,
        cx: &mut RelayCx<'_, O>,
    ) -> Option<u64> {
        let host = cx.topology.hosts().get(target)?;
        let next_hop = cx.topology.next_hop(host)?;
        if !cx.topology.link(next_hop).is_extended() {
            return None;
        }
        let token = self.rng.random();
        self.remember_trace(token, PendingTrace { from: None, sent_at: cx.now, is_probe }, cx.now);
        let trace = Trace { token, target, hops: [].as_slice().into() };
        send::send_extension(cx.topology, next_hop, &Frame::Trace(trace), cx.out);
        Some(token)
    }

    fn remember_trace(&mut self, token: u64, trace: PendingTrace, now: Time) {
        self.traces.retain(|_, trace| now.since(trace.sent_at) < TRACE_TIMEOUT);
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
        let result = match cx.topology.hosts().get(trace.target) {
            _ if trace.target == cx.topology.own_id() => TraceResult::HOME,
            None => TraceResult::UNKNOWN,
            Some(host) => match (host.home(), cx.topology.first_link(host)) {
                (_, FirstLink::Split(_)) => TraceResult::SPLIT,
                (Home::Link(_), FirstLink::Link(next_hop)) => {
                    if cx.topology.link(next_hop).is_server() {
                        TraceResult::PLAIN
                    } else {
                        TraceResult::HOME
                    }
                }
                (_, FirstLink::Link(next_hop)) if next_hop == link => TraceResult::UNKNOWN,
                (_, FirstLink::Link(next_hop)) => {
                    let pending =
                        PendingTrace { from: Some(link), sent_at: cx.now, is_probe: false };
                    self.remember_trace(trace.token, pending, cx.now);
                    let trace = Trace { hops: hops.as_slice().into(), ..trace };
                    send::send_extension(cx.topology, next_hop, &Frame::Trace(trace), cx.out);
                    return;
                }
            },
        };
        let trace = Trace { hops: hops.as_slice().into(), ..trace };
        send::send_extension(cx.topology, link, &Frame::TraceReply { result, trace }, cx.out);
    }

    /// Passes the reply to a trace back, or completes the trace.
    pub(super) fn handle_trace_reply<O: Outbox>(
        &mut self,
        result: TraceResult,
        trace: Trace<'_>,
        cx: &mut RelayCx<'_, O>,
    ) {
        let Some(pending) = self.traces.remove(&trace.token) else { return };
        let elapsed = cx.now.since(pending.sent_at).as_micros();
        let elapsed_micros = u32::try_from(elapsed).unwrap_or(u32::MAX);
        let mut hops: Vec<Hop> = trace.hops.iter().collect();
        let own_id = cx.topology.own_id();
        if let Some(hop) = hops.iter_mut().find(|hop| hop.server == own_id) {
            hop.elapsed_micros = elapsed_micros;
        }
        if let Some(link) = pending.from {
            if cx.topology.find_link(link).is_some_and(|state| state.is_extended()) {
                let trace = Trace { hops: hops.as_slice().into(), ..trace };
                let reply = Frame::TraceReply { result, trace };
                send::send_extension(cx.topology, link, &reply, cx.out);
            }
        } else if pending.is_probe {
            if result == TraceResult::HOME {
                self.on_probe_answered(trace.token, cx);
            }
        } else if self.trace_reports.len() < TRACES_MAX {
            let (token, target) = (trace.token, trace.target);
            self.trace_reports.push_back(TraceReport { token, target, result, hops });
        }
    }

    /// Removes and returns the next trace that is complete.
    pub(in crate::relay) fn poll_trace_report(&mut self) -> Option<TraceReport> {
        self.trace_reports.pop_front()
    }
}
