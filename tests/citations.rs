//! Comments cite sections of `docs/PROTOCOL.md` that exist, and links between the documents lead
//! somewhere.

use std::fs;
use std::path::{Path, PathBuf};

const CITED_PAGE: &str = "docs/PROTOCOL.md";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Files below a folder with an extension, without what cargo has built.
fn files_below(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                files_below(&path, extension, found);
            }
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
}

/// Titles of a page's sections, outside its code blocks.
fn headings(page: &str) -> Vec<&str> {
    let mut is_code = false;
    let lines = page.lines().filter(|line| {
        is_code ^= line.starts_with("```");
        !is_code && line.starts_with('#')
    });
    lines.map(|line| line.trim_start_matches('#').trim()).collect()
}

/// The anchor that GitHub gives a section.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase().replace(' ', "-");
    kept.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect()
}

/// The comments of a source, each run of comment lines as one line.
fn comments(source: &str) -> Vec<String> {
    let mut comments = vec![String::new()];
    for line in source.lines() {
        let text = line.split_once("//").filter(|(code, _)| !code.contains('"'));
        match text.map(|(_, text)| text.trim_start_matches(['/', '!']).trim()) {
            Some(text) => {
                let comment = comments.last_mut().expect("one");
                comment.push(' ');
                comment.push_str(text);
            }
            None => comments.push(String::new()),
        }
    }
    comments
}

/// The titles that a comment cites: `docs/PROTOCOL.md` is followed by a comma and a title in
/// asterisks or quotation marks, or comes after such a title and "in" or "of".
///
/// # Errors
/// The citation that names no section.
fn cited_titles(comment: &str) -> Result<Vec<&str>, String> {
    let mut titles = Vec::new();
    for (at, page) in comment.match_indices(CITED_PAGE) {
        let before = comment[..at].trim_end_matches(['`', '[']);
        let after = comment[at + page.len()..].trim_start_matches(['`', ']']);
        let following = after.strip_prefix(", ").and_then(|rest| {
            let mark = rest.chars().next().filter(|c| "*\"".contains(*c))?;
            rest[1..].split(mark).next()
        });
        let preceding = ["in", "of"].iter().find_map(|word| {
            let title = before.trim_end().strip_suffix(word)?.trim_end();
            let mark = title.chars().last().filter(|c| "*\"".contains(*c))?;
            title[..title.len() - 1].rsplit(mark).next()
        });
        let title = following.or(preceding);
        titles.push(title.ok_or_else(|| format!("no section is cited in: {comment}"))?);
    }
    Ok(titles)
}

#[test]
fn comments_cite_sections_that_exist() {
    let page = read(&root().join(CITED_PAGE));
    let headings = headings(&page);
    let mut sources = Vec::new();
    files_below(&root(), "rs", &mut sources);
    let (mut faults, mut count) = (Vec::new(), 0);
    for path in sources.iter().filter(|path| !path.ends_with("tests/citations.rs")) {
        for comment in comments(&read(path)) {
            match cited_titles(&comment) {
                Ok(titles) => {
                    count += titles.len();
                    let unknown = titles.iter().filter(|title| !headings.contains(title));
                    faults.extend(unknown.map(|title| format!("{}: {title}", path.display())));
                }
                Err(fault) => faults.push(format!("{}: {fault}", path.display())),
            }
            if comment.contains("contract section") {
                faults.push(format!("{}: cites what is not here: {comment}", path.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(count >= 4, "only {count} citations were found");
}

#[test]
fn citations_are_found_in_both_forms() {
    let titles = |comment| cited_titles(comment);
    assert_eq!(
        titles("the bytes (`docs/PROTOCOL.md`, *The peer wire*)."),
        Ok(vec!["The peer wire"])
    );
    assert_eq!(titles("see \"The CRC wire\" in `docs/PROTOCOL.md`."), Ok(vec!["The CRC wire"]));
    assert_eq!(titles("nothing is cited"), Ok(vec![]));
    assert!(titles("`docs/PROTOCOL.md` has the bytes").is_err());
    assert!(titles("section 2 of `docs/PROTOCOL.md`").is_err());
}

#[test]
fn links_of_the_documents_lead_to_files_and_sections() {
    let mut pages = Vec::new();
    files_below(&root(), "md", &mut pages);
    let (mut faults, mut count) = (Vec::new(), 0);
    for path in pages {
        let page = read(&path);
        for link in page.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            count += 1;
            let (file, section) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => path.clone(),
                file => path.parent().expect("a folder").join(file),
            };
            if !target.exists() {
                faults.push(format!("{}: {link}: no such file", path.display()));
            } else if !section.is_empty() {
                let page = read(&target);
                if !headings(&page).iter().any(|heading| anchor(heading) == section) {
                    faults.push(format!("{}: {link}: no such section", path.display()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(count > 10, "only {count} links were found");
}
