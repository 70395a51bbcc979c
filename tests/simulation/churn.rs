//! Random trees under churn: users join, quit and chat, uplinks are cut, servers restart.

use crc::limits::UPLINK_REFUSED_RETRY_DELAY;

use super::*;

/// Runs a random tree in which users join, quit and chat while uplinks are cut and servers are
/// killed and restarted. Asserts that all tables agree, that every client's view is right, and that
/// a probe between every pair arrives once and in order.
fn churn(seed: u64, conditions: NetConditions) {
    let mut world = World::new(seed, conditions);
    let mut rng = StdRng::seed_from_u64(seed ^ 0x5eed);
    let count = rng.random_range(2..=9_u32);
    let parents: Vec<Option<u32>> =
        (1..=count).map(|id| (id > 1).then(|| rng.random_range(1..id))).collect();
    let spec = |index: usize| server_spec(seed, index as u32 + 1, parents[index]);
    let mut servers: Vec<usize> =
        (0..parents.len()).map(|place| world.start(spec(place))).collect();
    world.run_for(Duration::from_secs(10));
    // By id: the connection, the index of the server, and the view.
    let mut clients: BTreeMap<u32, (ClientId, usize, ClientView)> = BTreeMap::new();
    let mut next_id = 1000;
    for _ in 0..rng.random_range(20..80) {
        let index = rng.random_range(0..servers.len());
        let ids: Vec<u32> = clients.keys().copied().collect();
        match (rng.random_range(0..12), ids.choose(&mut rng), ids.choose(&mut rng)) {
            (0..=3, ..) => {
                let client = join_user(&mut world, servers[index], next_id);
                clients.insert(next_id, (client, index, ClientView::default()));
                next_id += 1;
            }
            (4, Some(id), _) => {
                let (client, ..) = clients.remove(id).expect("the one chosen");
                if rng.random() {
                    world.send(client, &quit(*id, "bye"));
                } else {
                    world.disconnect(client);
                }
            }
            (5..=7, Some(&a), Some(&b)) if a != b => {
                let count = if draw_is_long(&mut rng, conditions) { LONG_RUN_CHATS } else { 1 };
                world.send(clients[&a].0, &chat_run(a, b, 0..count));
            }
            (8 | 9, ..) => world.cut_uplink(servers[index]),
            (10, ..) => {
                world.kill(servers[index]);
                clients.retain(|_, (_, home, _)| *home != index);
                world.run_for(Duration::from_millis(rng.random_range(0..9000)));
                servers[index] = world.start(spec(index));
            }
            _ => world.run_for(Duration::from_millis(rng.random_range(0..800))),
        }
    }
    world.run_until_quiescent();
    world.run_for(2 * UPLINK_REFUSED_RETRY_DELAY); // a server may have come back before its loss was noticed
    let users: BTreeMap<u32, usize> =
        clients.iter().map(|(&id, &(_, place, _))| (id, servers[place])).collect();
    assert_tables_agree(&world, &servers, &users);
    let ids: Vec<u32> = users.keys().copied().collect();
    for (&id, (client, _, view)) in &mut clients {
        view.receive(&world.take_received(*client));
        let others: BTreeSet<u32> = ids.iter().copied().filter(|&other| other != id).collect();
        assert_eq!(view.users, others, "users that {id} sees");
        view.chats.clear();
    }
    // One chat to everyone and a long run to some, so that runs meet chats that wait for others.
    let mut expected: BTreeMap<u32, BTreeMap<u32, Vec<Vec<u8>>>> = BTreeMap::new();
    for &a in &ids {
        let mut chats = Vec::new();
        for &b in ids.iter().filter(|&&b| b != a) {
            let is_long = draw_is_long(&mut rng, conditions) && rng.random_range(0..ids.len()) < 3;
            let probes = 0..if is_long { LONG_RUN_CHATS } else { 1 };
            chats.extend(chat_run(a, b, probes.clone()));
            expected
                .entry(b)
                .or_default()
                .insert(a, probes.map(|n| numbered_text(n).into_bytes()).collect());
        }
        world.send(clients[&a].0, &chats);
    }
    world.run_until_quiescent();
    for (&id, (client, _, view)) in &mut clients {
        view.receive(&world.take_received(*client));
        let mut received: BTreeMap<u32, Vec<Vec<u8>>> = BTreeMap::new();
        for (from, text) in view.chats.drain(..) {
            received.entry(from).or_default().push(text);
        }
        assert!(received == expected.remove(&id).unwrap_or_default(), "probes that reached {id}");
    }
}

#[test]
fn network_converges_under_default_conditions() {
    for seed in seeds(0..60) {
        println!("seed {seed}");
        churn(seed, NetConditions::default());
    }
}

#[test]
fn network_converges_with_split_writes_and_long_delays() {
    for seed in seeds(1000..1060) {
        println!("seed {seed}");
        churn(seed, NetConditions { delay_max: Duration::from_millis(300), splits_writes: true });
    }
}
