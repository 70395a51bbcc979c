//! The `crc` binary as real processes with real sockets: port 0, and conditions with deadlines.

mod admission;
mod bounds;
mod classic;
mod interop;
mod irc;
mod keepalive;
mod mail;
mod moving;
mod operator;
mod options;
mod peer;
mod proxied;
mod reload;
mod rooms;
mod support;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod syscalls;
mod tls;
mod tree;
mod web;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crc::relay::message::HostKind;
use crc_tests::frames::{
    chat, quit, registration, server, split_frames, status, user, user_that_reads_cut_frames,
};
use rustix::process::Signal;
use serde_json::Value;

use self::support::{CRC, RawClient, Server, TIMEOUT, ctl, eventually};

fn welcome_frame(server: u32, name: &str) -> Vec<u8> {
    status(server, 0, 0, &format!("Welcome to the Clemson Relay Chat network {name}"))
}

#[test]
fn users_on_three_servers_exchange_chats() {
    let one = Server::start(&["--id", "1", "--name", "theshire", "--info", "Home"]);
    let two = Server::start(&["--id", "2", "--parent", &one.address()]);
    let three = Server::start(&["--id", "3", "--parent", &format!("localhost:{}", two.port)]);
    one.wait_for_hosts(&[2, 3]);
    let (mut frodo, mut sam) = (one.connect(), three.connect());
    frodo.send(&user(101, "frodo", "ring"));
    frodo.expect_frame(&welcome_frame(1, "frodo"));
    three.wait_for_hosts(&[1, 2, 101]);
    for byte in user(102, "sam", "") {
        sam.send(&[byte]);
    }
    sam.expect_frame(&registration(HostKind::User, 101, 3, "frodo", "ring"));
    one.wait_for_hosts(&[2, 3, 101, 102]);
    let stream = [chat(101, 102, "Hello Sam"), chat(101, 102, "and again")].concat();
    for piece in stream.chunks(5) {
        frodo.send(piece);
    }
    sam.expect_frame(&chat(101, 102, "Hello Sam"));
    sam.expect_frame(&chat(101, 102, "and again"));
    sam.send(&[chat(102, 101, "Hello"), chat(102, 7, "?")].concat());
    frodo.expect_frame(&chat(102, 101, "Hello"));
    sam.expect_frame(&status(3, 0, 1, "Unknown ID 7"));
    sam.send(&quit(102, "Leaving"));
    frodo.expect_frame(&quit(102, "Leaving"));
    sam.read_until_closed();
    one.wait_for_hosts(&[2, 3, 101]);
}

#[test]
fn idle_server_has_one_thread_and_never_wakes() {
    check_idle_server_never_wakes(&["--id", "1"]);
}

#[test]
fn busy_polling_server_sleeps_when_idle() {
    check_idle_server_never_wakes(&["--id", "1", "--busy-poll", "2000"]);
}

fn check_idle_server_never_wakes(arguments: &[&str]) {
    let server = Server::start_with_stdin(arguments, Stdio::piped());
    let mut frodo = server.connect();
    frodo.send(&user(101, "frodo", ""));
    frodo.expect_frame(&welcome_frame(1, "frodo"));
    server.wait_for_hosts(&[101]);
    let tasks = fs::read_dir(format!("/proc/{}/task", server.child.id()));
    assert_eq!(tasks.expect("a running process").count(), 1);
    check_never_wakes(server.child.id());
}

/// Checks that a process, once it waits, does not run for two seconds.
fn check_never_wakes(process_id: u32) {
    let proc = PathBuf::from(format!("/proc/{process_id}"));
    // Every call that waits and every wake-up is a context switch of the process.
    let context_switches = || {
        let status = fs::read_to_string(proc.join("status")).expect("a running process");
        let lines = status.lines().filter(|line| line.contains("voluntary_ctxt_switches"));
        let counts = lines.map(|line| line.rsplit('\t').next().expect("a count").to_owned());
        counts.collect::<Vec<_>>()
    };
    // Clients that have just left may still have to wake it.
    let mut before = context_switches();
    eventually("the server waits", || {
        std::thread::park_timeout(Duration::from_millis(100));
        let now = context_switches();
        let is_waiting = now == before;
        before = now;
        is_waiting.then_some(())
    });
    let observed_until = Instant::now() + Duration::from_secs(2);
    eventually("the span is over", || (Instant::now() >= observed_until).then_some(()));
    assert_eq!(context_switches(), before);
}

#[test]
fn signal_flushes_queues_and_exits_with_code_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut one = Server::start(&["--id", "1"]);
        let (mut frodo, mut neighbour) = (one.connect(), one.connect());
        neighbour.send(&server(2, "two", ""));
        frodo.send(&user(101, "frodo", ""));
        frodo.expect_frame(&welcome_frame(1, "frodo"));
        // Who has not heard of a user is not told that the user left.
        neighbour.expect_frame(&registration(HostKind::User, 101, 1, "frodo", ""));
        one.send_signal(signal);
        neighbour.expect_frame(&quit(101, "server shutdown"));
        neighbour.read_until_closed();
        assert_eq!(one.wait_for_exit().code(), Some(0), "{signal:?}");
        assert!(!one.control().exists(), "the control socket is removed");
    }
}

#[test]
fn second_signal_ends_the_server_without_flushing() {
    let mut one = Server::start(&["--id", "1", "--server-queue", "80000000"]);
    let (mut neighbour, mut frodo) = (one.connect(), one.connect());
    let reads_cut_frames = status(2, u32::MAX, 0xC700, "");
    neighbour.send(&[server(2, "two", ""), reads_cut_frames].concat());
    neighbour.send(&registration(HostKind::User, 102, 2, "sam", ""));
    one.wait_for_hosts(&[2, 102]);
    frodo.send(&user(101, "frodo", ""));
    let text = "x".repeat(1_000_000);
    for _ in 0..30 {
        frodo.send(&chat(101, 102, &text)); // more than the socket buffers hold
    }
    eventually("the queue is long", || {
        let links = one.ctl(&["--json", "links"]).stdout;
        let links: Value = serde_json::from_slice(&links).expect("JSON");
        let links = links.as_array().expect("links");
        links.iter().any(|link| link["queue_bytes"].as_u64() > Some(1_000_000)).then_some(())
    });
    one.send_signal(Signal::TERM);
    one.wait_for_log("SIGTERM: stopping");
    assert!(one.child.try_wait().expect("a child").is_none(), "it waits for the queue");
    one.send_signal(Signal::TERM);
    assert_eq!(one.wait_for_exit().code(), Some(0));
    one.wait_for_log("ending at once");
}

#[test]
fn server_reconnects_when_its_parent_returns() {
    let mut one = Server::start(&["--id", "1"]);
    let port = one.port.to_string();
    one.send_signal(Signal::KILL);
    one.wait_for_exit();
    let parent = format!("127.0.0.1:{port}");
    let two = Server::start(&["--id", "2", "--parent", &parent, "--split-grace", "60"]);
    two.wait_for_log("cannot connect to the parent");
    let mut sam = two.connect();
    sam.send(&user(102, "sam", ""));
    sam.expect_frame(&welcome_frame(2, "sam"));
    for _ in 0..2 {
        let mut one = Server::start(&["--id", "1", "--listen", &parent]);
        one.wait_for_hosts(&[2, 102]);
        two.wait_for_hosts(&[1, 102]);
        one.send_signal(Signal::KILL);
        one.wait_for_exit();
    }
}
