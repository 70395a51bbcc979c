//! The refusal of a server: what it and the operator are told.

use super::Peering;
use crate::cidr::Cidr;
use crate::id::HostId;
use crate::limits::FALSE_SOURCES_MAX;
use crate::link::{CloseReason, LinkId, Origin};
use crate::relay::admission::InvitationError;
use crate::relay::cx::RelayCx;
use crate::relay::message::StatusCode;
use crate::relay::notice::Notice;
use crate::relay::outbox::Outbox;
use crate::relay::topology::Refusal;

/// Why a server may not join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Neither its address nor a certificate admits it, and it has proven nothing.
    Origin,
    /// It has another link key.
    LinkKey,
    /// Its invitation admits it no more, or is none of this server.
    Invitation(InvitationError),
}

/// Shows the address of an origin for people, an IPv4 address as such.
pub(super) fn shown(origin: &Origin) -> String {
    origin.address.map_or("this process".to_owned(), |it| it.ip().to_canonical().to_string())
}

impl Refused {
    /// Returns the text for the refused server and for the log: why, and what would admit it. `own`
    /// is the id of this server.
    fn text(self, own: HostId, origin: &Origin) -> String {
        let ask_again = "ask for a new one (`crc ctl invite`)";
        match self {
            Self::Origin => {
                let address = shown(origin);
                let range = origin.address.map(|it| Cidr::of(it.ip()).to_string());
                let range = range.unwrap_or_default();
                format!(
                    "Server {own} accepts no servers from {address}: start server {own} with \
                     --allow-servers {range}, or both servers with the same --link-key-file, or \
                     the other with --join and an invitation of server {own} (`crc ctl invite`)"
                )
            }
            Self::LinkKey => format!(
                "The link key is not that of server {own}: give both servers the same \
                 --link-key-file"
            ),
            Self::Invitation(InvitationError::Unknown) => format!(
                "Server {own} does not know this invitation: it has restarted since, or another \
                 server has made it; {ask_again}"
            ),
            Self::Invitation(InvitationError::Expired) => {
                format!("This invitation has expired; {ask_again}")
            }
            Self::Invitation(InvitationError::Used) => {
                format!("This invitation has been used by another server; {ask_again}")
            }
        }
    }
}

impl Peering {
    /// Refuses a server. The connection may still register a client; one that tries to be a server
    /// again and again is closed.
    pub(super) fn refuse_server<O: Outbox>(
        &mut self,
        link: LinkId,
        id: HostId,
        refused: Refused,
        cx: &mut RelayCx<'_, O>,
    ) {
        let refused_count = cx.topology.count_refusal(link, Refusal::NotAdmitted);
        if refused_count >= FALSE_SOURCES_MAX {
            return cx.out.close(link, CloseReason::NotAdmitted);
        }
        if refused_count > 1 {
            return;
        }
        let (own, origin) = (cx.topology.own_id(), cx.out.origin(link));
        let text = refused.text(own, &origin);
        if self.admitting.report(origin.address.map(|address| address.ip())) {
            log::warn!("link {link}: server {id} at {} is refused. {text}", shown(&origin));
        }
        let (source, code, text) = (own, StatusCode::NOT_ADMITTED, text.as_bytes());
        cx.send_answer(link, HostId::NONE, &Notice::Status { source, code, text });
    }
}
