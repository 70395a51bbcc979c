//! Lost server links.

use super::*;

#[test]
fn after_the_grace_of_a_split_the_users_behind_it_leave() {
    let Chain { mut world, middle, left, right, sam } = chain();
    world.hang_up(right);
    world.pass(SPLIT_GRACE - SECOND);
    world.send(left, &chat(101, 103, "are you there?"));
    world.settle();
    assert_heard(&mut world, left, &[]);
    assert_heard(&mut world, sam, &[]);
    assert_eq!(host_ids(world.node(middle).expect("alive")), [1, 3, 101, 102, 103]);
    world.pass(2 * SECOND);
    assert_heard(&mut world, sam, &[quit(103, "split")]);
    assert_heard(&mut world, left, &[quit(103, "split"), status(2, 101, 1, "Unknown ID 103")]);
    assert_eq!(host_ids(world.node(middle).expect("alive")), [1, 101, 102]);
}

#[test]
fn who_rejoins_within_the_grace_was_never_away() {
    let Chain { mut world, middle, left, right, sam } = chain();
    world.hang_up(right);
    world.settle();
    world.send(left, &chat(101, 103, "wait for it"));
    world.settle();
    let again = says(&mut world, middle, &server(3, "three", ""));
    let own = registration(Kind::Server, 2, 2, "s2", "simulated");
    let seeds = [
        registration(Kind::Server, 1, 2, "one", ""),
        registration(Kind::User, 101, 2, "frodo", ""),
        registration(Kind::User, 102, 2, "sam", ""),
    ];
    let answer: Vec<Vec<u8>> = std::iter::once(own).chain(seeds).collect();
    assert_heard(&mut world, again, &answer); // and not of merry, who may be behind it
    world.send(again, &registration(Kind::User, 103, 3, "merry", ""));
    world.settle();
    assert_heard(&mut world, again, &[chat(101, 103, "wait for it")]);
    world.pass(2 * SPLIT_GRACE);
    assert_heard(&mut world, left, &[]);
    assert_heard(&mut world, sam, &[]);
    assert_eq!(host_ids(world.node(middle).expect("alive")), [1, 3, 101, 102, 103]);
}

#[test]
fn another_user_under_a_lost_id_is_another_user() {
    let Chain { mut world, middle, right, sam, .. } = chain();
    world.hang_up(right);
    world.settle();
    let again = says(&mut world, middle, &server(3, "three", ""));
    world.send(again, &registration(Kind::User, 103, 3, "pippin", ""));
    world.settle();
    assert_heard(
        &mut world,
        sam,
        &[quit(103, "split"), registration(Kind::User, 103, 2, "pippin", "")],
    );
    // Nobody else takes a lost id at this server while it may come back.
    world.hang_up(again);
    world.settle();
    let thief = says(&mut world, middle, &user(103, "gollum", ""));
    assert_heard(
        &mut world,
        thief,
        &[status(2, 0, 2, "Someone has already registered with ID 103")],
    );
}

#[test]
fn a_server_that_joined_during_a_split_hears_of_who_comes_back_and_of_nobody_else() {
    let Chain { mut world, middle, right, .. } = chain();
    world.send(right, &registration(Kind::User, 104, 3, "pippin", ""));
    world.settle();
    world.hang_up(right);
    world.settle();
    let newcomer = says(&mut world, middle, &server(4, "four", ""));
    let heard_first = heard(&mut world, newcomer);
    assert_eq!(heard_first.len(), 4, "the server, one, frodo and sam");
    let again = says(&mut world, middle, &server(5, "three by another id", ""));
    world.send(again, &registration(Kind::User, 103, 5, "merry", ""));
    world.settle();
    assert_heard(
        &mut world,
        newcomer,
        &[
            registration(Kind::Server, 5, 2, "three by another id", ""),
            registration(Kind::User, 103, 2, "merry", ""),
        ],
    );
    world.pass(2 * SPLIT_GRACE);
    assert_heard(&mut world, newcomer, &[]); // pippin, of whom it never heard, leaves in silence
    assert_eq!(host_ids(world.node(middle).expect("alive")), [1, 4, 5, 101, 102, 103]);
}

#[test]
fn what_waits_for_the_lost_is_bounded() {
    let Chain { mut world, right, left, .. } = chain();
    world.hang_up(right);
    world.settle();
    let text = "x".repeat(SPLIT_WAITING_BYTES_MAX / 2 - SPLIT_WAITING_CHAT_BYTES);
    for _ in 0..3 {
        world.send(left, &chat(101, 103, &text));
    }
    world.settle();
    assert_heard(&mut world, left, &[status(2, 101, 1, "Unknown ID 103")]);
}

#[test]
fn a_server_that_says_it_leaves_is_forgotten_at_once_its_users_after_the_grace() {
    let Chain { mut world, middle, left, right, sam } = chain();
    world.send(right, &registration(Kind::Server, 4, 3, "four", ""));
    world.send(right, &server_quit(4, 3, "four first"));
    world.settle();
    assert_eq!(host_ids(world.node(middle).expect("alive")), [1, 3, 101, 102, 103]);
    world.send(right, &server_quit(3, 1, "bye"));
    world.settle();
    assert!(world.is_closed(right));
    assert_eq!(host_ids(world.node(middle).expect("alive")), [1, 101, 102, 103]);
    heard(&mut world, left);
    world.pass(SPLIT_GRACE + SECOND);
    assert_heard(&mut world, left, &[quit(103, "split")]);
    assert_heard(&mut world, sam, &[quit(103, "split")]);
}

#[test]
fn empty_chats_that_wait_are_bounded_too() {
    let Chain { mut world, right, left, .. } = chain();
    world.hang_up(right);
    world.settle();
    let count = SPLIT_WAITING_BYTES_MAX / SPLIT_WAITING_CHAT_BYTES;
    for _ in 0..=count {
        world.send(left, &chat(101, 103, ""));
    }
    world.settle();
    assert_heard(&mut world, left, &[status(2, 101, 1, "Unknown ID 103")]);
}

#[test]
fn a_user_who_moves_to_another_neighbour_and_quits_is_gone_everywhere() {
    for seed in 0..100 {
        let weather = Weather { delay_max: Duration::from_millis(20), cuts: false };
        let mut world = World::new(seed, weather);
        let one = world.start(ServerSpec::new(1, None));
        let two = world.start(ServerSpec::new(2, Some(1)));
        world.settle();
        let (from, to) = (
            says(&mut world, one, &server(3, "a", "")),
            says(&mut world, two, &server(4, "c", "")),
        );
        world.send(from, &registration(Kind::User, 101, 3, "sam", ""));
        world.hang_up(from);
        world.send(to, &registration(Kind::User, 101, 4, "sam", ""));
        world.pass(SECOND);
        world.send(to, &quit(101, "bye"));
        world.pass(60 * SECOND);
        for server in [one, two] {
            let known = host_ids(world.node(server).expect("alive"));
            assert!(!known.contains(&101), "seed {seed}: a ghost in {known:?}");
        }
    }
}

#[test]
fn who_wrote_to_one_whose_id_comes_back_as_another_is_told() {
    let Chain { mut world, middle, left, right, .. } = chain();
    world.hang_up(right);
    world.settle();
    world.send(left, &chat(101, 103, "merry?"));
    world.settle();
    let again = says(&mut world, middle, &server(3, "three", ""));
    world.send(again, &registration(Kind::User, 103, 3, "pippin", ""));
    world.settle();
    assert_heard(
        &mut world,
        left,
        &[
            quit(103, "split"),
            status(2, 101, 1, "Unknown ID 103"),
            registration(Kind::User, 103, 2, "pippin", ""),
        ],
    );
}

#[test]
fn what_waited_for_a_lost_server_itself_comes_after_its_sender() {
    let Chain { mut world, middle, left, right, .. } = chain();
    world.hang_up(right);
    world.settle();
    world.send(left, &chat(101, 3, "are you there?"));
    world.settle();
    let again = says(&mut world, middle, &server(3, "three", ""));
    let expected = [
        registration(Kind::Server, 2, 2, "s2", "simulated"),
        registration(Kind::User, 101, 2, "frodo", ""),
        chat(101, 3, "are you there?"),
        registration(Kind::Server, 1, 2, "one", ""),
        registration(Kind::User, 102, 2, "sam", ""),
    ];
    assert_heard(&mut world, again, &expected);
}

/// So many that their quits are more than a client's queue may hold.
const MANY: u32 = 40_000;

/// A server, a link behind which there are [`MANY`], and a user who has heard of them all.
fn with_many(world: &mut World) -> (usize, ClientId, ClientId) {
    let middle = world.start(ServerSpec::new(2, None));
    let link = says(world, middle, &server(3, "three", ""));
    let told = |id| registration(Kind::User, id, 3, "", "");
    world.send(link, &(1000..1000 + MANY).flat_map(told).collect::<Vec<u8>>());
    let frodo = says(world, middle, &user(101, "frodo", ""));
    world.pass(SECOND);
    heard(world, frodo);
    (middle, link, frodo)
}

fn quits(world: &mut World, client: ClientId) -> usize {
    heard(world, client).iter().filter(|frame| frame[0] == 0x82).count()
}

#[test]
fn many_who_are_lost_leave_as_those_who_hear_of_it_have_room() {
    let mut world = world();
    let (middle, right, frodo) = with_many(&mut world);
    let near = says(&mut world, middle, &server(4, "four", ""));
    world.pass(SECOND);
    heard(&mut world, near);
    world.hang_up(right);
    world.pass(SPLIT_GRACE + 10 * SECOND);
    for client in [frodo, near] {
        assert!(!world.is_closed(client));
        assert_eq!(quits(&mut world, client), MANY as usize);
    }
    assert_eq!(host_ids(world.node(middle).expect("alive")), [4, 101]);
}

#[test]
fn who_does_not_read_does_not_keep_the_lost_for_long() {
    let mut world = world();
    let (middle, right, frodo) = with_many(&mut world);
    let deaf = says(&mut world, middle, &user(102, "sam", ""));
    world.pass(SECOND);
    heard(&mut world, frodo);
    world.deafen(deaf);
    world.hang_up(right);
    world.pass(SPLIT_GRACE + SPLIT_PATIENCE / 2);
    let so_far = quits(&mut world, frodo);
    assert!(so_far > 0 && so_far < MANY as usize, "{so_far}");
    assert!(!world.is_closed(deaf), "it may begin to read again");
    world.pass(SPLIT_PATIENCE + 10 * SECOND);
    assert!(world.is_closed(deaf));
    assert_eq!(so_far + quits(&mut world, frodo), MANY as usize + 1, "and sam");
}

#[test]
fn who_comes_back_while_the_others_leave_stays() {
    let mut world = world();
    let (middle, right, frodo) = with_many(&mut world);
    world.deafen(frodo); // the end of the split waits for it
    world.hang_up(right);
    world.pass(SPLIT_GRACE + SECOND);
    let last = 1000 + MANY - 1;
    let again = says(&mut world, middle, &server(3, "three", ""));
    world.send(again, &registration(Kind::User, last, 3, "", ""));
    world.settle();
    world.undeafen(frodo);
    world.pass(10 * SECOND);
    assert!(!world.is_closed(frodo));
    assert_eq!(quits(&mut world, frodo), MANY as usize - 1);
    assert_eq!(host_ids(world.node(middle).expect("alive")), [3, 101, last]);
}
