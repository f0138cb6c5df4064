//! What shaped a connection, in 32 octets.

use std::net::SocketAddr;

use aws_lc_rs::digest::{Context, SHA256};
use waxseal_types::{ClientCertificate, Protocol, TlsShape};

use crate::{Endpoint, OpenRequest, Settings, TlsUse};

/// The digest of everything that shaped a connection: two connections with the same key are interchangeable on the wire.
///
/// It is the key of idle connections and of TLS sessions. What a connection must prove is not in it: that is judged each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key([u8; 32]);

impl Key {
    pub(crate) fn of(request: &OpenRequest, settings: &Settings) -> Self {
        let mut sum = Sum::new();
        match &request.endpoint {
            Endpoint::Inet(SocketAddr::V4(address)) => {
                sum.octets(&address.ip().octets());
                sum.number(u64::from(address.port()));
                sum.octets(&settings.bind_address.map(|a| a.octets().to_vec()).unwrap_or_default());
            }
            Endpoint::Inet(SocketAddr::V6(address)) => {
                sum.octets(&address.ip().octets());
                sum.number(u64::from(address.port()));
                sum.number(u64::from(address.scope_id()));
                sum.octets(&settings.bind_address6.map(|a| a.octets().to_vec()).unwrap_or_default());
            }
            Endpoint::Unix(path) => sum.octets(path.as_bytes()),
        }
        sum.number(match request.service.protocol() {
            Protocol::Smtp => 1,
            Protocol::Lmtp => 2,
        });
        // What was made under one service's settings serves no other.
        sum.octets(request.service.name().unwrap_or_default().as_bytes());
        sum.octets(settings.helo_name.as_bytes());
        match &request.tls {
            TlsUse::Never => sum.number(1),
            // Whether STARTTLS was a wish or a need changes nothing on the wire.
            TlsUse::IfOffered(shape) | TlsUse::Required(shape) => {
                sum.number(2);
                sum.shape(shape, settings);
            }
            TlsUse::Implicit(shape) => {
                sum.number(3);
                sum.shape(shape, settings);
            }
        }
        sum.key()
    }

    /// Whether two requests have the same key for certain, under the same settings: all that goes into it is the same.
    pub(crate) fn is_same(a: &OpenRequest, b: &OpenRequest) -> bool {
        a.endpoint == b.endpoint && a.service == b.service && a.tls == b.tls
    }

    /// Of a handshake alone, for the configuration that makes it.
    pub(crate) fn of_shape(shape: &TlsShape, settings: &Settings) -> Self {
        let mut sum = Sum::new();
        sum.shape(shape, settings);
        sum.key()
    }

    /// A number to spread keys by.
    pub(crate) const fn spread(&self) -> usize {
        self.0[0] as usize
    }
}

/// Feeds values one-to-one: each begins with its kind or its length.
struct Sum(Context);

impl Sum {
    fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    fn key(self) -> Key {
        let mut key = [0; 32];
        key.copy_from_slice(self.0.finish().as_ref());
        Key(key)
    }

    fn number(&mut self, number: u64) {
        self.0.update(&number.to_be_bytes());
    }

    fn octets(&mut self, octets: &[u8]) {
        self.number(octets.len() as u64);
        self.0.update(octets);
    }

    fn shape(&mut self, shape: &TlsShape, settings: &Settings) {
        let TlsShape { sni, tls12, tls13, suites, client } = shape;
        self.octets(sni.as_ref().map_or("", |name| name.as_str()).as_bytes());
        self.number(u64::from(*tls12) | u64::from(*tls13) << 1);
        self.number(suites.len() as u64);
        suites.iter().for_each(|suite| self.number(u64::from(*suite)));
        self.number(settings.groups.len() as u64);
        settings.groups.iter().for_each(|group| self.octets(group.as_str().as_bytes()));
        self.number(client.len() as u64);
        client.iter().for_each(|certificate| self.client(certificate));
    }

    fn client(&mut self, certificate: &ClientCertificate) {
        self.number(certificate.chain.len() as u64);
        certificate.chain.iter().for_each(|der| self.octets(der));
        self.octets(&certificate.key);
    }
}
