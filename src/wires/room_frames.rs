//! [`RoomFrames`]: messages to a room, encoded once for all members.

use smallvec::SmallVec;

use super::Wire;

/// The frames of messages to a room, which differ in the id of the recipient alone. Members of the
/// same wire share them.
#[derive(Debug, Default)]
pub struct RoomFrames(SmallVec<[Encoded; 2]>);

#[derive(Debug)]
struct Encoded {
    wire: Wire,
    /// Tells apart the forms of one wire.
    form: u8,
    bytes: Vec<u8>,
    /// Where the recipient is in `bytes`.
    recipient_offsets: Vec<usize>,
}

impl RoomFrames {
    /// Appends the frames of a wire in one of its forms to `out`, with this recipient in them.
    ///
    /// `encode` is called if there are none. It appends them to its first argument, and the offset
    /// of the recipient in each to its second. The encoded recipients of one form have one length.
    pub fn append(
        &mut self,
        (wire, form): (Wire, u8),
        recipient: &[u8],
        out: &mut Vec<u8>,
        encode: impl FnOnce(&mut Vec<u8>, &mut Vec<usize>),
    ) {
        let found = self.0.iter().position(|one| one.wire == wire && one.form == form);
        let index = found.unwrap_or_else(|| {
            let (mut bytes, mut recipient_offsets) = (Vec::new(), Vec::new());
            encode(&mut bytes, &mut recipient_offsets);
            self.0.push(Encoded { wire, form, bytes, recipient_offsets });
            self.0.len() - 1
        });
        let Encoded { bytes, recipient_offsets, .. } = &self.0[index];
        let begin = out.len();
        out.extend_from_slice(bytes);
        for offset in recipient_offsets {
            out[begin + offset..][..recipient.len()].copy_from_slice(recipient);
        }
    }
}
