//! Servers that stop: their children join another server, and nobody notices.

use crc::link::Machine as _;

use super::*;

/// A network of four servers with a user on each, in which one is stopped.
struct Network {
    world: World,
    servers: Vec<usize>,
    users: Vec<(u32, ClientId, ClientView)>,
}

impl Network {
    /// Starts servers 1 to 4; `parents` has the parent of each.
    fn new(seed: u64, parents: [Option<u32>; 4]) -> Self {
        let conditions =
            NetConditions { delay_max: Duration::from_millis(20), splits_writes: false };
        let mut world = World::new(seed, conditions);
        let specs = (1..).zip(parents).map(|(id, parent)| ServerSpec::new(id, parent));
        let servers: Vec<usize> = specs.map(|spec| world.start(spec)).collect();
        world.run_for(Duration::from_secs(2));
        let users = (0..4).map(|index| {
            let id = 101 + index as u32;
            (id, join_user(&mut world, servers[index], id), ClientView::default())
        });
        let users = users.collect();
        world.run_for(Duration::from_secs(2));
        Self { world, servers, users }
    }

    /// Stops a server and checks that the other users have only seen its own user leave, and that
    /// a chat between each pair arrives within a second.
    fn stop_and_check(mut self, stopped: usize) {
        self.world.with_node(self.servers[stopped], |node, now| node.stop(now));
        self.world.run_for(Duration::from_secs(1));
        let left = self.users.remove(stopped).0;
        let ids: Vec<u32> = self.users.iter().map(|(id, ..)| *id).collect();
        for &(id, client, _) in &self.users {
            for &to in ids.iter().filter(|&&to| to != id) {
                self.world.send(client, &chat(id, to, "still there"));
            }
        }
        self.world.run_for(Duration::from_secs(1));
        for (id, client, view) in &mut self.users {
            view.receive(&self.world.take_received(*client));
            let others: BTreeSet<u32> = ids.iter().copied().filter(|other| other != id).collect();
            assert_eq!(view.users, others, "users that {id} sees");
            assert_eq!(view.quits, [left], "quits that {id} has seen");
            let mut senders: Vec<u32> = view.chats.iter().map(|&(from, _)| from).collect();
            senders.sort_unstable();
            assert_eq!(senders, others.into_iter().collect::<Vec<_>>(), "chats to {id}");
        }
        let is_running = self.world.node(self.servers[stopped]).is_some();
        assert!(!is_running, "server {} has ended", stopped + 1);
    }
}

#[test]
fn children_of_a_stopping_server_join_its_parent_unnoticed() {
    for seed in seeds(0..50) {
        println!("seed {seed}");
        Network::new(seed, [None, Some(1), Some(2), Some(2)]).stop_and_check(1);
    }
}

#[test]
fn children_of_a_stopping_root_join_one_of_them_unnoticed() {
    for seed in seeds(0..50) {
        println!("seed {seed}");
        Network::new(seed, [None, Some(1), Some(1), Some(1)]).stop_and_check(0);
    }
}
