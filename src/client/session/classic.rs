//! The client's side of the classic wire, see `docs/PROTOCOL.md`, "The classic wire".
//!
//! Users are identified by name. The server sends the whole list of users in pages whenever it
//! changes; joins and quits are derived from the difference once the last page has arrived.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{FrameLenFn, LineError, NAME_LOOKUP_TIMEOUT, Session, SessionError};
use crate::client::grammar::Recipient;
use crate::room::RoomName;
use crate::vocabulary::{Event, Text, User};
use crate::wires::classic::codec;
use crate::wires::classic::codec::{Form, Message, NAME_BYTES, Name, TEXT_BYTES_MAX};

/// Maximum heartbeat interval; longer ones are reduced to it.
const INTERVAL_SECONDS_MAX: f64 = 24.0 * 60.0 * 60.0;

/// Minimum heartbeat interval, so that no server can make the client spin.
const INTERVAL_MIN: Duration = Duration::from_millis(10);

/// A connection to a classic server, as its client.
#[derive(Debug)]
pub(in crate::client) struct Classic {
    name: Name,
    /// `None` until the server has accepted the name.
    heartbeat: Option<Heartbeat>,
    /// The other users; `None` until a complete list was received.
    others: Option<BTreeSet<Text>>,
    /// The received pages of an incomplete list.
    partial_list: Option<PartialList>,
    /// When commands stop waiting for the first list.
    list_deadline: Duration,
}

/// The schedule of `Alive` messages.
#[derive(Clone, Copy, Debug)]
struct Heartbeat {
    interval: Duration,
    due_at: Duration,
}

/// A list of users whose last page has not arrived.
#[derive(Debug)]
struct PartialList {
    /// The number of pages of the list.
    page_count: u32,
    /// The number of pages received.
    pages_received: u32,
    names: BTreeSet<Text>,
}

impl Classic {
    /// Creates an unregistered session.
    #[must_use]
    pub(in crate::client) fn new(name: Name) -> Self {
        Self {
            name,
            heartbeat: None,
            others: None,
            partial_list: None,
            list_deadline: Duration::ZERO,
        }
    }
}

impl Session for Classic {
    fn wire_name(&self) -> &'static str {
        "classic"
    }

    fn frame_len(&self) -> FrameLenFn {
        |bytes| codec::frame_len(bytes).map_err(|error| error.to_string())
    }

    fn open(&self, out: &mut Vec<u8>) {
        self.send_to_server(b"Connect ", out);
    }

    fn on_frame(
        &mut self,
        now: Duration,
        frame: &[u8],
        _out: &mut Vec<u8>,
        events: &mut Vec<Event>,
    ) -> Result<(), SessionError> {
        match codec::parse_frame(frame) {
            None => Ok(()),
            Some(Message { source: Name::SERVER, text, .. }) => {
                self.handle_server_message(now, text, events)
            }
            Some(Message { source, destination, text }) if self.is_room(destination) => {
                let (room, name) = (destination.unpadded().into(), source.unpadded().into());
                events.push(Event::Room { room, from: None, name: Some(name), text: text.into() });
                Ok(())
            }
            Some(Message { source, text, .. }) => {
                let name = Some(source.unpadded().into());
                events.push(Event::Chat { from: None, name, text: text.into() });
                Ok(())
            }
        }
    }

    fn sanitize(&self, line: &mut String) {
        if line.contains('\0') {
            *line = line.replace('\0', " ");
        }
    }

    /// Sends to the name as typed. The server answers if nobody has it.
    fn send(
        &self,
        _now: Duration,
        to: Recipient<'_>,
        text: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), LineError> {
        let (Recipient::Number(name) | Recipient::NumberOrName(name) | Recipient::Name(name)) = to;
        let destination = Name::new(name.as_bytes()).filter(|name| !name.unpadded().is_empty());
        let destination = destination.ok_or_else(|| {
            LineError::Invalid(format!("{name} is not a name: they have 1 to {NAME_BYTES} bytes"))
        })?;
        self.send_text(destination, text, out);
        Ok(())
    }

    fn own_user(&self) -> User {
        User { id: None, name: self.name.unpadded().into() }
    }

    /// The name of all users and that of the server count as names of users.
    fn is_user(&self, now: Duration, name: &str) -> Result<bool, LineError> {
        if [Name::ALL, Name::SERVER].iter().any(|known| known.unpadded() == name.as_bytes()) {
            return Ok(true);
        }
        let Some(others) = &self.others else {
            let is_known = now >= self.list_deadline;
            return if is_known { Ok(false) } else { Err(LineError::RetryAt(self.list_deadline)) };
        };
        Ok(name.as_bytes() == self.name.unpadded() || others.contains(&Text::from(name)))
    }

    fn join_room(
        &mut self,
        _now: Duration,
        room: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), LineError> {
        self.send_command(b"Join ", parse_room(room)?.unpadded(), out);
        Ok(())
    }

    /// Leaves without the text, which the wire cannot carry.
    fn part_room(&self, room: &str, _text: &str, out: &mut Vec<u8>) -> Result<(), LineError> {
        self.send_command(b"Part ", parse_room(room)?.unpadded(), out);
        Ok(())
    }

    fn carries_part_text(&self) -> bool {
        false
    }

    fn send_to_room(
        &self,
        _now: Duration,
        room: &str,
        text: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), LineError> {
        self.send_text(parse_room(room)?, text, out);
        Ok(())
    }

    fn users(&self, now: Duration) -> Result<Vec<User>, LineError> {
        if self.others.is_none() && now < self.list_deadline {
            return Err(LineError::RetryAt(self.list_deadline));
        }
        let user = |name: &Text| User { id: None, name: name.clone() };
        Ok(self.others.iter().flatten().map(user).collect())
    }

    /// Sends the quit without the text, which the wire cannot carry.
    fn quit(&self, _text: &str, out: &mut Vec<u8>) -> Result<(), LineError> {
        self.send_to_server(b"Quit ", out);
        Ok(())
    }

    fn next_deadline(&self) -> Option<Duration> {
        self.heartbeat.map(|heartbeat| heartbeat.due_at)
    }

    fn advance(&mut self, now: Duration, out: &mut Vec<u8>) {
        let Some(Heartbeat { interval, due_at }) = &mut self.heartbeat else { return };
        if now >= *due_at {
            // Small delays do not add up, and missed heartbeats are not sent later.
            *due_at = if *due_at + *interval > now { *due_at + *interval } else { now + *interval };
            self.send_to_server(b"Alive ", out);
        }
    }
}

impl Classic {
    /// Sends a command with the user's own name to the server.
    fn send_to_server(&self, command: &[u8], out: &mut Vec<u8>) {
        self.send_command(command, self.name.unpadded(), out);
    }

    fn send_command(&self, command: &[u8], argument: &[u8], out: &mut Vec<u8>) {
        let text = [command, argument].concat();
        let message = Message { destination: Name::SERVER, source: self.name, text: &text };
        codec::encode(&message, Form::Padded, out);
    }

    fn send_text(&self, destination: Name, text: &str, out: &mut Vec<u8>) {
        for text in codec::split_text(text.as_bytes(), TEXT_BYTES_MAX) {
            let message = Message { destination, source: self.name, text };
            codec::encode(&message, Form::Padded, out);
        }
    }

    /// Returns whether a message is for a room, and not for the user of that name.
    fn is_room(&self, destination: Name) -> bool {
        destination != self.name && RoomName::parse(destination.unpadded()).is_ok()
    }

    fn handle_server_message(
        &mut self,
        now: Duration,
        text: &[u8],
        events: &mut Vec<Event>,
    ) -> Result<(), SessionError> {
        let is_registered = self.heartbeat.is_some();
        if let Some(seconds) = text.strip_prefix(b"Interval ")
            && !is_registered
        {
            let interval = parse_interval(seconds).ok_or_else(|| {
                SessionError::Protocol(format!(
                    "an interval of {:?}",
                    String::from_utf8_lossy(seconds)
                ))
            })?;
            self.heartbeat = Some(Heartbeat { interval, due_at: now + interval });
            self.list_deadline = now + NAME_LOOKUP_TIMEOUT;
            events.push(Event::Connected { id: None, name: self.name.unpadded().into() });
        } else if let Some(why) = text.strip_prefix(b"Error ")
            && !is_registered
        {
            return Err(SessionError::Rejected(String::from_utf8_lossy(why).into_owned()));
        } else if let Some((page, page_count, names)) = parse_page(text) {
            self.handle_list_page(page, page_count, names, events);
        } else {
            events.push(Event::Status { code: None, text: text.into() });
        }
        Ok(())
    }

    /// Adds a page to the partial list. A page out of order discards the list; the next one
    /// replaces it.
    fn handle_list_page(
        &mut self,
        page: u32,
        page_count: u32,
        names: &[u8],
        events: &mut Vec<Event>,
    ) {
        let list = match self.partial_list.take() {
            _ if page == 1 => {
                Some(PartialList { page_count, pages_received: 0, names: BTreeSet::new() })
            }
            Some(list) if list.page_count == page_count && list.pages_received + 1 == page => {
                Some(list)
            }
            _ => None,
        };
        let Some(mut list) = list else { return };
        let names = names.split(|&byte| byte == b' ');
        let names = names.filter(|name| !name.is_empty() && *name != self.name.unpadded());
        list.names.extend(names.map(Text::from));
        list.pages_received = page;
        if page < page_count {
            self.partial_list = Some(list);
            return;
        }
        let (current, previous) = (list.names, self.others.take().unwrap_or_default());
        let (left, joined) =
            (previous.difference(&current).cloned(), current.difference(&previous).cloned());
        events.extend(left.map(|name| Event::Quit { id: None, name: Some(name), text: None }));
        events.extend(joined.map(|name| Event::Join { id: None, name, info: None }));
        self.others = Some(current);
    }
}

/// Returns the name of a room as a destination.
fn parse_room(room: &str) -> Result<Name, LineError> {
    Name::new(room.as_bytes()).ok_or_else(|| {
        LineError::Invalid(format!(
            "{room}: the name of a room has at most {NAME_BYTES} bytes on this wire"
        ))
    })
}

/// Parses the seconds of an `Interval` message. Returns `None` unless they are a positive number.
fn parse_interval(seconds: &[u8]) -> Option<Duration> {
    let seconds: f64 = str::from_utf8(seconds).ok()?.split_whitespace().next()?.parse().ok()?;
    let seconds = Some(seconds).filter(|seconds| *seconds > 0.0)?.min(INTERVAL_SECONDS_MAX);
    Some(Duration::from_secs_f64(seconds).max(INTERVAL_MIN))
}

/// Parses `List I/N NAME NAME …` into I, N and the names. Returns `None` for any other text.
fn parse_page(text: &[u8]) -> Option<(u32, u32, &[u8])> {
    let rest = text.strip_prefix(b"List ")?;
    let end = rest.iter().position(|&byte| byte == b' ').unwrap_or(rest.len());
    let (position, names) = rest.split_at(end);
    let (page, page_count) = str::from_utf8(position).ok()?.split_once('/')?;
    let (page, page_count) = (page.parse().ok()?, page_count.parse().ok()?);
    (1..=page_count).contains(&page).then_some((page, page_count, names))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_interval(seconds: &str, expected_micros: Option<u64>) {
        let expected = expected_micros.map(Duration::from_micros);
        assert_eq!(parse_interval(seconds.as_bytes()), expected, "{seconds}");
    }

    #[test]
    fn interval_must_be_positive_and_is_clamped() {
        check_interval("10", Some(10_000_000));
        check_interval("0.25", Some(250_000));
        check_interval("10.0 seconds", Some(10_000_000));
        check_interval("0.000001", Some(10_000));
        check_interval("1e300", Some(86_400_000_000));
        check_interval("inf", Some(86_400_000_000));
        for wrong in ["0", "-1", "NaN", "", "ten"] {
            check_interval(wrong, None);
        }
    }

    #[track_caller]
    fn check_page(text: &str, expected: Option<(u32, u32, &str)>) {
        let expected = expected.map(|(number, count, names)| (number, count, names.as_bytes()));
        assert_eq!(parse_page(text.as_bytes()), expected, "{text}");
    }

    #[test]
    fn list_page_parses_into_page_count_and_names() {
        check_page("List 1/1 alice bob", Some((1, 1, " alice bob")));
        check_page("List 2/3", Some((2, 3, "")));
        for other in
            ["List", "List ", "List of names", "List 0/1 a", "List 2/1 a", "List 1/", "list 1/1"]
        {
            check_page(other, None);
        }
    }
}
