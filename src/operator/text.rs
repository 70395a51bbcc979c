//! Renders snapshots as text. Names, infos and texts of others are escaped.

use std::fmt::Write as _;
use std::time::Duration;

use super::bounds::{Bounds, Closed};
use super::path::TraceAnswer;
use super::rooms::RoomEntry;
use super::snapshot::{HostEntry, LinkEntry, MailReport, Refused, ServerEntry};
use super::state::StateSnapshot;
use super::table::{Align, table};

use crate::id::HostId;
use crate::printable::Printable;

fn escape(text: &str) -> String {
    Printable(text.as_bytes()).to_string()
}

pub(super) fn num_users(count: usize) -> String {
    match count {
        1 => "1 user is connected to this server\n".to_owned(),
        _ => format!("{count} users are connected to this server\n"),
    }
}

pub(super) fn users(users: &[HostEntry]) -> String {
    let columns = [
        ("id", Align::Right),
        ("name", Align::Left),
        ("wire", Align::Left),
        ("via", Align::Left),
        ("info", Align::Left),
    ];
    let rows = users.iter().map(|user| {
        let wire = user.wire.map_or_else(|| "-".to_owned(), |wire| wire.to_string());
        vec![user.id.to_string(), escape(&user.name), wire, via(user), escape(&user.info)]
    });
    table(&columns, rows)
}

pub(super) fn servers(servers: &[ServerEntry]) -> String {
    let columns = [
        ("id", Align::Right),
        ("name", Align::Left),
        ("via", Align::Left),
        ("parent", Align::Right),
        ("hops", Align::Right),
        ("epoch", Align::Right),
        ("users", Align::Right),
        ("speaks", Align::Left),
        ("info", Align::Left),
    ];
    let rows = servers.iter().map(|server| {
        vec![
            server.host.id.to_string(),
            escape(&server.host.name),
            via(&server.host),
            or_dash(server.parent_id.as_ref()),
            or_dash(server.hops.as_ref()),
            or_dash(server.epoch.as_ref().map(|it| format!("{}.{}", it.boot, it.attach)).as_ref()),
            or_dash(server.users.as_ref()),
            speaks(server.is_extended),
            escape(&server.host.info),
        ]
    });
    table(&columns, rows)
}

pub(super) fn rooms(rooms: &[RoomEntry]) -> String {
    let columns = [
        ("name", Align::Left),
        ("here", Align::Right),
        ("elsewhere", Align::Right),
        ("id", Align::Right),
    ];
    let rows = rooms.iter().map(|room| {
        vec![
            escape(&room.name),
            room.members_here.to_string(),
            room.members_elsewhere.to_string(),
            or_dash(room.shown_as.as_ref()),
        ]
    });
    table(&columns, rows)
}

fn or_dash(value: Option<&impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), ToString::to_string)
}

/// The protocol of a server.
fn speaks(is_extended: bool) -> String {
    if is_extended { "extended" } else { "plain" }.to_owned()
}

/// The next hop towards a host.
fn via(host: &HostEntry) -> String {
    if host.is_lost {
        format!("lost with {}", host.first_link_id)
    } else if host.first_link_id == host.id {
        "here".to_owned()
    } else {
        format!("server {}", host.first_link_id)
    }
}

pub(super) fn links(links: &[LinkEntry]) -> String {
    let columns = [
        ("id", Align::Right),
        ("name", Align::Left),
        ("kind", Align::Left),
        ("wire", Align::Left),
        ("address", Align::Left),
        ("speaks", Align::Left),
        ("rtt ms", Align::Right),
        ("silence", Align::Right),
        ("frames in", Align::Right),
        ("bytes in", Align::Right),
        ("frames out", Align::Right),
        ("bytes out", Align::Right),
        ("queue", Align::Right),
        ("age", Align::Right),
        ("refused", Align::Left),
    ];
    let rows = links.iter().map(|link| {
        let is_server = link.kind == "server";
        vec![
            or_dash(link.id.as_ref()),
            link.name.as_deref().map_or_else(String::new, escape),
            if link.is_uplink { "parent".to_owned() } else { link.kind.to_owned() },
            link.wire.to_string(),
            or_dash(link.address.as_ref()),
            if is_server { speaks(link.is_extended) } else { "-".to_owned() },
            or_dash(link.round_trip.map(format_milliseconds).as_ref()),
            or_dash(link.silence.map(format_age).as_ref()),
            link.frames_in.to_string(),
            link.bytes_in.to_string(),
            link.frames_out.to_string(),
            link.bytes_out.to_string(),
            link.queue_bytes.to_string(),
            format_age(link.age),
            refused(&link.refused),
        ]
    });
    table(&columns, rows)
}

/// The reasons for which frames were refused, each with its count.
fn refused(refused: &Refused) -> String {
    let Refused { false_source, taken_id, unknown_id, unreadable, not_admitted, unexpected } =
        *refused;
    let reasons = [
        ("false source", false_source),
        ("taken id", taken_id),
        ("unknown id", unknown_id),
        ("unreadable", unreadable),
        ("not admitted", not_admitted),
        ("unexpected", unexpected),
    ];
    let counted = reasons.iter().filter(|(_, count)| *count > 0);
    let counted: Vec<String> = counted.map(|(reason, count)| format!("{count} {reason}")).collect();
    if counted.is_empty() { "-".to_owned() } else { counted.join(", ") }
}

fn format_milliseconds(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1000.0)
}

pub(super) fn trace(trace: &TraceAnswer) -> String {
    let columns = [
        ("hop", Align::Right),
        ("server", Align::Right),
        ("name", Align::Left),
        ("round trip ms", Align::Right),
    ];
    let rows = trace.hops.iter().enumerate().map(|(hop, entry)| {
        let time = or_dash(entry.round_trip.map(format_milliseconds).as_ref());
        vec![hop.to_string(), entry.id.to_string(), escape(&entry.name), time]
    });
    let name = trace.name.as_deref().map_or_else(String::new, |name| format!(" {}", escape(name)));
    format!("{}{}{name} {}\n", table(&columns, rows), trace.id, trace.verdict())
}

/// A duration in its two largest units.
fn format_age(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {:02}s", seconds % 60),
        (0, ..) => format!("{hours}h {minutes:02}m"),
        _ => format!("{days}d {hours:02}h"),
    }
}

pub(super) fn state(state: &StateSnapshot) -> String {
    let join_ids = |ids: &[HostId]| match ids {
        [] => "none".to_owned(),
        ids => ids.iter().map(HostId::to_string).collect::<Vec<_>>().join(" "),
    };
    let mut text = String::new();
    let mut push_line =
        |key: &str, value: &str| writeln!(text, "{key:<18}{value}").expect("a string");
    push_line("id", &state.head.id.to_string());
    push_line("name", &escape(&state.head.name));
    push_line("info", &escape(&state.head.info));
    push_line(
        "parent",
        &state.head.parent_id.map_or_else(|| "none".to_owned(), |id| id.to_string()),
    );
    push_line("adjacent servers", &join_ids(&state.head.adjacent_server_ids));
    push_line("adjacent users", &join_ids(&state.head.adjacent_user_ids));
    push_line("known hosts", &state.hosts.len().to_string());
    push_line("rooms", &state.rooms.len().to_string());
    push_line("false sources", &format!("{} frames dropped", state.tail.dropped.false_sources));
    push_line("unroutable", &format!("{} messages dropped", state.tail.dropped.unroutable));
    push_line("lost", &format!("{} messages dropped", state.tail.dropped.lost));
    push_line("undelivered", &format!("{} messages dropped", state.tail.dropped.undelivered));
    let Bounds { unregistered, buffer_bytes, buffer_bytes_max, closed, .. } = &state.tail.bounds;
    push_line("unregistered", &format!("{unregistered} connections"));
    push_line("buffers", &format!("{buffer_bytes} of {buffer_bytes_max} bytes"));
    let Closed { crowded, address, buffers } = closed;
    push_line(
        "closed for bounds",
        &format!("{crowded} unregistered, {address} by address, {buffers} for buffers"),
    );
    for update in &state.tail.status_updates {
        push_line("status", &escape(update));
    }
    text
}

pub(super) fn mail(mail: &MailReport) -> String {
    let MailReport { messages, bytes, refused, failure, waiting } = mail;
    let mut text = match messages {
        1 => format!("1 message waits, {bytes} bytes"),
        _ => format!("{messages} messages wait, {bytes} bytes"),
    };
    if *refused > 0 {
        write!(text, "; {refused} were refused").expect("a string");
    }
    text.push('\n');
    if let Some(failure) = failure {
        writeln!(text, "mail is no longer kept: {failure}").expect("a string");
    }
    if !waiting.is_empty() {
        let columns = [("id", Align::Right), ("messages", Align::Right), ("bytes", Align::Right)];
        let rows = waiting.iter().map(|mailbox| {
            vec![mailbox.id.to_string(), mailbox.messages.to_string(), mailbox.bytes.to_string()]
        });
        text.push_str(&table(&columns, rows));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_is_shown_in_its_two_largest_units() {
        for (seconds, expected) in
            [(0, "0s"), (59, "59s"), (61, "1m 01s"), (3_720, "1h 02m"), (90_000, "1d 01h")]
        {
            assert_eq!(format_age(Duration::from_secs(seconds)), expected);
        }
    }
}
