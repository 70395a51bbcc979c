//! Generates the table of the files in `web/`, which the daemon serves: path, type, and the bytes
//! with their ETag, shortened (see `src/wires/http/shorten.rs`), and compressed.

#[path = "src/wires/http/shorten.rs"]
mod shorten;

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

fn main() {
    println!("cargo:rerun-if-changed=web");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/wires/http/shorten.rs");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo")).join("web");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo"));
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    let mut table = String::from("&[\n");
    for (index, path) in files.iter().enumerate() {
        let url = path.strip_prefix(&root).expect("below web").to_string_lossy().replace('\\', "/");
        let bytes = shortened(path);
        let plain_path = out.join(index.to_string());
        fs::write(&plain_path, &bytes).expect("a writable folder");
        let compressed = compress(&bytes);
        let compressed_path = out.join(format!("{index}.gz"));
        let gzip = if compressed.len() < bytes.len() {
            fs::write(&compressed_path, &compressed).expect("a writable folder");
            format!("Some({})", body(&compressed_path, &compressed))
        } else {
            "None".to_owned()
        };
        writeln!(
            table,
            "    Page {{ path: {:?}, content_type: {:?}, plain: {}, gzip: {gzip} }},",
            format!("/{url}"),
            content_type(path),
            body(&plain_path, &bytes),
        )
        .expect("a string");
    }
    table.push_str("]\n");
    fs::write(out.join("pages.rs"), table).expect("a writable folder");
}

/// Returns the bytes of a file as they are embedded.
fn shortened(path: &Path) -> Vec<u8> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let bytes = fs::read(path).expect("a readable file");
    match String::from_utf8(bytes) {
        Ok(text) => shorten::shorten(extension, &text).into_bytes(),
        Err(binary) => binary.into_bytes(),
    }
}

fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// Returns the expression for a file with these bytes.
fn body(path: &Path, bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    let tag = hasher.finish();
    format!("Body {{ etag: \"\\\"{tag:016x}\\\"\", bytes: include_bytes!({path:?}) }}")
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
