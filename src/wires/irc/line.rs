//! Codec of IRC lines, see `docs/IRC.md`, "Lines".
//!
//! A line is tags, a source, a command and up to 15 parameters, of which the last may have spaces.
//! The text of a line is at most [`LINE_BYTES_MAX`] bytes, tags beside it.

use smallvec::SmallVec;

/// Maximum length of a line without its tags, in bytes, with its end.
pub const LINE_BYTES_MAX: usize = 512;

/// Maximum length of the tags of a client, in bytes, with the `@` and the space behind them.
pub const CLIENT_TAGS_BYTES_MAX: usize = 4094 + 2;

/// Maximum length of any tags, in bytes, with the `@` and the space behind them.
pub const TAGS_BYTES_MAX: usize = 8191;

/// Maximum length of a frame in bytes. A longer line is cut into several frames.
pub const FRAME_BYTES_MAX: usize = TAGS_BYTES_MAX + LINE_BYTES_MAX;

/// Maximum number of parameters.
pub const PARAMS_MAX: usize = 15;

/// A line of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The tags without `@`, escaped.
    pub tags: &'a str,
    /// The command as it was written. Never empty.
    pub command: &'a str,
    /// The parameters.
    pub params: SmallVec<[&'a str; 6]>,
}

/// The reason why a line is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineError<'a> {
    /// The line, or its tags, are too long.
    TooLong,
    /// The line is not UTF-8. These are its tags and its command, as far as they could be read.
    NotUtf8(&'a str, &'a str),
}

/// Returns the length of the line at the front of `bytes` with its end, or `None` while that is
/// missing. The frames of a line that is too long have no end, but for the last.
#[must_use]
pub fn frame_len(bytes: &[u8]) -> Option<usize> {
    let start = &bytes[..bytes.len().min(FRAME_BYTES_MAX)];
    let end = start.iter().position(|&byte| byte == b'\n');
    end.map(|end| end + 1).or((start.len() == FRAME_BYTES_MAX).then_some(FRAME_BYTES_MAX))
}

/// Returns whether a frame is the end of a line.
#[must_use]
pub fn is_line_end(frame: &[u8]) -> bool {
    frame.last() == Some(&b'\n')
}

impl<'a> Line<'a> {
    /// Parses a frame that is a whole line. Returns `None` for an empty line.
    ///
    /// # Errors
    /// See [`LineError`].
    pub fn parse(frame: &'a [u8]) -> Result<Option<Self>, LineError<'a>> {
        let mut end = frame.len();
        while end > 0 && matches!(frame[end - 1], b'\n' | b'\r') {
            end -= 1;
        }
        let content = &frame[..end];
        let body_at = match content.first() {
            Some(b'@') => content.iter().position(|&byte| byte == b' ').unwrap_or(content.len()),
            _ => 0,
        };
        if body_at + 1 > CLIENT_TAGS_BYTES_MAX || frame.len() - body_at > LINE_BYTES_MAX + 1 {
            return Err(LineError::TooLong);
        }
        if body_at == 0 && frame.len() > LINE_BYTES_MAX {
            return Err(LineError::TooLong);
        }
        let Ok(text) = std::str::from_utf8(content) else {
            let body = content[body_at..].trim_ascii_start();
            let word = body.split(|&byte| byte == b' ').next().unwrap_or_default();
            let [tags, word] = [&content[..body_at], word].map(std::str::from_utf8);
            let tags = tags.unwrap_or_default().strip_prefix('@').unwrap_or_default();
            return Err(LineError::NotUtf8(tags, word.unwrap_or_default()));
        };
        let tags = text[..body_at].strip_prefix('@').unwrap_or_default();
        let (source, mut rest) = next_word(&text[body_at..]);
        let mut command = source;
        if source.starts_with(':') {
            (command, rest) = next_word(rest);
        }
        if command.is_empty() {
            return Ok(None);
        }
        let mut params = SmallVec::new();
        loop {
            rest = rest.trim_start_matches(' ');
            if rest.is_empty() {
                break;
            }
            if let Some(trailing) = rest.strip_prefix(':') {
                params.push(trailing);
                break;
            }
            if params.len() == PARAMS_MAX - 1 {
                params.push(rest);
                break;
            }
            let (param, behind) = next_word(rest);
            params.push(param);
            rest = behind;
        }
        Ok(Some(Self { tags, command, params }))
    }

    /// Returns a parameter, or an empty text if the line has fewer.
    #[must_use]
    pub fn param(&self, index: usize) -> &'a str {
        self.params.get(index).copied().unwrap_or_default()
    }
}

/// Returns the value of a tag, escaped. A tag without a value has an empty one.
#[must_use]
pub fn find_tag<'a>(tags: &'a str, key: &str) -> Option<&'a str> {
    let mut found = None;
    for tag in tags.split(';') {
        let (name, value) = tag.split_once('=').unwrap_or((tag, ""));
        if name == key {
            found = Some(value); // the last of several counts
        }
    }
    found
}

/// Returns whether a tag, or the value of one, may be in a line that is written.
#[must_use]
pub fn is_clean_tag(tag: &str) -> bool {
    !tag.contains([' ', '\r', '\n', '\0'])
}

/// Splits the first word from the rest of a text.
fn next_word(text: &str) -> (&str, &str) {
    let text = text.trim_start_matches(' ');
    text.split_at(text.find(' ').unwrap_or(text.len()))
}

/// Returns the text and the length of the whole line at the front of `bytes`, if it is `PRIVMSG` to
/// exactly this target, with a text that is not empty and without tags and a source.
#[must_use]
pub fn parse_text_to<'a>(target: &[u8], bytes: &'a [u8]) -> Option<(&'a [u8], usize)> {
    let rest = bytes.strip_prefix(b"PRIVMSG ")?.strip_prefix(target)?.strip_prefix(b" :")?;
    let head_bytes = bytes.len() - rest.len();
    let rest = &rest[..rest.len().min(LINE_BYTES_MAX - head_bytes.min(LINE_BYTES_MAX))];
    let end = rest.iter().position(|&byte| byte == b'\n')?;
    let text = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
    let is_plain = !text.is_empty() && !text.ends_with(b"\r") && std::str::from_utf8(text).is_ok();
    is_plain.then_some((text, head_bytes + end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, tags: &str, command: &str, params: &[&str]) {
        for end in ["\r\n", "\n", "\r\r\n"] {
            let frame = format!("{text}{end}");
            assert_eq!(frame_len(frame.as_bytes()), Some(frame.len()));
            let line = Line::parse(frame.as_bytes()).expect("a line").expect("not empty");
            assert_eq!((line.tags, line.command), (tags, command), "{text:?}");
            assert_eq!(line.params.as_slice(), params, "{text:?}");
        }
    }

    #[test]
    fn line_has_tags_source_command_and_params() {
        check("QUIT", "", "QUIT", &[]);
        check("JOIN :", "", "JOIN", &[""]);
        check("PRIVMSG #lab :Hi  all: you", "", "PRIVMSG", &["#lab", "Hi  all: you"]);
        check("PRIVMSG   #lab   Hi ", "", "PRIVMSG", &["#lab", "Hi"]);
        check(":me!a@b NICK frodo", "", "NICK", &["frodo"]);
        check("@label=1;+x=a\\sb  :me  PING  1", "label=1;+x=a\\sb", "PING", &["1"]);
        check("  USER a 0 * :Frodo B", "", "USER", &["a", "0", "*", "Frodo B"]);
        let many = (1..=20).map(|i| i.to_string()).collect::<Vec<_>>();
        let joined = many.join(" ");
        let line = Line::parse(joined.as_bytes()).expect("a line").expect("not empty");
        assert_eq!(line.params.len(), PARAMS_MAX);
        assert_eq!(line.param(14), "16 17 18 19 20");
    }

    #[test]
    fn lines_without_a_command_are_empty() {
        for text in ["", "\r\n", "\n", "   \r\n", ":me\r\n", "@a=b\r\n", "@a :me \r\n"] {
            assert_eq!(Line::parse(text.as_bytes()), Ok(None), "{text:?}");
        }
    }

    #[test]
    fn tags_are_found_by_key() {
        let line = Line::parse(b"@a;label=x;b=;label=y TAGMSG #a\n").expect("fine").expect("one");
        assert_eq!(find_tag(line.tags, "a"), Some(""));
        assert_eq!(find_tag(line.tags, "b"), Some(""));
        assert_eq!(find_tag(line.tags, "label"), Some("y"));
        assert_eq!(find_tag(line.tags, "c"), None);
    }

    #[test]
    fn long_lines_are_cut_into_frames_and_refused() {
        let longest = [b"PRIVMSG a :", &[b'x'; 499][..], b"\r\n"].concat();
        assert_eq!(longest.len(), LINE_BYTES_MAX);
        assert!(Line::parse(&longest).is_ok());
        let too_long = [b"PRIVMSG a :", &[b'x'; 500][..], b"\r\n"].concat();
        assert_eq!(Line::parse(&too_long), Err(LineError::TooLong));
        let tags = [b"@", &[b'x'; 4094][..], b" "].concat();
        assert!(Line::parse(&[&tags, &longest[..]].concat()).is_ok());
        assert_eq!(Line::parse(&[&tags, &too_long[..]].concat()), Err(LineError::TooLong));
        let tags = [b"@", &[b'x'; 4095][..], b" QUIT\r\n"].concat();
        assert_eq!(Line::parse(&tags), Err(LineError::TooLong));
        let endless = [b'x'; FRAME_BYTES_MAX + 1];
        assert_eq!(frame_len(&endless), Some(FRAME_BYTES_MAX));
        assert_eq!(frame_len(&endless[..FRAME_BYTES_MAX - 1]), None);
        assert!(!is_line_end(&endless) && is_line_end(b"\n"));
    }

    #[test]
    fn text_that_is_not_utf8_is_refused_with_its_command() {
        assert_eq!(Line::parse(b"PRIVMSG a :\xff\r\n"), Err(LineError::NotUtf8("", "PRIVMSG")));
        assert_eq!(Line::parse(b"@a=\xff PING\r\n"), Err(LineError::NotUtf8("", "PING")));
        assert_eq!(Line::parse(b"@a=1 PING \xff\n"), Err(LineError::NotUtf8("a=1", "PING")));
        assert_eq!(Line::parse(b"\xff\r\n"), Err(LineError::NotUtf8("", "")));
    }

    #[test]
    fn continuing_texts_are_what_the_parser_reads() {
        let check = |bytes: &[u8], expected: Option<&[u8]>| {
            let found = parse_text_to(b"#lab", bytes);
            assert_eq!(found.map(|(text, _)| text), expected, "{bytes:?}");
            if let Some((text, len)) = found {
                let line = Line::parse(&bytes[..len]).expect("a line").expect("not empty");
                assert_eq!((line.param(0), line.param(1).as_bytes()), ("#lab", text));
                assert_eq!(frame_len(bytes), Some(len));
            }
        };
        check(b"PRIVMSG #lab :Hi\r\nPING", Some(b"Hi"));
        check(b"PRIVMSG #lab :Hi all\n", Some(b"Hi all"));
        check(b"PRIVMSG #lab :Hi", None);
        check(b"PRIVMSG #lab :\r\n", None);
        check(b"PRIVMSG #lab2 :Hi\r\n", None);
        check(b"PRIVMSG #lab :\xff\r\n", None);
        check(&[b"PRIVMSG #lab :", &[b'x'; 497][..], b"\n"].concat(), Some(&[b'x'; 497]));
        check(&[b"PRIVMSG #lab :", &[b'x'; 498][..], b"\n"].concat(), None);
    }
}
