//! The cost of a wire: a test-only wire of lines, served by a real node beside the wires of crc.

use crc::id::HostId;
use crc::limits::Limits;
use crc::link::{LinkId, Machine as _, Origin, Time};
use crc::node::Node;
use crc::relay::Identity;
use crc::relay::message::Message;
use crc::relay::notice::Notice;
use crc::wires::{Effect, Effects, NoticeCx, Session, SessionCx, Wire, WireSpec};
use crc_tests::frames;

/// A wire of lines: `ID TEXT` is a chat, and any other line is echoed.
static LINE: WireSpec = WireSpec {
    name: "line",
    default_port: 3699,
    default_tls_port: 3699,
    sends_mail: false,
    open: || Box::new(LineSession { id: HostId::NONE }),
};

/// Maximum length of a line in bytes.
const LINE_BYTES_MAX: usize = 512;

#[derive(Clone, Debug)]
struct LineSession {
    id: HostId,
}

impl Session for LineSession {
    fn wire(&self) -> Wire {
        Wire::new(&LINE)
    }

    fn clone_box(&self) -> Box<dyn Session> {
        Box::new(self.clone())
    }

    fn frame_len(&self, bytes: &[u8], _: &Limits) -> Result<Option<usize>, String> {
        match bytes.iter().position(|&byte| byte == b'\n') {
            Some(end) => Ok(Some(end + 1)),
            None if bytes.len() < LINE_BYTES_MAX => Ok(None),
            None => Err(format!("a line of more than {LINE_BYTES_MAX} bytes")),
        }
    }

    fn on_open(&mut self, cx: &mut SessionCx<'_>, effects: &mut Effects<'_>) {
        self.id = cx.unused_id();
        effects.push(Effect::Register { id: self.id, name: b"liner".into(), info: None });
    }

    fn on_frame<'a>(&mut self, frame: &'a [u8], cx: &mut SessionCx<'_>, effects: &mut Effects<'a>) {
        let chat = std::str::from_utf8(frame).ok().and_then(|line| line.trim_end().split_once(' '));
        match chat.and_then(|(to, text)| Some((to.parse().ok()?, text))) {
            Some((to, text)) => {
                let (from, text) = (self.id, text.as_bytes().into());
                effects.push(Effect::Chat { from, to: HostId(to), text });
            }
            None => cx.queue.tail().extend_from_slice(frame),
        }
    }

    fn on_notice(&mut self, notice: &Notice<'_>, cx: &mut NoticeCx<'_>) {
        let line = match *notice {
            Notice::Chat { source, text, .. } => {
                format!("{source} {}\n", String::from_utf8_lossy(text))
            }
            Notice::UnknownId(id) => format!("nobody has id {id}\n"),
            _ => return,
        };
        cx.queue.tail().extend_from_slice(line.as_bytes());
    }
}

struct LineServer {
    node: Node,
    link: LinkId,
}

impl LineServer {
    fn new() -> Self {
        let own = Identity { id: HostId(1), is_id_configured: true, name: vec![], info: vec![] };
        let mut node = Node::new(own, 0, Limits::default(), 1);
        let listener = node.add_listener(Wire::new(&LINE));
        let link = node.accepted(Time::default(), listener, &Origin::default());
        Self { node, link }
    }

    fn receive(&mut self, link: LinkId, bytes: &[u8]) -> Vec<u8> {
        self.node.receive(Time::default(), link, bytes);
        self.take_unsent(link)
    }

    fn take_unsent(&mut self, link: LinkId) -> Vec<u8> {
        while self.node.poll_unsent().is_some() {}
        let bytes = self.node.unsent(link).to_vec();
        self.node.sent(link, bytes.len());
        bytes
    }
}

#[test]
fn line_wire_echoes_lines_however_they_are_split() {
    let mut server = LineServer::new();
    assert_eq!(server.receive(server.link, b"hi"), b"");
    assert_eq!(server.receive(server.link, b" there\nyou\n"), b"hi there\nyou\n");
    assert_eq!(server.node.links().next().expect("the link").wire().name(), "line");
}

#[test]
fn line_wire_chats_with_a_crc_user() {
    let mut server = LineServer::new();
    let sam = server.node.open_link(Time::default(), Wire::CRC);
    server.receive(sam, &frames::user(101, "sam", ""));
    assert_eq!(server.receive(server.link, b"101 Hi sam!\n"), b"");
    let from_liner = server.take_unsent(sam);
    let liner = {
        let mut hosts = server.node.relay().hosts().iter();
        hosts.find(|host| host.name() == b"liner").expect("the registered user").id
    };
    let chat = Message::Chat { source: liner, destination: HostId(101), text: b"Hi sam!" };
    assert_eq!(from_liner, frames::encode(&chat));
    server.receive(sam, &frames::chat(101, liner.0, "Hi liner!"));
    assert_eq!(server.take_unsent(server.link), b"101 Hi liner!\n");
    assert_eq!(server.receive(server.link, b"7 anyone?\n"), b"nobody has id 7\n");
}

#[test]
fn line_without_end_closes_the_link() {
    let mut server = LineServer::new();
    server.receive(server.link, &[b'x'; LINE_BYTES_MAX]);
    assert!(!server.node.is_open(server.link));
}
