//! The table of the protocol's rules, which `scripts/remove-rules` removes one by one, agrees with
//! the code, with the page of the protocols and with the tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

#[derive(Deserialize)]
struct Table {
    rule: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    name: String,
    section: String,
    sentence: String,
    edit: Vec<Edit>,
    /// Arguments of `cargo test`, the name of the test last.
    test: Option<String>,
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    file: String,
    source: String,
    without: String,
}

impl Edit {
    /// Asserts that each text can stand in a block, as it does behind a switch.
    fn assert_replaceable(&self) {
        for text in [&self.source, &self.without] {
            let result = syn::parse_str::<syn::Block>(&format!("{{ {text} }}"));
            result.map(drop).unwrap_or_else(|error| panic!("{}: {error}: {text}", self.file));
        }
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn rules() -> Vec<Rule> {
    let table: Table = toml::from_str(&read("crc-tests/rules.toml")).expect("a table of rules");
    table.rule
}

/// Returns a section of a page, up to the next heading.
fn section<'a>(page: &'a str, title: &str) -> &'a str {
    let mut rest = page;
    while let Some((_, behind)) = rest.split_once("\n#") {
        let (heading, body) = behind.split_once('\n').unwrap_or((behind, ""));
        if heading.trim_start_matches('#').trim() == title {
            return body.split_once("\n#").map_or(body, |(section, _)| section);
        }
        rest = behind;
    }
    panic!("PROTOCOL.md has no section {title}")
}

/// Collects what the Rust files below a folder contain.
fn read_all(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read_all(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(&path).expect("a source file"));
        }
    }
}

#[test]
fn each_rule_is_once_in_its_file() {
    for rule in rules() {
        for Edit { file, source, .. } in &rule.edit {
            let count = read(file).matches(source.trim_matches('\n')).count();
            assert_eq!(count, 1, "{}: in {file}: {source}", rule.name);
        }
        rule.edit.iter().for_each(Edit::assert_replaceable);
    }
}

#[test]
fn each_rule_is_stated_in_the_protocol() {
    let page = read("docs/PROTOCOL.md");
    for Rule { name, section: title, sentence, .. } in rules() {
        assert!(section(&page, &title).contains(&sentence), "{name}: {title}: {sentence}");
    }
}

#[test]
fn each_rule_has_a_name_of_its_own() {
    let mut names = BTreeSet::new();
    for rule in rules() {
        assert!(names.insert(rule.name.clone()), "{} is there twice", rule.name);
    }
}

#[test]
fn each_test_that_notices_a_rule_exists_and_has_a_reason() {
    let mut sources = String::new();
    read_all(&root().join("src"), &mut sources);
    read_all(&root().join("tests"), &mut sources);
    for Rule { name, test, reason, .. } in rules() {
        assert_eq!(test.is_some(), reason.is_some(), "{name}");
        let Some(test) = test else { continue };
        let function = test.rsplit([' ', ':']).next().expect("a name");
        assert!(sources.contains(&format!("fn {function}(")), "{name}: {test}");
    }
}
