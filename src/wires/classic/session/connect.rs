//! The `Connect` of a classic client: waits for the directory of names, and registers the client or
//! refuses its name.

use std::borrow::Cow;

use super::{Session, State, excerpt};
use crate::limits::CLASSIC_WORK_INTERVAL;
use crate::link::{CloseReason, SendQueue};
use crate::names::{Name, is_reserved, parse_user_name};
use crate::printable::Printable;
use crate::wires::{Effect, SessionCx};

impl Session {
    /// Handles a `Connect`. The name is `argument`, or the source field if that is empty.
    pub(super) fn handle_connect<'a>(
        &mut self,
        argument: &'a [u8],
        source: Name,
        frame: &[u8],
        cx: &mut SessionCx<'_>,
    ) -> Option<Effect<'a>> {
        let name = match argument {
            [] => Cow::Owned(source.unpadded().to_vec()),
            _ => Cow::Borrowed(argument),
        };
        let wanted_name = parse_user_name(&name);
        if wanted_name.is_some_and(|name| !is_reserved(name)) && !self.prepare_directory(cx) {
            return Some(Effect::Defer);
        }
        if matches!(self.state, State::Unregistered) {
            self.responder.start(cx.now, wanted_name.unwrap_or(source), frame);
        }
        let Some(wanted_name) = wanted_name else {
            let problem = "is no name: 1 to 8 bytes, no spaces, no control bytes, no ~";
            return self.refuse_connect(excerpt(&name).as_bytes(), problem, cx.queue);
        };
        let is_repeated = !matches!(self.state, State::Unregistered);
        if is_repeated || cx.names.directory.is_taken(wanted_name) {
            return self.refuse_connect(wanted_name.unpadded(), "is already online", cx.queue);
        }
        self.state = State::Joining;
        self.id = cx.unused_id();
        self.alive_interval = cx.limits.classic_alive_interval;
        self.extend_alive_deadline(cx.now);
        Some(Effect::Register { id: self.id, name, info: None })
    }

    /// Fills the directory, a portion in each turn. Returns whether it is complete.
    fn prepare_directory(&mut self, cx: &mut SessionCx<'_>) -> bool {
        if !std::mem::replace(&mut self.is_directory_reader, true) {
            cx.names.directory.add_reader();
        }
        let is_ready = cx.names.directory.fill(cx.now, cx.relay.hosts());
        self.connect_retry_at = (!is_ready).then(|| cx.now + CLASSIC_WORK_INTERVAL);
        is_ready
    }

    /// Refuses a `Connect`, and closes the link once the message form is known.
    fn refuse_connect(
        &mut self,
        name: &[u8],
        problem: &str,
        queue: &mut SendQueue,
    ) -> Option<Effect<'static>> {
        self.send_error(name, problem, queue);
        let reason = CloseReason::Session(format!("{} {problem}", Printable(name)));
        if self.responder.is_form_known() {
            return Some(Effect::Close(reason));
        }
        self.state = State::Refused(reason);
        None
    }
}
