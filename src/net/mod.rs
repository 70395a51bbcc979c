//! The shell: one thread and one poll loop that own every socket of a server or a peer.
//!
//! The loop moves bytes and time between the system and a [`Machine`](crate::link::Machine), and
//! decides nothing. What a program has besides its links is in its `Services`; [`Server`] and
//! [`PeerServer`] are the programs.
//!
//! | module | contents |
//! | --- | --- |
//! | `event_loop` | the loop, one turn after the other |
//! | `settings` | the settings of a server |
//! | `setup`, `poller` | what a loop is made of; waiting for events, and the clock |
//! | `listen`, `reserve` | listening sockets; file descriptors held in reserve |
//! | `reload` | what a running server reads again |
//! | `dial`, `resolve` | dialled targets; name resolution on a thread |
//! | `connection`, `transport`, `proxy` | a link's readiness; its byte stream; the header of a trusted proxy |
//! | `console`, `control`, `stdio` | the operator's terminal and socket; the standard streams |
//! | `log_limit` | the bound for lines of one kind in the log |

mod connection;
mod console;
pub(crate) mod control;
mod dial;
mod event_loop;
mod invitations;
mod join;
mod listen;
pub(crate) mod log_limit;
mod peer;
mod poller;
pub(crate) mod proxy;
pub(crate) mod reload;
mod reserve;
mod resolve;
mod server;
mod services;
mod settings;
mod setup;
pub(crate) mod stdio;
mod transport;

pub use self::peer::{PeerServer, PeerSettings};
pub use self::reload::{Reread, RereadConfig};
pub use self::server::Server;
pub use self::settings::ServerSettings;
pub use crate::tls::TlsFiles;
