//! Mail (contract section 3): what is said to an id that nobody has.

mod delivered;
mod losses;
mod on_its_way;
mod store;

use std::cell::RefCell;

use super::direct::{Direct, direct, hears, saying, texts};
use super::*;

use crc::limits::{MAIL_COLLECT_BYTES, MAIL_UNKEPT_BYTES_MAX};
use crc::mail::{MailId, Reply, Request};
use crc::relay::message::WideId;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn pair(world: &mut World) -> (usize, usize) {
    let one = world.start(ServerSpec::new(1, None));
    let two = world.start(ServerSpec::new(2, Some(1)));
    world.settle();
    (one, two)
}

/// How many messages a server keeps for each id.
fn kept(world: &World, server: usize) -> Vec<(i64, u64)> {
    let waiting = world.node(server).expect("alive").mail().waiting();
    waiting.into_iter().map(|(WideId(to), waiting)| (to, waiting.messages)).collect()
}

fn numbers(from: i64, range: std::ops::Range<u32>) -> Vec<(i64, String)> {
    range.map(|number| (from, number.to_string())).collect()
}

fn send_numbers(world: &mut World, direct: &Direct, to: i64, range: std::ops::Range<u32>) {
    let bytes: Vec<u8> = range.flat_map(|number| saying(to, &number.to_string())).collect();
    world.send(direct.client, &bytes);
    world.settle();
}

#[track_caller]
fn assert_hears(world: &mut World, direct: &Direct, expected: &[(i64, String)]) {
    let heard = hears(world, direct);
    let heard: Vec<(i64, String)> =
        texts(&heard).into_iter().map(|(from, text)| (from, text.to_owned())).collect();
    assert_eq!(heard, expected);
}

/// A client known as 8 that reads nothing by itself.
fn direct_deaf(world: &mut World, server: usize) -> ClientId {
    let client = world.connect_by(server, Door::Direct);
    world.deafen(client);
    world.send(client, &[0, 0, 0, 2, 0x20, 8]);
    world.settle();
    client
}
