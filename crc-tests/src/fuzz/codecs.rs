//! The fuzz targets of the codecs.

use std::convert::Infallible;
use std::fmt::Debug;

use crc::limits::FRAME_BYTES_MAX;
use crc::link::frame_decoder::FrameDecoder;
use crc::relay::extension::Frame;
use crc::relay::message::StatusCode;
use crc::wires::classic::codec as classic_wire;
use crc::wires::crc::codec as crc_wire;
use crc::wires::direct::codec as direct_wire;
use crc::wires::irc::line as irc_line;

use crate::frames;

/// Checks the CRC codec: each parsed frame encodes to the same bytes, and a stream split after each
/// byte gives the same frames and the same error as the whole.
///
/// # Panics
/// If a check fails.
pub fn crc_codec(bytes: &[u8]) {
    let len_of = |bytes: &[u8]| crc_wire::frame_len(bytes, FRAME_BYTES_MAX);
    assert_same_frames_when_split(bytes, len_of, |frame| {
        assert_eq!(frames::encode(&crc_wire::parse_frame(frame)), frame);
        Some(frame.to_vec())
    });
}

/// Asserts that a stream split after each byte gives the same parsed frames and the same error as
/// the whole.
fn assert_same_frames_when_split<T: PartialEq + Debug, E: PartialEq + Debug>(
    bytes: &[u8],
    len_of: impl Fn(&[u8]) -> Result<Option<usize>, E>,
    parse: impl Fn(&[u8]) -> Option<T>,
) {
    let decode_all = |chunks: &mut dyn Iterator<Item = &[u8]>| {
        let (mut decoder, mut parsed) = (FrameDecoder::default(), Vec::new());
        for piece in chunks {
            let result = decoder.decode(piece, &len_of, |frame| {
                parsed.extend(parse(frame));
                true
            });
            if let Err(error) = result {
                return (parsed, Some(error));
            }
        }
        (parsed, None)
    };
    assert_eq!(decode_all(&mut std::iter::once(bytes)), decode_all(&mut bytes.chunks(1)));
}

/// Checks the direct codec: each parsed message parses again after encoding, and a stream split
/// after each byte gives the same messages and the same error as the whole.
///
/// # Panics
/// If a check fails.
pub fn direct_codec(bytes: &[u8]) {
    let len_of = |bytes: &[u8]| direct_wire::frame_len(bytes, FRAME_BYTES_MAX);
    assert_same_frames_when_split(bytes, len_of, |frame| {
        let message = direct_wire::parse_frame(frame);
        if let Ok(message) = &message {
            let mut reencoded = Vec::new();
            direct_wire::encode(message, &mut reencoded);
            assert_eq!(direct_wire::parse_frame(&reencoded).as_ref(), Ok(message));
        }
        Some(message)
    });
}

/// Checks the classic codec likewise, in both forms, and the splitting of long texts.
///
/// # Panics
/// If a check fails.
pub fn classic_codec(bytes: &[u8]) {
    assert_same_frames_when_split(bytes, classic_wire::frame_len, |frame| {
        classic_wire::parse_frame(frame).map(|message| {
            [classic_wire::Form::Padded, classic_wire::Form::Compact].map(|form| {
                let mut reencoded = Vec::new();
                classic_wire::encode(&message, form, &mut reencoded);
                assert_eq!(classic_wire::parse_frame(&reencoded), Some(message));
                reencoded
            })
        })
    });
    let joined: Vec<u8> =
        classic_wire::split_text(bytes, classic_wire::TEXT_BYTES_MAX).flatten().copied().collect();
    assert_eq!(joined, bytes);
    assert!(
        classic_wire::split_text(bytes, classic_wire::TEXT_BYTES_MAX)
            .all(|piece| piece.len() <= classic_wire::TEXT_BYTES_MAX)
    );
}

/// Checks the IRC codec: a stream split after each byte gives the same lines as the whole, and what
/// continues a run of texts is what the parser reads.
pub(super) fn irc_codec(bytes: &[u8]) {
    let len_of = |bytes: &[u8]| Ok::<_, Infallible>(irc_line::frame_len(bytes));
    assert_same_frames_when_split(bytes, len_of, |frame| {
        assert!(frame.len() <= irc_line::FRAME_BYTES_MAX);
        let line = irc_line::Line::parse(frame);
        if let Some((text, len)) = irc_line::parse_text_to(b"#lab", frame) {
            let line = line.as_ref().expect("a line").as_ref().expect("not empty");
            assert_eq!((line.param(0), line.param(1).as_bytes()), ("#lab", text));
            assert_eq!(len, frame.len());
        }
        Some(format!("{line:?}"))
    });
}

/// Checks the codec of the extension between crc servers. The first byte is the lower byte of the
/// code, and the rest is the payload. Each parsed frame parses again after encoding, and so does
/// each beginning of the payload.
///
/// # Panics
/// If a check fails.
pub fn extension_codec(bytes: &[u8]) {
    let Some((&code, payload)) = bytes.split_first() else { return };
    let code = StatusCode(0xC700 | u16::from(code));
    let is_known = Frame::parse(code, payload).is_some();
    for len in (0..payload.len().min(64)).chain([payload.len()]) {
        let result = Frame::parse(code, &payload[..len]);
        assert_eq!(result.is_some(), is_known, "the payload does not decide that");
        match result {
            Some(Ok(frame)) => {
                assert_eq!(frame.code(), code);
                let mut reencoded = Vec::new();
                frame.encode_payload(&mut reencoded);
                assert!(reencoded.len() <= len, "nothing is added");
                assert_eq!(Frame::parse(code, &reencoded), Some(Ok(frame)));
            }
            Some(Err(error)) => assert_eq!(error.code, code, "{error}"),
            None => {}
        }
    }
}
