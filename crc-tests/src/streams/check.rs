//! The check of one stream: as a whole and in pieces it gives the same.

use std::fmt::Debug;
use std::ops::Range;

use crc::link::frame_decoder::FrameDecoder;

use super::codecs::Codec;

/// Something that reads streams from strangers.
pub(super) trait Check {
    /// Maximum length of a stream in bytes: several frames of every wire.
    const STREAM_BYTES_MAX: usize = 640;

    /// Returns valid streams.
    fn seeds(&self) -> Vec<Vec<u8>>;

    /// Reads the stream `number` as a whole and in the pieces that end at `cuts`, and counts what
    /// was found in it.
    ///
    /// # Panics
    /// If the two differ, or more bytes are kept than were received.
    fn check(&mut self, stream: &[u8], cuts: &[usize], number: u64, counts: &mut Counts);
}

/// What the streams of a run had in them.
#[derive(Default)]
pub(super) struct Counts {
    /// Frames in the streams as a whole.
    pub(super) frames: u64,
    /// Streams that an error ended.
    pub(super) errors: u64,
    /// Most bytes that were kept of an unfinished frame.
    pub(super) partial_bytes_max: usize,
}

/// The check of a codec whose streams are frames.
pub(super) struct Frames<E> {
    codec: Codec<E>,
    /// Where the frames of the stream as a whole are, without their padding.
    ranges: Vec<Range<usize>>,
}

impl<E> Frames<E> {
    pub(super) const fn of(codec: Codec<E>) -> Self {
        Self { codec, ranges: Vec::new() }
    }
}

impl<E: PartialEq + Debug> Check for Frames<E> {
    fn seeds(&self) -> Vec<Vec<u8>> {
        (self.codec.seeds)()
    }

    fn check(&mut self, stream: &[u8], cuts: &[usize], number: u64, counts: &mut Counts) {
        let Self { codec, ranges } = self;
        let unpadded = |frame: &[u8]| match codec.padding {
            None => frame.len(),
            Some(padding) => frame.iter().rposition(|&byte| byte != padding).map_or(0, |at| at + 1),
        };
        ranges.clear();
        let mut start = 0;
        let whole = FrameDecoder::default().decode(stream, codec.frame_len, |frame| {
            (codec.parse)(frame);
            match unpadded(frame) {
                0 => {}
                len => ranges.push(start..start + len),
            }
            start += frame.len();
            true
        });
        let mut decoder = FrameDecoder::default();
        let (mut start, mut count, mut in_pieces) = (0, 0, Ok(()));
        for cut in cuts.iter().copied() {
            in_pieces = decoder.decode(&stream[start..cut], codec.frame_len, |frame| {
                (codec.parse)(frame);
                let len = unpadded(frame);
                if len > 0 {
                    let expected = ranges.get(count).map(|range| &stream[range.clone()]);
                    assert!(expected == Some(&frame[..len]), "stream {number}: another frame");
                    count += 1;
                }
                true
            });
            counts.partial_bytes_max = counts.partial_bytes_max.max(decoder.partial_bytes());
            assert!(decoder.partial_bytes() <= cut, "stream {number}: more is kept than came");
            if in_pieces.is_err() {
                break;
            }
            start = cut;
        }
        assert_eq!(count, ranges.len(), "stream {number}: number of frames");
        assert_eq!(in_pieces, whole, "stream {number}: the error");
        counts.frames += ranges.len() as u64;
        counts.errors += u64::from(whole.is_err());
    }
}
