//! Next hops, as transport(5) and `relayhost` write them.

use alloc::{borrow::ToOwned, format, string::String, sync::Arc};
use core::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use crate::{Domain, InvalidDomain};

/// The protocol spoken to a next hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// RFC 5321.
    Smtp,
    /// RFC 2033.
    Lmtp,
}

impl Protocol {
    /// `smtp` or `lmtp`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Lmtp => "lmtp",
        }
    }
}

/// What the text of a next hop names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// `example.com`: its MX hosts (RFC 5321 §5.1).
    Mx(Domain),
    /// `[mx.example.com]`: the addresses of this host, without MX lookup.
    Host(Domain),
    /// `[192.0.2.1]` or `[IPv6:2001:db8::1]`.
    Address(IpAddr),
    /// `unix:/path`, for LMTP.
    Unix(Arc<str>),
}

/// A next hop: what mail for a destination is handed to, and the key of its TLS policy (postconf(5), `smtp_tls_policy_maps`).
///
/// Two hops are the same destination when their texts are equal. The text is what was written, in lower case and without `inet:`
/// and a trailing dot: a port number and the name of its service, or A-labels and U-labels, are different keys, as in Postfix,
/// since each may have a policy of its own. Cloning is cheap.
#[derive(Clone)]
pub struct NextHop {
    text: Arc<str>,
    target: Target,
    port: Option<u16>,
}

/// Why a text is no next hop.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidNextHop {
    /// The name in it is none.
    #[error("{0}")]
    Domain(#[from] InvalidDomain),
    /// A bracket without its partner, or text behind it.
    #[error("brackets do not match in next hop {0:?}")]
    Brackets(String),
    /// Neither a number from 1 to 65535 nor the name of a mail service.
    #[error("bad port {0:?} (a number, or smtp, submission, submissions, smtps, lmtp)")]
    Port(String),
    /// `unix:` without an absolute path.
    #[error("bad socket path {0:?}")]
    Path(String),
}

impl NextHop {
    /// The MX hosts of `domain`, default port.
    #[must_use]
    pub fn mx(domain: Domain) -> Self {
        Self { text: domain.as_str().into(), target: Target::Mx(domain), port: None }
    }

    /// `parked.invalid`, which is nobody's (RFC 2606 §2): where recipients wait whose route cannot be found.
    #[must_use]
    pub fn nowhere() -> Self {
        Self::mx(Domain::invalid())
    }

    /// An address literal, default port.
    #[must_use]
    pub fn address(address: IpAddr) -> Self {
        let text = match address {
            IpAddr::V4(v4) => format!("[{v4}]"),
            IpAddr::V6(v6) => format!("[{v6}]"),
        };
        Self { text: text.into(), target: Target::Address(address), port: None }
    }

    /// Its text, which is also the lookup key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What it names.
    #[must_use]
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// The port, where one is given.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// The domain or host in it, where it has a name.
    #[must_use]
    pub const fn domain(&self) -> Option<&Domain> {
        match &self.target {
            Target::Mx(domain) | Target::Host(domain) => Some(domain),
            Target::Address(_) | Target::Unix(_) => None,
        }
    }
}

impl FromStr for NextHop {
    type Err = InvalidNextHop;

    fn from_str(text: &str) -> Result<Self, InvalidNextHop> {
        if let Some(path) = text.strip_prefix("unix:") {
            let good = path.starts_with('/') && !path.contains(|c: char| c.is_control());
            let path: Arc<str> =
                good.then(|| path.into()).ok_or_else(|| InvalidNextHop::Path(path.to_owned()))?;
            return Ok(Self { text: text.into(), target: Target::Unix(path), port: None });
        }
        let text = text.strip_prefix("inet:").unwrap_or(text);
        let (target, rest, bracketed) = if let Some(inner) = text.strip_prefix('[') {
            let (inner, rest) =
                inner.split_once(']').ok_or_else(|| InvalidNextHop::Brackets(text.to_owned()))?;
            let target = match address_literal(inner) {
                Some(address) => Target::Address(address),
                None => Target::Host(Domain::new(inner)?),
            };
            (target, rest, true)
        } else {
            let end = text.rfind(':').unwrap_or(text.len());
            (plain_target(&text[..end])?, &text[end..], false)
        };
        let port = match rest.strip_prefix(':') {
            // As in Postfix's host_port, an empty port is the default one. Like the dot below, it must not lead past a policy.
            Some("") => None,
            Some(port) => Some(parse_port(port)?),
            None if rest.is_empty() => None,
            None => return Err(InvalidNextHop::Brackets(text.to_owned())),
        };
        let name = &text[..text.len() - rest.len()];
        // A trailing dot must not lead past a policy: `example.com.` is `example.com`.
        let name = if bracketed { name.replace(".]", "]") } else { name.trim_end_matches('.').to_owned() };
        let rest = if port.is_some() { rest } else { "" };
        Ok(Self { text: format!("{name}{rest}").to_lowercase().into(), target, port })
    }
}

/// Postfix takes an address without brackets, too, and looks it up as a host.
fn plain_target(name: &str) -> Result<Target, InvalidNextHop> {
    if let Ok(address) = name.parse::<Ipv4Addr>() {
        return Ok(Target::Address(address.into()));
    }
    Ok(Target::Mx(Domain::new(name)?))
}

fn parse_port(text: &str) -> Result<u16, InvalidNextHop> {
    // The services of RFC 6335's registry that a mail client may be told to use; /etc/services is not consulted, so that a
    // configuration means the same on each machine.
    match text.to_ascii_lowercase().as_str() {
        "smtp" => return Ok(25),
        "lmtp" => return Ok(24),
        "submission" => return Ok(587),
        "submissions" | "smtps" => return Ok(465),
        _ => {}
    }
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let number = digits.then(|| text.parse::<u16>().ok()).flatten().filter(|port| *port > 0);
    number.ok_or_else(|| InvalidNextHop::Port(text.to_owned()))
}

/// An address literal without its brackets: `192.0.2.1`, `2001:db8::1` or `IPv6:2001:db8::1` (RFC 5321 §4.1.3).
pub(crate) fn address_literal(inner: &str) -> Option<IpAddr> {
    let v6 = inner.get(..5).filter(|tag| tag.eq_ignore_ascii_case("ipv6:")).map_or(inner, |_| &inner[5..]);
    inner.parse::<Ipv4Addr>().map(IpAddr::V4).or_else(|_| v6.parse::<Ipv6Addr>().map(IpAddr::V6)).ok()
}

impl PartialEq for NextHop {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for NextHop {}

impl core::hash::Hash for NextHop {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl PartialOrd for NextHop {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for NextHop {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.text, f)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use alloc::string::ToString;

    #[test]
    fn hops_keep_their_text_in_lower_case() {
        let table = [
            ("Example.COM", "example.com", None),
            ("example.com:587", "example.com:587", Some(587)),
            ("example.com:Submission", "example.com:submission", Some(587)),
            ("example.com.:587", "example.com:587", Some(587)),
            ("[mx.example.com.]", "[mx.example.com]", None),
            ("BÜCHER.example", "bücher.example", None),
            ("[MX.example.com]", "[mx.example.com]", None),
            ("[mx.example.com]:25", "[mx.example.com]:25", Some(25)),
            ("inet:mx.example.com:24", "mx.example.com:24", Some(24)),
            ("[192.0.2.1]", "[192.0.2.1]", None),
            ("[IPv6:2001:DB8::1]:2525", "[ipv6:2001:db8::1]:2525", Some(2525)),
            ("unix:/run/lmtp", "unix:/run/lmtp", None),
            ("example.com:", "example.com", None),
            ("[mx.example.com]:", "[mx.example.com]", None),
        ];
        for (text, expected, port) in table {
            let hop: NextHop = text.parse().unwrap();
            assert_eq!((hop.to_string().as_str(), hop.port()), (expected, port), "{text}");
            let again: NextHop = expected.parse().unwrap();
            assert_eq!(again, hop);
        }
        for bad in [
            "",
            ":",
            "[]:",
            "[",
            "[mx.example.com",
            "[mx.example.com]x",
            "example.com:0",
            "example.com:65536",
            "example.com:+25",
            "unix:rel",
            ":25",
            "a b",
        ] {
            assert!(bad.parse::<NextHop>().is_err(), "{bad}");
        }
    }
}
