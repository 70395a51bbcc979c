//! System calls of a loop turn, counted by ptrace: a server is stopped while it waits, clients
//! send, and then every call is recorded until it waits again.

use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::support::{RawClient, Server, eventually};
use crc::relay::message::HostKind;
use crc_tests::frames::{chat, registration, user};

/// A system call of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Syscall {
    number: i64,
    descriptor: u64,
    /// Return value.
    result: i64,
}

const RECVFROM: i64 = 45; // recvfrom
const SENDTO: i64 = 44; // sendto
const EPOLL_WAIT: i64 = 232; // epoll_wait

struct TracedServer(Pid);

impl TracedServer {
    /// Attaches to a server and stops it.
    fn stop(server: &Server) -> Self {
        let pid = Pid::from_raw(i32::try_from(server.child.id()).expect("a process id"));
        ptrace::seize(pid, ptrace::Options::PTRACE_O_TRACESYSGOOD)
            .expect("a child may be traced; where that is forbidden, this test cannot run");
        let traced = Self(pid);
        ptrace::interrupt(pid).expect("it runs");
        traced.wait_until_stopped();
        traced
    }

    fn wait_until_stopped(&self) -> WaitStatus {
        eventually("the server stops at its next call", || {
            match waitpid(self.0, Some(WaitPidFlag::WNOHANG)).expect("a child") {
                WaitStatus::StillAlive => None,
                status => Some(status),
            }
        })
    }

    /// Runs the server until it sleeps after `writes` writes. Returns its system calls.
    fn run_until_idle(&self, writes: usize) -> Vec<Syscall> {
        /// Return value that ptrace shows on entry to a call (`-ENOSYS`).
        const SYSCALL_ENTRY_RESULT: u64 = -38_i64 as u64;
        /// More calls than any test here makes.
        const CALLS_MAX: usize = 200;
        let mut calls: Vec<Syscall> = Vec::new();
        while calls.len() < CALLS_MAX {
            ptrace::syscall(self.0, None).expect("it is stopped");
            if !matches!(self.wait_until_stopped(), WaitStatus::PtraceSyscall(_)) {
                continue;
            }
            let registers = ptrace::getregs(self.0).expect("it is stopped");
            let number = i64::try_from(registers.orig_rax).expect("a call");
            if registers.rax != SYSCALL_ENTRY_RESULT {
                let result = registers.rax.cast_signed();
                calls.push(Syscall { number, descriptor: registers.rdi, result });
            } else if number == EPOLL_WAIT
                && registers.r10 as i32 != 0 // a timeout of 0 does not sleep
                && calls.iter().filter(|call| call.number == SENDTO).count() >= writes
            {
                return calls;
            }
        }
        panic!("it does not sleep after {writes} writes: {calls:?}");
    }
}

impl Drop for TracedServer {
    fn drop(&mut self) {
        let _ = ptrace::detach(self.0, None::<Signal>);
    }
}

/// A server with all wires that logs errors only.
fn start_quiet_server() -> Server {
    let wire_options = ["--direct", "127.0.0.1:0", "--classic", "127.0.0.1:0"];
    Server::start(&[&["--id", "1", "--log", "error"][..], &wire_options].concat())
}

/// Registers `count` users from id 101, and reads their announcements, so that nothing is in
/// flight.
fn connect_users(server: &Server, count: u32) -> Vec<RawClient> {
    let mut users: Vec<RawClient> = Vec::new();
    for id in 101..101 + count {
        let mut peer = server.connect();
        peer.send(&user(id, "", ""));
        peer.expect_frame(&super::welcome_frame(1, ""));
        for other in &mut users {
            other.expect_frame(&registration(HostKind::User, id, 1, "", ""));
        }
        for other in 101..id {
            peer.expect_frame(&registration(HostKind::User, other, 1, "", ""));
        }
        users.push(peer);
    }
    users
}

/// Counts the calls with a number, and the descriptors they were made on.
fn count_calls(calls: &[Syscall], number: i64) -> (usize, usize) {
    let matching = || calls.iter().filter(move |call| call.number == number);
    let mut descriptors: Vec<u64> = matching().map(|call| call.descriptor).collect();
    descriptors.sort_unstable();
    descriptors.dedup();
    (matching().count(), descriptors.len())
}

fn check_calls(calls: &[Syscall], reads: usize, writes: usize) {
    // Only the wait that the attach has interrupted may return without events.
    let interrupted = calls.first().filter(|call| call.number == EPOLL_WAIT && call.result <= 0);
    let (waits, _) = count_calls(calls, EPOLL_WAIT);
    assert_eq!(waits - usize::from(interrupted.is_some()), 1, "{calls:?}");
    assert_eq!(count_calls(calls, RECVFROM), (reads, reads), "one read a socket: {calls:?}");
    assert_eq!(count_calls(calls, SENDTO), (writes, writes), "one write a socket: {calls:?}");
    let others = calls.iter().filter(|call| ![RECVFROM, SENDTO, EPOLL_WAIT].contains(&call.number));
    assert_eq!(others.count(), 0, "{calls:?}");
}

#[test]
fn loop_turn_makes_one_wait_and_one_read_and_write_for_each_socket() {
    let server = start_quiet_server();
    let mut users = connect_users(&server, 16);
    let traced = TracedServer::stop(&server);
    for (from, to) in (101..109).zip(109..) {
        // In three pieces, which are one read.
        for text in ["one", "two", "three"] {
            users[from as usize - 101].send(&chat(from, to, text));
        }
    }
    check_calls(&traced.run_until_idle(8), 8, 8);
    drop(traced);
    for (from, to) in (101..109).zip(109..) {
        users[to as usize - 101].expect_frame(&chat(from, to, "three"));
    }
}

#[test]
fn chats_from_many_users_to_one_are_sent_in_one_write() {
    let server = start_quiet_server();
    let mut users = connect_users(&server, 9);
    let traced = TracedServer::stop(&server);
    for from in 101..109 {
        users[from as usize - 101].send(&[chat(from, 109, "a"), chat(from, 109, "b")].concat());
    }
    check_calls(&traced.run_until_idle(1), 8, 1);
    drop(traced);
    users[8].expect_frame(&chat(108, 109, "b"));
}

#[test]
fn chats_from_one_user_to_many_are_received_in_one_read() {
    let server = start_quiet_server();
    let mut users = connect_users(&server, 9);
    let traced = TracedServer::stop(&server);
    users[0].send(&(102..110).flat_map(|to| chat(101, to, "all of you")).collect::<Vec<_>>());
    check_calls(&traced.run_until_idle(8), 1, 8);
    drop(traced);
    users[8].expect_frame(&chat(101, 109, "all of you"));
}
