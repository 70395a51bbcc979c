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
                let server = self.servers.get(&id).expect("an announced server is known or lost");
                let is_back = server.route == Some(*link);
                assert!(!is_back, "{id} is announced on its route {link}");
                assert!(server.route.is_some() || server.is_lost(), "{id}, announced on {link}");
            }
        }
        let listed: usize = self.servers.values().map(|server| server.links.len()).sum();
        assert_eq!(listed, count, "the servers list the tables that hold them");
        for (&id, server) in &self.servers {
            assert!(!server.is_unused(), "{id} is known or lost");
            assert!(server.links.is_sorted(), "links of {id}");
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
