//! What the users of other servers say of themselves, as it arrives over extended links.

use crate::id::HostId;
use crate::link::LinkId;
use crate::relay::cx::RelayCx;
use crate::relay::outbox::Outbox;
use crate::relay::profile::Profile;

/// Handles a change of what a user says of itself, and sends it on.
pub(super) fn learn<O: Outbox>(
    link: LinkId,
    user: HostId,
    profile: Profile<'_>,
    cx: &mut RelayCx<'_, O>,
) {
    let host = cx.topology.hosts().get(user);
    if host.is_none_or(|host| host.home().server().is_none()) {
        return; // its registration is on the way, and its profile precedes that
    }
    if !cx.topology.is_home_over(user, link) {
        return cx.drop_false_source(link, user);
    }
    if cx.update_profile(user, profile) {
        cx.out.rooms_changed();
        cx.announce_profile(user, Some(link));
    }
}

#[cfg(test)]
mod tests {
    use crate::id::HostId;
    use crate::relay::extension::{Digest, Frame};
    use crate::relay::message::HostKind::User;
    use crate::relay::profile::{Profile, ProfileChange};
    use crate::relay::recorder::{Bench, link_id};

    const AWAY: Profile<'_> = Profile { is_program: false, away: b"lunch", real_name: b"Sam" };

    fn frame(user: u32, precedes_registration: bool, profile: Profile<'_>) -> Frame<'_> {
        Frame::Profile { user: HostId(user), precedes_registration, profile }
    }

    /// User 101 here, and servers 2 and 4 on links 2 and 4; user 202 at server 2.
    fn bench() -> Bench {
        let mut bench = Bench::new();
        bench.join(1, User, 101);
        bench.join_extended(2, 2);
        bench.join_extended(4, 4);
        bench.learn_user((2, 2), (2, 5), 202);
        bench.out.take();
        bench.out.take_extension();
        bench
    }

    fn change(bench: &mut Bench, change: &ProfileChange<'_>) {
        let result = bench.relay.change_profile(bench.now, link_id(1), change, &mut bench.out);
        result.expect("changed");
        bench.relay.check();
    }

    /// Returns the away texts of the profiles that have been sent since the last call, once for
    /// each link, and whether the registration follows.
    fn sent(bench: &mut Bench) -> Vec<(String, bool)> {
        let frames = bench.out.take_extension();
        let profiles = frames.iter().filter_map(|(code, text)| match Frame::parse(*code, text)? {
            Ok(Frame::Profile { precedes_registration, profile, .. }) => {
                Some((String::from_utf8_lossy(profile.away).into_owned(), precedes_registration))
            }
            _ => None,
        });
        profiles.collect()
    }

    fn away_text(bench: &Bench, user: u32) -> &[u8] {
        bench.relay.hosts().profile(HostId(user)).away
    }

    #[test]
    fn changed_profile_is_sent_to_all_and_precedes_the_registration_elsewhere() {
        let mut bench = bench();
        change(&mut bench, &ProfileChange::Away(b"lunch".into()));
        assert_eq!(sent(&mut bench), [("lunch".to_owned(), false), ("lunch".to_owned(), false)]);
        change(&mut bench, &ProfileChange::Away(b"lunch".into()));
        assert_eq!(sent(&mut bench), [], "nothing has changed");
        bench.out.take();
        bench.join_extended(5, 5);
        let homes = [HostId(1)];
        let request = Frame::SyncRequest(homes.as_slice().into());
        bench.receive_extension(5, 5, &request);
        while bench.relay.announce_next(bench.now, &mut bench.out) {}
        let lines = bench.out.take();
        let to_link_5: Vec<&str> =
            lines.iter().filter_map(|line| line.strip_prefix("5: ")).collect();
        let profile =
            to_link_5.iter().position(|line| *line == "PROFILE from 1").expect("a profile");
        assert_eq!(to_link_5[profile + 1], "registration of user 101  by 1");
        assert_eq!(sent(&mut bench), [("lunch".to_owned(), true)]);
        change(&mut bench, &ProfileChange::Away(b"".into()));
        assert_eq!(sent(&mut bench).len(), 3);
    }

    #[test]
    fn registration_without_a_profile_says_that_there_is_none() {
        let mut bench = bench();
        bench.receive_extension(2, 2, &frame(202, false, AWAY));
        assert_eq!(sent(&mut bench), [("lunch".to_owned(), false)]);
        bench.receive_extension(2, 2, &Frame::SyncBegin { home: HostId(2) });
        bench.receive_extension(2, 2, &frame(202, true, AWAY));
        bench.learn_user((2, 2), (2, 5), 202);
        let end = Frame::SyncEnd { home: HostId(2), users: 1, digest: Digest::default() };
        bench.receive_extension(2, 2, &end);
        assert_eq!(sent(&mut bench), []);
        assert_eq!(away_text(&bench, 202), b"lunch");
        bench.receive_extension(2, 2, &Frame::SyncBegin { home: HostId(2) });
        bench.learn_user((2, 2), (2, 5), 202);
        bench.receive_extension(2, 2, &end);
        assert_eq!(away_text(&bench, 202), b"");
        let lines = bench.out.take();
        assert_eq!(lines.last().map(String::as_str), Some("4: registration of user 202  by 1"));
    }

    #[test]
    fn profile_is_that_of_the_next_registration_alone() {
        let mut bench = bench();
        bench.receive_extension(2, 2, &frame(203, true, AWAY));
        bench.learn_user((2, 2), (2, 6), 204);
        bench.learn_user((2, 2), (2, 7), 203);
        assert_eq!([away_text(&bench, 203), away_text(&bench, 204)], [b""; 2]);
        bench.receive_extension(2, 2, &frame(205, true, AWAY));
        bench.learn_user((2, 2), (2, 8), 205);
        assert_eq!(away_text(&bench, 205), b"lunch");
    }

    #[test]
    fn profile_from_elsewhere_is_dropped() {
        let mut bench = bench();
        bench.receive_extension(4, 4, &frame(202, false, AWAY));
        bench.receive_extension(4, 4, &frame(101, false, AWAY));
        bench.receive_extension(4, 4, &frame(999, false, AWAY));
        assert_eq!([202, 101, 999].map(|user| away_text(&bench, user)), [b""; 3]);
        assert_eq!(bench.relay.counters().false_sources, 1);
        assert_eq!(sent(&mut bench), []);
    }

    #[test]
    fn texts_are_cut_and_a_profile_ends_with_its_user() {
        let mut bench = bench();
        change(&mut bench, &ProfileChange::Away([b'x'; 300].as_slice().into()));
        assert_eq!(away_text(&bench, 101).len(), 255);
        bench.close(1);
        bench.join(1, User, 101);
        assert_eq!(away_text(&bench, 101), b"");
    }

    #[test]
    fn changes_count_like_messages_to_the_rooms_of_the_user() {
        let mut bench = bench();
        bench.relay.join_room(bench.now, link_id(1), b"#lab", &mut bench.out).expect("a member");
        let mut refusal = None;
        for number in 0..3000 {
            let change = ProfileChange::Away(number.to_string().into_bytes().into());
            let now = bench.now;
            refusal = bench.relay.change_profile(now, link_id(1), &change, &mut bench.out).err();
            if refusal.is_some() {
                break;
            }
        }
        let refusal = refusal.expect("too much").to_string();
        assert!(refusal.contains("more slowly"), "{refusal}");
        assert_eq!(away_text(&bench, 101), b"1999");
    }
}
