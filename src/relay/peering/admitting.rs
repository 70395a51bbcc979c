//! Which servers may join over a link: those whose link [`Admission`] admits.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::Peering;
use crate::cidr::Cidr;
use crate::id::HostId;
use crate::limits::{FALSE_SOURCES_MAX, REFUSED_ADDRESSES_MAX};
use crate::link::{CloseReason, LinkId};
use crate::printable::Excerpt;
use crate::relay::admission::{Admission, AdmittedBy};
use crate::relay::cx::RelayCx;
use crate::relay::message::StatusCode;
use crate::relay::notice::Notice;
use crate::relay::outbox::Outbox;
use crate::relay::topology::Refusal;

/// Who may join, and whose refusal has been logged.
#[derive(Clone, Debug, Default)]
pub(super) struct Admitting {
    admission: Admission,
    /// Addresses of refused servers, each of which the log names once.
    reported: BTreeSet<IpAddr>,
}

impl Admitting {
    /// Records that a server from an address is refused. Returns whether the log is to name it.
    fn report(&mut self, address: IpAddr) -> bool {
        self.reported.len() < REFUSED_ADDRESSES_MAX && self.reported.insert(address)
    }
}

impl Peering {
    /// Replaces what decides who may join. Servers that have joined stay.
    pub(in crate::relay) fn set_admission(&mut self, admission: Admission) {
        self.admitting = Admitting { admission, reported: BTreeSet::new() };
    }

    /// Returns why the server at the other end of a link may join, or has joined.
    pub(in crate::relay) fn admitted_by<O: Outbox>(
        &self,
        link: LinkId,
        out: &O,
    ) -> Option<AdmittedBy> {
        if self.is_uplink(link) || self.replay.has_dialled(link) {
            return Some(AdmittedBy::Dial);
        }
        self.admitting.admission.admits(&out.origin(link))
    }

    /// Returns whether the server that registers over a link may join. One that may not is refused.
    pub(super) fn admit<O: Outbox>(
        &mut self,
        link: LinkId,
        id: HostId,
        cx: &mut RelayCx<'_, O>,
    ) -> bool {
        let is_admitted = self.admitted_by(link, &*cx.out).is_some();
        if !is_admitted {
            self.refuse_server(link, id, cx);
        }
        is_admitted
    }

    /// Refuses a server. The connection may still register a client; one that tries to be a server
    /// again and again is closed.
    fn refuse_server<O: Outbox>(&mut self, link: LinkId, id: HostId, cx: &mut RelayCx<'_, O>) {
        let refused_count = cx.topology.count_refusal(link, Refusal::NotAdmitted);
        if refused_count >= FALSE_SOURCES_MAX {
            cx.out.close(link, CloseReason::NotAdmitted);
        }
        let Some(address) = cx.out.origin(link).address.filter(|_| refused_count == 1) else {
            return;
        };
        let range = Cidr::of(address.ip());
        if self.admitting.report(address.ip()) {
            log::warn!(
                "link {link}: server {id} at {} is refused, since servers are not accepted from \
                 this address; to accept it, start this server with --allow-servers {range}",
                address.ip().to_canonical()
            );
        }
        let text = format!(
            "Servers are not accepted from {}: start this server with --allow-servers {range}",
            address.ip().to_canonical()
        );
        let (source, code, text) =
            (cx.topology.own_id(), StatusCode::NOT_ADMITTED, text.as_bytes());
        cx.send_answer(link, HostId::NONE, &Notice::Status { source, code, text });
    }

    /// Handles that a parent does not accept this server.
    pub(in crate::relay) fn on_not_admitted<O: Outbox>(
        &mut self,
        link: LinkId,
        parent: HostId,
        text: &[u8],
        cx: &mut RelayCx<'_, O>,
    ) {
        if !self.is_moving_to(link) {
            log::error!(
                "server {parent} does not accept this server: {}; asking again in ten seconds",
                Excerpt(text)
            );
            self.uplink.on_loop(cx.now, &mut self.rng);
        }
        cx.out.close(link, CloseReason::NotAdmitted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::extension::{Frame, Hello};
    use crate::relay::message::HostKind::{Server, User};
    use crate::relay::message::Message;
    use crate::relay::recorder::{Bench, hello, link_id, registration};

    const REFUSAL: &str = "Servers are not accepted from 192.0.2.7: start this server with \
                           --allow-servers 192.0.2.7/32";

    /// A server with a link from an address that is not admitted.
    fn bench() -> Bench {
        let mut bench = Bench::new();
        bench.out.addresses.insert(link_id(2), "192.0.2.7:40000".parse().expect("an address"));
        bench.relay.accepted(bench.now, link_id(2), &mut bench.out);
        bench
    }

    #[test]
    fn stranger_is_refused_as_a_server_and_may_be_a_client() {
        let mut bench = bench();
        bench.receive(2, &registration(Server, 2, 0));
        assert_eq!(bench.out.take(), [format!("2: {REFUSAL}")]);
        assert_eq!(bench.relay.hosts().iter().count(), 0);
        bench.receive(2, &registration(User, 102, 0));
        assert!(bench.relay.adjacent_host(link_id(2)).is_some_and(|host| host.id == HostId(102)));
    }

    #[test]
    fn stranger_that_speaks_the_extension_is_refused_once() {
        let mut bench = bench();
        bench.relay.receive(bench.now, link_id(2), &registration(Server, 2, 0), &mut bench.out);
        bench.receive_extension(2, 2, &Frame::Hello(hello(2)));
        assert_eq!(bench.out.take(), [format!("2: {REFUSAL}")]);
        bench.receive_extension(2, 2, &Frame::Hello(Hello { is_moving: true, ..hello(2) }));
        assert_eq!(bench.out.take(), [] as [&str; 0], "a question is not answered");
        assert_eq!(bench.relay.hosts().iter().count(), 0);
    }

    #[test]
    fn stranger_that_repeats_its_registration_is_closed() {
        let mut bench = bench();
        for _ in 1..FALSE_SOURCES_MAX {
            bench.receive(2, &registration(Server, 2, 0));
        }
        assert_eq!(bench.out.take(), [format!("2: {REFUSAL}")]);
        bench.receive(2, &registration(Server, 2, 0));
        assert_eq!(bench.out.take(), ["2: close: not admitted as a server"]);
    }

    #[test]
    fn replaced_admission_counts_for_the_next_registration() {
        let mut bench = bench();
        bench.receive(2, &registration(Server, 2, 0));
        let allowed = vec!["192.0.2.0/24".parse().expect("a range")];
        bench.relay.set_admission(Admission { allowed });
        bench.receive(2, &registration(Server, 2, 0));
        assert!(bench.relay.adjacent_host(link_id(2)).is_some());
        let report = bench.relay.link_report(link_id(2), &bench.out).expect("a link");
        assert_eq!(report.admitted_by, Some(AdmittedBy::Address));
        bench.relay.set_admission(Admission::default());
        bench.receive(2, &registration(User, 202, 2));
        assert!(bench.relay.hosts().get(HostId(202)).is_some(), "a server that has joined stays");
    }

    #[test]
    fn log_names_at_most_so_many_addresses() {
        let mut admitting = Admitting::default();
        let mut address = 0;
        let mut report = || {
            address += 1;
            admitting.report(std::net::Ipv4Addr::from_bits(address).into())
        };
        assert!((0..REFUSED_ADDRESSES_MAX).all(|_| report()));
        assert!(!report());
    }

    #[test]
    fn parent_that_does_not_accept_this_server_is_dialled_again_later() {
        let mut bench = Bench::with(1, crate::limits::Limits::default());
        bench.relay.advance(bench.now, &mut bench.out);
        bench.relay.dialled(link_id(101), &mut bench.out);
        bench.out.take();
        let (source, destination) = (HostId(9), HostId::NONE);
        let (code, text) = (StatusCode::NOT_ADMITTED, &b"no"[..]);
        let refusal = Message::Status { source, destination, code, text };
        bench.relay.receive(bench.now, link_id(101), &refusal, &mut bench.out);
        assert_eq!(bench.out.take(), ["101: close: not admitted as a server"]);
        bench.close(101);
        let next_dial = bench.relay.next_deadline(bench.now).expect("a dial");
        assert!(next_dial.since(bench.now) >= crate::limits::UPLINK_LOOP_RETRY_DELAY);
    }
}
