//! Bad input: every type of frame, with a wrong value in each field, on every kind of link. The
//! state of the server stays as it was, nobody else receives anything, and something counts it.

mod fixture;
mod wires;

use std::collections::BTreeMap;

use crc::limits::FRAME_BYTES_MAX;
use crc::link::Origin;
use crc::relay::message::HostKind;
use crc_tests::frames::{chat, quit, registration, server, server_quit, split_frames, status};

use self::fixture::{Fixture, Outcome, is_about, known};

/// Ids that are not the attacker's: none, all, this server, a user and a server of each kind that
/// this server knows, and one that nobody has.
const OTHERS: [u32; 7] = [0, u32::MAX, 1, 2, 101, 202, 999];

/// Ids of the attacker, as a client and as a server with a user.
const CLIENT: u32 = 110;
const SERVER: u32 = 9;
const SERVERS_USER: u32 = 109;

/// Codes of statuses: those of the protocol, those of the extension, and others.
const CODES: [u16; 9] = [0, 1, 2, 3, 4, 5, 6, 0xC6FF, 0xFFFF];

/// Codes of the extension, and the first that is not.
const EXTENSION: [u16; 26] = {
    let mut codes = [0xC700; 26];
    let mut index = 0;
    while index < codes.len() {
        codes[index] += index as u16;
        index += 1;
    }
    codes
};

/// How the attacker is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// To the CRC listener, from an address that admits servers, and one that does not.
    Unregistered,
    UnregisteredStranger,
    /// As a registered client.
    Client,
    ClientStranger,
    /// As a registered server without the extension, and one with it.
    PlainServer,
    ExtendedServer,
}

const KINDS: [Kind; 6] = [
    Kind::Unregistered,
    Kind::UnregisteredStranger,
    Kind::Client,
    Kind::ClientStranger,
    Kind::PlainServer,
    Kind::ExtendedServer,
];

impl Kind {
    /// The address from which the attacker comes. Without one, it is in this process.
    fn origin(self) -> Origin {
        match self {
            Self::UnregisteredStranger | Self::ClientStranger => {
                Origin::new("203.0.113.9:5".parse().expect("an address"))
            }
            _ => Origin::default(),
        }
    }

    /// The ids that are behind the link.
    fn own_ids(self) -> &'static [u32] {
        match self {
            Self::Unregistered | Self::UnregisteredStranger => &[],
            Self::Client | Self::ClientStranger => &[CLIENT],
            Self::PlainServer | Self::ExtendedServer => &[SERVER, SERVERS_USER],
        }
    }
}

/// Sends one bad frame from an attacker of this kind.
fn check(kind: Kind, frame: &[u8]) -> Outcome {
    let mut fixture = Fixture::connected(kind);
    let before = fixture.state();
    fixture.send(frame);
    fixture.settle();
    fixture.node.check();
    let after = fixture.state();
    let shown = frame.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let own_ids = kind.own_ids();
    assert_eq!(known(&after, own_ids), known(&before, own_ids), "{kind:?}: {shown}");
    for received in &fixture.received[..2] {
        for frame in split_frames(received) {
            assert!(
                is_about(&frame, own_ids),
                "{kind:?}: {shown} made others receive {frame:02x?}"
            );
        }
    }
    fixture.outcome(&before, &after)
}

/// Frames with another's id as their source, each with every combination of other ids.
fn frames_of_others() -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for source in OTHERS {
        frames.push(quit(source, "bye"));
        for id in OTHERS {
            frames.push(chat(source, id, "forged"));
            frames.push(server_quit(source, id, "bye"));
            frames.extend(CODES.map(|code| status(source, id, code, "forged")));
        }
    }
    frames
}

/// Registrations of ids that others have, or that cannot be registered, with every last hop.
fn registrations_of_others() -> Vec<Vec<u8>> {
    let ids = OTHERS.into_iter().filter(|id| *id != 999);
    let last_hops = OTHERS.into_iter().chain([SERVER, CLIENT]);
    let kinds = [HostKind::User, HostKind::Server];
    ids.flat_map(|id| {
        last_hops.clone().flat_map(move |last_hop| {
            kinds.map(|kind| registration(kind, id, last_hop, "forged", ""))
        })
    })
    .collect()
}

/// Frames of the extension with each source and code, and with each id at the front of a content of
/// each length.
fn extension_frames(sources: &[u32]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for (source, code) in sources.iter().flat_map(|source| EXTENSION.map(|code| (*source, code))) {
        for id in OTHERS {
            for len in [0, 4, 12, 32, 56, 57] {
                let mut content = id.to_be_bytes().to_vec();
                content.resize(len, 0);
                let mut frame = vec![1];
                frame.extend([source, u32::MAX].iter().flat_map(|id| id.to_be_bytes()));
                frame.extend(code.to_be_bytes());
                frame.extend((content.len() as u32).to_be_bytes());
                frame.extend(content);
                frames.push(frame);
            }
        }
    }
    frames
}

/// Frames that no server can read: unknown types, and lengths beyond the limit.
fn unreadable_frames() -> Vec<Vec<u8>> {
    let types = [0, 1, 2, 0x80, 0x81, 0x82];
    let unknown = (0..=255).filter(|byte| !types.contains(byte)).map(|byte| vec![byte; 16]);
    let headers = [(1, 11), (2, 9), (0x81, 9), (0x82, 5)];
    let long = headers.into_iter().flat_map(|(first, at)| {
        [FRAME_BYTES_MAX as u32, u32::MAX].map(|len| {
            let mut frame = vec![0; at];
            frame[0] = first;
            frame.extend(len.to_be_bytes());
            frame
        })
    });
    unknown.chain(long).collect()
}

/// Returns whether a server does not even count a frame: an echo of what it has announced on the
/// link, or of its own frame of the extension, since plain servers send them; a code that it does
/// not know, since other programs may use it; and a frame that its neighbour may send there, in
/// which nothing is true.
fn is_ignored(kind: Kind, frame: &[u8]) -> bool {
    let is_server = matches!(kind, Kind::PlainServer | Kind::ExtendedServer);
    if frame[0] & 0x7F == 0 {
        return is_server; // an echo
    }
    let [source, destination, code] = [&frame[1..5], &frame[5..9], &frame[9..11]];
    let is_code_unknown =
        !EXTENSION[..EXTENSION.len() - 1].iter().any(|it| *code == it.to_be_bytes());
    let is_echo = *source == 1_u32.to_be_bytes();
    let is_own = match kind {
        Kind::Client | Kind::ClientStranger => *code == EXTENSION[0].to_be_bytes(),
        _ => kind == Kind::ExtendedServer && *source == SERVER.to_be_bytes(),
    };
    frame[0] == 1 && *destination == [0xFF; 4] && (is_code_unknown || is_echo || is_own)
}

/// Checks that each frame changes nothing, and is noticed. Returns how often each outcome came.
fn check_all(kind: Kind, frames: &[Vec<u8>]) -> BTreeMap<Outcome, usize> {
    let mut outcomes = BTreeMap::new();
    for frame in frames {
        let outcome = check(kind, frame);
        let is_expected = outcome != Outcome::Ignored || is_ignored(kind, frame);
        assert!(is_expected, "{kind:?}: nothing counts {frame:02x?}");
        *outcomes.entry(outcome).or_default() += 1;
    }
    println!("{kind:?}: {outcomes:?}");
    outcomes
}

#[test]
fn frames_of_others_change_nothing_and_are_counted() {
    for kind in KINDS {
        let outcomes = check_all(kind, &frames_of_others());
        assert!(outcomes[&Outcome::Counted] > 400, "{outcomes:?}");
    }
}

#[test]
fn registrations_of_ids_of_others_change_nothing() {
    for kind in KINDS {
        check_all(kind, &registrations_of_others());
    }
}

#[test]
fn frames_of_the_extension_that_are_not_for_this_link_change_nothing() {
    for kind in KINDS {
        check_all(kind, &extension_frames(&[1, 2, 101]));
    }
    for kind in [Kind::PlainServer, Kind::ExtendedServer] {
        check_all(kind, &extension_frames(&[SERVER]));
    }
    check_all(Kind::Client, &extension_frames(&[CLIENT]));
    check_all(Kind::ClientStranger, &extension_frames(&[CLIENT]));
}

#[test]
fn unreadable_frames_close_their_link_alone() {
    for kind in KINDS {
        let frames = unreadable_frames();
        let outcomes = check_all(kind, &frames);
        assert_eq!(outcomes, BTreeMap::from([(Outcome::Closed, frames.len())]));
    }
}

#[test]
fn registration_of_a_server_by_a_stranger_changes_nothing() {
    let frames = [server(999, "x", ""), registration(HostKind::Server, 999, 999, "x", "")];
    for kind in [Kind::UnregisteredStranger, Kind::ClientStranger, Kind::Client] {
        check_all(kind, &frames);
    }
}
