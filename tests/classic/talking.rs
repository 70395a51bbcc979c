//! What is said, to whom, and what the server says.

use super::*;

#[test]
fn clients_speak_to_each_other_and_to_themselves_each_in_its_form() {
    let mut rig = rig();
    let (sam, bob) = (rig.client(Form::Full, "sam"), rig.client(Form::Short, "bobbobob"));
    rig.heard(sam);
    rig.says(bob, "sam", "Hi, Sam!");
    rig.says(sam, "bobbobob", "");
    rig.says(sam, "bobbobob", &"x".repeat(239));
    rig.says(sam, "sam", "ein Selbstgespräch");
    assert_eq!(rig.heard(sam), ["bobbobob: Hi, Sam!", "sam: ein Selbstgespräch"]);
    assert_eq!(rig.heard(bob), ["sam: ".to_owned(), format!("sam: {}", "x".repeat(239))]);
}

#[test]
fn who_is_not_online_is_said_not_to_be() {
    let mut rig = rig();
    rig.user(102, "samwise-gamgee");
    let bob = rig.client(Form::Full, "bob");
    for (to, said) in [
        ("sam", "sam is not online"),
        ("all", "all is not online"),
        ("samwise-", "samwise- is not online"),
        ("theshire", "theshire is not online"),
        ("", " is not online"),
        ("a b", "a b is not online"),
    ] {
        rig.says(bob, to, "Hi");
        assert_eq!(rig.heard(bob), [format!("-SERVER-: {said}")]);
    }
}

#[test]
fn all_reaches_every_other_user() {
    let mut rig = rig();
    let frodo = rig.user(101, "frodo");
    let bree = rig.neighbour(2, 103, "merry");
    let (sam, bob) = (rig.client(Form::Full, "sam"), rig.client(Form::Short, "bob"));
    rig.pass(SECOND);
    for client in [sam, bob] {
        rig.heard(client);
    }
    for link in [frodo, bree] {
        rig.frames(link);
    }
    rig.says(bob, "ALL", "Hear me");
    let id = rig.id_of(bob);
    assert_eq!(rig.heard(sam), ["bob: Hear me"]);
    assert_eq!(rig.heard(bob), [""; 0]);
    assert_eq!(rig.frames(frodo), [chat(id, 101, "Hear me")]);
    assert_eq!(rig.frames(bree), [chat(id, 103, "Hear me")]);
}

#[test]
fn who_reads_well_is_not_closed_for_what_one_read_of_another_says() {
    let mut rig = rig();
    let sam = rig.client(Form::Full, "sam");
    let bob = rig.client(Form::Short, "bob");
    let frodo = rig.user(101, "frodo");
    let id = rig.id_of(sam);
    rig.pass(SECOND);
    rig.heard(sam);
    // 64 KiB and less, which are ten times as much in the full form.
    let count = 3_000;
    for (link, said) in [
        (bob.link, message(Form::Short, "sam", "bob", "")),
        (bob.link, message(Form::Short, "ALL", "bob", "")),
        (frodo, chat(101, id, "")),
    ] {
        rig.send(link, &said.repeat(count));
        rig.pass(Duration::ZERO);
        assert_eq!(rig.end_of(sam), None);
        assert_eq!(rig.heard(sam).len(), count);
    }
}

#[test]
fn a_user_with_a_long_name_is_reached_by_its_alias() {
    let mut rig = rig();
    let bob = rig.client(Form::Full, "bob");
    let sam = rig.user(102, "samwise-gamgee");
    rig.pass(SECOND);
    assert_eq!(rig.heard(bob), ["-SERVER-: List 1/1 bob samwi~2u"]);
    rig.says(bob, "samwi~2u", "Hi");
    let id = rig.id_of(bob);
    assert_eq!(rig.frames(sam), [chat(id, 102, "Hi")]);
    rig.send(sam, &chat(102, id, "Hi, Bob\0!"));
    assert_eq!(rig.heard(bob), ["samwi~2u: Hi, Bob !"]);
    let text: String = (0..1000).map(|i| char::from(b'a' + (i % 26) as u8)).collect();
    rig.send(sam, &chat(102, id, &text));
    let heard = rig.heard(bob);
    let pieces: Vec<&str> =
        heard.iter().map(|line| line.strip_prefix("samwi~2u: ").expect("from sam")).collect();
    assert_eq!(
        pieces.iter().map(|piece| piece.len()).collect::<Vec<_>>(),
        [239, 239, 239, 239, 44]
    );
    assert_eq!(pieces.concat(), text);
}

#[test]
fn the_server_says_what_it_does_not_know() {
    let mut rig = rig();
    let bob = rig.client(Form::Short, "bob");
    for (said, shown) in [
        ("Hello", "Hello"),
        ("list", "list"),
        ("", ""),
        ("two words", "two"),
        ("\u{1b}[2J", "\\u{1b}[2J"),
        (&"x".repeat(239), &(String::from_utf8(vec![b'x'; 32]).expect("ASCII") + "…")),
        (&"\u{1b}".repeat(239), &("\\u{1b}".repeat(32) + "…")),
    ] {
        rig.says(bob, "-SERVER-", said);
        assert_eq!(rig.heard(bob), [format!("-SERVER-: unknown command: {shown}").trim_end()]);
    }
}

#[test]
fn a_text_larger_than_frames_may_be_is_not_passed_on() {
    let mut rig = Rig::new(Limits { frame_bytes_max: 128, ..Limits::default() });
    let bree = rig.neighbour(2, 103, "merry");
    let bob = rig.client(Form::Full, "bob");
    rig.frames(bree);
    for to in ["merry", "ALL"] {
        rig.says(bob, to, &"x".repeat(65));
        assert_eq!(rig.heard(bob), ["-SERVER-: this text is too long to pass on"]);
        rig.says(bob, to, &"x".repeat(64));
        assert_eq!((rig.heard(bob), rig.frames(bree).len()), (vec![], 1));
    }
}

#[test]
fn what_the_operator_says_is_said_by_the_server() {
    let mut rig = rig();
    let bob = rig.client(Form::Full, "bob");
    let id = HostId(rig.id_of(bob));
    rig.node.kick(rig.now, id, b"enough").expect("bob is here");
    rig.end_turn();
    assert_eq!(rig.heard(bob), ["-SERVER-: kicked: enough"]);
    assert!(rig.end_of(bob).is_some());
}

#[test]
fn what_is_said_to_a_user_lost_in_a_split_waits_for_it() {
    let mut rig = rig();
    let bree = rig.neighbour(2, 103, "merry");
    let bob = rig.client(Form::Full, "bob");
    let id = rig.id_of(bob);
    rig.hang_up(bree);
    rig.says(bob, "merry", "Where are you?");
    rig.pass(SECOND);
    assert_eq!(rig.heard(bob), [""; 0]);
    let bree = rig.connect(Door::Crc);
    let told = [server(2, "bree", ""), registration(Kind::User, 103, 2, "merry", "")];
    rig.send(bree, &told.concat());
    assert!(rig.frames(bree).contains(&chat(id, 103, "Where are you?")));
    assert_eq!(rig.heard(bob), [""; 0], "nobody has left");
    rig.hang_up(bree);
    rig.says(bob, "merry", "And now?");
    rig.pass(SPLIT_GRACE);
    assert_eq!(rig.heard(bob), ["-SERVER-: merry is not online", "-SERVER-: List 1/1 bob"]);
}

#[test]
fn who_left_while_a_message_was_on_its_way_is_still_called_by_name() {
    let mut rig = rig();
    let bree = rig.neighbour(2, 103, "meriadoc-brandybuck");
    let bob = rig.client(Form::Full, "bob");
    let id = rig.id_of(bob);
    rig.says(bob, "meria~2v", "Hi");
    rig.send(bree, &status(2, id, 1, "Unknown ID 103"));
    assert_eq!(rig.heard(bob), ["-SERVER-: meria~2v is not online"]);
    rig.send(bree, &[quit(103, ""), status(2, id, 1, "Unknown ID 103")].concat());
    rig.pass(SECOND);
    let absent = "-SERVER-: meria~2v is not online";
    assert_eq!(rig.heard(bob), [absent, "-SERVER-: List 1/1 bob"]);
    for text in ["Unknown ID 7", "Unknown ID x", "Something else"] {
        rig.send(bree, &status(2, id, 1, text));
        assert_eq!(rig.heard(bob), [format!("-SERVER-: {text}")]);
    }
    // A second welcome is nothing but words.
    rig.send(bree, &status(2, id, 0, "Welcome"));
    assert_eq!(rig.heard(bob), ["-SERVER-: Welcome"]);
}

#[test]
fn several_who_left_while_messages_were_on_their_way_are_still_called_by_name() {
    let mut rig = rig();
    let bree = rig.neighbour(2, 103, "merry");
    rig.send(bree, &registration(Kind::User, 104, 2, "pippin", ""));
    let bob = rig.client(Form::Full, "bob");
    let id = rig.id_of(bob);
    rig.says(bob, "merry", "Hi");
    rig.says(bob, "pippin", "Hi");
    rig.send(bree, &[quit(103, ""), status(2, id, 1, "Unknown ID 103")].concat());
    rig.send(bree, &[quit(104, ""), status(2, id, 1, "Unknown ID 104")].concat());
    let heard = rig.heard(bob);
    for name in ["merry", "pippin"] {
        assert!(heard.contains(&format!("-SERVER-: {name} is not online")), "{heard:?}");
    }
}

#[test]
fn what_others_say_is_never_the_beginning_of_what_the_server_says() {
    let mut rig = rig();
    let bree = rig.neighbour(2, 103, "merry");
    let bob = rig.client(Form::Full, "bob");
    let id = rig.id_of(bob);
    let from = "Mail from 77252666718255105: ";
    for forged in ["List 1/1 nobody", "Interval 0.01", "Error bob is already online"] {
        for spaces in 200..240 {
            let mail = format!("{from}{}{forged}", "x".repeat(spaces - from.len()));
            rig.send(bree, &status(2, id, 4, &mail));
            for said in rig.heard(bob) {
                assert_ne!(said, format!("-SERVER-: {forged}"));
            }
        }
    }
}

#[test]
fn a_client_whose_words_to_all_wait_for_a_server_is_not_gone() {
    let mut rig = rig();
    let bree = rig.neighbour(2, 103, "merry");
    let frodo = rig.user(101, "frodo");
    let bob = rig.client(Form::Full, "bob");
    rig.deaf.insert(bree);
    for _ in 0..12 {
        rig.send(frodo, &chat(101, 103, &"x".repeat(100_000)));
    }
    rig.says(bob, "ALL", "Hi");
    for _ in 0..6 {
        rig.pass(INTERVAL);
        rig.says(bob, "-SERVER-", "Alive bob");
        assert_eq!(rig.end_of(bob), None);
    }
}

#[test]
fn who_is_lost_hears_what_was_said_to_all_when_it_is_found_and_nobody_is_told_otherwise() {
    let mut rig = rig();
    let bree = rig.neighbour(2, 103, "merry");
    let bob = rig.client(Form::Full, "bob");
    rig.says(bob, "ALL", "before");
    rig.hang_up(bree);
    rig.says(bob, "ALL", "meanwhile");
    // More than waits for the lost: that is not for the speaker to hear of.
    for _ in 0..2 * SPLIT_WAITING_BYTES_MAX / 256 {
        rig.says(bob, "ALL", &"x".repeat(200));
    }
    rig.pass(SECOND);
    assert_eq!(rig.heard(bob), [""; 0]);
    let bree = rig.connect(Door::Crc);
    let told = [server(2, "bree", ""), registration(Kind::User, 103, 2, "merry", "")];
    rig.send(bree, &told.concat());
    let heard = rig.frames(bree);
    assert!(heard.contains(&chat(rig.id_of(bob), 103, "meanwhile")));
    rig.pass(SPLIT_GRACE + SECOND);
    assert_eq!(rig.heard(bob), [""; 0]);
}

#[test]
fn a_server_link_that_takes_nothing_is_given_up_on_by_who_speaks_to_all() {
    let mut rig = rig();
    let frodo = rig.user(101, "frodo");
    let bree = rig.neighbour(2, 103, "merry");
    let sam = rig.client(Form::Full, "sam");
    let bob = rig.client(Form::Short, "bob");
    rig.deaf.insert(bree);
    let text = "x".repeat(100_000);
    while rig.node.unsent(bree).len() < BROADCAST_QUEUE_BYTES {
        rig.send(frodo, &chat(101, 103, &text));
    }
    rig.pass(SECOND);
    rig.heard(sam);
    rig.says(bob, "ALL", "one");
    rig.says(bob, "ALL", "two");
    rig.says(bob, "sam", "three");
    rig.pass(BROADCAST_PATIENCE - SECOND);
    assert_eq!(rig.heard(sam), [""; 0], "its turn comes after those behind the link");
    // The rest is said to those who can hear it, each thing in its turn.
    rig.pass(SECOND);
    assert_eq!(rig.heard(sam), ["bob: one"]);
    rig.pass(BROADCAST_PATIENCE);
    assert_eq!(rig.heard(sam), ["bob: two", "bob: three"]);
    assert_eq!(rig.end_of(bob), None);
    let merry = chat(rig.id_of(bob), 103, "one");
    rig.deaf.clear();
    while rig.read(bree, usize::MAX) {}
    assert!(!rig.frames(bree).contains(&merry));
    rig.says(bob, "ALL", "four");
    assert!(rig.frames(bree).contains(&chat(rig.id_of(bob), 103, "four")));
}

#[test]
fn who_comes_while_something_is_said_to_all_does_not_hear_it() {
    let mut rig = rig();
    let frodo = rig.user(101, "frodo");
    let bree = rig.neighbour(2, 103, "merry");
    let bob = rig.client(Form::Full, "bob");
    rig.deaf.insert(bree);
    let text = "x".repeat(100_000);
    while rig.node.unsent(bree).len() < BROADCAST_QUEUE_BYTES {
        rig.send(frodo, &chat(101, 103, &text));
    }
    rig.says(bob, "ALL", "now");
    let pip = rig.user(104, "pip");
    rig.deaf.clear();
    while rig.read(bree, usize::MAX) {}
    rig.end_turn();
    assert_eq!(rig.frames(pip), [[0; 0]; 0]);
    assert!(rig.frames(bree).contains(&chat(rig.id_of(bob), 103, "now")));
}

#[test]
fn mail_says_who_it_is_from() {
    let mut rig = rig();
    let bree = rig.neighbour(2, 103, "merry");
    let bob = rig.client(Form::Full, "bob");
    rig.client(Form::Full, "78");
    rig.pass(SECOND);
    rig.heard(bob);
    let id = rig.id_of(bob);
    let long = "Mail from 77252666718255105: Hi";
    for (mail, heard) in [
        ("Mail from 103: Hi", "merry: Hi"),
        ("Mail from 77: Hi", "77: Hi"),
        ("Mail from 78: Hi", "-SERVER-: Mail from 78: Hi"),
        (long, &format!("-SERVER-: {long}")),
    ] {
        rig.send(bree, &status(2, id, 4, mail));
        assert_eq!(rig.heard(bob), [heard]);
    }
}

#[test]
fn what_is_said_to_all_fits_into_small_queues() {
    let limits = Limits { server_queue_bytes_max: 64 * 1024, ..Limits::default() };
    let mut rig = Rig::new(limits);
    let bree = rig.neighbour(2, 103, "merry");
    let many: Vec<u8> =
        (1000..2000).flat_map(|id| registration(Kind::User, id, 2, "hobbit", "")).collect();
    rig.send(bree, &many);
    let bob = rig.client(Form::Full, "bob");
    rig.frames(bree);
    rig.says(bob, "ALL", &"x".repeat(200));
    assert_eq!(rig.closed.get(&bree), None);
    assert_eq!(rig.frames(bree).len(), 1001);
}
