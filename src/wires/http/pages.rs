//! The pages: the files of `web/`, as they were when the program was built.

/// A file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    /// Where it is below the root, such as `/index.html`.
    pub(super) path: &'static str,
    /// Its type.
    pub(super) content_type: &'static str,
    /// The file as it is.
    pub(super) plain: Body,
    /// The file compressed with gzip, if that makes it smaller.
    pub(super) gzip: Option<Body>,
}

/// One form of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Body {
    /// Differs if the bytes do.
    pub(super) etag: &'static str,
    /// The bytes.
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
        let Body { etag, bytes } = page.plain;
        assert!(bytes.starts_with(b"<!doctype html>") || bytes.starts_with(b"<!DOCTYPE html>"));
        assert!(etag.len() == 18 && etag.starts_with('"'), "{etag}");
        let gzip = page.gzip.expect("a page that can be compressed");
        assert!(gzip.bytes.starts_with(b"\x1f\x8b") && gzip.bytes.len() < bytes.len() / 2);
        assert_ne!(gzip.etag, etag);
        assert!(find("/../Cargo.toml").is_none() && find("").is_none());
    }

    #[test]
    fn all_pages_together_are_small() {
        let bytes: usize =
            PAGES.iter().map(|page| page.gzip.unwrap_or(page.plain).bytes.len()).sum();
        assert!(bytes < 60_000, "{bytes} bytes");
    }
}
