//! A chat relay: servers that join into a tree, and the clients on it.
//!
//! The crate is a pure state machine inside a small socket shell. Bytes, time and a random seed go
//! in; bytes and a few actions come out. A server therefore runs inside any event loop, and a whole
//! network runs inside one test.
//!
//! | to | use |
//! | --- | --- |
//! | run a server with sockets, signals and a mailbox | [`net::Server`] |
//! | run a server inside your own loop | [`node::Node`], through [`link::Machine`] |
//! | run a peer of the serverless mode | [`peer::Peer`], through the same trait |
//! | read and write CRC frames | [`wires::crc::codec`], with [`relay::message::Message`] |
//! | look at the network that a server knows | [`node::Node::relay`] |
//! | serve a protocol of your own | [`wires::Session`], described by a [`wires::WireSpec`] |
//! | keep mail for users who are away | [`mail::store::Mailbox`], which answers `Action::Store` |
//! | write ids and addresses | [`id::HostId`], [`id::WideId`], [`uri::Address`] |
//! | set bounds | [`limits::Limits`] |
//!
//! These modules are the API.
//!
//! `examples/embed.rs` runs two servers and their users in memory, and `examples/mio_server.rs`
//! runs a server in a loop of its own. `docs/ARCHITECTURE.md` describes the parts and their
//! invariants, and `PROTOCOL.md` beside it every byte on the wire.
//!
//! # A server driven by hand
//!
//! ```
//! use crc::id::HostId;
//! use crc::limits::{FRAME_BYTES_MAX, Limits};
//! use crc::link::{Machine as _, Origin, Time};
//! use crc::node::Node;
//! use crc::relay::Identity;
//! use crc::relay::message::{HostKind, Message, Registration, StatusCode};
//! use crc::wires::Wire;
//! use crc::wires::crc::codec;
//!
//! // A server with one listener and no parent. The seed decides every random choice.
//! let name = b"theshire".to_vec();
//! let identity = Identity { id: HostId(1), is_id_configured: true, name, info: Vec::new() };
//! let mut node = Node::new(identity, 0, Limits::default(), 42);
//! let listener = node.add_listener(Wire::CRC);
//!
//! // A user connects and registers.
//! let now = Time::default();
//! let link = node.accepted(now, listener, &Origin::default());
//! let (kind, source, last_hop) = (HostKind::User, HostId(101), HostId::NONE);
//! let user = Registration { kind, source, last_hop, name: b"frodo", info: b"" };
//! let mut frame = Vec::new();
//! codec::encode(&Message::Registration(user), &mut frame);
//! node.receive(now, link, &frame);
//!
//! // The welcome waits in the link's send queue.
//! assert_eq!(node.poll_unsent(), Some(link));
//! let (message, len) = codec::parse(node.unsent(link), FRAME_BYTES_MAX)?.expect("a whole frame");
//! assert!(matches!(message, Message::Status { code: StatusCode::WELCOME, .. }));
//! node.sent(link, len);
//!
//! // The server knows the user, and asks for nothing.
//! assert!(node.relay().hosts().get(HostId(101)).is_some());
//! assert_eq!(node.poll_action(), None);
//! # Ok::<(), codec::WireError>(())
//! ```

mod chunked_vec;
pub mod cidr;
mod cli;
mod client;
pub mod id;
pub mod limits;
pub mod link;
pub mod mail;
mod names;
pub mod net;
pub mod node;
mod operator;
pub mod peer;
mod printable;
pub mod relay;
pub mod room;
mod tls;
mod ui;
pub mod uri;
mod vocabulary;
pub mod wires;

/// What the programs and tests of this workspace use of the other modules. Not part of the API: it
/// changes without notice.
#[doc(hidden)]
pub mod internal {
    pub use crate::printable::Printable;

    /// The command line of the `crc` binary.
    pub mod cli {
        pub use crate::cli::{
            CertArgs, Cli, CtlArgs, PeerArgs, PeerCommand, Program, ServerArgs, SettingsError,
        };
    }

    /// The bundled client.
    pub mod client {
        pub use crate::client::{App, Identity, Options, ServerUri, Trust, run};
        pub use crate::vocabulary::{Event, RoomSize, Text, User};
    }

    /// The programs' standard error, the client of the control socket, and what strangers send
    /// before a wire.
    pub mod net {
        pub use crate::net::control::send_control_command;
        pub use crate::net::log_limit::LogLimiter;
        pub use crate::net::proxy::{ProxyHeader, ProxySource};
        pub use crate::net::reload::check_is_file;
        pub use crate::net::stdio::LogSink;
    }

    /// TLS streams, for clients of tests and measurements.
    pub mod tls {
        pub use crate::tls::{
            CertificateFiles, ClientTrust, Fingerprint, TlsConfigs, TlsFiles, TlsStream,
            make_certificates,
        };
    }

    /// The operator's commands.
    pub mod operator {
        pub use crate::operator::{
            Answer, CommandResult, Format, LoopStats, PendingTrace, ShellReport, WebSurface,
            execute,
        };
    }

    /// The terminal.
    pub mod ui {
        pub use crate::ui::{
            Complete, Input, InvalidLine, NoCompletion, PipeInput, Printer, Terminal, write_all,
        };
    }
}
