//! Generates the table of the files in `web/`, which the daemon serves: path, type, ETag, bytes.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo:rerun-if-changed=web");
    println!("cargo:rerun-if-changed=build.rs");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo")).join("web");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    let mut table = String::from("&[\n");
    for path in &files {
        let bytes = fs::read(path).expect("a readable file");
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        let tag = hasher.finish();
        let url = path.strip_prefix(&root).expect("below web").to_string_lossy().replace('\\', "/");
        let file = path.to_string_lossy();
        let content_type = content_type(path);
        writeln!(
            table,
            "    Page {{ path: {:?}, content_type: {content_type:?}, etag: \"\\\"{tag:016x}\\\"\", \
             bytes: include_bytes!({file:?}) }},",
            format!("/{url}")
        )
        .expect("a string");
    }
    table.push_str("]\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo")).join("pages.rs");
    fs::write(out, table).expect("a writable folder");
}

/// Collects the files to serve: those with a known type, but no hidden ones.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    println!("cargo:rerun-if-changed={}", folder.display());
    for entry in fs::read_dir(folder).expect("the folder web") {
        let path = entry.expect("an entry").path();
        let is_hidden =
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if is_hidden {
            continue;
        }
        if path.is_dir() {
            collect(&path, files);
        } else if !content_type(&path).is_empty() {
            files.push(path);
        }
    }
}

/// Returns the type of a file by its extension; empty if files like it are not served.
fn content_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("json") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("txt") => "text/plain; charset=utf-8",
        Some("woff2") => "font/woff2",
        _ => "",
    }
}
