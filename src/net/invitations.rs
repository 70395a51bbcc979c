//! `--invitations`: the file with the invitations that have been used, so that the servers which
//! joined by them come back after a restart of this one.
//!
//! The file is replaced as a whole while the loop waits: once for each server that is invited.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::settings::check_private;
use crate::node::Node;
use crate::relay::UsedInvitation;

/// First line of the file.
const HEADER: &str = "# crc: invitations that have been used; whoever has this file can join";

/// The file of `--invitations`.
pub(super) struct InvitationFile {
    path: PathBuf,
    /// Version of what the file has.
    version: u64,
}

impl InvitationFile {
    /// Gives a server the invitations in a file, which is created if it is missing.
    ///
    /// # Errors
    /// The file cannot be read or written, or is another one.
    pub(super) fn open(path: PathBuf, node: &mut Node) -> Result<Self, String> {
        node.restore_invitations(read(&path)?);
        let mut file = Self { path, version: 0 };
        file.save(node)?;
        Ok(file)
    }

    /// Checks that a file can be read.
    ///
    /// # Errors
    /// See [`InvitationFile::open`].
    pub(super) fn check(path: &Path) -> Result<(), String> {
        read(path).map(drop)
    }

    /// Writes the file if an invitation has been used since it was written last.
    pub(super) fn save_changes(&mut self, node: &Node) {
        if node.invitations_version() == self.version {
            return;
        }
        if let Err(error) = self.save(node) {
            log::error!(
                "{error}; after a restart of this server, the server that has just joined needs \
                 another invitation"
            );
        }
    }

    fn save(&mut self, node: &Node) -> Result<(), String> {
        self.version = node.invitations_version();
        let lines = node
            .used_invitations()
            .map(|it| format!("{:016x} {} {}\n", it.number, hex(&it.key), hex(&it.holder)));
        let text = format!("{HEADER}\n{}", lines.collect::<String>());
        replace(&self.path, &text).map_err(|error| describe(&self.path, &error))
    }
}

fn describe(path: &Path, problem: &dyn std::fmt::Display) -> String {
    format!("--invitations {}: {problem}", path.display())
}

/// Replaces a file, so that a crash leaves the old one or the new one.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let mut new_path = path.as_os_str().to_owned();
    new_path.push(".new");
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new_path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new_path, path)
}

fn read(path: &Path) -> Result<Vec<UsedInvitation>, String> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(describe(path, &error)),
    };
    check_private(path).map_err(|problem| describe(path, &problem))?;
    let mut invitations = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if !line.starts_with('#') && !line.trim().is_empty() {
            let invitation = parse_line(line).ok_or_else(|| {
                let problem = format!("line {} is not an invitation", index + 1);
                describe(path, &problem)
            })?;
            invitations.push(invitation);
        }
    }
    Ok(invitations)
}

fn parse_line(line: &str) -> Option<UsedInvitation> {
    let mut words = line.split_whitespace();
    let number = u64::from_str_radix(words.next()?, 16).ok()?;
    let (key, holder) = (parse_hex(words.next()?)?, parse_hex(words.next()?)?);
    words.next().is_none().then_some(UsedInvitation { number, key, holder })
}

fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn parse_hex(digits: &str) -> Option<[u8; 32]> {
    let pairs = digits.as_bytes().chunks_exact(2);
    let parse = |pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Option<Vec<u8>> = pairs.map(parse).collect();
    bytes?.try_into().ok().filter(|_| digits.len() == 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_is_parsed_as_it_is_written() {
        let (key, holder) = ([0xa5; 32], [7; 32]);
        let line = format!("{:016x} {} {}", 0x12_u64, hex(&key), hex(&holder));
        let found = parse_line(&line).expect("an invitation");
        assert_eq!((found.number, found.key, found.holder), (0x12, key, holder));
        for wrong in ["", "12", &line[..line.len() - 1], &format!("{line}0"), &format!("{line} x")]
        {
            assert!(parse_line(wrong).is_none(), "{wrong}");
        }
    }
}
