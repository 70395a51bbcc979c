//! [`Node::check`]: the relations between the parts of a node, and the bounds of what it keeps.

use super::Node;

impl Node {
    /// Checks the relay, see [`Relay::check`](crate::relay::Relay::check), and what the links, the
    /// mail and the names keep. For tests and the simulator.
    ///
    /// # Panics
    /// If a relation or a bound does not hold.
    pub fn check(&self) {
        self.relay.check();
        let limits = &self.links.limits;
        let mut timer_count = 0;
        for link in self.links.table.iter() {
            let kept_bytes = link.queue.kept().len();
            let bytes_max = link.queue_bytes_max(limits) + limits.frame_bytes_max;
            let bytes = kept_bytes + link.queue.len();
            assert!(kept_bytes == 0 || bytes <= bytes_max, "{} keeps {bytes} bytes", link.id());
            assert!(kept_bytes == 0 || link.is_resumable(), "{} resumes", link.id());
            if let Some(at) = link.timer {
                assert!(self.links.timers.contains(&(at, link.id())), "the timer of {}", link.id());
                timer_count += 1;
            }
        }
        assert_eq!(self.links.timers.len(), timer_count, "every timer belongs to a link");
        for id in self.links.frame_deadlines.links() {
            let link = self.links.get(id).expect("the deadline of a link");
            assert!(link.decoder.has_partial_frame(), "an incomplete frame on {id}");
        }
        for &(_, id) in &self.links.strangers.unregistered {
            assert!(self.relay.adjacent_host(id).is_none(), "{id} has registered");
        }
        self.links.spool.check();
        self.links.names.check(self.relay.hosts());
    }
}
