//! Puts frames together again from whatever pieces a stream arrives in.
//!
//! Whole frames are handed on where they lie in the caller's buffer; only a frame that a read cut
//! in two is copied. What is held is what was received of one frame, never what it announced.

use super::Buffer;
use crate::limits::PARTIAL_FRAME_BUFFER_BYTES_MAX;

/// What becomes of a stream after a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// The next frame may come.
    Continue,
    /// What follows these bytes may come: several frames were taken together.
    ContinueAfter(usize),
    /// This frame is to come again later, and with it all that follows.
    Defer,
    /// The stream is at its end.
    Stop,
}

/// How far a stream was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// To the end of what there is, or to the end of the stream.
    All,
    /// Up to these bytes, which begin with the frame that was held; feed them first.
    Deferred(Vec<u8>),
}

/// The beginning of a frame whose rest has not arrived. Empty, it owns no memory.
#[derive(Debug, Default)]
pub struct FrameDecoder {
    partial: Option<Box<Buffer>>,
}

impl FrameDecoder {
    /// Whether a frame has begun that is not complete.
    #[must_use]
    pub fn has_partial_frame(&self) -> bool {
        self.partial.is_some()
    }

    /// Takes the next bytes of the stream and calls `each` with every frame that they complete,
    /// until it answers `false`: then the rest is dropped, as the stream is at its end.
    ///
    /// `frame_len` says how long the frame is that some bytes begin with, once they suffice to tell.
    ///
    /// # Errors
    /// What `frame_len` says; nothing can be read from this stream any more.
    pub fn decode<E>(
        &mut self,
        bytes: &[u8],
        frame_len: impl Fn(&[u8]) -> Result<Option<usize>, E>,
        mut on_frame: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), E> {
        let on_frame = |bytes: &[u8], len: usize| {
            if on_frame(&bytes[..len]) { Flow::Continue } else { Flow::Stop }
        };
        self.decode_while(bytes, &mut None, frame_len, on_frame).map(drop)
    }

    /// The same for as long as `each` answers that more may come; what it does not take now can be fed
    /// again later. `each` gets all the bytes that are there from a frame on, and the length of that
    /// frame, so that it may take several at a time.
    ///
    /// `spare` is an empty buffer, used if a frame is left that is not complete and the buffer is no
    /// larger than [`PARTIAL_FRAME_BUFFER_BYTES_MAX`], and is exchanged for the one that was used before if
    /// that is needed no more.
    ///
    /// # Errors
    /// As [`FrameDecoder::feed`].
    pub fn decode_while<E>(
        &mut self,
        mut bytes: &[u8],
        spare_buffer: &mut Option<Box<Buffer>>,
        frame_len: impl Fn(&[u8]) -> Result<Option<usize>, E>,
        mut on_frame: impl FnMut(&[u8], usize) -> Flow,
    ) -> Result<Decoded, E> {
        while let Some(partial) = &mut self.partial {
            let frame = &mut partial.bytes;
            let missing_bytes = match frame_len(frame)? {
                Some(len) => len - frame.len(),
                None => 1, // the header is short: find its end byte by byte
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
            let flow = on_frame(frame, frame.len());
            if flow == Flow::Defer {
                frame.extend_from_slice(bytes);
                let deferred = std::mem::take(frame);
                self.partial = None;
                return Ok(Decoded::Deferred(deferred));
            }
            partial.clear();
            *spare_buffer = self.partial.take();
            if flow == Flow::Stop {
                return Ok(Decoded::All);
            }
        }
        while let Some(len) = frame_len(bytes)? {
            if bytes.len() < len {
                break;
            }
            let consumed = match on_frame(bytes, len) {
                Flow::Continue => len,
                Flow::ContinueAfter(consumed) => consumed,
                Flow::Stop => return Ok(Decoded::All),
                Flow::Defer => return Ok(Decoded::Deferred(bytes.to_vec())),
            };
            bytes = &bytes[consumed..];
        }
        if !bytes.is_empty() {
            // Who sends the beginning of a frame and no more holds nothing that others have grown.
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
                    decoder.decode_while(piece, &mut None, frame_len, on_frame)
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
            decoder.decode_while(&whole_and_cut, &mut spare_buffer, frame_len, &mut on_frame),
            Ok(Decoded::All)
        );
        assert!(decoder.has_partial_frame());
        assert_eq!((address(&decoder.partial), address(&spare_buffer)), (buffer, None));
        assert_eq!(
            decoder.decode_while(&[6], &mut spare_buffer, frame_len, &mut on_frame),
            Ok(Decoded::All)
        );
        assert_eq!((address(&decoder.partial), address(&spare_buffer)), (None, buffer));
        assert!(spare_buffer.is_some_and(|spare| spare.bytes.is_empty() && spare.capacity() > 0));
        assert_eq!(seen, [(11, 3), (5, 3), (3, 3)]);
    }
}
