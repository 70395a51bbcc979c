//! A server that is attached to a fallback goes back to an earlier parent of its list.
//!
//! It does so only if nobody notices: the earlier parent must be reached over the present one, so
//! that the part of the network stays the same, and both must answer END. From time to time it asks
//! an earlier parent by a HELLO without a registration, which a plain server ignores. Each such
//! move leads to an earlier parent of one list, so servers that prefer each other come to rest.
//!
//! A server that MOVE has led to one outside its list joins an earlier parent that stays in another
//! part of the network, and keeps its link: it connects both parts.

use super::Peering;
use super::handover::Reason;
use super::handshake::{Candidate, Handshake};
use super::hello::{Own, own_hello};
use crate::id::HostId;
use crate::link::{CloseReason, LinkId};
use crate::relay::cx::RelayCx;
use crate::relay::extension::{Frame, Hello};
use crate::relay::outbox::Outbox;
use crate::relay::send;
use crate::relay::topology::{Refusal, Topology};

/// Asks a server for OFFER without registering: whatever it is, it does not take this one for a
/// child.
pub(super) fn send_question(topology: &Topology, link: LinkId, own: Own, out: &mut impl Outbox) {
    send::send_extension(topology, link, &Frame::Hello(own_hello(topology, own)), out);
}

impl Peering {
    /// Handles a frame on a link without a registration: a question whether a server could move
    /// here, or the answer to one.
    pub(super) fn handle_question<O: Outbox>(
        &mut self,
        link: LinkId,
        source: HostId,
        frame: &Frame<'_>,
        cx: &mut RelayCx<'_, O>,
    ) {
        match frame {
            Frame::Hello(hello) if !self.is_uplink(link) && hello.is_moving => {
                let candidate = Candidate { id: source, introduction: None, hello: *hello };
                self.admit_candidate(link, candidate, cx);
            }
            Frame::Offer(hello) if self.is_asking(link) => self.on_answer(link, source, hello, cx),
            Frame::Challenge { nonce } if self.is_uplink(link) => {
                self.on_challenge(link, source, *nonce, cx);
            }
            Frame::Proven { mac } if self.is_uplink(link) => self.on_proven(link, source, mac, cx),
            // A plain server may send a frame of this server back.
            _ if source == cx.topology.own_id() => {}
            _ => {
                cx.topology.count_refusal(link, Refusal::Unexpected);
            }
        }
    }

    /// Sends OFFER to a server that asks whether it could move here. Of two servers that ask each
    /// other, the one with the larger id answers.
    pub(super) fn answer_question<O: Outbox>(
        &mut self,
        link: LinkId,
        id: HostId,
        hello: &Hello,
        cx: &mut RelayCx<'_, O>,
    ) {
        if self.moving.is_some() && (id > cx.topology.own_id() || !self.stop_asking(cx)) {
            return cx.out.close(link, CloseReason::Moving);
        }
        let own = self.own_link(hello.token);
        let offer = Frame::Offer(own_hello(cx.topology, own));
        send::send_extension(cx.topology, link, &offer, cx.out);
    }

    /// Gives up the question to an earlier parent. Returns whether this server does not move now.
    pub(super) fn stop_asking<O: Outbox>(&mut self, cx: &mut RelayCx<'_, O>) -> bool {
        if self.is_any_asked() {
            self.give_up_move(CloseReason::Moving, cx);
        }
        self.moving.is_none()
    }

    /// Returns whether a server is about to move to this one.
    fn is_moved_to(&self) -> bool {
        let is_moving = |handshake: &Handshake| matches!(handshake, Handshake::Offered { hello, .. } if hello.is_moving);
        self.handshakes.values().any(is_moving)
    }

    /// Records that a parent with this id has answered the registration.
    pub(super) fn on_parent_registered<O: Outbox>(
        &mut self,
        link: LinkId,
        id: HostId,
        cx: &mut RelayCx<'_, O>,
    ) {
        self.uplink.on_registered(cx.now, link, id);
        self.uplink.schedule_return(cx.now, cx.limits.return_interval, &mut self.rng);
    }

    /// Asks an earlier parent whether this server can go back to it, if that is due.
    pub(super) fn ask_earlier_parent<O: Outbox>(&mut self, cx: &mut RelayCx<'_, O>) {
        let Some(uplink) = self.uplink.registered_link() else { return };
        let can_move =
            self.moving.is_none() && !self.is_moved_to() && self.extended.contains_key(&uplink);
        let topology = &*cx.topology;
        // Of a parent that was met, it is known whether it could be moved to.
        let is_listed = self.uplink.is_listed();
        let is_elsewhere = |id| id != HostId::NONE && !is_listed && !topology.is_reachable(id);
        let may_go_to = |id| is_behind(uplink, id, topology) || is_elsewhere(id);
        let may_ask = |id: Option<HostId>| can_move && id.is_none_or(may_go_to);
        let interval = cx.limits.return_interval;
        if let Some(parent) = self.uplink.due_return(cx.now, interval, may_ask, &mut self.rng) {
            self.begin_move(Reason::EarlierParent(parent), cx, |out| out.dial(parent));
        }
    }

    /// Handles the OFFER of an earlier parent that was asked: registers with it, if this server can
    /// go back to it. If it is the present parent, as after MOVE, that is no longer a fallback.
    fn on_answer<O: Outbox>(
        &mut self,
        link: LinkId,
        id: HostId,
        hello: &Hello,
        cx: &mut RelayCx<'_, O>,
    ) {
        let Some(parent) = self.asked_parent(link) else { return };
        if !self.check_parent(link, id, cx) {
            return;
        }
        self.uplink.set_id(parent, id);
        let uplink = self.uplink.registered_link();
        let is_behind = uplink.is_some_and(|uplink| is_behind(uplink, id, cx.topology));
        let fact = cx.topology.routes().fact(id);
        let is_known = fact.is_some_and(|fact| fact.nonce == hello.nonce.0);
        let is_present = uplink.is_some_and(|it| cx.topology.link(it).host_id() == Some(id));
        if is_known && is_present {
            self.uplink.set_parent(Some(parent));
            self.uplink.schedule_return(cx.now, cx.limits.return_interval, &mut self.rng);
            return cx.out.close(link, CloseReason::StaysAttached);
        }
        let can_move = is_behind && is_known;
        let is_elsewhere = !cx.topology.is_reachable(id);
        let joins_elsewhere = is_elsewhere && self.uplink.joins_elsewhere(parent);
        // The instance that is reached, if it is another, is lost as soon as that is noticed.
        let is_replaced = fact.is_some_and(|fact| fact.nonce != hello.nonce.0);
        self.uplink.set_elsewhere(parent, is_elsewhere || is_replaced);
        if !can_move && !joins_elsewhere {
            log::debug!("link {link}: this server cannot go back to server {id}");
            return cx.out.close(link, CloseReason::StaysAttached);
        }
        self.begin_dialling(link);
        self.register_with_parent(cx.topology, link, cx.out);
    }
}

/// Returns whether a server is reached over the parent, and is not the parent.
fn is_behind(uplink: LinkId, id: HostId, topology: &Topology) -> bool {
    topology.routes().route(id) == Some(uplink) && topology.link(uplink).host_id() != Some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{Limits, RETURN_INTERVAL, SPLIT_GRACE};
    use crate::relay::extension::{Digest, Epoch, Nonce, ServerFact};
    use crate::relay::message::HostKind::Server;
    use crate::relay::message::{Message, StatusCode};
    use crate::relay::recorder::{Bench, hello, link_id, registration};

    /// A server with two parents that is attached to the second, server 2, over link 102; server 3
    /// is behind it.
    fn bench() -> Bench {
        let mut bench = Bench::with(2, Limits::default());
        bench.relay.advance(bench.now, &mut bench.out);
        bench.close(101);
        bench.relay.advance(bench.now, &mut bench.out);
        bench.relay.dialled(link_id(102), &mut bench.out);
        let parent = registration(Server, 2, 2);
        bench.relay.receive(bench.now, link_id(102), &parent, &mut bench.out);
        bench.receive_extension(102, 2, &Frame::Offer(hello(2)));
        bench.learn_server(102, 2, 3, 2);
        bench.out.take();
        bench
    }

    /// Waits until an earlier parent would be dialled on a link. Returns whether it was.
    fn is_dialled(bench: &mut Bench, link: u32) -> bool {
        for _ in 0..2 {
            bench.now = bench.now + RETURN_INTERVAL;
            bench.out.received.insert(link_id(102), bench.now);
            bench.relay.advance(bench.now, &mut bench.out);
        }
        bench.out.take();
        bench.relay.topology.find_link(link_id(link)).is_some()
    }

    /// Waits until an earlier parent is dialled on a link, and lets it answer. Returns what was
    /// sent.
    fn ask(bench: &mut Bench, link: u32, id: u32) -> Vec<String> {
        assert!(is_dialled(bench, link));
        bench.relay.dialled(link_id(link), &mut bench.out);
        assert_eq!(bench.out.take(), [format!("{link}: HELLO from 1")], "no registration");
        bench.receive_extension(link, id, &Frame::Offer(hello(id)));
        bench.out.take()
    }

    #[test]
    fn server_goes_back_to_an_earlier_parent_in_its_part_of_the_network() {
        let mut bench = bench();
        let registered = ["103: registration of server 1  by 0", "103: HELLO from 1"];
        assert_eq!(ask(&mut bench, 103, 3), registered);
        bench.relay.receive(bench.now, link_id(103), &registration(Server, 3, 3), &mut bench.out);
        bench.receive_extension(103, 3, &Frame::Offer(hello(3)));
        assert_eq!(bench.out.take(), ["102: TRACE from 1", "102: END from 1"]);
    }

    #[test]
    fn server_that_the_earlier_parent_refuses_stays_with_its_parent() {
        let mut bench = bench();
        ask(&mut bench, 103, 3);
        bench.relay.receive(
            bench.now,
            link_id(103),
            &Message::Status {
                source: HostId(3),
                destination: HostId::NONE,
                code: StatusCode::ID_TAKEN,
                text: b"A machine has already registered with ID 1",
            },
            &mut bench.out,
        );
        assert_eq!(bench.out.take(), ["103: close: the parent refused id 1"]);
        bench.close(103);
        assert!(bench.relay.is_uplink(link_id(102)));
        assert_eq!(bench.out.take(), [] as [&str; 0], "no parent is dialled");
    }

    #[test]
    fn server_stays_if_the_earlier_parent_is_elsewhere_and_does_not_ask_again() {
        let mut bench = bench();
        let closed = ["103: close: this server stays with its parent"];
        assert_eq!(ask(&mut bench, 103, 4), closed);
        bench.close(103);
        assert!(!is_dialled(&mut bench, 104));
    }

    #[test]
    fn earlier_parent_that_is_the_present_one_is_not_asked_again() {
        let mut bench = bench();
        assert_eq!(ask(&mut bench, 103, 2), ["103: close: this server stays with its parent"]);
        bench.close(103);
        assert!(!is_dialled(&mut bench, 104));
    }

    #[test]
    fn parent_of_the_list_that_move_has_named_is_none_to_leave() {
        let mut bench = bench_after_move();
        assert_eq!(ask(&mut bench, 103, 3), ["103: close: this server stays with its parent"]);
        bench.close(103);
        assert!(bench.relay.peering.uplink.is_listed());
        assert!(!is_dialled(&mut bench, 104));
    }

    #[test]
    fn parent_that_does_not_answer_is_not_asked_again() {
        let mut bench = bench();
        assert!(is_dialled(&mut bench, 103));
        bench.relay.dialled(link_id(103), &mut bench.out);
        let reason = CloseReason::RegisterDeadline;
        bench.relay.closed(bench.now, link_id(103), &reason, &mut bench.out);
        assert!(!is_dialled(&mut bench, 104));
    }

    #[test]
    fn nobody_is_asked_while_a_server_is_about_to_move_here() {
        let mut bench = bench();
        bench.relay.accepted(bench.now, link_id(5), &mut bench.out);
        let newcomer = registration(Server, 9, 0);
        bench.relay.receive(bench.now, link_id(5), &newcomer, &mut bench.out);
        bench.receive_extension(5, 9, &Frame::Hello(Hello { is_moving: true, ..hello(9) }));
        for link in [5, 102] {
            bench.out.received.insert(link_id(link), bench.now + RETURN_INTERVAL * 2);
        }
        assert!(!is_dialled(&mut bench, 103));
    }

    #[test]
    fn question_is_not_answered_by_a_server_that_moves() {
        let mut bench = bench();
        assert!(ask(&mut bench, 103, 3).contains(&"103: HELLO from 1".to_owned()));
        bench.relay.accepted(bench.now, link_id(5), &mut bench.out);
        bench.receive_extension(5, 9, &Frame::Hello(Hello { is_moving: true, ..hello(9) }));
        assert_eq!(bench.out.take(), ["5: close: moving to another parent"]);
    }

    #[test]
    fn of_two_servers_that_ask_each_other_the_one_with_the_larger_id_answers() {
        for (id, answer) in [(3, "5: OFFER from 4"), (9, "5: close: moving to another parent")] {
            let mut bench = bench();
            bench.relay.topology.set_own_id(HostId(4));
            assert!(is_dialled(&mut bench, 103));
            bench.relay.dialled(link_id(103), &mut bench.out);
            bench.relay.accepted(bench.now, link_id(5), &mut bench.out);
            bench.out.take();
            bench.receive_last_extension(
                5,
                id,
                &Frame::Hello(Hello { is_moving: true, ..hello(id) }),
            );
            assert_eq!(bench.out.take().last().map(String::as_str), Some(answer));
            assert_eq!(bench.relay.peering.moving.is_some(), id == 9);
        }
    }

    #[test]
    fn server_that_asks_gives_way_to_one_that_moves_here() {
        let mut bench = bench();
        assert!(is_dialled(&mut bench, 103));
        bench.relay.accepted(bench.now, link_id(5), &mut bench.out);
        bench.relay.receive(bench.now, link_id(5), &registration(Server, 9, 0), &mut bench.out);
        bench.receive_last_extension(5, 9, &Frame::Hello(Hello { is_moving: true, ..hello(9) }));
        let given_up = "103: close: moving to another parent";
        assert_eq!(
            bench.out.take(),
            [given_up, "5: registration of server 1  by 1", "5: OFFER from 1"]
        );
    }

    /// A server whose only parent, server 9, it has left for server 3, as MOVE of server 2 said.
    fn bench_after_move() -> Bench {
        let mut bench = Bench::with(1, Limits::default());
        bench.relay.advance(bench.now, &mut bench.out);
        bench.relay.dialled(link_id(101), &mut bench.out);
        let parent = registration(Server, 2, 2);
        bench.relay.receive(bench.now, link_id(101), &parent, &mut bench.out);
        bench.receive_extension(101, 2, &Frame::Offer(hello(2)));
        let replacement = Frame::Move { replacement: HostId(3), address: "192.0.2.3:3600" };
        bench.receive_extension(101, 2, &replacement);
        bench.close(101);
        bench.relay.dialled(link_id(102), &mut bench.out);
        let parent = registration(Server, 3, 3);
        bench.relay.receive(bench.now, link_id(102), &parent, &mut bench.out);
        bench.receive_extension(102, 3, &Frame::Offer(hello(3)));
        bench.out.take();
        bench
    }

    #[test]
    fn server_joins_a_parent_that_stays_elsewhere_and_names_it_to_the_present_one() {
        let mut bench = bench_after_move();
        bench.out.addresses.insert(link_id(104), "192.0.2.9:3600".parse().expect("an address"));
        let closed = ["103: close: this server stays with its parent"];
        assert_eq!(ask(&mut bench, 103, 9), closed, "it may join on its own");
        bench.close(103);
        let registered = ["104: registration of server 1  by 0", "104: HELLO from 1"];
        assert_eq!(ask(&mut bench, 104, 9), registered);
        bench.relay.receive(bench.now, link_id(104), &registration(Server, 9, 9), &mut bench.out);
        bench.receive_extension(104, 9, &Frame::Offer(hello(9)));
        let sent = bench.out.take();
        assert_eq!(sent[0], "104: COMMIT from 1");
        assert!(sent.contains(&"102: MOVE from 1".to_owned()), "{sent:?}");
        assert!(!sent.iter().any(|line| line.contains("close")), "{sent:?}");
        assert!(bench.relay.is_uplink(link_id(104)) && !bench.relay.is_uplink(link_id(102)));
        bench.close(102);
        assert!(!is_dialled(&mut bench, 105), "that link is not dialled again");
    }

    #[test]
    fn server_joins_a_parent_whose_earlier_instance_was_still_reached_when_it_was_asked() {
        for (nonce, sent) in [(77, "104: registration of server 1  by 0"), (9, "104: close")] {
            let mut bench = bench_after_move();
            let (id, via, epoch) = (HostId(9), HostId(3), Epoch { boot: 1, attach: 1 });
            let (nonce, digest) = (Nonce(nonce), Digest::default());
            let fact = ServerFact { id, epoch, nonce, via, users: 0, digest };
            bench.receive_extension(102, 3, &Frame::Server(fact));
            bench.receive(102, &registration(Server, 9, 3));
            ask(&mut bench, 103, 9);
            bench.close(103);
            bench.receive_extension(102, 3, &Frame::Withdraw([HostId(9)].as_slice().into()));
            bench.wait(SPLIT_GRACE);
            let first = ask(&mut bench, 104, 9).swap_remove(0);
            assert!(first.starts_with(sent), "{first}");
        }
    }

    #[test]
    fn question_without_a_registration_is_answered_with_an_offer() {
        let mut bench = bench();
        bench.relay.accepted(bench.now, link_id(5), &mut bench.out);
        bench.receive_extension(5, 9, &Frame::Hello(Hello { is_moving: true, ..hello(9) }));
        assert_eq!(bench.out.take(), ["5: OFFER from 1"]);
        bench.receive_extension(5, 9, &Frame::Hello(hello(9)));
        assert_eq!(bench.out.take(), [] as [&str; 0], "it does not ask");
    }
}
