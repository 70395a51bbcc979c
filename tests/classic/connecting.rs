//! Who comes in, and how they stay and leave.

use super::*;

#[test]
fn a_client_is_told_the_interval_and_the_list_in_its_own_form() {
    for form in FORMS {
        let mut rig = rig();
        rig.user(102, "samwise-gamgee");
        let bob = rig.stranger(form, "bob");
        rig.says(bob, "-SERVER-", "Connect bob");
        rig.pass(CLASSIC_FORM_WAIT);
        let bytes = rig.received[&bob.link].clone();
        let expected = ["Interval 10", "List 1/1 bob samwi~2u"]
            .map(|text| message(form, "bob", "-SERVER-", text));
        assert_eq!(bytes, expected.concat());
    }
}

#[test]
fn the_short_form_is_known_when_nothing_follows_or_something_else_does() {
    let mut rig = rig();
    let bob = rig.stranger(Form::Short, "bob");
    rig.says(bob, "-SERVER-", "Connect bob");
    assert!(rig.node.relay().adjacent(bob.link).is_some(), "who connects is online at once");
    rig.pass(CLASSIC_FORM_WAIT - Duration::from_nanos(1));
    assert_eq!(rig.heard(bob), [""; 0]);
    rig.pass(Duration::from_nanos(1));
    assert_eq!(rig.heard(bob), ["-SERVER-: Interval 10", "-SERVER-: List 1/1 bob"]);
    let sam = rig.stranger(Form::Short, "sam");
    rig.says(sam, "-SERVER-", "Connect sam");
    assert_eq!(rig.heard(sam), [""; 0]);
    rig.says(sam, "-SERVER-", "Alive sam");
    assert_eq!(rig.heard(sam), ["-SERVER-: Interval 10", "-SERVER-: List 1/1 bob sam"]);
}

#[test]
fn what_is_said_to_a_client_whose_form_is_not_clear_waits_for_it() {
    for form in FORMS {
        let mut rig = rig();
        let sam = rig.client(Form::Full, "sam");
        let bob = rig.stranger(form, "bob");
        let connect = message(form, "-SERVER-", "bob", "Connect bob");
        let (begin, rest) = connect.split_at("-SERVER-bob     Connect bob\0".len());
        rig.send(bob.link, begin);
        rig.says(sam, "bob", "Hi");
        assert_eq!(rig.heard(bob), [""; 0]);
        rig.send(bob.link, rest);
        rig.pass(CLASSIC_FORM_WAIT);
        let interval = "-SERVER-: Interval 10";
        assert_eq!(rig.heard(bob), [interval, "sam: Hi", "-SERVER-: List 1/1 bob sam"]);
    }
}

#[test]
fn the_interval_is_told_in_seconds() {
    for (interval, told) in [(10_000, "10"), (500, "0.5"), (1_250, "1.25"), (3_600_000, "3600")] {
        let classic_interval = Duration::from_millis(interval);
        let mut rig = Rig::new(Limits { classic_interval, ..Limits::default() });
        let bob = rig.stranger(Form::Full, "bob");
        rig.says(bob, "-SERVER-", "Connect bob");
        assert_eq!(rig.heard(bob)[0], format!("-SERVER-: Interval {told}"));
    }
}

/// Somebody asks for a name and is refused in these words.
#[track_caller]
fn check_refused(rig: &mut Rig, name: &'static str, told_as: &'static str, text: &str) {
    for form in FORMS {
        let stranger = rig.stranger(form, told_as);
        rig.says(stranger, "-SERVER-", &format!("Connect {name}"));
        rig.pass(CLASSIC_FORM_WAIT);
        assert_eq!(rig.heard(stranger), [format!("-SERVER-: Error {text}")]);
        assert_eq!(rig.end_of(stranger), Some(text));
    }
}

#[test]
fn a_name_that_is_taken_is_refused_and_the_connection_closed() {
    let mut rig = rig();
    rig.user(102, "sam");
    rig.user(103, "samwise-gamgee");
    let bob = rig.client(Form::Short, "bob");
    for name in ["bob", "sam", "ALL", "-SERVER-"] {
        check_refused(&mut rig, name, name, &format!("{name} is already online"));
    }
    assert_eq!(rig.heard(bob), [""; 0]);
    let why = "is no name: 1 to 8 bytes, no spaces, no control bytes, no ~";
    for name in ["", "samwi~2v", "123456789", "a b", "a\tb", "much-longer-than-eight-bytes"] {
        let shown = name.replace('\t', "\\t");
        check_refused(&mut rig, name, "x", &format!("{shown} {why}"));
    }
    rig.says(bob, "-SERVER-", "Quit bob");
    assert_eq!(rig.end_of(bob), Some("quit"));
    rig.client(Form::Full, "bob");
}

#[test]
fn who_asks_twice_is_refused_and_closed() {
    for name in ["bob", "sam"] {
        let mut rig = rig();
        let bob = rig.client(Form::Full, "bob");
        rig.says(bob, "-SERVER-", &format!("Connect {name}"));
        assert_eq!(rig.heard(bob), [format!("-SERVER-: Error {name} is already online")]);
        assert!(rig.end_of(bob).is_some());
        assert_eq!(rig.node.relay().hosts().iter().count(), 0);
    }
}

#[test]
fn a_server_that_takes_nobody_says_so() {
    for form in FORMS {
        let mut rig = Rig::new(Limits { table_bytes_max: 10, ..Limits::default() });
        let bob = rig.stranger(Form::Full, "bob");
        let connect = message(form, "-SERVER-", "bob", "Connect bob");
        rig.send(bob.link, &connect);
        let told = Client { form, ..bob };
        assert_eq!(rig.heard(told), ["-SERVER-: Error bob cannot be registered now"]);
        assert!(rig.end_of(bob).is_some());
    }
}

#[test]
fn before_its_connect_a_client_says_nothing_that_counts() {
    let mut rig = rig();
    let sam = rig.client(Form::Full, "sam");
    let bob = rig.stranger(Form::Short, "bob");
    let said = [("sam", "Hi"), ("-SERVER-", "List"), ("-SERVER-", "Alive bob"), ("ALL", "Hi")];
    for (to, text) in said {
        rig.says(bob, to, text);
    }
    rig.says(bob, "sam", "Connect bob");
    rig.says(bob, "-SERVER-", "Quit bob");
    assert_eq!(rig.heard(sam), [""; 0]);
    assert_eq!(rig.heard(bob), [""; 0]);
    assert_eq!((rig.false_sources(), rig.end_of(bob)), (6, None));
    rig.says(bob, "-SERVER-", "Connect bob");
    rig.says(bob, "sam", "Hi");
    assert_eq!(rig.heard(sam), ["-SERVER-: List 1/1 bob sam", "bob: Hi"]);
    let stranger = rig.stranger(Form::Full, "x");
    for _ in 0..FALSE_SOURCES_MAX {
        assert_eq!(rig.end_of(stranger), None);
        rig.says(stranger, "sam", "Hi");
    }
    assert!(rig.end_of(stranger).is_some());
    let silent = rig.stranger(Form::Full, "x");
    rig.send(silent.link, &[0; 600]);
    rig.pass(REGISTER_DEADLINE);
    assert!(rig.end_of(silent).is_some());
}

#[test]
fn a_client_speaks_for_itself_alone() {
    let mut rig = rig();
    let sam = rig.client(Form::Full, "sam");
    let bob = rig.client(Form::Full, "bob");
    rig.heard(sam);
    rig.says(Client { name: "sam", ..bob }, "sam", "I am you");
    rig.says(Client { name: "sam", ..bob }, "-SERVER-", "Quit sam");
    rig.says(bob, "-SERVER-", "Quit sam");
    rig.says(bob, "-SERVER-", "Quit");
    rig.says(bob, "-SERVER-", "Alive sam");
    assert_eq!(rig.false_sources(), 5);
    assert_eq!((rig.heard(sam), rig.heard(bob)), (vec![], vec![]));
    rig.says(bob, "sam", "I am bob");
    assert_eq!(rig.heard(sam), ["bob: I am bob"]);
    for _ in 5..FALSE_SOURCES_MAX {
        assert_eq!(rig.end_of(bob), None);
        rig.says(Client { name: "sam", ..bob }, "ALL", "I am you");
    }
    assert!(rig.end_of(bob).is_some() && rig.end_of(sam).is_none());
}

#[test]
fn who_does_not_say_that_it_is_alive_is_gone_after_three_intervals() {
    let nanosecond = Duration::from_nanos(1);
    let mut rig = rig();
    let frodo = rig.user(101, "frodo");
    let bob = rig.stranger(Form::Full, "bob");
    rig.says(bob, "-SERVER-", "Connect bob");
    let id = rig.id_of(bob);
    for _ in 0..4 {
        rig.pass(3 * INTERVAL - nanosecond);
        assert_eq!(rig.end_of(bob), None);
        rig.says(bob, "-SERVER-", "Alive bob");
    }
    rig.heard(bob);
    rig.frames(frodo);
    rig.pass(3 * INTERVAL - nanosecond);
    rig.says(bob, "frodo", "Hi"); // other words are no sign of life
    rig.says(bob, "-SERVER-", "List");
    assert_eq!((rig.heard(bob).len(), rig.end_of(bob)), (1, None));
    rig.pass(nanosecond);
    let why = "no Alive for three intervals";
    assert_eq!(rig.end_of(bob), Some(why));
    assert_eq!(rig.frames(frodo), [chat(id, 101, "Hi"), quit(id, why)]);
}

#[test]
fn who_quits_is_closed_and_others_hear_of_it() {
    let mut rig = rig();
    let frodo = rig.user(101, "frodo");
    let sam = rig.client(Form::Short, "sam");
    let bob = rig.client(Form::Short, "bob");
    rig.pass(SECOND);
    let id = rig.id_of(bob);
    rig.heard(sam);
    rig.frames(frodo);
    rig.says(bob, "-SERVER-", "Quit bob");
    assert_eq!(rig.end_of(bob), Some("quit"));
    assert_eq!(rig.heard(bob), [""; 0]);
    assert_eq!(rig.heard(sam), ["-SERVER-: List 1/1 frodo sam"]);
    assert_eq!(rig.frames(frodo), [quit(id, "")]);
}

#[test]
fn what_is_no_message_closes_its_own_connection() {
    let mut rig = rig();
    let sam = rig.client(Form::Full, "sam");
    for noise in [&[b'x'; 300][..], b"-SERVER-bob\0"] {
        let bob = rig.client(Form::Full, "bob");
        rig.send(bob.link, noise);
        assert!(rig.end_of(bob).is_some_and(|why| why.starts_with("not the protocol")));
    }
    rig.heard(sam);
    rig.says(sam, "sam", "still here");
    assert_eq!(rig.heard(sam), ["sam: still here"]);
}
