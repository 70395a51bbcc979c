//! Tests of who may join as a server.

use super::*;
use crate::limits::FALSE_SOURCES_MAX;
use crate::relay::extension::{Frame, Hello};
use crate::relay::message::HostKind::{Server, User};
use crate::relay::message::{Message, StatusCode};
use crate::relay::recorder::{Bench, hello, link_id, registration};

const REFUSAL: &str = "Server 1 accepts no servers from 192.0.2.7: start server 1 with \
                       --allow-servers 192.0.2.7/32, or both servers with the same \
                       --link-key-file, or the other with --join and an invitation of server 1 \
                       (`crc ctl invite`)";

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
    bench.relay.set_admission(Admission { allowed, link_key: None });
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
        admitting.report(Some(Ipv4Addr::from_bits(address).into()))
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

/// An acceptor, server 1, that has this link key, or none.
fn acceptor(address: &str, link_key: Option<&[u8]>) -> Bench {
    let mut bench = Bench::new();
    bench.out.addresses.insert(link_id(2), address.parse().expect("an address"));
    bench.relay.set_admission(admission(link_key));
    bench.relay.accepted(bench.now, link_id(2), &mut bench.out);
    bench
}

fn admission(link_key: Option<&[u8]>) -> Admission {
    Admission { link_key: link_key.map(LinkKey::new), ..Admission::default() }
}

const STRANGER: &str = "192.0.2.7:40000";

/// HELLO of server 2 with a key.
fn keyed_hello() -> Hello {
    Hello { capabilities: PROVES_KEYS, ..hello(2) }
}

/// Registers server 2 with this HELLO, and returns the number in CHALLENGE.
fn challenge(bench: &mut Bench, hello: Hello) -> [u8; 32] {
    bench.relay.receive(bench.now, link_id(2), &registration(Server, 2, 0), &mut bench.out);
    bench.receive_extension(2, 2, &Frame::Hello(hello));
    assert_eq!(bench.out.take(), ["2: CHALLENGE from 1"]);
    sent_field(bench)
}

/// Returns the last 32 bytes of the last frame of the extension that was sent.
fn sent_field(bench: &mut Bench) -> [u8; 32] {
    let (_, payload) = bench.out.take_extension().pop().expect("a frame");
    *payload.last_chunk().expect("32 bytes")
}

fn transcript(challenge: [u8; 32], invitation: u64, holder: u8) -> Transcript {
    let (dialler, acceptor) = (HostId(2), HostId(1));
    let holder = [holder; 32];
    Transcript { dialler, acceptor, challenge, nonce: [3; 32], invitation, holder }
}

fn send_proof(bench: &mut Bench, transcript: &Transcript, key: &LinkKey) {
    let mac = transcript.sign(key, Prover::Dialler);
    let Transcript { nonce, invitation, holder, .. } = *transcript;
    bench.receive_extension(2, 2, &Frame::Proof(Proof { invitation, nonce, holder, mac }));
}

const ACCEPTED: [&str; 3] =
    ["2: PROVEN from 1", "2: registration of server 1  by 1", "2: OFFER from 1"];

#[test]
fn stranger_that_proves_the_link_key_is_offered_the_link() {
    let mut bench = acceptor(STRANGER, Some(b"the key"));
    let transcript = transcript(challenge(&mut bench, keyed_hello()), 0, 0);
    send_proof(&mut bench, &transcript, &LinkKey::new(b"the key"));
    assert_eq!(bench.out.take(), ACCEPTED);
    let proven = bench.out.take_extension().swap_remove(0).1;
    let mac = proven.try_into().expect("32 bytes");
    assert!(transcript.verify(&LinkKey::new(b"the key"), Prover::Acceptor, &mac));
    let commit = Frame::Commit { epoch: hello(2).epoch, known: Default::default() };
    bench.receive_extension(2, 2, &commit);
    let report = bench.relay.link_report(link_id(2), &bench.out).expect("a link");
    assert_eq!((report.is_extended, report.admitted_by), (true, Some(AdmittedBy::LinkKey)));
    bench.close(2);
}

#[test]
fn wrong_replayed_and_missing_proofs_are_refused() {
    let key = LinkKey::new(b"the key");
    let refusal = "2: The link key is not that of server 1: give both servers the same \
                   --link-key-file";
    for address in [STRANGER, "127.0.0.1:4"] {
        let mut bench = acceptor(address, Some(b"the key"));
        let sent = challenge(&mut bench, keyed_hello());
        send_proof(&mut bench, &transcript(sent, 0, 0), &LinkKey::new(b"another"));
        assert_eq!(bench.out.take(), [refusal], "{address}");
        let mut bench = acceptor(address, Some(b"the key"));
        challenge(&mut bench, keyed_hello());
        send_proof(&mut bench, &transcript([9; 32], 0, 0), &key); // of another link
        assert_eq!(bench.out.take(), [refusal], "{address}");
    }
    let mut bench = acceptor(STRANGER, Some(b"the key"));
    bench.receive(2, &registration(Server, 2, 0));
    assert_eq!(bench.out.take(), [format!("2: {REFUSAL}")], "a plain server proves nothing");
    let mut bench = acceptor(STRANGER, Some(b"the key"));
    bench.relay.receive(bench.now, link_id(2), &registration(Server, 2, 0), &mut bench.out);
    bench.receive_extension(2, 2, &Frame::Hello(hello(2)));
    assert_eq!(bench.out.take(), [format!("2: {REFUSAL}")], "it has no key");
    let mut bench = acceptor(STRANGER, None);
    let sent = challenge(&mut bench, keyed_hello());
    send_proof(&mut bench, &transcript(sent, 0, 0), &key);
    assert_eq!(bench.out.take(), [format!("2: {REFUSAL}")], "this server has no key");
}

#[test]
fn admitted_address_needs_no_proof_that_this_server_cannot_check() {
    let mut bench = acceptor("127.0.0.1:4", None);
    let sent = challenge(&mut bench, keyed_hello());
    send_proof(&mut bench, &transcript(sent, 0, 0), &LinkKey::new(b"the key"));
    assert_eq!(bench.out.take(), ACCEPTED[1..]);
}

#[test]
fn question_and_the_registration_after_it_need_one_proof() {
    let mut bench = acceptor(STRANGER, Some(b"the key"));
    let hello = Hello { is_moving: true, ..keyed_hello() };
    bench.receive_extension(2, 2, &Frame::Hello(hello));
    assert_eq!(bench.out.take(), ["2: CHALLENGE from 1"]);
    let sent = sent_field(&mut bench);
    send_proof(&mut bench, &transcript(sent, 0, 0), &LinkKey::new(b"the key"));
    assert_eq!(bench.out.take(), [ACCEPTED[0], ACCEPTED[2]]);
    bench.relay.receive(bench.now, link_id(2), &registration(Server, 2, 0), &mut bench.out);
    bench.receive_extension(2, 2, &Frame::Hello(hello));
    assert_eq!(bench.out.take(), ACCEPTED[1..]);
}

#[test]
fn proof_under_one_id_is_none_under_another() {
    let mut bench = acceptor(STRANGER, Some(b"the key"));
    bench.receive_extension(2, 2, &Frame::Hello(Hello { is_moving: true, ..keyed_hello() }));
    bench.out.take();
    let sent = sent_field(&mut bench);
    send_proof(&mut bench, &transcript(sent, 0, 0), &LinkKey::new(b"the key"));
    bench.out.take();
    bench.receive(2, &registration(Server, 3, 0));
    assert_eq!(bench.out.take(), [format!("2: {REFUSAL}")]);
}

#[test]
fn invitation_admits_one_server_even_from_an_admitted_address() {
    for address in [STRANGER, "127.0.0.1:4"] {
        let mut bench = acceptor(address, None);
        bench.relay.set_invitation_secret(LinkKey::new(b"secret"));
        let lifetime = Duration::from_secs(60);
        let (number, key) = bench.relay.invite(bench.now, lifetime).expect("room");
        let key = LinkKey::new(&key);
        let sent = challenge(&mut bench, keyed_hello());
        send_proof(&mut bench, &transcript(sent, number, 5), &key);
        assert_eq!(bench.out.take(), ACCEPTED);
        bench.close(2);
        bench.relay.accepted(bench.now, link_id(2), &mut bench.out);
        let sent = challenge(&mut bench, keyed_hello());
        send_proof(&mut bench, &transcript(sent, number, 6), &key);
        let used = "2: This invitation has been used by another server; ask for a new one \
                    (`crc ctl invite`)";
        assert_eq!(bench.out.take(), [used]);
    }
}

/// A dialler, server 1, with this link key, whose parent at `address` is connected over link 101.
fn dialler(address: &str, link_key: Option<&[u8]>) -> Bench {
    let mut bench = Bench::with(1, crate::limits::Limits::default());
    bench.out.addresses.insert(link_id(101), address.parse().expect("an address"));
    bench.relay.set_admission(admission(link_key));
    bench.relay.advance(bench.now, &mut bench.out);
    bench
}

/// Connects to the parent, server 2, which sends CHALLENGE, PROVEN with `parent_key`, and OFFER.
fn join(bench: &mut Bench, parent_key: Option<&LinkKey>) {
    bench.relay.dialled(link_id(101), &mut bench.out);
    bench.out.take_extension();
    if let Some(key) = parent_key {
        bench.receive_extension(101, 2, &Frame::Challenge { nonce: [4; 32] });
        let (_, payload) = bench.out.take_extension().pop().expect("PROOF");
        let Some(Ok(Frame::Proof(proof))) = Frame::parse(StatusCode::PROOF, &payload) else {
            panic!("not PROOF");
        };
        let Proof { invitation, nonce, holder, .. } = proof;
        let (dialler, acceptor, challenge) = (HostId(1), HostId(2), [4; 32]);
        let transcript = Transcript { dialler, acceptor, challenge, nonce, invitation, holder };
        // The own proof of the dialler is none of the acceptor.
        bench.receive_extension(
            101,
            2,
            &Frame::Proven { mac: transcript.sign(key, Prover::Acceptor) },
        );
    }
    bench.out.take();
    bench.relay.receive(bench.now, link_id(101), &registration(Server, 2, 2), &mut bench.out);
    bench.receive_last_extension(101, 2, &Frame::Offer(hello(2)));
}

#[test]
fn parent_must_prove_the_link_key_or_be_admitted_by_its_address() {
    let keys = [b"the key", b"another"].map(|secret| LinkKey::new(&secret[..]));
    let commits = |address, parent_key: Option<&LinkKey>| {
        let mut bench = dialler(address, Some(b"the key"));
        join(&mut bench, parent_key);
        let sent = bench.out.take();
        match sent.as_slice() {
            [commit, ..] if commit == "101: COMMIT from 1" => true,
            [close] if close == "101: close: not admitted as a server" => false,
            other => panic!("{other:?}"),
        }
    };
    assert!(commits("192.0.2.7:3600", Some(&keys[0])));
    assert!(!commits("192.0.2.7:3600", Some(&keys[1])));
    assert!(!commits("192.0.2.7:3600", None));
    assert!(commits("127.0.0.1:3600", None));
}

#[test]
fn parent_without_the_link_key_is_refused_even_if_it_is_plain() {
    let mut bench = dialler("192.0.2.7:3600", Some(b"the key"));
    bench.relay.dialled(link_id(101), &mut bench.out);
    bench.receive(101, &registration(Server, 2, 2));
    bench.out.take();
    let chat = Message::Chat { source: HostId(2), destination: HostId(1), text: b"hi" };
    bench.relay.receive(bench.now, link_id(101), &chat, &mut bench.out);
    assert_eq!(bench.out.take()[0], "101: close: not admitted as a server");
    let mut bench = dialler("192.0.2.7:3600", None);
    join(&mut bench, None);
    assert_eq!(bench.out.take()[0], "101: COMMIT from 1", "without a key, the dial is enough");
}

#[test]
fn inviter_must_prove_the_invitation() {
    let key = LinkKey::new(b"invited");
    for (parent_key, expected) in [
        (Some(LinkKey::new(b"invited")), "101: COMMIT from 1"),
        (Some(LinkKey::new(b"guessed")), "101: close: not admitted as a server"),
        (None, "101: close: not admitted as a server"),
    ] {
        let mut bench = dialler("127.0.0.1:3600", None);
        let join_by = Join { invitation: 7, key: key.clone(), holder: [5; 32] };
        bench.relay.set_join(0, join_by);
        join(&mut bench, parent_key.as_ref());
        assert_eq!(bench.out.take()[0], expected);
    }
}
