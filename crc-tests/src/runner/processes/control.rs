//! A client of a server's control socket: a request is a line, a reply a header and a body.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

/// Maximum time for a reply.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection to a control socket.
pub(super) struct ControlClient(BufReader<UnixStream>);

impl ControlClient {
    /// Connects to a control socket.
    pub(super) fn connect(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(REPLY_TIMEOUT))?;
        stream.set_write_timeout(Some(REPLY_TIMEOUT))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Returns the reply to `crc ctl --json COMMAND`.
    ///
    /// # Errors
    /// The connection fails, the server refuses the command, or the reply is invalid.
    pub(super) fn request(&mut self, command: &str) -> io::Result<Value> {
        let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
        self.0.get_mut().write_all(format!("json {command}\n").as_bytes())?;
        let mut header = String::new();
        self.0.read_line(&mut header)?;
        if header.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (status, len) = header
            .trim_end()
            .split_once(' ')
            .and_then(|(status, len)| Some((status, len.parse().ok()?)))
            .ok_or_else(|| invalid(format!("an answer that begins with {header:?}")))?;
        let mut body = vec![0; len];
        self.0.read_exact(&mut body)?;
        match status {
            "ok" => serde_json::from_slice(&body).map_err(|error| invalid(error.to_string())),
            _ => Err(invalid(String::from_utf8_lossy(&body).into_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;

    #[test]
    fn consecutive_replies_are_read_from_one_connection() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("control");
        let listener = UnixListener::bind(&path).expect("a listener");
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("accepted");
            stream.write_all(b"ok 4\n[1]\nerror 2\nno").expect("answered");
            let mut requests = String::new();
            stream.read_to_string(&mut requests).expect("read");
            requests
        });
        let mut control = ControlClient::connect(&path).expect("connected");
        assert_eq!(control.request("links").expect("an answer"), serde_json::json!([1]));
        assert_eq!(control.request("dance").expect_err("refused").to_string(), "no");
        drop(control);
        assert_eq!(server.join().expect("ended"), "json links\njson dance\n");
    }
}
