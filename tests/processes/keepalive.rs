//! TCP keepalive: what the kernel knows of the timers of a server's connections.

use std::net::SocketAddr;

use super::*;

/// Timer of a socket in `/proc/net/tcp`: the next keepalive probe.
const KEEPALIVE_TIMER: &str = "02";

/// Returns the time until the next keepalive probe of the server's end of a connection, if that is
/// the timer that is set.
fn next_probe_in(client: &RawClient) -> Option<Duration> {
    let in_hex = |address: SocketAddr| match address {
        SocketAddr::V4(address) => {
            format!("{:08X}:{:04X}", u32::from_le_bytes(address.ip().octets()), address.port())
        }
        SocketAddr::V6(_) => unreachable!("servers of tests listen on 127.0.0.1"),
    };
    let local = in_hex(client.stream.peer_addr().expect("connected"));
    let remote = in_hex(client.stream.local_addr().expect("connected"));
    let table = fs::read_to_string("/proc/net/tcp").expect("the sockets of this machine");
    let row = table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        (fields.get(1..3)? == [local.as_str(), remote.as_str()]).then_some(fields)
    })?;
    let (timer, ticks) = row[5].split_once(':').expect("a timer and its time");
    let ticks = u64::from_str_radix(ticks, 16).expect("a number");
    let ticks_per_second = rustix::param::clock_ticks_per_second();
    (timer == KEEPALIVE_TIMER).then(|| Duration::from_millis(ticks * 1000 / ticks_per_second))
}

#[track_caller]
fn check_next_probe(client: &RawClient, at_most: Duration) {
    let seconds = at_most.as_secs();
    eventually(&format!("the next probe is due in {seconds} s at most, and not soon"), || {
        let next = next_probe_in(client)?;
        (next <= at_most && next > at_most / 2).then_some(())
    });
}

#[test]
fn client_is_probed_after_a_minute_and_a_server_after_the_ping_interval() {
    let one = Server::start(&["--id", "1", "--ping-interval", "8", "--ping-timeout", "20"]);
    let (mut frodo, mut two) = (one.connect(), one.connect());
    frodo.send(&user(101, "frodo", ""));
    frodo.expect_frame(&welcome_frame(1, "frodo"));
    check_next_probe(&frodo, Duration::from_secs(60));
    check_next_probe(&two, Duration::from_secs(60));
    two.send(&server(2, "two", ""));
    one.wait_for_hosts(&[2, 101]);
    check_next_probe(&two, Duration::from_secs(8));
    check_next_probe(&frodo, Duration::from_secs(60));
}
