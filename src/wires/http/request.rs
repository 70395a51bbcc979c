//! Reads the head of an HTTP request.

use crate::limits::{HTTP_HEAD_BYTES_MAX, HTTP_HEADERS_MAX};

/// What ends the head of a request.
const HEAD_END: &[u8] = b"\r\n\r\n";

/// The head of a request, as far as the server looks at it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request<'a> {
    /// The method, such as `GET`.
    pub method: &'a str,
    /// The path, without a query.
    pub path: &'a str,
    /// Whether the connection ends with the answer.
    pub closes: bool,
    /// Whether a body follows.
    pub has_body: bool,
    /// The host that the client wants to talk to, with its port.
    pub host: &'a str,
    /// The origin of the page that sends the request.
    pub origin: Option<&'a str>,
    /// The credentials.
    pub authorization: Option<&'a str>,
    /// The ETags of what the client has.
    pub if_none_match: Option<&'a str>,
    /// Whether the client reads bodies that are compressed with gzip.
    pub accepts_gzip: bool,
    /// Whether the client asks for a WebSocket.
    pub wants_websocket: bool,
    /// `Sec-WebSocket-Key`.
    pub websocket_key: Option<&'a str>,
    /// `Sec-WebSocket-Version`.
    pub websocket_version: Option<&'a str>,
    /// `Sec-WebSocket-Protocol`; of several such headers the last one.
    pub websocket_protocols: Option<&'a str>,
}

/// Why a request cannot be answered: status and reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestError {
    /// The status of the response.
    pub status: u16,
    /// What is wrong, for people.
    pub reason: &'static str,
}

const fn bad(reason: &'static str) -> RequestError {
    RequestError { status: 400, reason }
}

/// Returns the length of the head that `bytes` begin with, or `None` while it is incomplete. Of a
/// head that is too long, the part that has arrived is returned, which [`Request::parse`] refuses.
#[must_use]
pub fn head_len(bytes: &[u8]) -> Option<usize> {
    if bytes.starts_with(b"\r\n") {
        return Some(2); // some clients send an empty line after a body
    }
    let end = bytes.windows(HEAD_END.len()).position(|window| window == HEAD_END);
    let len = end.map(|end| end + HEAD_END.len());
    len.or((bytes.len() > HTTP_HEAD_BYTES_MAX).then_some(bytes.len()))
}

impl<'a> Request<'a> {
    /// Parses a head.
    ///
    /// # Errors
    /// Status and reason of the response. The connection cannot be read any further.
    pub fn parse(head: &'a [u8]) -> Result<Self, RequestError> {
        if head.len() > HTTP_HEAD_BYTES_MAX {
            return Err(too_long(&head[..HTTP_HEAD_BYTES_MAX]));
        }
        let mut headers = [httparse::EMPTY_HEADER; HTTP_HEADERS_MAX];
        let mut parsed = httparse::Request::new(&mut headers);
        match parsed.parse(head) {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) => return Err(bad("the request is incomplete")),
            Err(httparse::Error::TooManyHeaders) => {
                return Err(RequestError { status: 431, reason: "too many headers" });
            }
            Err(httparse::Error::Version) => {
                return Err(RequestError { status: 505, reason: "write HTTP/1.1 or HTTP/1.0" });
            }
            Err(_) => return Err(bad("this is not an HTTP request")),
        }
        let (Some(method), Some(target)) = (parsed.method, parsed.path) else {
            return Err(bad("this is not an HTTP request"));
        };
        let is_1_0 = parsed.version == Some(0);
        let mut request = Self { method, path: target, closes: is_1_0, ..Self::default() };
        let mut fields = Fields::default();
        for header in parsed.headers.iter() {
            let value = str::from_utf8(header.value).map(str::trim);
            let value = value.map_err(|_| bad("a header is not UTF-8"))?;
            request.read_header(header.name, value, &mut fields)?;
        }
        request.finish(target, &fields, is_1_0)?;
        Ok(request)
    }

    fn read_header(
        &mut self,
        name: &str,
        value: &'a str,
        fields: &mut Fields<'a>,
    ) -> Result<(), RequestError> {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        let has_token =
            |token: &str| value.split(',').any(|it| it.trim().eq_ignore_ascii_case(token));
        if is("host") {
            if fields.host.replace(value).is_some() {
                return Err(bad("more than one Host header"));
            }
        } else if is("connection") {
            self.closes |= has_token("close");
            fields.keeps_alive |= has_token("keep-alive");
            fields.upgrades |= has_token("upgrade");
        } else if is("upgrade") {
            fields.names_websocket |= has_token("websocket");
        } else if is("content-length") {
            let length: u64 = value.parse().map_err(|_| bad("Content-Length is no number"))?;
            self.has_body |= length > 0;
        } else if is("transfer-encoding") {
            self.has_body = true;
        } else if is("origin") {
            self.origin = Some(value);
        } else if is("authorization") {
            self.authorization = Some(value);
        } else if is("if-none-match") {
            self.if_none_match = Some(value);
        } else if is("accept-encoding") {
            self.accepts_gzip |= value.split(',').any(is_gzip);
        } else if is("sec-websocket-key") {
            self.websocket_key = Some(value);
        } else if is("sec-websocket-version") {
            self.websocket_version = Some(value);
        } else if is("sec-websocket-protocol") {
            self.websocket_protocols = Some(value);
        }
        Ok(())
    }

    /// Completes the request once all headers are known.
    fn finish(
        &mut self,
        target: &'a str,
        fields: &Fields<'a>,
        is_1_0: bool,
    ) -> Result<(), RequestError> {
        let (path, host_in_target) = match target.split_once("://") {
            Some((_, rest)) if !target.starts_with('/') => {
                let end = rest.find(['/', '?']).unwrap_or(rest.len());
                let (host, path) = rest.split_at(end);
                (if path.starts_with('/') { path } else { "/" }, Some(host))
            }
            _ => (target, None),
        };
        self.path = path.split('?').next().unwrap_or_default();
        self.host = match host_in_target.or(fields.host) {
            Some(host) => host,
            None if is_1_0 => "localhost",
            None => return Err(bad("the Host header is missing")),
        };
        self.closes &= !(is_1_0 && fields.keeps_alive);
        self.closes |= self.has_body;
        self.wants_websocket = fields.upgrades && fields.names_websocket && !is_1_0;
        Ok(())
    }

    /// Returns whether the answer has no body.
    #[must_use]
    pub fn is_head(&self) -> bool {
        self.method == "HEAD"
    }
}

/// What headers say that is of use only together.
#[derive(Default)]
struct Fields<'a> {
    host: Option<&'a str>,
    keeps_alive: bool,
    upgrades: bool,
    names_websocket: bool,
}

/// Returns whether an element of `Accept-Encoding` is gzip, and not one with the weight 0.
fn is_gzip(coding: &str) -> bool {
    let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
    let is_refused = weight
        .trim()
        .strip_prefix("q=")
        .is_some_and(|weight| weight.parse::<f32>().is_ok_and(|weight| weight <= 0.0));
    name.trim().eq_ignore_ascii_case("gzip") && !is_refused
}

/// Returns why a head that is too long is refused: its first line, or its headers.
fn too_long(head: &[u8]) -> RequestError {
    match head.contains(&b'\n') {
        false => RequestError { status: 414, reason: "the address is too long" },
        true => RequestError { status: 431, reason: "the headers are too long" },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(head: &str, expected: Result<&Request<'_>, u16>) {
        assert_eq!(head_len(head.as_bytes()), Some(head.len()));
        let found = Request::parse(head.as_bytes());
        assert_eq!(found.as_ref().map_err(|error| error.status), expected, "{head}");
    }

    #[test]
    fn head_is_read_as_far_as_it_matters() {
        let request = Request { method: "GET", path: "/", host: "a:1", ..Request::default() };
        check("GET /?x=1 HTTP/1.1\r\nHost: a:1\r\nCookie: b\r\n\r\n", Ok(&request));
        check("GET http://a:1?x HTTP/1.1\r\nHost: other\r\n\r\n", Ok(&request));
        let closes = Request { closes: true, ..request.clone() };
        check("GET / HTTP/1.1\r\nHOST:a:1\r\nConnection: Close\r\n\r\n", Ok(&closes));
        check("GET / HTTP/1.0\r\nHost: a:1\r\n\r\n", Ok(&closes));
        check("GET / HTTP/1.0\r\nHost: a:1\r\nConnection: keep-alive\r\n\r\n", Ok(&request));
        let body = Request { has_body: true, closes: true, method: "POST", ..request };
        check("POST / HTTP/1.1\r\nHost: a:1\r\nContent-Length: 3\r\n\r\n", Ok(&body));
        check("POST / HTTP/1.1\r\nHost: a:1\r\nTransfer-Encoding: chunked\r\n\r\n", Ok(&body));
        let socket = Request {
            method: "GET",
            path: "/ws",
            host: "a",
            origin: Some("http://a"),
            wants_websocket: true,
            websocket_key: Some("k"),
            websocket_version: Some("13"),
            websocket_protocols: Some("x, y"),
            ..Request::default()
        };
        check(
            "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
             Origin: http://a\r\nSec-WebSocket-Key: k\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: x, y\r\n\r\n",
            Ok(&socket),
        );
    }

    #[test]
    fn gzip_is_accepted_unless_its_weight_is_zero() {
        for (value, expected) in [
            ("gzip, deflate, br, zstd", true),
            ("br;q=1.0, GZIP;q=0.8", true),
            ("deflate", false),
            ("gzip;q=0", false),
            ("gzip; q=0.000, br", false),
            ("x-gzip", false),
            ("", false),
        ] {
            let head = format!("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {value}\r\n\r\n");
            let request = Request::parse(head.as_bytes()).expect("a request");
            assert_eq!(request.accepts_gzip, expected, "{value}");
        }
    }

    #[test]
    fn wrong_head_has_the_status_of_its_fault() {
        check("GET / HTTP/1.1\r\n\r\n", Err(400));
        check("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", Err(400));
        check("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", Err(400));
        check("GET / HTTP/2.0\r\nHost: a\r\n\r\n", Err(505));
        check("hello\r\n\r\n", Err(400));
        check("GET / HTTP/1.1\r\nHost a\r\n\r\n", Err(400));
        let many = "A: b\r\n".repeat(HTTP_HEADERS_MAX + 1);
        check(&format!("GET / HTTP/1.1\r\n{many}\r\n"), Err(431));
        check(&"x".repeat(HTTP_HEAD_BYTES_MAX + 1), Err(414));
        let long = "x".repeat(HTTP_HEAD_BYTES_MAX);
        check(&format!("GET / HTTP/1.1\r\nA: {long}"), Err(431));
    }

    #[test]
    fn head_ends_with_an_empty_line() {
        assert_eq!(head_len(b"GET / HTTP/1.1\r\nHost: a\r\n\r"), None);
        assert_eq!(head_len(b"GET / HTTP/1.1\r\n\r\nGET"), Some(18));
        assert_eq!(head_len(b"\r\nGET"), Some(2));
        assert_eq!(head_len(b""), None);
    }
}
