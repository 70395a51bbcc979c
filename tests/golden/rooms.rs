//! Golden bytes of the frames about rooms between crc servers, in the forms that `extension` lacks.

use crc::id::HostId;
use crc::relay::extension::{Frame, RoomChat, RoomNames};
use crc::room::RoomName;
use crc_tests::frames::extension;

use super::extension::parse_status;
use super::{check_golden, parse_hex};

/// A user joins a room, is in none any more, and has said something that waited for server 2.
#[test]
fn frames_about_rooms_have_golden_bytes_in_each_form() {
    let lab = RoomNames::parse(b"\x04#lab").expect("a name");
    let room = RoomName::parse(b"#lab").expect("a name");
    let (user, home, number) = (HostId(102), HostId(2), 3 << 40 | 1);
    for (frame, hex) in [
        (
            Frame::Rooms { user, is_complete: false, names: lab },
            "01 00000001 ffffffff c716 0000000a  00000066 00 04236c6162",
        ),
        (
            Frame::Rooms { user, is_complete: true, names: RoomNames::default() },
            "01 00000001 ffffffff c716 00000005  00000066 01",
        ),
        (
            Frame::RoomPart { user, name: room, text: b"" },
            "01 00000001 ffffffff c717 00000009  00000066 04236c6162",
        ),
        (
            Frame::RoomChat(RoomChat { user, home, number, room, text: b"\xff" }),
            "01 00000001 ffffffff c718 00000016  \
             00000066 00000002 0000030000000001 04236c6162 ff",
        ),
    ] {
        check_golden(&extension(1, &frame), hex);
        let golden = parse_hex(hex);
        let (code, payload) = parse_status(&golden);
        assert_eq!(Frame::parse(code, payload), Some(Ok(frame)), "{hex}");
    }
}
