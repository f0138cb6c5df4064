//! Facts of a TLS connection.

use alloc::{string::String, sync::Arc, vec::Vec};
use core::fmt;

use crate::Domain;

/// Names one connection for the life of the process; a [`crate::TlsDemand`] met on one says nothing of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// What the handshake produced; facts, no judgement. The chain is as presented, also on a resumed session, where it is that of the
/// session's first handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFacts {
    /// `TLSv1.3` or `TLSv1.2`.
    pub protocol: &'static str,
    /// The suite by its OpenSSL name, as Postfix logs it.
    pub cipher: &'static str,
    /// The key exchange group, such as `X25519`.
    pub group: Option<&'static str>,
    /// The server name that the ClientHello carried.
    pub sni: Option<Domain>,
    /// Whether the session was resumed.
    pub resumed: bool,
    /// Whether the server asked for a client certificate and one was sent.
    pub client_certificate: bool,
    /// The server's certificates in DER, leaf first.
    pub chain: Arc<[Vec<u8>]>,
}

/// The word for a connection's security in log lines and delivery events, as Postfix has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TlsStatus {
    /// In clear.
    None,
    /// Encrypted; the certificate was not checked or is not trusted.
    Untrusted,
    /// The chain leads to a trusted anchor; the name was not checked or did not match.
    Trusted,
    /// The peer is authenticated by the policy in force.
    Verified,
}

impl TlsStatus {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Untrusted => "untrusted",
            Self::Trusted => "trusted",
            Self::Verified => "verified",
        }
    }
}

impl fmt::Display for TlsStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<TlsStatus> for String {
    fn from(status: TlsStatus) -> Self {
        status.as_str().into()
    }
}

/// A client certificate with its key (postconf(5), `smtp_tls_chain_files`).
#[derive(Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// DER, leaf first.
    pub chain: Vec<Vec<u8>>,
    /// PKCS#8, PKCS#1 or SEC1 DER.
    pub key: Vec<u8>,
}

impl fmt::Debug for ClientCertificate {
    /// The key is never shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientCertificate({} certificates)", self.chain.len())
    }
}

/// What a ClientHello looks like: everything of a policy that shapes the handshake itself.
///
/// Two connections with the same shape to the same address may share TLS sessions; whether they may carry the same mail is
/// judged each time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsShape {
    /// The server name to send.
    pub sni: Option<Domain>,
    /// Whether TLS 1.2 is offered.
    pub tls12: bool,
    /// Whether TLS 1.3 is offered.
    pub tls13: bool,
    /// TLS 1.2 and 1.3 suites by their IANA numbers, in order of preference.
    pub suites: Arc<[u16]>,
    /// What is shown when the server asks: one per key type.
    pub client: Arc<[ClientCertificate]>,
}
