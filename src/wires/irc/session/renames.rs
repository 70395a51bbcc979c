//! Changes of nicks of others.
//!
//! The network knows quits and registrations only: a user with a new nick leaves, registers again
//! under the same id, and joins its rooms. A session holds the quit of such a user back until the
//! first of these joins, and then shows one `NICK` instead of all of them.

use super::Session;
use crate::id::HostId;
use crate::limits::{IRC_RENAME_TIMEOUT, IRC_RENAMES_MAX};
use crate::link::Time;
use crate::names::nick::{Nick, make_nick_alias};
use crate::relay::notice::{Departure, is_rename_text};
use crate::room::RoomName;
use crate::wires::irc::write::{Mask, parse_info, user_name};
use crate::wires::{NoticeCx, SessionCx};

/// A user who is expected to come back under another nick.
#[derive(Clone, Debug)]
pub(super) struct Rename {
    user: HostId,
    /// The mask under which the client knows the user.
    mask: Mask,
    /// The text of the quit.
    text: Box<[u8]>,
    /// The rooms in which the client sees the user, and which it has not joined again.
    rooms: Vec<Box<[u8]>>,
    /// Whether the client was sent the new nick.
    is_shown: bool,
    /// When the user is not waited for any longer; `None` until the next timer of the session.
    ends_at: Option<Time>,
}

impl Session {
    fn rename_of(&mut self, user: HostId) -> Option<(usize, &mut Rename)> {
        let renames = self.renames.as_mut()?;
        renames.iter_mut().enumerate().find(|(_, rename)| rename.user == user)
    }

    fn remove_rename(&mut self, at: usize) {
        if let Some(renames) = &mut self.renames {
            renames.swap_remove(at);
        }
        self.renames = self.renames.take().filter(|renames| !renames.is_empty());
    }

    /// Holds back that a user has left a room, if it has left the network to come back under
    /// another nick. Returns whether it does.
    pub(super) fn hold_rename(
        &mut self,
        room: RoomName<'_>,
        (user, name): (HostId, &[u8]),
        quit: Departure<'_>,
        cx: &NoticeCx<'_>,
    ) -> bool {
        if user == self.id {
            return false;
        }
        let is_rename = is_rename_text(quit.text) && parse_info(quit.info).is_some();
        let room: Box<[u8]> = room.as_bytes().into();
        if let Some((at, rename)) = self.rename_of(user) {
            if !is_rename {
                self.remove_rename(at);
                return false;
            }
            if rename.is_shown {
                rename.is_shown = false;
                rename.mask.nick = cx.names.nicks.nick(user, name);
            }
            rename.rooms.push(room);
            return true;
        }
        let count = self.renames.as_ref().map_or(0, |renames| renames.len());
        if !is_rename || count == IRC_RENAMES_MAX {
            return false;
        }
        let nick = cx.names.nicks.nick(user, name);
        let mask = Mask { nick, user: user_name(user, quit.info) };
        let (text, rooms) = (quit.text.into(), vec![room]);
        self.renames.get_or_insert_default().push(Rename {
            user,
            mask,
            text,
            rooms,
            is_shown: false,
            ends_at: None,
        });
        true
    }

    /// Handles that a user has joined a room. Returns whether the client knows that it is there:
    /// it is sent the new nick instead.
    pub(super) fn handle_join_of_renamed(
        &mut self,
        room: RoomName<'_>,
        (user, name): (HostId, &[u8]),
        cx: &mut NoticeCx<'_>,
    ) -> bool {
        let Some((at, rename)) = self.rename_of(user) else { return false };
        let joined = room.as_bytes();
        let position = rename.rooms.iter().position(|other| other.eq_ignore_ascii_case(joined));
        if let Some(position) = position {
            rename.rooms.swap_remove(position);
        }
        let is_empty = rename.rooms.is_empty();
        let old = (!std::mem::replace(&mut rename.is_shown, true)).then(|| rename.mask.clone());
        if is_empty {
            self.remove_rename(at);
        }
        let new = Mask::of(user, name, cx.view, cx.names);
        if let Some(old) = old.filter(|old| old.nick != new.nick) {
            self.begin_event(cx, &old, "NICK").text(&[new.nick()]);
        }
        position.is_some()
    }

    /// Writes that a user is shown under its name from now on, or under its alias.
    pub(super) fn write_shown_nick(&self, user: HostId, cx: &mut NoticeCx<'_>) {
        let Some(host) = cx.view.hosts.get(user).filter(|_| user != self.id) else { return };
        let (new, alias) = (Mask::of_host(host, cx), make_nick_alias(host.name(), user));
        let nick = if new.nick == alias { Nick::from_slice(host.name()) } else { alias };
        let old = Mask { nick, user: new.user.clone() };
        self.begin_event(cx, &old, "NICK").text(&[new.nick()]);
    }

    /// Forgets who was in a room that the client has left.
    pub(super) fn forget_renames_in(&mut self, room: RoomName<'_>) {
        for rename in self.renames.iter_mut().flat_map(|renames| renames.iter_mut()) {
            rename.rooms.retain(|other| !other.eq_ignore_ascii_case(room.as_bytes()));
        }
    }

    /// Shows that users have left who have not come back in time.
    pub(super) fn end_renames(&mut self, cx: &mut SessionCx<'_>) {
        let Some(mut renames) = self.renames.take() else { return };
        let now = cx.now;
        for rename in renames.iter_mut() {
            rename.ends_at.get_or_insert(now + IRC_RENAME_TIMEOUT);
        }
        let is_due = |rename: &mut Rename| rename.ends_at.is_some_and(|at| at <= now);
        for rename in renames.extract_if(.., is_due).collect::<Vec<_>>() {
            let cx = &mut cx.notice_cx();
            let Rename { user, mask, text, rooms, is_shown, .. } = rename;
            if !is_shown && !rooms.is_empty() {
                self.begin_event(cx, &mask, "QUIT").text(&[&String::from_utf8_lossy(&text)]);
            } else if is_shown {
                let mask = Mask::of(user, b"", cx.view, cx.names);
                for room in rooms {
                    let room = String::from_utf8_lossy(&room);
                    self.begin_event(cx, &mask, "PART").word(&room).end();
                }
            }
        }
        self.renames = Some(renames).filter(|renames| !renames.is_empty());
    }

    /// Returns when [`Session::end_renames`] is due.
    pub(super) fn renames_end_at(&self) -> Option<Time> {
        let renames = self.renames.iter().flat_map(|renames| renames.iter());
        renames.map(|rename| rename.ends_at.unwrap_or_default()).min()
    }
}
