//! The connections of a browser: a WebSocket, and requests for the metrics. They block.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::super::client_codec::websocket::{
    HEAD_END, TEXT, encode_handshake, encode_message, header,
};
use super::super::client_pool::RESPONSE_TIMEOUT;
use super::super::error::LoadError;
use super::turns::Turns;

/// Time after which a read is tried again, so that the end of the load is noticed.
const READ_TIMEOUT: Duration = Duration::from_millis(100);

/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;

fn failed(what: &str, why: impl std::fmt::Display) -> LoadError {
    LoadError::failed(format!("{what}: {why}"))
}

/// A connection to the HTTP listener, and bytes that were read from it.
struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Connection {
    fn open(address: SocketAddr) -> Result<Self, LoadError> {
        let stream = TcpStream::connect(address)
            .and_then(|stream| stream.set_read_timeout(Some(READ_TIMEOUT)).map(|()| stream))
            .map_err(|error| failed(&format!("cannot reach {address}"), error))?;
        Ok(Self { stream, unread: Vec::new() })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), LoadError> {
        self.stream.write_all(bytes).map_err(|error| failed("a page cannot write", error))
    }

    /// Reads more. Returns false if there is nothing for a while.
    fn read(&mut self) -> Result<bool, LoadError> {
        let mut buffer = [0; READ_BYTES];
        match self.stream.read(&mut buffer) {
            Ok(0) => Err(failed("a page", "the server has closed its connection")),
            Ok(count) => {
                self.unread.extend_from_slice(&buffer[..count]);
                Ok(true)
            }
            Err(error) if is_timeout(&error) => Ok(false),
            Err(error) => Err(failed("a page cannot read", error)),
        }
    }

    /// Reads the head of a response, and takes it.
    fn take_head(&mut self) -> Result<String, LoadError> {
        let deadline = Instant::now() + RESPONSE_TIMEOUT;
        loop {
            let end = self.unread.windows(HEAD_END.len()).position(|window| window == HEAD_END);
            if let Some(end) = end {
                let head = self.unread.drain(..end + HEAD_END.len()).collect::<Vec<_>>();
                return Ok(String::from_utf8_lossy(&head).into_owned());
            }
            if !self.read()? && Instant::now() > deadline {
                return Err(failed("a page", "the server does not answer"));
            }
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// A WebSocket of a page.
pub(super) struct Page(Connection);

impl Page {
    /// Opens a WebSocket.
    pub(super) fn open(address: SocketAddr, path: &str, protocol: &str) -> Result<Self, LoadError> {
        let mut connection = Connection::open(address)?;
        let mut request = Vec::new();
        encode_handshake(path, protocol, &mut request);
        connection.write(&request)?;
        let head = connection.take_head()?;
        if !head.starts_with("HTTP/1.1 101 ") {
            return Err(failed(path, head.lines().next().unwrap_or_default()));
        }
        Ok(Self(connection))
    }

    /// Sends a text message.
    pub(super) fn send(&mut self, message: &str) -> Result<(), LoadError> {
        let mut bytes = Vec::new();
        encode_message(TEXT, &mut bytes, |out| out.extend_from_slice(message.as_bytes()));
        self.0.write(&bytes)
    }

    /// Reads events, and calls `handle` with each, until it returns a value or nothing comes while
    /// `must_end` is set.
    fn read_events<T>(
        &mut self,
        must_end: Option<&AtomicBool>,
        mut handle: impl FnMut(&[u8]) -> Option<T>,
    ) -> Result<Option<T>, LoadError> {
        let mut deadline = Instant::now() + RESPONSE_TIMEOUT;
        let mut at = 0;
        loop {
            while let Some((header_bytes, length)) = header(&self.0.unread[at..])
                && self.0.unread.len() >= at + header_bytes + length
            {
                let event = &self.0.unread[at + header_bytes..at + header_bytes + length];
                let result = handle(event);
                at += header_bytes + length;
                if result.is_some() {
                    self.0.unread.drain(..at);
                    return Ok(result);
                }
            }
            self.0.unread.drain(..std::mem::take(&mut at));
            if must_end.is_some_and(|end| end.load(Ordering::Relaxed)) {
                return Ok(None);
            }
            if self.0.read()? {
                deadline = Instant::now() + RESPONSE_TIMEOUT;
            } else if Instant::now() > deadline {
                return Err(failed("a page", "the server does not answer"));
            }
        }
    }

    /// Returns the id of the server, on an operator's page. Users behind a plain server are its
    /// own.
    pub(super) fn own_server(&mut self) -> Result<u64, LoadError> {
        let found = self.read_events(None, |event| {
            let event: Value = serde_json::from_slice(event).ok()?;
            (event["event"] == "signed_in").then(|| event["id"].as_u64())?
        })?;
        found.ok_or_else(|| failed("a page", "the operator is not signed in"))
    }

    /// Reads a list to its end. Returns false if the load ends before.
    pub(super) fn read_list(
        &mut self,
        name: &str,
        must_end: &AtomicBool,
    ) -> Result<bool, LoadError> {
        let begin = format!("{{\"event\":\"{name}\",").into_bytes();
        let is_last =
            |event: &[u8]| event.starts_with(&begin) && !event.ends_with(b",\"more\":true}");
        let end = self.read_events(Some(must_end), |event| is_last(event).then_some(()))?;
        Ok(end.is_some())
    }
}

/// A connection over which the metrics are read.
pub(super) struct Scraper {
    connection: Connection,
    request: String,
}

impl Scraper {
    pub(super) fn open(address: SocketAddr, token: &str) -> Result<Self, LoadError> {
        let request = format!(
            "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        Ok(Self { connection: Connection::open(address)?, request })
    }

    /// Reads the metrics. Returns the turns in them.
    pub(super) fn turns(&mut self) -> Result<Turns, LoadError> {
        self.connection.write(self.request.as_bytes())?;
        let head = self.connection.take_head()?;
        if !head.starts_with("HTTP/1.1 200 ") {
            return Err(failed("/metrics", head.lines().next().unwrap_or_default()));
        }
        let deadline = Instant::now() + RESPONSE_TIMEOUT;
        // The body is sent in chunks, of which the last is empty.
        while !self.connection.unread.ends_with(b"\r\n0\r\n\r\n") {
            if !self.connection.read()? && Instant::now() > deadline {
                return Err(failed("/metrics", "the answer does not end"));
            }
        }
        let body = std::mem::take(&mut self.connection.unread);
        Ok(Turns::parse(&String::from_utf8_lossy(&body)))
    }
}
