//! Puts frames together again from whatever pieces a stream arrives in.
//!
//! Whole frames are handed on where they lie in the caller's buffer; only a frame that a read cut
//! in two is copied. What is held is what was received of one frame, never what it announced.

use super::Buffer;
use crate::limits::PARTIAL_SPARE_BYTES_MAX;

/// What becomes of a stream after a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// The next frame may come.
    More,
    /// What follows these bytes may come: several frames were taken together.
    MoreAfter(usize),
    /// This frame is to come again later, and with it all that follows.
    Hold,
    /// The stream is at its end.
    Stop,
}

/// How far a stream was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fed {
    /// To the end of what there is, or to the end of the stream.
    All,
    /// Up to these bytes, which begin with the frame that was held; feed them first.
    Held(Vec<u8>),
}

/// The beginning of a frame whose rest has not arrived. Empty, it owns no memory.
#[derive(Debug, Default)]
pub struct Assembly {
    partial: Option<Box<Buffer>>,
}

impl Assembly {
    /// Whether a frame has begun that is not complete.
    #[must_use]
    pub fn is_mid_frame(&self) -> bool {
        self.partial.is_some()
    }

    /// Takes the next bytes of the stream and calls `each` with every frame that they complete,
    /// until it answers `false`: then the rest is dropped, as the stream is at its end.
    ///
    /// `len_of` says how long the frame is that some bytes begin with, once they suffice to tell.
    ///
    /// # Errors
    /// What `len_of` says; nothing can be read from this stream any more.
    pub fn feed<E>(
        &mut self,
        bytes: &[u8],
        len_of: impl Fn(&[u8]) -> Result<Option<usize>, E>,
        mut each: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), E> {
        let each = |bytes: &[u8], len: usize| {
            if each(&bytes[..len]) { Flow::More } else { Flow::Stop }
        };
        self.feed_while(bytes, &mut None, len_of, each).map(drop)
    }

    /// The same for as long as `each` answers that more may come; what it does not take now can be fed
    /// again later. `each` gets all the bytes that are there from a frame on, and the length of that
    /// frame, so that it may take several at a time.
    ///
    /// `spare` is an empty buffer, used if a frame is left that is not complete and the buffer is no
    /// larger than [`PARTIAL_SPARE_BYTES_MAX`], and is exchanged for the one that was used before if
    /// that is needed no more.
    ///
    /// # Errors
    /// As [`Assembly::feed`].
    pub fn feed_while<E>(
        &mut self,
        mut bytes: &[u8],
        spare: &mut Option<Box<Buffer>>,
        len_of: impl Fn(&[u8]) -> Result<Option<usize>, E>,
        mut each: impl FnMut(&[u8], usize) -> Flow,
    ) -> Result<Fed, E> {
        while let Some(partial) = &mut self.partial {
            let frame = &mut partial.bytes;
            let wanted = match len_of(frame)? {
                Some(len) => len - frame.len(),
                None => 1, // the header is short: find its end byte by byte
            };
            if wanted > 0 {
                if bytes.is_empty() {
                    return Ok(Fed::All);
                }
                let (taken, rest) = bytes.split_at(wanted.min(bytes.len()));
                frame.extend_from_slice(taken);
                bytes = rest;
                continue;
            }
            let flow = each(frame, frame.len());
            if flow == Flow::Hold {
                frame.extend_from_slice(bytes);
                let held = std::mem::take(frame);
                self.partial = None;
                return Ok(Fed::Held(held));
            }
            partial.clear();
            *spare = self.partial.take();
            if flow == Flow::Stop {
                return Ok(Fed::All);
            }
        }
        while let Some(len) = len_of(bytes)? {
            if bytes.len() < len {
                break;
            }
            let taken = match each(bytes, len) {
                Flow::More => len,
                Flow::MoreAfter(taken) => taken,
                Flow::Stop => return Ok(Fed::All),
                Flow::Hold => return Ok(Fed::Held(bytes.to_vec())),
            };
            bytes = &bytes[taken..];
        }
        if !bytes.is_empty() {
            // Who sends the beginning of a frame and no more holds nothing that others have grown.
            let partial = spare.take_if(|spare| spare.capacity() <= PARTIAL_SPARE_BYTES_MAX);
            self.partial.insert(partial.unwrap_or_default()).bytes.extend_from_slice(bytes);
        }
        Ok(Fed::All)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of this wire is its length in two bytes and that many more.
    fn len_of(bytes: &[u8]) -> Result<Option<usize>, ()> {
        match bytes {
            [high, low, ..] => Ok(Some(2 + usize::from(u16::from_be_bytes([*high, *low])))),
            _ => Ok(None),
        }
    }

    #[test]
    fn memory_is_bounded_by_what_came_not_by_what_was_announced() {
        let mut assembly = Assembly::default();
        assert_eq!(assembly.feed(&[0xff, 0xff, 1, 2, 3], len_of, |_| unreachable!()), Ok(()));
        assert!(assembly.is_mid_frame());
        let capacity = assembly.partial.map_or(0, |partial| partial.capacity());
        assert!((5..64).contains(&capacity), "{capacity}");
    }

    #[test]
    fn a_long_frame_leaves_no_memory_behind() {
        let mut assembly = Assembly::default();
        let frame = [&[0xff, 0xff][..], &[7; 0xffff]].concat();
        let mut count = 0;
        for piece in frame.chunks(1000) {
            let each = |whole: &[u8]| {
                assert_eq!(whole, frame);
                count += 1;
                true
            };
            assert_eq!(assembly.feed(piece, len_of, each), Ok(()));
        }
        assert_eq!(count, 1);
        assert!(assembly.partial.is_none());
    }

    #[test]
    fn nothing_is_handed_on_after_the_end() {
        let mut assembly = Assembly::default();
        let mut count = 0;
        let each = |_: &[u8]| {
            count += 1;
            false
        };
        assert_eq!(assembly.feed(&[0, 1, 9, 0, 1, 8], len_of, each), Ok(()));
        assert_eq!(count, 1);
    }

    #[test]
    fn what_is_held_comes_again_with_all_that_follows() {
        let stream = [0, 1, 9, 0, 1, 8, 0, 1, 7, 0, 1];
        for cut in 0..=stream.len() {
            let mut assembly = Assembly::default();
            let mut held = Vec::new();
            for piece in [&stream[..cut], &stream[cut..]] {
                if !held.is_empty() {
                    held.extend_from_slice(piece);
                    continue;
                }
                let each = |frame: &[u8], _| if frame[2] == 8 { Flow::Hold } else { Flow::More };
                if let Ok(Fed::Held(rest)) = assembly.feed_while(piece, &mut None, len_of, each) {
                    held = rest;
                }
            }
            assert_eq!(held, stream[3..], "cut at {cut}");
            let mut frames = Vec::new();
            let each = |frame: &[u8]| {
                frames.push(frame[2]);
                true
            };
            assert_eq!(assembly.feed(&held, len_of, each), Ok(()));
            assert_eq!(frames, [8, 7]);
            assert!(assembly.is_mid_frame());
        }
    }
    #[test]
    fn several_frames_are_taken_together_and_buffers_change_hands() {
        let mut assembly = Assembly::default();
        let mut spare = Some(Box::<Buffer>::default());
        let address = |buffer: &Option<Box<Buffer>>| buffer.as_deref().map(std::ptr::from_ref);
        let buffer = address(&spare);
        let mut seen = Vec::new();
        let mut each = |bytes: &[u8], len: usize| {
            seen.push((bytes.len(), len));
            if bytes.len() >= 6 { Flow::MoreAfter(6) } else { Flow::More }
        };
        let whole_and_cut = [0, 1, 9, 0, 1, 8, 0, 1, 7, 0, 1];
        assert_eq!(
            assembly.feed_while(&whole_and_cut, &mut spare, len_of, &mut each),
            Ok(Fed::All)
        );
        assert!(assembly.is_mid_frame());
        assert_eq!((address(&assembly.partial), address(&spare)), (buffer, None));
        assert_eq!(assembly.feed_while(&[6], &mut spare, len_of, &mut each), Ok(Fed::All));
        assert_eq!((address(&assembly.partial), address(&spare)), (None, buffer));
        assert!(spare.is_some_and(|spare| spare.bytes.is_empty() && spare.capacity() > 0));
        assert_eq!(seen, [(11, 3), (5, 3), (3, 3)]);
    }
}
