use super::*;

const BOOT: u32 = 1;

fn link(index: u32) -> LinkId {
    LinkId { index, generation: 1 }
}

/// Returns a fact about an instance whose nonce is its id.
fn fact(id: u32, attach: u32, via: u32) -> Fact {
    let epoch = Epoch { boot: BOOT, attach };
    Fact { id: HostId(id), epoch, nonce: u64::from(id), via: HostId(via) }
}

/// Creates server 1 with a link to each of the given neighbours: link 0, 1, and so on.
fn routes(neighbours: &[u32]) -> Routes {
    let mut routes = Routes::new(HostId(1), Epoch { boot: BOOT, attach: 0 }, 1);
    for (index, &id) in (0..).zip(neighbours) {
        routes.raise_attach();
        let committed = routes.own().epoch;
        let changes = routes.attach(link(index), committed, fact(id, 1, 0));
        assert_eq!(changes, [Change::Up { id: HostId(id), link: link(index) }]);
        routes.burst(link(index));
        send(&mut routes, &changes);
    }
    routes
}

/// Returns what changes lead to on each link, by link.
fn send(routes: &mut Routes, changes: &[Change]) -> Vec<(u32, Update)> {
    let links: Vec<LinkId> = routes.links.keys().copied().collect();
    let mut sent = Vec::new();
    for change in changes {
        for &link in &links {
            sent.extend(routes.update(change, link).map(|update| (link.index, update)));
        }
    }
    routes.check();
    sent.sort_by_key(|it| it.0);
    sent
}

fn learn(routes: &mut Routes, over: u32, fact: Fact) -> Vec<Change> {
    let changes = routes.learn(link(over), fact);
    send(routes, &changes);
    changes
}

fn up(id: u32, over: u32) -> Change {
    Change::Up { id: HostId(id), link: link(over) }
}

fn down(id: u32) -> Change {
    Change::Down { id: HostId(id) }
}

fn moved(id: u32, from: u32, to: u32, is_updated: bool) -> Change {
    Change::Moved { id: HostId(id), from: link(from), to: link(to), is_updated }
}

#[test]
fn fact_counts_once_its_chain_reaches_the_neighbour() {
    let mut routes = routes(&[2]);
    assert_eq!(learn(&mut routes, 0, fact(4, 1, 3)), []);
    assert_eq!(learn(&mut routes, 0, fact(3, 1, 2)), [up(3, 0), up(4, 0)]);
    assert_eq!(routes.path(HostId(4)), [2, 3, 4].map(HostId));
    assert_eq!(learn(&mut routes, 0, fact(3, 2, 9)), [down(3), down(4)]);
}

#[test]
fn chain_with_a_loop_or_through_this_server_does_not_count() {
    let mut routes = routes(&[2]);
    assert_eq!(learn(&mut routes, 0, fact(3, 1, 4)), []);
    assert_eq!(learn(&mut routes, 0, fact(4, 1, 3)), []);
    assert_eq!(learn(&mut routes, 0, fact(5, 1, 1)), []);
    assert_eq!(routes.route(HostId(5)), None);
}

#[test]
fn fact_of_a_neighbour_comes_from_that_neighbour_only() {
    let mut routes = routes(&[2]);
    assert_eq!(learn(&mut routes, 0, fact(2, 9, 3)), []);
    assert_eq!(learn(&mut routes, 0, fact(3, 1, 0)), []);
    assert_eq!(routes.withdraw(link(0), HostId(2)), []);
    assert_eq!(learn(&mut routes, 0, fact(2, 9, 0)), [Change::Updated { id: HostId(2) }]);
}

#[test]
fn higher_epoch_moves_a_server_and_an_equal_one_only_with_its_parent() {
    let mut routes = routes(&[7, 8]);
    learn(&mut routes, 0, fact(4, 1, 7));
    learn(&mut routes, 0, fact(5, 1, 4));
    assert_eq!(learn(&mut routes, 1, fact(4, 1, 8)), []);
    assert_eq!(learn(&mut routes, 1, fact(5, 1, 4)), []);
    let changes = routes.learn(link(1), fact(4, 2, 8));
    assert_eq!(changes, [moved(4, 0, 1, true), moved(5, 0, 1, false)]);
    let sent = send(&mut routes, &changes);
    let announced = |fact| (0, Update::Announce(fact));
    let withdrawn = |id| (1, Update::Withdraw(HostId(id)));
    let expected = [announced(fact(4, 2, 8)), announced(fact(5, 1, 4)), withdrawn(4), withdrawn(5)];
    assert_eq!(sent, expected);
}

#[test]
fn chain_through_an_outdated_server_is_no_alternative() {
    let mut routes = routes(&[7, 8]);
    learn(&mut routes, 0, fact(4, 2, 7));
    learn(&mut routes, 0, fact(5, 1, 4));
    learn(&mut routes, 1, fact(4, 1, 8));
    learn(&mut routes, 1, fact(5, 1, 4));
    let changes = routes.withdraw(link(0), HostId(5));
    assert_eq!(changes, [down(5)]);
    send(&mut routes, &changes);
    assert_eq!(learn(&mut routes, 1, fact(4, 2, 8)), [up(5, 1)]);
}

/// Server 3 has lost its link to server 7 and raised its epoch. It is at the end of the path over
/// server 8 now, and no longer at the beginning of the one over server 7.
#[test]
fn outdated_chain_gives_way_to_another_with_an_equal_epoch() {
    let mut routes = routes(&[7, 8]);
    for (id, via) in [(3, 7), (4, 3), (5, 4)] {
        learn(&mut routes, 0, fact(id, 1, via));
    }
    for (id, via) in [(5, 8), (4, 5)] {
        assert_eq!(learn(&mut routes, 1, fact(id, 1, via)), [], "a route stays");
    }
    let changes = learn(&mut routes, 1, fact(3, 2, 4));
    assert_eq!(changes, [moved(3, 0, 1, true), moved(4, 0, 1, true), moved(5, 0, 1, true)]);
}

#[test]
fn withdrawal_falls_back_to_another_link() {
    let mut routes = routes(&[2, 3]);
    learn(&mut routes, 0, fact(4, 1, 2));
    learn(&mut routes, 1, fact(4, 1, 3));
    let changes = routes.withdraw(link(0), HostId(4));
    assert_eq!(changes, [moved(4, 0, 1, true)]);
    let sent = send(&mut routes, &changes);
    let expected = [(0, Update::Announce(fact(4, 1, 3))), (1, Update::Withdraw(HostId(4)))];
    assert_eq!(sent, expected);
    assert_eq!(send(&mut routes, &changes), [(0, Update::Announce(fact(4, 1, 3)))]);
}

#[test]
fn lost_server_comes_back_with_its_nonce_or_a_higher_boot() {
    let older = fact(4, 4, 3);
    let other = Fact { nonce: 99, ..fact(4, 9, 3) };
    let epoch = Epoch { boot: BOOT + 1, attach: 0 };
    let restarted = Fact { epoch, nonce: 99, ..fact(4, 0, 3) };
    for (found, comes_back) in [
        (fact(4, 5, 3), true),
        (fact(4, 6, 3), true),
        (older, false),
        (other, false),
        (restarted, true),
    ] {
        let mut routes = routes(&[2, 3]);
        learn(&mut routes, 0, fact(4, 5, 2));
        let changes = routes.detach(link(0));
        assert_eq!(changes, [down(2), down(4), Change::Own]);
        let withdrawn = |id| (1, Update::Withdraw(HostId(id)));
        let own = Fact { id: HostId(1), ..routes.own() };
        let sent = send(&mut routes, &changes);
        assert_eq!(sent, [withdrawn(2), withdrawn(4), (1, Update::Announce(own))]);
        assert!(routes.lost_ids().any(|id| id == HostId(4)));
        let expected = if comes_back { vec![up(4, 1)] } else { Vec::new() };
        assert_eq!(learn(&mut routes, 1, found), expected, "{found:?}");
        let expected = if comes_back { Vec::new() } else { vec![up(4, 1)] };
        assert_eq!(routes.forget(HostId(4)), expected, "{found:?}");
        assert!(!routes.lost_ids().any(|id| id == HostId(4)));
        assert_eq!(routes.forget(HostId(2)), []);
        assert_eq!(routes.lost_ids().count(), 0);
    }
}

#[test]
fn neighbour_that_has_attached_elsewhere_is_a_ghost() {
    let mut routes = routes(&[2, 3]);
    let close = Change::Close { link: link(0), conflict: Conflict::Ghost };
    assert_eq!(learn(&mut routes, 1, fact(2, 2, 3)), [moved(2, 0, 1, true), close]);
}

#[test]
fn both_ends_keep_the_same_of_two_links() {
    let (smaller, larger) = (HostId(1), HostId(2));
    let kept = |own: HostId, commits: [(u32, u32); 2]| {
        let mut routes = Routes::new(own, Epoch { boot: BOOT, attach: 9 }, 1);
        let mut closed = Vec::new();
        for (index, (first, second)) in (0..).zip(commits) {
            let (own, other) = if own == smaller { (first, second) } else { (second, first) };
            let id = if routes.own().id == smaller { larger } else { smaller };
            let committed = Epoch { boot: BOOT, attach: own };
            let changes = routes.attach(link(index), committed, fact(id.0, other, 0));
            closed.extend(changes.into_iter().filter_map(|change| match change {
                Change::Close { link, conflict: Conflict::SecondLink } => Some(link.index),
                _ => None,
            }));
        }
        closed
    };
    for (commits, closed) in [([(1, 1), (2, 2)], 0), ([(1, 2), (2, 1)], 0), ([(2, 1), (1, 2)], 1)] {
        assert_eq!(kept(smaller, commits), [closed], "{commits:?}");
        assert_eq!(kept(larger, commits), [closed], "{commits:?}");
    }
}

#[test]
fn cycle_is_cut_where_both_ways_to_its_largest_member_meet() {
    for (largest, is_cut) in [(9, true), (4, false)] {
        let mut routes = routes(&[6, 7]);
        learn(&mut routes, 0, fact(largest, 1, 6));
        let changes = learn(&mut routes, 1, fact(largest, 1, 7));
        let members = [1, 6, 9, 7].map(HostId).to_vec();
        let close = Change::Close { link: link(1), conflict: Conflict::Cycle { members } };
        assert_eq!(changes, if is_cut { vec![close] } else { Vec::new() });
    }
}

#[test]
fn server_that_moves_closes_no_cycle() {
    let mut routes = routes(&[6, 7]);
    learn(&mut routes, 0, fact(9, 1, 6));
    assert_eq!(learn(&mut routes, 1, fact(9, 2, 7)), [moved(9, 0, 1, true)]);
}

/// Server 4 has left server 2 for server 3, which reaches 9 through 6. The way to 9 over 2 is no
/// more, and the link to 3 is part of no cycle.
#[test]
fn way_through_a_server_that_has_moved_closes_no_cycle() {
    let mut routes = routes(&[2, 3, 7]);
    for it in [fact(4, 1, 2), fact(5, 1, 4), fact(9, 1, 5)] {
        learn(&mut routes, 0, it);
    }
    assert_eq!(learn(&mut routes, 1, fact(4, 2, 3)), [moved(4, 0, 1, true)]);
    assert_eq!(learn(&mut routes, 1, fact(6, 1, 3)), [up(6, 1)]);
    for it in [fact(6, 1, 7), fact(9, 1, 6)] {
        assert_eq!(learn(&mut routes, 2, it), []);
    }
    assert_eq!(routes.route(HostId(9)), Some(link(0)));
}

#[test]
fn way_through_a_server_that_has_moved_is_left_for_another() {
    let mut routes = routes(&[2, 3]);
    for it in [fact(4, 1, 2), fact(5, 1, 4), fact(9, 1, 5)] {
        learn(&mut routes, 0, it);
    }
    assert_eq!(learn(&mut routes, 1, fact(4, 2, 3)), [moved(4, 0, 1, true)]);
    assert_eq!(learn(&mut routes, 1, fact(6, 1, 3)), [up(6, 1)]);
    assert_eq!(learn(&mut routes, 1, fact(9, 1, 6)), [moved(9, 0, 1, true)]);
    assert_eq!(learn(&mut routes, 1, fact(5, 1, 4)), [moved(5, 0, 1, false)]);
}

#[test]
fn older_epoch_over_the_route_does_not_count() {
    let mut routes = routes(&[2]);
    learn(&mut routes, 0, fact(4, 5, 2));
    assert_eq!(learn(&mut routes, 0, fact(4, 4, 2)), [down(4)]);
    assert_eq!(learn(&mut routes, 0, fact(4, 5, 2)), [up(4, 0)]);
}

#[test]
fn fact_about_this_id_is_reported_unless_this_server_sent_it() {
    let mut routes = routes(&[2]);
    let own = Fact { via: HostId(2), ..routes.own() };
    assert_eq!(learn(&mut routes, 0, own), []);
    let (epoch, nonce) = (Epoch { boot: BOOT, attach: 5 }, 99);
    let change = Change::OwnIdElsewhere { epoch };
    assert_eq!(learn(&mut routes, 0, Fact { epoch, nonce, ..own }), [change]);
    assert_eq!(routes.exceed(epoch), Some(Change::Own));
    assert_eq!(routes.own().epoch, Epoch { boot: BOOT + 1, attach: 0 });
    assert_eq!(routes.exceed(epoch), None);
}

#[test]
fn new_id_is_no_longer_that_of_a_lost_server() {
    let mut routes = routes(&[2]);
    let changes = routes.detach(link(0));
    send(&mut routes, &changes);
    routes.set_own_id(HostId(2));
    assert_eq!((routes.own().id, routes.lost_ids().count()), (HostId(2), 0));
    routes.check();
}

#[test]
fn burst_has_parents_before_children_and_nothing_from_the_link_itself() {
    let mut routes = routes(&[9, 3]);
    for it in [fact(8, 1, 9), fact(2, 1, 8), fact(7, 1, 9)] {
        learn(&mut routes, 0, it);
    }
    let sent: Vec<(u32, u32)> =
        routes.announced_on(link(1)).map(|fact| (fact.id.0, fact.via.0)).collect();
    assert_eq!(sent, [(1, 0), (9, 1), (7, 9), (8, 9), (2, 8)]);
    assert_eq!(routes.burst(link(1)).len(), 1, "all but this server are announced");
}

#[test]
fn thousand_links_and_servers_take_little_time() {
    let mut routes = Routes::new(HostId(1), Epoch::default(), 1);
    let update = |routes: &mut Routes, changes: &[Change]| {
        let mut count = 0;
        for change in changes {
            for index in 0..1000 {
                count += usize::from(routes.update(change, link(index)).is_some());
            }
        }
        count
    };
    for index in 0..1000 {
        let changes = routes.attach(link(index), Epoch::default(), fact(index + 2, 1, 0));
        routes.burst(link(index));
        assert_eq!(update(&mut routes, &changes), index as usize);
    }
    for id in 2000..3000 {
        let via = if id % 50 == 0 { 2 } else { id - 1 };
        let changes = routes.learn(link(0), fact(id, 1, via));
        assert_eq!(update(&mut routes, &changes), 999);
    }
    assert_eq!(routes.path(HostId(2999)).len(), 51);
    let changes = routes.detach(link(0));
    assert_eq!(changes.len(), 1002);
    assert_eq!(update(&mut routes, &changes), 1002 * 999);
    routes.check();
}
