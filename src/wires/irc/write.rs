//! Writes lines to a client.

use std::borrow::Cow;
use std::ops::Deref;
use std::time::Duration;

use smallvec::SmallVec;

use super::caps::Caps;
use super::line::{CLIENT_TAGS_BYTES_MAX, LINE_BYTES_MAX, is_clean_tag};
use super::text::{for_each_piece, format_time, is_whole_piece, truncated};
use crate::id::HostId;
use crate::limits::{IRC_REAL_NAME_BYTES_MAX, IRC_USER_BYTES_MAX};
use crate::names::Names;
use crate::names::nick::Nick;
use crate::relay::{Host, View};
use crate::wires::NoticeCx;

/// The host in the masks of all users: the network shows no addresses.
pub(super) const HOST: &str = "crc";

/// What each line ends with.
const LINE_END: &[u8] = b"\r\n";

/// Maximum length of the name of a server in bytes; longer ones are cut.
const SERVER_NAME_BYTES_MAX: usize = 63;

/// First word of the info with which users of this wire register: others see what they speak.
const INFO_WIRE: &str = "irc";

/// Returns the info with which a user of this wire registers.
pub(super) fn encode_info(user: &str, real_name: &str) -> String {
    format!("{INFO_WIRE} {user} {}", truncated(real_name, IRC_REAL_NAME_BYTES_MAX))
}

/// Returns the user name and the real name in the info of a user of this wire.
pub(super) fn parse_info(info: &[u8]) -> Option<(&str, &str)> {
    let rest = std::str::from_utf8(info).ok()?.strip_prefix(INFO_WIRE)?.strip_prefix(' ')?;
    let (user, real_name) = rest.split_once(' ')?;
    let is_clean =
        (1..=IRC_USER_BYTES_MAX).contains(&user.len()) && user.chars().all(is_allowed_in_user);
    is_clean.then_some((user, real_name))
}

/// Returns whether a character may be in the user name of a mask.
fn is_allowed_in_user(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.~".contains(c)
}

/// Returns a user name with what may not be in a mask replaced, and cut.
pub(super) fn clean_user(user: &str) -> String {
    let cleaned: String = user
        .chars()
        .take(IRC_USER_BYTES_MAX)
        .map(|c| if is_allowed_in_user(c) { c } else { '_' })
        .collect();
    if cleaned.is_empty() { "_".to_owned() } else { cleaned }
}

/// Returns the name of a server with what may not be in a line replaced, and cut.
pub(super) fn server_name(name: &[u8]) -> Cow<'_, str> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let name = String::from_utf8_lossy(name);
    if (1..=SERVER_NAME_BYTES_MAX).contains(&name.len()) && name.chars().all(is_allowed) {
        return name;
    }
    let cleaned = name.chars().take(SERVER_NAME_BYTES_MAX);
    let cleaned: String = cleaned.map(|c| if is_allowed(c) { c } else { '_' }).collect();
    Cow::Owned(if cleaned.is_empty() { "_".to_owned() } else { cleaned })
}

/// Returns nicks and other bytes that are ASCII as text.
pub(super) fn ascii(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or("*")
}

/// A line that is being written. Its text is cut to what a line may have.
pub(super) struct LineWriter<'q> {
    out: &'q mut Vec<u8>,
    begin: usize,
}

impl<'q> LineWriter<'q> {
    /// Begins a line with its tags, which end with a space, and its source.
    pub(super) fn begin(out: &'q mut Vec<u8>, tags: &str, source: &[&str]) -> Self {
        out.extend_from_slice(tags.as_bytes());
        let begin = out.len();
        out.push(b':');
        for part in source {
            out.extend_from_slice(part.as_bytes());
        }
        Self { out, begin }
    }

    /// Appends a word. One that could be taken for something else is replaced by `*`.
    pub(super) fn word(self, word: &str) -> Self {
        let is_valid = !word.is_empty()
            && !word.starts_with(':')
            && !word.bytes().any(|byte| matches!(byte, b' ' | b'\r' | b'\n' | 0));
        self.out.push(b' ');
        self.out.extend_from_slice(if is_valid { word.as_bytes() } else { b"*" });
        self
    }

    /// Appends several words.
    pub(super) fn words(self, words: &[&str]) -> Self {
        words.iter().fold(self, |line, word| line.word(word))
    }

    /// Appends the last parameter, in parts, and ends the line.
    pub(super) fn text(self, parts: &[&str]) {
        self.out.extend_from_slice(b" :");
        for part in parts {
            let begin = self.out.len();
            self.out.extend_from_slice(part.as_bytes());
            for byte in &mut self.out[begin..] {
                if matches!(byte, b'\r' | b'\n' | 0) {
                    *byte = b' ';
                }
            }
        }
        self.end();
    }

    /// Ends the line.
    pub(super) fn end(self) {
        let Self { out, begin } = self;
        let len_max = LINE_BYTES_MAX - 2;
        if out.len() - begin > len_max {
            let mut end = begin + len_max;
            while end > begin && out[end] & 0xc0 == 0x80 {
                end -= 1;
            }
            out.truncate(end);
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// The user name in a mask, which is ASCII. Takes no memory of its own.
#[derive(Clone, Debug)]
pub(super) struct UserName(SmallVec<[u8; 24]>);

impl UserName {
    pub(super) fn new(name: &[u8]) -> Self {
        Self(SmallVec::from_slice(name))
    }
}

impl Deref for UserName {
    type Target = str;

    fn deref(&self) -> &str {
        ascii(&self.0)
    }
}

/// The nick and the user name in the source of what a user does.
#[derive(Clone, Debug)]
pub(super) struct Mask {
    pub(super) nick: Nick,
    pub(super) user: UserName,
}

impl Mask {
    /// Returns the mask of a user with this name, who may have left.
    pub(super) fn of(id: HostId, name: &[u8], view: View<'_>, names: &Names) -> Self {
        let host = view.hosts.get(id);
        let name = host.map_or(name, Host::name);
        Self { nick: names.nicks.nick(id, name), user: user_of(id, host) }
    }

    /// Returns the mask of a user.
    pub(super) fn of_host(host: &Host, cx: &NoticeCx<'_>) -> Self {
        Self::of(host.id, host.name(), cx.view, cx.names)
    }

    /// Returns the nick.
    pub(super) fn nick(&self) -> &str {
        ascii(&self.nick)
    }

    /// Returns the parts of `nick!user@host`.
    pub(super) fn source(&self) -> [&str; 5] {
        [self.nick(), "!", &self.user, "@", HOST]
    }

    /// Returns `nick!user@host`.
    pub(super) fn to_text(&self) -> String {
        self.source().concat()
    }
}

/// Writes texts of one user to one target: lines that differ in the text alone.
pub(super) struct TextWriter {
    /// What precedes the text in each line.
    head: SmallVec<[u8; 256]>,
    /// Maximum length of the text of a line, in bytes.
    text_bytes_max: usize,
}

impl TextWriter {
    /// `tags` end with a space. `target` is a nick or the name of a room.
    pub(super) fn new(tags: &str, mask: &Mask, [command, target]: [&str; 2]) -> Self {
        let mut head = SmallVec::from_slice(tags.as_bytes());
        head.push(b':');
        for part in mask.source().into_iter().chain([" ", command, " ", target, " :"]) {
            head.extend_from_slice(part.as_bytes());
        }
        let rest_bytes = LINE_BYTES_MAX - LINE_END.len();
        let text_bytes_max = rest_bytes.saturating_sub(head.len() - tags.len());
        Self { head, text_bytes_max }
    }

    /// Appends a text as a line, or as several.
    pub(super) fn write(&self, text: &[u8], out: &mut Vec<u8>) {
        if text.len() <= self.text_bytes_max && is_whole_piece(text) {
            return self.write_line(&[text], out);
        }
        for_each_piece(text, self.text_bytes_max, |parts| {
            self.write_line(&parts.map(str::as_bytes), out);
        });
    }

    fn write_line(&self, parts: &[&[u8]], out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        for part in parts {
            out.extend_from_slice(part);
        }
        out.extend_from_slice(LINE_END);
    }
}

/// Returns the user name of a user with this info: its own on this wire, and its id on others.
pub(super) fn user_name(id: HostId, info: &[u8]) -> UserName {
    match parse_info(info) {
        Some((user, _)) => UserName::new(user.as_bytes()),
        None => UserName::new(&id.digits()),
    }
}

/// Returns the user name of a user, who may have left.
pub(super) fn user_of(id: HostId, host: Option<&Host>) -> UserName {
    user_name(id, host.map_or(b"", Host::info))
}

/// Returns the real name in the info of a user of this wire, and the info of one of another.
pub(super) fn registered_name(info: &[u8]) -> Cow<'_, str> {
    match parse_info(info) {
        Some((_, real_name)) => Cow::Borrowed(real_name),
        None => String::from_utf8_lossy(info),
    }
}

/// Returns the tag with the time, for clients that want it.
pub(super) fn time_tag(caps: Caps, unix_time: Duration) -> String {
    match caps.has(Caps::SERVER_TIME) {
        true => format!("@time={} ", format_time(unix_time)),
        false => String::new(),
    }
}

/// Returns the tags of a text: the time, whether a program has sent it, and those of the client.
pub(super) fn text_tags(caps: Caps, unix_time: Duration, is_bot: bool, tags: &[u8]) -> String {
    let time = time_tag(caps, unix_time);
    let has_tags = is_bot || !tags.is_empty();
    if !has_tags || !caps.has(Caps::MESSAGE_TAGS) {
        return time;
    }
    let mut all = vec![time.trim_end().trim_start_matches('@').to_owned()];
    all.extend(is_bot.then(|| "bot".to_owned()));
    all.push(client_tags(tags));
    all.retain(|tag| !tag.is_empty());
    if all.is_empty() { String::new() } else { format!("@{} ", all.join(";")) }
}

/// Returns those of some tags that are a client's own, `+name=value`, as they may be in a line.
pub(super) fn client_tags(tags: &[u8]) -> String {
    let tags = std::str::from_utf8(tags).unwrap_or_default();
    let is_valid = |tag: &&str| tag.len() > 1 && tag.starts_with('+') && is_clean_tag(tag);
    let own: Vec<&str> = tags.split(';').filter(is_valid).collect();
    let own = own.join(";");
    if own.len() > CLIENT_TAGS_BYTES_MAX { String::new() } else { own }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn infos_have_user_and_real_name() {
        let info = encode_info("frodo", "Frodo Baggins");
        assert_eq!(info, "irc frodo Frodo Baggins");
        assert_eq!(parse_info(info.as_bytes()), Some(("frodo", "Frodo Baggins")));
        assert_eq!(parse_info(encode_info("a", "").as_bytes()), Some(("a", "")));
        for other in ["irc", "irc frodo", "irc a!b c", "direct", "ircd a b", ""] {
            assert_eq!(parse_info(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn names_are_cleaned_for_masks() {
        assert_eq!(clean_user("~frodo.b-1_"), "~frodo.b-1_");
        assert_eq!(clean_user("a!b@c d"), "a_b_c_d");
        assert_eq!(clean_user(""), "_");
        assert_eq!(clean_user(&"ö".repeat(20)), "_".repeat(16));
        assert_eq!(server_name(b"hub.example-1"), "hub.example-1");
        assert_eq!(server_name(b"the shire"), "the_shire");
        assert_eq!(server_name(b""), "_");
        assert_eq!(server_name(&[b'x'; 255]).len(), SERVER_NAME_BYTES_MAX);
    }

    #[test]
    fn lines_are_cut_between_characters_and_hold_no_line_ends() {
        let mut out = b"before".to_vec();
        let line = LineWriter::begin(&mut out, "@a=b ", &["hub"]).words(&["x", "a b", "", ":y"]);
        line.text(&["Hi\r\nall", "\0!"]);
        assert_eq!(out, b"before@a=b :hub x * * * :Hi  all !\r\n");
        out.clear();
        LineWriter::begin(&mut out, "", &["h"]).word("1").text(&["x", &"ö".repeat(300)]);
        assert_eq!(out.len(), LINE_BYTES_MAX - 1);
        assert!(std::str::from_utf8(&out).is_ok());
    }
}
