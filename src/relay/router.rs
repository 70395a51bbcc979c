//! [`Router`]: chats, statuses and quits, each sent on over the first link of its destination.

mod profiles;
mod refusal;
mod room_chats;
mod rooms;
mod topics;

use std::collections::VecDeque;

use super::announcements::Announcements;
use super::cx::RelayCx;
use super::extension::{Frame, RoomChat};
use super::forward::forward_status;
use super::message::{HostKind, Message, StatusCode};
use super::outbox::Outbox;
use super::peering::{DeferredMessage, Peering};
use super::topology::{FirstLink, Refusal, Role, SplitId, Topology};
use crate::id::HostId;
use crate::limits::{STATUS_UPDATE_BYTES_MAX, STATUS_UPDATES_MAX};
use crate::link::{CloseReason, LinkId};
use crate::printable::{Excerpt, truncated};

pub(super) use self::profiles::change_profile;
pub use self::refusal::RoomRefusal;
pub(super) use self::room_chats::{chat, refuse};
pub(super) use self::rooms::{join, part};
pub(super) use self::topics::{check_topics, on_topics_due, set_topic};

/// The route of chats between two hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    /// Over this link, unchanged.
    Forward(LinkId),
    /// Over this link, if the other end reads it; the sender may have to be announced first.
    Introduce(LinkId),
    /// The link towards the destination is lost; the chats may wait for it.
    Defer(SplitId),
    /// Back over the link on which they arrived: the neighbour's table differs from this one.
    WouldLoop,
    /// No host has the id of the destination.
    UnknownId,
    /// The source is not behind the link.
    FalseSource,
}

/// The statuses addressed to this server, and the count of what could not be routed.
#[derive(Clone, Debug, Default)]
pub(super) struct Router {
    status_updates: VecDeque<String>,
    unroutable: u64,
}

/// Returns the route of chats from `source` to `destination` that arrive over `link`.
#[inline]
fn route(
    topology: &Topology,
    announcements: &Announcements,
    link: LinkId,
    source: HostId,
    destination: HostId,
) -> Route {
    if !topology.is_valid_source(source, link) {
        return Route::FalseSource;
    }
    let Some(host) = topology.hosts().get(destination) else { return Route::UnknownId };
    match topology.first_link(host) {
        FirstLink::Split(split) => Route::Defer(split),
        FirstLink::Link(next_hop) if next_hop == link => {
            let is_to_itself = destination == source && host.kind == HostKind::User;
            if is_to_itself { Route::Introduce(next_hop) } else { Route::WouldLoop }
        }
        // A server may be sent a command.
        FirstLink::Link(next_hop) if host.kind == HostKind::Server => Route::Introduce(next_hop),
        FirstLink::Link(next_hop)
            if announcements.is_chat_handled_alone(topology, source, next_hop) =>
        {
            Route::Introduce(next_hop)
        }
        FirstLink::Link(next_hop) => Route::Forward(next_hop),
    }
}

/// Returns the link over which chats from `source` to `destination` that arrive over `link` are
/// forwarded unchanged, or `None` if each chat must be handled alone.
#[inline]
pub(super) fn next_hop(
    topology: &Topology,
    announcements: &Announcements,
    link: LinkId,
    source: HostId,
    destination: HostId,
) -> Option<LinkId> {
    match route(topology, announcements, link, source, destination) {
        Route::Forward(next_hop) => Some(next_hop),
        _ => None,
    }
}

impl Router {
    /// Iterates over the newest statuses that were addressed to this server, oldest first.
    pub(super) fn status_updates(&self) -> impl Iterator<Item = &str> {
        self.status_updates.iter().map(String::as_str)
    }

    /// Returns the number of chats and statuses that could not be routed.
    pub(super) fn unroutable(&self) -> u64 {
        self.unroutable
    }

    /// Handles a chat.
    pub(super) fn handle_chat<O: Outbox>(
        &mut self,
        link: LinkId,
        (source, destination): (HostId, HostId),
        text: &[u8],
        peering: &mut Peering,
        cx: &mut RelayCx<'_, O>,
    ) {
        if rooms::handle_command(link, (source, destination), text, cx) {
            return;
        }
        match route(cx.topology, cx.announcements, link, source, destination) {
            Route::Forward(next_hop) => cx.send_chat(next_hop, source, destination, text),
            Route::Introduce(next_hop) => {
                cx.introduce(source, next_hop);
                cx.send_chat(next_hop, source, destination, text);
            }
            Route::Defer(split) => {
                let message = DeferredMessage::chat(source, destination, text, cx.topology);
                let is_deferred = peering.defer(split, message, cx.limits);
                if !is_deferred && !peering.hold_back(destination, link, cx) {
                    cx.send_unknown_id(link, source, destination);
                }
            }
            Route::WouldLoop => {
                self.unroutable += 1;
                cx.send_unknown_id(link, source, destination);
            }
            Route::UnknownId => {
                let ids = (source, destination);
                if !room_chats::handle_chats_to_room(link, ids, &[text], peering, cx) {
                    cx.send_unknown_id(link, source, destination);
                }
            }
            Route::FalseSource => cx.drop_false_source(link, source),
        }
    }

    /// Handles messages that continue each other, see [`continues_room_run`].
    pub(super) fn handle_room_run<O: Outbox>(
        &mut self,
        link: LinkId,
        messages: &[Message<'_>],
        peering: &mut Peering,
        cx: &mut RelayCx<'_, O>,
    ) {
        match messages {
            [Message::Chat { source, destination, .. }, ..] => {
                let texts = messages.iter().filter_map(|message| match *message {
                    Message::Chat { text, .. } => Some(text),
                    _ => None,
                });
                let texts: Vec<&[u8]> = texts.collect();
                room_chats::handle_chats_to_room(
                    link,
                    (*source, *destination),
                    &texts,
                    peering,
                    cx,
                );
            }
            _ => {
                let chats: Vec<_> = messages.iter().filter_map(RoomChat::of_message).collect();
                room_chats::handle_room_chats(link, &chats, peering, cx);
            }
        }
    }

    /// Handles a status. A status is never answered with another.
    pub(super) fn handle_status<O: Outbox>(
        &mut self,
        link: LinkId,
        (source, destination): (HostId, HostId),
        code: StatusCode,
        text: &[u8],
        peering: &mut Peering,
        cx: &mut RelayCx<'_, O>,
    ) {
        if destination == HostId::EXTENSION {
            return handle_extension(link, source, (code, text), peering, cx);
        }
        let is_for_us = destination == HostId::NONE || destination == cx.topology.own_id();
        if let Role::Unregistered { is_uplink: true, .. } = cx.topology.link(link).role()
            && is_for_us
        {
            // The parent is not registered yet, so its answer has no valid source.
            if code == StatusCode::NOT_ADMITTED {
                self.record_status(text);
                return peering.on_not_admitted(link, source, text, cx);
            }
            log::warn!("link {link}: status {} from the parent: {}", code.0, Excerpt(text));
            self.record_status(text);
            if code == StatusCode::ID_TAKEN {
                peering.on_refused_by_parent(link, source, cx);
            }
            return;
        }
        let is_neighbour = cx.topology.link(link).host_id() == Some(source);
        // The answers of a plain neighbour count even if its id has gone to another host.
        if is_neighbour
            && is_for_us
            && code == StatusCode::UNKNOWN_ID
            && peering.on_unknown_id(link, text, cx)
        {
            return;
        }
        let host = cx.topology.hosts().get(source);
        if host.is_none_or(|host| host.kind != HostKind::Server)
            || !cx.topology.is_home_over(source, link)
        {
            return cx.drop_false_source(link, source);
        }
        if is_for_us {
            log::info!("link {link}: status {} from {source}: {}", code.0, Excerpt(text));
            return self.record_status(text);
        }
        match cx.topology.hosts().get(destination).map(|host| cx.topology.first_link(host)) {
            Some(FirstLink::Link(next_hop)) if next_hop != link => {
                forward_status(next_hop, (source, destination), code, text, cx);
            }
            Some(FirstLink::Split(split)) if code == StatusCode::MAIL => {
                let message = DeferredMessage::status((source, destination), code, text);
                let is_deferred = peering.defer(split, message, cx.limits);
                if !is_deferred && !peering.hold_back(destination, link, cx) {
                    self.drop_unroutable(link, cx);
                }
            }
            _ => self.drop_unroutable(link, cx),
        }
    }

    /// Counts a status that cannot be forwarded: it is not answered with another.
    fn drop_unroutable<O: Outbox>(&mut self, link: LinkId, cx: &mut RelayCx<'_, O>) {
        self.unroutable += 1;
        cx.topology.count_refusal(link, Refusal::UnknownId);
    }

    fn record_status(&mut self, text: &[u8]) {
        if self.status_updates.len() == STATUS_UPDATES_MAX {
            self.status_updates.pop_front();
        }
        let text = truncated(text, STATUS_UPDATE_BYTES_MAX);
        self.status_updates.push_back(String::from_utf8_lossy(text).into_owned());
    }
}

/// Handles a status to [`HostId::EXTENSION`]. Unknown extensions are ignored.
fn handle_extension<O: Outbox>(
    link: LinkId,
    source: HostId,
    (code, text): (StatusCode, &[u8]),
    peering: &mut Peering,
    cx: &mut RelayCx<'_, O>,
) {
    match Frame::parse(code, text) {
        Some(Ok(Frame::RoomChat(chat))) if is_from_neighbour(link, source, cx) => {
            room_chats::handle_room_chats(link, &[chat], peering, cx);
        }
        Some(Ok(Frame::RoomTopic(topic))) if is_from_neighbour(link, source, cx) => {
            topics::learn_topic(link, &topic, cx);
        }
        Some(Ok(frame)) => peering.handle_extension(link, source, &frame, cx),
        Some(Err(error)) => {
            log::debug!("link {link}: {error}");
            cx.topology.count_refusal(link, Refusal::Unexpected);
        }
        None => peering.settle_as_plain(link, cx),
    }
}

/// Returns whether a message that arrived over `link` is one to a room, so that it may be handled
/// with those that [continue](continues_room_run) it.
pub(super) fn begins_room_run(topology: &Topology, link: LinkId, message: &Message<'_>) -> bool {
    let state = topology.link(link);
    match *message {
        Message::Chat { source, destination, .. } => {
            topology.rooms().shown_under(destination).is_some()
                && !state.is_extended()
                && topology.is_valid_source(source, link)
        }
        Message::Status { source, destination: HostId::EXTENSION, code, .. } => {
            code == StatusCode::ROOM_CHAT
                && state.is_extended()
                && state.host_id() == Some(source)
                && RoomChat::of_message(message).is_some()
        }
        _ => false,
    }
}

/// Returns whether two messages are from one neighbour to one room, and for the same members.
pub(super) fn continues_room_run(first: &Message<'_>, next: &Message<'_>) -> bool {
    match (first, next) {
        (
            Message::Chat { source, destination, .. },
            Message::Chat { source: next_source, destination: next_destination, .. },
        ) => (source, destination) == (next_source, next_destination),
        (
            Message::Status { source, destination: HostId::EXTENSION, .. },
            Message::Status { source: next_source, destination: HostId::EXTENSION, .. },
        ) => {
            let (first, next) = (RoomChat::of_message(first), RoomChat::of_message(next));
            let is_same = |(first, next): (RoomChat<'_>, RoomChat<'_>)| {
                first.room == next.room && first.home == next.home
            };
            source == next_source && first.zip(next).is_some_and(is_same)
        }
        _ => false,
    }
}

/// Returns whether a frame of the extension comes from the neighbour on an extended link.
fn is_from_neighbour<O: Outbox>(link: LinkId, source: HostId, cx: &RelayCx<'_, O>) -> bool {
    let state = cx.topology.link(link);
    state.is_extended() && state.host_id() == Some(source)
}

/// Handles a quit of the form for hosts of `kind`. A quit that did not arrive over the first link
/// of its source withdraws the claim of the link on that id, if it has one.
pub(super) fn handle_quit<O: Outbox>(
    link: LinkId,
    kind: HostKind,
    source: HostId,
    text: &[u8],
    peering: &mut Peering,
    cx: &mut RelayCx<'_, O>,
) {
    if cx.topology.is_home_over(source, link) {
        match kind {
            HostKind::User => handle_client_quit(link, source, text, peering, cx),
            HostKind::Server => handle_server_quit(link, source, text, peering, cx),
        }
    } else if !peering.withdraw_claim(link, source, cx.timers) {
        cx.drop_false_source(link, source);
    }
}

/// Handles the quit of a user behind a link.
fn handle_client_quit<O: Outbox>(
    link: LinkId,
    source: HostId,
    text: &[u8],
    peering: &mut Peering,
    cx: &mut RelayCx<'_, O>,
) {
    let is_of_user = cx.topology.link(link).is_user();
    let host = cx.topology.hosts().get(source);
    if is_of_user || host.is_some_and(|host| host.kind == HostKind::User) {
        peering.remove_host(source, text, cx);
        if is_of_user {
            cx.out.close(link, CloseReason::Quit);
        }
    } else {
        cx.drop_false_source(link, source);
    }
}

/// Handles the quit of the adjacent server or of one behind it. The users behind an adjacent server
/// are lost when its link ends.
fn handle_server_quit<O: Outbox>(
    link: LinkId,
    source: HostId,
    text: &[u8],
    peering: &mut Peering,
    cx: &mut RelayCx<'_, O>,
) {
    let host = cx.topology.hosts().get(source);
    if host.is_some_and(|host| host.kind == HostKind::User) {
        cx.drop_false_source(link, source);
    } else if cx.topology.link(link).host_id() == Some(source) {
        cx.out.close(link, CloseReason::ServerQuit(text.to_vec()));
    } else {
        peering.remove_host(source, text, cx);
    }
}

#[cfg(test)]
mod tests;
