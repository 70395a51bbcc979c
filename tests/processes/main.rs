//! The binary itself: real processes, real sockets, port 0, waiting on conditions with deadlines.

mod bounds;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod calls;
mod classic;
mod interop;
mod mail;
mod operator;
mod options;
mod peer;
mod support;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crc_tests::frames::{chat, frames, quit, registration, server, status, user};
use rustix::process::Signal;
use serde_json::Value;

use self::support::{CRC, PATIENCE, Peer, Server, ctl, eventually};

fn welcome(server: u32, name: &str) -> Vec<u8> {
    status(server, 0, 0, &format!("Welcome to the Clemson Relay Chat network {name}"))
}

#[test]
fn people_on_three_servers_talk() {
    let one = Server::start(&["--id", "1", "--name", "theshire", "--info", "Home"]);
    let two = Server::start(&["--id", "2", "--parent", &one.address()]);
    let three = Server::start(&["--id", "3", "--parent", &format!("localhost:{}", two.port)]);
    one.knows(&[2, 3]);
    let (mut frodo, mut sam) = (one.connect(), three.connect());
    frodo.says(&user(101, "frodo", "ring"));
    frodo.hears(&welcome(1, "frodo"));
    three.knows(&[1, 2, 101]);
    for byte in user(102, "sam", "") {
        sam.says(&[byte]);
    }
    sam.hears(&registration(crc::relay::message::Kind::User, 101, 3, "frodo", "ring"));
    one.knows(&[2, 3, 101, 102]);
    let stream = [chat(101, 102, "Hello Sam"), chat(101, 102, "and again")].concat();
    for piece in stream.chunks(5) {
        frodo.says(piece);
    }
    sam.hears(&chat(101, 102, "Hello Sam"));
    sam.hears(&chat(101, 102, "and again"));
    sam.says(&[chat(102, 101, "Hello"), chat(102, 7, "?")].concat());
    frodo.hears(&chat(102, 101, "Hello"));
    sam.hears(&status(3, 0, 1, "Unknown ID 7"));
    sam.says(&quit(102, "Leaving"));
    frodo.hears(&quit(102, "Leaving"));
    sam.hears_end();
    one.knows(&[2, 3, 101]);
}

#[test]
fn an_idle_server_is_one_thread_that_does_nothing() {
    check_that_it_comes_to_rest(&["--id", "1"]);
}

#[test]
fn a_server_that_looks_again_before_it_sleeps_sleeps_at_last() {
    check_that_it_comes_to_rest(&["--id", "1", "--busy-poll", "2000"]);
}

fn check_that_it_comes_to_rest(arguments: &[&str]) {
    let server = Server::start_with(arguments, Stdio::piped());
    let mut frodo = server.connect();
    frodo.says(&user(101, "frodo", ""));
    frodo.hears(&welcome(1, "frodo"));
    server.knows(&[101]);
    let proc = PathBuf::from(format!("/proc/{}", server.child.id()));
    let tasks = fs::read_dir(proc.join("task")).expect("a running process").count();
    assert_eq!(tasks, 1);
    // Every call that waits and every wake-up is a context switch of the process.
    let switches = || {
        let status = fs::read_to_string(proc.join("status")).expect("a running process");
        let lines = status.lines().filter(|line| line.contains("voluntary_ctxt_switches"));
        let counts = lines.map(|line| line.rsplit('\t').next().expect("a count").to_owned());
        counts.collect::<Vec<_>>()
    };
    let is_waiting = || {
        let stat = fs::read_to_string(proc.join("stat")).expect("a running process");
        stat.contains(") S ").then_some(())
    };
    eventually("the server waits", is_waiting);
    let before = switches();
    let end = Instant::now() + Duration::from_secs(2); // what is observed is this span itself
    eventually("the span is over", || (Instant::now() >= end).then_some(()));
    assert_eq!(switches(), before);
}

#[test]
fn signals_end_it_with_queues_flushed_and_exit_code_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut one = Server::start(&["--id", "1"]);
        let (mut frodo, mut near) = (one.connect(), one.connect());
        near.says(&server(2, "two", ""));
        frodo.says(&user(101, "frodo", ""));
        frodo.hears(&welcome(1, "frodo"));
        one.signal(signal);
        near.hears(&quit(101, "server shutdown"));
        near.hears_end();
        assert_eq!(one.wait().code(), Some(0), "{signal:?}");
        assert!(!one.control().exists(), "the control socket is removed");
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut one = Server::start(&["--id", "1", "--server-queue", "80000000"]);
    let (mut near, mut frodo) = (one.connect(), one.connect());
    near.says(&server(2, "two", ""));
    near.says(&registration(crc::relay::message::Kind::User, 102, 2, "sam", ""));
    one.knows(&[2, 102]);
    frodo.says(&user(101, "frodo", ""));
    let text = "x".repeat(1_000_000);
    for _ in 0..30 {
        frodo.says(&chat(101, 102, &text)); // more than the kernel keeps for who does not read
    }
    eventually("the queue is long", || {
        let links = one.ctl(&["--json", "links"]).stdout;
        let links: Value = serde_json::from_slice(&links).expect("JSON");
        let links = links.as_array().expect("links");
        links.iter().any(|link| link["queue_bytes"].as_u64() > Some(1_000_000)).then_some(())
    });
    one.signal(Signal::TERM);
    one.has_logged("SIGTERM: stopping");
    assert!(one.child.try_wait().expect("a child").is_none(), "it waits for the queue");
    one.signal(Signal::TERM);
    assert_eq!(one.wait().code(), Some(0));
    one.has_logged("ending at once");
}

#[test]
fn a_server_waits_for_its_parent_and_finds_it_again() {
    let mut one = Server::start(&["--id", "1"]);
    let port = one.port.to_string();
    one.signal(Signal::KILL);
    one.wait();
    let parent = format!("127.0.0.1:{port}");
    let two = Server::start(&["--id", "2", "--parent", &parent, "--split-grace", "60"]);
    two.has_logged("cannot connect to the parent");
    let mut sam = two.connect();
    sam.says(&user(102, "sam", ""));
    sam.hears(&welcome(2, "sam"));
    for _ in 0..2 {
        let mut one = Server::start(&["--id", "1", "--listen", &parent]);
        one.knows(&[2, 102]);
        two.knows(&[1, 102]);
        one.signal(Signal::KILL);
        one.wait();
    }
}
