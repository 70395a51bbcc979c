//! The operator's surface for browsers and for Prometheus.
//!
//! Replies are written in portions, as the queues of those who ask have room, so that a network of
//! a million users neither fills memory nor holds up other links. `state` streams everything that
//! the server knows, `live` keeps an operator's page up to date, and `metrics` renders counters.

mod live;
mod loads;
mod log_tail;
mod loop_stats;
mod metrics;
mod state;
mod totals;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::Serialize;

use self::live::Live;
use self::loads::Loads;
use self::state::StateStream;
use crate::link::{LinkId, Machine as _, Time};
use crate::node::Node;
use crate::wires::{WebReply, WebRequest};

pub(crate) use self::log_tail::LogTail;
pub use self::loop_stats::LoopStats;

/// What the shell has counted and logged.
pub struct ShellReport<'a> {
    /// The counters of the loop.
    pub stats: &'a LoopStats,
    /// Returns the lines of the log from a number on, as far as they are kept, and the number of
    /// the next line.
    pub log: &'a dyn Fn(u64) -> (Vec<String>, u64),
}

/// The replies that are being written.
#[derive(Debug, Default)]
pub struct WebSurface {
    streams: BTreeMap<LinkId, StateStream>,
    live: BTreeMap<LinkId, Live>,
}

impl WebSurface {
    /// Returns whether [`WebSurface::run`] has something to do now.
    pub fn has_work(&self, node: &Node) -> bool {
        let has_room = |link: &LinkId| node.web_room(*link) != Some(false);
        node.has_web_requests()
            || node.relay().has_load_reports()
            || self.streams.keys().any(has_room)
            || self.live.iter().any(|(link, live)| live.is_writing() && has_room(link))
    }

    /// Returns when it has something to do if no event comes.
    pub fn next_deadline(&self) -> Option<Time> {
        self.live.values().filter_map(Live::next_update).min()
    }

    /// Handles requests, and writes a portion of each reply whose receiver has room.
    pub fn run(&mut self, node: &mut Node, now: Time, shell: &ShellReport<'_>) {
        while let Some((link, request)) = node.poll_web_request() {
            self.handle(node, now, link, request, shell);
        }
        self.pass_on_loads(node, now);
        self.streams.retain(|&link, stream| match node.web_room(link) {
            None => false,
            Some(false) => true,
            Some(true) => {
                let (portion, has_more) = stream.next_portion(node, now);
                node.web_reply(now, link, WebReply::Body(&portion));
                if !has_more {
                    node.web_reply(now, link, WebReply::End);
                }
                has_more
            }
        });
        self.live.retain(|&link, live| match node.web_room(link) {
            None => false,
            Some(false) => {
                live.postpone(now);
                true
            }
            Some(true) => {
                live.update(node, now, link, shell);
                true
            }
        });
    }

    /// Sends the answers of other servers to every page, as far as the pages read.
    fn pass_on_loads(&self, node: &mut Node, now: Time) {
        while let Some(report) = node.take_load_report() {
            let event = Loads::new(&report);
            for &link in self.live.keys() {
                if node.web_room(link) == Some(true) {
                    send(node, now, link, &event);
                }
            }
        }
    }

    fn handle(
        &mut self,
        node: &mut Node,
        now: Time,
        link: LinkId,
        request: WebRequest,
        shell: &ShellReport<'_>,
    ) {
        match request {
            WebRequest::State => {
                let content_type = "application/json";
                node.web_reply(now, link, WebReply::Head { content_type });
                self.streams.insert(link, StateStream::default());
            }
            WebRequest::Metrics => {
                let content_type = "text/plain; version=0.0.4; charset=utf-8";
                let text = metrics::render(node, shell.stats);
                node.web_reply(now, link, WebReply::Head { content_type });
                node.web_reply(now, link, WebReply::Body(text.as_bytes()));
                node.web_reply(now, link, WebReply::End);
            }
            WebRequest::Watch => {
                let mut live = Live::new(now);
                live.greet(node, now, link, shell);
                self.live.insert(link, live);
            }
            WebRequest::Users { server } => {
                if let Some(live) = self.live.get_mut(&link)
                    && !live.list_users(server)
                {
                    let text = "too many lists at once; wait for those that were asked for";
                    send(node, now, link, &Outcome::Error { text });
                }
            }
            WebRequest::Loads { servers } => {
                servers.into_iter().for_each(|server| node.ask_loads(now, server));
            }
            WebRequest::Kick { id, text } => {
                log::info!("link {link}: the operator kicks {id}");
                let result = super::kick(node, now, id, &text);
                let done = format!("kicked {id}");
                send(
                    node,
                    now,
                    link,
                    &match &result {
                        Ok(()) => Outcome::Done { text: &done },
                        Err(error) => Outcome::Error { text: error.trim_end() },
                    },
                );
            }
            WebRequest::Shutdown => {
                log::info!("link {link}: the operator stops this server");
                send(node, now, link, &Outcome::Done { text: "stopping" });
                node.stop(now);
            }
        }
    }
}

/// The result of a request.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Outcome<'a> {
    Done { text: &'a str },
    Error { text: &'a str },
}

/// Sends an event to an operator.
fn send(node: &mut Node, now: Time, link: LinkId, event: &impl Serialize) {
    let event = serde_json::to_vec(event).expect("plain values");
    node.web_reply(now, link, WebReply::Event(&event));
}
