use super::*;
use crate::limits::{Limits, SPLIT_BATCH_INTERVAL};
use crate::relay::extension::{Digest, Nonce, ServerFact};
use crate::relay::message::HostKind::{Server, User};
use crate::relay::message::StatusCode;
use crate::relay::recorder::{self, Bench, link_id, registration};

/// The link to the parent that is dialled first.
const UPLINK: u32 = 101;
/// The epoch of every other server.
const EPOCH: Epoch = Epoch { boot: 1, attach: 0 };

/// Returns HELLO or OFFER of the instance with a nonce.
fn hello(nonce: u64) -> Hello {
    Hello { epoch: EPOCH, nonce: Nonce(nonce), ..recorder::hello(0) }
}

/// Server 1, which has dialled its parent and sent HELLO.
fn dialled() -> Bench {
    let mut bench = Bench::with(1, Limits::default());
    bench.relay.advance(bench.now, &mut bench.out);
    bench.relay.dialled(link_id(UPLINK), &mut bench.out);
    bench.out.take();
    bench
}

/// Lets the parent answer with its registration and OFFER in one write.
fn offer(bench: &mut Bench, link: u32, id: u32, nonce: u64) {
    offer_with(bench, link, id, hello(nonce));
}

fn offer_with(bench: &mut Bench, link: u32, id: u32, hello: Hello) {
    let registration = registration(Server, id, id);
    bench.relay.receive(bench.now, link_id(link), &registration, &mut bench.out);
    bench.receive_extension(link, id, &Frame::Offer(hello));
}

/// Lets server 1 dial its parent again, on the next link.
fn redial(bench: &mut Bench) {
    bench.wait(bench.relay.next_deadline(bench.now).expect("a redial").since(bench.now));
    bench.relay.dialled(link_id(UPLINK + 1), &mut bench.out);
    bench.out.take();
}

/// Lets a server dial and send its registration and HELLO in one write.
fn say_hello(bench: &mut Bench, link: u32, id: u32, source: u32, nonce: u64) {
    bench.relay.accepted(bench.now, link_id(link), &mut bench.out);
    let registration = registration(Server, id, 0);
    bench.relay.receive(bench.now, link_id(link), &registration, &mut bench.out);
    bench.receive_extension(link, source, &Frame::Hello(hello(nonce)));
}

/// Learns a fact about this server's own id over the link to server 5.
fn learn_own_id(bench: &mut Bench, link: u32, epoch: Epoch, nonce: u64) {
    let (id, via, nonce) = (HostId(1), HostId(5), Nonce(nonce));
    let fact = ServerFact { id, epoch, nonce, via, users: 0, digest: Digest::default() };
    bench.receive_extension(link, 5, &Frame::Server(fact));
    bench.receive(link, &registration(Server, 1, 5));
}

/// Returns the first frame with a code that was sent, as `read` sees it.
fn sent<T>(bench: &mut Bench, code: StatusCode, read: fn(&Frame<'_>) -> Option<T>) -> T {
    let frames = bench.out.take_extension();
    let (_, payload) = frames.iter().find(|frame| frame.0 == code).expect("a frame");
    let frame = Frame::parse(code, payload).expect("a known code").expect("a frame");
    read(&frame).expect("the frame of this code")
}

fn offered_known(bench: &mut Bench) -> Epoch {
    sent(bench, StatusCode::OFFER, |frame| match frame {
        Frame::Offer(hello) => Some(hello.known),
        _ => None,
    })
}

fn committed(bench: &mut Bench) -> (Epoch, Epoch) {
    sent(bench, StatusCode::COMMIT, |frame| match frame {
        Frame::Commit { epoch, known } => Some((*epoch, *known)),
        _ => None,
    })
}

/// Lets server 5 be a plain one with 300 users, and end.
fn lose_plain_server(bench: &mut Bench, link: u32) {
    bench.receive(link, &registration(Server, 5, 0));
    for id in 1000..1300 {
        bench.receive(link, &registration(User, id, 5));
    }
    bench.close(link);
    assert_eq!(bench.relay.hosts().iter().count(), 301, "lost within the grace");
    bench.out.take_extension();
}

fn has_sent(bench: &mut Bench, code: StatusCode) -> bool {
    bench.out.take_extension().iter().any(|frame| frame.0 == code)
}

#[test]
fn offer_waits_until_all_hosts_that_were_lost_with_the_plain_server_have_left() {
    let mut bench = Bench::new();
    bench.relay.accepted(bench.now, link_id(2), &mut bench.out);
    lose_plain_server(&mut bench, 2);
    say_hello(&mut bench, 3, 5, 5, 5);
    assert!(!has_sent(&mut bench, StatusCode::OFFER));
    bench.wait(2 * SPLIT_BATCH_INTERVAL);
    assert_eq!(bench.relay.hosts().iter().count(), 0);
    assert!(has_sent(&mut bench, StatusCode::OFFER));
}

#[test]
fn commit_waits_until_all_hosts_that_were_lost_with_the_plain_parent_have_left() {
    let mut bench = dialled();
    lose_plain_server(&mut bench, UPLINK);
    redial(&mut bench);
    offer(&mut bench, UPLINK + 1, 5, 5);
    assert!(!has_sent(&mut bench, StatusCode::COMMIT));
    bench.wait(2 * SPLIT_BATCH_INTERVAL);
    assert_eq!(bench.relay.hosts().iter().count(), 1, "the parent");
    assert!(has_sent(&mut bench, StatusCode::COMMIT));
}

#[test]
fn offer_names_the_epoch_of_another_instance() {
    for (nonce, known) in [(5, Epoch::default()), (99, EPOCH)] {
        let mut bench = Bench::new();
        bench.join_extended(2, 5);
        bench.close(2);
        bench.out.take_extension();
        say_hello(&mut bench, 3, 5, 5, nonce);
        assert_eq!(offered_known(&mut bench), known, "instance {nonce}");
    }
}

#[test]
fn commit_names_the_epoch_of_another_instance() {
    for (nonce, known) in [(5, Epoch::default()), (99, EPOCH)] {
        let mut bench = dialled();
        offer(&mut bench, UPLINK, 5, 5);
        bench.close(UPLINK);
        bench.out.take_extension();
        redial(&mut bench);
        offer(&mut bench, UPLINK + 1, 5, nonce);
        assert_eq!(committed(&mut bench).1, known, "instance {nonce}");
    }
}

#[test]
fn commit_has_a_higher_epoch_than_hello() {
    let mut bench = dialled();
    let before = bench.relay.topology.routes().own().epoch;
    offer(&mut bench, UPLINK, 5, 5);
    let (epoch, _) = committed(&mut bench);
    assert_eq!(epoch, Epoch { attach: before.attach + 1, ..before });
}

#[test]
fn epoch_of_another_instance_with_the_own_id_is_exceeded() {
    let mut bench = Bench::new();
    bench.join_extended(2, 5);
    learn_own_id(&mut bench, 2, Epoch { boot: 3, attach: 2 }, 99);
    assert_eq!(bench.relay.topology.routes().own().epoch, Epoch { boot: 4, attach: 0 });
}

#[test]
fn offer_may_come_in_a_later_read_than_the_registration() {
    let mut bench = dialled();
    bench.receive(UPLINK, &registration(Server, 5, 5));
    bench.receive_extension(UPLINK, 5, &Frame::Offer(hello(5)));
    assert_eq!(bench.out.take()[0], format!("{UPLINK}: COMMIT from 1"));
}

#[test]
fn link_of_a_lost_server_whose_hello_is_cut_off_is_closed() {
    let mut bench = Bench::new();
    bench.join_extended(2, 5);
    bench.close(2);
    bench.out.take();
    bench.join(3, Server, 5);
    bench.wait(HELLO_TIMEOUT);
    assert_eq!(bench.out.take(), [format!("3: close: {}", CloseReason::LateHello)]);
}

#[test]
fn hello_of_another_host_than_the_registered_one_is_not_answered() {
    for (source, is_answered) in [(5, true), (6, false)] {
        let mut bench = Bench::new();
        say_hello(&mut bench, 2, 5, source, 5);
        assert_eq!(bench.out.take().contains(&"2: OFFER from 1".to_owned()), is_answered);
    }
}

#[test]
fn refusal_shows_the_path_of_the_loop() {
    let mut bench = dialled();
    bench.join_extended(2, 5);
    bench.learn_server(2, 5, 6, 5);
    let registration = registration(Server, 6, 6);
    bench.relay.receive(bench.now, link_id(UPLINK), &registration, &mut bench.out);
    bench.receive_last_extension(UPLINK, 6, &Frame::Offer(hello(6)));
    let text = sent(&mut bench, StatusCode::REFUSE, |frame| match frame {
        Frame::Refuse { text, .. } => Some(String::from_utf8_lossy(text).into_owned()),
        _ => None,
    });
    assert_eq!(text, "server 6 is connected to this one already: 1 → 5 → 6");
}

#[test]
fn ping_is_answered_with_its_token() {
    let mut bench = Bench::new();
    bench.join_extended(2, 5);
    bench.out.take_extension();
    let ping = crate::relay::extension::Ping { token: 9, handled_bytes: 0, digest: None };
    bench.receive_extension(2, 5, &Frame::Ping(ping));
    let token = sent(&mut bench, StatusCode::PONG, |frame| match frame {
        Frame::Pong(pong) => Some(pong.token),
        _ => None,
    });
    assert_eq!(token, 9);
}

#[test]
fn hosts_precede_their_messages_until_the_first_pong() {
    for is_answered in [false, true] {
        let mut bench = Bench::new();
        bench.join(1, User, 101);
        bench.join_extended(2, 5);
        bench.learn_user((2, 5), (5, 7), 501);
        if is_answered {
            let pong = crate::relay::extension::Ping { token: 0, handled_bytes: 0, digest: None };
            bench.receive_extension(2, 5, &Frame::Pong(pong));
        }
        bench.out.take();
        bench.chat(1, 101, 501);
        let sent = bench.out.take();
        assert_eq!(sent.last(), Some(&"2: chat of 2 bytes from 101 to 501".to_owned()));
        let is_introduced = sent.iter().any(|line| line.contains("registration of user 101"));
        assert_eq!(is_introduced, !is_answered, "{sent:?}");
    }
}

#[test]
fn move_that_a_child_sends_is_ignored() {
    let mut bench = Bench::new();
    bench.join_extended(2, 5);
    bench.learn_server(2, 5, 6, 5);
    bench.out.take();
    let replacement = Frame::Move { replacement: HostId(6), address: "192.0.2.6:3600" };
    bench.receive_extension(2, 5, &replacement);
    assert_eq!(bench.out.take(), [] as [&str; 0]);
}

#[test]
fn chat_that_waits_is_not_sent_once_its_sender_has_left() {
    for has_left in [false, true] {
        let mut bench = Bench::new();
        bench.join(1, User, 101);
        bench.join_extended(2, 5);
        bench.learn_user((2, 5), (5, 7), 501);
        bench.close(2);
        bench.chat(1, 101, 501);
        if has_left {
            bench.receive(1, &Message::ClientQuit { source: HostId(101), text: b"bye" });
            bench.close(1);
            bench.join(3, User, 101);
        }
        bench.out.take();
        bench.join_extended(4, 5);
        let chat = "4: chat of 2 bytes from 101 to 501".to_owned();
        assert_eq!(bench.out.take().contains(&chat), !has_left);
    }
}

/// A parent that has noticed the loss of a link earlier has forgotten it, and with it how much of
/// it was handled.
#[test]
fn chats_that_may_have_arrived_are_sent_again_only_if_offer_names_the_link() {
    const TOKEN: u64 = 77;
    for is_named in [false, true] {
        let mut bench = dialled();
        offer_with(&mut bench, UPLINK, 5, Hello { token: TOKEN, ..hello(5) });
        bench.join(1, User, 101);
        bench.learn_user((UPLINK, 5), (5, 7), 501);
        bench.out.unacknowledged.insert(link_id(UPLINK), vec![(101, 501, 80, true)]);
        bench.close(UPLINK);
        redial(&mut bench);
        let replay_token = if is_named { TOKEN } else { 0 };
        offer_with(&mut bench, UPLINK + 1, 5, Hello { replay_token, ..hello(5) });
        let chat = format!("{}: chat of 2 bytes from 101 to 501", UPLINK + 1);
        assert_eq!(bench.out.take().contains(&chat), is_named);
    }
}

#[test]
fn server_takes_a_second_id_only_after_a_while() {
    let mut bench = Bench::with_any_id(1);
    bench.relay.advance(bench.now, &mut bench.out);
    bench.relay.dialled(link_id(UPLINK), &mut bench.out);
    bench.out.take();
    let (source, destination, code) = (HostId(5), HostId::NONE, StatusCode::ID_TAKEN);
    let refusal = Message::Status { source, destination, code, text: b"taken" };
    bench.receive(UPLINK, &refusal);
    let id = bench.relay.topology.own_id();
    let registered = format!("{UPLINK}: registration of server {id}  by 0");
    assert_eq!(bench.out.take()[0], registered, "another id is taken at once");
    bench.receive(UPLINK, &refusal);
    let closed = format!("{UPLINK}: close: {}", CloseReason::IdRefused(id));
    assert_eq!(bench.out.take(), [closed]);
    assert_eq!(bench.relay.topology.own_id(), id);
}
