//! The batches of users who leave because a link between servers was lost, and of those who come
//! with a new one: `netsplit` and `netjoin`.
//!
//! A batch is always complete in the send queue: a line that follows in the same batch is put
//! before its end, as long as that is the last that the client is to be sent. So nothing has to be
//! kept, and whatever else is written is behind the batch.

use super::Session;
use crate::relay::notice::ServerPair;
use crate::wires::NoticeCx;
use crate::wires::irc::caps::Caps;
use crate::wires::irc::text::format_time;
use crate::wires::irc::write::{LineWriter, Mask, server_name, time_tag};

/// The type of the batches of users who leave.
pub(super) const NETSPLIT: &str = "netsplit";

/// The type of the batches of users who come.
pub(super) const NETJOIN: &str = "netjoin";

/// Returns the names of two servers, as clients are shown them.
pub(super) fn shown_names(pair: &ServerPair) -> [String; 2] {
    [&pair.hub, &pair.leaf].map(|name| server_name(name).into_owned())
}

/// Returns the reference of a batch. Batches with the same type and servers have the same.
fn reference(kind: &str, names: &[String; 2]) -> String {
    let bytes = [kind, &names[0], &names[1]].into_iter().flat_map(|text| text.bytes().chain([0]));
    // FNV-1a.
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

impl Session {
    /// Writes a line about what a user does now, in a batch if the client knows batches.
    pub(super) fn write_batched(
        &self,
        (kind, pair): (&str, &ServerPair),
        mask: &Mask,
        cx: &mut NoticeCx<'_>,
        write: impl FnOnce(LineWriter<'_>),
    ) {
        if !self.caps.has(Caps::BATCH) {
            let tags = time_tag(self.caps, cx.unix_time);
            return write(LineWriter::begin(cx.queue.tail(), &tags, &mask.source()));
        }
        let names = shown_names(pair);
        let reference = reference(kind, &names);
        let server = server_name(cx.view.name);
        let end = format!(":{server} BATCH -{reference}\r\n");
        // A response with a label is found by its length.
        let is_open = self.label.is_none() && cx.queue.unsent().ends_with(end.as_bytes());
        let out = cx.queue.tail();
        if is_open {
            out.truncate(out.len() - end.len());
        } else {
            let begin = LineWriter::begin(out, "", &[&server]).word("BATCH");
            begin.words(&[&format!("+{reference}"), kind, &names[0], &names[1]]).end();
        }
        let time = match self.caps.has(Caps::SERVER_TIME) {
            true => format!(";time={}", format_time(cx.unix_time)),
            false => String::new(),
        };
        let tags = format!("@batch={reference}{time} ");
        write(LineWriter::begin(out, &tags, &mask.source()));
        out.extend_from_slice(end.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::id::HostId;
    use crate::link::SendQueue;
    use crate::names::Names;
    use crate::names::nick::Nick;
    use crate::relay::{HostTable, View};
    use crate::wires::irc::write::UserName;

    #[test]
    fn batch_ends_before_anything_else_that_is_written() {
        let mut session = Session::default();
        session.caps.insert(Caps::BATCH);
        let (hosts, names, mut queue) =
            (HostTable::default(), Names::default(), SendQueue::default());
        let view = View { server: HostId(1), name: b"s1", hosts: &hosts };
        let pair = ServerPair { hub: b"s1".as_slice().into(), leaf: b"s 2".as_slice().into() };
        let mut write = |kind: &str, nick: &str| {
            let (nick, user) = (Nick::from_slice(nick.as_bytes()), UserName::new(b"u"));
            let mask = Mask { nick, user };
            let unix_time = Duration::ZERO;
            let cx = &mut NoticeCx { view, names: &names, queue: &mut queue, unix_time };
            match kind {
                "" => session.begin_line(cx, "NOTICE").text(&["x"]),
                kind => session.write_batched((kind, &pair), &mask, cx, |line| {
                    line.word("QUIT").end();
                }),
            }
            String::from_utf8(queue.unsent().to_vec()).expect("text")
        };
        let reference = reference(NETSPLIT, &["s1".to_owned(), "s_2".to_owned()]);
        let line = |nick: &str| format!("@batch={reference} :{nick}!u@crc QUIT\r\n");
        let begin = format!(":s1 BATCH +{reference} netsplit s1 s_2\r\n");
        let end = format!(":s1 BATCH -{reference}\r\n");
        assert_eq!(write(NETSPLIT, "a"), [&*begin, &line("a"), &end].concat());
        assert_eq!(write(NETSPLIT, "b"), [&*begin, &line("a"), &line("b"), &end].concat());
        let before = write("", "");
        assert!(before.ends_with("NOTICE :x\r\n"), "{before}");
        assert_eq!(write(NETSPLIT, "c"), [&*before, &begin, &line("c"), &end].concat());
        let all = write(NETJOIN, "d");
        assert!(all.contains(&format!("{end}:s1 BATCH +")) && all.contains(" netjoin s1 s_2"));
        // What has been sent in part stays as it is.
        queue.consume(queue.len() - 4);
        let cx =
            &mut NoticeCx { view, names: &names, queue: &mut queue, unix_time: Duration::ZERO };
        let (nick, user) = (Nick::from_slice(b"e"), UserName::new(b"u"));
        session.write_batched((NETJOIN, &pair), &Mask { nick, user }, cx, |line| {
            line.word("JOIN").end();
        });
        let rest = String::from_utf8(queue.unsent().to_vec()).expect("text");
        assert!(rest.contains("\r\n:s1 BATCH +"), "{rest}");
    }
}
