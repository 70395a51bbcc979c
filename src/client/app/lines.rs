//! The execution of typed lines.

use std::time::Duration;

use super::App;
use crate::client::grammar::{self, Command, LineStart, Recipient};
use crate::client::session::LineError;
use crate::room::RoomName;
use crate::vocabulary::Event;

impl App {
    /// Executes a line.
    ///
    /// # Errors
    /// The line must wait, or cannot be executed.
    pub(super) fn execute_line(&mut self, now: Duration, line: &str) -> Result<(), LineError> {
        if let Some(room) = self.room_of_line(now, line)? {
            let text = line.trim_end_matches(['\r', '\n']).trim_start();
            return self.session.send_to_room(now, &room, text, &mut self.output);
        }
        match grammar::parse(line).map_err(|error| LineError::Invalid(error.to_string()))? {
            None => {}
            Some(Command::Send { to, text }) => {
                self.session.send(now, to, text, &mut self.output)?;
                if let Recipient::Name(name) | Recipient::NumberOrName(name) = to {
                    self.rooms.add_correspondent(name.into());
                }
            }
            Some(Command::SendToRoom { room, text }) => {
                let room = check_room(room)?;
                self.session.send_to_room(now, room, text, &mut self.output)?;
            }
            Some(Command::Join(room)) => self.join_room(now, check_room(room)?)?,
            Some(Command::Part { room, text }) => {
                let room = self.room_or_current(room, "/part")?;
                self.part_room(&room, text)?;
            }
            Some(Command::Rooms) => self.session.list_rooms(&mut self.output)?,
            Some(Command::Names(room)) => {
                let room = self.room_or_current(room, "/names")?;
                self.session.list_members(&room, &mut self.output)?;
            }
            Some(Command::List) => {
                let users = self.session.users(now)?;
                self.events.push_back(Event::Users { users, more: false });
            }
            Some(Command::Quit(text)) => {
                self.session.quit(text, &mut self.output)?;
                self.enter_quitting(now);
            }
            Some(Command::Help) => {
                self.events.push_back(Event::Help { text: grammar::HELP.into() });
            }
        }
        Ok(())
    }

    /// Returns the current room if the line is for it: the line begins with no command, number or
    /// room, and with no user who is online.
    ///
    /// # Errors
    /// The line must wait for the list of users, or begins with a user who has left.
    fn room_of_line(&self, now: Duration, line: &str) -> Result<Option<String>, LineError> {
        let Some(room) = self.rooms.current() else { return Ok(None) };
        let name = match grammar::line_start(line) {
            LineStart::Explicit => return Ok(None),
            LineStart::Text => return Ok(Some(room.to_owned())),
            LineStart::Name(name) => name,
        };
        if self.session.is_user(now, name)? {
            return Ok(None);
        }
        if self.rooms.is_correspondent(name) {
            return Err(LineError::Invalid(format!(
                "{name} is not here any more, and this line may be private: write {room} before it \
                 to send it to the room"
            )));
        }
        Ok(Some(room.to_owned()))
    }

    fn room_or_current(&self, room: Option<&str>, command: &str) -> Result<String, LineError> {
        let Some(room) = room.or(self.rooms.current()) else {
            return Err(LineError::Invalid(format!(
                "you are in no room: write {command} #ROOM, or see /help"
            )));
        };
        check_room(room).map(str::to_owned)
    }

    /// Joins a room. No wire confirms a request, so the event is that of the request.
    fn join_room(&mut self, now: Duration, room: &str) -> Result<(), LineError> {
        self.session.join_room(now, room, &mut self.output)?;
        self.rooms.join(room);
        let user = self.session.own_user();
        self.events.push_back(Event::RoomJoin { room: room.into(), id: user.id, name: user.name });
        Ok(())
    }

    fn part_room(&mut self, room: &str, text: &str) -> Result<(), LineError> {
        self.session.part_room(room, text, &mut self.output)?;
        self.rooms.part(room);
        let user = self.session.own_user();
        let (room, id, name) = (room.into(), user.id, user.name);
        let text = self.session.carries_part_text().then(|| text.into());
        self.events.push_back(Event::RoomPart { room, id, name, text });
        Ok(())
    }
}

fn check_room(room: &str) -> Result<&str, LineError> {
    match RoomName::parse(room.as_bytes()) {
        Ok(_) => Ok(room),
        Err(error) => Err(LineError::Invalid(format!("{room}: {error}"))),
    }
}
