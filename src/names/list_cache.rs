//! Lists of the names of online users, built once for all clients of a server.

use std::sync::{Arc, Weak};

use super::directory::Directory;
use super::pages::{PageBuilder, PageCapacity, Pages};
use crate::limits::CLASSIC_LISTS_BYTES_MAX;
use crate::link::Time;

/// The list that was finished last, the one under construction, and the earlier ones that clients
/// have not been sent completely yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListCache {
    page_builder: Option<PageBuilder>,
    /// The list that was finished last. The directory may have changed since.
    latest_pages: Option<Arc<Pages>>,
    /// Older lists that may still be in use.
    earlier_pages: Vec<Weak<Pages>>,
}

impl ListCache {
    /// Returns a list of `version` or a later one, or `None` if it is not finished in this turn.
    ///
    /// A list is built over several turns while users join and leave. For each user it shows a
    /// state that was true at some time since the build started. While the lists in use exceed
    /// [`CLASSIC_LISTS_BYTES_MAX`] bytes, the latest one is returned whatever its version. All
    /// calls pass the same `capacity`.
    pub(crate) fn list(
        &mut self,
        now: Time,
        version: u64,
        directory: &mut Directory,
        capacity: PageCapacity,
    ) -> Option<Arc<Pages>> {
        loop {
            if let Some(latest) = &self.latest_pages {
                let is_in_use = Arc::strong_count(latest) > 1;
                if latest.version() >= version
                    || (is_in_use && self.exceeds_lists_bytes_max(latest))
                {
                    return Some(Arc::clone(latest));
                }
            }
            let list = Arc::new(self.build_pages(now, directory, capacity)?);
            self.earlier_pages.retain(|list| list.strong_count() > 0);
            if let Some(previous) = self.latest_pages.replace(list)
                && Arc::strong_count(&previous) > 1
            {
                self.earlier_pages.push(Arc::downgrade(&previous));
            }
        }
    }

    /// Continues the list under construction, or starts one. Returns it when it is finished.
    fn build_pages(
        &mut self,
        now: Time,
        directory: &mut Directory,
        capacity: PageCapacity,
    ) -> Option<Pages> {
        let new_builder = || PageBuilder::new(directory.version(), directory.len(), capacity);
        let mut builder = self.page_builder.take().unwrap_or_else(new_builder);
        while directory.has_work_budget(now) {
            if directory.visit_names(now, builder.last_name(), |name| builder.push(name)) {
                return Some(builder.finish());
            }
        }
        self.page_builder = Some(builder);
        None
    }

    fn exceeds_lists_bytes_max(&self, latest: &Pages) -> bool {
        let earlier = self.earlier_pages.iter().filter_map(Weak::upgrade);
        let bytes: usize = earlier.map(|list| list.size_bytes()).sum();
        bytes + latest.size_bytes() > CLASSIC_LISTS_BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::id::HostId;

    fn directory(users: &[(u32, &str)]) -> Directory {
        let mut directory = Directory::default();
        directory.add_reader();
        for &(id, name) in users {
            directory.add(HostId(id), name.as_bytes());
        }
        directory
    }

    /// Builds the current list in as many turns as it takes.
    fn list_now(cache: &mut ListCache, directory: &mut Directory) -> Arc<Pages> {
        let version = directory.version();
        let mut turns = (0..).map(|i| Time::from_start(Duration::from_millis(i)));
        turns.find_map(|now| cache.list(now, version, directory, |_| 200)).expect("some time")
    }

    #[test]
    fn list_is_built_once_per_version_and_shared() {
        let mut directory = directory(&[(2, "sam"), (1, "frodo"), (3, "sam")]);
        let mut cache = ListCache::default();
        let list = list_now(&mut cache, &mut directory);
        assert_eq!(list.page(0), Some(&b" frodo sam sam~3"[..]));
        assert!(Arc::ptr_eq(&list, &list_now(&mut cache, &mut directory)));
        directory.remove(HostId(2));
        let next = list_now(&mut cache, &mut directory);
        assert_eq!(next.page(0), Some(&b" frodo sam~3"[..]));
        assert!(next.version() > list.version());
    }

    #[test]
    fn lists_in_use_are_bounded() {
        let (mut cache, mut directory) = (ListCache::default(), directory(&[]));
        for id in 0..100_000 {
            directory.add(HostId(id), b"somebody-or-other");
        }
        let bytes = list_now(&mut cache, &mut directory).size_bytes();
        let count = CLASSIC_LISTS_BYTES_MAX / bytes;
        let mut lists_in_use = Vec::new();
        for id in 0..count as u32 + 10 {
            directory.remove(HostId(id));
            lists_in_use.push(list_now(&mut cache, &mut directory));
        }
        lists_in_use.dedup_by(|a, b| Arc::ptr_eq(a, b));
        assert!(
            (count..count + 3).contains(&lists_in_use.len()),
            "{} of {count}",
            lists_in_use.len()
        );
        assert!(lists_in_use.last().expect("some").version() < directory.version());
        lists_in_use.clear();
        assert_eq!(list_now(&mut cache, &mut directory).version(), directory.version());
        directory.remove(HostId(99_999));
        list_now(&mut cache, &mut directory);
        assert!(cache.earlier_pages.is_empty());
    }
}
