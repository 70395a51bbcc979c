use super::*;
use crate::limits::{LOADS_TIMEOUT, Limits, PING_INTERVAL, TRACE_TIMEOUT};
use crate::relay::extension::codec::HOPS_MAX;
use crate::relay::extension::{Errand, Frame, Hop, LinkLoad, Ping, Trace};
use crate::relay::message::HostKind::{Server, User};
use crate::relay::message::Message;
use crate::relay::recorder::{Bench, link_id, registration};

/// Server 2 on link 2, with server 3 behind it and server 4 behind that; user 101 on link 1.
fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.out.addresses.insert(link_id(2), "127.0.0.7:40000".parse().expect("an address"));
    bench.join(1, User, 101);
    bench.join_extended(2, 2);
    bench.learn_server(2, 2, 3, 2);
    bench.learn_server(2, 2, 4, 3);
    bench.out.take();
    bench
}

fn link_report(bench: &Bench, link: u32) -> LinkReport {
    bench.relay.link_report(link_id(link), &bench.out).expect("a link")
}

fn server_report(bench: &Bench, id: u32) -> ServerReport {
    let host = bench.relay.hosts().get(HostId(id)).expect("a host");
    bench.relay.server_report(host).expect("a server")
}

#[test]
fn link_report_tells_extended_links_from_plain_ones() {
    let mut bench = bench();
    bench.join(5, Server, 5);
    assert!(link_report(&bench, 2).is_extended && !link_report(&bench, 5).is_extended);
    let address = "127.0.0.7:3600".parse().expect("an address");
    assert_eq!(link_report(&bench, 2).listen_address, Some(address));
    assert_eq!(link_report(&bench, 5).listen_address, None);
}

#[test]
fn round_trip_is_the_time_from_ping_to_pong() {
    let mut bench = bench();
    bench.wait(PING_INTERVAL);
    assert_eq!(bench.out.take(), ["2: PING from 1"]);
    assert_eq!(link_report(&bench, 2).round_trip, None);
    bench.wait(Duration::from_millis(30));
    for token in [2, 1, 1] {
        let pong = Ping { token, handled_bytes: 0, digest: None };
        bench.receive_extension(2, 2, &Frame::Pong(pong));
        bench.now = bench.now + Duration::from_millis(1);
    }
    assert_eq!(link_report(&bench, 2).round_trip, Some(Duration::from_millis(31)));
}

#[test]
fn busy_link_is_asked_once_and_a_silent_one_until_it_is_closed() {
    let mut bench = bench();
    for seconds in 1..=59 {
        bench.wait(Duration::from_secs(1));
        bench.out.received.insert(link_id(2), bench.now);
        if seconds == 6 {
            let pong = Ping { token: 1, handled_bytes: 0, digest: None };
            bench.receive_extension(2, 2, &Frame::Pong(pong));
        }
    }
    assert_eq!(bench.out.take(), ["2: PING from 1"]);
    let limits = Limits::default();
    bench.wait(limits.ping_timeout);
    let closed = "2: close: no answer for 15 s";
    assert_eq!(bench.out.take(), ["2: PING from 1", "2: PING from 1", closed]);
}

#[test]
fn refusals_are_counted_by_reason() {
    let mut bench = bench();
    bench.receive(2, &registration(User, 101, 2));
    bench.chat(1, 101, 7);
    bench.chat(1, 101, 8);
    bench.chat(1, 102, 101);
    bench.join(5, Server, 5);
    bench.receive(5, &registration(User, 105, 5));
    let (source, destination) = (HostId(101), HostId(105));
    bench.receive(1, &Message::Chat { source, destination, text: &[b'x'; 2000] });
    let expected =
        Refusals { false_sources: 1, unknown_ids: 2, unreadable: 1, ..Refusals::default() };
    assert_eq!(link_report(&bench, 1).refusals, expected);
    bench.relay.accepted(bench.now, link_id(6), &mut bench.out);
    bench.receive(6, &registration(User, 101, 0));
    assert_eq!(link_report(&bench, 6).refusals.taken_ids, 1);
}

#[test]
fn server_report_has_the_path_and_the_epoch() {
    let mut bench = bench();
    bench.join(5, Server, 5);
    bench.receive(5, &registration(Server, 6, 5));
    let report = server_report(&bench, 4);
    let epoch = Some(Epoch { boot: 2, attach: 3 });
    assert_eq!((report.is_extended, report.epoch, report.hops), (true, epoch, Some(3)));
    assert_eq!((report.next, report.parent), (Some(HostId(3)), Some(HostId(3))));
    let nearest = server_report(&bench, 2);
    assert_eq!((nearest.parent, nearest.hops, nearest.users), (Some(HostId(1)), Some(1), Some(0)));
    let plain = server_report(&bench, 5);
    assert_eq!((plain.is_extended, plain.parent, plain.hops), (false, Some(HostId(1)), Some(1)));
    let behind_plain = server_report(&bench, 6);
    assert_eq!((behind_plain.parent, behind_plain.hops, behind_plain.epoch), (None, None, None));
    bench.close(2);
    let lost = server_report(&bench, 3);
    assert_eq!((lost.next, lost.parent, lost.hops), (None, None, None));
}

#[test]
fn trace_is_complete_when_its_reply_has_come() {
    let mut bench = bench();
    let token = bench.relay.start_trace(bench.now, HostId(4), &mut bench.out);
    let token = token.expect("a host behind others");
    assert_eq!(bench.out.take(), ["2: TRACE from 1"]);
    bench.now = bench.now + Duration::from_millis(9);
    let hop = |server, elapsed_micros| Hop { server: HostId(server), elapsed_micros };
    let hops = [hop(2, 5000), hop(3, 2000), hop(4, 0)];
    let reply = |token| {
        let trace = Trace { token, target: HostId(4), hops: hops.as_slice().into() };
        Frame::TraceReply { result: TraceResult::HOME, trace }
    };
    bench.receive_extension(2, 2, &reply(token ^ 1));
    assert_eq!(bench.relay.take_trace_report(token), None);
    bench.receive_extension(2, 2, &reply(token));
    let report = bench.relay.take_trace_report(token).expect("complete");
    assert_eq!((report.hops.as_slice(), report.round_trip.as_millis()), (hops.as_slice(), 9));
    assert_eq!(bench.relay.take_trace_report(token), None);
}

#[test]
fn report_that_nobody_takes_is_dropped() {
    let mut bench = bench();
    let target = HostId(4);
    let start = |bench: &mut Bench| {
        let token = bench.relay.start_trace(bench.now, target, &mut bench.out);
        let token = token.expect("a host behind others");
        let trace = Trace { token, target, hops: [].as_slice().into() };
        let reply = Frame::TraceReply { result: TraceResult::HOME, trace };
        bench.receive_extension(2, 2, &reply);
        token
    };
    let token = start(&mut bench);
    bench.now = bench.now + TRACE_TIMEOUT;
    let next = start(&mut bench);
    assert_eq!(bench.relay.take_trace_report(token), None);
    assert!(bench.relay.take_trace_report(next).is_some());
}

#[test]
fn trace_to_a_near_host_has_its_result_at_once() {
    let mut bench = bench();
    bench.join(5, Server, 5);
    let check = |bench: &mut Bench, id, expected| {
        let result = bench.relay.start_trace(bench.now, HostId(id), &mut bench.out);
        assert_eq!(result, Err(expected), "{id}");
    };
    check(&mut bench, 1, TraceResult::HOME);
    check(&mut bench, 101, TraceResult::HOME);
    check(&mut bench, 5, TraceResult::PLAIN);
    check(&mut bench, 9, TraceResult::UNKNOWN);
    bench.close(2);
    check(&mut bench, 4, TraceResult::SPLIT);
}

fn errand(origin: u32, target: u32, hops: u8) -> Errand {
    Errand { origin: HostId(origin), target: HostId(target), hops }
}

fn answer(errand: Errand) -> Frame<'static> {
    const LOAD: LinkLoad = LinkLoad {
        neighbour: HostId(3),
        round_trip_micros: 250,
        queue_bytes: 0,
        frames: 7,
        bytes: 700,
    };
    Frame::Links { errand, links: [LOAD].as_slice().into() }
}

/// Returns the errands in the frames of the extension that were sent.
fn errands(bench: &mut Bench) -> Vec<Errand> {
    let sent = bench.out.take_extension();
    let frames = sent.iter().filter_map(|(code, text)| Frame::parse(*code, text)?.ok());
    frames
        .filter_map(|frame| match frame {
            Frame::LinksRequest(errand) | Frame::Links { errand, .. } => Some(errand),
            _ => None,
        })
        .collect()
}

#[test]
fn server_is_asked_for_its_loads_once_until_it_answers_or_the_time_is_over() {
    let mut bench = bench();
    let ask = |bench: &mut Bench| {
        bench.relay.ask_loads(bench.now, HostId(4), &mut bench.out);
        bench.out.take()
    };
    assert_eq!(ask(&mut bench), ["2: LINKS_REQUEST from 1"]);
    assert!(ask(&mut bench).is_empty(), "it may still answer");
    bench.receive_extension(2, 2, &answer(errand(1, 4, 1)));
    let report = bench.relay.take_load_report().expect("an answer");
    assert_eq!((report.server, report.links[0].frames), (HostId(4), 7));
    bench.receive_extension(2, 2, &answer(errand(1, 4, 1)));
    assert_eq!(bench.relay.take_load_report(), None, "nobody asked for it");
    assert_eq!(ask(&mut bench).len(), 1);
    bench.now = bench.now + LOADS_TIMEOUT;
    assert_eq!(ask(&mut bench).len(), 1, "it has not answered");
    bench.join(5, Server, 5);
    bench.out.take();
    for id in [1, 5, 9, 101] {
        bench.relay.ask_loads(bench.now, HostId(id), &mut bench.out);
        assert!(bench.out.take().is_empty(), "{id} is this server, a plain one, nobody, a user");
    }
}

#[test]
fn loads_are_asked_for_and_answered_over_other_servers() {
    let mut bench = bench();
    bench.join_extended(6, 6);
    bench.out.take_extension();
    bench.receive_extension(2, 2, &Frame::LinksRequest(errand(4, 6, 2)));
    bench.receive_extension(6, 6, &answer(errand(4, 6, 0)));
    assert_eq!(errands(&mut bench), [errand(4, 6, 3), errand(4, 6, 1)]);
    let most = u8::try_from(HOPS_MAX).expect("few");
    for (link, frame) in [
        (6, Frame::LinksRequest(errand(4, 6, 0))), // the origin is behind another link
        (2, answer(errand(4, 6, 0))),              // so is the server that answers
        (2, Frame::LinksRequest(errand(4, 3, 0))), // it would go back
        (2, Frame::LinksRequest(errand(4, 9, 0))), // to nobody
        (2, Frame::LinksRequest(errand(4, 6, most - 1))),
        (6, answer(errand(4, 6, u8::MAX))),
    ] {
        bench.receive_extension(link, link, &frame);
        assert_eq!(errands(&mut bench), [], "{frame:?}");
    }
    assert_eq!(link_report(&bench, 6).refusals.false_sources, 1);
    assert_eq!(link_report(&bench, 2).refusals.false_sources, 1);
}

#[test]
fn server_answers_with_its_links_to_plain_servers_first_as_these_do_not_answer() {
    let mut bench = bench();
    bench.join(5, Server, 5);
    bench.out.unsent.insert(link_id(5), 77);
    bench.out.take_extension();
    bench.receive_extension(2, 2, &Frame::LinksRequest(errand(4, 1, 2)));
    let sent = bench.out.take_extension();
    let Some(Ok(Frame::Links { errand: back, links })) = Frame::parse(sent[0].0, &sent[0].1) else {
        panic!("not the answer: {sent:?}");
    };
    let links: Vec<(u32, u32)> = links.iter().map(|it| (it.neighbour.0, it.queue_bytes)).collect();
    assert_eq!((back, links), (errand(4, 1, 0), vec![(5, 77), (2, 0)]));
}
