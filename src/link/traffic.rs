//! [`Traffic`]: what a link has carried.

/// Counters of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes put into the send queue.
    pub bytes_out: u64,
    /// Whole frames received.
    pub frames_in: u64,
    /// Frames put into the send queue. All replies to one frame count as one.
    pub frames_out: u64,
}

impl Traffic {
    /// Adds the counters of another link.
    pub(crate) fn add(&mut self, other: &Self) {
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.frames_in += other.frames_in;
        self.frames_out += other.frames_out;
    }

    /// Counts a frame that was put into the send queue; nothing if it has no bytes.
    pub(crate) fn count_frame(&mut self, bytes: usize) {
        self.count_frames(1, bytes);
    }

    /// Counts frames that were put into the send queue; nothing if they have no bytes.
    pub(crate) fn count_frames(&mut self, frames: usize, bytes: usize) {
        if bytes > 0 {
            self.bytes_out += bytes as u64;
            self.frames_out += frames as u64;
        }
    }
}
