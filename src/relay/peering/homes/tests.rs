use crate::id::HostId;
use crate::limits::{Limits, SPLIT_GRACE, SPLIT_QUIT_QUEUE_BYTES};
use crate::relay::extension::{Digest, Epoch, Frame, Hello, Nonce, ServerFact};
use crate::relay::message::HostKind::{Server, User};
use crate::relay::message::{Message, Registration};
use crate::relay::recorder::{Bench, hello, link_id, registration};

/// User 101 here, and server 2 with user 202.
fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.join(1, User, 101);
    bench.join_extended(2, 2);
    bench.learn_user((2, 2), (2, 5), 202);
    bench.out.take();
    bench
}

/// Lets server 2 end, and start again as another process, on link 3.
fn restart(bench: &mut Bench) {
    bench.close(2);
    let epoch = Epoch { boot: 2, attach: 0 };
    bench.join_with_hello(3, 2, &Hello { epoch, nonce: Nonce(22), ..hello(2) });
    bench.out.take();
}

/// Returns which link leads to a host.
fn first_link(bench: &Bench, id: u32) -> u32 {
    let is_first = |&link: &u32| bench.relay.topology.is_first_link(HostId(id), link_id(link));
    (1..10).find(is_first).expect("a link that leads to the host")
}

#[test]
fn lost_host_gives_way_on_a_link_on_which_it_was_not_announced() {
    let mut bench = bench();
    bench.close(2);
    bench.join_extended(3, 3);
    bench.out.take();
    bench.learn_user((3, 3), (3, 9), 202);
    assert_eq!(bench.out.take(), ["1: -202 id taken", "1: +202"]);
    assert_eq!(first_link(&bench, 202), 3);
}

#[test]
fn lost_host_with_the_smaller_stamp_stays_where_it_was_announced() {
    let mut bench = bench();
    bench.join_extended(3, 3);
    bench.close(2);
    bench.out.take();
    bench.learn_user((3, 3), (3, 9), 202);
    assert_eq!(bench.out.take(), [] as [&str; 0]);
    bench.wait(SPLIT_GRACE);
    assert!(bench.out.take().contains(&"1: -202 split".to_owned()));
}

#[test]
fn host_with_another_stamp_is_announced_again_on_extended_links() {
    let mut bench = bench();
    bench.join_extended(3, 3);
    bench.out.take();
    bench.learn_user((2, 2), (2, 5), 202);
    assert_eq!(bench.out.take(), [] as [&str; 0], "the same host");
    bench.learn_user((2, 2), (2, 7), 202);
    assert_eq!(bench.out.take(), ["3: USERS from 1", "3: registration of user 202  by 1"]);
}

#[test]
fn user_of_a_restarted_home_who_connects_again_stays() {
    let mut bench = bench();
    restart(&mut bench);
    bench.learn_user((3, 2), (2, 9), 202);
    assert_eq!(bench.out.take(), [] as [&str; 0]);
    assert_eq!(first_link(&bench, 202), 3);
}

#[test]
fn user_of_a_restarted_home_who_connects_elsewhere_is_another() {
    let mut bench = bench();
    bench.join_extended(4, 4);
    restart(&mut bench);
    bench.learn_user((4, 4), (4, 9), 202);
    let expected = [
        "4: quit of user 202",
        "1: -202 id taken",
        "3: USERS from 1",
        "3: registration of user 202  by 1",
        "1: +202",
    ];
    assert_eq!(bench.out.take(), expected);
    assert_eq!(first_link(&bench, 202), 4);
}

#[test]
fn user_with_another_name_at_a_restarted_home_is_another() {
    let mut bench = bench();
    restart(&mut bench);
    let stamps = [9];
    let users = Frame::Users { home: HostId(2), stamps: stamps.as_slice().into() };
    bench.receive_extension(3, 2, &users);
    let (kind, source, last_hop) = (User, HostId(202), HostId(2));
    let another = Registration { kind, source, last_hop, name: b"another", info: b"" };
    bench.receive(3, &Message::Registration(another));
    assert_eq!(bench.out.take(), ["1: -202 id taken", "1: +202"]);
}

#[test]
fn plain_server_that_leaves_is_withdrawn_on_extended_links() {
    let mut bench = bench();
    bench.join(5, Server, 5);
    bench.out.take();
    bench.close(5);
    bench.wait(SPLIT_GRACE);
    let lines = bench.out.take();
    assert!(lines.contains(&"2: quit of server 5".to_owned()), "{lines:?}");
}

#[test]
fn quit_of_a_lost_host_is_not_sent_where_its_home_was_not_announced() {
    let mut bench = bench();
    bench.close(2);
    bench.join_extended(3, 3);
    bench.out.take();
    bench.wait(SPLIT_GRACE - std::time::Duration::from_millis(1));
    bench.out.take();
    bench.wait(std::time::Duration::from_millis(1));
    let lines = bench.out.take();
    assert!(lines.contains(&"1: -202 split".to_owned()), "{lines:?}");
    assert!(!lines.contains(&"3: quit of user 202".to_owned()), "{lines:?}");
}

#[test]
fn host_that_was_lost_behind_a_plain_server_gives_way_when_that_speaks_the_extension() {
    let mut bench = Bench::new();
    bench.join(1, User, 101);
    bench.join(2, Server, 2);
    bench.receive(2, &registration(User, 202, 2));
    bench.close(2);
    bench.join_extended(3, 2);
    bench.out.take();
    bench.learn_user((3, 2), (2, 9), 202);
    assert_eq!(bench.out.take(), ["1: +202"]);
    assert_eq!(first_link(&bench, 202), 3);
}

/// Server 2, and the servers behind it, leave one after the other. A plain server takes the id 2
/// meanwhile.
#[test]
fn host_of_a_home_that_leaves_is_not_found_behind_a_plain_server() {
    let limits = Limits { client_queue_bytes_max: SPLIT_QUIT_QUEUE_BYTES, ..Limits::default() };
    let mut bench = Bench::with(0, limits);
    bench.join_extended(2, 2);
    bench.learn_server(2, 2, 4, 2);
    bench.learn_user((2, 2), (4, 9), 204);
    bench.close(2);
    bench.wait(SPLIT_GRACE);
    bench.join(5, Server, 2);
    bench.out.take();
    bench.receive(5, &registration(User, 204, 2));
    let taken = "5: status 2 from 1 to 2: Someone has already registered with ID 204";
    assert_eq!(bench.out.take(), [taken]);
}

/// Server 2 was lost and has started again, as the fact from server 3 over link 4 says. The fact
/// counts since the lost instance is forgotten, and the registration is asked for.
fn bench_that_asks_for_server_2() -> Bench {
    let mut bench = Bench::new();
    bench.join_extended(3, 3);
    bench.learn_server(3, 3, 2, 3);
    bench.close(3);
    bench.join_extended(4, 3);
    let (id, via, nonce) = (HostId(2), HostId(3), Nonce(22));
    let epoch = Epoch { boot: 1, attach: 1 };
    let fact = ServerFact { id, epoch, nonce, via, users: 0, digest: Digest::default() };
    bench.receive_extension(4, 3, &Frame::Server(fact));
    bench.receive(4, &registration(Server, 2, 3));
    bench.wait(SPLIT_GRACE);
    bench
}

/// Returns HELLO of the server 2 that has started again.
fn hello_of_server_2(epoch: Epoch) -> Hello {
    Hello { epoch, nonce: Nonce(22), ..hello(2) }
}

#[test]
fn server_that_joins_while_its_registration_is_asked_for_is_known() {
    let mut bench = bench_that_asks_for_server_2();
    assert!(bench.relay.hosts().get(HostId(2)).is_none());
    bench.join_with_hello(5, 2, &hello_of_server_2(Epoch { boot: 1, attach: 2 }));
    assert!(bench.relay.hosts().get(HostId(2)).is_some());
    assert_eq!(first_link(&bench, 2), 5);
}

/// Both links lead to the instance in the same epoch, and the first one ends.
#[test]
fn server_whose_registration_is_asked_for_is_asked_for_again_where_its_route_moves() {
    let mut bench = bench_that_asks_for_server_2();
    bench.join_with_hello(5, 2, &hello_of_server_2(Epoch { boot: 1, attach: 1 }));
    bench.out.take();
    bench.close(4);
    assert!(bench.out.take().contains(&"5: SYNC_REQUEST from 1".to_owned()));
}
