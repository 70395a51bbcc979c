//! The list of who is online as it is sent: `List I/N NAME NAME …`, as many names as fit.
//!
//! Made once for all clients: what differs between them, the form, is put around a page when it is
//! sent. Made in portions where there are many names, see [`PageBuilder`].

use super::codec::TEXT_BYTES_MAX;
use crate::names::{NAME_BYTES, Name};

/// The pages of one version of the list. There is at least one.
#[derive(Debug)]
pub(super) struct Pages {
    version: u64,
    /// The names, each behind a space, one page after the other.
    packed_names: Vec<u8>,
    /// Where each page begins.
    page_starts: Vec<usize>,
}

impl Pages {
    /// What it is the list of, see [`crate::names::Directory::version`].
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// How many pages there are.
    pub(super) fn len(&self) -> usize {
        self.page_starts.len()
    }

    /// What they take to keep, in bytes.
    pub(super) fn size_bytes(&self) -> usize {
        self.packed_names.len() + self.page_starts.len() * size_of::<usize>()
    }

    /// The text of a page, counted from 0.
    pub(super) fn page_text(&self, page: usize) -> Option<Vec<u8>> {
        let start = *self.page_starts.get(page)?;
        let end = self.page_starts.get(page + 1).copied().unwrap_or(self.packed_names.len());
        let header = format!("List {}/{}", page + 1, self.len());
        Some([header.as_bytes(), &self.packed_names[start..end]].concat())
    }
}

/// Pages in the making: names are packed, in their order, as densely as they go.
///
/// How much fits depends on how many digits N has. More digits never make fewer pages, so the first
/// number of digits that suffices is that of the N that comes out.
#[derive(Debug)]
pub(super) struct PageBuilder {
    pages: Pages,
    count_digits: usize,
    /// Where the page that was begun last ends at the latest.
    page_end: usize,
    last_name: Option<Name>,
}

impl PageBuilder {
    /// Of no names yet; there will be about `count`.
    pub(super) fn new(version: u64, count: usize) -> Self {
        let packed_names = Vec::with_capacity(count * (1 + NAME_BYTES));
        let pages = Pages { version, packed_names, page_starts: Vec::new() };
        let mut builder = Self { pages, count_digits: 1, page_end: 0, last_name: None };
        builder.start_page();
        builder
    }

    /// The name that was packed last: those after it are next.
    pub(super) fn last_name(&self) -> Option<Name> {
        self.last_name
    }

    /// Packs the next name. Answers whether it could: if not, there are more pages than N has digits for,
    /// and with one more all begins anew.
    pub(super) fn push(&mut self, name: Name) -> bool {
        let bytes = name.unpadded();
        if self.pages.packed_names.len() + 1 + bytes.len() > self.page_end && !self.start_page() {
            self.count_digits += 1;
            self.pages.packed_names.clear();
            self.pages.page_starts.clear();
            self.last_name = None;
            self.start_page();
            return false;
        }
        self.pages.packed_names.push(b' ');
        self.pages.packed_names.extend_from_slice(bytes);
        self.last_name = Some(name);
        true
    }

    fn start_page(&mut self) -> bool {
        let page_digits = (self.pages.len() + 1).to_string().len();
        self.page_end = self.pages.packed_names.len() + TEXT_BYTES_MAX
            - ("List ".len() + page_digits + "/".len() + self.count_digits);
        self.pages.page_starts.push(self.pages.packed_names.len());
        page_digits <= self.count_digits
    }

    /// All names have been packed.
    pub(super) fn finish(mut self) -> Pages {
        self.pages.packed_names.shrink_to_fit();
        self.pages
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn build_pages(version: u64, names: &[Name]) -> Pages {
        let mut builder = PageBuilder::new(version, names.len());
        while !names.iter().all(|&name| builder.push(name)) {}
        builder.finish()
    }

    /// Checks every promise but the order of names that `names` itself has.
    #[track_caller]
    fn check(names: &[Name]) -> usize {
        let pages = build_pages(7, names);
        assert_eq!(pages.version(), 7);
        let count = pages.len();
        let mut found = Vec::new();
        for page in 0..count {
            let text = pages.page_text(page).expect("a page");
            assert!(text.len() <= TEXT_BYTES_MAX, "{} bytes", text.len());
            let text = std::str::from_utf8(&text).expect("ASCII here");
            let mut words = text.split(' ');
            assert_eq!(words.next(), Some("List"));
            assert_eq!(words.next(), Some(&*format!("{}/{count}", page + 1)));
            if page > 0 {
                let before = pages.page_text(page - 1).expect("a page");
                let first = words.clone().next().expect("a page that is there for a name");
                assert!(before.len() + 1 + first.len() > TEXT_BYTES_MAX, "packed full");
            }
            found.extend(words.map(|word| Name::new(word.as_bytes()).expect("a name")));
        }
        assert_eq!(pages.page_text(count), None);
        assert_eq!(found, names);
        count
    }

    fn names(count: usize, len: impl Fn(usize) -> usize) -> Vec<Name> {
        (0..count).map(|i| Name::new(&vec![b'x'; len(i)]).expect("a name")).collect()
    }

    #[test]
    fn empty_list_is_one_page() {
        assert_eq!(check(&[]), 1);
        assert_eq!(build_pages(0, &[]).page_text(0).as_deref(), Some(&b"List 1/1"[..]));
    }

    #[test]
    fn pages_are_full_where_the_page_count_gains_a_digit() {
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
    fn every_count_of_names_is_listed_once_each() {
        for count in (0..600).chain(2_700..3_400) {
            check(&names(count, |i| 1 + i * i % 8));
        }
    }

    proptest! {
        #[test]
        fn names_of_any_length_are_listed_once_each(lens in proptest::collection::vec(1_usize..9, 0..4_500)) {
            check(&names(lens.len(), |i| lens[i]));
        }
    }
}
