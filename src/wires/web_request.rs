//! What browsers ask of the operator's surface, and its replies. A session checks who asks; the
//! program that runs the server answers.

use crate::id::HostId;

/// A request of an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebRequest {
    /// Everything that the server knows, as JSON.
    State,
    /// The counters, as Prometheus text.
    Metrics,
    /// The operator has signed in over a WebSocket, and wants to see the network.
    Watch,
    /// The users of a server.
    Users {
        /// The server.
        server: HostId,
    },
    /// What the links of servers carry.
    Loads {
        /// The servers, at most [`WEB_LOADS_MAX`](crate::limits::WEB_LOADS_MAX).
        servers: Vec<HostId>,
    },
    /// Closes the connection of a host.
    Kick {
        /// The host.
        id: HostId,
        /// A text for it.
        text: String,
    },
    /// Stops the server.
    Shutdown,
}

/// A part of the reply to a [`WebRequest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebReply<'a> {
    /// The head of a response.
    Head {
        /// The type of its body.
        content_type: &'a str,
    },
    /// A part of its body.
    Body(&'a [u8]),
    /// Its end.
    End,
    /// A message over a WebSocket: a JSON object.
    Event(&'a [u8]),
}
