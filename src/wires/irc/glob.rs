//! Masks in which `*` stands for any text and `?` for any byte, and the conditions of `LIST`.

use crate::relay::RoomReport;

/// Returns whether a text is a mask, and not a name.
pub(super) fn is_mask(text: &str) -> bool {
    text.contains(['*', '?'])
}

/// Returns whether a mask stands for a name, in any case of ASCII letters.
pub(super) fn matches(mask: &[u8], name: &[u8]) -> bool {
    let (mut at, mut name_at) = (0, 0);
    // Where the last `*` is, and where the name goes on behind what that stands for.
    let mut star = None;
    while name_at < name.len() {
        match mask.get(at) {
            Some(b'*') => {
                star = Some((at, name_at));
                at += 1;
            }
            Some(&byte) if byte == b'?' || byte.eq_ignore_ascii_case(&name[name_at]) => {
                (at, name_at) = (at + 1, name_at + 1);
            }
            _ => {
                let Some((star_at, behind)) = star else { return false };
                star = Some((star_at, behind + 1));
                (at, name_at) = (star_at + 1, behind + 1);
            }
        }
    }
    mask[at..].iter().all(|&byte| byte == b'*')
}

/// The conditions of `LIST`, all of which a room must meet.
#[derive(Clone, Debug, Default)]
pub(super) struct RoomFilter {
    /// Masks of which one must stand for the room, if there are any.
    masks: Vec<Box<str>>,
    /// Masks of which none may stand for the room.
    not_masks: Vec<Box<str>>,
    /// The room must have more users than this.
    above: Option<usize>,
    /// The room must have fewer users than this.
    below: Option<usize>,
}

impl RoomFilter {
    /// Parses conditions between commas: `mask`, `!mask`, `>users` and `<users`.
    pub(super) fn parse(text: &str) -> Self {
        let mut filter = Self::default();
        for condition in text.split(',').filter(|condition| !condition.is_empty()) {
            if let Some(count) = condition.strip_prefix('>').and_then(|count| count.parse().ok()) {
                filter.above = filter.above.max(Some(count));
            } else if let Some(count) =
                condition.strip_prefix('<').and_then(|count| count.parse::<usize>().ok())
            {
                filter.below = Some(filter.below.map_or(count, |below| below.min(count)));
            } else if let Some(mask) = condition.strip_prefix('!') {
                filter.not_masks.push(mask.into());
            } else {
                filter.masks.push(condition.into());
            }
        }
        filter
    }

    /// Returns whether a room meets the conditions.
    pub(super) fn accepts(&self, room: &RoomReport<'_>) -> bool {
        self.accepts_room(room.name.as_bytes(), room.members_here + room.members_elsewhere)
    }

    fn accepts_room(&self, name: &[u8], users: usize) -> bool {
        let is_one = |masks: &[Box<str>]| masks.iter().any(|mask| matches(mask.as_bytes(), name));
        (self.masks.is_empty() || is_one(&self.masks))
            && !is_one(&self.not_masks)
            && self.above.is_none_or(|above| users > above)
            && self.below.is_none_or(|below| users < below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_stand_for_names() {
        let check = |mask: &str, name: &str, expected: bool| {
            assert_eq!(matches(mask.as_bytes(), name.as_bytes()), expected, "{mask} {name}");
        };
        for mask in ["sam", "SAM", "*", "s*", "*m", "s?m", "*a*", "**s*m**", "???", "*sam*"] {
            check(mask, "sam", true);
        }
        for mask in ["", "sa", "samw", "?", "????", "*b*", "s*a", "*sam?", "a*"] {
            check(mask, "sam", false);
        }
        check("*ab*ab", "abaabab", true);
        check("", "", true);
        check("*", "", true);
        check("?", "", false);
        let (mask, name) = ("*a".repeat(200), "a".repeat(199));
        check(&mask, &name, false);
    }

    #[test]
    fn rooms_must_meet_all_conditions() {
        let check = |text: &str, expected: &[&str]| {
            let filter = RoomFilter::parse(text);
            let rooms = [("#lab", 1), ("#Lobby", 5), ("#dev", 9)];
            let accepted =
                rooms.iter().filter(|(name, n)| filter.accepts_room(name.as_bytes(), *n));
            assert_eq!(accepted.map(|(name, _)| *name).collect::<Vec<_>>(), expected, "{text}");
        };
        check("", &["#lab", "#Lobby", "#dev"]);
        check("#l*", &["#lab", "#Lobby"]);
        check("#lab,*e*", &["#lab", "#dev"]);
        check("!#l*", &["#dev"]);
        check(">1,<9", &["#Lobby"]);
        check(">1,>5,*", &["#dev"]);
        check("<1", &[]);
        check("<x", &[]);
    }
}
