//! The texts of chats: some are long or not UTF-8, which a plain server may not survive.

use std::fmt;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use super::stops::users_of;
use super::{Condition, Event, Scenario};
use crate::sim::Silence;

/// Separates these choices from the others of a seed.
const TEXTS_SEED: u64 = 0x7e_0a5e;
/// Likewise, for the chats to users who do not read.
const FLOODS_SEED: u64 = 0xf1_00d5;
/// Likewise, for the chats that are more than may wait.
const BURSTS_SEED: u64 = 0xb0_0575;
/// Lengths of texts, in bytes, around the longest that plain servers are sent, which is 1,010.
const LONG_TEXT_BYTES: std::ops::RangeInclusive<u32> = 1000..=1030;
/// Lengths of texts that plain servers are not sent, in bytes.
const UNREADABLE_TEXT_BYTES: std::ops::RangeInclusive<u32> = 1011..=1030;

/// The chats that a user who does not read is sent: more than its connection and its queue hold.
const FLOOD_CHATS: u32 = 24;
/// Length of their texts, in bytes.
const FLOOD_TEXT_BYTES: u32 = 8192;

/// Length of the texts in a burst, in bytes.
const BURST_TEXT_BYTES: u32 = 8000;
/// Numbers of chats in a burst: more than may wait for the hosts of a lost link, which is 2 MiB,
/// and more than a send queue holds with what is kept, which is 8 MiB.
const BURST_CHATS: [u32; 2] = [300, 1100];

impl Scenario {
    /// Returns whether the user with an id is sent more than its queue holds: it may be closed,
    /// also if it reads, once its server has been paused.
    pub(super) fn is_flooded(&self, id: u32) -> bool {
        self.is_sent(id, ChatText::Bytes(FLOOD_TEXT_BYTES))
    }

    /// Returns whether the user with an id is sent so much that it may be closed: more than its
    /// queue holds, if its server has been paused or it does not read.
    pub(super) fn may_be_closed(&self, id: u32) -> bool {
        self.is_flooded(id) || self.is_sent(id, ChatText::Bytes(BURST_TEXT_BYTES))
    }

    fn is_sent(&self, id: u32, text: ChatText) -> bool {
        self.events.iter().any(|event| match event {
            Event::Chat { id: to, text: sent, .. } => *to == id && *sent == text,
            _ => false,
        })
    }
}

/// What follows the number of a chat, and its destination, in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChatText {
    /// Nothing.
    Number,
    /// As much as makes the text this long, in bytes.
    Bytes(u32),
    /// Bytes that are not UTF-8.
    NotUtf8,
}

impl fmt::Display for ChatText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number => Ok(()),
            Self::Bytes(bytes) => write!(f, " --bytes {bytes}"),
            Self::NotUtf8 => f.write_str(" --not-utf8"),
        }
    }
}

impl ChatText {
    /// Returns the text of chat number `at` to an id.
    pub(super) fn encode(self, at: usize, to: u32) -> Vec<u8> {
        let mut text = format!("{at} {to}").into_bytes();
        match self {
            Self::Number => {}
            Self::Bytes(bytes) => text.resize(text.len().max(bytes as usize), b'.'),
            Self::NotUtf8 => text.extend(b" \xff\xfe"),
        }
        text
    }
}

/// Gives some chats other texts. If there are plain servers, these texts are not sent to them: more
/// than 1,024 bytes in one read end some, and chats are sent at once.
pub(super) fn draw_texts(seed: u64, has_plain_servers: bool, events: &mut [Event]) {
    let mut rng = StdRng::seed_from_u64(seed ^ TEXTS_SEED);
    if !rng.random_bool(Condition::Texts.share()) {
        return;
    }
    for event in events {
        if let Event::Chat { text, .. } = event
            && rng.random_bool(0.3)
        {
            *text = match rng.random_range(0..3) {
                0 => ChatText::NotUtf8,
                _ if has_plain_servers => ChatText::Bytes(rng.random_range(UNREADABLE_TEXT_BYTES)),
                _ => ChatText::Bytes(rng.random_range(LONG_TEXT_BYTES)),
            };
        }
    }
}

/// Lets users stop reading, and sends them more than their queues hold.
pub(super) fn draw_floods(seed: u64, events: &mut Vec<Event>) {
    let mut rng = StdRng::seed_from_u64(seed ^ FLOODS_SEED);
    if !rng.random_bool(Condition::Floods.share()) {
        return;
    }
    for _ in 0..rng.random_range(1..=3) {
        let at = rng.random_range(0..=events.len());
        let users = users_of(&events[..at]);
        let (Some(&(reader, id)), Some(&(user, _))) =
            (users.choose(&mut rng), users.choose(&mut rng))
        else {
            continue;
        };
        let text = ChatText::Bytes(FLOOD_TEXT_BYTES);
        let stop = Event::StopReading { user: reader };
        events.splice(at..at, [stop, Event::Chat { user, id, count: FLOOD_CHATS, text }]);
    }
}

/// Lets links become silent, and sends over them more than may wait, before or after their ends
/// notice.
pub(super) fn draw_bursts(seed: u64, server_count: usize, events: &mut Vec<Event>) {
    let mut rng = StdRng::seed_from_u64(seed ^ BURSTS_SEED);
    if !rng.random_bool(Condition::Bursts.share()) {
        return;
    }
    let at = rng.random_range(0..=events.len());
    let users = users_of(&events[..at]);
    // The mail of a direct user has bounds of its own.
    let is_direct = |number| {
        events.iter().any(|event| match *event {
            Event::Join { user, is_direct, .. } => is_direct && user == number,
            _ => false,
        })
    };
    let senders: Vec<_> = users.iter().filter(|&&(user, _)| !is_direct(user)).collect();
    let (Some(&&(user, _)), Some(&(_, id))) = (senders.choose(&mut rng), users.choose(&mut rng))
    else {
        return;
    };
    let server = rng.random_range(0..server_count);
    // If one direction alone is silent, chats go on, and nothing says that they were handled.
    let silence = [Silence::Both, Silence::Up, Silence::Down][rng.random_range(0..3)];
    let silence = Event::Silence { server, silence, span: None };
    let is_noticed = rng.random();
    let wait = Event::Wait(Duration::from_secs(if is_noticed { 16 } else { 0 }));
    let count = BURST_CHATS[rng.random_range(0..BURST_CHATS.len())];
    let text = ChatText::Bytes(BURST_TEXT_BYTES);
    events.splice(at..at, [silence, wait, Event::Chat { user, id, count, text }]);
}
