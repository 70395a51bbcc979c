//! What users are sent, and the predicates on it that hold after every step.

use crc::id::HostId;
use crc::limits::FRAME_BYTES_MAX;
use crc::relay::message::{HostKind, Message, StatusCode};
use crc::wires::crc::codec;

use super::explorer::Broken;
use super::network::Network;
use super::state::{Standing, State};
use crate::frames::split_frames;

/// Returns the text of a chat, by which it is recognized.
pub(super) fn chat_text(chat: usize) -> String {
    chat.to_string()
}

fn chat_number(text: &[u8]) -> Option<usize> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Returns the numbers of the chats in a write between servers.
pub(super) fn chats_in(bytes: &[u8]) -> Vec<usize> {
    let frames = split_frames(bytes);
    let number = |frame: &Vec<u8>| match codec::parse_frame(frame) {
        Message::Chat { text, .. } => chat_number(text),
        _ => None,
    };
    frames.iter().filter_map(number).collect()
}

/// Handles what a user is sent.
pub(super) fn receive(
    network: &Network,
    state: &mut State,
    user: usize,
    mut bytes: &[u8],
) -> Result<(), Broken> {
    while !bytes.is_empty() {
        let parsed = codec::parse(bytes, FRAME_BYTES_MAX);
        let (message, len) =
            parsed.ok().flatten().ok_or_else(|| format!("whole frames: to user#{user}"))?;
        handle(network, state, user, &message)?;
        bytes = &bytes[len..];
    }
    Ok(())
}

fn handle(
    network: &Network,
    state: &mut State,
    user: usize,
    message: &Message<'_>,
) -> Result<(), Broken> {
    let view = |text: String| Err(format!("client view: {text} to user#{user}"));
    let it = &mut state.users[user];
    match *message {
        Message::Registration(host) if host.kind == HostKind::Server => {
            view(format!("server {} was announced", host.source))
        }
        Message::Registration(host) if !it.known.insert(host.source.0) => {
            view(format!("user {} was announced twice", host.source))
        }
        Message::ClientQuit { source, .. } if !it.known.remove(&source.0) => {
            view(format!("the quit of {source}, who was never announced, was sent"))
        }
        Message::ServerQuit { source, .. } => view(format!("the quit of server {source} was sent")),
        Message::Chat { source, .. } if !it.known.contains(&source.0) => {
            view(format!("a chat of {source}, who was not announced, was sent"))
        }
        Message::Chat { source, destination, text } => {
            check_chat(network, state, user, (source, destination), text)
        }
        Message::Status { code: StatusCode::WELCOME, .. } => {
            if let Standing::Registering(conn) = it.standing {
                it.standing = Standing::Online(conn);
            }
            Ok(())
        }
        Message::Status { code: StatusCode::ID_TAKEN, .. } => {
            it.leave();
            Ok(())
        }
        Message::Registration(_) | Message::ClientQuit { .. } | Message::Status { .. } => Ok(()),
    }
}

/// Checks a chat that reaches a user.
fn check_chat(
    network: &Network,
    state: &mut State,
    user: usize,
    (source, destination): (HostId, HostId),
    text: &[u8],
) -> Result<(), Broken> {
    let fail = |what: &str| {
        let text = String::from_utf8_lossy(text);
        Err(format!("{what}: chat `{text}` from {source} to user#{user}"))
    };
    let chats_of = |user: usize| {
        let first = network.first_chat(user);
        first..first + network.users[user].script.len()
    };
    let Some(chat) = chat_number(text) else { return fail("authentic") };
    let Some(sender) = (0..network.users.len()).find(|&user| chats_of(user).contains(&chat)) else {
        return fail("authentic");
    };
    if network.users[sender].id != source.0 {
        return fail("authentic");
    }
    if network.users[user].id != destination.0 {
        return fail("no misdelivery");
    }
    if !state.delivered.insert(chat) {
        return fail("no duplicate");
    }
    let latest = state.users[user].latest[sender].replace(chat);
    if latest.is_some_and(|latest| latest > chat) && !state.has_faulted {
        return fail("order");
    }
    Ok(())
}
