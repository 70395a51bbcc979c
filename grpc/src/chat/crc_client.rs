//! The connection to a server of a crc network, which tells where the others are.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};

use crc::limits::FRAME_BYTES_MAX_CEILING;
use crc::link::frame_decoder::FrameDecoder;
use crc::uri::Address;
use crc::wires::crc::codec as wire;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use super::directory::{Directory, DirectoryEvent};
use crate::channel::{error_text, set_socket_options};
use crate::limits::{CONNECT_DEADLINE, INITIAL_SYNC_DEADLINE, SHUTDOWN_DEADLINE};

/// Connects to a server.
///
/// # Errors
/// It is not there.
pub(crate) async fn connect(server: &Address) -> Result<TcpStream, String> {
    let failed = |why: &str| format!("no crc server at {server}: {why}");
    match timeout(CONNECT_DEADLINE, TcpStream::connect((&*server.host, server.port))).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(failed(&error_text(&error))),
        Err(_) => Err(failed("it does not answer")),
    }
}

/// The own address by which a server is reached: others who reach the server may reach it, too.
///
/// # Errors
/// The connection has ended already.
pub(crate) fn own_ip(stream: &TcpStream) -> Result<IpAddr, String> {
    let address = stream.local_addr().map_err(|error| error_text(&error))?;
    Ok(address.ip())
}

/// A connection that stands.
pub(crate) struct CrcClient {
    stream: TcpStream,
    decoder: FrameDecoder,
    directory: Directory,
    unsent: Vec<u8>,
    /// When what has been told must do.
    sync_deadline: Option<Instant>,
}

impl CrcClient {
    /// Joins as somebody who is reached at `address`.
    ///
    /// # Errors
    /// The server will not have us, says nothing, or is none.
    pub(crate) async fn join(
        stream: TcpStream,
        name: &str,
        address: SocketAddr,
    ) -> Result<Self, String> {
        let mut client = Self::register(stream, name, address);
        match timeout(CONNECT_DEADLINE, client.next_events()).await {
            Ok(Ok(events)) => {
                let refusal = events.into_iter().find_map(|news| match news {
                    DirectoryEvent::Refused(why) => Some(why),
                    _ => None,
                });
                refusal.map_or(Ok(client), Err)
            }
            Ok(Err(why)) => Err(why),
            Err(_) => Err("it does not answer".to_owned()),
        }
    }

    fn register(stream: TcpStream, name: &str, address: SocketAddr) -> Self {
        set_socket_options(&stream);
        let directory = Directory::new(name, address);
        let mut unsent = Vec::new();
        directory.encode_registration(&mut unsent);
        Self { stream, decoder: FrameDecoder::default(), directory, unsent, sync_deadline: None }
    }

    /// Who is in the network.
    pub(crate) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Waits for news. It may be dropped and called again at any time.
    ///
    /// # Errors
    /// Why no more come.
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
                    // The read explains it: the server may have said why before it closed.
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

    fn read(&mut self) -> Result<Vec<DirectoryEvent>, String> {
        let mut buffer = [0; 16 * 1024];
        let bytes = match self.stream.try_read(&mut buffer) {
            Ok(0) => return Err("it closed the connection".to_owned()),
            Ok(len) => &buffer[..len],
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Vec::new()),
            Err(error) => return Err(error_text(&error)),
        };
        let mut events = Vec::new();
        let Self { decoder, directory, unsent, .. } = self;
        let frame_len = |bytes: &[u8]| wire::frame_len(bytes, FRAME_BYTES_MAX_CEILING);
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

    /// Leaves the network; waits, not for ever, until the server has heard it.
    pub(crate) async fn quit(mut self) {
        self.directory.encode_quit(&mut self.unsent);
        let farewell = async {
            self.stream.write_all(&self.unsent).await?;
            self.stream.shutdown().await?;
            // A close with something left to read would take back what was said.
            while self.stream.read(&mut [0; 4096]).await? > 0 {}
            std::io::Result::Ok(())
        };
        let _ = timeout(SHUTDOWN_DEADLINE, farewell).await;
    }
}
