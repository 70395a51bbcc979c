//! `mail`: what waits for those who are away.

use serde::Serialize;

use super::table::{Align, table};
use super::{CommandResult, Format, Quoted, confirmation, json};
use crate::id::WideId;
use crate::node::Node;

#[derive(Serialize)]
struct MailboxRow {
    id: WideId,
    messages: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct MailReport<'a> {
    messages: u64,
    bytes: u64,
    refused: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a str>,
    waiting: Vec<MailboxRow>,
}

/// `mail` and `mail drop ID_KEY`.
pub(super) fn execute(node: &mut Node, rest: &str, format: Format) -> CommandResult {
    let words: Vec<&str> = rest.split_whitespace().collect();
    match words.as_slice() {
        [] => Ok(list_mailboxes(node, format)),
        ["drop", id] => match id.parse().ok().filter(|id| *id > 0).map(WideId) {
            Some(to) => {
                if let Some(failure) = node.spool().failure() {
                    return Err(format!(
                        "nothing was dropped: the mailbox has failed: {failure}; mend the disk and \
                         start the server again\n"
                    ));
                }
                let count = node.delete_mail(to);
                let messages = if count == 1 { "message" } else { "messages" };
                Ok(confirmation(&format!("dropped {count} {messages} for {to}"), format))
            }
            None => Err(format!("{:?} is not an id; say `mail drop ID`\n", Quoted(id))),
        },
        _ => Err(format!("say `mail` or `mail drop ID`, not `mail {:?}`\n", Quoted(rest))),
    }
}

fn list_mailboxes(node: &Node, format: Format) -> String {
    let spool = node.spool();
    let rows = spool.backlogs().into_iter();
    let waiting: Vec<MailboxRow> = rows
        .map(|(id, waiting)| MailboxRow { id, messages: waiting.messages, bytes: waiting.bytes })
        .collect();
    let mail = MailReport {
        messages: waiting.iter().map(|row| row.messages).sum(),
        bytes: waiting.iter().map(|row| row.bytes).sum(),
        refused: spool.refused(),
        failure: spool.failure(),
        waiting,
    };
    if format == Format::Json {
        return json(&mail);
    }
    let MailReport { messages, bytes, refused, failure, waiting } = mail;
    let mut output = match messages {
        1 => format!("1 message waits, {bytes} bytes"),
        _ => format!("{messages} messages wait, {bytes} bytes"),
    };
    if refused > 0 {
        output.push_str(&format!("; {refused} were refused"));
    }
    output.push('\n');
    if let Some(failure) = failure {
        output.push_str(&format!("nothing is kept any more: {failure}\n"));
    }
    if !waiting.is_empty() {
        let columns = [("id", Align::Right), ("messages", Align::Right), ("bytes", Align::Right)];
        let cells = waiting.iter();
        let cells = cells
            .map(|row| vec![row.id.to_string(), row.messages.to_string(), row.bytes.to_string()]);
        output.push_str(&table(&columns, cells));
    }
    output
}
