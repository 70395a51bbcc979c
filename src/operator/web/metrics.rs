//! Renders the numbers of a server as Prometheus text, see "The metrics" in `docs/PROTOCOL.md`.

use std::fmt::{Display, Write as _};

use super::loop_stats::{LoopStats, TURN_BUCKETS_MICROS};
use super::totals::Totals;
use crate::node::Node;

/// Microseconds of a second.
const MICROS: f64 = 1e6;

/// Prometheus text.
#[derive(Default)]
struct Text(String);

impl Text {
    /// Begins a metric.
    fn metric(&mut self, name: &str, kind: &str, help: &str) {
        writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}").expect("a string");
    }

    /// Adds a sample. Labels are `name="value"`, separated by commas; values need no escapes.
    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        match labels {
            "" => writeln!(self.0, "{name} {value}"),
            labels => writeln!(self.0, "{name}{{{labels}}} {value}"),
        }
        .expect("a string");
    }

    /// Adds a gauge without labels.
    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.metric(name, "gauge", help);
        self.sample(name, "", value);
    }

    /// Adds a metric with one label.
    fn by<V: Display>(
        &mut self,
        (name, kind, help): (&str, &str, &str),
        label: &str,
        samples: impl IntoIterator<Item = (&'static str, V)>,
    ) {
        self.metric(name, kind, help);
        for (value_of_label, value) in samples {
            self.sample(name, &format!("{label}=\"{value_of_label}\""), value);
        }
    }
}

/// Renders all metrics.
pub(super) fn render(node: &Node, stats: &LoopStats) -> String {
    let totals = Totals::new(node);
    let mut text = Text::default();
    push_wires(&totals, &mut text);
    push_network(&totals, &mut text);
    push_refusals(&totals, node, &mut text);
    let mail = &totals.mail;
    text.gauge("crc_mail_waiting_messages", "Messages kept for absent users.", mail.messages);
    text.gauge("crc_mail_waiting_bytes", "Size of these messages.", mail.bytes);
    let bounds = &totals.bounds;
    let help = "Size of all send queues and of all incomplete input.";
    text.gauge("crc_queue_bytes", help, bounds.buffer_bytes);
    text.gauge("crc_queue_bytes_max", "Maximum of crc_queue_bytes.", bounds.buffer_bytes_max);
    push_loop(stats, &mut text);
    text.0
}

fn push_wires(totals: &Totals, text: &mut Text) {
    let names = totals.wires.iter().map(|it| it.wire.name());
    let messages = names.clone().zip(totals.wires.iter().map(|it| it.traffic.frames_in));
    let metric = ("crc_messages_total", "counter", "Frames that have arrived.");
    text.by(metric, "wire", messages);
    let messages = names.clone().zip(totals.wires.iter().map(|it| it.traffic.frames_out));
    text.by(("crc_sent_messages_total", "counter", "Frames that were sent."), "wire", messages);
    let bytes = names.clone().zip(totals.wires.iter().map(|it| it.traffic.bytes_in));
    text.by(("crc_received_bytes_total", "counter", "Bytes that have arrived."), "wire", bytes);
    let bytes = names.clone().zip(totals.wires.iter().map(|it| it.traffic.bytes_out));
    text.by(("crc_sent_bytes_total", "counter", "Bytes that were sent."), "wire", bytes);
    let connections = names.zip(totals.wires.iter().map(|it| it.connections));
    text.by(("crc_connections", "gauge", "Open connections."), "wire", connections);
}

fn push_network(totals: &Totals, text: &mut Text) {
    let hosts = [("server", totals.servers), ("user", totals.users)];
    let help = "Hosts of the network that this server knows, itself too.";
    text.by(("crc_hosts", "gauge", help), "kind", hosts);
    text.gauge("crc_users", "Users connected to this server.", totals.users_here);
    text.gauge("crc_links", "Servers connected to this server.", totals.links);
    text.gauge("crc_splits", "Lost links whose users may come back.", totals.splits);
    text.gauge("crc_rooms", "Rooms of the network.", totals.rooms);
    let help = "Connections that have not registered.";
    text.gauge("crc_unregistered_connections", help, totals.bounds.unregistered);
}

fn push_refusals(totals: &Totals, node: &Node, text: &mut Text) {
    let (dropped, closed) = (&totals.dropped, &totals.bounds.closed);
    let refusals = [
        ("false_source", dropped.false_sources),
        ("unroutable", dropped.unroutable),
        ("unknown_id", node.relay().counters().unknown_ids),
        ("lost", dropped.lost),
        ("undelivered", dropped.undelivered),
        ("mail", totals.mail.refused),
    ];
    let help = "Messages that were refused or dropped.";
    text.by(("crc_refusals_total", "counter", help), "reason", refusals);
    let closed =
        [("crowded", closed.crowded), ("address", closed.address), ("buffers", closed.buffers)];
    let help = "Connections that were closed for a bound of this server.";
    text.by(("crc_closed_connections_total", "counter", help), "reason", closed);
}

fn push_loop(stats: &LoopStats, text: &mut Text) {
    let name = "crc_loop_turn_seconds";
    text.metric(name, "histogram", "Time of a turn of the loop, without the wait for events.");
    let mut count = 0;
    let bounds = TURN_BUCKETS_MICROS.iter().map(|&micros| (micros as f64 / MICROS).to_string());
    for (bound, turns) in bounds.chain(["+Inf".to_owned()]).zip(stats.turns) {
        count += turns;
        text.sample(&format!("{name}_bucket"), &format!("le=\"{bound}\""), count);
    }
    text.sample(&format!("{name}_sum"), "", stats.turn_time.as_secs_f64());
    text.sample(&format!("{name}_count"), "", count);
    let name = "crc_tls_handshakes_total";
    text.metric(name, "counter", "TLS handshakes that were completed with clients and servers.");
    text.sample(name, "", stats.tls_handshakes);
}
