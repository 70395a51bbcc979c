//! Mail, see `docs/PROTOCOL.md`, "The direct wire".

mod delivery;
mod in_flight;
mod losses;
mod refusals;
mod store;

use std::cell::RefCell;

use super::direct::{DirectClient, connect_with_id, sender_texts, take_messages, text_frame};
use super::*;

use crc::id::WideId;
use crc::limits::{MAIL_FETCH_BYTES_MAX, MAIL_UNACKED_BYTES_MAX};
use crc::mail::{MailId, StoreReply, StoreRequest};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A server with the direct client 7, which sends mail.
struct OneServer {
    world: World,
    one: usize,
    seven: DirectClient,
}

fn one_server() -> OneServer {
    one_server_in(world(), Limits::default())
}

fn one_server_in(mut world: World, limits: Limits) -> OneServer {
    let one = world.start(ServerSpec { limits, ..ServerSpec::new(1, None) });
    let seven = connect_with_id(&mut world, one, 7);
    OneServer { world, one, seven }
}

/// Two servers, and on the first the direct client 7.
struct TwoServers {
    world: World,
    one: usize,
    two: usize,
    seven: DirectClient,
}

fn two_servers() -> TwoServers {
    two_servers_in(world())
}

fn two_servers_in(world: World) -> TwoServers {
    let OneServer { mut world, one, seven } = one_server_in(world, Limits::default());
    let two = world.start(ServerSpec::new(2, Some(1)));
    world.run_until_quiescent();
    TwoServers { world, one, two, seven }
}

/// Returns the number of messages that a server keeps for each id.
fn stored_counts(world: &World, server: usize) -> Vec<(i64, u64)> {
    let mailboxes = world.node(server).expect("alive").spool().backlogs();
    mailboxes.into_iter().map(|(WideId(to), waiting)| (to, waiting.messages)).collect()
}

fn numbered_texts(from: i64, range: std::ops::Range<u32>) -> Vec<(i64, String)> {
    range.map(|number| (from, number.to_string())).collect()
}

fn send_numbered_texts(
    world: &mut World,
    direct: &DirectClient,
    to: i64,
    range: std::ops::Range<u32>,
) {
    let bytes: Vec<u8> = range.flat_map(|number| text_frame(to, &number.to_string())).collect();
    world.send(direct.client, &bytes);
    world.run_until_quiescent();
}

#[track_caller]
fn assert_messages(world: &mut World, direct: &DirectClient, expected: &[(i64, String)]) {
    let received = take_messages(world, direct);
    let received: Vec<(i64, String)> =
        sender_texts(&received).into_iter().map(|(from, text)| (from, text.to_owned())).collect();
    assert_eq!(received, expected);
}

/// Connects client 8, which does not read.
fn connect_stalled(world: &mut World, server: usize) -> ClientId {
    let client = world.connect_on(server, Wire::DIRECT);
    world.pause_reading(client);
    world.send(client, &[0, 0, 0, 2, 0x20, 8]);
    world.run_until_quiescent();
    client
}
