//! The relations between the tables.

use super::Routes;
use crate::id::HostId;

impl Routes {
    /// Checks that tables, routes and announcements agree. To be called when all changes have been
    /// passed to [`Routes::update`].
    ///
    /// # Panics
    /// If they do not.
    pub(in crate::relay) fn check(&self) {
        let mut count = 0;
        for (link, table) in &self.links {
            assert_eq!(table.children.len(), table.facts.len(), "one parent a fact");
            for (&id, fact) in &table.facts {
                assert!(id == fact.id && id != self.own.id, "no fact about this server");
                assert_eq!(id == table.neighbour, fact.via == HostId::NONE, "{id} on {link}");
                assert!(table.children.contains(&(fact.via, id)), "{id} is a child on {link}");
                assert!(self.servers[&id].links.contains(link), "{id} is known over {link}");
            }
            count += table.facts.len();
            for &id in &table.announced {
                let route = self.route(id);
                assert!(route.is_some_and(|it| it != *link), "{id} is announced on {link}");
            }
        }
        let listed: usize = self.servers.values().map(|server| server.links.len()).sum();
        assert_eq!(listed, count, "the servers list the tables that hold them");
        for (&id, server) in &self.servers {
            assert!(!server.is_unused(), "{id} is known or lost");
            assert!(server.links.is_sorted(), "links of {id}");
            assert!(server.split.is_none() || server.is_lost(), "split of {id}");
            assert_eq!(server.route.is_some(), server.sent.is_some(), "fact of {id}");
            if let Some(link) = server.route {
                let fact = self.links[&link].facts[&id];
                assert_eq!(server.floor, Some(fact.version()), "version of {id}");
                let path = self.path(id);
                assert_eq!(path.first(), Some(&self.links[&link].neighbour), "path to {id}");
                assert!(!path.contains(&self.own.id), "path to {id}");
            }
        }
    }
}
