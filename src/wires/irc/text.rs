//! Texts of others as lines: in pieces that fit, and times as people and programs read them.

use std::time::Duration;

/// What a `CTCP ACTION` begins with, and what it ends with.
const ACTION: (&str, &str) = ("\u{1}ACTION ", "\u{1}");

/// Calls `each` with the pieces in which a text is shown: one for each of its lines, and several
/// for a line of more than `bytes_max` bytes, cut between characters. What is not UTF-8 is
/// replaced, and so is an empty line, which clients would ignore, by a space.
pub(super) fn for_each_piece(text: &[u8], bytes_max: usize, mut each: impl FnMut([&str; 3])) {
    let text = String::from_utf8_lossy(text);
    let action = text.strip_prefix(ACTION.0).and_then(|text| text.strip_suffix(ACTION.1));
    let (begin, text, end) = match action {
        Some(text) => (ACTION.0, text, ACTION.1),
        None => ("", &*text, ""),
    };
    let bytes_max = bytes_max.saturating_sub(begin.len() + end.len()).max(4);
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let replaced;
        let mut rest = match line.contains(['\r', '\0']) {
            true => {
                replaced = line.replace(['\r', '\0'], " ");
                &*replaced
            }
            false => line,
        };
        if rest.is_empty() {
            rest = " ";
        }
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(rest.floor_char_boundary(bytes_max));
            each([begin, piece, end]);
            rest = behind;
        }
    }
}

/// Returns whether a text that is short enough is one piece, without a change.
pub(super) fn is_whole_piece(text: &[u8]) -> bool {
    // All bytes are looked at, which takes less time than to end at the first that decides.
    let is_special = |byte| (byte == b'\n') | (byte == b'\r') | (byte == 0);
    let has_special = text.iter().fold(false, |has, &byte| has | is_special(byte));
    let is_plain = !text.is_empty() && !text.starts_with(ACTION.0.as_bytes()) && !has_special;
    is_plain && std::str::from_utf8(text).is_ok()
}

/// Returns at most the first `bytes_max` bytes of a text, cut between characters.
pub(super) fn truncated(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

/// Returns year, month and day of a day since 1970-01-01.
fn date_of(days: u64) -> (u64, u64, u64) {
    // Years from March on, in eras of 400 years; day 0 is 0000-03-01.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let leap_days = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

/// Returns a time since 1970 as `2026-01-31T23:59:59.123Z`.
pub(super) fn format_time(unix_time: Duration) -> String {
    let seconds = unix_time.as_secs();
    let (year, month, day) = date_of(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let millis = unix_time.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &[u8], bytes_max: usize, expected: &[&str]) {
        let mut pieces = Vec::new();
        for_each_piece(text, bytes_max, |parts| pieces.push(parts.concat()));
        assert_eq!(pieces, expected, "{text:?}");
        if text.len() <= bytes_max && is_whole_piece(text) {
            assert_eq!(pieces, [String::from_utf8_lossy(text)]);
        }
        assert!(pieces.iter().all(|piece| piece.len() <= bytes_max));
    }

    #[test]
    fn texts_are_cut_between_lines_and_characters() {
        check(b"Hi all!", 10, &["Hi all!"]);
        check(b"", 10, &[" "]);
        check(b"a\nb\r\n\nc\n", 10, &["a", "b", " ", "c"]);
        check("ööööö".as_bytes(), 5, &["öö", "öö", "ö"]);
        check(b"a\0b\rc", 10, &["a b c"]);
        check(b"a\xff", 10, &["a\u{fffd}"]);
        check(b"\x01ACTION \x01", 10, &["\x01ACTION  \x01"]);
        check(
            b"\x01ACTION waves twice\x01",
            15,
            &["\x01ACTION waves \x01", "\x01ACTION twice\x01"],
        );
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        let check = |seconds: u64, expected: &str| {
            assert_eq!(format_time(Duration::from_secs(seconds)), expected);
        };
        check(0, "1970-01-01T00:00:00.000Z");
        check(951_782_399, "2000-02-28T23:59:59.000Z");
        check(951_782_400, "2000-02-29T00:00:00.000Z");
        check(951_868_800, "2000-03-01T00:00:00.000Z");
        check(1_767_225_599, "2025-12-31T23:59:59.000Z");
        check(4_102_444_800, "2100-01-01T00:00:00.000Z");
        let time = Duration::from_millis(1_700_000_000_123);
        assert_eq!(format_time(time), "2023-11-14T22:13:20.123Z");
    }
}
