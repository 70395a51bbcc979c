//! The connection to a server of a crc network, which tells where the others are.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};

use crc::address::Address;
use crc::doors::assembly::Assembly;
use crc::doors::crc::wire;
use crc::limits::FRAME_BYTES_MAX_CEILING;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use super::directory::{Directory, News};
use crate::channel::{prepare, reason};
use crate::limits::{CONNECT_DEADLINE, LEAVE_DEADLINE, SETTLE_DEADLINE};

/// Connects to a server.
///
/// # Errors
/// It is not there.
pub(crate) async fn connect(relay: &Address) -> Result<TcpStream, String> {
    let failed = |why: &str| format!("no crc server at {relay}: {why}");
    match timeout(CONNECT_DEADLINE, TcpStream::connect((&*relay.host, relay.port))).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(failed(&reason(&error))),
        Err(_) => Err(failed("it does not answer")),
    }
}

/// The own address by which a server is reached: others who reach the server may reach it, too.
///
/// # Errors
/// The connection has ended already.
pub(crate) fn own_ip(stream: &TcpStream) -> Result<IpAddr, String> {
    let address = stream.local_addr().map_err(|error| reason(&error))?;
    Ok(address.ip())
}

/// A connection that stands.
pub(crate) struct Relay {
    stream: TcpStream,
    assembly: Assembly,
    directory: Directory,
    unsent: Vec<u8>,
    /// When what has been told must do.
    settles: Option<Instant>,
}

impl Relay {
    /// Joins as somebody who is reached at `address`.
    ///
    /// # Errors
    /// The server will not have us, says nothing, or is none.
    pub(crate) async fn join(
        stream: TcpStream,
        name: &str,
        address: SocketAddr,
    ) -> Result<Self, String> {
        let mut relay = Self::register(stream, name, address);
        match timeout(CONNECT_DEADLINE, relay.news()).await {
            Ok(Ok(news)) => {
                let refusal = news.into_iter().find_map(|news| match news {
                    News::Refused(why) => Some(why),
                    _ => None,
                });
                refusal.map_or(Ok(relay), Err)
            }
            Ok(Err(why)) => Err(why),
            Err(_) => Err("it does not answer".to_owned()),
        }
    }

    fn register(stream: TcpStream, name: &str, address: SocketAddr) -> Self {
        prepare(&stream);
        let directory = Directory::new(name, address);
        let mut unsent = Vec::new();
        directory.register(&mut unsent);
        Self { stream, assembly: Assembly::default(), directory, unsent, settles: None }
    }

    /// Who is in the network.
    pub(crate) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Waits for news. It may be dropped and called again at any time.
    ///
    /// # Errors
    /// Why no more come.
    pub(crate) async fn news(&mut self) -> Result<Vec<News>, String> {
        loop {
            let mut interest = Interest::READABLE;
            if !self.unsent.is_empty() {
                interest = interest.add(Interest::WRITABLE);
            }
            let settles = self.settles.unwrap_or_else(Instant::now);
            let ready = tokio::select! {
                ready = self.stream.ready(interest) => ready.map_err(|error| reason(&error))?,
                () = sleep_until(settles), if self.settles.is_some() => {
                    self.settles = None;
                    match self.directory.settle() {
                        Some(news) => return Ok(vec![news]),
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
                let news = self.read()?;
                if !news.is_empty() {
                    return Ok(news);
                }
            }
        }
    }

    fn read(&mut self) -> Result<Vec<News>, String> {
        let mut buffer = [0; 16 * 1024];
        let bytes = match self.stream.try_read(&mut buffer) {
            Ok(0) => return Err("it closed the connection".to_owned()),
            Ok(len) => &buffer[..len],
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Vec::new()),
            Err(error) => return Err(reason(&error)),
        };
        let mut news = Vec::new();
        let Self { assembly, directory, unsent, .. } = self;
        let frame_len = |bytes: &[u8]| wire::frame_len(bytes, FRAME_BYTES_MAX_CEILING);
        let hear = |frame: &[u8]| {
            news.extend(directory.hear(frame, unsent));
            true
        };
        assembly.feed(bytes, frame_len, hear).map_err(|error| error.to_string())?;
        if news.contains(&News::Welcome) {
            self.settles = Some(Instant::now() + SETTLE_DEADLINE);
        }
        Ok(news)
    }

    /// Leaves the network; waits, not for ever, until the server has heard it.
    pub(crate) async fn quit(mut self) {
        self.directory.quit(&mut self.unsent);
        let heard = async {
            self.stream.write_all(&self.unsent).await?;
            self.stream.shutdown().await?;
            // A close with something left to read would take back what was said.
            while self.stream.read(&mut [0; 4096]).await? > 0 {}
            std::io::Result::Ok(())
        };
        let _ = timeout(LEAVE_DEADLINE, heard).await;
    }
}
