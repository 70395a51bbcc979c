//! The pages: the files of `web/`, as they were when the program was built, without indentation and
//! comments.

/// A file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    /// Where it is below the root, such as `/index.html`.
    pub(super) path: &'static str,
    /// Its type.
    pub(super) content_type: &'static str,
    /// The file, shortened.
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
#[path = "shorten.rs"]
mod shorten;

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

    /// Returns the page and all that it loads, and what that loads.
    fn with_all_that_it_loads(page: &'static Page) -> Vec<&'static Page> {
        let mut pages = vec![page];
        let mut next = 0;
        while let Some(page) = pages.get(next) {
            let text = std::str::from_utf8(page.plain.bytes).expect("text");
            let names = text
                .split(['"', '\''])
                .filter_map(|part| part.strip_prefix('/').or_else(|| part.strip_prefix("./")));
            let loaded = names.filter_map(|name| find(&format!("/{name}")));
            let loaded: Vec<_> = loaded.filter(|found| found.path.contains('.')).collect();
            for found in loaded {
                if !pages.iter().any(|known| known.path == found.path) {
                    pages.push(found);
                }
            }
            next += 1;
        }
        pages
    }

    #[test]
    fn chat_page_is_small_with_all_that_it_loads() {
        let pages = with_all_that_it_loads(find("/").expect("a page"));
        let paths: Vec<_> = pages.iter().map(|page| page.path).collect();
        for path in ["/theme.css", "/chat.css", "/icon.svg", "/model.mjs", "/json.mjs"] {
            assert!(paths.contains(&path), "{path} is not in {paths:?}");
        }
        let bytes: usize = pages.iter().map(|page| page.plain.bytes.len()).sum();
        assert!(bytes < 60_000, "{bytes} bytes in {paths:?}");
    }

    #[test]
    fn all_pages_together_are_small() {
        let bytes: usize =
            PAGES.iter().map(|page| page.gzip.unwrap_or(page.plain).bytes.len()).sum();
        assert!(bytes < 60_000, "{bytes} bytes");
    }
}
