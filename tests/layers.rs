//! The layers of `src/`: imports point one way, files do not import each other in a circle, and
//! only the shell does I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Layers from the bottom up. A module may import those of lower layers.
const LAYERS: [&[&str]; 10] = [
    &["limits", "chunked_vec", "id"],
    &["cidr", "printable", "tls", "uri", "ui"],
    &["link", "room", "vocabulary"],
    &["relay"],
    &["mail", "names"],
    &["wires"],
    &["node", "peer"],
    &["operator", "client"],
    &["net"],
    &["cli"],
];

/// Files and folders that may use sockets, files, clocks and threads: the shell, TLS, the mail
/// store on disk, and the terminal.
const SHELL: [&str; 11] = [
    "tls/",
    "net/",
    "mail/store/disk",
    "client/mod.rs",
    "client/shell.rs",
    "client/terminal.rs",
    "client/pipe.rs",
    "ui/",
    "client/human.rs",
    "client/peer.rs",
    "client/buffered_pipe.rs",
];

const IO_NAMES: [&str; 10] = [
    "std::fs",
    "std::thread",
    "std::process",
    "std::io",
    "Instant",
    "SystemTime",
    "TcpStream",
    "mio::",
    "rusqlite::",
    "env::",
];

fn collect_sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect_sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Returns each source below `src/` with its top module; `main.rs` and `lib.rs` are left out.
fn read_modules() -> Vec<(String, PathBuf, String)> {
    let mut paths = Vec::new();
    collect_sources(&src(), &mut paths);
    let mut modules = Vec::new();
    for path in paths {
        let relative = path.strip_prefix(src()).expect("below src").to_owned();
        let first = relative.iter().next().expect("a name").to_string_lossy();
        let module = first.trim_end_matches(".rs").to_owned();
        if !["main", "lib"].contains(&module.as_str()) {
            let text = fs::read_to_string(&path).expect("readable");
            modules.push((module, relative, text));
        }
    }
    assert!(modules.len() > 20, "the sources were found");
    modules
}

fn layer_of(module: &str) -> usize {
    LAYERS
        .iter()
        .position(|layer| layer.contains(&module))
        .unwrap_or_else(|| panic!("src/{module} has no layer: add it to LAYERS"))
}

/// Returns the lines of code without comments.
fn code_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(|line| line.split("//").next().unwrap_or_default())
}

#[test]
fn imports_point_to_lower_layers() {
    for (module, path, text) in read_modules() {
        for line in code_lines(&text) {
            for part in line.split("crate::").skip(1) {
                let used: String =
                    part.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                assert!(
                    used == module || layer_of(&used) < layer_of(&module),
                    "{}: {module} must not use {used}: {line}",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn no_wire_imports_another() {
    let mut wires = Vec::new();
    for entry in fs::read_dir(src().join("wires")).expect("the wires") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            wires.push(path.file_name().expect("a name").to_string_lossy().into_owned());
        }
    }
    assert!(wires.len() >= 3, "the wires were found");
    for (module, path, text) in read_modules() {
        let is_in_wire = module == "wires" && path.components().count() > 2;
        if !is_in_wire && !["relay", "node", "mail", "names"].contains(&module.as_str()) {
            continue; // programs and the table may name wires
        }
        let own = path.iter().nth(1).expect("a file").to_string_lossy();
        let code = without_tests(&text);
        for wire in wires.iter().filter(|wire| !is_in_wire || **wire != own) {
            let names_wire = |path: &String| {
                [format!("crate::wires::{wire}"), format!("super::super::{wire}")]
                    .iter()
                    .any(|other| path == other || path.starts_with(&format!("{other}::")))
            };
            let found = imports(code).into_iter().find(names_wire);
            assert_eq!(found, None, "{} imports the wire {wire}", path.display());
            let is_named = code_lines(code).any(|line| line.contains(&format!("wires::{wire}::")));
            assert!(!is_named, "{} names the wire {wire}", path.display());
        }
    }
}

/// Returns code up to its unit tests.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or_default()
}

/// Returns the paths of all `use` declarations, with braces expanded.
fn imports(text: &str) -> Vec<String> {
    let code: String = code_lines(text).map(|line| format!("{line}\n")).collect();
    let mut found = Vec::new();
    for statement in code.split(';') {
        let Some(start) = statement.rfind("use ") else { continue };
        let is_declaration = statement[..start].chars().next_back().is_none_or(char::is_whitespace);
        if is_declaration {
            let mut words = statement[start + 4..].split_whitespace();
            let mut tree = String::new();
            while let Some(word) = words.next() {
                match word {
                    "as" => tree.extend(words.next().unwrap_or_default().matches([',', '}'])),
                    _ => tree.push_str(word),
                }
            }
            expand("", &tree, &mut found);
        }
    }
    found
}

/// Appends the paths of a `use` tree without white space.
fn expand(prefix: &str, tree: &str, found: &mut Vec<String>) {
    let Some(open) = tree.find('{') else {
        return found.push(format!("{prefix}{tree}"));
    };
    let prefix = format!("{prefix}{}", &tree[..open]);
    let close = tree.rfind('}').unwrap_or(tree.len());
    let inside = &tree[open + 1..close.max(open + 1)];
    let (mut depth, mut start) = (0, 0);
    for (at, c) in inside.char_indices().chain([(inside.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if start < at {
                    expand(&prefix, &inside[start..at], found);
                }
                start = at + 1;
            }
            _ => {}
        }
    }
}

/// Returns which files of one folder import which others. An item that the folder's `mod.rs`
/// exports from a file counts as that file's.
fn imports_in_folder(folder: &Path, files: &[(String, String)], parent: &str) -> Graph {
    let path = folder.to_string_lossy().replace('/', "::");
    let exports: BTreeMap<String, String> = imports(parent)
        .into_iter()
        .filter_map(|import| {
            let mut parts = import.strip_prefix("self::").unwrap_or(&import).split("::");
            let (file, item) = (parts.next()?.to_owned(), parts.last()?.to_owned());
            files.iter().any(|(name, _)| *name == file).then_some((item, file))
        })
        .collect();
    let mut graph = Graph::new();
    for (file, text) in files {
        let targets = graph.entry(file.clone()).or_default();
        for import in imports(without_tests(text)) {
            let in_folder = import
                .strip_prefix("super::")
                .or_else(|| import.strip_prefix(&format!("crate::{path}::")));
            let Some(first) = in_folder.and_then(|rest| rest.split("::").next()) else { continue };
            let target = match files.iter().any(|(name, _)| name == first) {
                true => first.to_owned(),
                false => exports.get(first).cloned().unwrap_or_default(),
            };
            if target != *file && files.iter().any(|(name, _)| *name == target) {
                targets.insert(target);
            }
        }
    }
    graph
}

type Graph = BTreeMap<String, BTreeSet<String>>;

/// Returns a circle in a graph: each node has an edge to the next, and the last to the first.
fn find_circle(graph: &Graph) -> Option<Vec<String>> {
    fn visit(
        graph: &Graph,
        node: &String,
        path: &mut Vec<String>,
        done: &mut BTreeSet<String>,
    ) -> bool {
        if let Some(start) = path.iter().position(|seen| seen == node) {
            path.drain(..start);
            return true;
        }
        if done.contains(node) {
            return false;
        }
        path.push(node.clone());
        if graph.get(node).is_some_and(|next| next.iter().any(|to| visit(graph, to, path, done))) {
            return true;
        }
        path.pop();
        done.insert(node.clone());
        false
    }
    let (mut path, mut done) = (Vec::new(), BTreeSet::new());
    graph.keys().any(|node| visit(graph, node, &mut path, &mut done)).then_some(path)
}

#[test]
fn files_of_a_folder_do_not_import_each_other_in_a_circle() {
    let mut folders: BTreeMap<PathBuf, Vec<(String, String)>> = BTreeMap::new();
    let modules = read_modules();
    for (_, path, text) in &modules {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let folder = path.parent().expect("a folder").to_owned();
        if name != "mod" && name != "tests" && folder != Path::new("") {
            folders.entry(folder).or_default().push((name, text.clone()));
        }
    }
    assert!(folders.len() > 8, "the folders were found");
    for (folder, files) in folders {
        let parents = [folder.join("mod.rs"), folder.with_extension("rs")];
        let parent = modules.iter().find(|(_, path, _)| parents.contains(path));
        let parent = parent.map_or("", |(_, _, text)| text.as_str());
        let circle = find_circle(&imports_in_folder(&folder, &files, parent));
        assert_eq!(circle, None, "files of src/{} import each other", folder.display());
    }
}

#[test]
fn circle_of_imports_is_found() {
    let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let parent =
        "mod a;\nmod b;\npub use self::a::{First, inner::Second};\npub(crate) use a::Third;\n";
    let folder = Path::new("relay");
    let a = file("a", "use super::b;\nuse std::{fmt, io};\n");
    let straight = [a.clone(), file("b", "use super::Other;\nuse crate::link::Time;\n")];
    assert_eq!(find_circle(&imports_in_folder(folder, &straight, parent)), None);
    for back in [
        "use super::a::x;",
        "use super::{Other, Second};",
        "use crate::relay::{\n    other::{X, Y},\n    a::{Z, W},\n};",
        "use crate::relay::First;",
        "use super::Third;",
    ] {
        let circular = [a.clone(), file("b", back)];
        let circle = find_circle(&imports_in_folder(folder, &circular, parent));
        assert_eq!(circle, Some(vec!["a".to_owned(), "b".to_owned()]), "{back}");
    }
    let in_tests = [a, file("b", "#[cfg(test)]\nmod tests {\n    use super::a::x;\n}\n")];
    assert_eq!(find_circle(&imports_in_folder(folder, &in_tests, parent)), None);
}

#[test]
fn only_the_shell_does_io() {
    for (_, path, text) in read_modules() {
        if SHELL.iter().any(|shell| path.to_string_lossy().starts_with(shell)) {
            continue;
        }
        for line in code_lines(without_tests(&text)) {
            let line = line.replace("std::io::Cursor", ""); // reads from memory
            for word in IO_NAMES {
                assert!(!line.contains(word), "{} does I/O: {line}", path.display());
            }
        }
    }
}
