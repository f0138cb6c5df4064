//! TLS at the door: certificates, sessions, and what clients show.

mod identity;
mod kept;
mod peer;
mod possession;
mod renew;
mod sni;
mod tickets;

use std::{
    collections::HashSet,
    io,
    sync::{Arc, atomic::AtomicBool},
    time::SystemTime,
};

use parking_lot::{Mutex, RwLock};
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{Acceptor, CertificateType, NoClientAuth, NoServerSessionStorage, ProducesTickets},
    version::{TLS12, TLS13},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor, server::TlsStream};
use waxseal_trust::{Notice, Settings as StoreOptions, Store};
use waxseal_types::{AnchorFiles, Service, UnixTime};

pub(crate) use self::peer::{Facts, Peer};
use self::{identity::Identity, kept::Kept, possession::Possession, sni::NameMaps};
use crate::{Error, Handshake, Neighbours, TlsSettings};

/// RFC 7301 with the name that RFC 8314 §5 and IANA's registry have for none: whoever asks for another protocol than SMTP was lured here
/// (ALPACA), and whoever asks for none is served.
const ALPN: &[u8] = b"smtp";

/// Places whose records are watched. Those beyond are asked for when a certificate is to change, which then waits for a TTL.
const MAX_PLACES: usize = 1000;

/// TLS for all listeners.
#[derive(Debug)]
pub(crate) struct Front {
    settings: TlsSettings,
    hostname: String,
    ports: Vec<u16>,
    provider: Arc<CryptoProvider>,
    store: Store,
    maps: NameMaps,
    /// Copies of what was served.
    kept: Kept,
    /// Whether the copy of the default certificates is what is served now.
    is_kept: AtomicBool,
    /// Set by an operator who knows better than DNS: the next switch is not asked for.
    insists: AtomicBool,
    /// What is served; `None` while there is no certificate that may be shown.
    offer: RwLock<Option<Arc<Offer>>>,
    /// What was last said, so that it is said once.
    said: Mutex<Option<String>>,
    neighbours: Neighbours,
}

/// One version of what is served.
#[derive(Debug)]
struct Offer {
    identity: Arc<Identity>,
    /// The same without certificates.
    bare: Arc<Identity>,
    may: Configs,
    mandatory: Configs,
}

/// One level's configurations.
#[derive(Debug)]
struct Configs {
    usual: Arc<ServerConfig>,
    /// For clients that show a raw public key; there where that is enabled.
    raw: Option<Arc<ServerConfig>>,
}

/// What happened to the certificates.
#[derive(Debug)]
pub(crate) enum Change {
    None,
    /// New ones are in force.
    Switched,
    /// Something stands in the way; told once.
    Trouble(String),
}

impl Front {
    /// Reads what is configured.
    pub(crate) fn new(
        settings: TlsSettings,
        (hostname, ports): (&str, Vec<u16>),
        neighbours: Neighbours,
    ) -> Result<(Self, Vec<String>), Error> {
        let options = StoreOptions { smtp: settings.files.clone(), ..StoreOptions::default() };
        let (store, found) = Store::open(options).map_err(|error| Error::Certificate(error.to_string()))?;
        let mut notices: Vec<String> = found.iter().map(Notice::to_string).collect();
        for path in identity::key_files(&settings.files) {
            notices.extend(identity::check_permissions(path)?);
        }
        let kept = Kept::new(settings.own_folder.as_deref());
        let front = Self {
            hostname: hostname.to_owned(),
            ports,
            provider: Arc::new(provider()),
            store,
            maps: NameMaps::new(settings.sni_maps.clone(), kept.clone()),
            kept,
            is_kept: AtomicBool::new(false),
            insists: AtomicBool::new(false),
            offer: RwLock::default(),
            said: Mutex::default(),
            neighbours,
            settings,
        };
        if front.settings.has_certificate() {
            match front.begin() {
                Ok(notice) => notices.extend(notice),
                Err(error) if front.settings.lenient => {
                    notices.push(format!("no TLS at the intake: {error}"))
                }
                Err(error) => return Err(error),
            }
        }
        Ok((front, notices))
    }

    /// Whether a handshake can be begun.
    pub(crate) fn is_ready(&self) -> bool {
        self.offer.read().is_some()
    }

    /// Where clients may hold its certificates against TLSA records.
    pub(crate) fn places(&self) -> Vec<(String, u16)> {
        let mut places = self.own_places();
        let offer = self.offer.read().clone();
        let own = offer.map(|offer| identity::names(&offer.identity.chains)).unwrap_or_default();
        for name in own.into_iter().chain(self.maps.names()) {
            places.extend(self.at_ports(&name));
        }
        // Those that were there first stay first.
        let mut seen = HashSet::new();
        places.retain(|place| seen.insert(place.clone()));
        places.truncate(MAX_PLACES);
        places
    }

    fn own_places(&self) -> Vec<(String, u16)> {
        let mut places = self.at_ports(&self.hostname);
        places.extend(self.settings.tlsa_places.iter().cloned());
        places.sort();
        places.dedup();
        places
    }

    fn at_ports(&self, name: &str) -> Vec<(String, u16)> {
        self.ports.iter().map(|port| (name.to_owned(), *port)).collect()
    }

    fn install(&self, identity: Identity) -> Result<(), Error> {
        let identity = Arc::new(identity);
        let wrong = |error: rustls::Error| Error::Certificate(error.to_string());
        let tickets = if self.settings.session_timeout.is_zero() {
            None
        } else {
            Some(tickets::rotating(self.settings.session_timeout).map_err(wrong)?)
        };
        let one = |handshake: &Handshake, raw| {
            self.config(handshake, &identity, (tickets.clone(), raw)).map_err(wrong)
        };
        let wanted = self.settings.enable_raw_keys && self.settings.ask_certificate;
        let make = |handshake: &Handshake| {
            let raw = if wanted { Some(one(handshake, true)?) } else { None };
            Ok::<_, Error>(Configs { usual: one(handshake, false)?, raw })
        };
        let offer = Offer {
            bare: Arc::new(identity.without_certificates()),
            may: make(&self.settings.may)?,
            mandatory: make(&self.settings.mandatory)?,
            identity: Arc::clone(&identity),
        };
        *self.offer.write() = Some(Arc::new(offer));
        Ok(())
    }

    fn config(
        &self,
        handshake: &Handshake,
        identity: &Arc<Identity>,
        (tickets, raw): (Option<Arc<dyn ProducesTickets>>, bool),
    ) -> Result<Arc<ServerConfig>, rustls::Error> {
        let suites = handshake.suites.iter().filter_map(|wanted| {
            self.provider.cipher_suites.iter().find(|known| u16::from(known.suite()) == *wanted).copied()
        });
        let provider = CryptoProvider { cipher_suites: suites.collect(), ..(*self.provider).clone() };
        let versions: Vec<_> = [(handshake.tls12, &TLS12), (handshake.tls13, &TLS13)]
            .into_iter()
            .filter(|(wanted, _)| *wanted)
            .map(|(_, version)| version)
            .collect();
        let builder =
            ServerConfig::builder_with_provider(Arc::new(provider)).with_protocol_versions(&versions)?;
        let builder = if self.settings.ask_certificate {
            builder.with_client_cert_verifier(Arc::new(Possession::new(raw)))
        } else {
            builder.with_client_cert_verifier(Arc::new(NoClientAuth))
        };
        let mut config = builder.with_cert_resolver(Arc::clone(identity) as _);
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = usize::from(tickets.is_some());
        // RFC 8446 §8: early data can be replayed. It stays off, here as in rustls' own defaults.
        config.max_early_data_size = 0;
        if let Some(tickets) = tickets {
            config.ticketer = tickets;
        }
        Ok(Arc::new(config))
    }

    /// Shakes hands. Whatever fails here ends the connection.
    pub(crate) async fn accept<S>(&self, stream: S, mandatory: bool) -> io::Result<(TlsStream<S>, Facts)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let offer = self.offer.read().clone().ok_or(io::ErrorKind::NotConnected)?;
        let configs = if mandatory { &offer.mandatory } else { &offer.may };
        let handshake = if mandatory { &self.settings.mandatory } else { &self.settings.may };
        let stream = if self.maps.is_empty() && !self.settings.enable_raw_keys {
            TlsAcceptor::from(Arc::clone(&configs.usual)).accept(stream).await?
        } else {
            let started = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
            let hello = started.client_hello();
            let name = hello.server_name().map(str::to_owned);
            // rustls agrees on raw keys in TLS 1.3 alone; a client of 1.2 that would take them, too, gets certificates.
            let modern =
                hello.cipher_suites().iter().any(|suite| identity::TLS13.contains(&u16::from(*suite)));
            let may_be_raw = self.settings.enable_raw_keys && handshake.tls13 && modern;
            let wanted = |offered: Option<&[CertificateType]>| {
                may_be_raw && offered.is_some_and(|types| types.contains(&CertificateType::RawPublicKey))
            };
            // RFC 7250 §4.2: the two directions are agreed on by themselves.
            let (ours, theirs) = (wanted(hello.server_cert_types()), wanted(hello.client_cert_types()));
            let config = configs.raw.as_ref().filter(|_| theirs).unwrap_or(&configs.usual);
            let named = self.named(name.as_deref()).await.map_err(io::Error::other)?;
            let identity = match (named, ours) {
                (None, false) => None,
                (None, true) => Some(Arc::clone(&offer.bare)),
                (Some(identity), false) => Some(identity),
                (Some(identity), true) => Some(Arc::new(identity.without_certificates())),
            };
            started.into_stream(with_identity(config, identity)).await?
        };
        let mut facts = Facts::of(stream.get_ref().1, self.settings.ask_certificate);
        let shown = stream.get_ref().1.peer_certificates().filter(|_| self.settings.ask_certificate);
        if let Some(chain) = shown {
            let chain = chain.iter().map(|der| der.to_vec()).collect();
            facts.peer = self.judge(chain).await.map(Arc::new);
        }
        Ok((stream, facts))
    }

    /// The identity for a server name, where it is another one. A table that fails ends the handshake, as in Postfix: the wrong certificate
    /// would be worse.
    async fn named(&self, name: Option<&str>) -> Result<Option<Arc<Identity>>, Error> {
        match name {
            Some(name) => self.maps.find(name, &*self.neighbours.tables, &self.provider).await,
            None => Ok(None),
        }
    }

    async fn judge(&self, chain: Vec<Vec<u8>>) -> Option<Peer> {
        let anchors = self.store.anchors(&Service::SMTP, &AnchorFiles::Default);
        let (digest, rules) = (self.settings.fingerprint_digest, (self.settings.verify_depth, now()));
        // Off this thread: a stranger's chain may cost some milliseconds.
        let judged = tokio::task::spawn_blocking(move || Peer::judge(&chain, digest, &anchors, rules));
        judged.await.ok().flatten()
    }
}

fn with_identity(config: &Arc<ServerConfig>, identity: Option<Arc<Identity>>) -> Arc<ServerConfig> {
    let Some(identity) = identity else { return Arc::clone(config) };
    let mut config = ServerConfig::clone(config);
    config.cert_resolver = identity;
    Arc::new(config)
}

/// Whether the value of an entry of `tls_server_sni_maps` could be served.
pub(crate) fn examine_chain(value: &str) -> Result<(), Error> {
    sni::chain(crate::chain_files(value), &provider()).map(drop)
}

fn provider() -> CryptoProvider {
    use aws_lc_rs::kx_group::{SECP256R1, SECP384R1, X25519, X25519MLKEM768};
    // The client's order decides among these: nobody is asked for a second hello who has sent a share.
    let kx_groups = vec![X25519MLKEM768, X25519, SECP256R1, SECP384R1];
    CryptoProvider { kx_groups, ..aws_lc_rs::default_provider() }
}

fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixTime::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
