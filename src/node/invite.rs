//! Invitations: what an invited server needs to find this one.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::Node;
use crate::link::Time;
use crate::relay::{LinkKey, Token, UsedInvitation};
use crate::uri::{Address, Uri};

/// Where invited servers find this one.
#[derive(Clone, Copy, Debug)]
pub struct InviteListener {
    /// The address of a listener for servers.
    pub address: SocketAddr,
    /// The SHA-256 fingerprint of its certificate, if it speaks TLS.
    pub pin: Option<[u8; 32]>,
}

impl Node {
    /// Lets the operator invite servers, see [`Node::invite`]. The keys of invitations are derived
    /// from `secret`, which nobody else has.
    pub fn set_inviting(&mut self, secret: LinkKey, listener: InviteListener) {
        self.relay.set_invitation_secret(secret);
        self.invite_listener = Some(listener);
    }

    /// Replaces the fingerprint of the certificate that invited servers expect.
    pub fn set_invitation_pin(&mut self, pin: [u8; 32]) {
        if let Some(InviteListener { pin: Some(present), .. }) = &mut self.invite_listener {
            *present = pin;
        }
    }

    /// Returns the invitations that have been used, by number.
    pub fn used_invitations(&self) -> impl Iterator<Item = UsedInvitation> {
        self.relay.used_invitations()
    }

    /// Returns a number that changes when [`Node::used_invitations`] does.
    #[must_use]
    pub fn invitations_version(&self) -> u64 {
        self.relay.invitations_version()
    }

    /// Adds invitations that were used before the start of this server.
    pub fn restore_invitations(&mut self, used: Vec<UsedInvitation>) {
        self.relay.restore_invitations(used);
    }

    /// Invites a server, which must join within `lifetime`. `host` is the host, with or without a
    /// port, by which that server reaches this one; without it, the listener's own address is.
    ///
    /// # Errors
    /// The text says what is wrong, and what to do.
    pub fn invite(
        &mut self,
        now: Time,
        lifetime: Duration,
        host: Option<&str>,
    ) -> Result<Token, String> {
        let InviteListener { address: own, pin } = self.invite_listener.ok_or(
            "this server has no listener for servers; start it with --listen crc://… or crcs://…",
        )?;
        let address = match host {
            Some(host) => parse_host(host, own.port())?,
            None if own.ip().is_unspecified() => {
                return Err("this server listens on all addresses; write `invite HOST`, with the \
                            name or address by which the other machine reaches it"
                    .to_owned());
            }
            None => Address { host: own.ip().to_canonical().to_string(), port: own.port() },
        };
        let (invitation, key) =
            self.relay.invite(now, lifetime).map_err(|error| error.to_string())?;
        let reach = match address.host.parse::<IpAddr>() {
            Ok(ip) if ip.is_loopback() => "; only this machine reaches that address",
            _ => "",
        };
        log::info!("invited a server to {address}, within {} s{reach}", lifetime.as_secs());
        Ok(Token { address, pin, invitation, key })
    }
}

/// Parses a host, with or without a port.
fn parse_host(text: &str, default_port: u16) -> Result<Address, String> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(Address { host: ip.to_string(), port: default_port });
    }
    let Uri { scheme, host, port } =
        text.parse().map_err(|error: crate::uri::UriError| error.to_string())?;
    match scheme {
        Some(_) => Err("an invitation is for a host; write it without a scheme".to_owned()),
        None => Ok(Address { host, port: port.unwrap_or(default_port) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::HostId;
    use crate::limits::Limits;
    use crate::relay::Identity;

    fn node(listener: &str) -> Node {
        let (id, name, info) = (HostId(1), Vec::new(), Vec::new());
        let own = Identity { id, is_id_configured: true, name, info };
        let mut node = Node::new(own, 0, Limits::default(), 1);
        let address = listener.parse().expect("an address");
        node.set_inviting(LinkKey::new(b"secret"), InviteListener { address, pin: None });
        node
    }

    #[test]
    fn invitation_names_the_given_host_or_that_of_the_listener() {
        let check = |listener: &str, host: Option<&str>, expected: Result<&str, &str>| {
            let token = node(listener).invite(Time::default(), Duration::from_secs(60), host);
            match (token.map(|token| token.address.to_string()), expected) {
                (Ok(address), Ok(expected)) => assert_eq!(address, expected),
                (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
                (found, _) => panic!("{found:?}"),
            }
        };
        check("127.0.0.1:3600", None, Ok("127.0.0.1:3600"));
        check("0.0.0.0:3600", None, Err("write `invite HOST`"));
        check("[::]:3600", None, Err("write `invite HOST`"));
        check("0.0.0.0:3600", Some("bree.example"), Ok("bree.example:3600"));
        check("0.0.0.0:3600", Some("10.0.0.7:80"), Ok("10.0.0.7:80"));
        check("0.0.0.0:3600", Some("fe80::1"), Ok("[fe80::1]:3600"));
        check("0.0.0.0:3600", Some("[fe80::1]:80"), Ok("[fe80::1]:80"));
        check("0.0.0.0:3600", Some("crcs://a"), Err("without a scheme"));
        check("0.0.0.0:3600", Some("a b"), Err("has a space"));
    }

    #[test]
    fn every_invitation_has_a_key_of_its_own() {
        let mut node = node("127.0.0.1:3600");
        let mut invite = || node.invite(Time::default(), Duration::from_secs(60), None);
        let (first, second) = (invite().expect("a token"), invite().expect("a token"));
        assert!(first.invitation != second.invitation && first.key != second.key);
    }
}
