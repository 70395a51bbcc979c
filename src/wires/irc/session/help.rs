//! `HELP`: the commands, and what each does.

use super::Session;
use crate::wires::SessionCx;
use crate::wires::irc::line::Line;
use crate::wires::irc::numerics as n;

/// The commands, how they are written, and what they do.
const COMMANDS: [(&str, &str, &str); 30] = [
    ("AWAY", "AWAY [:text]", "Says that you are away, or that you are back."),
    ("CAP", "CAP LS|LIST|REQ|END", "Negotiates capabilities."),
    ("HELP", "HELP [command]", "Shows the commands, or explains one."),
    ("INFO", "INFO", "Describes this server."),
    ("INVITE", "INVITE nick #room", "Invites a user to a room that you are in."),
    ("ISON", "ISON nick...", "Shows which of these users are online."),
    ("JOIN", "JOIN #room[,#room...]", "Joins rooms. JOIN 0 leaves all."),
    ("LINKS", "LINKS", "Lists the servers of the network."),
    (
        "LIST",
        "LIST [mask|!mask|<users|>users[,...]]",
        "Lists rooms and how many users are in each.",
    ),
    ("LUSERS", "LUSERS", "Counts users, servers and rooms."),
    ("MAP", "MAP", "Shows the servers of the network by distance."),
    ("MODE", "MODE #room|nick", "Shows modes. Rooms have none, and neither have users."),
    ("MONITOR", "MONITOR +|-|C|L|S [nick[,nick...]]", "Watches when users come and go."),
    ("MOTD", "MOTD", "Shows the message of the day."),
    ("NAMES", "NAMES #room[,#room...]", "Lists who is in rooms."),
    ("NICK", "NICK nick", "Changes your nick."),
    ("NOTICE", "NOTICE nick|#room :text", "Sends a text that no program answers by itself."),
    ("PART", "PART #room[,#room...] [:text]", "Leaves rooms."),
    ("PING", "PING token", "Asks this server for an answer."),
    ("PRIVMSG", "PRIVMSG nick|#room :text", "Sends a text to users and rooms."),
    ("QUIT", "QUIT [:text]", "Leaves the network."),
    ("SETNAME", "SETNAME :name", "Sets your real name."),
    ("TAGMSG", "TAGMSG nick|#room", "Sends tags without a text, such as who is typing."),
    ("TIME", "TIME", "Shows the time of this server."),
    ("TOPIC", "TOPIC #room [:TEXT]", "Shows or sets the topic of a room."),
    ("USERHOST", "USERHOST nick...", "Shows the masks of users."),
    ("VERSION", "VERSION", "Shows the version of this server."),
    ("WHO", "WHO #room|nick|mask [%fields[,token]]", "Describes the users in a room, or others."),
    ("WHOIS", "WHOIS nick", "Describes a user."),
    ("WHOWAS", "WHOWAS nick", "Describes users who have left."),
];

impl Session {
    pub(super) fn handle_help(&self, line: &Line<'_>, cx: &mut SessionCx<'_>) {
        let topic = line.param(0).to_ascii_uppercase();
        let cx = &mut cx.notice_cx();
        if topic.is_empty() {
            self.reply(cx, n::HELP_START, &["*"], "The commands of this server");
            for (_, usage, _) in COMMANDS {
                self.reply(cx, n::HELP_TEXT, &["*"], usage);
            }
            return self.reply(cx, n::END_OF_HELP, &["*"], "HELP COMMAND explains one");
        }
        match COMMANDS.iter().find(|(name, ..)| *name == topic) {
            Some((name, usage, text)) => {
                self.reply(cx, n::HELP_START, &[name], usage);
                self.reply(cx, n::HELP_TEXT, &[name], text);
                self.reply(cx, n::END_OF_HELP, &[name], "End of HELP");
            }
            None => {
                let text = "There is no help on this";
                self.reply(cx, n::HELP_NOT_FOUND, &[&topic], text);
            }
        }
    }
}
