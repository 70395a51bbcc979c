//! Connect, Alive and Quit.

use super::*;

#[test]
fn connected_client_receives_interval_and_list_in_its_own_form() {
    for form in FORMS {
        let mut rig = rig();
        rig.crc_user(102, "samwise-gamgee");
        let bob = rig.unregistered_client(form, "bob");
        rig.send_message(bob, "-SERVER-", "Connect bob");
        rig.run_for(CLASSIC_FORM_DETECTION_TIMEOUT);
        let bytes = rig.received[&bob.link].clone();
        let expected = ["Interval 10", "List 1/1 bob samwi~2u"]
            .map(|text| encode_message(form, "bob", "-SERVER-", text));
        assert_eq!(bytes, expected.concat());
    }
}

#[test]
fn short_form_is_detected_after_the_form_wait_or_at_the_next_message() {
    let mut rig = rig();
    let bob = rig.unregistered_client(Form::Short, "bob");
    rig.send_message(bob, "-SERVER-", "Connect bob");
    assert!(rig.node.relay().adjacent_host(bob.link).is_some(), "the client is online at once");
    rig.run_for(CLASSIC_FORM_DETECTION_TIMEOUT - Duration::from_nanos(1));
    assert_eq!(rig.take_messages(bob), [""; 0]);
    rig.run_for(Duration::from_nanos(1));
    assert_eq!(rig.take_messages(bob), ["-SERVER-: Interval 10", "-SERVER-: List 1/1 bob"]);
    let sam = rig.unregistered_client(Form::Short, "sam");
    rig.send_message(sam, "-SERVER-", "Connect sam");
    assert_eq!(rig.take_messages(sam), [""; 0]);
    rig.send_message(sam, "-SERVER-", "Alive sam");
    assert_eq!(rig.take_messages(sam), ["-SERVER-: Interval 10", "-SERVER-: List 1/1 bob sam"]);
}

#[test]
fn messages_to_a_client_wait_until_its_form_is_known() {
    for form in FORMS {
        let mut rig = rig();
        let sam = rig.connected_client(Form::Full, "sam");
        let bob = rig.unregistered_client(form, "bob");
        let connect = encode_message(form, "-SERVER-", "bob", "Connect bob");
        let (prefix, rest) = connect.split_at("-SERVER-bob     Connect bob\0".len());
        rig.send(bob.link, prefix);
        rig.send_message(sam, "bob", "Hi");
        assert_eq!(rig.take_messages(bob), [""; 0]);
        rig.send(bob.link, rest);
        rig.run_for(CLASSIC_FORM_DETECTION_TIMEOUT);
        let interval = "-SERVER-: Interval 10";
        assert_eq!(rig.take_messages(bob), [interval, "sam: Hi", "-SERVER-: List 1/1 bob sam"]);
    }
}

#[test]
fn interval_is_sent_in_seconds() {
    for (interval, expected) in [(10_000, "10"), (500, "0.5"), (1_250, "1.25"), (3_600_000, "3600")]
    {
        let classic_interval = Duration::from_millis(interval);
        let mut rig =
            Rig::new(Limits { classic_alive_interval: classic_interval, ..Limits::default() });
        let bob = rig.unregistered_client(Form::Full, "bob");
        rig.send_message(bob, "-SERVER-", "Connect bob");
        assert_eq!(rig.take_messages(bob)[0], format!("-SERVER-: Interval {expected}"));
    }
}

/// Checks that a `Connect` is refused with this text, in both forms.
#[track_caller]
fn check_refused(rig: &mut Rig, name: &'static str, source: &'static str, text: &str) {
    for form in FORMS {
        let stranger = rig.unregistered_client(form, source);
        rig.send_message(stranger, "-SERVER-", &format!("Connect {name}"));
        rig.run_for(CLASSIC_FORM_DETECTION_TIMEOUT);
        assert_eq!(rig.take_messages(stranger), [format!("-SERVER-: Error {text}")]);
        assert_eq!(rig.close_reason(stranger), Some(text));
    }
}

#[test]
fn taken_or_invalid_name_is_refused_and_the_connection_closed() {
    let mut rig = rig();
    rig.crc_user(102, "sam");
    rig.crc_user(103, "samwise-gamgee");
    let bob = rig.connected_client(Form::Short, "bob");
    for name in ["bob", "sam", "ALL", "-SERVER-"] {
        check_refused(&mut rig, name, name, &format!("{name} is already online"));
    }
    assert_eq!(rig.take_messages(bob), [""; 0]);
    let why = "is no name: 1 to 8 bytes, no spaces, no control bytes, no ~";
    for name in ["samwi~2v", "123456789", "a b", "a\tb", "much-longer-than-eight-bytes"] {
        let shown = name.replace('\t', "\\t");
        check_refused(&mut rig, name, "x", &format!("{shown} {why}"));
    }
    check_refused(&mut rig, "", "", &format!(" {why}"));
    check_refused(&mut rig, "", "~", &format!("~ {why}"));
    for taken in ["bob", "sam", "ALL", "-SERVER-"] {
        check_refused(&mut rig, "", taken, &format!("{taken} is already online"));
    }
    rig.send_message(bob, "-SERVER-", "Quit bob");
    assert_eq!(rig.close_reason(bob), Some("quit"));
    rig.connected_client(Form::Full, "bob");
}

#[test]
fn commands_without_a_name_take_it_from_the_source_field() {
    for (form, connect) in FORMS.into_iter().zip(["Connect", "Connect "]) {
        let mut rig = rig();
        let bob = rig.unregistered_client(form, "bob");
        rig.send_message(bob, "-SERVER-", connect);
        rig.run_for(CLASSIC_FORM_DETECTION_TIMEOUT);
        assert_eq!(rig.take_messages(bob), ["-SERVER-: Interval 10", "-SERVER-: List 1/1 bob"]);
        for alive in ["Alive", "Alive "] {
            rig.run_for(2 * INTERVAL);
            rig.send_message(bob, "-SERVER-", alive);
        }
        rig.run_for(2 * INTERVAL);
        assert_eq!((rig.close_reason(bob), rig.false_sources()), (None, 0));
        rig.send_message(bob, "-SERVER-", "Quit");
        assert_eq!(rig.close_reason(bob), Some("quit"));
    }
}

#[test]
fn quit_without_a_name_from_another_source_is_dropped() {
    let mut rig = rig();
    let bob = rig.connected_client(Form::Full, "bob");
    for command in ["Quit", "Alive"] {
        rig.send_message(Client { name: "sam", ..bob }, "-SERVER-", command);
    }
    let unregistered = rig.unregistered_client(Form::Full, "merry");
    rig.send_message(unregistered, "-SERVER-", "Quit");
    assert_eq!((rig.close_reason(bob), rig.close_reason(unregistered)), (None, None));
    assert_eq!(rig.false_sources(), 3);
}

#[test]
fn second_connect_is_refused_and_the_connection_closed() {
    for name in ["bob", "sam"] {
        let mut rig = rig();
        let bob = rig.connected_client(Form::Full, "bob");
        rig.send_message(bob, "-SERVER-", &format!("Connect {name}"));
        assert_eq!(rig.take_messages(bob), [format!("-SERVER-: Error {name} is already online")]);
        assert!(rig.close_reason(bob).is_some());
        assert_eq!(rig.node.relay().hosts().iter().count(), 0);
    }
}

#[test]
fn connect_is_refused_when_the_host_table_is_full() {
    for form in FORMS {
        let mut rig = Rig::new(Limits { host_table_bytes_max: 10, ..Limits::default() });
        let bob = rig.unregistered_client(Form::Full, "bob");
        let connect = encode_message(form, "-SERVER-", "bob", "Connect bob");
        rig.send(bob.link, &connect);
        let addressee = Client { form, ..bob };
        assert_eq!(rig.take_messages(addressee), ["-SERVER-: Error bob cannot be registered now"]);
        assert!(rig.close_reason(bob).is_some());
    }
}

#[test]
fn messages_before_connect_are_dropped_as_false_sources() {
    let mut rig = rig();
    let sam = rig.connected_client(Form::Full, "sam");
    let bob = rig.unregistered_client(Form::Short, "bob");
    let early_messages =
        [("sam", "Hi"), ("-SERVER-", "List"), ("-SERVER-", "Alive bob"), ("ALL", "Hi")];
    for (to, text) in early_messages {
        rig.send_message(bob, to, text);
    }
    rig.send_message(bob, "sam", "Connect bob");
    rig.send_message(bob, "-SERVER-", "Quit bob");
    assert_eq!(rig.take_messages(sam), [""; 0]);
    assert_eq!(rig.take_messages(bob), [""; 0]);
    assert_eq!((rig.false_sources(), rig.close_reason(bob)), (6, None));
    rig.send_message(bob, "-SERVER-", "Connect bob");
    rig.send_message(bob, "sam", "Hi");
    assert_eq!(rig.take_messages(sam), ["-SERVER-: List 1/1 bob sam", "bob: Hi"]);
    let stranger = rig.unregistered_client(Form::Full, "x");
    for _ in 0..FALSE_SOURCES_MAX {
        assert_eq!(rig.close_reason(stranger), None);
        rig.send_message(stranger, "sam", "Hi");
    }
    assert!(rig.close_reason(stranger).is_some());
    let silent = rig.unregistered_client(Form::Full, "x");
    rig.send(silent.link, &[0; 600]);
    rig.run_for(REGISTER_DEADLINE);
    assert!(rig.close_reason(silent).is_some());
}

#[test]
fn client_messages_with_another_source_are_dropped() {
    let mut rig = rig();
    let sam = rig.connected_client(Form::Full, "sam");
    let bob = rig.connected_client(Form::Full, "bob");
    rig.take_messages(sam);
    rig.send_message(Client { name: "sam", ..bob }, "sam", "I am you");
    rig.send_message(Client { name: "sam", ..bob }, "-SERVER-", "Quit sam");
    rig.send_message(bob, "-SERVER-", "Quit sam");
    rig.send_message(bob, "-SERVER-", "Alive sam");
    assert_eq!(rig.false_sources(), 4);
    assert_eq!((rig.take_messages(sam), rig.take_messages(bob)), (vec![], vec![]));
    rig.send_message(bob, "sam", "I am bob");
    assert_eq!(rig.take_messages(sam), ["bob: I am bob"]);
    for _ in 4..FALSE_SOURCES_MAX {
        assert_eq!(rig.close_reason(bob), None);
        rig.send_message(Client { name: "sam", ..bob }, "ALL", "I am you");
    }
    assert!(rig.close_reason(bob).is_some() && rig.close_reason(sam).is_none());
}

#[test]
fn client_without_alive_is_closed_after_three_intervals() {
    let nanosecond = Duration::from_nanos(1);
    let mut rig = rig();
    let frodo = rig.crc_user(101, "frodo");
    let bob = rig.unregistered_client(Form::Full, "bob");
    rig.send_message(bob, "-SERVER-", "Connect bob");
    let id = rig.id_of(bob);
    for _ in 0..4 {
        rig.run_for(3 * INTERVAL - nanosecond);
        assert_eq!(rig.close_reason(bob), None);
        rig.send_message(bob, "-SERVER-", "Alive bob");
    }
    rig.take_messages(bob);
    rig.take_frames(frodo);
    rig.run_for(3 * INTERVAL - nanosecond);
    rig.send_message(bob, "frodo", "Hi"); // only Alive counts
    rig.send_message(bob, "-SERVER-", "List");
    assert_eq!((rig.take_messages(bob).len(), rig.close_reason(bob)), (1, None));
    rig.run_for(nanosecond);
    let why = "no Alive for three intervals";
    assert_eq!(rig.close_reason(bob), Some(why));
    assert_eq!(rig.take_frames(frodo), [chat(id, 101, "Hi"), quit(id, why)]);
}

#[test]
fn quit_closes_the_client_and_is_announced_to_others() {
    let mut rig = rig();
    let frodo = rig.crc_user(101, "frodo");
    let sam = rig.connected_client(Form::Short, "sam");
    let bob = rig.connected_client(Form::Short, "bob");
    rig.run_for(SECOND);
    let id = rig.id_of(bob);
    rig.take_messages(sam);
    rig.take_frames(frodo);
    rig.send_message(bob, "-SERVER-", "Quit bob");
    assert_eq!(rig.close_reason(bob), Some("quit"));
    assert_eq!(rig.take_messages(bob), [""; 0]);
    assert_eq!(rig.take_messages(sam), ["-SERVER-: List 1/1 frodo sam"]);
    assert_eq!(rig.take_frames(frodo), [quit(id, "")]);
}

#[test]
fn malformed_message_closes_only_its_own_connection() {
    let mut rig = rig();
    let sam = rig.connected_client(Form::Full, "sam");
    for noise in [&[b'x'; 300][..], b"-SERVER-bob\0"] {
        let bob = rig.connected_client(Form::Full, "bob");
        rig.send(bob.link, noise);
        assert!(rig.close_reason(bob).is_some_and(|why| why.starts_with("not the protocol")));
    }
    rig.take_messages(sam);
    rig.send_message(sam, "sam", "still here");
    assert_eq!(rig.take_messages(sam), ["sam: still here"]);
}
