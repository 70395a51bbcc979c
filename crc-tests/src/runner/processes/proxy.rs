//! A recording proxy in front of a server, for cases that compare the first frame of each
//! connection.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use crc::limits::FRAME_BYTES_MAX;
use crc::wires::crc::codec::frame_len;

use crate::runner::state::hex;

/// A proxy in front of one server. Dropping it closes its listener.
pub(super) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    is_stopped: AtomicBool,
    /// The address of the server, once it listens.
    target: Mutex<Option<SocketAddr>>,
    first_frames: Mutex<Vec<Vec<u8>>>,
}

/// Locks a mutex. No holder panics, so poisoning is ignored.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Proxy {
    /// Opens the listener. Connections before [`Proxy::set_target`] are closed.
    pub(super) fn open(address: IpAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((address, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let acceptor = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                for stream in listener.incoming() {
                    if shared.is_stopped.load(Ordering::Relaxed) {
                        return;
                    }
                    // The client reports a connection that fails here.
                    if let Ok(stream) = stream {
                        let shared = Arc::clone(&shared);
                        thread::spawn(move || drop(proxy_connection(&stream, &shared)));
                    }
                }
            }
        });
        Ok(Self { address, shared, acceptor: Some(acceptor) })
    }

    /// Returns its own address.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets the server that connections are forwarded to.
    pub(super) fn set_target(&self, target: SocketAddr) {
        *lock(&self.shared.target) = Some(target);
        lock(&self.shared.first_frames).clear();
    }

    /// Returns the first frame of each connection, in lower-case hex, in order of acceptance.
    pub(super) fn first_frames(&self) -> Vec<String> {
        lock(&self.shared.first_frames).iter().map(|frame| hex(frame)).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_stopped.store(true, Ordering::Relaxed);
        // Wakes the acceptor, which then checks the flag.
        if TcpStream::connect(self.address).is_ok()
            && let Some(acceptor) = self.acceptor.take()
        {
            drop(acceptor.join());
        }
    }
}

/// Forwards one connection in both directions until either end closes it.
fn proxy_connection(client: &TcpStream, shared: &Arc<Shared>) -> io::Result<()> {
    let target = lock(&shared.target).ok_or(io::ErrorKind::ConnectionRefused)?;
    let server = TcpStream::connect(target)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let backward = thread::spawn({
        let (client, server) = (client.try_clone()?, server.try_clone()?);
        move || forward(&server, &client, |_| {})
    });
    let mut prefix = Some(Vec::new());
    forward(client, &server, |bytes| {
        let Some(frame) = &mut prefix else { return };
        frame.extend_from_slice(bytes);
        if let Ok(Some(len)) = frame_len(frame, FRAME_BYTES_MAX)
            && let Some(frame) = frame.get(..len)
        {
            lock(&shared.first_frames).push(frame.to_vec());
            prefix = None;
        }
    });
    drop(backward.join());
    Ok(())
}

/// Copies bytes until the end, which it forwards too. `look` is called with bytes before they are
/// written.
fn forward(mut from: &TcpStream, mut to: &TcpStream, mut inspect: impl FnMut(&[u8])) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(len) = from.read(&mut buffer)
        && len > 0
    {
        inspect(&buffer[..len]);
        if to.write_all(&buffer[..len]).is_err() {
            break;
        }
    }
    // Half-closed connections are of no use. Errors mean that it is closed already.
    drop(from.shutdown(Shutdown::Both));
    drop(to.shutdown(Shutdown::Both));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxy_forwards_both_ways_and_records_the_first_frame() {
        let server = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = server.local_addr().expect("an address");
        let proxy = Proxy::open(address.ip()).expect("a proxy");
        proxy.set_target(address);
        let mut client = TcpStream::connect(proxy.address()).expect("connected");
        let (mut server_side, _) = server.accept().expect("accepted");
        // A client quit with a text of two bytes, in two pieces, and the beginning of a chat.
        for piece in [&b"\x82\0\0\0\x65\0\0"[..], b"\0\x02ok\x81\0\0"] {
            client.write_all(piece).expect("sent");
            let mut read = vec![0; piece.len()];
            server_side.read_exact(&mut read).expect("passed on");
            assert_eq!(read, piece);
        }
        assert_eq!(proxy.first_frames(), ["8200000065000000026f6b"]);
        server_side.write_all(b"back").expect("sent");
        drop(server_side);
        let mut back = Vec::new();
        client.read_to_end(&mut back).expect("closed");
        assert_eq!(back, b"back");
    }

    #[test]
    fn proxy_closes_connections_until_its_target_is_set() {
        let proxy = Proxy::open(IpAddr::from([127, 0, 0, 1])).expect("a proxy");
        let mut client = TcpStream::connect(proxy.address()).expect("connected");
        assert_eq!(client.read(&mut [0; 1]).unwrap_or(0), 0);
    }
}
