//! The list of who is online as it is sent: `List I/N NAME NAME …`, as many names as fit.
//!
//! Made once for all clients: what differs between them, the header and the form, is put around a
//! page when it is sent.

use super::wire::{Name, TEXT_BYTES_MAX};

/// The pages of one version of the list. There is at least one.
#[derive(Debug)]
pub(super) struct Pages {
    version: u64,
    /// One after the other.
    texts: Vec<u8>,
    starts: Vec<usize>,
}

impl Pages {
    /// Packs names, in their order, as densely as they go.
    pub(super) fn pack<'a>(version: u64, names: &(impl Iterator<Item = &'a Name> + Clone)) -> Self {
        // How much fits depends on how long N is. More digits never make fewer pages, so the first
        // number of digits that suffices is the length of the N that comes out.
        let packed = (1..).find_map(|digits| try_pack(names.clone(), digits));
        let (mut texts, starts) = packed.expect("fewer pages than numbers");
        let count = starts.len().to_string();
        for (i, &start) in starts.iter().enumerate() {
            let at = start + format!("List {}/", i + 1).len();
            texts[at..at + count.len()].copy_from_slice(count.as_bytes());
        }
        Self { version, texts, starts }
    }

    /// What it is the list of, see [`super::Directory::version`].
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// How many pages there are.
    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    /// What they take to keep, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.texts.len() + self.starts.len() * size_of::<usize>()
    }

    /// The text of a page, counted from 0.
    pub(super) fn text(&self, page: usize) -> Option<&[u8]> {
        let start = *self.starts.get(page)?;
        let end = self.starts.get(page + 1).copied().unwrap_or(self.texts.len());
        Some(&self.texts[start..end])
    }
}

/// Texts and starts of the pages if their number has at most so many digits; in its place stand
/// zeros.
fn try_pack<'a>(
    names: impl Iterator<Item = &'a Name>,
    digits: usize,
) -> Option<(Vec<u8>, Vec<usize>)> {
    let mut texts = Vec::new();
    let mut starts = Vec::new();
    let mut begin = |texts: &mut Vec<u8>| {
        starts.push(texts.len());
        let page = starts.len().to_string();
        texts.extend_from_slice(format!("List {page}/{:0digits$}", 0).as_bytes());
        page.len() <= digits
    };
    let mut end = TEXT_BYTES_MAX;
    begin(&mut texts);
    for name in names {
        let name = name.bytes();
        if texts.len() + 1 + name.len() > end {
            end = texts.len() + TEXT_BYTES_MAX;
            if !begin(&mut texts) {
                return None;
            }
        }
        texts.push(b' ');
        texts.extend_from_slice(name);
    }
    Some((texts, starts))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Checks every promise but the order of names that `names` itself has.
    #[track_caller]
    fn check(names: &[Name]) -> usize {
        let pages = Pages::pack(7, &names.iter());
        assert_eq!(pages.version(), 7);
        let count = pages.len();
        let mut found = Vec::new();
        for page in 0..count {
            let text = pages.text(page).expect("a page");
            assert!(text.len() <= TEXT_BYTES_MAX, "{} bytes", text.len());
            let text = std::str::from_utf8(text).expect("ASCII here");
            let mut words = text.split(' ');
            assert_eq!(words.next(), Some("List"));
            assert_eq!(words.next(), Some(&*format!("{}/{count}", page + 1)));
            if page > 0 {
                let before = pages.text(page - 1).expect("a page");
                let first = words.clone().next().expect("a page that is there for a name");
                assert!(before.len() + 1 + first.len() > TEXT_BYTES_MAX, "packed full");
            }
            found.extend(words.map(|word| Name::new(word.as_bytes()).expect("a name")));
        }
        assert_eq!(pages.text(count), None);
        assert_eq!(found, names);
        count
    }

    fn names(count: usize, len: impl Fn(usize) -> usize) -> Vec<Name> {
        (0..count).map(|i| Name::new(&vec![b'x'; len(i)]).expect("a name")).collect()
    }

    #[test]
    fn nobody_is_a_page_of_its_own() {
        assert_eq!(check(&[]), 1);
        assert_eq!(Pages::pack(0, &[].iter()).text(0), Some(&b"List 1/1"[..]));
    }

    #[test]
    fn pages_are_full_where_their_number_gets_longer() {
        // "List 1/9" leaves 231 bytes: 25 names of eight with a space each, and 6 bytes over.
        assert_eq!(check(&names(25, |_| 8)), 1);
        assert_eq!(check(&names(26, |_| 8)), 2);
        assert_eq!(check(&names(9 * 25, |_| 8)), 9);
        assert_eq!(check(&names(9 * 25 + 1, |_| 8)), 10);
        // 231 bytes are 33 names of six; with one digit more only 32.
        assert_eq!(check(&names(9 * 33, |_| 6)), 9);
        assert_eq!(check(&names(9 * 33 + 1, |_| 6)), 10);
        let last_of_two_digits = 9 * 32 + 90 * 32; // "List 10/99" leaves 229
        assert_eq!(check(&names(last_of_two_digits, |_| 6)), 99);
        assert_eq!(check(&names(last_of_two_digits + 1, |_| 6)), 100);
    }

    #[test]
    fn every_number_of_names_comes_out_once_each() {
        for count in (0..600).chain(2_700..3_400) {
            check(&names(count, |i| 1 + i * i % 8));
        }
    }

    proptest! {
        #[test]
        fn any_names_come_out_once_each(lens in proptest::collection::vec(1_usize..9, 0..4_500)) {
            check(&names(lens.len(), |i| lens[i]));
        }
    }
}
