//! [`DeferredMessage`]: what is sent of a message that was deferred, or was in the send queue of a
//! lost link.

use super::DeferredMessage;
use super::splits::LostPosition;
use crate::id::HostId;
use crate::link::LinkId;
use crate::relay::cx::RelayCx;
use crate::relay::extension::{Frame, RoomChat};
use crate::relay::forward::forward_status;
use crate::relay::message::{Message, StatusCode};
use crate::relay::outbox::Outbox;
use crate::relay::topology::{FirstLink, Host, ServerKey, SplitId, Topology};

impl DeferredMessage {
    /// Returns what is sent again of a message of a lost link, with which `split` began: itself, if
    /// it is one to a host; for a room, one for each of the servers in the split that have members.
    /// Others are about what the two ends know, which they compare when they are connected again.
    pub(super) fn from_lost(
        message: &Message<'_>,
        position: LostPosition,
        split: Option<SplitId>,
        topology: &Topology,
    ) -> Vec<Self> {
        if let Some(chat) = RoomChat::of_message(message) {
            let of_room = |split| Self::of_room(&chat, position, split, topology);
            return split.map(of_room).unwrap_or_default();
        }
        let message = match *message {
            Message::Chat { source, destination, text } => {
                Self::chat(source, destination, text, topology)
            }
            Message::Status { source, destination, code, text }
                if destination != HostId::EXTENSION && destination != HostId::NONE =>
            {
                Self::status((source, destination), code, text)
            }
            _ => return Vec::new(),
        };
        vec![Self { lost: Some(position), ..message }]
    }

    /// Creates a room message for the users of one server.
    pub(in crate::relay) fn room_chat(
        chat: &RoomChat<'_>,
        home: HostId,
        topology: &Topology,
    ) -> Self {
        let mut text = Vec::new();
        Frame::RoomChat(RoomChat { home, ..*chat }).encode_payload(&mut text);
        let status = Some(StatusCode::ROOM_CHAT);
        Self { status, ..Self::chat(chat.user, home, &text, topology) }
    }

    /// Returns a room message of a lost link for each of the servers in a split that have members.
    /// Those that were lost with another link had it on that one.
    fn of_room(
        chat: &RoomChat<'_>,
        position: LostPosition,
        split: SplitId,
        topology: &Topology,
    ) -> Vec<Self> {
        let room = topology.rooms().find(chat.room);
        let servers = room.into_iter().flat_map(|room| room.servers());
        let is_lost = |server: &ServerKey| {
            let id = topology.servers().id(*server);
            let is_meant = chat.home == HostId::NONE || chat.home == id;
            is_meant && topology.servers().route(*server) == FirstLink::Split(split)
        };
        let messages = servers.filter(is_lost).map(|server| Self {
            lost: Some(position),
            ..Self::room_chat(chat, topology.servers().id(server), topology)
        });
        messages.collect()
    }

    /// Returns whether the message may have arrived over a link that was lost.
    pub(super) fn may_have_arrived(&self) -> bool {
        self.lost.is_some_and(|lost| lost.was_sent)
    }

    /// Creates a chat.
    pub(in crate::relay) fn chat(
        source: HostId,
        destination: HostId,
        text: &[u8],
        topology: &Topology,
    ) -> Self {
        let source_join_seq = topology.hosts().get(source).map(|host| host.join_seq());
        let text = text.into();
        Self { source, source_join_seq, destination, text, status: None, lost: None }
    }

    /// Creates a status of a server.
    pub(in crate::relay) fn status(
        (source, destination): (HostId, HostId),
        code: StatusCode,
        text: &[u8],
    ) -> Self {
        let (text, status) = (text.into(), Some(code));
        Self { source, source_join_seq: None, destination, text, status, lost: None }
    }

    /// Announces the sender of a chat or a room message on a link if that is pending. Returns
    /// whether the other end knows it.
    pub(super) fn introduce_sender<O: Outbox>(
        &self,
        link: LinkId,
        cx: &mut RelayCx<'_, O>,
    ) -> bool {
        if self.status.is_some_and(|code| code != StatusCode::ROOM_CHAT) {
            return true; // from a server
        }
        cx.introduce(self.source, link);
        let state = cx.topology.link(link);
        let sender = self.sender(cx.topology);
        sender.is_some_and(|host| cx.announcements.is_announced(cx.topology, state, host))
    }

    /// Returns the sender of a chat, unless it has left.
    fn sender<'a>(&self, topology: &'a Topology) -> Option<&'a Host> {
        let host = topology.hosts().get(self.source)?;
        (Some(host.join_seq()) == self.source_join_seq).then_some(host)
    }

    /// Returns the split of the sender, if that is lost, and the host there for which the message
    /// waits: the home of the sender, so that messages of its users keep their order, or the sender
    /// if its home is back.
    pub(super) fn lost_sender(&self, topology: &Topology) -> Option<(SplitId, HostId)> {
        let sender = self.sender(topology)?;
        let FirstLink::Split(split) = topology.first_link(sender) else { return None };
        let home = sender.home().server().map(|server| topology.servers().id(server));
        Some((split, home.unwrap_or(self.source)))
    }

    pub(super) fn send<O: Outbox>(&self, link: LinkId, cx: &mut RelayCx<'_, O>) {
        let Self { source, destination, ref text, status, .. } = *self;
        match status {
            Some(code @ StatusCode::ROOM_CHAT) => {
                let (source, destination) = (cx.topology.own_id(), HostId::EXTENSION);
                cx.out.deliver(link, &Message::Status { source, destination, code, text });
            }
            Some(code) => forward_status(link, (source, destination), code, text, cx),
            None => cx.send_chat(link, source, destination, text),
        }
    }
}
