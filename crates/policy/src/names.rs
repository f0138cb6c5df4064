//! `match=`, `smtp_tls_verify_cert_match` and `smtp_tls_secure_cert_match`.

use alloc::{borrow::ToOwned, string::String, sync::Arc, vec, vec::Vec};
use core::net::IpAddr;

use waxseal_types::{Domain, NamePattern, NextHop, Target};

use crate::words::words_at;

/// One way to match the name in a certificate, before next hop and host are known.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MatchName {
    /// `hostname`: the host's name as the MX record has it; DNS is believed in this.
    Hostname,
    /// `nexthop`: the name of the next hop.
    NextHop,
    /// `dot-nexthop`: any name below that of the next hop.
    DotNextHop,
    /// A fixed pattern.
    Fixed(NamePattern),
    /// A text that no name in a certificate matches, such as `mx.example.com.`; kept for the explanation.
    Never(String),
}

/// A list of them; any will do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MatchNames(pub Vec<MatchName>);

impl MatchNames {
    /// The default of `smtp_tls_verify_cert_match`.
    #[must_use]
    pub fn hostname() -> Self {
        Self(vec![MatchName::Hostname])
    }

    /// The default of `smtp_tls_secure_cert_match`.
    #[must_use]
    pub fn nexthop_and_below() -> Self {
        Self(vec![MatchName::NextHop, MatchName::DotNextHop])
    }

    /// The default of `lmtp_tls_secure_cert_match`.
    #[must_use]
    pub fn nexthop() -> Self {
        Self(vec![MatchName::NextHop])
    }

    /// The words of `text` between commas, colons and white space.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self(words_at(text, &[':', ',', ' ', '\t', '\r', '\n']).map(MatchName::parse).collect())
    }

    /// These words.
    #[must_use]
    pub fn of_words<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        Self(words.into_iter().map(MatchName::parse).collect())
    }

    /// The patterns for this next hop and host. Without a host name (an address literal), `hostname` is the address; a unix-domain
    /// socket goes by `local`, our own name (postconf(5), `lmtp_tls_secure_cert_match`).
    #[must_use]
    pub fn patterns(
        &self,
        nexthop: &NextHop,
        host: Option<&Domain>,
        local: Option<&Domain>,
    ) -> Arc<[NamePattern]> {
        let peer = |name: Option<&Domain>| match (name, nexthop.target()) {
            (Some(name), _) => Some(NamePattern::Exact(name.clone())),
            (None, Target::Address(address)) => Some(NamePattern::Address(*address)),
            (None, Target::Unix(_)) => local.map(|name| NamePattern::Exact(name.clone())),
            (None, Target::Mx(name) | Target::Host(name)) => Some(NamePattern::Exact(name.clone())),
        };
        let hop = nexthop.domain().or(match nexthop.target() {
            Target::Unix(_) => local,
            Target::Mx(_) | Target::Host(_) | Target::Address(_) => None,
        });
        let one = |name: &MatchName| match name {
            MatchName::Hostname => peer(host),
            MatchName::NextHop => peer(nexthop.domain()),
            MatchName::DotNextHop => hop.map(|name| NamePattern::Below(name.clone())),
            MatchName::Fixed(pattern) => Some(pattern.clone()),
            MatchName::Never(_) => None,
        };
        self.0.iter().filter_map(one).collect()
    }

    /// Whether no certificate can have any of them.
    #[must_use]
    pub fn never(&self) -> bool {
        self.0.iter().all(|name| matches!(name, MatchName::Never(_)))
    }

    /// Whether a name that comes from DNS is among them: at level `secure` that gives the security away.
    #[must_use]
    pub fn believes_dns(&self) -> bool {
        self.0.contains(&MatchName::Hostname)
    }
}

impl MatchName {
    /// Keywords in any case, then addresses, then names; what no certificate can match is [`MatchName::Never`].
    #[must_use]
    pub fn parse(word: &str) -> Self {
        const KEYWORDS: [(&str, MatchName); 3] = [
            ("hostname", MatchName::Hostname),
            ("nexthop", MatchName::NextHop),
            ("dot-nexthop", MatchName::DotNextHop),
        ];
        if let Some((_, keyword)) = KEYWORDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)) {
            return keyword.clone();
        }
        if let Ok(address) = word.parse::<IpAddr>() {
            return Self::Fixed(NamePattern::Address(address));
        }
        let pattern = if let Some(parent) = word.strip_prefix('.') {
            name(parent).map(NamePattern::Below)
        } else if let Some(parent) = word.strip_prefix("*.") {
            name(parent).map(NamePattern::Wildcard)
        } else {
            name(word).map(NamePattern::Exact)
        };
        pattern.map_or_else(|| Self::Never(word.to_owned()), Self::Fixed)
    }
}

/// A trailing dot is not forgiven here: names in certificates have none, so Postfix never matches such a pattern.
fn name(text: &str) -> Option<Domain> {
    if text.ends_with('.') { None } else { Domain::new(text).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(text: &str) -> Domain {
        Domain::new(text).unwrap()
    }

    #[test]
    fn patterns_take_the_names_of_next_hop_and_host() {
        use NamePattern::{Address, Below, Exact, Wildcard};
        let (d, mx, local) = (domain("example.com"), domain("mx1.example.com"), domain("client.example.org"));
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        let table = [
            ("nexthop, dot-nexthop", "example.com:587", Some(&mx), vec![Exact(d.clone()), Below(d.clone())]),
            ("HOSTNAME", "example.com", Some(&mx), vec![Exact(mx.clone())]),
            (
                "nexthop:hostname",
                "[mx1.example.com]:25",
                Some(&mx),
                vec![Exact(mx.clone()), Exact(mx.clone())],
            ),
            ("hostname", "[192.0.2.1]", None, vec![Address(address)]),
            ("nexthop dot-nexthop", "[192.0.2.1]:25", None, vec![Address(address)]),
            ("nexthop", "unix:/run/lmtp", None, vec![Exact(local.clone())]),
            (".example.com", "a.test", Some(&mx), vec![Below(d.clone())]),
            ("*.example.com", "a.test", Some(&mx), vec![Wildcard(d.clone())]),
            ("192.0.2.1", "a.test", Some(&mx), vec![Address(address)]),
            ("mx1.example.com.::a|b:EXAMPLE.com", "a.test", Some(&mx), vec![Exact(d.clone())]),
            ("::", "a.test", Some(&mx), vec![]),
        ];
        for (text, hop, host, expected) in table {
            let got = MatchNames::parse(text).patterns(&hop.parse().unwrap(), host, Some(&local));
            assert_eq!(&*got, expected, "{text} {hop}");
        }
    }
}
