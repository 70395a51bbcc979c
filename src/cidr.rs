//! [`Cidr`]: a range of IP addresses, such as `192.168.0.0/16`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// The addresses that begin with the same bits as one of them (RFC 4632, RFC 4291).
///
/// A mapped address (`::ffff:192.0.2.1`) is the IPv4 address in it, here and in
/// [`Cidr::contains`]: a listener on `[::]` reports IPv4 connections in that form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cidr {
    address: IpAddr,
    prefix_bits: u8,
}

impl Cidr {
    /// The loopback addresses of IPv4.
    pub const LOOPBACK_V4: Self =
        Self { address: IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 0)), prefix_bits: 8 };
    /// The loopback address of IPv6.
    pub const LOOPBACK_V6: Self =
        Self { address: IpAddr::V6(Ipv6Addr::LOCALHOST), prefix_bits: 128 };

    /// Returns the range of one address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { address, prefix_bits: address_bits(address) }
    }

    /// Returns whether an address is in the range.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let shift = 32 - u32::from(self.prefix_bits);
                (own.to_bits() ^ other.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let shift = 128 - u32::from(self.prefix_bits);
                (own.to_bits() ^ other.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// Returns the number of bits of an address.
fn address_bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// Returns an address with zeros behind its first `prefix_bits` bits.
fn masked(address: IpAddr, prefix_bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix_bits)).unwrap_or(0);
            IpAddr::V4((address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix_bits)).unwrap_or(0);
            IpAddr::V6((address.to_bits() & mask).into())
        }
    }
}

impl FromStr for Cidr {
    type Err = String;

    /// Parses `ADDRESS/BITS`; an address alone is the range of this one.
    fn from_str(text: &str) -> Result<Self, String> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let parsed: IpAddr = address.parse().map_err(|_| {
            format!(
                "{text:?} is not a range of addresses; write it like 192.168.0.0/16, 2001:db8::/32 \
                 or 192.168.7.12"
            )
        })?;
        let Some(bits) = bits else { return Ok(Self::of(parsed)) };
        let bits_max = address_bits(parsed);
        let prefix_bits = bits.parse().ok().filter(|bits| *bits <= bits_max).ok_or_else(|| {
            format!("{text:?}: the number behind the slash is 0 to {bits_max} for {address}")
        })?;
        let network = masked(parsed, prefix_bits);
        if network != parsed {
            return Err(format!(
                "{text:?} has bits behind the first {prefix_bits}; write {network}/{prefix_bits} \
                 for the range, or {address} for this address alone"
            ));
        }
        let mapped = network.to_canonical();
        if network.is_ipv6() && mapped.is_ipv4() && prefix_bits >= 96 {
            return Ok(Self { address: mapped, prefix_bits: prefix_bits - 96 });
        }
        Ok(Self { address: network, prefix_bits })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(cidr: &str, inside: &[&str], outside: &[&str]) {
        let range: Cidr = cidr.parse().expect("a range");
        let contains = |it: &&str| range.contains(it.parse().expect("an address"));
        assert!(inside.iter().all(contains), "{cidr} {inside:?}");
        assert!(!outside.iter().any(contains), "{cidr} {outside:?}");
    }

    #[test]
    fn range_contains_the_addresses_with_its_first_bits() {
        check("192.168.0.0/16", &["192.168.7.12", "::ffff:192.168.0.1"], &["192.169.0.0", "::1"]);
        check("192.168.7.12", &["192.168.7.12"], &["192.168.7.13", "192.168.7.0"]);
        check("10.0.0.0/9", &["10.127.255.255"], &["10.128.0.0"]);
        check("0.0.0.0/0", &["1.2.3.4", "255.255.255.255"], &["::1"]);
        check("::/0", &["::1", "2001:db8::1"], &["1.2.3.4", "::ffff:1.2.3.4"]);
        check("2001:db8::/32", &["2001:db8:ffff::1"], &["2001:db9::"]);
        check("fe80::1", &["fe80::1"], &["fe80::2", "1.2.3.4"]);
        check("::ffff:10.0.0.0/104", &["10.9.9.9", "::ffff:10.1.1.1"], &["11.0.0.0"]);
        check("127.0.0.0/8", &["127.0.0.1", "127.9.9.9", "::ffff:127.0.0.1"], &["128.0.0.1"]);
    }

    #[test]
    fn range_is_shown_as_it_is_written() {
        for text in ["192.168.0.0/16", "0.0.0.0/0", "2001:db8::/32", "::1/128"] {
            assert_eq!(text.parse::<Cidr>().expect("a range").to_string(), text);
        }
        assert_eq!("192.168.7.12".parse::<Cidr>().expect("a range").to_string(), "192.168.7.12/32");
        assert_eq!(
            Cidr::of("::ffff:1.2.3.4".parse().expect("an address")).to_string(),
            "1.2.3.4/32"
        );
        assert_eq!("127.0.0.0/8".parse(), Ok(Cidr::LOOPBACK_V4));
        assert_eq!("::1".parse(), Ok(Cidr::LOOPBACK_V6));
    }

    #[test]
    fn error_names_what_to_write_instead() {
        for (text, expected) in [
            ("lab", "write it like 192.168.0.0/16"),
            ("", "write it like 192.168.0.0/16"),
            ("192.168.0.0/33", "0 to 32"),
            ("::/129", "0 to 128"),
            ("10.0.0.0/x", "0 to 32"),
            ("10.0.0.0/-1", "0 to 32"),
            ("192.168.7.12/16", "write 192.168.0.0/16 for the range, or 192.168.7.12 for"),
        ] {
            let error = text.parse::<Cidr>().expect_err("an error");
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
