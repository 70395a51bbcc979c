//! The connection to a server of a crc network, in which users find each other.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};

use crc::limits::FRAME_BYTES_MAX_CEILING;
use crc::link::frame_decoder::FrameDecoder;
use crc::uri::Address;
use crc::wires::crc::codec;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use super::directory::{Directory, DirectoryEvent};
use crate::channel::{NO_ANSWER, error_text, set_socket_options};
use crate::limits::{CONNECT_DEADLINE, INITIAL_SYNC_DEADLINE, SHUTDOWN_DEADLINE};

/// Connects to a server.
///
/// # Errors
/// Returns an error if the connection fails.
pub(crate) async fn connect(server: &Address) -> Result<TcpStream, String> {
    let failed = |why: &str| format!("no crc server at {server}: {why}");
    match timeout(CONNECT_DEADLINE, TcpStream::connect((&*server.host, server.port))).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(failed(&error_text(&error))),
        Err(_) => Err(failed(NO_ANSWER)),
    }
}

/// Returns the local address of a connection to a server: users that reach the server can usually
/// reach that address.
///
/// # Errors
/// Returns an error if the connection has ended.
pub(crate) fn own_ip(stream: &TcpStream) -> Result<IpAddr, String> {
    let address = stream.local_addr().map_err(|error| error_text(&error))?;
    Ok(address.ip())
}

/// A client of a crc server.
pub(crate) struct CrcClient {
    stream: TcpStream,
    decoder: FrameDecoder,
    directory: Directory,
    unsent: Vec<u8>,
    /// When the list of users counts as complete.
    sync_deadline: Option<Instant>,
}

impl CrcClient {
    /// Joins the network under `name` and advertises `address`.
    ///
    /// # Errors
    /// Returns an error if the server refuses the registration, does not answer, or is not a crc
    /// server.
    pub(crate) async fn join(
        stream: TcpStream,
        name: &str,
        address: SocketAddr,
    ) -> Result<Self, String> {
        let mut client = Self::register(stream, name, address);
        match timeout(CONNECT_DEADLINE, client.next_events()).await {
            Ok(Ok(events)) => {
                let refusal = events.into_iter().find_map(|event| match event {
                    DirectoryEvent::Refused(why) => Some(why),
                    _ => None,
                });
                refusal.map_or(Ok(client), Err)
            }
            Ok(Err(why)) => Err(why),
            Err(_) => Err(NO_ANSWER.to_owned()),
        }
    }

    /// Queues the registration.
    fn register(stream: TcpStream, name: &str, address: SocketAddr) -> Self {
        set_socket_options(&stream);
        let directory = Directory::new(name, address);
        let mut unsent = Vec::new();
        directory.encode_registration(&mut unsent);
        Self { stream, decoder: FrameDecoder::default(), directory, unsent, sync_deadline: None }
    }

    /// Returns the directory of the network.
    pub(crate) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Waits for the next events. Cancel safe.
    ///
    /// # Errors
    /// Returns the reason for the end of the connection.
    pub(crate) async fn next_events(&mut self) -> Result<Vec<DirectoryEvent>, String> {
        loop {
            let mut interest = Interest::READABLE;
            if !self.unsent.is_empty() {
                interest = interest.add(Interest::WRITABLE);
            }
            let sync_deadline = self.sync_deadline.unwrap_or_else(Instant::now);
            let ready = tokio::select! {
                ready = self.stream.ready(interest) => ready.map_err(|error| error_text(&error))?,
                () = sleep_until(sync_deadline), if self.sync_deadline.is_some() => {
                    self.sync_deadline = None;
                    match self.directory.finish_initial_sync() {
                        Some(event) => return Ok(vec![event]),
                        None => continue,
                    }
                }
            };
            if ready.is_writable() && !self.unsent.is_empty() {
                match self.stream.try_write(&self.unsent) {
                    Ok(written) => drop(self.unsent.drain(..written)),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    // The next read returns the reason: the server may have sent one before
                    // closing.
                    Err(_) => self.unsent.clear(),
                }
            }
            if ready.is_readable() {
                let events = self.read()?;
                if !events.is_empty() {
                    return Ok(events);
                }
            }
        }
    }

    /// Reads once and handles all complete frames.
    fn read(&mut self) -> Result<Vec<DirectoryEvent>, String> {
        let mut buffer = [0; 16 * 1024];
        let bytes = match self.stream.try_read(&mut buffer) {
            Ok(0) => return Err("the server closed the connection".to_owned()),
            Ok(len) => &buffer[..len],
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Vec::new()),
            Err(error) => return Err(error_text(&error)),
        };
        let mut events = Vec::new();
        let Self { decoder, directory, unsent, .. } = self;
        let frame_len = |bytes: &[u8]| codec::frame_len(bytes, FRAME_BYTES_MAX_CEILING);
        let on_frame = |frame: &[u8]| {
            events.extend(directory.receive(frame, unsent));
            true
        };
        decoder.decode(bytes, frame_len, on_frame).map_err(|error| error.to_string())?;
        if events.contains(&DirectoryEvent::Welcome) {
            self.sync_deadline = Some(Instant::now() + INITIAL_SYNC_DEADLINE);
        }
        Ok(events)
    }

    /// Leaves the network. Waits up to [`SHUTDOWN_DEADLINE`] until the server has closed its side.
    pub(crate) async fn quit(mut self) {
        self.directory.encode_quit(&mut self.unsent);
        let farewell = async {
            self.stream.write_all(&self.unsent).await?;
            self.stream.shutdown().await?;
            // Closing with unread data would reset the connection and could lose the quit.
            while self.stream.read(&mut [0; 4096]).await? > 0 {}
            std::io::Result::Ok(())
        };
        let _ = timeout(SHUTDOWN_DEADLINE, farewell).await;
    }
}
