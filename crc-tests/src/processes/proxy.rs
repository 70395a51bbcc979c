//! A recording door in front of a server, for cases that ask what the first frame of each
//! connection was: passes everything on and keeps that one frame.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use crc::doors::crc::wire::frame_len;
use crc::limits::FRAME_BYTES_MAX;

use crate::state::hex;

/// Listens in front of one server until it is dropped.
pub(super) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stopped: AtomicBool,
    /// Where the server listens, once it does.
    target: Mutex<Option<SocketAddr>>,
    first_frames: Mutex<Vec<Vec<u8>>>,
}

/// Nothing panics while it holds one of these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Proxy {
    /// Opens the door; whoever comes before [`Proxy::lead_to`] was called is sent away.
    pub(super) fn open(address: IpAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((address, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let acceptor = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                for stream in listener.incoming() {
                    if shared.stopped.load(Ordering::Relaxed) {
                        return;
                    }
                    // A connection that fails here fails for whoever made it, who says so.
                    if let Ok(stream) = stream {
                        let shared = Arc::clone(&shared);
                        thread::spawn(move || drop(relay(&stream, &shared)));
                    }
                }
            }
        });
        Ok(Self { address, shared, acceptor: Some(acceptor) })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends connections on to this server, which has just started.
    pub(super) fn lead_to(&self, target: SocketAddr) {
        *lock(&self.shared.target) = Some(target);
        lock(&self.shared.first_frames).clear();
    }

    /// The first frame of each connection in lower-case hex, in the order in which they came.
    pub(super) fn first_frames(&self) -> Vec<String> {
        lock(&self.shared.first_frames).iter().map(|frame| hex(frame)).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // One more connection, so that the acceptor looks at the flag.
        if TcpStream::connect(self.address).is_ok()
            && let Some(acceptor) = self.acceptor.take()
        {
            drop(acceptor.join());
        }
    }
}

/// Passes on one connection, both ways, until either end closes it.
fn relay(client: &TcpStream, shared: &Arc<Shared>) -> io::Result<()> {
    let target = lock(&shared.target).ok_or(io::ErrorKind::ConnectionRefused)?;
    let server = TcpStream::connect(target)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let back = thread::spawn({
        let (client, server) = (client.try_clone()?, server.try_clone()?);
        move || pass_on(&server, &client, |_| {})
    });
    let mut beginning = Some(Vec::new());
    pass_on(client, &server, |bytes| {
        let Some(frame) = &mut beginning else { return };
        frame.extend_from_slice(bytes);
        if let Ok(Some(len)) = frame_len(frame, FRAME_BYTES_MAX)
            && let Some(frame) = frame.get(..len)
        {
            lock(&shared.first_frames).push(frame.to_vec());
            beginning = None;
        }
    });
    drop(back.join());
    Ok(())
}

/// Copies until the end, which it passes on too. `look` sees bytes before the other end does.
fn pass_on(mut from: &TcpStream, mut to: &TcpStream, mut look: impl FnMut(&[u8])) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(len) = from.read(&mut buffer)
        && len > 0
    {
        look(&buffer[..len]);
        if to.write_all(&buffer[..len]).is_err() {
            break;
        }
    }
    // Nothing of the wire outlives half a connection. What is closed already cannot be closed.
    drop(from.shutdown(Shutdown::Both));
    drop(to.shutdown(Shutdown::Both));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_on_and_keeps_the_first_frame() {
        let server = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = server.local_addr().expect("an address");
        let proxy = Proxy::open(address.ip()).expect("a proxy");
        proxy.lead_to(address);
        let mut client = TcpStream::connect(proxy.address()).expect("connected");
        let (mut inside, _) = server.accept().expect("accepted");
        // A client quit with a text of two bytes, in two pieces, and the beginning of a chat.
        for piece in [&b"\x82\0\0\0\x65\0\0"[..], b"\0\x02ok\x81\0\0"] {
            client.write_all(piece).expect("sent");
            let mut read = vec![0; piece.len()];
            inside.read_exact(&mut read).expect("passed on");
            assert_eq!(read, piece);
        }
        assert_eq!(proxy.first_frames(), ["8200000065000000026f6b"]);
        inside.write_all(b"back").expect("sent");
        drop(inside);
        let mut back = Vec::new();
        client.read_to_end(&mut back).expect("closed");
        assert_eq!(back, b"back");
    }

    #[test]
    fn before_its_server_is_there_it_sends_away() {
        let proxy = Proxy::open(IpAddr::from([127, 0, 0, 1])).expect("a proxy");
        let mut client = TcpStream::connect(proxy.address()).expect("connected");
        assert_eq!(client.read(&mut [0; 1]).unwrap_or(0), 0);
    }
}
