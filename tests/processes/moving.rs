//! Servers that move to another parent while their users chat.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::*;

/// A user who sends numbered chats to another one until it is told to stop.
struct Chatter {
    id: u32,
    to: u32,
    client: RawClient,
}

impl Chatter {
    fn join(server: &Server, id: u32, to: u32) -> Self {
        let mut client = server.connect();
        client.send(&user_that_reads_cut_frames(id, &format!("u{id}"), ""));
        Self { id, to, client }
    }

    /// Sends chats until `must_stop`, and then one that is the last. Returns the number of all.
    fn run(&self, must_stop: &AtomicBool) -> u64 {
        let mut stream = self.client.stream.try_clone().expect("a descriptor");
        for number in 0.. {
            let is_last = must_stop.load(Ordering::Relaxed);
            let text = if is_last { "last".to_owned() } else { number.to_string() };
            stream.write_all(&chat(self.id, self.to, &text)).expect("the server reads");
            if is_last {
                return number + 1;
            }
            thread::sleep(Duration::from_micros(300)); // the pace of the traffic, not a wait
        }
        unreachable!("it is told to stop")
    }

    /// Reads until the last chat has come. Checks that all have, in order, and no quit.
    fn check(&mut self, from: u32, count: u64) {
        self.client.expect_frame(&chat(from, self.id, "last"));
        let mut texts = (0..count - 1).map(|number| number.to_string()).collect::<Vec<_>>();
        texts.push("last".to_owned());
        let mut expected = texts.iter().map(|text| chat(from, self.id, text));
        for frame in split_frames(&self.client.received) {
            match frame[0] {
                0x81 => assert_eq!(Some(frame.to_vec()), expected.next(), "chats to {}", self.id),
                0x82 => panic!("user {} was sent a quit: {frame:02x?}", self.id),
                _ => {}
            }
        }
        assert_eq!(expected.next(), None, "all chats to {}", self.id);
    }
}

#[test]
fn children_of_a_server_that_gets_sigterm_move_and_no_chat_is_lost() {
    let child_of =
        |id, parent: &Server| Server::start(&["--id", id, "--parent", &parent.address()]);
    let one = Server::start(&["--id", "1"]);
    let mut two = child_of("2", &one);
    let (three, four) = (child_of("3", &two), child_of("4", &two));
    one.wait_for_hosts(&[2, 3, 4]);
    // Two pairs: over the server that stops and its parent, and between two of its children.
    let mut chatters = [
        Chatter::join(&one, 101, 103),
        Chatter::join(&three, 103, 101),
        Chatter::join(&three, 113, 104),
        Chatter::join(&four, 104, 113),
    ];
    for server in [&one, &three, &four] {
        let ids = [101, 103, 104, 113].into_iter();
        let own = server.state()["id"].as_u64().expect("an id");
        let servers = (1..=4).filter(|&id| id != own);
        server.wait_for_hosts(&servers.chain(ids).collect::<Vec<_>>());
    }
    let must_stop = AtomicBool::new(false);
    let counts = thread::scope(|scope| {
        let runs = chatters.each_ref().map(|chatter| scope.spawn(|| chatter.run(&must_stop)));
        two.send_signal(Signal::TERM);
        assert_eq!(two.wait_for_exit().code(), Some(0));
        for server in [&three, &four] {
            server.wait_for_log("moved to server 1 in 0.");
        }
        must_stop.store(true, Ordering::Relaxed);
        runs.map(|run| run.join().expect("a thread"))
    });
    for (to, from) in [(0, 1), (1, 0), (2, 3), (3, 2)] {
        let source = chatters[from].id;
        chatters[to].check(source, counts[from]);
    }
}
