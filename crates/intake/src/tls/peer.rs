//! What a handshake has shown of the client, and the lines about it in `Received:`.

use std::{fmt::Write as _, sync::Arc};

use rustls::{CipherSuite, HandshakeKind, NamedGroup, ProtocolVersion, ServerConnection};
use waxseal_trust::{Anchors, Certificate, Error};
use waxseal_types::{DigestAlgorithm, UnixTime};
use waxseal_verify::{PathRules, Purpose, check_path, fingerprints};

/// A client's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peer {
    prints: Vec<String>,
    subject: String,
    issuer: String,
    /// What the path leads to, or why there is none.
    trust: Result<String, String>,
}

impl Peer {
    /// Reads and judges a chain. Some milliseconds of work where the chain is a nasty one: not for a thread that others wait for.
    pub(super) fn judge(
        chain: &[Vec<u8>],
        algorithm: DigestAlgorithm,
        anchors: &Result<Arc<Anchors>, Error>,
        (depth, now): (u8, UnixTime),
    ) -> Option<Self> {
        let leaf = chain.first()?;
        let (certificate, key) = fingerprints(algorithm, leaf);
        let read = Certificate::parse(leaf).ok();
        let name = |name: Option<Vec<u8>>| name.map_or_else(String::new, |octets| printable(&octets));
        let rules = PathRules { depth, purpose: Purpose::Client, ..PathRules::default() };
        let trust = match anchors {
            Ok(anchors) if anchors.is_empty() => Err("no authority is trusted".into()),
            Ok(anchors) => check_path(anchors, chain, rules, now)
                .map(|path| path.anchor)
                .map_err(|failure| failure.problem.to_string()),
            Err(error) => Err(error.to_string()),
        };
        Some(Self {
            prints: std::iter::once(certificate).chain(key).collect(),
            subject: name(read.as_ref().and_then(|read| read.subject().common_names().last())),
            issuer: name(read.as_ref().and_then(|read| read.issuer().common_names().last())),
            trust,
        })
    }

    /// Of the certificate, then of the key.
    pub(crate) fn fingerprints(&self) -> impl Iterator<Item = &str> {
        self.prints.iter().map(String::as_str)
    }

    /// Whether it leads to an authority that is trusted.
    pub(crate) const fn is_trusted(&self) -> bool {
        self.trust.is_ok()
    }

    #[cfg(test)]
    pub(crate) fn for_tests(certificate: &str, key: &str, trusted: bool) -> Self {
        Self {
            prints: vec![certificate.into(), key.into()],
            subject: "client.example".into(),
            issuer: "An Authority".into(),
            trust: if trusted { Ok("an anchor".into()) } else { Err("self-signed certificate".into()) },
        }
    }
}

/// RFC 5322 §3.2.2: what stands in a comment of `Received:`; names in certificates come from strangers. Also limited in length.
fn printable(octets: &[u8]) -> String {
    let clean = |octet: &u8| match octet {
        b'(' | b')' | b'\\' | b'"' => '?',
        b' '..=b'~' => char::from(*octet),
        _ => '?',
    };
    octets.iter().take(64).map(clean).collect()
}

/// What a handshake has come to.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    protocol: &'static str,
    cipher: &'static str,
    bits: u16,
    group: &'static str,
    /// Whether the session was resumed.
    pub(crate) resumed: bool,
    /// Whether the client was asked for a certificate.
    pub(super) asked: bool,
    /// The certificate, where one was shown.
    pub(crate) peer: Option<Arc<Peer>>,
}

impl Facts {
    pub(super) fn of(connection: &ServerConnection, asked: bool) -> Self {
        let (cipher, bits) =
            connection.negotiated_cipher_suite().map_or(("unknown", 0), |suite| openssl_name(suite.suite()));
        Self {
            protocol: match connection.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
                Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
                _ => "unknown",
            },
            cipher,
            bits,
            group: connection.negotiated_key_exchange_group().map_or("", |group| group_name(group.name())),
            resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
            asked,
            peer: None,
        }
    }

    /// The lines for `Received:`, in Postfix's words (postconf(5), `smtpd_tls_received_header`).
    pub(crate) fn received_lines(&self) -> String {
        let Self { protocol, cipher, bits, group, .. } = self;
        let mut lines = format!("\r\n\t(using {protocol} with cipher {cipher} ({bits}/{bits} bits)");
        // Writing to a String does not fail.
        if !group.is_empty() {
            let _ = write!(lines, "\r\n\t key-exchange {group}");
        }
        lines.push(')');
        let _ = match (&self.peer, self.asked) {
            (Some(peer), _) => {
                let verdict = if peer.is_trusted() { "verified OK" } else { "not verified" };
                let Peer { subject, issuer, .. } = &**peer;
                write!(lines, "\r\n\t(Client CN \"{subject}\", Issuer \"{issuer}\" ({verdict}))")
            }
            (None, true) => write!(lines, "\r\n\t(Client did not present a certificate)"),
            (None, false) => write!(lines, "\r\n\t(No client certificate requested)"),
        };
        lines
    }
}

impl std::fmt::Display for Facts {
    /// For the log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let how = if self.resumed { "resumed" } else { "new" };
        write!(f, "{how} {} with {} {}", self.protocol, self.cipher, self.group)?;
        match &self.peer {
            None => Ok(()),
            Some(peer) => {
                let print = peer.prints.first().map_or("", String::as_str);
                match &peer.trust {
                    Ok(anchor) => write!(f, ", client certificate {print} trusted by {anchor}"),
                    Err(why) => write!(f, ", client certificate {print} not trusted: {why}"),
                }
            }
        }
    }
}

/// The registry is open; these nine are all that is ever offered.
fn openssl_name(suite: CipherSuite) -> (&'static str, u16) {
    match suite {
        CipherSuite::TLS13_AES_256_GCM_SHA384 => ("TLS_AES_256_GCM_SHA384", 256),
        CipherSuite::TLS13_AES_128_GCM_SHA256 => ("TLS_AES_128_GCM_SHA256", 128),
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => ("TLS_CHACHA20_POLY1305_SHA256", 256),
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => ("ECDHE-ECDSA-AES256-GCM-SHA384", 256),
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => ("ECDHE-ECDSA-AES128-GCM-SHA256", 128),
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => ("ECDHE-ECDSA-CHACHA20-POLY1305", 256),
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => ("ECDHE-RSA-AES256-GCM-SHA384", 256),
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => ("ECDHE-RSA-AES128-GCM-SHA256", 128),
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => ("ECDHE-RSA-CHACHA20-POLY1305", 256),
        _ => ("unknown", 0),
    }
}

fn group_name(group: NamedGroup) -> &'static str {
    match group {
        NamedGroup::X25519 => "X25519",
        NamedGroup::secp256r1 => "prime256v1",
        NamedGroup::secp384r1 => "secp384r1",
        NamedGroup::X25519MLKEM768 => "X25519MLKEM768",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_are_those_of_postfix() {
        let mut facts = Facts {
            protocol: "TLSv1.3",
            cipher: "TLS_AES_256_GCM_SHA384",
            bits: 256,
            group: "X25519",
            resumed: false,
            asked: false,
            peer: None,
        };
        let using = "\r\n\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)\r\n\t key-exchange X25519)";
        assert_eq!(facts.received_lines(), format!("{using}\r\n\t(No client certificate requested)"));
        facts.asked = true;
        assert_eq!(facts.received_lines(), format!("{using}\r\n\t(Client did not present a certificate)"));
        facts.peer = Some(Arc::new(Peer::for_tests("A", "B", true)));
        let client = "\r\n\t(Client CN \"client.example\", Issuer \"An Authority\" (verified OK))";
        assert_eq!(facts.received_lines(), format!("{using}{client}"));
    }

    #[test]
    fn names_of_strangers_end_no_comment_and_no_line() {
        assert_eq!(printable(b"a)\r\nX: y\"\xff"), "a???X: y??");
        assert_eq!(printable(&[b'x'; 1000]).len(), 64);
    }
}
