//! System calls, counted where the kernel is asked: a server is stopped while it waits, clients speak,
//! and then every call is noted until it waits again.

use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::support::{Peer, Server, eventually};
use crc::relay::message::Kind;
use crc_tests::frames::{chat, registration, user};

/// A call of the server, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Call {
    number: i64,
    descriptor: u64,
    /// What it answered.
    result: i64,
}

const READ: i64 = 45; // recvfrom
const WRITE: i64 = 44; // sendto
const WAIT: i64 = 232; // epoll_wait

struct Traced(Pid);

impl Traced {
    /// Stops a server, wherever it is.
    fn stop(server: &Server) -> Self {
        let pid = Pid::from_raw(i32::try_from(server.child.id()).expect("a process id"));
        ptrace::seize(pid, ptrace::Options::PTRACE_O_TRACESYSGOOD)
            .expect("a child may be traced; where that is forbidden, this test cannot run");
        let traced = Self(pid);
        ptrace::interrupt(pid).expect("it runs");
        traced.stopped();
        traced
    }

    fn stopped(&self) -> WaitStatus {
        eventually("the server stops at its next call", || {
            match waitpid(self.0, Some(WaitPidFlag::WNOHANG)).expect("a child") {
                WaitStatus::StillAlive => None,
                status => Some(status),
            }
        })
    }

    /// Lets it go on until it sleeps after `writes` writes. Answers what it has called.
    fn run(&self, writes: usize) -> Vec<Call> {
        /// What the kernel shows as the answer of a call that has only begun.
        const BEGINS: u64 = -38_i64 as u64;
        /// More than any case here is about.
        const CALLS_MAX: usize = 200;
        let mut calls: Vec<Call> = Vec::new();
        while calls.len() < CALLS_MAX {
            ptrace::syscall(self.0, None).expect("it is stopped");
            if !matches!(self.stopped(), WaitStatus::PtraceSyscall(_)) {
                continue;
            }
            let registers = ptrace::getregs(self.0).expect("it is stopped");
            let number = i64::try_from(registers.orig_rax).expect("a call");
            if registers.rax != BEGINS {
                let result = registers.rax.cast_signed();
                calls.push(Call { number, descriptor: registers.rdi, result });
            } else if number == WAIT
                && registers.r10 as i32 != 0 // to look for news is not to wait for them
                && calls.iter().filter(|call| call.number == WRITE).count() >= writes
            {
                return calls;
            }
        }
        panic!("it does not come to rest after {writes} writes: {calls:?}");
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        let _ = ptrace::detach(self.0, None::<Signal>);
    }
}

/// A server with everything on, that logs nothing here.
fn start() -> Server {
    let doors = ["--direct", "127.0.0.1:0", "--classic", "127.0.0.1:0"];
    Server::start(&[&["--id", "1", "--log", "error"][..], &doors].concat())
}

/// Registers users 101 and on, and takes what they are told, so that nothing more is to come.
fn users(server: &Server, count: u32) -> Vec<Peer> {
    let mut users: Vec<Peer> = Vec::new();
    for id in 101..101 + count {
        let mut peer = server.connect();
        peer.says(&user(id, "", ""));
        peer.hears(&super::welcome(1, ""));
        for other in &mut users {
            other.hears(&registration(Kind::User, id, 1, "", ""));
        }
        for other in 101..id {
            peer.hears(&registration(Kind::User, other, 1, "", ""));
        }
        users.push(peer);
    }
    users
}

/// What was called, how often, and on how many descriptors.
fn count(calls: &[Call], number: i64) -> (usize, usize) {
    let of_it = || calls.iter().filter(move |call| call.number == number);
    let mut descriptors: Vec<u64> = of_it().map(|call| call.descriptor).collect();
    descriptors.sort_unstable();
    descriptors.dedup();
    (of_it().count(), descriptors.len())
}

fn check(calls: &[Call], reads: usize, writes: usize) {
    // The wait in which the server was stopped may end without news. No other does, nor is one only
    // to look.
    let interrupted = calls.first().filter(|call| call.number == WAIT && call.result <= 0);
    let (waits, _) = count(calls, WAIT);
    assert_eq!(waits - usize::from(interrupted.is_some()), 1, "{calls:?}");
    assert_eq!(count(calls, READ), (reads, reads), "one read a socket: {calls:?}");
    assert_eq!(count(calls, WRITE), (writes, writes), "one write a socket: {calls:?}");
    let others = calls.iter().filter(|call| ![READ, WRITE, WAIT].contains(&call.number));
    assert_eq!(others.count(), 0, "{calls:?}");
}

#[test]
fn a_turn_is_a_wait_and_a_read_and_a_write_for_each_socket() {
    let server = start();
    let mut users = users(&server, 16);
    let traced = Traced::stop(&server);
    for (from, to) in (101..109).zip(109..) {
        // In three pieces, which are one read.
        for text in ["one", "two", "three"] {
            users[from as usize - 101].says(&chat(from, to, text));
        }
    }
    check(&traced.run(8), 8, 8);
    drop(traced);
    for (from, to) in (101..109).zip(109..) {
        users[to as usize - 101].hears(&chat(from, to, "three"));
    }
}

#[test]
fn what_many_say_to_one_is_one_write() {
    let server = start();
    let mut users = users(&server, 9);
    let traced = Traced::stop(&server);
    for from in 101..109 {
        users[from as usize - 101].says(&[chat(from, 109, "a"), chat(from, 109, "b")].concat());
    }
    check(&traced.run(1), 8, 1);
    drop(traced);
    users[8].hears(&chat(108, 109, "b"));
}

#[test]
fn what_one_says_to_many_is_one_read() {
    let server = start();
    let mut users = users(&server, 9);
    let traced = Traced::stop(&server);
    users[0].says(&(102..110).flat_map(|to| chat(101, to, "all of you")).collect::<Vec<_>>());
    check(&traced.run(8), 1, 8);
    drop(traced);
    users[8].hears(&chat(101, 109, "all of you"));
}
