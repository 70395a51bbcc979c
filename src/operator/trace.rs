//! `trace ID`: the path to a host, asked from server to server.
//!
//! The answer comes later than the command, so the operator's connection keeps a [`PendingTrace`]
//! and asks it in each turn.

use std::time::Duration;

use super::path::TraceAnswer;
use super::{Answer, CommandResult, Format, Show, text};
use crate::id::HostId;
use crate::limits::OPERATOR_TRACE_TIMEOUT;
use crate::link::Time;
use crate::node::Node;
use crate::relay::TraceReport;

/// A trace whose answer has not come yet.
#[derive(Debug)]
pub struct PendingTrace {
    token: u64,
    target: HostId,
    format: Format,
    deadline: Time,
}

/// Starts a trace.
pub(super) fn start(node: &mut Node, now: Time, target: HostId, format: Format) -> Answer {
    match node.start_trace(now, target) {
        Ok(token) => {
            let deadline = now + OPERATOR_TRACE_TIMEOUT;
            Answer::Pending(PendingTrace { token, target, format, deadline })
        }
        Err(result) => {
            let (hops, round_trip) = (Vec::new(), Duration::ZERO);
            let report = TraceReport { target, result, hops, round_trip };
            Answer::Ready(Ok(render(node, &report, format)))
        }
    }
}

impl PendingTrace {
    /// Returns when [`PendingTrace::poll`] gives up.
    pub(crate) fn deadline(&self) -> Time {
        self.deadline
    }

    /// Returns the answer, or an error if it has not come in time; `None` before.
    pub(crate) fn poll(&self, node: &mut Node, now: Time) -> Option<CommandResult> {
        if let Some(report) = node.take_trace_report(self.token) {
            return Some(Ok(render(node, &report, self.format)));
        }
        (now >= self.deadline).then(|| {
            Err(format!(
                "trace {}: no answer in {OPERATOR_TRACE_TIMEOUT:?}; `links` shows which neighbour \
                 is silent\n",
                self.target
            ))
        })
    }
}

fn render(node: &Node, report: &TraceReport, format: Format) -> String {
    Show(format).either(&TraceAnswer::new(node, report), text::trace)
}
