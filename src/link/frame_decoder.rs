//! Splits a stream of bytes into frames.
//!
//! Whole frames are handled in the caller's buffer; only a frame that spans two reads is copied.
//! The memory of an incomplete frame is bounded by the bytes received, whatever length it
//! announces.

use super::Buffer;
use crate::limits::PARTIAL_FRAME_BUFFER_BYTES_MAX;

/// Number of bytes that are added to a header which is not complete, or as many as it has: a header
/// without a fixed length, such as that of HTTP, is looked at a few times only.
const HEADER_CHUNK_BYTES: usize = 16;

/// How decoding continues after a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// With the next frame.
    Continue,
    /// After this number of bytes: several frames were handled.
    ContinueAfter(usize),
    /// Not now: the frame was not handled, and it and all that follows are deferred.
    Defer,
    /// Not at all: the rest of the stream is dropped.
    Stop,
}

/// How far a stream was decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// All bytes were decoded; an incomplete frame waits for its rest.
    All,
    /// Up to these bytes, which begin with the frame that was deferred.
    Deferred(Vec<u8>),
    /// Up to a frame that stopped it. That frame and all that followed were dropped: this number of
    /// bytes.
    Dropped(usize),
}

/// The wire of a [`FrameDecoder`]: the length of frames, and what is done with them.
///
/// A pair of closures, `frame_len` and `on_frame`, is a handler.
pub trait FrameHandler {
    /// Why bytes are not a frame.
    type Error;

    /// Returns the length of the frame that `bytes` begin with, or `None` while its header is
    /// incomplete.
    ///
    /// # Errors
    /// The stream cannot be read any further.
    fn frame_len(&mut self, bytes: &[u8]) -> Result<Option<usize>, Self::Error>;

    /// Handles the frame of `len` bytes at the front of `bytes`, and as many of those that follow
    /// it as it likes. The last call of `frame_len` was for the same bytes.
    fn on_frame(&mut self, bytes: &[u8], len: usize) -> Flow;
}

impl<E, L: Fn(&[u8]) -> Result<Option<usize>, E>, F: FnMut(&[u8], usize) -> Flow> FrameHandler
    for (L, F)
{
    type Error = E;

    fn frame_len(&mut self, bytes: &[u8]) -> Result<Option<usize>, E> {
        self.0(bytes)
    }

    fn on_frame(&mut self, bytes: &[u8], len: usize) -> Flow {
        self.1(bytes, len)
    }
}

/// The beginning of a frame whose rest has not arrived. Empty, it owns no memory.
#[derive(Clone, Debug, Default)]
pub struct FrameDecoder {
    partial: Option<Box<Buffer>>,
}

impl FrameDecoder {
    /// Returns whether the last bytes decoded end with an incomplete frame.
    #[must_use]
    pub fn has_partial_frame(&self) -> bool {
        self.partial.is_some()
    }

    /// Returns the number of bytes of the incomplete frame.
    #[must_use]
    pub fn partial_bytes(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| partial.bytes.len())
    }

    /// Returns the size of the memory of the incomplete frame in bytes.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| partial.capacity())
    }

    /// Decodes the next bytes of the stream, and calls `on_frame` with every frame that is
    /// complete. The rest is dropped once it returns `false`. See [`FrameHandler::frame_len`] for
    /// `frame_len`.
    ///
    /// # Errors
    /// The error of `frame_len`. The stream cannot be read any further.
    pub fn decode<E>(
        &mut self,
        bytes: &[u8],
        frame_len: impl Fn(&[u8]) -> Result<Option<usize>, E>,
        mut on_frame: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), E> {
        let on_frame = |bytes: &[u8], len: usize| {
            if on_frame(&bytes[..len]) { Flow::Continue } else { Flow::Stop }
        };
        self.decode_while(bytes, &mut None, &mut (frame_len, on_frame)).map(drop)
    }

    /// Like [`FrameDecoder::decode`], with a handler that may take several frames at a time, and
    /// may defer input. Deferred bytes are returned, to be decoded first later.
    ///
    /// `spare_buffer` is an empty buffer that an incomplete frame is stored in, if it is no larger
    /// than [`PARTIAL_FRAME_BUFFER_BYTES_MAX`]. It is exchanged for the buffer of a frame that was
    /// completed.
    ///
    /// # Errors
    /// The error of [`FrameHandler::frame_len`].
    pub fn decode_while<H: FrameHandler>(
        &mut self,
        input: &[u8],
        spare_buffer: &mut Option<Box<Buffer>>,
        handler: &mut H,
    ) -> Result<Decoded, H::Error> {
        let mut bytes = input;
        while let Some(partial) = &mut self.partial {
            let frame = &mut partial.bytes;
            let missing_bytes = match handler.frame_len(frame)? {
                Some(len) if len < frame.len() => {
                    // The last chunk had the end of the header, and more.
                    let excess = frame.len() - len;
                    frame.truncate(len);
                    bytes = &input[(input.len() - bytes.len()).saturating_sub(excess)..];
                    continue;
                }
                Some(len) => len - frame.len(),
                None => frame.len().max(HEADER_CHUNK_BYTES), // the header is short
            };
            if missing_bytes > 0 {
                if bytes.is_empty() {
                    return Ok(Decoded::All);
                }
                let (chunk, rest) = bytes.split_at(missing_bytes.min(bytes.len()));
                frame.extend_from_slice(chunk);
                bytes = rest;
                continue;
            }
            let len = frame.len();
            let flow = handler.on_frame(frame, len);
            if flow == Flow::Defer {
                frame.extend_from_slice(bytes);
                let deferred = std::mem::take(frame);
                self.partial = None;
                return Ok(Decoded::Deferred(deferred));
            }
            partial.clear();
            *spare_buffer = self.partial.take();
            if flow == Flow::Stop {
                return Ok(Decoded::Dropped(len + bytes.len()));
            }
        }
        while !bytes.is_empty()
            && let Some(len) = handler.frame_len(bytes)?
            && bytes.len() >= len
        {
            let consumed = match handler.on_frame(bytes, len) {
                Flow::Continue => len,
                Flow::ContinueAfter(consumed) => consumed,
                Flow::Stop => return Ok(Decoded::Dropped(bytes.len())),
                Flow::Defer => return Ok(Decoded::Deferred(bytes.to_vec())),
            };
            bytes = &bytes[consumed..];
        }
        if !bytes.is_empty() {
            // An incomplete frame does not pin a buffer that another link has grown.
            let partial =
                spare_buffer.take_if(|spare| spare.capacity() <= PARTIAL_FRAME_BUFFER_BYTES_MAX);
            self.partial.insert(partial.unwrap_or_default()).bytes.extend_from_slice(bytes);
        }
        Ok(Decoded::All)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of this wire is its length in two bytes and that many more.
    fn frame_len(bytes: &[u8]) -> Result<Option<usize>, ()> {
        match bytes {
            [high, low, ..] => Ok(Some(2 + usize::from(u16::from_be_bytes([*high, *low])))),
            _ => Ok(None),
        }
    }

    #[test]
    fn partial_frame_uses_memory_for_received_bytes_only() {
        let mut decoder = FrameDecoder::default();
        assert_eq!(decoder.decode(&[0xff, 0xff, 1, 2, 3], frame_len, |_| unreachable!()), Ok(()));
        assert!(decoder.has_partial_frame());
        let capacity = decoder.partial.map_or(0, |partial| partial.capacity());
        assert!((5..64).contains(&capacity), "{capacity}");
    }

    #[test]
    fn decoder_frees_its_buffer_after_a_long_frame() {
        let mut decoder = FrameDecoder::default();
        let frame = [&[0xff, 0xff][..], &[7; 0xffff]].concat();
        let mut count = 0;
        for piece in frame.chunks(1000) {
            let on_frame = |whole: &[u8]| {
                assert_eq!(whole, frame);
                count += 1;
                true
            };
            assert_eq!(decoder.decode(piece, frame_len, on_frame), Ok(()));
        }
        assert_eq!(count, 1);
        assert!(decoder.partial.is_none());
    }

    #[test]
    fn frames_after_stop_are_dropped() {
        let mut decoder = FrameDecoder::default();
        let mut count = 0;
        let on_frame = |_: &[u8]| {
            count += 1;
            false
        };
        assert_eq!(decoder.decode(&[0, 1, 9, 0, 1, 8], frame_len, on_frame), Ok(()));
        assert_eq!(count, 1);
    }

    #[test]
    fn header_without_a_length_is_looked_at_a_few_times() {
        let line_len = |calls: &std::cell::Cell<u32>, bytes: &[u8]| {
            calls.set(calls.get() + 1);
            Ok::<_, ()>(bytes.iter().position(|&byte| byte == b'\n').map(|end| end + 1))
        };
        let stream = [&[b'a'; 9_000][..], b"\nb\n", &[b'c'; 40], b"\nd"].concat();
        for cut in [1, 8, 4_000, 8_999, 9_000, 9_001, 9_002] {
            let (calls, mut lines) = (std::cell::Cell::new(0), Vec::new());
            let mut decoder = FrameDecoder::default();
            for piece in [&stream[..cut], &stream[cut..]] {
                let on_frame = |line: &[u8]| {
                    lines.push((line[0], line.len()));
                    true
                };
                assert_eq!(
                    decoder.decode(piece, |bytes| line_len(&calls, bytes), on_frame),
                    Ok(())
                );
            }
            assert_eq!(lines, [(b'a', 9_001), (b'b', 2), (b'c', 41)], "cut at {cut}");
            assert!(calls.get() < 30 && decoder.partial_bytes() == 1, "{calls:?} at {cut}");
        }
    }

    #[test]
    fn deferred_frame_is_returned_with_all_bytes_that_follow() {
        let stream = [0, 1, 9, 0, 1, 8, 0, 1, 7, 0, 1];
        for cut in 0..=stream.len() {
            let mut decoder = FrameDecoder::default();
            let mut deferred = Vec::new();
            for piece in [&stream[..cut], &stream[cut..]] {
                if !deferred.is_empty() {
                    deferred.extend_from_slice(piece);
                    continue;
                }
                let on_frame =
                    |frame: &[u8], _| if frame[2] == 8 { Flow::Defer } else { Flow::Continue };
                if let Ok(Decoded::Deferred(rest)) =
                    decoder.decode_while(piece, &mut None, &mut (frame_len, on_frame))
                {
                    deferred = rest;
                }
            }
            assert_eq!(deferred, stream[3..], "cut at {cut}");
            let mut frames = Vec::new();
            let on_frame = |frame: &[u8]| {
                frames.push(frame[2]);
                true
            };
            assert_eq!(decoder.decode(&deferred, frame_len, on_frame), Ok(()));
            assert_eq!(frames, [8, 7]);
            assert!(decoder.has_partial_frame());
        }
    }

    #[test]
    fn decoder_consumes_several_frames_at_once_and_exchanges_buffers() {
        let mut decoder = FrameDecoder::default();
        let mut spare_buffer = Some(Box::<Buffer>::default());
        let address = |buffer: &Option<Box<Buffer>>| buffer.as_deref().map(std::ptr::from_ref);
        let buffer = address(&spare_buffer);
        let mut seen = Vec::new();
        let mut on_frame = |bytes: &[u8], len: usize| {
            seen.push((bytes.len(), len));
            if bytes.len() >= 6 { Flow::ContinueAfter(6) } else { Flow::Continue }
        };
        let whole_and_cut = [0, 1, 9, 0, 1, 8, 0, 1, 7, 0, 1];
        assert_eq!(
            decoder.decode_while(
                &whole_and_cut,
                &mut spare_buffer,
                &mut (frame_len, &mut on_frame)
            ),
            Ok(Decoded::All)
        );
        assert!(decoder.has_partial_frame());
        assert_eq!((address(&decoder.partial), address(&spare_buffer)), (buffer, None));
        assert_eq!(
            decoder.decode_while(&[6], &mut spare_buffer, &mut (frame_len, &mut on_frame)),
            Ok(Decoded::All)
        );
        assert_eq!((address(&decoder.partial), address(&spare_buffer)), (None, buffer));
        assert!(spare_buffer.is_some_and(|spare| spare.bytes.is_empty() && spare.capacity() > 0));
        assert_eq!(seen, [(11, 3), (5, 3), (3, 3)]);
    }
}
