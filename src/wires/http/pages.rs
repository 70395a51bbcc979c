//! The pages: the files of `web/`, as they were when the program was built.

/// A file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    /// Where it is below the root, such as `/index.html`.
    pub(super) path: &'static str,
    /// Its type.
    pub(super) content_type: &'static str,
    /// Differs if its bytes do.
    pub(super) etag: &'static str,
    /// What it holds.
    pub(super) bytes: &'static [u8],
}

/// All files, by path. The build script generates the table.
static PAGES: &[Page] = include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// Returns the page at a path. `/` and `/operator` are short for their HTML files.
pub(super) fn find(path: &str) -> Option<&'static Page> {
    let path = match path {
        "/" => "/index.html",
        "/operator" => "/operator.html",
        path => path,
    };
    PAGES.iter().find(|page| page.path == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chat_page_is_embedded() {
        let page = find("/").expect("a page");
        assert_eq!((page.path, page.content_type), ("/index.html", "text/html; charset=utf-8"));
        assert!(
            page.bytes.starts_with(b"<!doctype html>")
                || page.bytes.starts_with(b"<!DOCTYPE html>")
        );
        assert!(page.etag.len() == 18 && page.etag.starts_with('"'), "{}", page.etag);
        assert!(find("/../Cargo.toml").is_none() && find("").is_none());
    }
}
