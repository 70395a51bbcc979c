use super::*;
use crate::limits::{Limits, SPLIT_GRACE};
use crate::relay::extension::{Hello, Trace, TraceResult};
use crate::relay::message::HostKind::{Server, User};
use crate::relay::recorder::{Bench, hello, link_id, registration};

const UPLINK: u32 = 101;
const NEW_LINK: u32 = 102;

/// Lets a server that has been dialled send OFFER.
fn offer(bench: &mut Bench, link: u32, id: u32) {
    bench.relay.dialled(link_id(link), &mut bench.out);
    let registration = registration(Server, id, id);
    bench.relay.receive(bench.now, link_id(link), &registration, &mut bench.out);
    bench.receive_extension(link, id, &Frame::Offer(hello(id)));
}

/// User 101 here, and the parent 2, behind which server 3 is, with user 301.
fn bench() -> Bench {
    let mut bench = Bench::with(1, Limits::default());
    bench.join(1, User, 101);
    bench.relay.advance(bench.now, &mut bench.out);
    offer(&mut bench, UPLINK, 2);
    bench.learn_server(UPLINK, 2, 3, 2);
    learn_user(&mut bench, UPLINK, 2);
    bench.out.take();
    bench
}

fn learn_user(bench: &mut Bench, link: u32, neighbour: u32) {
    let stamps = [5];
    let users = Frame::Users { home: HostId(3), stamps: stamps.as_slice().into() };
    bench.receive_extension(link, neighbour, &users);
    bench.receive(link, &registration(User, 301, neighbour));
}

/// The parent stops, server 3 sends OFFER, and the uplink is ended. Returns what was sent.
fn end_uplink(bench: &mut Bench) -> Vec<String> {
    let replacement = Frame::Move { replacement: HostId(3), address: "192.0.2.3:3600" };
    bench.receive_extension(UPLINK, 2, &replacement);
    assert_eq!(bench.out.take(), [format!("{NEW_LINK}: dial 192.0.2.3:3600")]);
    offer(bench, NEW_LINK, 3);
    bench.out.take()
}

fn answer_trace(bench: &mut Bench) {
    let token = *bench.relay.peering.traces.keys().next().expect("a trace");
    let trace = Trace { token, target: HostId(3), hops: [].as_slice().into() };
    let reply = Frame::TraceReply { result: TraceResult::HOME, trace };
    bench.receive_extension(UPLINK, 2, &reply);
}

#[test]
fn link_is_committed_when_the_trace_is_answered_and_end_is_acknowledged() {
    let mut bench = bench();
    let ended = [
        format!("{NEW_LINK}: registration of server 1  by 0"),
        format!("{NEW_LINK}: HELLO from 1"),
        format!("{UPLINK}: TRACE from 1"),
        format!("{UPLINK}: END from 1"),
    ];
    assert_eq!(end_uplink(&mut bench), ended);
    bench.chat(1, 101, 301);
    assert_eq!(bench.out.take(), [] as [&str; 0], "it waits");
    bench.chat(UPLINK, 301, 101);
    assert_eq!(bench.out.take(), ["1: <301> hi"], "the old parent still sends");
    bench.receive_extension(UPLINK, 2, &Frame::Ack { handled_bytes: 999 });
    answer_trace(&mut bench);
    assert_eq!(bench.out.take(), [] as [&str; 0], "END is not acknowledged");
    bench.receive_extension(UPLINK, 2, &Frame::Ack { handled_bytes: 1000 });
    let sent = bench.out.take();
    assert_eq!(sent[0], format!("{NEW_LINK}: COMMIT from 1"));
    assert_eq!(sent.last(), Some(&format!("{NEW_LINK}: chat of 2 bytes from 101 to 301")));
    bench.chat(NEW_LINK, 301, 101);
    assert_eq!(bench.out.take(), [format!("{NEW_LINK}: held back")], "until END");
    bench.chat(UPLINK, 301, 101);
    bench.receive_extension(UPLINK, 2, &Frame::End);
    let closed = format!("{UPLINK}: close: joining server 3 instead");
    assert_eq!(bench.out.take(), ["1: <301> hi", &closed]);
    bench.close(UPLINK);
    assert_eq!(bench.out.take(), [format!("{NEW_LINK}: released")]);
    bench.chat(NEW_LINK, 301, 101);
    assert_eq!(bench.out.take(), ["1: <301> hi"]);
    assert!(bench.relay.is_uplink(link_id(NEW_LINK)));
}

#[test]
fn link_is_not_committed_before_the_trace_is_answered() {
    let mut bench = bench();
    end_uplink(&mut bench);
    bench.receive_extension(UPLINK, 2, &Frame::Ack { handled_bytes: 1000 });
    assert_eq!(bench.out.take(), [] as [&str; 0]);
    answer_trace(&mut bench);
    assert_eq!(bench.out.take()[0], format!("{NEW_LINK}: COMMIT from 1"));
}

#[test]
fn old_link_is_closed_if_the_new_parent_is_not_reached_over_it() {
    let mut bench = bench();
    let replacement = Frame::Move { replacement: HostId(9), address: "192.0.2.3:3600" };
    bench.receive_extension(UPLINK, 2, &replacement);
    bench.relay.dialled(link_id(NEW_LINK), &mut bench.out);
    let parent = registration(Server, 9, 9);
    bench.relay.receive(bench.now, link_id(NEW_LINK), &parent, &mut bench.out);
    bench.out.take();
    bench.receive_extension(NEW_LINK, 9, &Frame::Offer(hello(9)));
    assert_eq!(bench.out.take(), [format!("{UPLINK}: close: joining server 9 instead")]);
}

#[test]
fn old_parent_that_does_not_answer_is_closed_and_the_move_goes_on() {
    let mut bench = bench();
    end_uplink(&mut bench);
    bench.wait(MOVE_TIMEOUT);
    let closed = format!("{UPLINK}: close: the other machine does not answer");
    assert_eq!(bench.out.take(), [closed]);
    bench.close(UPLINK);
    assert_eq!(bench.out.take()[0], format!("{NEW_LINK}: COMMIT from 1"));
    learn_user(&mut bench, NEW_LINK, 3);
    bench.wait(SPLIT_GRACE * 2);
    assert!(!bench.out.take().iter().any(|line| line.contains("-301")), "nobody has left");
}

#[test]
fn old_parent_that_does_not_end_its_direction_is_closed() {
    let mut bench = bench();
    end_uplink(&mut bench);
    answer_trace(&mut bench);
    bench.receive_extension(UPLINK, 2, &Frame::Ack { handled_bytes: 1000 });
    bench.out.take();
    bench.wait(MOVE_TIMEOUT);
    let closed = format!("{UPLINK}: close: the other machine does not answer");
    assert_eq!(bench.out.take(), [closed]);
    bench.close(UPLINK);
    assert_eq!(bench.out.take(), [format!("{NEW_LINK}: released")]);
}

#[test]
fn old_link_is_closed_if_the_new_parent_is_lost() {
    for is_ended in [false, true] {
        let mut bench = bench();
        let replacement = Frame::Move { replacement: HostId(3), address: "192.0.2.3:3600" };
        bench.receive_extension(UPLINK, 2, &replacement);
        if is_ended {
            offer(&mut bench, NEW_LINK, 3);
        }
        bench.out.take();
        bench.close(NEW_LINK);
        let closed = format!("{UPLINK}: close: the server to join instead does not answer");
        assert_eq!(bench.out.take(), [closed]);
        bench.close(UPLINK);
        assert!(bench.relay.next_deadline(bench.now).is_some(), "the parents are dialled");
    }
}

#[test]
fn link_that_is_lost_while_the_new_parent_is_dialled_leaves_that_dial_as_the_uplink() {
    let mut bench = bench();
    let replacement = Frame::Move { replacement: HostId(3), address: "192.0.2.3:3600" };
    bench.receive_extension(UPLINK, 2, &replacement);
    bench.close(UPLINK);
    bench.out.take();
    offer(&mut bench, NEW_LINK, 3);
    assert_eq!(bench.out.take()[2], format!("{NEW_LINK}: COMMIT from 1"));
}

#[test]
fn server_that_moves_refuses_one_that_moves() {
    let mut bench = bench();
    end_uplink(&mut bench);
    bench.relay.accepted(bench.now, link_id(5), &mut bench.out);
    let newcomer = registration(Server, 4, 0);
    bench.relay.receive(bench.now, link_id(5), &newcomer, &mut bench.out);
    let moving = Hello { is_moving: true, ..hello(4) };
    bench.receive_extension(5, 4, &Frame::Hello(moving));
    assert_eq!(bench.out.take(), ["5: REFUSE from 1", "5: close: moving to another parent"]);
}

/// The child 4 on link 4, with server 5 behind it, and the neighbour 2 on link 2.
fn bench_with_child() -> Bench {
    let mut bench = Bench::new();
    bench.join_extended(2, 2);
    bench.join_extended(4, 4);
    bench.learn_server(4, 4, 5, 4);
    bench.out.take();
    bench
}

#[test]
fn end_is_answered_when_no_route_leads_over_the_link() {
    let mut bench = bench_with_child();
    bench.receive_extension(4, 4, &Frame::End);
    assert_eq!(bench.out.take(), ["4: acknowledged"]);
    bench.learn_server(2, 2, 4, 2);
    let moved = bench.out.take();
    assert!(!moved.iter().any(|line| line.contains("END from 1")), "server 5 is behind: {moved:?}");
    assert!(!moved.iter().any(|line| line.contains("close")), "no ghost: {moved:?}");
    bench.learn_server(2, 2, 5, 4);
    assert!(bench.out.take().contains(&"4: END from 1".to_owned()));
    bench.close(4);
    bench.wait(SPLIT_GRACE);
    assert_eq!(bench.relay.hosts().iter().count(), 3, "nobody is lost");
}

#[test]
fn link_that_a_neighbour_has_ended_is_closed_after_the_grace() {
    let mut bench = bench_with_child();
    bench.receive_extension(4, 4, &Frame::End);
    bench.wait(SPLIT_GRACE);
    let closed = "4: close: the other machine does not answer".to_owned();
    assert!(bench.out.take().contains(&closed));
    bench.close(4);
}

#[test]
fn server_without_a_parent_takes_a_neighbour_that_sends_move_for_it() {
    // One whose parent has not answered, and one that has none.
    for (parent_count, link) in [(1, Some(102)), (0, None)] {
        let mut bench = Bench::with(parent_count, Limits::default());
        bench.join_extended(2, 2);
        bench.learn_server(2, 2, 3, 2);
        bench.relay.advance(bench.now, &mut bench.out);
        bench.out.take();
        let replacement = Frame::Move { replacement: HostId(3), address: "192.0.2.3:3600" };
        bench.receive_last_extension(2, 2, &replacement);
        let sent = bench.out.take();
        let dialled = link.map(|link| format!("{link}: dial 192.0.2.3:3600"));
        assert_eq!(sent.last(), dialled.as_ref());
        assert_eq!(bench.relay.is_uplink(link_id(2)), link.is_some());
        // The server that it names does not answer.
        if let Some(link) = link {
            bench.close(101);
            bench.close(link);
            assert_eq!(bench.out.take(), [] as [&str; 0], "the neighbour stays");
        }
    }
}
