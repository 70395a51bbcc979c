use super::links::FalseSource;
use super::*;
use crate::limits::FALSE_SOURCES_MAX;
use crate::link::Time;

fn link(index: u32) -> LinkId {
    LinkId { index, generation: 1 }
}

fn topology() -> Topology {
    let (name, info) = (b"one".to_vec(), Vec::new());
    Topology::new(Identity { id: HostId(1), is_id_configured: true, name, info }, Nonce(1))
}

fn insert(topology: &mut Topology, kind: HostKind, id: u32, over: LinkId) {
    let (source, last_hop) = (HostId(id), HostId::NONE);
    let registration = Registration { kind, source, last_hop, name: b"", info: b"" };
    let stamp = topology.next_stamp();
    topology.insert_host(&registration, Home::Link(over.index), stamp);
}

fn add_server(topology: &mut Topology, id: u32, over: LinkId) {
    topology.add_link(over, false, Time::default());
    topology.register_server(over, HostId(id), false);
    insert(topology, HostKind::Server, id, over);
}

#[test]
fn lost_hosts_are_unreachable_until_they_rejoin() {
    let mut topology = topology();
    add_server(&mut topology, 2, link(0));
    insert(&mut topology, HostKind::User, 102, link(0));
    topology.check();
    let state = topology.remove_link(link(0)).expect("a link");
    let Role::Server { host, subtree } = state.role else { panic!("a server") };
    let split = topology.begin_split(host, subtree.hosts).expect("a split");
    topology.check();
    assert!(!topology.is_reachable(HostId(102)) && topology.is_known(HostId(102)));
    assert_eq!(topology.lost_ids(split).collect::<Vec<_>>(), [2, 102].map(HostId));
    add_server(&mut topology, 3, link(0));
    topology.rejoin(HostId(102), link(0));
    topology.check();
    assert!(topology.is_valid_source(HostId(102), link(0)));
    assert_eq!(
        topology.first_link_host(topology.hosts().get(HostId(102)).expect("a known host")),
        HostId(3)
    );
    topology.remove_host(HostId(2));
    topology.end_split(split);
    topology.check();
}

#[test]
fn client_is_closed_after_too_many_false_sources_and_a_server_never() {
    let mut topology = topology();
    topology.add_link(link(0), false, Time::default());
    topology.register_user(link(0), HostId(101));
    add_server(&mut topology, 2, link(1));
    for count in 1..=FALSE_SOURCES_MAX {
        let is_first = count == 1;
        let must_close = count == FALSE_SOURCES_MAX;
        let found = topology.count_false_source(link(0));
        assert_eq!(found, FalseSource { is_first, must_close });
        let found = topology.count_false_source(link(1));
        assert_eq!(found, FalseSource { is_first, must_close: false });
    }
    assert!(topology.is_valid_source(HostId(101), link(0)));
    assert!(!topology.is_valid_source(HostId(101), link(1)));
}

#[test]
#[should_panic(expected = "one home")]
fn check_fails_for_a_host_behind_a_link_that_is_gone() {
    let mut topology = topology();
    topology.add_link(link(0), false, Time::default());
    topology.register_user(link(0), HostId(101));
    insert(&mut topology, HostKind::User, 101, link(0));
    topology.check();
    topology.remove_link(link(0));
    topology.check();
}
