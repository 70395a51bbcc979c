//! Messages to all members of a room.
//!
//! A room message crosses each link at most once, and only towards members. What is for the members
//! at a lost server waits for that server, as chats wait for lost hosts. Messages to one room that
//! arrive together are delivered together, so that each member is looked at once. See "Rooms" in
//! `docs/PROTOCOL.md`.

use smallvec::SmallVec;

use super::refusal::RoomRefusal;
use crate::id::HostId;
use crate::limits::{ROOM_COPIES_MAX, ROOM_FRAME_HEADROOM_BYTES};
use crate::link::LinkId;
use crate::printable::Printable;
use crate::relay::cx::RelayCx;
use crate::relay::extension::{Frame, RoomChat};
use crate::relay::marks::MarkedText;
use crate::relay::message::StatusCode;
use crate::relay::notice::{Notice, RoomChats, RoomText};
use crate::relay::outbox::Outbox;
use crate::relay::peering::{DeferredMessage, Peering};
use crate::relay::plain;
use crate::relay::send;
use crate::relay::topology::{FirstLink, OwnMember, ServerKey, Speech, SplitId};
use crate::room::RoomName;

/// Sends messages of a user of this server to a room. `on_refusal` is called for those that are
/// refused, once for several with the same reason.
pub(in crate::relay) fn chat<O: Outbox>(
    user: HostId,
    name: &[u8],
    texts: &[&[u8]],
    peering: &mut Peering,
    cx: &mut RelayCx<'_, O>,
    mut on_refusal: impl FnMut(&mut RelayCx<'_, O>, &RoomRefusal),
) {
    let room = match RoomName::parse(name) {
        Ok(room) => room,
        Err(error) => return on_refusal(cx, &error.into()),
    };
    let mut chats: SmallVec<[RoomChat<'_>; 1]> = SmallVec::new();
    let mut refusals: SmallVec<[RoomRefusal; 1]> = SmallVec::new();
    for text in texts {
        match check_message(user, room, text, cx) {
            Ok(()) => {
                let number = cx.topology.next_room_number();
                chats.push(RoomChat { user, home: HostId::NONE, number, room, text });
            }
            // Who sends too much is informed once, however much that is.
            Err(refusal) if refusals.last() != Some(&refusal) => refusals.push(refusal),
            Err(_) => {}
        }
    }
    deliver(&chats, peering, cx);
    forward(None, &chats, peering, cx);
    for refusal in refusals {
        on_refusal(cx, &refusal);
    }
}

/// Notifies the user at the other end of a link that a message to a room is refused.
pub(in crate::relay) fn refuse<O: Outbox>(
    link: LinkId,
    room: &[u8],
    refusal: &RoomRefusal,
    cx: &mut RelayCx<'_, O>,
) {
    let reason = refusal.to_string();
    cx.out.notify(link, cx.topology.view(), &Notice::RoomRefused { room, reason: &reason });
}

/// Counts a message of a user of this server to a room.
fn check_message<O: Outbox>(
    user: HostId,
    room: RoomName<'_>,
    text: &[u8],
    cx: &mut RelayCx<'_, O>,
) -> Result<(), RoomRefusal> {
    let text_bytes_max = cx.limits.frame_bytes_max.saturating_sub(ROOM_FRAME_HEADROOM_BYTES);
    if text.len() > text_bytes_max {
        return Err(RoomRefusal::TooLong { text_bytes_max });
    }
    count_message(user, room, cx)
}

/// Counts something of a user of this server that all members of a room are sent.
///
/// # Errors
/// The user is no member, or sends too much.
pub(super) fn count_message<O: Outbox>(
    user: HostId,
    room: RoomName<'_>,
    cx: &mut RelayCx<'_, O>,
) -> Result<(), RoomRefusal> {
    let rate = cx.limits.room_rate;
    match cx.topology.count_room_message(user, room, cx.now, rate) {
        Speech::Counted => Ok(()),
        Speech::NotMember => Err(RoomRefusal::NotMember),
        Speech::TooMuch => Err(RoomRefusal::TooMuch { rate }),
    }
}

/// Handles messages to one room and for the same home that arrived over an extended link.
pub(super) fn handle_room_chats<O: Outbox>(
    link: LinkId,
    chats: &[RoomChat<'_>],
    peering: &mut Peering,
    cx: &mut RelayCx<'_, O>,
) {
    let own_id = cx.topology.own_id();
    let (mut delivered, mut forwarded) = (SmallVec::<[_; 1]>::new(), SmallVec::<[_; 1]>::new());
    for &chat in chats {
        let home = cx.topology.hosts().get(chat.user).and_then(|host| host.home().server());
        let (Some(home), true) = (home, cx.topology.is_home_over(chat.user, link)) else {
            cx.drop_false_source(link, chat.user);
            continue;
        };
        if !cx.topology.may_have_room_number(home, chat.number) {
            cx.drop_false_source(link, chat.user);
            continue;
        }
        let is_for_us = chat.home == HostId::NONE || chat.home == own_id;
        if is_for_us && cx.topology.record_room_number(home, chat.number) {
            delivered.push(chat);
        }
        if chat.home != own_id {
            forwarded.push(chat);
        }
    }
    deliver(&delivered, peering, cx);
    forward(Some(link), &forwarded, peering, cx);
}

/// Delivers messages to one room to the members at this server and behind its plain neighbours, and
/// those that are tags alone to those whose wires report what happens in rooms.
fn deliver<O: Outbox>(messages: &[RoomChat<'_>], peering: &mut Peering, cx: &mut RelayCx<'_, O>) {
    let Some(first) = messages.first() else { return };
    let Some(room) = cx.topology.rooms().find(first.room) else { return };
    let hosts = cx.topology.hosts();
    let texts: SmallVec<[RoomText<'_>; 1]> = messages
        .iter()
        .map(|chat| {
            let sender = hosts.get(chat.user);
            let name = sender.map_or(&[][..], |sender| sender.name());
            let info = sender.map_or(&[][..], |sender| sender.info());
            let MarkedText { tags, text, is_notice } = MarkedText::parse(chat.text, info);
            RoomText { source: chat.user, name, text, is_notice, tags }
        })
        .collect();
    if texts.iter().any(RoomText::is_tags_alone) {
        let alone = |text: &RoomText<'_>| text.is_tags_alone().then(|| text.tags.to_vec());
        let tags: Vec<Option<Vec<u8>>> = texts.iter().map(alone).collect();
        drop(texts);
        for (chat, tags) in messages.iter().zip(tags) {
            match tags {
                Some(tags) => deliver_tags(chat, &tags, cx),
                None => deliver(std::slice::from_ref(chat), peering, cx),
            }
        }
        return;
    }
    let shown_as = room.shown_as().unwrap_or(HostId::NONE);
    let chats = RoomChats { room: room.name(), shown_as, texts: &texts };
    // Who sends from here is alone in these messages; who sends from elsewhere is no member here.
    let others = || room.own_members().iter().filter(|member| member.id != first.user);
    let mut users = others().filter_map(|member| Some((member.link?, member.id)));
    cx.out.notify_members(&mut users, cx.topology.view(), &chats);
    if room.plain_count() == 0 {
        return;
    }
    let mut behind_plain = Vec::new();
    for &OwnMember { id, .. } in others().filter(|member| member.link.is_none()) {
        match hosts.get(id).and_then(|host| cx.topology.next_hop(host)) {
            Some(link) => behind_plain.push((link, id)),
            None => messages.iter().for_each(|_| peering.count_dropped()), // lost
        }
    }
    let shown: Vec<(Vec<u8>, Vec<u8>)> =
        texts.iter().map(|text| (text.name.to_vec(), text.text.to_vec())).collect();
    drop(texts);
    for (link, destination) in behind_plain {
        for (name, text) in &shown {
            for piece in plain::room_texts(name, text, cx.announcements.is_guarded(link)) {
                cx.send_paced_chat(link, (shown_as, destination), &piece);
            }
        }
    }
}

/// Delivers tags without a text to the members at this server whose wires report what happens in
/// rooms.
fn deliver_tags<O: Outbox>(chat: &RoomChat<'_>, tags: &[u8], cx: &mut RelayCx<'_, O>) {
    let notice = Notice::RoomTags { room: chat.room, source: chat.user, tags };
    let room = cx.topology.rooms().find(chat.room);
    let users = room.into_iter().flat_map(|room| room.listeners());
    let users: Vec<HostId> = users.filter(|&user| user != chat.user).collect();
    cx.notify_users(users, &notice);
}

/// Sends messages to one room on to the other servers that have members, or to the one that they
/// name. Nothing goes back over the link on which they came.
fn forward<O: Outbox>(
    from: Option<LinkId>,
    chats: &[RoomChat<'_>],
    peering: &mut Peering,
    cx: &mut RelayCx<'_, O>,
) {
    let Some(first) = chats.first() else { return };
    let servers: SmallVec<[ServerKey; 8]> = if first.home == HostId::NONE {
        let room = cx.topology.rooms().find(first.room);
        room.into_iter().flat_map(|room| room.servers()).collect()
    } else {
        cx.topology.server_key(first.home).into_iter().collect()
    };
    let mut links: SmallVec<[LinkId; 8]> = SmallVec::new();
    let mut has_waiting = false;
    for &server in &servers {
        match cx.topology.servers().route(server) {
            FirstLink::Link(link) if Some(link) != from && !links.contains(&link) => {
                links.push(link);
            }
            FirstLink::Link(_) => {}
            FirstLink::Split(split) => {
                has_waiting |= defer_for_server(from, chats, (server, split), peering, cx);
            }
        }
    }
    for link in links {
        if has_waiting && first.home == HostId::NONE {
            send_by_name(link, chats, &servers, cx);
        } else {
            send_over(link, chats, first.home, cx);
        }
    }
}

/// Lets messages wait for a lost server with members, at the first server on its way to which that
/// counts as lost: only there do the messages before them wait, too. Returns whether that is here.
fn defer_for_server<O: Outbox>(
    from: Option<LinkId>,
    chats: &[RoomChat<'_>],
    (server, split): (ServerKey, SplitId),
    peering: &mut Peering,
    cx: &RelayCx<'_, O>,
) -> bool {
    let id = cx.topology.servers().id(server);
    let is_for_all = chats.first().is_some_and(|chat| chat.home == HostId::NONE);
    let is_lost_before = |link| is_for_all && !cx.topology.routes().is_announced(link, id);
    if from.is_some_and(is_lost_before) {
        return false;
    }
    for chat in chats {
        let message = DeferredMessage::room_chat(chat, id, cx.topology);
        if !peering.defer(split, message, cx.limits) {
            peering.count_dropped();
        }
    }
    true
}

/// Sends messages for which a lost server waits to each of the servers behind a link that have
/// members: the lost server may be back behind that link already, and must not receive them before
/// those that wait here for it.
fn send_by_name<O: Outbox>(
    link: LinkId,
    chats: &[RoomChat<'_>],
    servers: &[ServerKey],
    cx: &mut RelayCx<'_, O>,
) {
    let routes = cx.topology.servers();
    let is_behind = |server: &&ServerKey| routes.route(**server) == FirstLink::Link(link);
    let behind = servers.iter().filter(is_behind).map(|&server| routes.id(server));
    let homes: SmallVec<[HostId; ROOM_COPIES_MAX + 1]> = behind.take(ROOM_COPIES_MAX + 1).collect();
    if homes.len() > ROOM_COPIES_MAX {
        return send_over(link, chats, HostId::NONE, cx);
    }
    for home in homes {
        send_over(link, chats, home, cx);
    }
}

/// Sends messages to one room over a link, for the members at one server or, with
/// [`HostId::NONE`], at all.
fn send_over<O: Outbox>(
    link: LinkId,
    chats: &[RoomChat<'_>],
    home: HostId,
    cx: &mut RelayCx<'_, O>,
) {
    for chat in chats {
        cx.introduce(chat.user, link);
        let frame = Frame::RoomChat(RoomChat { home, ..*chat });
        send::send_extension(cx.topology, link, &frame, cx.out);
    }
}

/// Handles chats of a user of this server to the id under which a room is shown. Returns whether
/// there is such a room.
pub(super) fn handle_chats_to_room<O: Outbox>(
    link: LinkId,
    (source, destination): (HostId, HostId),
    texts: &[&[u8]],
    peering: &mut Peering,
    cx: &mut RelayCx<'_, O>,
) -> bool {
    let Some(room) = cx.topology.rooms().shown_under(destination) else { return false };
    if cx.topology.link(link).is_extended() {
        return false;
    }
    let name = room.name().as_bytes().to_vec();
    chat(source, &name, texts, peering, cx, |cx, refusal| {
        let text = format!("Not delivered to {}: {refusal}", Printable(&name));
        let (own, code) = (cx.topology.own_id(), StatusCode::NOT_DELIVERED);
        cx.send_answer(link, source, &Notice::Status { source: own, code, text: text.as_bytes() });
    });
    true
}

#[cfg(test)]
mod tests {
    use crate::id::HostId;
    use crate::limits::{ROOM_COPIES_MAX, SPLIT_GRACE};
    use crate::relay::extension::{Frame, RoomNames};
    use crate::relay::message::HostKind::User;
    use crate::relay::recorder::{Bench, link_id};
    use crate::room::RoomName;

    /// User 101 here, server 2 on link 2, and some servers on link 4, from server 4 on, each with a
    /// user, all of them in `#lab`.
    fn bench(servers: u32) -> Bench {
        let mut bench = Bench::new();
        bench.join(1, User, 101);
        bench.relay.join_room(bench.now, link_id(1), b"#lab", &mut bench.out).expect("a member");
        bench.join_extended(2, 2);
        learn_member(&mut bench, 2, 2);
        bench.join_extended(4, 4);
        for server in 4..4 + servers {
            if server > 4 {
                bench.learn_server(4, 4, server, server - 1);
            }
            learn_member(&mut bench, 4, server);
        }
        bench
    }

    fn learn_member(bench: &mut Bench, link: u32, server: u32) {
        let user = 1000 + server;
        bench.learn_user((link, link), (server, server.into()), user);
        let mut names = Vec::new();
        RoomNames::push(RoomName::parse(b"#lab").expect("a name"), &mut names);
        let names = RoomNames::parse(&names).expect("names");
        let frame = Frame::Rooms { user: HostId(user), is_complete: true, names };
        bench.receive_extension(link, link, &frame);
    }

    /// Lets user 101 speak. Returns for which servers the messages are that are sent on links; 0
    /// stands for all.
    fn speak(bench: &mut Bench) -> Vec<u32> {
        bench.out.take_extension();
        let texts: [&[u8]; 1] = [b"hi"];
        bench.relay.chat_in_room(bench.now, link_id(1), (b"#lab", &texts), &mut bench.out);
        bench.relay.check();
        let frames = bench.out.take_extension();
        let homes = frames.iter().filter_map(|(code, text)| match Frame::parse(*code, text)? {
            Ok(Frame::RoomChat(chat)) => Some(chat.home.0),
            _ => None,
        });
        homes.collect()
    }

    #[test]
    fn message_goes_to_each_server_by_name_while_another_is_lost() {
        let mut bench = bench(2);
        assert_eq!(speak(&mut bench), [0, 0]);
        bench.close(2);
        assert_eq!(speak(&mut bench), [4, 5]);
        bench.wait(SPLIT_GRACE * 2);
        assert_eq!(speak(&mut bench), [0]);
    }

    #[test]
    fn copies_of_a_message_on_one_link_are_bounded() {
        let servers = u32::try_from(ROOM_COPIES_MAX).expect("a small number");
        for (servers, copies) in [(servers, (4..4 + servers).collect()), (servers + 1, vec![0])] {
            let mut bench = bench(servers);
            bench.close(2);
            assert_eq!(speak(&mut bench), copies);
        }
    }
}
