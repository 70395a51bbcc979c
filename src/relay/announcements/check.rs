//! The relations between cursors, lists, hosts and timers.

use super::Announcements;
use crate::link::{LinkId, Time};
use crate::relay::message::HostKind;
use crate::relay::timers::{Timer, Timers};
use crate::relay::topology::{Host, Slot, Topology};

impl Announcements {
    /// Checks that cursors point to hosts, that lists agree with roles, and that the batch and
    /// paced links have their timers. Returns the number of timers.
    ///
    /// # Panics
    /// If they do not.
    pub(in crate::relay) fn check(&self, topology: &Topology, timers: &Timers) -> usize {
        let hosts = topology.hosts();
        let mut timer_count = usize::from(self.batch.is_some());
        let is_host = |slot: Slot| hosts.is_occupied(slot);
        for state in topology.links() {
            let (link, cursor) = (state.id(), self.cursor(state.id()));
            let is_listed = |list: &[LinkId]| list.iter().filter(|&&other| other == link).count();
            let is_audience = |kind| usize::from(cursor.audience == Some(kind));
            assert_eq!(is_listed(&self.servers), is_audience(HostKind::Server), "server {link}");
            assert_eq!(is_listed(&self.users), is_audience(HostKind::User), "user {link}");
            match cursor.audience {
                Some(HostKind::Server) => assert!(state.is_server(), "{link} leads to a server"),
                Some(HostKind::User) => assert!(state.is_user(), "{link} leads to a user"),
                None => assert_eq!(cursor.next, None, "nothing is pending for {link}"),
            }
            let pace_timer: Vec<Time> =
                cursor.pace.iter().filter_map(|pace| pace.timer_at()).collect();
            assert_eq!(timers.times_of(Timer::Pace(link)), pace_timer, "the timer of {link}");
            timer_count += pace_timer.len();
            assert!(cursor.next.is_none_or(is_host), "the cursor of {link} points to a host");
            assert_eq!(
                self.ready.iter().filter(|&&other| other == link).count(),
                usize::from(cursor.is_ready),
                "{link}"
            );
            for (join_seq, id) in cursor.pace.iter().flat_map(|pace| pace.returned()) {
                let found = hosts.get(id).map(Host::join_seq);
                assert_eq!(found, Some(join_seq), "returned host {id} is in the table");
            }
            for id in cursor.introduced.iter().flat_map(|ids| ids.iter()) {
                assert!(hosts.get(*id).is_some(), "introduced host {id} is in the table");
            }
        }
        let listed = self.servers.iter().chain(&self.users);
        for &link in listed {
            assert!(topology.find_link(link).is_some(), "listed link {link} is live");
        }
        assert!(self.batch.is_none_or(|(slot, _)| is_host(slot)), "the batch starts at a host");
        let due: Vec<Time> = self.batch.iter().map(|&(_, due)| due).collect();
        assert_eq!(timers.times_of(Timer::AnnounceBatch), due, "the timer of the batch");
        timer_count
    }
}
