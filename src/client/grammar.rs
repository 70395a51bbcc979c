//! The line that a user types ⇄ what it asks for (contract section 1, the grammar table).
//!
//! Knows no names and no wires: whether an addressee exists is the app's question.

use std::fmt;

/// What `/help` shows.
pub const HELP: &str = "\
3 Hi there!            sends to the user with the id 3
bob Hi there!          sends to the user with the name bob
(bob smith) Hi there!  the same for a name with spaces
/msg bob Hi there!     the same, whatever the name looks like
/list, @List           shows who is online
/quit [text], @Quit    leaves, with the text; so does the end of input
/help                  shows this table";

/// To whom a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressee<'a> {
    /// All digits, at the start of the line: an id wherever users have ids.
    Number(&'a str),
    /// All digits, in parentheses or after `/msg`, where any name can be written.
    NumberOrName(&'a str),
    /// Anything else.
    Name(&'a str),
}

/// What a line asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// Send the text.
    Say {
        /// To whom.
        to: Addressee<'a>,
        /// Verbatim, not empty.
        text: &'a str,
    },
    /// Show who is online.
    List,
    /// Leave, with the text.
    Quit(&'a str),
    /// Show the table.
    Help,
}

/// Why a line asks for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrammarError<'a> {
    /// A word that starts with `/` or `@` and is no command.
    UnknownCommand(&'a str),
    /// `/msg` alone.
    NoAddressee,
    /// An addressee, and nothing to send.
    NoText(&'a str),
    /// A `(` without its `)`.
    OpenParenthesis,
    /// A command with words after it that it has no use for.
    TooMuch(&'a str),
}

impl fmt::Display for GrammarError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownCommand(word) => write!(f, "unknown command {word}: see /help"),
            Self::NoAddressee => f.write_str("/msg needs an id or a name, and a text: see /help"),
            Self::NoText(to) => write!(
                f,
                "nothing to send to {to}: write an id or a name, a space and a text, or see /help"
            ),
            Self::OpenParenthesis => f.write_str("a ( without its ): write (NAME) TEXT"),
            Self::TooMuch(command) => write!(f, "{command} takes nothing after it: see /help"),
        }
    }
}

/// What `line` asks for; `None` when it is blank.
///
/// # Errors
/// See [`GrammarError`].
pub fn parse(line: &str) -> Result<Option<Command<'_>>, GrammarError<'_>> {
    let line = line.trim_end_matches(['\r', '\n']).trim_start();
    if line.is_empty() {
        return Ok(None);
    }
    if !line.starts_with(['/', '@']) {
        return say(line, line.starts_with('(')).map(Some);
    }
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let is = |names: [&str; 2]| names.iter().any(|name| word.eq_ignore_ascii_case(name));
    let alone = |command| {
        if rest.trim().is_empty() { Ok(command) } else { Err(GrammarError::TooMuch(word)) }
    };
    if is(["/msg", "@msg"]) {
        let rest = rest.trim_start();
        if rest.is_empty() {
            return Err(GrammarError::NoAddressee);
        }
        say(rest, true).map(Some)
    } else if is(["/list", "@list"]) {
        alone(Some(Command::List))
    } else if is(["/quit", "@quit"]) {
        Ok(Some(Command::Quit(rest)))
    } else if is(["/help", "@help"]) {
        alone(Some(Command::Help))
    } else {
        Err(GrammarError::UnknownCommand(word))
    }
}

/// `ADDRESSEE TEXT`: the text is what follows the first single space, as it is. With `any_name`,
/// digits may be a name.
fn say(line: &str, any_name: bool) -> Result<Command<'_>, GrammarError<'_>> {
    let (to, text) = match line.strip_prefix('(') {
        None => line.split_once(' ').unwrap_or((line, "")),
        Some(inside) => match inside.split_once(") ") {
            Some(split) => split,
            None => match inside.strip_suffix(')') {
                Some(name) => (name, ""),
                None => return Err(GrammarError::OpenParenthesis),
            },
        },
    };
    if to.is_empty() {
        return Err(GrammarError::NoAddressee);
    }
    let is_number = to.bytes().all(|byte| byte.is_ascii_digit());
    let addressee = match (is_number, any_name) {
        (true, true) => Addressee::NumberOrName(to),
        (true, false) => Addressee::Number(to),
        (false, _) => Addressee::Name(to),
    };
    if text.is_empty() {
        return Err(GrammarError::NoText(to));
    }
    Ok(Command::Say { to: addressee, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: Result<Option<Command<'_>>, GrammarError<'_>>) {
        assert_eq!(parse(line), expected, "{line:?}");
    }

    #[track_caller]
    fn check_say(line: &str, to: Addressee<'_>, text: &str) {
        check(line, Ok(Some(Command::Say { to, text })));
    }

    #[test]
    fn sends() {
        use Addressee::{Name, Number, NumberOrName};
        check_say("3 Hi there!", Number("3"), "Hi there!");
        check_say("007 x", Number("007"), "x");
        check_say("bob Hi there!", Name("bob"), "Hi there!");
        check_say("3rd Hi", Name("3rd"), "Hi");
        check_say("-3 Hi", Name("-3"), "Hi");
        check_say("(bob) Hi there!", Name("bob"), "Hi there!");
        check_say("(bob smith) Hi (you)", Name("bob smith"), "Hi (you)");
        check_say("(3) Hi", NumberOrName("3"), "Hi");
        check_say("/msg 007 Hi", NumberOrName("007"), "Hi");
        check_say("/msg (3) Hi", NumberOrName("3"), "Hi");
        check_say("(a)b) Hi", Name("a)b"), "Hi");
        check_say("/msg bob Hi there!", Name("bob"), "Hi there!");
        check_say("/MSG (bob smith) Hi", Name("bob smith"), "Hi");
        check_say("/msg /list Hi", Name("/list"), "Hi");
        check_say("(@List) Hi", Name("@List"), "Hi");
        check_say("José Grüße", Name("José"), "Grüße");
    }

    #[test]
    fn keeps_the_text_as_it_is() {
        check_say("  3 Hi", Addressee::Number("3"), "Hi");
        check_say("3   two more", Addressee::Number("3"), "  two more");
        check_say("3 end  ", Addressee::Number("3"), "end  ");
        check_say("3 \"quoted\" 'too'", Addressee::Number("3"), "\"quoted\" 'too'");
        check_say("3 a\tb", Addressee::Number("3"), "a\tb");
        check_say("3 Hi\r\n", Addressee::Number("3"), "Hi");
    }

    #[test]
    fn commands() {
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
    fn refuses() {
        use GrammarError as E;
        check("3", Err(E::NoText("3")));
        check("bob ", Err(E::NoText("bob")));
        check("(bob smith)", Err(E::NoText("bob smith")));
        check("/msg bob", Err(E::NoText("bob")));
        check("/msg", Err(E::NoAddressee));
        check("() Hi", Err(E::NoAddressee));
        check("(bob smith", Err(E::OpenParenthesis));
        check("/lst", Err(E::UnknownCommand("/lst")));
        check("@bob Hi", Err(E::UnknownCommand("@bob")));
        check("/ x", Err(E::UnknownCommand("/")));
        check("/list all", Err(E::TooMuch("/list")));
    }

    #[test]
    fn help_shows_lines_that_mean_what_it_says() {
        let typed: Vec<_> = HELP.lines().filter_map(|line| line.split("  ").next()).collect();
        assert_eq!(typed.len(), 7);
        for line in typed.iter().flat_map(|line| line.split(", ")) {
            assert!(parse(line).is_ok(), "{line}");
        }
    }
}
