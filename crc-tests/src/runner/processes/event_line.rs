//! Parses the lines that `crc client --json` prints, as `docs/PROTOCOL.md`, "Events of the client",
//! describes them.

use std::fmt::Display;

use crc::internal::Printable;
use crc::internal::client::{Event, RoomSize, Text, User};
use crc::wires::Wire;
use serde_json::Value;

/// Parses a line of a client on `wire`. Returns `None` for an event that changes no list.
///
/// # Errors
/// The line is not a documented event; the message shows it.
pub(super) fn parse_event_line(wire: Wire, line: &str) -> Result<Option<Event>, String> {
    let invalid = |why: &dyn Display| {
        let line = Printable(line.as_bytes());
        format!("not an event, {why}: {line}")
    };
    let event: Value = serde_json::from_str(line).map_err(|error| invalid(&error))?;
    parse_event(wire, &event).map_err(|why| invalid(&why))
}

fn parse_event(wire: Wire, event: &Value) -> Result<Option<Event>, String> {
    let optional_text = |name: &str| event[name].as_str().map(Text::from);
    let text = |name: &str| optional_text(name).ok_or_else(|| format!("no `{name}`"));
    let has_ids = wire != Wire::CLASSIC;
    let id = |name: &str| match event[name].as_i64() {
        Some(id) if has_ids => Ok(Some(id)),
        None if !has_ids && event[name].is_null() => Ok(None),
        _ if has_ids => Err(format!("`{name}` is not an id")),
        _ => Err(format!("`{name}` on a wire without it")),
    };
    // Only CRC clients know others by an id.
    let other_id = || match id("id")? {
        Some(_) if wire != Wire::CRC => Err("`id` on a wire without it".to_owned()),
        Some(id) if u32::try_from(id).is_err() => Err("`id` is not an id".to_owned()),
        id => Ok(id),
    };
    // A message to a room names its sender by an id, or by a name that several may have.
    let room_sender = |name: &str| match event[name].is_null() {
        true => Ok(None),
        false => id(name),
    };
    // A wire without ids has names everywhere.
    let name = || if has_ids { Ok(optional_text("name")) } else { text("name").map(Some) };
    Ok(Some(match event["event"].as_str() {
        Some("connected") => Event::Connected { id: id("id")?, name: text("name")? },
        Some("disconnected") => Event::Disconnected { text: text("text")? },
        Some("status") => {
            let code = event["code"].as_u64().and_then(|code| u16::try_from(code).ok());
            Event::Status { code, text: text("text")? }
        }
        Some("chat") => Event::Chat { from: id("from")?, name: name()?, text: text("text")? },
        Some("join") => {
            Event::Join { id: other_id()?, name: text("name")?, info: optional_text("info") }
        }
        Some("quit") => Event::Quit { id: other_id()?, name: name()?, text: optional_text("text") },
        Some("room") => {
            let (room, text) = (text("room")?, text("text")?);
            Event::Room { room, from: room_sender("from")?, name: optional_text("name"), text }
        }
        Some("rooms") => Event::Rooms { rooms: list(event, "rooms", parse_room)?, more: false },
        Some("room_users") => {
            let users = list(event, "users", parse_user)?;
            Event::RoomUsers { room: text("room")?, users, more: false }
        }
        Some("error") => Event::Error { text: text("text")? },
        Some("users" | "help" | "room_join" | "room_part") => return Ok(None),
        _ => return Err("unknown `event`".to_owned()),
    }))
}

fn list<T>(event: &Value, name: &str, parse: fn(&Value) -> Option<T>) -> Result<Vec<T>, String> {
    let items = event[name].as_array().and_then(|items| items.iter().map(parse).collect());
    items.ok_or_else(|| format!("no list `{name}`"))
}

fn parse_room(room: &Value) -> Option<RoomSize> {
    Some(RoomSize { room: Text::from(room["room"].as_str()?), users: room["users"].as_u64()? })
}

fn parse_user(user: &Value) -> Option<User> {
    Some(User { id: user["id"].as_i64(), name: Text::from(user["name"].as_str()?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that an event is parsed from the line that the client prints for it.
    #[track_caller]
    fn check(wire: Wire, event: Event) {
        assert_eq!(parse_event_line(wire, &event.to_json()), Ok(Some(event)));
    }

    #[test]
    fn printed_events_are_parsed_on_every_wire() {
        let (id, name) = (Some(102), Some(Text::from("sam")));
        for (wire, id) in [(Wire::CRC, id), (Wire::DIRECT, id), (Wire::CLASSIC, None)] {
            check(wire, Event::Connected { id, name: "sam".into() });
            check(wire, Event::Chat { from: id, name: name.clone(), text: "\"Hi\"".into() });
            check(wire, Event::Status { code: Some(9), text: "Hi".into() });
            check(wire, Event::Disconnected { text: "gone".into() });
            check(wire, Event::error("no"));
        }
        for (wire, id) in [(Wire::CRC, id), (Wire::CLASSIC, None)] {
            check(wire, Event::Join { id, name: "sam".into(), info: Some("x".into()) });
            check(wire, Event::Quit { id, name: name.clone(), text: None });
        }
        let from = Some(9_007_199_254_740_993);
        check(Wire::DIRECT, Event::Chat { from, name: None, text: "Hi".into() });
        let help = Event::Help { text: "a\nb".into() }.to_json();
        assert_eq!(parse_event_line(Wire::CRC, &help), Ok(None));
    }

    #[test]
    fn invalid_event_line_is_reported_with_its_text() {
        let error = |wire, line| parse_event_line(wire, line).expect_err(line);
        for (line, expected) in [
            ("\u{1b}[2J", "not an event, expected value"),
            ("\u{1b}", "\\u{1b}"),
            (r#"{"event":"dance"}"#, "unknown `event`"),
            (r#"{"event":"join","id":-1,"name":"sam"}"#, "`id` is not an id"),
            (r#"{"event":"join","name":"sam"}"#, "`id` is not an id"),
            (r#"{"event":"chat","from":7}"#, "no `text`"),
        ] {
            assert!(error(Wire::CRC, line).contains(expected), "{}", error(Wire::CRC, line));
        }
        let join = r#"{"event":"join","id":7,"name":"sam"}"#;
        for wire in [Wire::DIRECT, Wire::CLASSIC] {
            assert!(error(wire, join).contains("`id` on a wire without it"));
        }
        let chat = r#"{"event":"chat","text":"Hi"}"#;
        assert!(error(Wire::CLASSIC, chat).contains("no `name`"));
    }
}
