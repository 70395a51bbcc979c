//! The operator's commands, from the server's console or from `crc ctl`: a line in, text or JSON
//! out.
//!
//! `command` parses a line, `snapshot`, `state`, `bounds`, `rooms` and `path` collect what a
//! command shows, as serde types, and `text` renders those types as text; JSON is their
//! serialization. `trace` waits for other servers. `reload` is what the shell answers. Reading
//! lines and writing answers belongs to `net`. `web` has what browsers and Prometheus are shown.
//! Text shows names, infos and texts of others with control characters escaped; JSON has them as
//! they are.

mod bounds;
mod command;
mod path;
mod reload;
mod rooms;
mod snapshot;
mod state;
mod table;
mod text;
mod trace;
mod web;

use serde::Serialize;

use self::command::{Command, MailCommand};
use self::rooms::RoomEntry;
use self::snapshot::{HostEntry, Invitation, LinkEntry, MailReport, ServerEntry};
use self::state::StateSnapshot;
use crate::id::{HostId, WideId};
use crate::limits::INVITATION_LIFETIME;
use crate::link::{Machine as _, Time};
use crate::node::Node;

pub(crate) use self::command::takes_free_text;
pub(crate) use self::reload::{ReloadReport, render_reload};
pub use self::trace::PendingTrace;
pub(crate) use self::web::LogTail;
pub use self::web::{LoopStats, ShellReport, WebSurface};

/// The format of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// The answer to a command, or the error. Either ends with a newline, or is empty.
pub type CommandResult = Result<String, String>;

/// What a line leads to.
#[derive(Debug)]
pub enum Answer {
    /// The answer is there, or the error.
    Ready(CommandResult),
    /// Other servers are asked.
    Pending(PendingTrace),
    /// The shell reloads the configuration, and answers by [`render_reload`].
    Reload(Format),
}

/// Executes one line. An empty line has an empty answer. An error tells what is wrong with the
/// command, and what to write instead.
pub fn execute(node: &mut Node, now: Time, line: &str, format: Format) -> Answer {
    try_execute(node, now, line, format).unwrap_or_else(|error| Answer::Ready(Err(error)))
}

fn try_execute(node: &mut Node, now: Time, line: &str, format: Format) -> Result<Answer, String> {
    let Some(command) = command::parse(line)? else {
        return Ok(Answer::Ready(Ok(String::new())));
    };
    let show = Show(format);
    let text = match command {
        Command::NumUsers => {
            let count = snapshot::connected_users(node);
            show.either(&serde_json::json!({ "num_users": count }), |_| text::num_users(count))
        }
        Command::Users => show.either(&HostEntry::users(node), |users| text::users(users)),
        Command::Servers => show.either(&ServerEntry::all(node), |servers| text::servers(servers)),
        Command::Links => show.either(&LinkEntry::all(node, now), |links| text::links(links)),
        Command::Rooms => show.either(&RoomEntry::all(node), |rooms| text::rooms(rooms)),
        Command::State => show.either(&StateSnapshot::new(node, now), text::state),
        Command::Mail { command: None } => show.either(&MailReport::new(node), text::mail),
        Command::Mail { command: Some(MailCommand::Drop { id }) } => {
            show.confirmation(&drop_mail(node, id)?)
        }
        Command::Kick { id, text } => {
            kick(node, now, id, text.as_deref().unwrap_or_default())?;
            show.confirmation(&format!("kicked {id}"))
        }
        Command::Invite { expires, host } => {
            let lifetime = expires.unwrap_or(INVITATION_LIFETIME);
            let token = node.invite(now, lifetime, host.as_deref());
            let token = token.map_err(|error| format!("{error}\n"))?;
            show.either(&Invitation::new(&token, lifetime), |it| format!("{}\n", it.token))
        }
        Command::Shutdown => {
            node.stop(now);
            show.confirmation("stopping")
        }
        Command::Trace { id } => return Ok(trace::start(node, now, id, format)),
        Command::Reload => return Ok(Answer::Reload(format)),
        Command::Help => show.either(&command::help(), |lines| lines.join("\n") + "\n"),
    };
    Ok(Answer::Ready(Ok(text)))
}

/// Renders answers in one format.
struct Show(Format);

impl Show {
    /// Renders `value` as JSON, or as text by `to_text`.
    fn either<T: Serialize>(&self, value: &T, to_text: impl FnOnce(&T) -> String) -> String {
        match self.0 {
            Format::Text => to_text(value),
            Format::Json => {
                let mut text = serde_json::to_string(value).expect("plain values");
                text.push('\n');
                text
            }
        }
    }

    fn confirmation(&self, message: &str) -> String {
        self.either(&serde_json::json!({ "done": message }), |_| format!("{message}\n"))
    }
}

fn drop_mail(node: &mut Node, id: WideId) -> Result<String, String> {
    if let Some(failure) = node.spool().failure() {
        return Err(format!(
            "nothing was dropped, since the mailbox has failed: {failure}; repair the disk and \
             restart the server\n"
        ));
    }
    let count = node.delete_mail(id);
    let messages = if count == 1 { "message" } else { "messages" };
    Ok(format!("dropped {count} {messages} for {id}"))
}

fn kick(node: &mut Node, now: Time, id: HostId, text: &str) -> Result<(), String> {
    let result = node.kick(now, id, text.as_bytes());
    result.map_err(|error| format!("{id}: {error}; `links` lists the hosts connected here\n"))
}
