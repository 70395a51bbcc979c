use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::id::HostId;
use crate::limits::{Limits, OPERATOR_UPDATE_INTERVAL};
use crate::link::{Action, Origin};
use crate::operator::state::StateSnapshot;
use crate::relay::Identity;
use crate::relay::message::{HostKind, Message, Registration};
use crate::wires::crc::codec;
use crate::wires::{OperatorToken, WebAccess, Wire};

const TOKEN: &str = "0123456789abcdef";

/// A server whose operator has a token.
struct Bench {
    node: Node,
    now: Time,
    surface: WebSurface,
}

impl Bench {
    fn new() -> Self {
        let (name, info) = (b"theshire".to_vec(), b"hills".to_vec());
        let identity = Identity { id: HostId(1), is_id_configured: true, name, info };
        let mut node = Node::new(identity, 0, Limits::default(), 1);
        let operator_token = Some(OperatorToken::new(TOKEN.as_bytes()));
        node.set_web_access(WebAccess { origins: Vec::new(), operator_token });
        Self { node, now: Time::default(), surface: WebSurface::default() }
    }

    /// Registers a host over a new link.
    fn join(&mut self, kind: HostKind, id: u32, name: &str) -> LinkId {
        let link = self.node.open_link(self.now, Wire::CRC);
        self.register(link, kind, (id, HostId::NONE), name);
        link
    }

    fn register(&mut self, link: LinkId, kind: HostKind, (id, hop): (u32, HostId), name: &str) {
        let (source, name) = (HostId(id), name.as_bytes());
        let host = Registration { kind, source, last_hop: hop, name, info: b"" };
        let mut frame = Vec::new();
        codec::encode(&Message::Registration(host), &mut frame);
        self.node.receive(self.now, link, &frame);
        self.take(link);
    }

    /// Handles requests, as far as the links have room for replies.
    fn surface_turn(&mut self) {
        let log = &|number: u64| match number {
            0 => (vec!["a line".to_owned()], 1),
            number => (Vec::new(), number),
        };
        let shell = ShellReport { stats: &LoopStats::default(), log };
        self.surface.run(&mut self.node, self.now, &shell);
    }

    /// Takes what was sent over a link, until nothing follows.
    fn take(&mut self, link: LinkId) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..10_000 {
            self.surface_turn();
            while let Some(link) = self.node.poll_unsent() {
                let len = self.node.unsent(link).len();
                assert!(len < 100_000, "a reply comes in portions");
            }
            let unsent = self.node.unsent(link);
            let len = unsent.len();
            bytes.extend_from_slice(unsent);
            self.node.sent(link, len);
            if len == 0 && !self.surface.has_work(&self.node) {
                break;
            }
        }
        bytes
    }

    fn get(&mut self, path: &str, token: Option<&str>) -> String {
        let link = self.node.open_link(self.now, Wire::HTTP);
        let authorization =
            token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let request = format!("GET {path} HTTP/1.0\r\n{authorization}\r\n");
        self.node.receive(self.now, link, request.as_bytes());
        String::from_utf8(self.take(link)).expect("UTF-8")
    }

    /// Opens the operator's WebSocket.
    fn watch(&mut self, token: &str) -> LinkId {
        let link = self.node.open_link(self.now, Wire::HTTP);
        let request = "GET /operator/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
            Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        self.node.receive(self.now, link, request.as_bytes());
        assert!(self.take(link).starts_with(b"HTTP/1.1 101 "));
        self.ask(link, &format!(r#"{{"do":"sign_in","token":"{token}"}}"#));
        link
    }

    /// Sends a request over the WebSocket.
    fn ask(&mut self, link: LinkId, request: &str) {
        let length = u8::try_from(request.len()).expect("short");
        let frame = [&[0x81, 0x80 | length, 0, 0, 0, 0], request.as_bytes()].concat();
        self.node.receive(self.now, link, &frame);
    }

    fn events(&mut self, link: LinkId) -> Vec<Value> {
        let bytes = self.take(link);
        let mut rest = &bytes[..];
        let mut events = Vec::new();
        while let [0x81, short, ..] = *rest {
            let (start, len) = match short {
                126 => (4, usize::from(u16::from_be_bytes([rest[2], rest[3]]))),
                short => (2, usize::from(short)),
            };
            events.push(serde_json::from_slice(&rest[start..start + len]).expect("JSON"));
            rest = &rest[start + len..];
        }
        events
    }
}

/// A server whose parent is that of a [`Bench`].
struct Neighbour {
    node: Node,
    uplink: LinkId,
    /// The link at the parent.
    child: LinkId,
}

impl Neighbour {
    /// Joins the server.
    fn join(bench: &mut Bench, id: u32) -> Self {
        let identity =
            Identity { id: HostId(id), is_id_configured: true, name: vec![b'n'], info: vec![] };
        let mut node = Node::new(identity, 1, Limits::default(), 2);
        node.advance(bench.now);
        let Some(Action::Dial { link: uplink, .. }) = node.poll_action() else {
            panic!("a server dials its parent");
        };
        node.dialled(bench.now, uplink, &Origin::default());
        let child = bench.node.open_link(bench.now, Wire::CRC);
        let mut neighbour = Self { node, uplink, child };
        neighbour.exchange(bench);
        neighbour
    }

    /// Takes what both send each other, until nothing follows.
    fn exchange(&mut self, bench: &mut Bench) {
        loop {
            let up = self.node.unsent(self.uplink).to_vec();
            let down = bench.node.unsent(self.child).to_vec();
            if up.is_empty() && down.is_empty() {
                return;
            }
            self.node.sent(self.uplink, up.len());
            bench.node.sent(self.child, down.len());
            bench.node.receive(bench.now, self.child, &up);
            self.node.receive(bench.now, self.uplink, &down);
        }
    }
}

fn body(response: &str) -> &str {
    response.split_once("\r\n\r\n").expect("a body").1
}

/// Returns the events of a kind.
fn of<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event"] == kind).collect()
}

#[test]
fn surface_is_for_whoever_shows_the_token() {
    let mut bench = Bench::new();
    for path in ["/metrics", "/operator/state"] {
        for token in [None, Some("wrong")] {
            let response = bench.get(path, token);
            assert!(response.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{response}");
            assert!(response.contains("\r\nWWW-Authenticate: Bearer\r\n"));
        }
        assert!(bench.get(path, Some(TOKEN)).starts_with("HTTP/1.1 200 OK\r\n"));
    }
    let link = bench.watch("wrong");
    let close = bench.take(link);
    assert_eq!(&close[..4], &[0x88, 13, 0x03, 0xf0], "1008");
    assert!(!bench.node.is_open(link));
}

#[test]
fn state_is_that_of_the_control_socket() {
    let mut bench = Bench::new();
    let server = bench.join(HostKind::Server, 2, "bree");
    for id in 1000..1500 {
        bench.register(server, HostKind::User, (id, HostId(2)), "pip");
    }
    bench.join(HostKind::User, 101, "frodo");
    let response = bench.get("/operator/state", Some(TOKEN));
    let mut found: Value = serde_json::from_str(body(&response)).expect("JSON");
    let expected = StateSnapshot::new(&bench.node, bench.now);
    let expected = serde_json::to_value(&expected).expect("plain values");
    let keys = |value: &Value| value.as_object().map(|it| it.keys().cloned().collect::<Vec<_>>());
    assert_eq!(keys(&found), keys(&expected));
    let hosts = found["hosts"].as_array_mut().expect("a list");
    hosts.sort_by_key(|host| host["id"].as_u64());
    for key in ["id", "info", "adjacent_user_ids", "hosts", "servers", "rooms", "dropped"] {
        assert_eq!(found[key], expected[key], "{key}");
    }
    assert_eq!(found["hosts"].as_array().map(Vec::len), Some(502));
}

#[test]
fn metrics_are_prometheus_text_and_the_dashboard_uses_no_others() {
    let mut bench = Bench::new();
    bench.join(HostKind::Server, 2, "bree");
    bench.join(HostKind::User, 101, "frodo");
    let response = bench.get("/metrics", Some(TOKEN));
    let text = body(&response);
    let mut names = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            names.push(rest.split(' ').next().expect("a name"));
        }
        if line.starts_with('#') {
            continue;
        }
        let (sample, value) = line.rsplit_once(' ').expect("a value");
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let name = sample.split('{').next().expect("a name");
        assert!(names.last().is_some_and(|metric| name.starts_with(metric)), "{line}");
    }
    for line in [
        "crc_messages_total{wire=\"crc\"} 2",
        "crc_connections{wire=\"http\"} 1",
        "crc_hosts{kind=\"server\"} 2",
        "crc_hosts{kind=\"user\"} 1",
        "crc_users 1",
        "crc_links 1",
        "crc_loop_turn_seconds_bucket{le=\"0.002\"} 0",
        "crc_refusals_total{reason=\"unknown_id\"} 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line:?} is not in:\n{text}");
    }
    let dashboard = include_str!("../../../contrib/grafana-dashboard.json");
    let is_part = |c: char| c.is_ascii_lowercase() || c == '_';
    let mut used = 0;
    for word in dashboard.split(|c| !is_part(c)).filter(|word| word.starts_with("crc_")) {
        let metric = word.trim_end_matches("_bucket").trim_end_matches("_sum");
        assert!(names.contains(&word) || names.contains(&metric), "{word} does not exist");
        used += 1;
    }
    assert!(used > 15, "{used}");
}

#[test]
fn page_is_sent_the_tree_and_what_changes() {
    let mut bench = Bench::new();
    let bree = bench.join(HostKind::Server, 2, "bree");
    bench.register(bree, HostKind::Server, (3, HostId(2)), "moria");
    let page = bench.watch(TOKEN);
    let events = bench.events(page);
    let kinds: Vec<&str> = events.iter().filter_map(|event| event["event"].as_str()).collect();
    assert_eq!(kinds, ["signed_in", "log", "totals", "links", "servers"]);
    assert_eq!(events[0]["name"], "theshire");
    assert_eq!(events[1]["lines"][0], "a line");
    assert_eq!((&events[2]["servers"], &events[2]["users"]), (&3.into(), &0.into()));
    assert_eq!(events[3]["links"][0]["id"], 2);
    let ids = |event: &Value| -> Vec<u64> {
        let servers = event["servers"].as_array().expect("a list").iter();
        servers.filter_map(|server| server["id"].as_u64()).collect()
    };
    assert_eq!(ids(&events[4]), [1, 2, 3]);
    assert_eq!(events[4]["servers"][0]["self"], true);

    bench.now = bench.now + OPERATOR_UPDATE_INTERVAL;
    assert!(bench.surface.next_deadline().is_some_and(|at| at <= bench.now));
    let events = bench.events(page);
    assert!(of(&events, "servers").is_empty() && of(&events, "totals").len() == 1);

    bench.join(HostKind::User, 101, "frodo");
    bench.node.closed(bench.now, bree, &crate::link::CloseReason::PeerClosed);
    bench.now = bench.now + Duration::from_secs(10);
    bench.node.advance(bench.now);
    bench.now = bench.now + Duration::from_secs(1);
    bench.node.advance(bench.now);
    let events = bench.events(page);
    let servers = of(&events, "servers");
    assert_eq!(ids(servers[0]), [1], "it has a user now");
    assert_eq!(servers[0]["gone"], serde_json::json!([2, 3]));
}

#[test]
fn operator_lists_users_kicks_and_stops() {
    let mut bench = Bench::new();
    for id in 101..=600 {
        bench.join(HostKind::User, id, "frodo");
    }
    let page = bench.watch(TOKEN);
    bench.events(page);
    bench.ask(page, r#"{"do":"users","server":1}"#);
    let events = bench.events(page);
    let portions = of(&events, "users");
    let count: usize = portions.iter().filter_map(|it| it["users"].as_array()).map(Vec::len).sum();
    assert_eq!((count, portions.len()), (500, 3));
    bench.ask(page, r#"{"do":"kick","id":101,"text":"bye"}"#);
    bench.ask(page, r#"{"do":"kick","id":7}"#);
    bench.ask(page, r#"{"do":"dance"}"#);
    let events = bench.events(page);
    assert_eq!(of(&events, "done")[0]["text"], "kicked 101");
    let errors = of(&events, "error");
    let hint = "7: nobody has this id; `links` lists the hosts connected here";
    assert_eq!(
        errors[0]["text"].as_str().map(|text| text.starts_with("not a request")),
        Some(true)
    );
    assert_eq!(errors[1]["text"], hint);
    bench.ask(page, r#"{"do":"shutdown"}"#);
    assert_eq!(of(&bench.events(page), "done")[0]["text"], "stopping");
    assert!(bench.node.is_stopping());
}

#[test]
fn page_that_does_not_read_is_not_written_to() {
    let mut bench = Bench::new();
    for id in 101..=600 {
        bench.join(HostKind::User, id, "frodo");
    }
    let page = bench.watch(TOKEN);
    for _ in 0..4 {
        bench.ask(page, r#"{"do":"users","server":1}"#);
    }
    let log = &|number| (Vec::new(), number);
    for _ in 0..1000 {
        bench.now = bench.now + Duration::from_millis(100);
        let stats = &LoopStats::default();
        bench.surface.run(&mut bench.node, bench.now, &ShellReport { stats, log });
    }
    assert!(bench.node.is_open(page) && bench.node.unsent(page).len() < 64 * 1024);
    assert!(!bench.surface.has_work(&bench.node));
    assert!(bench.surface.next_deadline().is_some_and(|at| at > bench.now));
}

#[test]
fn answers_of_other_servers_are_passed_on_to_every_page() {
    let mut bench = Bench::new();
    let mut other = Neighbour::join(&mut bench, 2);
    let (first, second) = (bench.watch(TOKEN), bench.watch(TOKEN));
    bench.events(first);
    bench.events(second);
    other.exchange(&mut bench);
    bench.ask(first, r#"{"do":"loads","servers":[2,1,7]}"#);
    bench.surface_turn();
    other.exchange(&mut bench);
    for page in [first, second] {
        let events = bench.events(page);
        let loads = of(&events, "loads");
        assert_eq!((loads.len(), &loads[0]["server"]), (1, &Value::from(2)));
        assert_eq!(loads[0]["links"][0]["id"], 1);
    }
}
