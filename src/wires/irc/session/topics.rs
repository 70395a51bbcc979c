//! The topics of rooms.

use std::borrow::Cow;

use super::Session;
use crate::limits::TOPIC_BYTES_MAX;
use crate::relay::Relay;
use crate::room::RoomName;
use crate::wires::irc::line::Line;
use crate::wires::irc::numerics as n;
use crate::wires::irc::text::truncated;
use crate::wires::irc::write::ascii;
use crate::wires::{Effect, Effects, NoticeCx, RoomAction, RoomRequest, SessionCx};

/// Returns the topic of a room; empty if there is none.
pub(super) fn topic_text<'r>(relay: &'r Relay, room: RoomName<'_>) -> Cow<'r, str> {
    relay.topic(room).map_or(Cow::Borrowed(""), |topic| String::from_utf8_lossy(topic.text))
}

impl Session {
    pub(super) fn handle_topic<'a>(
        &self,
        line: &Line<'a>,
        cx: &mut SessionCx<'_>,
        effects: &mut Effects<'a>,
    ) {
        let room = line.param(0);
        if room.is_empty() {
            return self.need_more_params("TOPIC", cx);
        }
        if line.params.len() > 1 {
            if self.joined_room(room, cx).is_some() {
                let text = truncated(line.param(1), TOPIC_BYTES_MAX);
                let action = RoomAction::Topic(Cow::Borrowed(text.as_bytes()));
                let room = Cow::Borrowed(room.as_bytes());
                effects.push(Effect::Room(RoomRequest { room, action }));
            }
        } else if let Some(name) = self.existing_room(room, cx)
            && !self.write_topic(name, cx.relay, &mut cx.notice_cx())
        {
            self.reply(&mut cx.notice_cx(), n::NO_TOPIC, &[room], "No topic is set");
        }
    }

    /// Writes the topic of a room, and who has set it. Returns false if there is none.
    pub(super) fn write_topic(
        &self,
        room: RoomName<'_>,
        relay: &Relay,
        cx: &mut NoticeCx<'_>,
    ) -> bool {
        let Some(topic) = relay.topic(room) else { return false };
        let room = String::from_utf8_lossy(room.as_bytes());
        self.reply(cx, n::TOPIC, &[&room], &String::from_utf8_lossy(topic.text));
        let nick = cx.names.nicks.nick(topic.user, topic.name);
        let set_at = topic.set_at.as_secs().to_string();
        self.reply_words(cx, n::TOPIC_SET_BY, &[&room, ascii(&nick), &set_at]);
        true
    }
}
