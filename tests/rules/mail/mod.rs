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

/// A server, and on it client 7, who has something to say to those who are away.
struct Alone {
    world: World,
    one: usize,
    seven: Direct,
}

fn alone() -> Alone {
    alone_in(world(), Limits::default())
}

fn alone_in(mut world: World, limits: Limits) -> Alone {
    let one = world.start(ServerSpec { limits, ..ServerSpec::new(1, None) });
    let seven = direct(&mut world, one, 7);
    Alone { world, one, seven }
}

/// The same with a second server, which has joined the first.
struct Pair {
    world: World,
    one: usize,
    two: usize,
    seven: Direct,
}

fn pair() -> Pair {
    pair_in(world())
}

fn pair_in(world: World) -> Pair {
    let Alone { mut world, one, seven } = alone_in(world, Limits::default());
    let two = world.start(ServerSpec::new(2, Some(1)));
    world.settle();
    Pair { world, one, two, seven }
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
