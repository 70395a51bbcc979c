//! However a stream is cut, the answers are the same.

use proptest::prelude::*;

use super::*;

/// What a client says, after which it has its answers and is gone, or not.
fn said(form: Form, script: usize) -> Vec<u8> {
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
    lines.iter().flat_map(|(to, text)| message(form, to, "bob", text)).collect()
}

/// What the client hears, why it is closed, and what sam hears.
fn outcome(pieces: &[&[u8]], turns: &[bool]) -> (Vec<u8>, Option<String>, Vec<u8>) {
    let mut rig = rig();
    let sam = rig.user(102, "sam");
    let bob = rig.connect(Door::Classic);
    for (i, piece) in pieces.iter().enumerate() {
        rig.receive(bob, piece);
        if turns[i % turns.len()] {
            rig.end_turn();
        }
    }
    rig.pass(SECOND);
    let heard = rig.received.remove(&bob).unwrap_or_default();
    (heard, rig.closed.remove(&bob), rig.received.remove(&sam).unwrap_or_default())
}

fn cut<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    ends.extend([0, bytes.len()]);
    ends.sort_unstable();
    ends.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

#[track_caller]
fn check(form: Form, script: usize, cuts: &[usize], turns: &[bool]) {
    let bytes = said(form, script);
    let whole = outcome(&[&bytes], &[true]);
    assert!(!whole.0.is_empty());
    messages(form, &whole.0); // and in the client's form
    assert_eq!(outcome(&cut(&bytes, cuts), turns), whole, "{form:?} {script} {cuts:?}");
}

#[test]
fn one_cut_anywhere_changes_nothing() {
    for form in FORMS {
        for script in 0..6 {
            let len = said(form, script).len();
            for at in (0..len).filter(|at| at % 256 < 60 || at % 256 > 250) {
                check(form, script, &[at], &[true]);
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
    fn any_cuts_change_nothing(
        is_full in any::<bool>(),
        script in 0_usize..6,
        cuts in proptest::collection::vec(any::<usize>(), 0..40),
        turns in proptest::collection::vec(any::<bool>(), 1..5),
    ) {
        check(if is_full { Form::Full } else { Form::Short }, script, &cuts, &turns);
    }
}
