//! Labelled responses: what a client is sent for a command that has a label.
//!
//! A response of one line has the label, one of several is a batch, and one of none is `ACK`. The
//! lines are written as always, and get their tags once all of them are there, or once it is clear
//! that more will follow in a later turn.

use super::Session;
use crate::limits::IRC_LABEL_BYTES_MAX;
use crate::link::SendQueue;
use crate::wires::NoticeCx;
use crate::wires::irc::caps::Caps;
use crate::wires::irc::line::{find_tag, is_clean_tag};
use crate::wires::irc::write::{LineWriter, server_name};

/// The label of the command that is being handled.
#[derive(Clone, Debug)]
pub(super) struct Label {
    /// The label, escaped.
    value: Box<str>,
    /// Number of unsent bytes before its response.
    begin: usize,
    /// Whether a part of the response was sent as the beginning of a batch.
    is_batch: bool,
    /// Lines that are no part of the response, and are sent behind it.
    held: Vec<u8>,
}

/// The reference of a batch. A client has one at a time.
const REFERENCE: &str = "1";

impl Session {
    /// Notes the label of a line with these tags.
    pub(super) fn begin_label(&mut self, tags: &str, queue: &SendQueue) {
        if !self.caps.has(Caps::LABELED_RESPONSE) || !self.caps.has(Caps::BATCH) {
            return;
        }
        let label = find_tag(tags, "label")
            .filter(|label| (1..=IRC_LABEL_BYTES_MAX).contains(&label.len()))
            .filter(|label| is_clean_tag(label));
        self.label = label.map(|label| {
            let (value, begin) = (label.into(), queue.len());
            Box::new(Label { value, begin, is_batch: false, held: Vec::new() })
        });
    }

    /// Holds back what was written since the queue had a length, which is no part of the response:
    /// a text of the client to itself has no label, only its echo has.
    pub(super) fn hold_behind_label(&mut self, begin: usize, queue: &mut SendQueue) {
        let written_bytes = queue.len().saturating_sub(begin);
        if let Some(label) = &mut self.label {
            let out = queue.tail();
            label.held.extend(out.drain(out.len() - written_bytes..));
        }
    }

    /// Returns the tag of the lines that continue a batch.
    pub(super) fn batch_tag(&self) -> String {
        match &self.label {
            Some(label) if label.is_batch => format!("@batch={REFERENCE} "),
            _ => String::new(),
        }
    }

    /// Adds the tag of a line that continues a batch to other tags.
    pub(super) fn in_batch(&self, tags: String) -> String {
        match (self.batch_tag().trim_end(), tags.strip_prefix('@')) {
            ("", _) => tags,
            (batch, Some(rest)) => format!("{batch};{rest}"),
            (batch, None) => format!("{batch} "),
        }
    }

    /// Continues with a response of which nothing was written in earlier turns.
    pub(super) fn resume_label(&mut self, queue: &SendQueue) {
        if let Some(label) = &mut self.label {
            label.begin = queue.len();
        }
    }

    /// Ends the response to a labelled command, or begins a batch if more of it follows.
    pub(super) fn end_label(&mut self, has_more: bool, cx: &mut NoticeCx<'_>) {
        let Some(mut label) = self.label.take() else { return };
        if label.is_batch {
            match has_more {
                true => self.label = Some(label),
                false => write_batch_end(cx),
            }
            return;
        }
        let held = std::mem::take(&mut label.held);
        let name = server_name(cx.view.name).into_owned();
        let response_bytes = cx.queue.len().saturating_sub(label.begin);
        let out = cx.queue.tail();
        let lines = out.split_off(out.len() - response_bytes);
        let tag = format!("label={}", label.value);
        let count = lines.iter().filter(|&&byte| byte == b'\n').count();
        match count {
            // Whether it is one line or several is known with the first of them.
            0 if has_more => self.label = Some(label),
            0 => LineWriter::begin(out, &format!("@{tag} "), &[&name]).word("ACK").end(),
            1 if !has_more => append_tagged(&lines, &tag, out),
            _ => {
                let batch = LineWriter::begin(out, &format!("@{tag} "), &[&name]).word("BATCH");
                batch.words(&[&format!("+{REFERENCE}"), "labeled-response"]).end();
                append_tagged(&lines, &format!("batch={REFERENCE}"), out);
                if has_more {
                    label.is_batch = true;
                    self.label = Some(label);
                } else {
                    write_batch_end(cx);
                }
            }
        }
        cx.queue.tail().extend_from_slice(&held);
    }
}

fn write_batch_end(cx: &mut NoticeCx<'_>) {
    let name = server_name(cx.view.name);
    let line = LineWriter::begin(cx.queue.tail(), "", &[&name]).word("BATCH");
    line.word(&format!("-{REFERENCE}")).end();
}

/// Appends lines, with a tag more in each.
fn append_tagged(lines: &[u8], tag: &str, out: &mut Vec<u8>) {
    for line in lines.split_inclusive(|&byte| byte == b'\n') {
        out.push(b'@');
        out.extend_from_slice(tag.as_bytes());
        match line.strip_prefix(b"@") {
            Some(rest) => {
                out.push(b';');
                out.extend_from_slice(rest);
            }
            None => {
                out.push(b' ');
                out.extend_from_slice(line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_added_to_those_of_a_line() {
        let mut out = Vec::new();
        append_tagged(b"@time=1 :a B\r\n:c D\r\n", "batch=1", &mut out);
        assert_eq!(out, b"@batch=1;time=1 :a B\r\n@batch=1 :c D\r\n");
    }
}
