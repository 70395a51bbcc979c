//! The sockets of strangers.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;

/// Pause before another attempt, when the machine has no port or the server no room.
const RETRY_PAUSE: Duration = Duration::from_millis(5);

/// Connects. The connection is reset when it is dropped, so that its port is free again at once.
pub(super) fn connect(address: SocketAddr, must_end: impl Fn() -> bool) -> Option<TcpStream> {
    while !must_end() {
        match TcpStream::connect(address) {
            Ok(stream) => {
                // Without the option, the load runs out of ports, and says so by being slow.
                let _ = set_socket_linger(&stream, Some(Duration::ZERO));
                let _ = stream.set_nodelay(true);
                return Some(stream);
            }
            Err(_) => std::thread::park_timeout(RETRY_PAUSE),
        }
    }
    None
}
