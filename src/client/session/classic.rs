//! The client's side of the classic wire (contract section 4): says its name, stays alive, keeps the
//! list of who is online, and turns messages into events.
//!
//! Users are names here, whatever they look like. The server sends the whole list whenever it
//! changes, in pages; nobody has come or left before the last of them is there.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{End, FrameLen, NAME_DEADLINE, NotDone, Session};
use crate::client::event::{Event, Text, User};
use crate::client::grammar::Addressee;
use crate::wires::classic::codec as wire;
use crate::wires::classic::codec::{Form, Message, NAME_BYTES, Name, TEXT_BYTES_MAX};

/// The longest interval that is believed: longer ones are as good as none.
const INTERVAL_SECONDS_MAX: f64 = 24.0 * 60.0 * 60.0;

/// The shortest interval that is kept, so that no server can make its client spin.
const INTERVAL_MIN: Duration = Duration::from_millis(10);

/// A connection to a classic server, as its client.
#[derive(Debug)]
pub(in crate::client) struct Classic {
    name: Name,
    /// `None` until the server has taken the name.
    heartbeat: Option<Heartbeat>,
    /// Everyone but oneself; `None` until the server has told of everyone.
    others: Option<BTreeSet<Text>>,
    /// The pages that have come of a list whose last one has not.
    pages: Option<Pages>,
    /// Until when a list is waited for.
    list_until: Duration,
}

/// When to say that one is alive.
#[derive(Clone, Copy, Debug)]
struct Heartbeat {
    interval: Duration,
    due: Duration,
}

/// The beginning of a list.
#[derive(Debug)]
struct Pages {
    /// How many there are to come in all.
    count: u32,
    /// How many have come.
    read: u32,
    names: BTreeSet<Text>,
}

impl Classic {
    /// A client that is not connected.
    #[must_use]
    pub(in crate::client) fn new(name: Name) -> Self {
        Self { name, heartbeat: None, others: None, pages: None, list_until: Duration::ZERO }
    }
}

impl Session for Classic {
    fn wire(&self) -> &'static str {
        "classic"
    }

    fn frame_len(&self) -> FrameLen {
        |bytes| wire::frame_len(bytes).map_err(|error| error.to_string())
    }

    fn open(&self, out: &mut Vec<u8>) {
        self.tell_server(b"Connect ", out);
    }

    fn hear(
        &mut self,
        now: Duration,
        frame: &[u8],
        _out: &mut Vec<u8>,
        events: &mut Vec<Event>,
    ) -> Result<(), End> {
        match wire::parse_frame(frame) {
            None => Ok(()),
            Some(Message { source: Name::SERVER, text, .. }) => self.hear_server(now, text, events),
            Some(Message { source, text, .. }) => {
                let name = Some(source.unpadded().into());
                events.push(Event::Chat { from: None, name, text: text.into() });
                Ok(())
            }
        }
    }

    fn clean(&self, line: &mut String) {
        if line.contains('\0') {
            *line = line.replace('\0', " ");
        }
    }

    /// The name goes out as it was typed: the server answers if nobody has it.
    fn say(
        &self,
        _now: Duration,
        to: Addressee<'_>,
        text: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), NotDone> {
        let (Addressee::Number(name) | Addressee::NumberOrName(name) | Addressee::Name(name)) = to;
        let destination = Name::new(name.as_bytes()).filter(|name| !name.unpadded().is_empty());
        let destination = destination.ok_or_else(|| {
            NotDone::Never(format!("{name} is not a name: they have 1 to {NAME_BYTES} bytes"))
        })?;
        for text in wire::split_text(text.as_bytes(), TEXT_BYTES_MAX) {
            let message = Message { destination, source: self.name, text };
            wire::encode(&message, Form::Padded, out);
        }
        Ok(())
    }

    fn users(&self, now: Duration) -> Result<Vec<User>, NotDone> {
        if self.others.is_none() && now < self.list_until {
            return Err(NotDone::Later(self.list_until));
        }
        let user = |name: &Text| User { id: None, name: name.clone() };
        Ok(self.others.iter().flatten().map(user).collect())
    }

    /// The text is dropped: the wire has no place for it.
    fn quit(&self, _text: &str, out: &mut Vec<u8>) -> Result<(), NotDone> {
        self.tell_server(b"Quit ", out);
        Ok(())
    }

    fn next_deadline(&self) -> Option<Duration> {
        self.heartbeat.map(|heartbeat| heartbeat.due)
    }

    fn advance(&mut self, now: Duration, out: &mut Vec<u8>) {
        let Some(Heartbeat { interval, due }) = &mut self.heartbeat else { return };
        if now >= *due {
            // Counted from when it was due, small delays do not add up; long ones are not made up for.
            *due = if *due + *interval > now { *due + *interval } else { now + *interval };
            self.tell_server(b"Alive ", out);
        }
    }
}

impl Classic {
    /// Appends a word and one's own name, for the server.
    fn tell_server(&self, word: &[u8], out: &mut Vec<u8>) {
        let text = [word, self.name.unpadded()].concat();
        let message = Message { destination: Name::SERVER, source: self.name, text: &text };
        wire::encode(&message, Form::Padded, out);
    }

    fn hear_server(
        &mut self,
        now: Duration,
        text: &[u8],
        events: &mut Vec<Event>,
    ) -> Result<(), End> {
        let is_welcome = self.heartbeat.is_some();
        if let Some(seconds) = text.strip_prefix(b"Interval ")
            && !is_welcome
        {
            let interval = interval(seconds).ok_or_else(|| {
                End::Broken(format!("an interval of {:?}", String::from_utf8_lossy(seconds)))
            })?;
            self.heartbeat = Some(Heartbeat { interval, due: now + interval });
            self.list_until = now + NAME_DEADLINE;
            events.push(Event::Connected { id: None, name: self.name.unpadded().into() });
        } else if let Some(why) = text.strip_prefix(b"Error ")
            && !is_welcome
        {
            return Err(End::Refused(String::from_utf8_lossy(why).into_owned()));
        } else if let Some((number, count, names)) = page(text) {
            self.hear_page(number, count, names, events);
        } else {
            events.push(Event::Status { code: None, text: text.into() });
        }
        Ok(())
    }

    /// Adds a page to those before it. One that does not follow them makes them useless: then the
    /// list that the server sends next is waited for.
    fn hear_page(&mut self, number: u32, count: u32, names: &[u8], events: &mut Vec<Event>) {
        let begun = match self.pages.take() {
            _ if number == 1 => Some(Pages { count, read: 0, names: BTreeSet::new() }),
            Some(pages) if pages.count == count && pages.read + 1 == number => Some(pages),
            _ => None,
        };
        let Some(mut pages) = begun else { return };
        let names = names.split(|&byte| byte == b' ');
        let names = names.filter(|name| !name.is_empty() && *name != self.name.unpadded());
        pages.names.extend(names.map(Text::from));
        pages.read = number;
        if number < count {
            self.pages = Some(pages);
            return;
        }
        let (now, before) = (pages.names, self.others.take().unwrap_or_default());
        let (left, joined) = (before.difference(&now).cloned(), now.difference(&before).cloned());
        events.extend(left.map(|name| Event::Quit { id: None, name: Some(name), text: None }));
        events.extend(joined.map(|name| Event::Join { id: None, name, info: None }));
        self.others = Some(now);
    }
}

/// The span in an `KeepaliveInterval`; `None` if it is none.
fn interval(seconds: &[u8]) -> Option<Duration> {
    let seconds: f64 = str::from_utf8(seconds).ok()?.split_whitespace().next()?.parse().ok()?;
    let seconds = Some(seconds).filter(|seconds| *seconds > 0.0)?.min(INTERVAL_SECONDS_MAX);
    Some(Duration::from_secs_f64(seconds).max(INTERVAL_MIN))
}

/// `List I/N NAME NAME …`: I, N and the names. `None` for anything else.
fn page(text: &[u8]) -> Option<(u32, u32, &[u8])> {
    let rest = text.strip_prefix(b"List ")?;
    let end = rest.iter().position(|&byte| byte == b' ').unwrap_or(rest.len());
    let (place, names) = rest.split_at(end);
    let (number, count) = str::from_utf8(place).ok()?.split_once('/')?;
    let (number, count) = (number.parse().ok()?, count.parse().ok()?);
    (1..=count).contains(&number).then_some((number, count, names))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_interval(seconds: &str, expected_micros: Option<u64>) {
        let expected = expected_micros.map(Duration::from_micros);
        assert_eq!(interval(seconds.as_bytes()), expected, "{seconds}");
    }

    #[test]
    fn an_interval_is_a_positive_number() {
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
        assert_eq!(page(text.as_bytes()), expected, "{text}");
    }

    #[test]
    fn a_page_says_which_it_is_of_how_many() {
        check_page("List 1/1 alice bob", Some((1, 1, " alice bob")));
        check_page("List 2/3", Some((2, 3, "")));
        for other in
            ["List", "List ", "List of names", "List 0/1 a", "List 2/1 a", "List 1/", "list 1/1"]
        {
            check_page(other, None);
        }
    }
}
