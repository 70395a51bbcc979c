//! Clients and servers that pause reading during bursts.

use super::*;

/// Users and servers read slowly, so that bursts take long, while hosts join, quit and are lost. In
/// the end each view is right, and no host was announced twice.
#[test]
fn slow_readers_receive_a_consistent_host_table() {
    for seed in seeds(0..100) {
        println!("seed {seed}");
        let mut world = World::new(seed, NetConditions::default());
        let mut rng = StdRng::seed_from_u64(seed ^ 0x510);
        let one = world.start(server_spec(seed, 1, None));
        let info = "i".repeat(1500);
        let mut neighbours: [Option<ClientId>; 3] = [None; 3];
        let mut readers: Vec<ClientId> = Vec::new();
        let mut next_number = 0;
        for _ in 0..60 {
            let index = rng.random_range(0..neighbours.len());
            let hop = 10 + index as u32;
            let random_id = 1000 * (index as u32 + 1) + rng.random_range(0..40);
            match (rng.random_range(0..10), neighbours[index], readers.is_empty()) {
                (0..=3, ..) => {
                    let neighbour = *neighbours[index].get_or_insert_with(|| {
                        let neighbour = world.connect(one);
                        world.send(neighbour, &frames::server(hop, "near", ""));
                        neighbour
                    });
                    for id in (0..40).filter(|_| rng.random_range(0..3) > 0) {
                        let id = 1000 * (index as u32 + 1) + id;
                        let user_frame = frames::registration(HostKind::User, id, hop, "u", &info);
                        world.send(neighbour, &user_frame);
                    }
                }
                (4, Some(neighbour), _) => {
                    neighbours[index] = None;
                    world.disconnect(neighbour);
                }
                (5, Some(neighbour), _) => world.send(neighbour, &quit(random_id, "bye")),
                (6, ..) => {
                    let reader = world.connect(one);
                    let number = readers.len() as u32;
                    world.pause_reading(reader);
                    world.send(
                        reader,
                        &match rng.random() {
                            true => frames::user(5000 + number, "reader", ""),
                            false => frames::server(6000 + number, "reader", ""),
                        },
                    );
                    readers.push(reader);
                }
                (7, _, false) => world.resume_reading(*readers.choose(&mut rng).expect("one")),
                (8, Some(neighbour), false) => {
                    let to = 5000 + rng.random_range(0..readers.len()) as u32;
                    let count = if rng.random() { LONG_RUN_CHATS } else { 1 };
                    world.send(
                        neighbour,
                        &chat_run(random_id, to, next_number..next_number + count),
                    );
                    next_number += count;
                }
                _ => world.run_for(Duration::from_millis(rng.random_range(0..3000))),
            }
            world.run_until_quiescent();
        }
        for &reader in &readers {
            world.resume_reading(reader);
        }
        world.run_for(Duration::from_secs(20));
        for (&reader, number) in readers.iter().zip(0..) {
            let is_closed = world.is_closed(reader); // it may have read too slowly
            let mut view = ClientView { allows_servers: true, ..ClientView::default() };
            view.receive(&world.take_received(reader));
            let relay = world.node(one).expect("alive").relay();
            let users = relay.hosts().iter().filter(|host| host.kind == HostKind::User);
            let others: BTreeSet<u32> =
                users.map(|host| host.id.0).filter(|&id| id != 5000 + number).collect();
            assert!(is_closed || view.users == others, "users announced to reader {number}");
            assert!(view.chats.is_sorted_by(|a, b| a.1 < b.1), "chats of reader {number}");
        }
    }
}
