//! What the operator decides about the intake.

use std::{net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use waxseal_smtp::server;
use waxseal_trust::StoreSettings;
use waxseal_types::DigestAlgorithm;

use crate::{Cidr, ListenAddr, RelayRule};

/// Listeners and limits. The defaults are Postfix's, by the names of postconf(5) given at each.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to listen; with TLS as [`TlsSettings::level`] and [`TlsSettings::wrapper`] say.
    pub listen: Vec<ListenAddr>,
    /// Where to listen for submission (RFC 6409): STARTTLS before anything else, whatever the level is.
    pub submission: Vec<ListenAddr>,
    /// Where to listen for submission over TLS from the first octet on (RFC 8314 §3.3; `smtpd_tls_wrappermode`).
    pub submissions: Vec<ListenAddr>,
    /// Clients that may send mail to anywhere (`mynetworks`); who connects to a unix socket may, too.
    pub relay_from: Vec<Cidr>,
    /// Who else may, and in which order that is found out (`smtpd_relay_restrictions`).
    pub relay_rules: Vec<RelayRule>,
    /// TLS.
    pub tls: TlsSettings,
    /// AUTH.
    pub auth: AuthSettings,
    /// Hostname, message size and the other limits of the protocol.
    pub protocol: server::Settings,
    /// How long a client may take for one command, and to take in our replies (`smtpd_timeout`).
    pub timeout: Duration,
    /// The same while nearly all connections are taken (`smtpd_timeout` with `stress`).
    pub stress_timeout: Duration,
    /// Octets a second that buy a client more time while it sends a text (`smtpd_min_data_rate`).
    pub min_data_rate: u64,
    /// How long the answer to one error after the other is held back (`smtpd_error_sleep_time`).
    pub error_delay: Duration,
    /// Connections of one client at a time (`smtpd_client_connection_count_limit`); 0 is no limit. Clients in `relay_from` are exempt
    /// (`smtpd_client_event_limit_exceptions`).
    pub client_connection_limit: usize,
    /// How often a client may do what, in a unit of time; those in `relay_from` are exempt.
    pub rates: RateLimits,
    /// Connections in all (the process limit of Postfix's smtpd, which is 100 there, since a session costs a process).
    pub connection_limit: usize,
    /// Threads that clients are attended to on; `None` is what the machine has to spare.
    pub threads: Option<usize>,
    /// Octets of texts in memory, over all sessions, beyond which no further one is begun.
    pub memory_limit: usize,
    /// How many of the messages that come in here have their trace exported: 0 is none, 1 is all.
    pub sampling_ratio: f64,
    /// Clients whose `Traceparent:` field is believed; so is that of who connects to a unix socket.
    pub trace_from: Vec<Cidr>,
    /// Whether that field stays in the message.
    pub keep_traceparent: bool,
}

/// Whether there is TLS at a listener (`smtpd_tls_security_level`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// None.
    None,
    /// Offered.
    May,
    /// Nothing happens before it.
    Encrypt,
}

/// Versions and cipher suites.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    /// TLS 1.2.
    pub tls12: bool,
    /// TLS 1.3.
    pub tls13: bool,
    /// Suites by their numbers.
    pub suites: Arc<[u16]>,
}

/// TLS at the intake; each is the parameter of that name behind `smtpd_tls_`.
#[derive(Debug, Clone)]
pub struct TlsSettings {
    /// `security_level`.
    pub level: Level,
    /// `wrappermode`: from the first octet on.
    pub wrapper: bool,
    /// `chain_files`, or `cert_file`, `key_file`, `eccert_file`, `eckey_file`; and `CAfile`, `CApath` for client certificates.
    pub files: StoreSettings,
    /// `tls_server_sni_maps`: tables from names to chain files.
    pub sni_maps: Vec<String>,
    /// `protocols`, `ciphers`, `exclude_ciphers`, at level `may`.
    pub may: Handshake,
    /// `mandatory_protocols` and so on, above it.
    pub mandatory: Handshake,
    /// `ask_ccert`: whether clients are asked for a certificate.
    pub ask_certificate: bool,
    /// `req_ccert`: whether they must have one that leads to a trusted authority, where TLS is demanded.
    pub require_certificate: bool,
    /// `ccert_verifydepth`.
    pub verify_depth: u8,
    /// `fingerprint_digest`.
    pub fingerprint_digest: DigestAlgorithm,
    /// `enable_rpk`: raw public keys (RFC 7250) with clients that offer them.
    pub enable_raw_keys: bool,
    /// `received_header`.
    pub received_header: bool,
    /// `session_cache_timeout`: how long a session may be resumed; zero is not at all.
    pub session_timeout: Duration,
    /// `smtpd_starttls_timeout`.
    pub handshake_timeout: Duration,
    /// Whether a certificate that cannot be used is an alert, and not the end of the start: there is no TLS then until it can.
    pub lenient: bool,
    /// The folder for a certificate of our own making, where none is configured.
    pub own_folder: Option<PathBuf>,
    /// `tlsa_names`: further names, and ports, under which clients know this server and may have TLSA records for.
    pub tlsa_places: Vec<(String, u16)>,
}

/// AUTH.
#[derive(Debug, Clone, Default)]
pub struct AuthSettings {
    /// The table from user names to argon2 hashes in PHC form; without it AUTH is not offered.
    pub users: Option<String>,
}

/// Limits on what a client (an IPv4 address, an IPv6 network) does in [`RateLimits::unit`]; 0 is no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimits {
    /// `anvil_rate_time_unit`.
    pub unit: Duration,
    /// `smtpd_client_connection_rate_limit`.
    pub connections: u32,
    /// `smtpd_client_message_rate_limit`.
    pub messages: u32,
    /// `smtpd_client_recipient_rate_limit`.
    pub recipients: u32,
    /// `smtpd_client_new_tls_session_rate_limit`.
    pub tls_sessions: u32,
    /// `smtpd_client_auth_rate_limit`.
    pub auths: u32,
    /// AUTH commands that failed; clients in `relay_from` are not exempt from this one.
    pub auth_failures: u32,
    /// Bits of an IPv6 address that make a client (`smtpd_client_ipv6_prefix_length`).
    pub ipv6_prefix: u8,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            unit: Duration::from_secs(60),
            connections: 0,
            messages: 0,
            recipients: 0,
            tls_sessions: 0,
            auths: 0,
            // A person mistypes a password a few times; a guesser needs thousands of guesses.
            auth_failures: 10,
            // RFC 6177 §2: a site has no less than a /64.
            ipv6_prefix: 64,
        }
    }
}

impl Default for Handshake {
    fn default() -> Self {
        // RFC 8446 §B.4 and the six of TLS 1.2 with forward secrecy and AEAD.
        const SUITES: [u16; 9] = [0x1302, 0x1303, 0x1301, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC02B, 0xC02F];
        Self { tls12: true, tls13: true, suites: SUITES.into() }
    }
}

impl Default for TlsSettings {
    fn default() -> Self {
        Self {
            level: Level::None,
            wrapper: false,
            files: StoreSettings::default(),
            sni_maps: Vec::new(),
            may: Handshake::default(),
            mandatory: Handshake::default(),
            ask_certificate: false,
            require_certificate: false,
            verify_depth: 9,
            fingerprint_digest: DigestAlgorithm::Sha256,
            enable_raw_keys: false,
            received_header: false,
            session_timeout: Duration::from_secs(3600),
            handshake_timeout: Duration::from_secs(300),
            lenient: false,
            own_folder: None,
            tlsa_places: Vec::new(),
        }
    }
}

impl TlsSettings {
    /// Whether a file with a certificate is named.
    #[must_use]
    pub fn has_certificate(&self) -> bool {
        let files = &self.files;
        !files.chain_files.is_empty() || files.cert_file.is_some() || files.eccert_file.is_some()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            submission: Vec::new(),
            submissions: Vec::new(),
            relay_from: Cidr::LOOPBACK.to_vec(),
            relay_rules: RelayRule::DEFAULT.to_vec(),
            tls: TlsSettings::default(),
            auth: AuthSettings::default(),
            protocol: server::Settings::default(),
            timeout: Duration::from_secs(300),
            stress_timeout: Duration::from_secs(10),
            min_data_rate: 500,
            error_delay: Duration::from_secs(1),
            client_connection_limit: 50,
            rates: RateLimits::default(),
            connection_limit: 1000,
            threads: None,
            memory_limit: 512 << 20,
            sampling_ratio: 1.0,
            trace_from: Cidr::LOOPBACK.to_vec(),
            keep_traceparent: false,
        }
    }
}

/// More threads than this would wait for the queue's manager.
const MOST_THREADS: usize = 64;

impl Settings {
    /// How many threads attend to clients: where nobody says, a quarter of the cores, and at least one. To take a message costs three quarters of what it
    /// costs to deliver it, and the queue's manager has a core for itself (docs/threads.md).
    #[must_use]
    pub fn threads_for_clients(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        self.threads.unwrap_or_else(|| cores() / 4).clamp(1, MOST_THREADS)
    }

    /// Whether this client may say which trace its messages belong to.
    pub(crate) fn may_trace(&self, address: IpAddr) -> bool {
        self.trace_from.iter().any(|network| network.contains(address))
    }

    /// Whether this client may send mail to anywhere for its address alone.
    pub(crate) fn is_ours(&self, address: IpAddr) -> bool {
        self.relay_from.iter().any(|network| network.contains(address))
    }

    /// Whether TLS is of use at any listener.
    pub(crate) fn wants_tls(&self) -> bool {
        let plain = self.tls.level != Level::None || self.tls.wrapper;
        (plain && !self.listen.is_empty()) || !self.submission.is_empty() || !self.submissions.is_empty()
    }
}
