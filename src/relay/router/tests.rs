use super::*;
use crate::id::WideId;
use crate::limits::FALSE_SOURCES_MAX;
use crate::relay::MailText;
use crate::relay::message::HostKind::{Server, User};
use crate::relay::message::{Message, Registration};
use crate::relay::recorder::{Bench, link_id, registration};

/// Users 101 and 102 here, server 2 on link 3 with user 202.
fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.join(1, User, 101);
    bench.join(2, User, 102);
    bench.join(3, Server, 2);
    bench.receive(3, &registration(User, 202, 2));
    bench.out.take();
    bench
}

#[test]
fn chat_is_sent_over_the_first_link_of_its_destination() {
    let mut bench = bench();
    let next_hop = |bench: &Bench, link, source, destination| {
        let next_hop = bench.relay.next_hop(link_id(link), HostId(source), HostId(destination));
        next_hop.map(|link| link.index)
    };
    assert_eq!(next_hop(&bench, 1, 101, 102), Some(2));
    assert_eq!(next_hop(&bench, 1, 101, 202), None, "a plain server may not read it");
    bench.show_reads_cut_frames(3, 2);
    bench.out.take();
    assert_eq!(next_hop(&bench, 1, 101, 202), Some(3));
    assert_eq!(next_hop(&bench, 3, 202, 101), Some(1));
    assert_eq!(next_hop(&bench, 1, 102, 101), None);
    assert_eq!(next_hop(&bench, 1, 101, 999), None);
    bench.chat(1, 101, 202);
    bench.chat(3, 202, 101);
    bench.chat(1, 101, 999);
    let expected = ["3: chat of 2 bytes from 101 to 202", "1: <202> hi", "1: Unknown ID 999"];
    assert_eq!(bench.out.take(), expected);
}

#[test]
fn frames_with_false_sources_are_dropped_until_the_client_is_closed() {
    let mut bench = bench();
    for _ in 0..FALSE_SOURCES_MAX {
        assert_eq!(bench.out.take(), [] as [&str; 0]);
        bench.chat(1, 102, 202);
    }
    assert_eq!(bench.out.take(), [format!("1: close: {}", CloseReason::FalseSources)]);
    assert_eq!(bench.relay.counters().false_sources, u64::from(FALSE_SOURCES_MAX));
}

#[test]
fn chat_back_to_the_link_it_came_from_is_refused() {
    let mut bench = bench();
    bench.receive(3, &registration(User, 203, 2));
    bench.out.take();
    bench.chat(3, 202, 203);
    assert_eq!(bench.out.take(), ["3: status 1 from 1 to 202: Unknown ID 203"]);
    assert_eq!(bench.relay.counters().unroutable, 1);
    bench.chat(1, 101, 101);
    assert_eq!(bench.out.take(), ["1: <101> hi"]);
}

#[test]
fn mail_goes_as_chat_while_the_sender_is_online_and_as_status_otherwise() {
    let mut bench = bench();
    let mut forward = |sender, host: Option<u32>| {
        let mail = MailText { sender: WideId(sender), nick: b"", sent_at_ms: 5, text: b"hi" };
        let mail = (&mail, host.map(HostId));
        bench.relay.forward_mail(bench.now, mail, HostId(202), &mut bench.out);
        bench.out.take()
    };
    assert_eq!(forward(101, Some(101)), ["3: chat of 2 bytes from 101 to 202"]);
    assert_eq!(forward(105, None), ["3: status 4 from 1 to 202: Mail from 105: hi"]);
    assert_eq!(forward(202, Some(202)), ["3: status 4 from 1 to 202: Mail from 202: hi"]);
}

/// The registration of a user of the IRC wire.
fn irc_user(id: u32, last_hop: u32) -> Message<'static> {
    let Message::Registration(user) = registration(User, id, last_hop) else { unreachable!() };
    Message::Registration(Registration { info: b"irc sam Sam", ..user })
}

#[test]
fn dated_mail_goes_on_without_its_date_to_a_plain_server() {
    let mut bench = bench();
    bench.join_extended(4, 4);
    bench.join_extended(5, 5);
    bench.receive(3, &irc_user(203, 2));
    let (home, stamps) = (HostId(5), [6].as_slice().into());
    bench.receive_extension(5, 5, &Frame::Users { home, stamps });
    bench.receive(5, &irc_user(501, 5));
    bench.out.take();
    let mut receive = |destination, text: &str| {
        let (source, destination) = (HostId(4), HostId(destination));
        let (code, text) = (StatusCode::MAIL, text.as_bytes());
        bench.receive(4, &Message::Status { source, destination, code, text });
        bench.out.take()
    };
    let dated = "Mail from 101 (sam) at 7: hi";
    assert_eq!(receive(203, dated), ["3: chat of 2 bytes from 101 to 203"]);
    let absent = "Mail from 105 (sam) at 7: hi";
    assert_eq!(receive(203, absent), ["3: status 4 from 4 to 203: Mail from 105: hi"]);
    for text in [dated, absent] {
        assert_eq!(receive(501, text), [format!("5: status 4 from 4 to 501: {text}")]);
    }
    assert_eq!(receive(101, absent), ["1: mail <105 sam at 7> hi"]);
}

#[test]
fn mail_status_is_delivered_as_mail_only_from_an_extended_server() {
    let mut bench = bench();
    bench.join_extended(4, 4);
    bench.learn_server(4, 4, 5, 4);
    bench.out.take();
    let destination = HostId(101);
    let mut receive = |link, source, text| {
        let (source, code) = (HostId(source), StatusCode::MAIL);
        bench.receive(link, &Message::Status { source, destination, code, text });
        bench.out.take()
    };
    for source in [4, 5] {
        assert_eq!(receive(4, source, b"Mail from 7: hi"), ["1: mail <7> hi"]);
        assert_eq!(receive(4, source, b"something else"), ["1: something else"]);
    }
    assert_eq!(receive(3, 2, b"Mail from 102: hi"), ["1: Mail from 102: hi"], "a plain server");
    assert_eq!(receive(3, 4, b"Mail from 102: hi"), [] as [&str; 0], "under a foreign id");
    assert_eq!(receive(4, 2, b"Mail from 102: hi"), [] as [&str; 0], "under a foreign id");
    assert_eq!(receive(3, 5, b"hi"), [] as [&str; 0], "any status under a foreign id");
}
