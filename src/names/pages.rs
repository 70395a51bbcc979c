//! A list of names in pages, each with as many names as fit.
//!
//! The pages are built once for all clients. A wire numbers them `I/N` and adds a heading when it
//! sends one. A long list is built in several steps, see [`PageBuilder`].

use super::name::{NAME_BYTES, Name};

/// Returns how many bytes of names fit on a page, each name after a space, when the digits of its
/// number and of the page count together are `digits`.
pub(crate) type PageCapacity = fn(digits: usize) -> usize;

/// The pages of one version of the list. Never empty.
#[derive(Clone, Debug)]
pub(crate) struct Pages {
    version: u64,
    /// The names of all pages, each after a space.
    packed_names: Vec<u8>,
    /// Offset of each page in `packed_names`.
    page_starts: Vec<usize>,
}

impl Pages {
    /// Returns the version of the directory, see [`super::Directory::version`].
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Returns the number of pages.
    pub(crate) fn len(&self) -> usize {
        self.page_starts.len()
    }

    /// Returns the size in memory, in bytes.
    pub(super) fn size_bytes(&self) -> usize {
        self.packed_names.len() + self.page_starts.len() * size_of::<usize>()
    }

    /// Returns the names on a page, counted from 0, each after a space.
    pub(crate) fn page(&self, page: usize) -> Option<&[u8]> {
        let start = *self.page_starts.get(page)?;
        let end = self.page_starts.get(page + 1).copied().unwrap_or(self.packed_names.len());
        Some(&self.packed_names[start..end])
    }
}

/// Packs names into as few pages as possible.
///
/// The space on a page depends on the number of digits of N. More digits never lead to fewer pages,
/// so the smallest number of digits that suffices is that of the resulting N.
#[derive(Clone, Debug)]
pub(super) struct PageBuilder {
    pages: Pages,
    capacity: PageCapacity,
    count_digits: usize,
    /// Offset at which the current page must end.
    page_end: usize,
    last_name: Option<Name>,
}

impl PageBuilder {
    /// Creates an empty list, with space for about `count` names.
    pub(super) fn new(version: u64, count: usize, capacity: PageCapacity) -> Self {
        let packed_names = Vec::with_capacity(count * (1 + NAME_BYTES));
        let pages = Pages { version, packed_names, page_starts: Vec::new() };
        let mut builder = Self { pages, capacity, count_digits: 1, page_end: 0, last_name: None };
        builder.start_page();
        builder
    }

    /// Returns the name that was packed last. The next name in order must follow.
    pub(super) fn last_name(&self) -> Option<Name> {
        self.last_name
    }

    /// Packs the next name. Returns `false` if N needs more digits: the list starts over then, and
    /// the first name must follow.
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
        self.page_end =
            self.pages.packed_names.len() + (self.capacity)(page_digits + self.count_digits);
        self.pages.page_starts.push(self.pages.packed_names.len());
        page_digits <= self.count_digits
    }

    /// Returns the pages.
    pub(super) fn finish(mut self) -> Pages {
        self.pages.packed_names.shrink_to_fit();
        self.pages
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Size of a page with its heading `List I/N`, in bytes.
    const PAGE_BYTES_MAX: usize = 239;

    fn build_pages(version: u64, names: &[Name]) -> Pages {
        let capacity = |digits| PAGE_BYTES_MAX - ("List /".len() + digits);
        let mut builder = PageBuilder::new(version, names.len(), capacity);
        while !names.iter().all(|&name| builder.push(name)) {}
        builder.finish()
    }

    /// Checks the pages of `names`. Returns their number.
    #[track_caller]
    fn check(names: &[Name]) -> usize {
        let pages = build_pages(7, names);
        assert_eq!(pages.version(), 7);
        let count = pages.len();
        let mut found = Vec::new();
        let len = |page: usize| {
            let heading = format!("List {}/{count}", page + 1);
            heading.len() + pages.page(page).expect("a page").len()
        };
        for page in 0..count {
            assert!(len(page) <= PAGE_BYTES_MAX, "{} bytes", len(page));
            let text = std::str::from_utf8(pages.page(page).expect("a page")).expect("ASCII here");
            let mut words = text.split(' ');
            assert_eq!(words.next(), Some(""));
            if page > 0 {
                let first = words.clone().next().expect("a page that is there for a name");
                assert!(len(page - 1) + 1 + first.len() > PAGE_BYTES_MAX, "packed full");
            }
            found.extend(words.map(|word| Name::new(word.as_bytes()).expect("a name")));
        }
        assert_eq!(pages.page(count), None);
        assert_eq!(found, names);
        count
    }

    fn names(count: usize, len: impl Fn(usize) -> usize) -> Vec<Name> {
        (0..count).map(|i| Name::new(&vec![b'x'; len(i)]).expect("a name")).collect()
    }

    #[test]
    fn empty_list_is_one_page() {
        assert_eq!(check(&[]), 1);
        assert_eq!(build_pages(0, &[]).page(0), Some(&b""[..]));
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
