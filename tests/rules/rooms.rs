//! Rooms: members on several wires and servers, messages, splits. See "Rooms" in
//! `docs/PROTOCOL.md`.

use super::direct::{DirectClient, connect_with_id, take_messages};
use super::*;

use crc::limits::{
    FRAME_BYTES_MAX, PING_INTERVAL, ROOM_BURST_MAX, ROOM_FRAME_HEADROOM_BYTES, ROOM_RATE,
    ROOMS_PER_USER_MAX,
};
use crc::room::RoomName;
use crc::wires::direct::codec;
use crc::wires::direct::codec::Control;

/// The first four bytes of the SHA-256 of `#lab`, whose top bit is set.
const LAB: u32 = 0xe64b_7641;
/// The next four, with the top bit set.
const LAB_SECOND: u32 = 0xd880_beb7;

/// Returns the registration by which a server shows `#lab`.
fn lab(server: u32) -> Vec<u8> {
    registration(HostKind::User, LAB, server, "#lab", "room")
}

/// Connects a CRC user, and takes what it is sent.
fn connect(world: &mut World, server: usize, id: u32, name: &str) -> ClientId {
    let client = connect_and_send(world, server, &fast_user(id, name));
    take_frames(world, client);
    client
}

/// Sends a chat, and waits until nothing is in flight.
fn say(world: &mut World, client: ClientId, from: u32, to: u32, text: &str) {
    world.send(client, &chat(from, to, text));
    world.run_until_quiescent();
}

/// Three servers in a chain, with CRC users 101, 102 and 103.
fn three_servers() -> (World, [usize; 3], [ClientId; 3]) {
    let mut world = world();
    let servers = [(1, None), (2, Some(1)), (3, Some(2))];
    let servers = servers.map(|(id, parent)| world.start(ServerSpec::new(id, parent)));
    world.run_for(SECOND);
    let names = ["frodo", "sam", "merry"];
    let mut users = Vec::new();
    for (index, name) in (0..).zip(names) {
        users.push(connect(&mut world, servers[index as usize], 101 + index, name));
    }
    for &user in &users {
        take_frames(&mut world, user);
    }
    (world, servers, users.try_into().expect("three users"))
}

/// Returns the number of members of `#lab` that a server knows, here and elsewhere.
fn members(world: &World, server: usize) -> Vec<(usize, usize)> {
    let relay = world.node(server).expect("alive").relay();
    relay.rooms().map(|room| (room.members_here, room.members_elsewhere)).collect()
}

#[test]
fn crc_users_join_speak_and_leave_by_chats() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let frodo = connect(&mut world, one, 101, "frodo");
    let sam = connect(&mut world, one, 102, "sam");
    take_frames(&mut world, frodo);
    say(&mut world, frodo, 101, 1, "/join #Lab");
    let shown = registration(HostKind::User, LAB, 1, "#Lab", "room");
    for user in [frodo, sam] {
        assert_received(&mut world, user, std::slice::from_ref(&shown));
    }
    say(&mut world, sam, 102, LAB, "Hi");
    let refusal = "Not delivered to #Lab: you are not in this room; join it first";
    assert_received(&mut world, sam, &[status(1, 0, 5, refusal)]);
    say(&mut world, sam, 102, 1, "/join #lab");
    say(&mut world, frodo, 101, LAB, "Hi all!");
    assert_received(&mut world, sam, &[chat(LAB, 102, "<frodo> Hi all!")]);
    assert_received(&mut world, frodo, &[]);
    say(&mut world, frodo, 101, 1, "/part #lab bye");
    say(&mut world, sam, 102, LAB, "Anybody?");
    assert_received(&mut world, frodo, &[]);
    // A newcomer is shown the room. Nobody is in it once its last member has quit.
    let merry = connect_and_send(&mut world, one, &fast_user(103, "merry"));
    assert!(take_frames(&mut world, merry).contains(&shown));
    world.send(sam, &quit(102, "bye"));
    world.run_until_quiescent();
    assert_received(&mut world, merry, &[quit(102, "bye"), quit(LAB, "")]);
    say(&mut world, merry, 103, LAB, "Hi");
    assert_received(&mut world, merry, &[status(1, 0, 1, &format!("Unknown ID {LAB}"))]);
}

#[test]
fn commands_are_answered_by_chats_from_the_server() {
    let (mut world, _, [frodo, sam, _]) = three_servers();
    say(&mut world, sam, 102, 2, "/join #lab");
    say(&mut world, frodo, 101, 1, "/join #lab");
    take_frames(&mut world, frodo);
    let answer = |world: &mut World, command: &str| {
        say(world, frodo, 101, 3, command);
        let frames = take_frames(world, frodo);
        let texts = frames.iter().map(|frame| {
            assert_eq!(frame[..9], chat(3, 101, "")[..9], "from the server that was asked");
            String::from_utf8_lossy(&frame[13..]).into_owned()
        });
        texts.collect::<Vec<_>>()
    };
    assert_eq!(answer(&mut world, "/rooms"), ["rooms 1/1\n#lab 2"]);
    assert_eq!(answer(&mut world, "/names #LAB"), ["names #LAB 1/1\n101 frodo\n102 sam"]);
    assert_eq!(answer(&mut world, "/names #dev"), ["names #dev 1/1"]);
    assert_eq!(answer(&mut world, "/part #dev"), ["#dev: you are not in this room; join it first"]);
    assert_eq!(answer(&mut world, "/join lab"), ["lab: the name of a room begins with #"]);
    let unknown = "/dance is not a command; /join #room, /part #room, /topic #room [TEXT], /rooms, \
                   /names #room, /away [TEXT]";
    assert_eq!(answer(&mut world, "/dance"), [unknown]);
    say(&mut world, frodo, 101, 3, "Hi there");
    assert_received(&mut world, frodo, &[status(3, 0, 1, "Unknown ID 3")]);
}

#[test]
fn room_message_goes_only_towards_members_and_once_over_each_link() {
    let (mut world, servers, [frodo, sam, merry]) = three_servers();
    world.enable_trace();
    let pippin = connect(&mut world, servers[2], 104, "pippin");
    for (client, id, server) in [(frodo, 101, 1), (merry, 103, 3), (pippin, 104, 3)] {
        say(&mut world, client, id, server, "/join #lab");
    }
    for client in [frodo, sam, merry, pippin] {
        take_frames(&mut world, client);
    }
    assert_eq!(servers.map(|server| members(&world, server)), [[(1, 2)], [(0, 3)], [(2, 1)]]);
    let shown = format!("registration, source {LAB}");
    let trace = world.trace(|end| world.default_name(end));
    let shown = trace.iter().filter(|line| line.contains(&shown)).collect::<Vec<_>>();
    assert!(!shown.is_empty() && shown.iter().all(|line| line.contains("client#")), "{shown:?}");
    world.enable_trace();
    say(&mut world, frodo, 101, LAB, "Hi all!");
    assert_received(&mut world, merry, &[chat(LAB, 103, "<frodo> Hi all!")]);
    assert_received(&mut world, pippin, &[chat(LAB, 104, "<frodo> Hi all!")]);
    assert_received(&mut world, sam, &[]);
    let trace = world.trace(|end| world.default_name(end));
    let crossings = trace.iter().filter(|line| line.contains("RoomChat")).count();
    assert_eq!(crossings, 2, "{trace:#?}");
    say(&mut world, merry, 103, 3, "/part #lab");
    say(&mut world, pippin, 104, 3, "/part #lab");
    world.enable_trace();
    say(&mut world, frodo, 101, LAB, "Still there?");
    let trace = world.trace(|end| world.default_name(end));
    assert!(!trace.iter().any(|line| line.contains("RoomChat")), "{trace:#?}");
}

#[test]
fn members_on_all_wires_hear_each_other() {
    let (mut world, servers, [frodo, _, _]) = three_servers();
    let direct = connect_with_id(&mut world, servers[1], 3_000);
    let send_direct = |world: &mut World, message: codec::Message| {
        let mut bytes = Vec::new();
        codec::encode(&message, &mut bytes);
        world.send(direct.client, &bytes);
        world.run_until_quiescent();
    };
    let join = Some(Control::Join("#lab".to_owned()));
    send_direct(&mut world, codec::Message { control: join, ..codec::Message::default() });
    assert_eq!(take_messages(&mut world, &direct), [], "nothing is said of success");
    let classic = world.connect_on(servers[2], Wire::CLASSIC);
    world.send(classic, b"-SERVER-rosie   Connect rosie\0");
    world.run_until_quiescent();
    world.send(classic, b"-SERVER-rosie   Join #lab\0");
    world.run_for(SECOND);
    world.take_received(classic);
    say(&mut world, frodo, 101, 1, "/join #lab");
    take_frames(&mut world, frodo);

    say(&mut world, frodo, 101, LAB, "from CRC");
    let room = "#lab".to_owned();
    let heard =
        codec::Message { from: 101, to: 3_000, msg: "from CRC".to_owned(), control: None, room };
    assert_eq!(take_messages(&mut world, &direct), [heard]);
    assert_eq!(world.take_received(classic), b"#lab    frodo   from CRC\0");

    let message = codec::Message { msg: "from direct".to_owned(), ..codec::Message::default() };
    send_direct(&mut world, codec::Message { room: "#LAB".to_owned(), ..message });
    assert_received(&mut world, frodo, &[chat(LAB, 101, "<3000> from direct")]);
    assert_eq!(world.take_received(classic), b"#lab    3000    from direct\0");

    world.send(classic, b"#lab    rosie   from classic\0");
    world.run_until_quiescent();
    assert_received(&mut world, frodo, &[chat(LAB, 101, "<rosie> from classic")]);
    let heard = take_messages(&mut world, &direct);
    assert_eq!(
        heard.iter().map(|it| (&*it.room, &*it.msg)).collect::<Vec<_>>(),
        [("#lab", "from classic")]
    );

    world.send(classic, b"-SERVER-rosie   Part #lab\0#lab    rosie   again\0");
    world.run_until_quiescent();
    let refusal = b"rosie   -SERVER-#lab: you are not in this room; join it first\0";
    assert_eq!(world.take_received(classic), refusal);
    let part = Some(Control::Part("#lab".to_owned()));
    send_direct(&mut world, codec::Message { control: part.clone(), ..codec::Message::default() });
    send_direct(&mut world, codec::Message { control: part, ..codec::Message::default() });
    let refusals = take_messages(&mut world, &direct);
    let refusal = "#lab: you are not in this room; join it first";
    assert_eq!(refusals.iter().map(|it| (it.from, &*it.msg)).collect::<Vec<_>>(), [(0, refusal)]);
    assert_eq!(members(&world, servers[0]), [(1, 0)]);
}

#[test]
fn membership_is_part_of_what_a_new_server_learns() {
    let (mut world, servers, [frodo, ..]) = three_servers();
    say(&mut world, frodo, 101, 1, "/join #lab");
    let four = world.start(ServerSpec::new(4, Some(3)));
    world.run_for(SECOND);
    assert_eq!(members(&world, four), [(0, 1)]);
    let pippin = connect(&mut world, four, 104, "pippin");
    say(&mut world, pippin, 104, 4, "/join #lab");
    take_frames(&mut world, pippin);
    take_frames(&mut world, frodo);
    say(&mut world, frodo, 101, LAB, "Welcome");
    assert_received(&mut world, pippin, &[chat(LAB, 104, "<frodo> Welcome")]);
    // The digests agree: nothing but pings is sent.
    world.enable_trace();
    world.run_for(PING_INTERVAL * 6);
    let trace = world.trace(|end| world.default_name(end));
    assert!(trace.iter().all(|line| !line.contains("Sync")), "{trace:#?}");
    for server in servers {
        world.node(server).expect("alive").relay().check();
    }
}

#[test]
fn messages_wait_for_members_behind_a_lost_link_and_come_once() {
    let (mut world, servers, [frodo, _, merry]) = three_servers();
    for (client, id, server) in [(frodo, 101, 1), (merry, 103, 3)] {
        say(&mut world, client, id, server, "/join #lab");
        take_frames(&mut world, client);
    }
    for round in 0..5 {
        world.send(frodo, &chat(101, LAB, &format!("before {round}")));
        world.reset_uplink(servers[1]);
        world.send(frodo, &chat(101, LAB, &format!("after {round}")));
        world.run_for(3 * SECOND);
        let expected =
            ["before", "after"].map(|it| chat(LAB, 103, &format!("<frodo> {it} {round}")));
        assert_received(&mut world, merry, &expected);
    }
    assert_received(&mut world, frodo, &[]);
    assert_eq!(servers.map(|server| members(&world, server)), [[(1, 1)], [(0, 2)], [(1, 1)]]);
}

#[test]
fn members_behind_a_split_leave_and_are_back_after_it() {
    let (mut world, servers, [frodo, _, merry]) = three_servers();
    for (client, id, server) in [(frodo, 101, 1), (merry, 103, 3)] {
        say(&mut world, client, id, server, "/join #lab");
        take_frames(&mut world, client);
    }
    world.set_isolated(servers[2], true);
    world.cut_uplink(servers[2]);
    world.run_for(4 * SPLIT_GRACE);
    assert_eq!(members(&world, servers[0]), [(1, 0)]);
    assert_eq!(members(&world, servers[2]), [(1, 0)]);
    world.set_isolated(servers[2], false);
    world.run_for(4 * SPLIT_GRACE);
    assert_eq!(members(&world, servers[0]), [(1, 1)]);
    take_frames(&mut world, merry);
    say(&mut world, frodo, 101, LAB, "Back?");
    assert_received(&mut world, merry, &[chat(LAB, 103, "<frodo> Back?")]);
}

#[test]
fn users_of_a_restarted_server_have_left_their_rooms() {
    let (mut world, servers, [frodo, _, merry]) = three_servers();
    for (client, id, server) in [(frodo, 101, 1), (merry, 103, 3)] {
        say(&mut world, client, id, server, "/join #lab");
    }
    for text in ["one", "two"] {
        say(&mut world, merry, 103, LAB, text);
        take_frames(&mut world, frodo);
    }
    world.kill(servers[2]);
    let three = world.start(ServerSpec::new(3, Some(2)));
    world.run_for(SECOND);
    let merry = connect(&mut world, three, 103, "merry");
    world.run_for(4 * SPLIT_GRACE);
    assert_eq!(members(&world, servers[0]), [(1, 0)]);
    say(&mut world, merry, 103, 3, "/join #lab");
    take_frames(&mut world, merry);
    take_frames(&mut world, frodo);
    say(&mut world, frodo, 101, LAB, "Again");
    assert_received(&mut world, merry, &[chat(LAB, 103, "<frodo> Again")]);
    // Its messages count again from the start, and are not taken for those before it.
    say(&mut world, merry, 103, LAB, "Yes");
    assert_received(&mut world, frodo, &[chat(LAB, 101, "<merry> Yes")]);
}

#[test]
fn user_behind_a_plain_neighbour_is_a_member() {
    let Chain { mut world, left, right, sam, .. } = chain();
    say(&mut world, left, 101, 2, "/join #lab");
    for client in [left, right, sam] {
        assert_received(&mut world, client, &[lab(2)]);
    }
    // The neighbours announce the room back, and on to others of ours.
    world.send(left, &lab(1));
    world.send(right, &registration(HostKind::User, LAB, 3, "#lab", "room"));
    world.run_until_quiescent();
    say(&mut world, sam, 102, 2, "/join #lab");
    say(&mut world, sam, 102, LAB, "Hi");
    assert_received(&mut world, left, &[chat(LAB, 101, "<sam> Hi")]);
    say(&mut world, left, 101, LAB, "Hi, sam");
    assert_received(&mut world, sam, &[chat(LAB, 102, "<frodo> Hi, sam")]);
    let long = "ü".repeat(800);
    say(&mut world, sam, 102, LAB, &long);
    world.run_for(SECOND); // each piece waits for its portion
    let pieces = take_frames(&mut world, left);
    let texts: Vec<_> = pieces.iter().map(|frame| String::from_utf8_lossy(&frame[13..])).collect();
    assert!(pieces.iter().all(|frame| frame.len() < 1024) && texts.len() == 2, "{texts:?}");
    assert_eq!(texts.concat().replace("<sam> ", ""), long);
}

#[test]
fn room_gives_way_to_a_host_that_takes_its_id() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let frodo = connect(&mut world, one, 101, "frodo");
    let sam = connect(&mut world, one, 102, "sam");
    for (client, id) in [(frodo, 101), (sam, 102)] {
        say(&mut world, client, id, 1, "/join #lab");
        take_frames(&mut world, client);
    }
    take_frames(&mut world, frodo);
    connect(&mut world, one, LAB, "gollum");
    let next = registration(HostKind::User, LAB_SECOND, 1, "#lab", "room");
    let gollum = registration(HostKind::User, LAB, 1, "gollum", "");
    assert_received(&mut world, frodo, &[quit(LAB, ""), next, gollum]);
    take_frames(&mut world, sam);
    say(&mut world, frodo, 101, LAB_SECOND, "Hi");
    assert_received(&mut world, sam, &[chat(LAB_SECOND, 102, "<frodo> Hi")]);
}

#[test]
fn user_is_in_a_bounded_number_of_rooms() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let frodo = connect(&mut world, one, 101, "frodo");
    for number in 0..ROOMS_PER_USER_MAX {
        say(&mut world, frodo, 101, 1, &format!("/join #{number}"));
    }
    take_frames(&mut world, frodo);
    say(&mut world, frodo, 101, 1, "/join #one-more");
    let refusal = "#one-more: you are in 50 rooms, the most there may be; leave one";
    assert_received(&mut world, frodo, &[chat(1, 101, refusal)]);
    let relay = world.node(one).expect("alive").relay();
    let name = RoomName::parse(b"#49").expect("a name");
    assert_eq!(relay.rooms().count(), ROOMS_PER_USER_MAX);
    assert_eq!(relay.room_members(name).map(|host| host.id).collect::<Vec<_>>(), [HostId(101)]);
}

/// One server with CRC users 101 and 102 and direct user 103 in `#lab`.
fn one_room() -> (World, ClientId, ClientId, DirectClient) {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let frodo = connect(&mut world, one, 101, "frodo");
    let sam = connect(&mut world, one, 102, "sam");
    let merry = connect_with_id(&mut world, one, 103);
    say(&mut world, frodo, 101, 1, "/join #lab");
    say(&mut world, sam, 102, 1, "/join #lab");
    let join = codec::Message {
        control: Some(Control::Join("#lab".to_owned())),
        ..codec::Message::default()
    };
    world.send(merry.client, &direct_frame(&join));
    world.run_until_quiescent();
    for client in [frodo, sam] {
        take_frames(&mut world, client);
    }
    world.take_received(merry.client);
    (world, frodo, sam, merry)
}

fn direct_frame(message: &codec::Message) -> Vec<u8> {
    let mut frame = Vec::new();
    codec::encode(message, &mut frame);
    frame
}

#[test]
fn user_sends_a_bounded_number_of_messages_to_a_room_and_continues_after_a_pause() {
    let (mut world, frodo, sam, _) = one_room();
    let burst = ROOM_BURST_MAX as usize;
    let text = format!(
        "Not delivered to #lab: you send too much to this room: after {ROOM_BURST_MAX} messages at \
         once, at most {ROOM_RATE} a second; wait a second, and send more slowly"
    );
    let refusal = status(1, 0, 5, &text);
    for _ in 0..burst / 100 {
        world.send(frodo, &chat(101, LAB, "Hi").repeat(100));
    }
    let begin = world.now();
    world.run_until_quiescent();
    assert_eq!(take_frames(&mut world, sam).len(), burst);
    world.send(frodo, &chat(101, LAB, "Hi").repeat(burst));
    world.run_until_quiescent();
    let more = take_frames(&mut world, sam).len();
    let earned = world.now().since(begin).as_secs_f64() * f64::from(ROOM_RATE);
    assert!(more as f64 <= earned, "{more} messages are delivered in {earned}");
    let refusals = take_frames(&mut world, frodo);
    // Those that arrive together are refused together, so it can read the answers.
    assert!((1..burst / 10).contains(&refusals.len()), "{} refusals", refusals.len());
    assert!(refusals.iter().all(|frame| *frame == refusal));
    // Nor does it help to leave the room and to come back.
    world.send(frodo, &[chat(101, 1, "/part #lab"), chat(101, 1, "/join #lab")].concat());
    world.send(frodo, &chat(101, LAB, "Hi").repeat(burst));
    world.run_until_quiescent();
    let more = take_frames(&mut world, sam).len();
    assert!(more < burst / 10, "{more} messages are delivered");
    take_frames(&mut world, frodo);
    // Others, and the same user a second later, are not concerned.
    say(&mut world, sam, 102, LAB, "What?");
    assert_received(&mut world, frodo, &[chat(LAB, 101, "<sam> What?")]);
    world.run_for(SECOND);
    say(&mut world, frodo, 101, LAB, "Sorry");
    assert_received(&mut world, sam, &[chat(LAB, 102, "<frodo> Sorry")]);
}

#[test]
fn message_that_fits_into_no_frame_between_servers_is_refused() {
    let (mut world, frodo, sam, merry) = one_room();
    let text_bytes_max = FRAME_BYTES_MAX - ROOM_FRAME_HEADROOM_BYTES;
    let send = |world: &mut World, bytes: usize| {
        let (room, msg) = ("#lab".to_owned(), "x".repeat(bytes));
        let message = codec::Message { room, msg, ..codec::Message::default() };
        world.send(merry.client, &direct_frame(&message));
        world.run_until_quiescent();
    };
    send(&mut world, text_bytes_max + 1);
    let refusal =
        format!("#lab: the message is too long; it may have {text_bytes_max} bytes at most");
    let [answer] = &take_messages(&mut world, &merry)[..] else { panic!("one answer") };
    assert_eq!((answer.from, &*answer.msg), (0, &*refusal));
    send(&mut world, text_bytes_max);
    for client in [frodo, sam] {
        assert_eq!(take_frames(&mut world, client).len(), 1);
    }
}

/// What each member gets of messages that arrive one by one, or in one read.
fn received(frames: &[Vec<u8>], speaker: usize, is_one_read: bool) -> Vec<Vec<u8>> {
    let (mut world, frodo, sam, merry) = one_room();
    let clients = [frodo, sam, merry.client];
    if is_one_read {
        world.send(clients[speaker], &frames.concat());
        world.run_until_quiescent();
    }
    for frame in frames.iter().filter(|_| !is_one_read) {
        world.send(clients[speaker], frame);
        world.run_until_quiescent();
    }
    clients.map(|client| world.take_received(client)).to_vec()
}

#[test]
fn messages_in_one_read_are_delivered_as_those_that_come_alone() {
    let crc: Vec<Vec<u8>> = (0..200)
        .map(|number| match number % 50 {
            17 => chat(101, 102, "to sam alone"),
            33 => chat(101, LAB_SECOND, "to nobody"),
            length => chat(101, LAB, &"x".repeat(length)),
        })
        .collect();
    let direct: Vec<Vec<u8>> = (0..200)
        .map(|number| {
            let room = if number % 50 == 17 { "#dev" } else { "#lab" }.to_owned();
            let msg = "x".repeat(number % 50);
            direct_frame(&codec::Message { room, msg, ..codec::Message::default() })
        })
        .collect();
    for (frames, speaker) in [(crc, 0), (direct, 2)] {
        let alone = received(&frames, speaker, false);
        assert!(
            alone.iter().enumerate().all(|(index, bytes)| index == speaker || bytes.len() > 4000)
        );
        assert_eq!(received(&frames, speaker, true), alone);
    }
}

#[test]
fn message_that_waits_for_one_member_is_not_sent_twice_when_another_link_is_lost() {
    let mut world = world();
    let servers = [(1, None), (2, Some(1)), (3, Some(1))];
    let servers = servers.map(|(id, parent)| world.start(ServerSpec::new(id, parent)));
    world.run_for(SECOND);
    let users = [(101, "frodo"), (102, "sam"), (103, "merry")];
    let mut clients = Vec::new();
    for (server, (id, name)) in (1..).zip(users) {
        let client = connect(&mut world, servers[server as usize - 1], id, name);
        say(&mut world, client, id, server, "/join #lab");
        clients.push(client);
    }
    for &client in &clients {
        take_frames(&mut world, client);
    }
    for round in 0..10 {
        world.set_isolated(servers[1], true);
        world.cut_uplink(servers[1]);
        world.run_for(SECOND / 10);
        world.send(clients[0], &chat(101, LAB, &round.to_string()));
        world.run_for(Duration::from_micros(500 * round));
        world.reset_uplink(servers[2]);
        world.run_for(SECOND);
        world.set_isolated(servers[1], false);
        world.run_for(3 * SECOND);
        for (client, id) in [(clients[1], 102), (clients[2], 103)] {
            assert_received(&mut world, client, &[chat(LAB, id, &format!("<frodo> {round}"))]);
        }
    }
}

#[test]
fn client_cannot_register_as_a_room() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let gollum = connect_and_send(&mut world, one, &user(LAB, "#LAB", "room"));
    let refusal = format!("Someone has already registered with ID {LAB}");
    assert_received(&mut world, gollum, &[status(1, 0, 2, &refusal)]);
    let other = connect_and_send(&mut world, one, &user(101, "#LAB", ""));
    assert_received(&mut world, other, &[welcome_frame(1, "#LAB")]);
}
