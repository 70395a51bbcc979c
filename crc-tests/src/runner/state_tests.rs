//! States as they are read, and how they differ.

use crc::wires::Wire;
use serde_json::json;

use super::*;

const CLIENT: Role = Role::Client(Wire::CRC);

fn state(role: Role, value: &Value) -> Result<(HostState, Vec<String>), String> {
    HostState::parse(role, value.as_object().expect("an object"))
}

fn check(role: Role, expected: &Value, found: &Value, differences: &[&str]) {
    let (expected, _) = state(role, expected).expect("a good expectation");
    let (found, _) = state(role, found).expect("a good state");
    let shown: Vec<_> = expected.differences(&found).iter().map(ToString::to_string).collect();
    assert_eq!(shown, differences);
}

#[test]
fn lists_compare_as_sets_with_their_length() {
    let found = json!({
        "adjacent_user_ids": [101, 102], "adjacent_server_ids": [], "hosts_db": [1, 102, 101],
        "status_updates_log": ["a", "a", "b"],
    });
    check(Role::Server, &json!({}), &found, &[]);
    check(Role::Server, &json!({"hosts_db": [102, 101, 1]}), &found, &[]);
    check(Role::Server, &json!({"status_updates_log": ["a", "b", "b"]}), &found, &[]);
    check(
        Role::Server,
        &json!({"status_updates_log": ["a", "b"], "hosts_db": [1, 7, 102]}),
        &found,
        &["hosts_db: missing 7; unexpected 101", "status_updates_log: `a`: 2 instead of 1"],
    );
    check(
        CLIENT,
        &json!({"chat_messages_log": ["\u{1b}x", "y", "y"], "connected_user_ids": []}),
        &json!({"connected_user_ids": [5, 5, 6]}),
        &[
            "connected_user_ids: unexpected 5 (2 times), 6",
            "chat_messages_log: missing `\\u{1b}x`, `y` (2 times)",
        ],
    );
}

#[test]
fn chat_sequence_compares_in_order() {
    let found = json!({"chat_sequence": ["7: a", "8: b", "7: a"]});
    let check = |expected: &[&str], differences: &[&str]| {
        check(CLIENT, &json!({"chat_sequence": expected}), &found, differences);
    };
    check(&["7: a", "8: b", "7: a"], &[]);
    check(&["7: a", "7: a", "8: b"], &["chat_sequence: another order: `7: a`, `8: b`, `7: a`"]);
    check(
        &["7: a", "8: b", "8: b"],
        &["chat_sequence: `7: a`: 2 instead of 1; `8: b`: 1 instead of 2"],
    );
}

#[test]
fn client_keys_depend_on_its_wire() {
    let value = json!({"connected_user_ids": [1], "connected_user_names": ["a"],
        "connected_as": ["7"], "errors_log": [], "mail_waiting": []});
    for (wire, expected) in [
        (Wire::CRC, &["mail_waiting"][..]),
        (Wire::DIRECT, &["connected_user_ids", "connected_user_names", "mail_waiting"]),
        (Wire::CLASSIC, &["connected_user_ids", "mail_waiting"]),
    ] {
        let (_, unknown) = state(Role::Client(wire), &value).expect("good values");
        assert_eq!(unknown, expected, "{wire:?}");
    }
}

#[test]
fn hex_compares_without_case_and_space() {
    let found = json!({"recvd_messages_asdqw": ["80000000ab"]});
    check(Role::Server, &json!({"recvd_messages_asdqw": ["80 0000 00AB"]}), &found, &[]);
    check(
        Role::Server,
        &json!({"recvd_messages_asdqw": ["80 0000 00AC"]}),
        &found,
        &["recvd_messages_asdqw: missing 80000000ac; unexpected 80000000ab"],
    );
}

#[test]
fn long_texts_are_truncated_in_differences() {
    let long = "é".repeat(200);
    check(
        CLIENT,
        &json!({"chat_messages_log": [long]}),
        &json!({}),
        &[&format!("chat_messages_log: missing `{}… (400 bytes)`", "é".repeat(100))],
    );
}

#[test]
fn parse_errors_name_key_item_and_expected_type() {
    let error = |role, value| state(role, &value).expect_err("an error");
    assert_eq!(
        error(Role::Server, json!({"hosts_db": [1, "x\n"]})),
        "hosts_db: item 2: expected an id, found \"x\\n\""
    );
    assert_eq!(error(Role::Server, json!({"hosts_db": 3})), "hosts_db: expected a list, found 3");
    assert_eq!(
        error(CLIENT, json!({"chat_messages_log": [[]]})),
        "chat_messages_log: item 1: expected a text, found a list"
    );
    assert_eq!(
        error(Role::Server, json!({"recvd_messages_asdqw": ["0"]})),
        "recvd_messages_asdqw: item 1: expected a text in hex, found \"0\""
    );
    let (_, unknown) = state(CLIENT, &json!({"hosts_db": [1], "colour": 3})).expect("ignored");
    assert_eq!(unknown, ["colour", "hosts_db"]);
}
