//! `mail`: what waits for those who are away.

use serde::Serialize;

use super::table::{Align, table};
use super::{Answer, Format, Printed, done, json};
use crate::node::Node;
use crate::relay::message::WideId;

#[derive(Serialize)]
struct Row {
    id: WideId,
    messages: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct Mail<'a> {
    messages: u64,
    bytes: u64,
    refused: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a str>,
    waiting: Vec<Row>,
}

/// `mail` and `mail drop ID`.
pub(super) fn answer(node: &mut Node, rest: &str, format: Format) -> Answer {
    let words: Vec<&str> = rest.split_whitespace().collect();
    match words.as_slice() {
        [] => Ok(list(node, format)),
        ["drop", id] => match id.parse().ok().filter(|id| *id > 0).map(WideId) {
            Some(to) => {
                if let Some(failure) = node.mail().failure() {
                    return Err(format!(
                        "nothing was dropped: the mailbox has failed: {failure}; mend the disk and \
                         start the server again\n"
                    ));
                }
                let count = node.drop_mail(to);
                let messages = if count == 1 { "message" } else { "messages" };
                Ok(done(&format!("dropped {count} {messages} for {to}"), format))
            }
            None => Err(format!("{:?} is not an id; say `mail drop ID`\n", Printed(id))),
        },
        _ => Err(format!("say `mail` or `mail drop ID`, not `mail {:?}`\n", Printed(rest))),
    }
}

fn list(node: &Node, format: Format) -> String {
    let room = node.mail();
    let rows = room.waiting().into_iter();
    let waiting: Vec<Row> = rows
        .map(|(id, waiting)| Row { id, messages: waiting.messages, bytes: waiting.bytes })
        .collect();
    let mail = Mail {
        messages: waiting.iter().map(|row| row.messages).sum(),
        bytes: waiting.iter().map(|row| row.bytes).sum(),
        refused: room.refused(),
        failure: room.failure(),
        waiting,
    };
    if format == Format::Json {
        return json(&mail);
    }
    let Mail { messages, bytes, refused, failure, waiting } = mail;
    let mut text = match messages {
        1 => format!("1 message waits, {bytes} bytes"),
        _ => format!("{messages} messages wait, {bytes} bytes"),
    };
    if refused > 0 {
        text.push_str(&format!("; {refused} were refused"));
    }
    text.push('\n');
    if let Some(failure) = failure {
        text.push_str(&format!("nothing is kept any more: {failure}\n"));
    }
    if !waiting.is_empty() {
        let columns = [("id", Align::Right), ("messages", Align::Right), ("bytes", Align::Right)];
        let cells = waiting.iter();
        let cells = cells
            .map(|row| vec![row.id.to_string(), row.messages.to_string(), row.bytes.to_string()]);
        text.push_str(&table(&columns, cells));
    }
    text
}
