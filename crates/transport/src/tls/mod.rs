//! TLS as a transport: any certificate completes a handshake, and every connection tells what it saw.

mod client;
mod facts;
mod p521;
mod possession;
mod rsa;
mod sessions;
mod spki;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use rustls::{
    ClientConfig, SupportedProtocolVersion,
    client::Resumption,
    crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs},
    pki_types::ServerName,
    version::{TLS12, TLS13},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use waxseal_types::{Domain, TlsFacts, TlsShape};

use self::{
    client::{Certificates, Shown},
    possession::Possession,
    sessions::Sessions,
};
use crate::{Cause, Error, Group, Settings, shape::Key, socket::Socket};

/// Most configurations kept. They differ in versions, suites and client certificates, of which a site has a handful.
const CONFIGURATIONS: usize = 64;

/// Stands for the server where no name is sent; it names nothing and leaves this process nowhere.
const NO_NAME: &str = "no-server-name.invalid";

/// Makes handshakes. One for all connectors of a family, since TLS sessions are shared through it.
#[derive(Debug)]
pub(crate) struct Tls {
    settings: Arc<Settings>,
    groups: Vec<&'static dyn SupportedKxGroup>,
    /// rustls resumes a session only under the very verifier, and the very source of client certificates, that it was made under:
    /// so there is one verifier, and each configuration is made once and cloned.
    possession: Arc<Possession>,
    configurations: Mutex<HashMap<Key, Arc<ClientConfig>>>,
    sessions: Arc<Sessions>,
}

impl Tls {
    pub(crate) fn new(settings: Arc<Settings>) -> Result<Self, Error> {
        let groups: Vec<_> = settings.groups.iter().map(|group| implementation(*group)).collect();
        if groups.is_empty() {
            return Err(Error::NoGroups);
        }
        let sessions = Arc::new(Sessions::new(settings.session_cache_timeout, settings.session_cache_size));
        let possession = Arc::new(Possession::of(settings.server_keys));
        Ok(Self { settings, groups, possession, configurations: Mutex::default(), sessions })
    }

    /// Prepares a handshake of this shape. `key` is that of the connection, and partitions the session cache.
    pub(crate) fn hello(&self, shape: &TlsShape, key: Key, resume: bool) -> Result<ClientHello, Cause> {
        let mut config = (*self.configuration(shape)?).clone();
        config.resumption = if self.settings.session_cache_timeout.is_zero() {
            Resumption::disabled()
        } else {
            if !resume {
                self.sessions.forget(&key);
            }
            Resumption::store(Arc::new(self.sessions.scope(key)))
        };
        // Lower case already; what cannot be a server name in TLS is not sent.
        let sent = shape
            .sni
            .as_ref()
            .and_then(|sni| Some((sni, ServerName::try_from(sni.as_str().to_owned()).ok()?)));
        config.enable_sni = sent.is_some();
        let (sni, name) = match sent {
            Some((sni, name)) => (Some(sni.clone()), name),
            None => {
                (None, ServerName::try_from(NO_NAME).map_err(|bad| Cause::Configuration(bad.to_string()))?)
            }
        };
        Ok(ClientHello { config: Arc::new(config), name, sni })
    }

    /// Servers with sessions.
    pub(crate) fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Servers whose sessions were forgotten to make room for others.
    pub(crate) fn sessions_crowded(&self) -> u64 {
        self.sessions.crowded()
    }

    fn configuration(&self, shape: &TlsShape) -> Result<Arc<ClientConfig>, Cause> {
        let nameless = TlsShape { sni: None, ..shape.clone() };
        let key = Key::of_shape(&nameless, &self.settings);
        if let Some(known) = self.configurations.lock().get(&key) {
            return Ok(Arc::clone(known));
        }
        let made = Arc::new(self.make(&nameless).map_err(|bad| Cause::Configuration(bad.to_string()))?);
        let mut known = self.configurations.lock();
        if known.len() >= CONFIGURATIONS {
            known.clear();
        }
        // Another thread may have been faster; its configuration is the one that sessions are bound to.
        Ok(Arc::clone(known.entry(key).or_insert(made)))
    }

    fn make(&self, shape: &TlsShape) -> Result<ClientConfig, rustls::Error> {
        let offered = |suite: &u16| {
            aws_lc_rs::ALL_CIPHER_SUITES.iter().find(|known| u16::from(known.suite()) == *suite).copied()
        };
        let provider = Arc::new(CryptoProvider {
            cipher_suites: shape.suites.iter().filter_map(offered).collect(),
            kx_groups: self.groups.clone(),
            ..aws_lc_rs::default_provider()
        });
        let client = Certificates::load(&shape.client, &provider)?;
        let versions: Vec<&'static SupportedProtocolVersion> =
            [(shape.tls12, &TLS12), (shape.tls13, &TLS13)].into_iter().filter(|v| v.0).map(|v| v.1).collect();
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&self.possession) as _)
            .with_client_cert_resolver(Arc::new(client));
        // RFC 8446 §8: early data can be replayed. It stays off, here as in rustls' own defaults.
        config.enable_early_data = false;
        Ok(config)
    }
}

fn implementation(group: Group) -> &'static dyn SupportedKxGroup {
    match group {
        Group::X25519 => aws_lc_rs::kx_group::X25519,
        Group::Secp256r1 => aws_lc_rs::kx_group::SECP256R1,
        Group::Secp384r1 => aws_lc_rs::kx_group::SECP384R1,
        Group::Secp521r1 => &p521::SECP521R1,
        Group::X25519MlKem768 => aws_lc_rs::kx_group::X25519MLKEM768,
    }
}

/// A handshake about to be made.
#[derive(Debug)]
pub(crate) struct ClientHello {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    sni: Option<Domain>,
}

impl ClientHello {
    /// Shakes hands. Whatever fails here is a failed handshake, a lost connection included.
    pub(crate) async fn shake(self, socket: Socket) -> Result<(TlsStream<Socket>, TlsFacts), Cause> {
        let connect = TlsConnector::from(self.config).connect(self.name, socket);
        let (stream, client_certificate) = Shown::watch(connect).await;
        let stream = stream?;
        let facts = facts::of(stream.get_ref().1, self.sni, client_certificate);
        Ok((stream, facts))
    }
}
