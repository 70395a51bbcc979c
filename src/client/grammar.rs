//! Parses the lines that a user types. `HELP` is the table of commands.
//!
//! The grammar is the same on every wire. Whether a recipient exists is checked by the session.

use std::fmt;

/// The text of `/help`.
pub(crate) const HELP: &str = "\
3 Hi there!            sends to the user with the id 3
bob Hi there!          sends to the user with the name bob
(bob smith) Hi there!  the same for a name with spaces
/msg bob Hi there!     the same, whatever the name looks like
#lab Hi all!           sends to the room #lab
Hi all!                sends to the current room, unless it begins as one of the lines above
/join #lab             joins the room and makes it the current one
/part [#lab] [text]    leaves the room, or the current one
/names [#lab]          shows who is in the room, or in the current one
/rooms                 shows all rooms
/list, @List           shows who is online
/quit [text], @Quit    leaves, with the text; so does the end of input
/help                  shows this table
Each line of a pasted text is sent as if it was typed.";

/// The recipient of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recipient<'a> {
    /// All digits, at the start of the line: an id wherever users have ids.
    Number(&'a str),
    /// All digits, in parentheses or after `/msg`, where any name can be written.
    NumberOrName(&'a str),
    /// Anything else.
    Name(&'a str),
}

/// A parsed line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command<'a> {
    /// Sends a text.
    Send {
        /// The recipient.
        to: Recipient<'a>,
        /// The text, verbatim and not empty.
        text: &'a str,
    },
    /// Sends a text to a room.
    SendToRoom {
        /// The room as typed.
        room: &'a str,
        /// The text, verbatim and not empty.
        text: &'a str,
    },
    /// Joins a room, as typed.
    Join(&'a str),
    /// Leaves a room.
    Part {
        /// The room as typed; `None` for the current one.
        room: Option<&'a str>,
        /// The text for the others; may be empty.
        text: &'a str,
    },
    /// Shows all rooms.
    Rooms,
    /// Shows who is in a room, as typed, or in the current one.
    Names(Option<&'a str>),
    /// Shows who is online.
    List,
    /// Quits, with a text.
    Quit(&'a str),
    /// Shows [`HELP`].
    Help,
}

/// The reason why a line cannot be parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GrammarError<'a> {
    /// A word that starts with `/` or `@` is not a command.
    UnknownCommand(&'a str),
    /// `/msg` without a recipient.
    MissingRecipient,
    /// A recipient without a text.
    MissingText(&'a str),
    /// A command that needs a room without one.
    MissingRoom(&'a str),
    /// A word where the name of a room must be.
    NoRoom(&'a str),
    /// A `(` without a `)`.
    UnclosedParenthesis,
    /// A command with unexpected words after it.
    UnexpectedArgument(&'a str),
}

impl fmt::Display for GrammarError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownCommand(word) => write!(f, "unknown command {word}: see /help"),
            Self::MissingRecipient => {
                f.write_str("/msg needs an id or a name, and a text: see /help")
            }
            Self::MissingText(to) => write!(
                f,
                "nothing to send to {to}: write an id or a name, a space and a text, or see /help"
            ),
            Self::MissingRoom(command) => {
                write!(f, "{command} needs a room: write {command} #ROOM, or see /help")
            }
            Self::NoRoom(word) => {
                write!(f, "{word} is not a room: their names begin with #, such as #lab")
            }
            Self::UnclosedParenthesis => f.write_str("a ( without its ): write (NAME) TEXT"),
            Self::UnexpectedArgument(command) => {
                write!(f, "{command} takes nothing after it: see /help")
            }
        }
    }
}

/// Parses a line. Returns `None` if it is blank.
///
/// # Errors
/// See [`GrammarError`].
pub(crate) fn parse(line: &str) -> Result<Option<Command<'_>>, GrammarError<'_>> {
    let line = line.trim_end_matches(['\r', '\n']).trim_start();
    if line.is_empty() {
        return Ok(None);
    }
    if !line.starts_with(['/', '@']) {
        return parse_message(line, line.starts_with('(')).map(Some);
    }
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let without_arguments = |command| {
        if rest.trim().is_empty() {
            Ok(command)
        } else {
            Err(GrammarError::UnexpectedArgument(word))
        }
    };
    let command = match word[1..].to_ascii_lowercase().as_str() {
        "msg" => match rest.trim_start() {
            "" => Err(GrammarError::MissingRecipient),
            rest => parse_message(rest, true),
        },
        "join" => match parse_room(rest)? {
            (Some(room), "") => Ok(Command::Join(room)),
            (Some(_), _) => Err(GrammarError::UnexpectedArgument("/join #ROOM")),
            (None, _) => Err(GrammarError::MissingRoom(word)),
        },
        "part" => parse_room(rest).map(|(room, text)| Command::Part { room, text }),
        "rooms" => without_arguments(Command::Rooms),
        "names" => match parse_room(rest)? {
            (room, "") => Ok(Command::Names(room)),
            _ => Err(GrammarError::UnexpectedArgument("/names #ROOM")),
        },
        "list" => without_arguments(Command::List),
        "quit" => Ok(Command::Quit(rest)),
        "help" => without_arguments(Command::Help),
        _ => Err(GrammarError::UnknownCommand(word)),
    };
    command.map(Some)
}

/// Parses `[#ROOM] [TEXT]` after a command. Returns the room, and the text after it.
fn parse_room(rest: &str) -> Result<(Option<&str>, &str), GrammarError<'_>> {
    let rest = rest.trim();
    if rest.is_empty() {
        return Ok((None, ""));
    }
    let (word, text) = rest.split_once(' ').unwrap_or((rest, ""));
    if !word.starts_with('#') {
        return Err(GrammarError::NoRoom(word));
    }
    Ok((Some(word), text.trim_start()))
}

/// How a line begins, which decides whether it can be for the current room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineStart<'a> {
    /// A command, a number or a room, followed by what belongs to it; or a blank line.
    Explicit,
    /// What is a recipient if it is the name of a user.
    Name(&'a str),
    /// No recipient.
    Text,
}

/// Returns how a line begins.
pub(crate) fn line_start(line: &str) -> LineStart<'_> {
    match parse(line) {
        Ok(Some(Command::Send { to: Recipient::Name(name), .. })) => match line.trim_start() {
            line if line.starts_with('/') || line.starts_with('@') => LineStart::Explicit,
            _ => LineStart::Name(name),
        },
        Ok(_) => LineStart::Explicit,
        Err(GrammarError::UnknownCommand(word)) if word.starts_with('@') => LineStart::Text,
        Err(_) if line.trim_start().starts_with(['/', '@', '#']) => LineStart::Explicit,
        Err(_) => LineStart::Text,
    }
}

/// Parses `RECIPIENT TEXT`. The text is everything after the first space. With `may_be_name`,
/// digits may be a name. A recipient with a `#` is a room, unless it is in parentheses.
fn parse_message(line: &str, may_be_name: bool) -> Result<Command<'_>, GrammarError<'_>> {
    let (to, text) = match line.strip_prefix('(') {
        None => line.split_once(' ').unwrap_or((line, "")),
        Some(inside) => match inside.split_once(") ") {
            Some(split) => split,
            None => match inside.strip_suffix(')') {
                Some(name) => (name, ""),
                None => return Err(GrammarError::UnclosedParenthesis),
            },
        },
    };
    if to.is_empty() {
        return Err(GrammarError::MissingRecipient);
    }
    let is_number = to.bytes().all(|byte| byte.is_ascii_digit());
    let recipient = match (is_number, may_be_name) {
        (true, true) => Recipient::NumberOrName(to),
        (true, false) => Recipient::Number(to),
        (false, _) => Recipient::Name(to),
    };
    if text.is_empty() {
        return Err(GrammarError::MissingText(to));
    }
    if line.starts_with('#') {
        return Ok(Command::SendToRoom { room: to, text });
    }
    Ok(Command::Send { to: recipient, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: Result<Option<Command<'_>>, GrammarError<'_>>) {
        assert_eq!(parse(line), expected, "{line:?}");
    }

    #[track_caller]
    fn check_send(line: &str, to: Recipient<'_>, text: &str) {
        check(line, Ok(Some(Command::Send { to, text })));
    }

    #[test]
    fn message_lines_parse_into_recipient_and_text() {
        use Recipient::{Name, Number, NumberOrName};
        check_send("3 Hi there!", Number("3"), "Hi there!");
        check_send("007 x", Number("007"), "x");
        check_send("bob Hi there!", Name("bob"), "Hi there!");
        check_send("3rd Hi", Name("3rd"), "Hi");
        check_send("-3 Hi", Name("-3"), "Hi");
        check_send("(bob) Hi there!", Name("bob"), "Hi there!");
        check_send("(bob smith) Hi (you)", Name("bob smith"), "Hi (you)");
        check_send("(3) Hi", NumberOrName("3"), "Hi");
        check_send("/msg 007 Hi", NumberOrName("007"), "Hi");
        check_send("/msg (3) Hi", NumberOrName("3"), "Hi");
        check_send("(a)b) Hi", Name("a)b"), "Hi");
        check_send("/msg bob Hi there!", Name("bob"), "Hi there!");
        check_send("/MSG (bob smith) Hi", Name("bob smith"), "Hi");
        check_send("/msg /list Hi", Name("/list"), "Hi");
        check_send("(@List) Hi", Name("@List"), "Hi");
        check_send("José Grüße", Name("José"), "Grüße");
    }

    #[test]
    fn message_text_is_kept_verbatim() {
        check_send("  3 Hi", Recipient::Number("3"), "Hi");
        check_send("3   two more", Recipient::Number("3"), "  two more");
        check_send("3 end  ", Recipient::Number("3"), "end  ");
        check_send("3 \"quoted\" 'too'", Recipient::Number("3"), "\"quoted\" 'too'");
        check_send("3 a\tb", Recipient::Number("3"), "a\tb");
        check_send("3 Hi\r\n", Recipient::Number("3"), "Hi");
    }

    #[test]
    fn lines_about_rooms_parse() {
        let check_room = |line, room, text| {
            check(line, Ok(Some(Command::SendToRoom { room, text })));
        };
        check_room("#lab Hi all!", "#lab", "Hi all!");
        check_room("/msg #lab  Hi", "#lab", " Hi");
        check_room("#a,b Hi", "#a,b", "Hi");
        check_send("(#lab) Hi", Recipient::Name("#lab"), "Hi");
        check("/join #lab", Ok(Some(Command::Join("#lab"))));
        check("@JOIN  #Lab ", Ok(Some(Command::Join("#Lab"))));
        let part = |room, text| Ok(Some(Command::Part { room, text }));
        check("/part #lab", part(Some("#lab"), ""));
        check("/part #lab so  long", part(Some("#lab"), "so  long"));
        check("/part", part(None, ""));
        check("/rooms", Ok(Some(Command::Rooms)));
        check("/names #lab", Ok(Some(Command::Names(Some("#lab")))));
        check("/names", Ok(Some(Command::Names(None))));
    }

    #[test]
    fn commands_parse_in_any_case() {
        for line in ["@List", "/list", "@LIST", "/List", "/list  "] {
            check(line, Ok(Some(Command::List)));
        }
        check("@Quit", Ok(Some(Command::Quit(""))));
        check("/quit", Ok(Some(Command::Quit(""))));
        check("/QUIT so  long", Ok(Some(Command::Quit("so  long"))));
        check("@quit bye", Ok(Some(Command::Quit("bye"))));
        check("/help", Ok(Some(Command::Help)));
        for line in ["", "   ", "\r", "\n"] {
            check(line, Ok(None));
        }
    }

    #[test]
    fn invalid_lines_return_their_error() {
        use GrammarError as E;
        check("3", Err(E::MissingText("3")));
        check("bob ", Err(E::MissingText("bob")));
        check("(bob smith)", Err(E::MissingText("bob smith")));
        check("/msg bob", Err(E::MissingText("bob")));
        check("/msg", Err(E::MissingRecipient));
        check("() Hi", Err(E::MissingRecipient));
        check("(bob smith", Err(E::UnclosedParenthesis));
        check("/lst", Err(E::UnknownCommand("/lst")));
        check("@bob Hi", Err(E::UnknownCommand("@bob")));
        check("/ x", Err(E::UnknownCommand("/")));
        check("#lab", Err(E::MissingText("#lab")));
        check("/join", Err(E::MissingRoom("/join")));
        check("/join lab", Err(E::NoRoom("lab")));
        check("/join #a #b", Err(E::UnexpectedArgument("/join #ROOM")));
        check("/part so long", Err(E::NoRoom("so")));
        check("/names #a #b", Err(E::UnexpectedArgument("/names #ROOM")));
        check("/rooms #a", Err(E::UnexpectedArgument("/rooms")));
        check("/list all", Err(E::UnexpectedArgument("/list")));
    }

    #[test]
    fn every_example_in_help_parses() {
        let examples: Vec<_> = HELP.lines().filter_map(|line| line.split_once("  ")).collect();
        assert_eq!(examples.len(), 13);
        for line in examples.iter().flat_map(|(line, _)| line.split(", ")) {
            let line = line.replace(['[', ']'], "");
            assert!(parse(&line).is_ok(), "{line}");
        }
    }

    #[test]
    fn only_lines_without_a_recipient_are_for_the_current_room() {
        for line in [
            "3 Hi",
            "(3) Hi",
            "#lab Hi",
            "#lab",
            "/list",
            "/lst",
            "/msg bob Hi",
            "/msg",
            "@List",
            "",
        ] {
            assert_eq!(line_start(line), LineStart::Explicit, "{line}");
        }
        for (line, name) in
            [("bob Hi", "bob"), (" (bob smith) Hi", "bob smith"), ("bob: x", "bob:")]
        {
            assert_eq!(line_start(line), LineStart::Name(name), "{line}");
        }
        for line in ["Hello", "42", "(bob", "(bob)", "@bob Hi"] {
            assert_eq!(line_start(line), LineStart::Text, "{line}");
        }
    }
}
