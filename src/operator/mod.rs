//! The operator's commands, typed on the server's console or sent by `crc ctl`: a line in, text or
//! JSON out, the same words either way.
//!
//! Owns the commands and what they show; how a line gets here and an answer back is the shell's.
//! Names, infos and texts of others are shown escaped; JSON carries them as they are.

mod mail;
mod table;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use self::table::{Align, table};
use crate::id::HostId;
use crate::link::{Machine as _, Time};
use crate::node::{Link, Node};
use crate::printable::Printable;
use crate::relay::message::HostKind;
use crate::relay::{FirstLink, Host};

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// What a command came to: what to show, or what was wrong with it. Ends with a newline.
pub type CommandResult = Result<String, String>;

const HELP: &str = "\
num_users          how many users are connected to this server
users              every user of the network: id, name, wire, info, and the server towards it
servers            every other server: id, name, info, and the server towards it
links              every connection: bytes and frames in and out, unsent bytes, age
state              who this server is and all that it knows
mail               what waits here for those who are away: messages and bytes for each
mail drop ID       forgets what waits for that id
kick ID [text]     ends the connection of a user or server that is connected here
shutdown           ends this server; its users leave
help               this list
";

/// Carries out one line. An empty line has an empty answer.
///
/// # Errors
/// What is wrong with the command, for the person who typed it.
pub fn execute(node: &mut Node, now: Time, line: &str, format: Format) -> CommandResult {
    let line = line.trim();
    let (command, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim_start();
    if !rest.is_empty() && !matches!(command, "kick" | "mail") && is_command(command) {
        return Err(format!("{command} takes nothing after it, not {:?}\n", Quoted(rest)));
    }
    match command {
        "" => Ok(String::new()),
        "num_users" => Ok(num_users(node, format)),
        "users" => Ok(users(node, format)),
        "servers" => Ok(servers(node, format)),
        "links" => Ok(links(node, now, format)),
        "state" => Ok(state(node, format)),
        "mail" => mail::execute(node, rest, format),
        "kick" => kick(node, now, rest, format),
        "shutdown" => {
            node.stop(now);
            Ok(confirmation("stopping", format))
        }
        "help" => Ok(match format {
            Format::Text => HELP.to_owned(),
            Format::Json => json(&HELP.lines().collect::<Vec<_>>()),
        }),
        other => Err(format!("unknown command {:?}; `help` lists them\n", Quoted(other))),
    }
}

fn is_command(word: &str) -> bool {
    HELP.lines().any(|line| line.split(' ').next() == Some(word))
}

/// Text in an error: quoted, and harmless on a terminal.
struct Quoted<'a>(&'a str);

impl std::fmt::Debug for Quoted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\"", Printable(self.0.as_bytes()))
    }
}

fn json(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string(value).expect("plain data");
    text.push('\n');
    text
}

fn confirmation(message: &str, format: Format) -> String {
    match format {
        Format::Text => format!("{message}\n"),
        Format::Json => json(&serde_json::json!({ "done": message })),
    }
}

fn adjacent_hosts(node: &Node, kind: HostKind) -> impl Iterator<Item = &Host> {
    let hosts = node.links().filter_map(|link| node.relay().adjacent_host(link.id()));
    hosts.filter(move |host| host.kind == kind)
}

fn adjacent_ids(node: &Node, kind: HostKind) -> Vec<HostId> {
    let mut ids: Vec<HostId> = adjacent_hosts(node, kind).map(|host| host.id).collect();
    ids.sort_unstable();
    ids
}

fn num_users(node: &Node, format: Format) -> String {
    let count = adjacent_hosts(node, HostKind::User).count();
    match format {
        Format::Text if count == 1 => "1 user is connected to this server\n".to_owned(),
        Format::Text => format!("{count} users are connected to this server\n"),
        Format::Json => json(&serde_json::json!({ "num_users": count })),
    }
}

#[derive(Serialize)]
struct HostRow {
    id: HostId,
    kind: &'static str,
    name: String,
    info: String,
    first_link_id: HostId,
}

/// A user in the list of `users`.
#[derive(Serialize)]
struct UserRow {
    #[serde(flatten)]
    host: HostRow,
    /// Only its own server knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    wire: Option<String>,
}

fn host_rows(node: &Node, kind_filter: Option<HostKind>) -> Vec<HostRow> {
    let mut hosts: Vec<&Host> = node.relay().hosts().iter().collect();
    hosts.retain(|host| kind_filter.is_none_or(|kind| host.kind == kind));
    hosts.sort_by_key(|host| host.id);
    let row = |host: &&Host| HostRow {
        id: host.id,
        kind: kind_name(host.kind),
        name: String::from_utf8_lossy(host.name()).into_owned(),
        info: String::from_utf8_lossy(host.info()).into_owned(),
        first_link_id: node.relay().first_link_host(host),
    };
    hosts.iter().map(row).collect()
}

fn kind_name(kind: HostKind) -> &'static str {
    match kind {
        HostKind::Server => "server",
        HostKind::User => "user",
    }
}

fn users(node: &Node, format: Format) -> String {
    let wire_by_host = node.links().filter_map(|link| {
        let host = node.relay().adjacent_host(link.id())?;
        Some((host.id, link.wire().to_string()))
    });
    let mut wires: HashMap<HostId, String> = wire_by_host.collect();
    let rows = host_rows(node, Some(HostKind::User)).into_iter();
    let rows: Vec<UserRow> =
        rows.map(|host| UserRow { wire: wires.remove(&host.id), host }).collect();
    if format == Format::Json {
        return json(&rows);
    }
    let cells = rows.iter().map(|UserRow { host, wire }| {
        let [id, name, via, info] = host_cells(node, host);
        vec![id, name, wire.clone().unwrap_or_else(|| "-".to_owned()), via, info]
    });
    let columns = [
        ("id", Align::Right),
        ("name", Align::Left),
        ("wire", Align::Left),
        ("via", Align::Left),
        ("info", Align::Left),
    ];
    table(&columns, cells)
}

fn servers(node: &Node, format: Format) -> String {
    let rows = host_rows(node, Some(HostKind::Server));
    if format == Format::Json {
        return json(&rows);
    }
    let columns =
        [("id", Align::Right), ("name", Align::Left), ("via", Align::Left), ("info", Align::Left)];
    table(&columns, rows.iter().map(|row| host_cells(node, row).into()))
}

/// Id, name, the way to it, info.
fn host_cells(node: &Node, row: &HostRow) -> [String; 4] {
    let host = node.relay().hosts().get(row.id).expect("a host that was listed");
    let via = match host.first_link {
        FirstLink::Split(_) => format!("lost with {}", row.first_link_id),
        FirstLink::Link(_) if row.first_link_id == row.id => "here".to_owned(),
        FirstLink::Link(_) => format!("server {}", row.first_link_id),
    };
    let escape = |text: &str| Printable(text.as_bytes()).to_string();
    [row.id.to_string(), escape(&row.name), via, escape(&row.info)]
}

#[derive(Serialize)]
struct LinkRow {
    link: String,
    id: Option<HostId>,
    kind: &'static str,
    name: Option<String>,
    door: String,
    uplink: bool,
    address: Option<String>,
    bytes_in: u64,
    bytes_out: u64,
    frames_in: u64,
    frames_out: u64,
    queue_bytes: usize,
    age_seconds: f64,
}

fn links(node: &Node, now: Time, format: Format) -> String {
    let row = |link: &Link| {
        let host = node.relay().adjacent_host(link.id());
        let traffic = link.traffic();
        LinkRow {
            link: link.id().to_string(),
            id: host.map(|host| host.id),
            kind: host.map_or("unregistered", |host| kind_name(host.kind)),
            name: host.map(|host| String::from_utf8_lossy(host.name()).into_owned()),
            door: link.wire().to_string(),
            uplink: node.relay().is_uplink(link.id()),
            address: link.peer_addr().map(|peer| peer.to_string()),
            bytes_in: traffic.bytes_in,
            bytes_out: traffic.bytes_out,
            frames_in: traffic.frames_in,
            frames_out: traffic.frames_out,
            queue_bytes: link.queue_bytes(),
            age_seconds: now.since(link.opened_at()).as_secs_f64(),
        }
    };
    let mut rows: Vec<LinkRow> = node.links().map(row).collect();
    rows.sort_by_key(|row| (row.kind, row.id));
    if format == Format::Json {
        return json(&rows);
    }
    let cells = rows.iter().map(|row| {
        vec![
            row.id.map_or_else(|| "-".to_owned(), |id| id.to_string()),
            row.name.as_ref().map_or_else(String::new, |n| Printable(n.as_bytes()).to_string()),
            if row.uplink { "parent".to_owned() } else { row.kind.to_owned() },
            row.door.clone(),
            row.address.clone().unwrap_or_else(|| "-".to_owned()),
            row.frames_in.to_string(),
            row.bytes_in.to_string(),
            row.frames_out.to_string(),
            row.bytes_out.to_string(),
            row.queue_bytes.to_string(),
            format_age(Duration::from_secs_f64(row.age_seconds)),
        ]
    });
    let columns = [
        ("id", Align::Right),
        ("name", Align::Left),
        ("kind", Align::Left),
        ("door", Align::Left),
        ("address", Align::Left),
        ("frames in", Align::Right),
        ("bytes in", Align::Right),
        ("frames out", Align::Right),
        ("bytes out", Align::Right),
        ("queue", Align::Right),
        ("age", Align::Right),
    ];
    table(&columns, cells)
}

/// A span in its two largest units.
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

#[derive(Serialize)]
struct State<'a> {
    id: HostId,
    name: String,
    info: String,
    adjacent_server_ids: Vec<HostId>,
    adjacent_user_ids: Vec<HostId>,
    hosts: Vec<HostRow>,
    status_updates: Vec<&'a str>,
    dropped: Dropped,
}

#[derive(Serialize)]
struct Dropped {
    false_sources: u64,
    unroutable: u64,
}

fn state(node: &Node, format: Format) -> String {
    let relay = node.relay();
    let identity = relay.identity();
    let counters = relay.counters();
    let state = State {
        id: identity.id,
        name: String::from_utf8_lossy(&identity.name).into_owned(),
        info: String::from_utf8_lossy(&identity.info).into_owned(),
        adjacent_server_ids: adjacent_ids(node, HostKind::Server),
        adjacent_user_ids: adjacent_ids(node, HostKind::User),
        hosts: host_rows(node, None),
        status_updates: relay.status_updates().collect(),
        dropped: Dropped { false_sources: counters.false_sources, unroutable: counters.unroutable },
    };
    if format == Format::Json {
        return json(&state);
    }
    let join_ids = |ids: &[HostId]| match ids {
        [] => "none".to_owned(),
        ids => ids.iter().map(HostId::to_string).collect::<Vec<_>>().join(" "),
    };
    let mut text = String::new();
    let mut push_line =
        |key: &str, value: &str| writeln!(text, "{key:<18}{value}").expect("a string");
    push_line("id", &identity.id.to_string());
    push_line("name", &Printable(&identity.name).to_string());
    push_line("info", &Printable(&identity.info).to_string());
    push_line("adjacent servers", &join_ids(&state.adjacent_server_ids));
    push_line("adjacent users", &join_ids(&state.adjacent_user_ids));
    push_line("known hosts", &state.hosts.len().to_string());
    push_line("false sources", &format!("{} frames dropped", counters.false_sources));
    push_line("unroutable", &format!("{} messages dropped", counters.unroutable));
    for update in &state.status_updates {
        push_line("status", &Printable(update.as_bytes()).to_string());
    }
    text
}

fn kick(node: &mut Node, now: Time, rest: &str, format: Format) -> CommandResult {
    let (id, text) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let id = id.parse().map(HostId).map_err(|_| match id {
        "" => "kick whom? Say `kick ID [text]`; `links` shows the ids\n".to_owned(),
        id => format!("{:?} is not an id; say `kick ID [text]`\n", Quoted(id)),
    })?;
    match node.kick(now, id, text.trim().as_bytes()) {
        Ok(()) => Ok(confirmation(&format!("kicked {id}"), format)),
        Err(error) => Err(format!("{id}: {error}\n")),
    }
}
