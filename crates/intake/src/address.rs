//! Addresses in the configuration: networks and listeners.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
};

/// A network such as `192.0.2.0/24`, `::1/128`, `[2001:db8::]/32` or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

/// The text is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCidr {
    /// Neither an address nor an address with a prefix length.
    #[error("{0:?} is not a network; write 192.0.2.0/24 or 2001:db8::/32")]
    Syntax(String),
    /// The prefix is longer than the address.
    #[error("the prefix of {0:?} is too long")]
    Prefix(String),
    /// Bits behind the prefix are set, so that it is not clear what was meant.
    #[error("{0:?} has bits set behind its prefix; {1} would be that network")]
    HostBits(String, Cidr),
}

impl Cidr {
    /// This machine: `127.0.0.0/8` and `::1/128`.
    pub const LOOPBACK: [Self; 2] = [
        Self { address: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), prefix: 8 },
        Self { address: IpAddr::V6(Ipv6Addr::LOCALHOST), prefix: 128 },
    ];

    /// Whether `address` lies in it. An IPv4 address that came through an IPv6 socket is taken as what it is.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && masked(address, self.prefix) == self.address
    }
}

fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
            IpAddr::V4((u32::from(v4) & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0);
            IpAddr::V6((u128::from(v6) & mask).into())
        }
    }
}

impl FromStr for Cidr {
    type Err = InvalidCidr;

    fn from_str(text: &str) -> Result<Self, InvalidCidr> {
        let syntax = || InvalidCidr::Syntax(text.into());
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        // postconf(5) mynetworks: IPv6 addresses may stand in brackets.
        let bare = address.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(address);
        let address: IpAddr = bare.parse().map_err(|_| syntax())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => longest,
            Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().unwrap_or(u8::MAX)
            }
            Some(_) => return Err(syntax()),
        };
        if prefix > longest {
            return Err(InvalidCidr::Prefix(text.into()));
        }
        let network = Self { address: masked(address, prefix), prefix };
        if network.address == address {
            Ok(network)
        } else {
            Err(InvalidCidr::HostBits(text.into(), network))
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// Where to listen: `127.0.0.1:2525`, `[::1]:25` or `unix:/path`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListenAddr {
    /// TCP.
    Inet(SocketAddr),
    /// A socket in the file system; who may open it may relay.
    Unix(PathBuf),
}

/// The text says no place to listen at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address to listen on; write 127.0.0.1:2525, [::1]:2525 or unix:/path")]
pub struct InvalidListenAddr(String);

impl FromStr for ListenAddr {
    type Err = InvalidListenAddr;

    fn from_str(text: &str) -> Result<Self, InvalidListenAddr> {
        let invalid = || InvalidListenAddr(text.into());
        match text.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(_) => Err(invalid()),
            None => text.parse().map(Self::Inet).map_err(|_| invalid()),
        }
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_and_contain_their_addresses() {
        let table = [
            ("127.0.0.0/8", "127.255.0.1", true),
            ("127.0.0.0/8", "128.0.0.1", false),
            ("127.0.0.0/8", "::ffff:127.0.0.1", true),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("[2001:db8::]/32", "2001:db8:1::1", true),
            ("::1/128", "::1", true),
            ("::/0", "192.0.2.1", false),
            ("2001:db8::/33", "2001:db8:8000::", false),
        ];
        for (network, address, inside) in table {
            let network: Cidr = network.parse().unwrap();
            assert_eq!(network.contains(address.parse().unwrap()), inside, "{network} {address}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for bad in [
            "",
            "example.com",
            "192.0.2.0/33",
            "192.0.2.0/",
            "192.0.2.0/-1",
            "192.0.2.1/24",
            "::1/129",
            "[::1/128",
        ] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
        let hint = "192.0.2.1/24".parse::<Cidr>().unwrap_err().to_string();
        assert!(hint.contains("192.0.2.0/24"), "{hint}");
    }

    #[test]
    fn places_to_listen_survive_their_text_form() {
        for good in ["127.0.0.1:2525", "[::1]:25", "unix:/run/waxseal/smtp"] {
            assert_eq!(good.parse::<ListenAddr>().unwrap().to_string(), good);
        }
        for bad in ["", "2525", "localhost:25", "unix:relative", "127.0.0.1"] {
            assert!(bad.parse::<ListenAddr>().is_err(), "{bad}");
        }
    }
}
