//! Maps the port labels of a case to addresses of a network.
//!
//! A label keeps its address for the whole case, so a server that is launched again has the address
//! it had. A label may be used before its server is launched; its address is allocated then.

use crate::runner::command::Endpoint;

/// The addresses by label.
pub(crate) struct PortMap<A>(Vec<PortEntry<A>>);

struct PortEntry<A> {
    label: String,
    /// The server last launched there, if any.
    servername: Option<String>,
    address: A,
}

impl<A: Clone + PartialEq> PortMap<A> {
    /// Returns an empty map.
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    /// Returns the address of an endpoint. An unknown one gets the address that `allocate` returns.
    ///
    /// The host only distinguishes servers with the same label: in some files it is the name of a
    /// server, and in others that of a machine.
    pub(crate) fn resolve<E>(
        &mut self,
        endpoint: &Endpoint,
        allocate: impl FnOnce() -> Result<A, E>,
    ) -> Result<A, E> {
        let by_host = self.find(&endpoint.port, Some(&endpoint.host));
        let by_label = || self.0.iter().rev().find(|port| port.label == endpoint.port);
        if let Some(port) = by_host.or_else(by_label) {
            return Ok(port.address.clone());
        }
        let address = allocate()?;
        let (label, address) = (endpoint.port.clone(), address);
        self.0.push(PortEntry { label, servername: None, address: address.clone() });
        Ok(address)
    }

    /// Returns the address that a server must use, if its label has one: its own earlier address,
    /// or that of a server that `is_gone` or was not launched yet.
    pub(crate) fn reserved(
        &self,
        servername: &str,
        label: &str,
        is_gone: impl Fn(&str) -> bool,
    ) -> Option<A> {
        let is_free = |port: &&PortEntry<A>| {
            port.label == label && port.servername.as_deref().is_none_or(&is_gone)
        };
        let free_entry = || self.0.iter().rev().find(is_free);
        let port = self.find(label, Some(servername)).or_else(free_entry)?;
        Some(port.address.clone())
    }

    /// Records that a server uses an address.
    pub(crate) fn record_launch(&mut self, servername: &str, label: &str, address: A) {
        self.0.retain(|port| port.address != address);
        let (label, servername) = (label.to_owned(), Some(servername.to_owned()));
        self.0.push(PortEntry { label, servername, address });
    }

    fn find(&self, label: &str, servername: Option<&str>) -> Option<&PortEntry<A>> {
        let matches =
            |port: &&PortEntry<A>| port.label == label && port.servername.as_deref() == servername;
        self.0.iter().rev().find(matches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(host: &str, port: &str) -> Endpoint {
        Endpoint { host: host.to_owned(), port: port.to_owned() }
    }

    #[test]
    fn port_label_keeps_its_address() {
        let mut ports = PortMap::new();
        let mut resolve =
            |host, address| ports.resolve(&endpoint(host, "1"), || Ok::<_, ()>(address));
        assert_eq!(resolve("a", 10), Ok(10));
        assert_eq!(resolve("b", 20), Ok(10));
        assert_eq!(ports.reserved("a", "1", |_| false), Some(10));
        ports.record_launch("a", "1", 10);
        assert_eq!(ports.reserved("b", "1", |_| false), None);
        assert_eq!(ports.reserved("b", "1", |name| name == "a"), Some(10));
        assert_eq!(ports.reserved("a", "1", |_| true), Some(10));
        assert_eq!(ports.reserved("a", "2", |_| true), None);
    }

    #[test]
    fn server_name_distinguishes_servers_with_one_port_label() {
        let mut ports = PortMap::new();
        ports.record_launch("a", "1", 10);
        ports.record_launch("b", "1", 20);
        ports.record_launch("c", "2", 30);
        let mut check = |host, port, expected| {
            assert_eq!(ports.resolve(&endpoint(host, port), || Err(())), Ok(expected));
        };
        check("a", "1", 10);
        check("b", "1", 20);
        check("localhost", "1", 20);
        check("a", "2", 30);
    }
}
