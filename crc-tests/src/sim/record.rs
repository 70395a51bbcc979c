//! What each seed has sent, as a file of digests: two programs that send the same write the same
//! file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// The digests of seeds, each on a line of the file behind its seed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Record(BTreeMap<u64, u64>);

impl Record {
    /// Reads a file.
    ///
    /// # Errors
    /// If there is no such file, or a line is not a seed and its digest.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
        let digests = text.lines().enumerate().map(|(at, line)| {
            let words = line.split_once(' ');
            let digest = words.and_then(|(seed, digest)| {
                Some((seed.parse().ok()?, u64::from_str_radix(digest, 16).ok()?))
            });
            digest.ok_or_else(|| format!("line {} is not a seed and a digest: {line}", at + 1))
        });
        digests.collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn add(&mut self, seed: u64, digest: u64) {
        self.0.insert(seed, digest);
    }

    /// Returns whether a seed has sent something else. One that is not recorded has not.
    pub(super) fn differs(&self, seed: u64, digest: u64) -> bool {
        self.0.get(&seed).is_some_and(|&recorded| recorded != digest)
    }

    /// Writes the file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn write(&self, path: &Path) -> Result<(), String> {
        let mut text = String::new();
        for (seed, digest) in &self.0 {
            writeln!(text, "{seed} {digest:016x}").expect("a string");
        }
        fs::write(path, text).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("record");
        let mut record = Record::default();
        record.add(7, 0xAB);
        record.add(3, u64::MAX);
        record.write(&path).expect("written");
        assert_eq!(Record::read(&path).as_ref(), Ok(&record));
        assert!(record.differs(7, 0xAC) && !record.differs(7, 0xAB) && !record.differs(8, 0));
        fs::write(&path, "7 ab\nseven\n").expect("written");
        let error = "line 2 is not a seed and a digest: seven".to_owned();
        assert_eq!(Record::read(&path), Err(error));
    }
}
