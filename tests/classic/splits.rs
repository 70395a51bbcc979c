//! The answers do not depend on how the stream is split.

use proptest::prelude::*;

use super::*;

/// The bytes of a client.
fn script_bytes(form: Form, script: usize) -> Vec<u8> {
    let lines: &[(&str, &str)] = match script {
        0 => &[
            ("-SERVER-", "Connect bob"),
            ("nobody", "Hi"),
            ("-SERVER-", "List"),
            ("bob", "to myself"),
            ("sam", "Hi, Sam"),
            ("-SERVER-", "Alive bob"),
            ("-SERVER-", "what?"),
            ("ALL", "everyone"),
            ("-SERVER-", "Quit bob"),
            ("nobody", "never said"),
        ],
        1 => &[("-SERVER-", "Connect bob")],
        2 => &[("-SERVER-", "Connect sam"), ("-SERVER-", "List")],
        3 => &[("-SERVER-", "Connect a~b")],
        4 => &[("-SERVER-", "Connect bob"), ("-SERVER-", "Connect bob"), ("sam", "never said")],
        _ => &[("sam", "too early"), ("-SERVER-", "Connect bob"), ("sam", "Hi")],
    };
    lines.iter().flat_map(|(to, text)| encode_message(form, to, "bob", text)).collect()
}

/// The bytes to the client, why it was closed, and the messages to sam.
fn outcome(pieces: &[&[u8]], turns: &[bool]) -> (Vec<u8>, Option<String>, Vec<u8>) {
    let mut rig = rig();
    let sam = rig.crc_user(102, "sam");
    let bob = rig.connect(Wire::CLASSIC);
    for (i, piece) in pieces.iter().enumerate() {
        rig.receive(bob, piece);
        if turns[i % turns.len()] {
            rig.end_turn();
        }
    }
    rig.run_for(SECOND);
    let received = rig.received.remove(&bob).unwrap_or_default();
    (received, rig.closed.remove(&bob), rig.received.remove(&sam).unwrap_or_default())
}

fn split<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    ends.extend([0, bytes.len()]);
    ends.sort_unstable();
    ends.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

#[track_caller]
fn check(form: Form, script: usize, positions: &[usize], turns: &[bool]) {
    let bytes = script_bytes(form, script);
    let expected = outcome(&[&bytes], &[true]);
    assert!(!expected.0.is_empty());
    parse_messages(form, &expected.0); // checks the form
    assert_eq!(
        outcome(&split(&bytes, positions), turns),
        expected,
        "{form:?} {script} {positions:?}"
    );
}

#[test]
fn one_split_anywhere_does_not_change_the_answers() {
    for form in FORMS {
        for script in 0..6 {
            let len = script_bytes(form, script).len();
            for position in (0..len).filter(|at| at % 256 < 60 || at % 256 > 250) {
                check(form, script, &[position], &[true]);
            }
            let everywhere: Vec<usize> = (0..len).collect();
            check(form, script, &everywhere, &[true]);
            check(form, script, &everywhere, &[false]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn any_splits_do_not_change_the_answers(
        is_full in any::<bool>(),
        script in 0_usize..6,
        cuts in proptest::collection::vec(any::<usize>(), 0..40),
        turns in proptest::collection::vec(any::<bool>(), 1..5),
    ) {
        check(if is_full { Form::Full } else { Form::Short }, script, &cuts, &turns);
    }
}
