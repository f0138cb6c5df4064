//! Whether a certificate names who was meant (RFC 6125 §6, postconf(5) `smtp_tls_secure_cert_match`).

use std::net::IpAddr;

use waxseal_trust::{Certificate, GeneralName};
use waxseal_types::NamePattern;

/// The first name of the certificate that one of the patterns accepts.
///
/// The common names of the subject count only where there is no DNS name among the alternative names (RFC 6125 §6.4.4).
/// A name with anything but printable ASCII in it, a NUL above all, is never equal to anything.
pub(crate) fn matching(certificate: &Certificate, patterns: &[NamePattern], wide: bool) -> Option<String> {
    // What the names are is not known where an extension cannot be read, or is there twice.
    if certificate.extensions().malformed.is_some() {
        return None;
    }
    let mut has_dns = false;
    for name in certificate.alternative_names() {
        match name {
            GeneralName::Dns(name) => {
                has_dns = true;
                if patterns.iter().any(|pattern| accepts(pattern, name, wide)) {
                    return Some(printable(name));
                }
            }
            GeneralName::Ip(octets) => {
                if let Some(address) = address(octets)
                    && patterns.contains(&NamePattern::Address(address))
                {
                    return Some(address.to_string());
                }
            }
            GeneralName::Email(_)
            | GeneralName::Directory(_)
            | GeneralName::Uri(_)
            | GeneralName::Other(_) => {}
        }
    }
    if has_dns {
        return None;
    }
    let accepted = |name: &Vec<u8>| patterns.iter().any(|pattern| accepts(pattern, name, wide));
    certificate.subject().common_names().find(accepted).map(|name| printable(&name))
}

/// The names of a certificate for an operator to read: at most ten.
pub(crate) fn listed(certificate: &Certificate) -> String {
    let dns = certificate.alternative_names().filter_map(|name| match name {
        GeneralName::Dns(name) => Some(printable(name)),
        GeneralName::Ip(octets) => address(octets).map(|address| address.to_string()),
        GeneralName::Email(_) | GeneralName::Directory(_) | GeneralName::Uri(_) | GeneralName::Other(_) => {
            None
        }
    });
    let mut all: Vec<_> = dns.take(11).collect();
    if all.is_empty() {
        all.extend(certificate.subject().common_names().take(11).map(|name| printable(&name)));
    }
    if all.len() > 10 {
        all[10] = "...".into();
    }
    if all.is_empty() { "nobody".into() } else { all.join(", ") }
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}

/// Whether a name of the certificate is one that the pattern means.
fn accepts(pattern: &NamePattern, name: &[u8], wide: bool) -> bool {
    if !name.iter().all(|byte| matches!(byte, b'!'..=b'~')) {
        return false;
    }
    match pattern {
        NamePattern::Exact(wanted) => {
            let wanted = wanted.as_str().as_bytes();
            name.eq_ignore_ascii_case(wanted) || covers(name, wanted, wide)
        }
        // Any number of labels, also where the first of them is a wildcard.
        NamePattern::Below(parent) => {
            let parent = parent.as_str().as_bytes();
            let front = name.len().checked_sub(parent.len() + 1).filter(|front| *front > 0);
            front.is_some_and(|front| name[front] == b'.' && name[front + 1..].eq_ignore_ascii_case(parent))
        }
        NamePattern::Wildcard(parent) => {
            name.strip_prefix(b"*.").is_some_and(|rest| rest.eq_ignore_ascii_case(parent.as_str().as_bytes()))
        }
        // An address is compared with addresses alone.
        NamePattern::Address(_) => false,
    }
}

/// RFC 7672 §3.2.3: a wildcard is a whole first label, and stands for one label, or for several where that is configured
/// (`tls_wildcard_matches_multiple_labels`). It needs two labels behind it, so that nobody gets `*.com`.
fn covers(name: &[u8], wanted: &[u8], wide: bool) -> bool {
    let Some(suffix) = name.strip_prefix(b"*") else { return false };
    if !suffix.starts_with(b".") || suffix.iter().filter(|byte| **byte == b'.').count() < 2 {
        return false;
    }
    let Some(front) = wanted.len().checked_sub(suffix.len()).filter(|front| *front > 0) else { return false };
    let (label, rest) = wanted.split_at(front);
    let letters = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-' || (wide && *byte == b'.');
    rest.eq_ignore_ascii_case(suffix) && label.iter().all(letters)
}

/// Whether a common name could be meant as the name of a host: letters, digits, hyphens, underscores, dots, perhaps a wildcard.
pub(crate) fn looks_like_a_host(name: &[u8]) -> bool {
    let rest = name.strip_prefix(b"*.").unwrap_or(name);
    !rest.is_empty()
        && rest.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// At most 255 octets, all of them harmless in a log.
fn printable(name: &[u8]) -> String {
    name.iter().take(255).flat_map(|byte| byte.escape_ascii()).map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use waxseal_types::Domain;

    #[test]
    fn names_match_as_rfc7672_and_the_lab_say() {
        let exact = |name: &str| NamePattern::Exact(Domain::new(name).unwrap());
        let below = |name: &str| NamePattern::Below(Domain::new(name).unwrap());
        let table: [(NamePattern, &[u8], bool); 27] = [
            (exact("mx.example.com"), b"mx.example.com", true),
            (exact("mx.example.com"), b"MX.Example.COM", true),
            (exact("mx.example.com"), b"*.example.com", true),
            (exact("mx.example.com"), b"*.Example.com", true),
            (exact("a.mx.example.com"), b"*.example.com", false),
            (exact("example.com"), b"*.example.com", false),
            (exact("example.com"), b"*.com", false),
            (exact("mx.example.com"), b"mx*.example.com", false),
            (exact("mx.example.com"), b"*x.example.com", false),
            (exact("mx.example.com"), b"mx.*.com", false),
            (exact("mx.example.com"), b"*", false),
            (exact("mx.example.com"), b"*.*.com", false),
            (exact("mx.example.com"), b"mx.example.com.", false),
            (exact("mx.example.com"), b"mx.example.com\0.evil.test", false),
            (exact("mx.example.com"), b"mx.example.com ", false),
            (exact("mx.example.com"), b"", false),
            (exact("mx_1.example.com"), b"mx_1.example.com", true),
            (exact("xn--bcher-kva.example.com"), b"*.example.com", true),
            (exact("bücher.example.com"), b"xn--bcher-kva.example.com", true),
            (exact("bücher.example.com"), "bücher.example.com".as_bytes(), false),
            (below("example.com"), b"a.b.example.com", true),
            (below("example.com"), b"*.example.com", true),
            (below("example.com"), b"example.com", false),
            (below("example.com"), b"xexample.com", false),
            (below("example.com"), b".example.com", false),
            (NamePattern::Wildcard(Domain::new("example.com").unwrap()), b"*.EXAMPLE.com", true),
            (NamePattern::Wildcard(Domain::new("example.com").unwrap()), b"mx.example.com", false),
        ];
        for (pattern, name, expected) in table {
            assert_eq!(accepts(&pattern, name, false), expected, "{pattern:?} {}", name.escape_ascii());
        }
        assert!(accepts(&exact("a.b.example.com"), b"*.example.com", true));
        assert!(!accepts(&NamePattern::Address([192, 0, 2, 1].into()), b"192.0.2.1", false));
    }
}
