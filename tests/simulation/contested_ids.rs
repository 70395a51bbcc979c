//! Registrations of the same ids at several servers at once.

use super::*;

/// Few ids are registered at all ends of the tree at once while links are cut. Once every client
/// has disconnected, no table has a user.
#[test]
fn contested_ids_leave_no_host_behind() {
    for seed in seeds(0..400) {
        println!("seed {seed}");
        let conditions = match seed % 2 {
            0 => NetConditions::default(),
            _ => NetConditions { delay_max: Duration::from_millis(300), splits_writes: true },
        };
        let mut world = World::new(seed, conditions);
        let mut rng = StdRng::seed_from_u64(seed ^ 0x1d);
        let count = rng.random_range(2..=6_u32);
        let servers: Vec<usize> = (1..=count)
            .map(|id| {
                let parent = (id > 1).then(|| rng.random_range(1..id));
                world.start(server_spec(seed, id, parent))
            })
            .collect();
        world.run_for(Duration::from_secs(10));
        let mut clients: Vec<(u32, ClientId)> = Vec::new();
        for _ in 0..40 {
            let server = *servers.choose(&mut rng).expect("servers");
            match rng.random_range(0..8) {
                0..=2 => {
                    let id = 100 + rng.random_range(0..4);
                    let client = world.connect(server);
                    let name = format!("n{}", rng.random_range(0..3));
                    world.send(client, &frames::user(id, &name, ""));
                    clients.push((id, client));
                }
                3 | 4 if !clients.is_empty() => {
                    let (id, client) = clients.swap_remove(rng.random_range(0..clients.len()));
                    if rng.random() {
                        world.send(client, &quit(id, "bye"));
                    } else {
                        world.disconnect(client);
                    }
                }
                5 if seed % 4 < 2 => world.cut_uplink(server),
                _ => world.run_for(Duration::from_millis(rng.random_range(0..900))),
            }
        }
        world.run_for(Duration::from_secs(30));
        for (_, client) in clients {
            world.disconnect(client);
        }
        world.run_for(Duration::from_secs(60));
        assert_tables_agree(&world, &servers, &BTreeMap::new());
    }
}
