//! Writes HTTP responses.
//!
//! A response has no `Date`: the server's machine has no wall clock, see RFC 9110, section 6.6.1.

use std::fmt::Display;

/// What every response has: browsers load nothing from elsewhere, run no inline script, keep to the
/// types that are named, and show the pages in no frame.
const SECURITY_HEADERS: &str = "X-Content-Type-Options: nosniff\r\n\
    Referrer-Policy: no-referrer\r\n\
    Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'\r\n\
    Cross-Origin-Opener-Policy: same-origin\r\n\
    Cross-Origin-Resource-Policy: same-origin\r\n";

/// A response.
#[derive(Clone, Debug)]
pub(super) struct Response<'a> {
    /// The status.
    pub(super) status: u16,
    /// The type of the body; a response without one has none.
    pub(super) content_type: &'a str,
    /// Further headers, each with its line end.
    pub(super) headers: String,
    /// The body.
    pub(super) body: &'a [u8],
}

/// How a response is sent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Delivery {
    /// The client asked for the head alone.
    pub(super) is_head: bool,
    /// The connection ends after it.
    pub(super) closes: bool,
}

/// Returns the reason phrase of a status.
fn phrase(status: u16) -> &'static str {
    match status {
        101 => "Switching Protocols",
        200 => "OK",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        414 => "URI Too Long",
        421 => "Misdirected Request",
        426 => "Upgrade Required",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Error",
    }
}

impl<'a> Response<'a> {
    /// Creates a response with a text for people.
    pub(super) fn text(status: u16, text: &'a str) -> Self {
        let body = text.as_bytes();
        Self { status, content_type: "text/plain; charset=utf-8", headers: String::new(), body }
    }

    /// Adds a header.
    pub(super) fn with(mut self, name: &str, value: impl Display) -> Self {
        self.headers.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    /// Appends the response to `out`.
    pub(super) fn write(&self, delivery: Delivery, out: &mut Vec<u8>) {
        let Self { status, content_type, headers, body } = self;
        let phrase = phrase(*status);
        let mut head = format!("HTTP/1.1 {status} {phrase}\r\n{SECURITY_HEADERS}{headers}");
        if *status != 304 {
            let length = body.len();
            head.push_str(&format!("Content-Type: {content_type}\r\nContent-Length: {length}\r\n"));
        }
        if delivery.closes {
            head.push_str("Connection: close\r\n");
        }
        head.push_str("\r\n");
        out.extend_from_slice(head.as_bytes());
        if !delivery.is_head && *status != 304 {
            out.extend_from_slice(body);
        }
    }
}

/// Appends the response that opens a WebSocket.
pub(super) fn write_switching(accept_key: &str, protocol: Option<&str>, out: &mut Vec<u8>) {
    let mut head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept_key}\r\n"
    );
    if let Some(protocol) = protocol {
        head.push_str(&format!("Sec-WebSocket-Protocol: {protocol}\r\n"));
    }
    head.push_str("\r\n");
    out.extend_from_slice(head.as_bytes());
}

/// Appends the head of a response whose body arrives in parts. Without chunks, the end of the
/// connection is the end of the body.
pub(super) fn write_stream_head(content_type: &str, delivery: Delivery, out: &mut Vec<u8>) {
    let framing = match delivery.closes {
        true => "Connection: close\r\n",
        false => "Transfer-Encoding: chunked\r\n",
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\n{SECURITY_HEADERS}Cache-Control: no-store\r\n\
         Content-Type: {content_type}\r\n{framing}\r\n"
    );
    out.extend_from_slice(head.as_bytes());
}

/// Appends a part of a body.
pub(super) fn write_part(part: &[u8], delivery: Delivery, out: &mut Vec<u8>) {
    if delivery.is_head || part.is_empty() {
        return;
    }
    if delivery.closes {
        return out.extend_from_slice(part);
    }
    out.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
    out.extend_from_slice(part);
    out.extend_from_slice(b"\r\n");
}

/// Appends the end of a body.
pub(super) fn write_end(delivery: Delivery, out: &mut Vec<u8>) {
    if !delivery.closes && !delivery.is_head {
        out.extend_from_slice(b"0\r\n\r\n");
    }
}
