//! The client side of WebSocket: the protocols of several programs within its messages.
//!
//! Frames are masked with zeros, which servers must take like any mask.

/// Opcode of a text message, with the bit of a last frame.
pub(in crate::load) const TEXT: u8 = 0x81;
/// Opcode of a binary message, with the bit of a last frame.
const BINARY: u8 = 0x82;

/// Length of the mask of a frame, in bytes.
const MASK_BYTES: usize = 4;

/// What ends the head of an HTTP response.
pub(in crate::load) const HEAD_END: &[u8] = b"\r\n\r\n";

/// Maximum length of the head of a response, in bytes.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// How the frames of a protocol are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::load) enum Transport {
    /// As they are.
    Tcp,
    /// Each in a binary message of WebSocket. A server may put several into one, or cut them.
    WebSocket,
}

impl Transport {
    /// Appends the bytes that `encode` appends, in a message if it is a WebSocket.
    pub(super) fn encode(self, out: &mut Vec<u8>, encode: impl FnOnce(&mut Vec<u8>)) {
        match self {
            Self::Tcp => encode(out),
            Self::WebSocket => encode_message(BINARY, out, encode),
        }
    }
}

/// Appends the request that opens a WebSocket. An empty sub-protocol is left out.
pub(in crate::load) fn encode_handshake(path: &str, protocol: &str, out: &mut Vec<u8>) {
    let protocol = match protocol {
        "" => String::new(),
        name => format!("Sec-WebSocket-Protocol: {name}\r\n"),
    };
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{protocol}\r\n"
    );
    out.extend_from_slice(request.as_bytes());
}

/// Appends a message with the payload that `encode` appends.
pub(in crate::load) fn encode_message(
    opcode: u8,
    out: &mut Vec<u8>,
    encode: impl FnOnce(&mut Vec<u8>),
) {
    let start = out.len();
    let payload_start = start + 2 + MASK_BYTES;
    out.extend_from_slice(&[opcode, 0, 0, 0, 0, 0]);
    encode(out);
    let length = out.len() - payload_start;
    match u8::try_from(length).ok().filter(|&length| length < 126) {
        Some(length) => out[start + 1] = 0x80 | length,
        None => {
            let length = u16::try_from(length).expect("a message of at most 64 KiB");
            out[start + 1] = 0x80 | 126;
            out.splice(start + 2..start + 2, length.to_be_bytes());
        }
    }
}

/// Returns the lengths in bytes of a frame's header and of its payload; `None` if more bytes are
/// needed.
pub(in crate::load) fn header(frame: &[u8]) -> Option<(usize, usize)> {
    let (&[_, short], rest) = frame.split_first_chunk()?;
    match short {
        126 => Some((4, u16::from_be_bytes(*rest.first_chunk()?).into())),
        127 => {
            let length = u64::from_be_bytes(*rest.first_chunk()?);
            Some((10, usize::try_from(length).ok()?))
        }
        short => Some((2, short.into())),
    }
}

/// Takes the payloads of a server's binary messages out of the bytes that it sends.
#[derive(Debug, Default)]
pub(in crate::load) struct WebSocketInput {
    /// The incomplete head of the response, or header of a frame.
    partial: Vec<u8>,
    is_open: bool,
    /// Number of bytes of the current payload that have not been read.
    payload_rest: usize,
}

impl WebSocketInput {
    /// Returns whether the server has opened the WebSocket.
    pub(in crate::load) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Moves the payloads in `bytes` to its front. Returns how many bytes they have.
    ///
    /// # Errors
    /// Returns the reason if the server does not open a WebSocket, or sends another kind of frame.
    pub(in crate::load) fn unwrap_payloads(&mut self, bytes: &mut [u8]) -> Result<usize, String> {
        let (mut at, mut payload_bytes) = (0, 0);
        while at < bytes.len() {
            if self.payload_rest > 0 {
                let count = self.payload_rest.min(bytes.len() - at);
                bytes.copy_within(at..at + count, payload_bytes);
                self.payload_rest -= count;
                at += count;
                payload_bytes += count;
                continue;
            }
            self.partial.push(bytes[at]);
            at += 1;
            if self.is_open {
                self.begin_frame()?;
            } else {
                self.finish_head()?;
            }
        }
        Ok(payload_bytes)
    }

    /// Begins a payload, if the header of its frame is complete.
    fn begin_frame(&mut self) -> Result<(), String> {
        let Some((_, length)) = header(&self.partial) else { return Ok(()) };
        if !matches!(self.partial[0] & 0x7f, 0 | 2) {
            return Err(format!("a frame {:02x?}, which is no binary message", self.partial));
        }
        self.payload_rest = length;
        self.partial.clear();
        Ok(())
    }

    fn finish_head(&mut self) -> Result<(), String> {
        let is_complete = self.partial.ends_with(HEAD_END);
        if self.partial.len() > HEAD_BYTES_MAX
            || (is_complete && !self.partial.starts_with(b"HTTP/1.1 101 "))
        {
            let head = String::from_utf8_lossy(&self.partial);
            let line = head.lines().next().unwrap_or_default();
            return Err(format!("the WebSocket was refused: {line}"));
        }
        if is_complete {
            self.is_open = true;
            self.partial.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_the_same_however_the_bytes_are_cut() {
        let mut bytes = b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec();
        bytes.extend_from_slice(b"\x02\x03abc\x80\x02de\x82\x7e\x00\x7e");
        bytes.extend_from_slice(&[b'x'; 126]);
        let expected = [&b"abcde"[..], &[b'x'; 126]].concat();
        for size in 1..=bytes.len() {
            let (mut input, mut payloads) = (WebSocketInput::default(), Vec::new());
            for part in bytes.clone().chunks_mut(size) {
                let length = input.unwrap_payloads(part).expect("payloads");
                payloads.extend_from_slice(&part[..length]);
            }
            assert_eq!(payloads, expected, "in parts of {size}");
        }
    }

    #[test]
    fn refusals_and_other_frames_are_errors() {
        let mut refusal = b"HTTP/1.1 404 Not Found\r\n\r\n".to_vec();
        let error = WebSocketInput::default().unwrap_payloads(&mut refusal).expect_err("a refusal");
        assert!(error.contains("404 Not Found"), "{error}");
        let mut close = b"HTTP/1.1 101 Yes\r\n\r\n\x88\x02\x03\xe8".to_vec();
        WebSocketInput::default().unwrap_payloads(&mut close).expect_err("a close frame");
    }

    #[test]
    fn messages_are_masked_with_the_shortest_length() {
        for (length, head) in [(125, &b"\x82\xfd\0\0\0\0"[..]), (126, b"\x82\xfe\x00\x7e\0\0\0\0")]
        {
            let mut out = Vec::new();
            let text = vec![b'x'; length];
            Transport::WebSocket.encode(&mut out, |out| out.extend_from_slice(&text));
            assert_eq!(out, [head, &text].concat());
        }
    }
}
