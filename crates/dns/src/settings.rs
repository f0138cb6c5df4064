use std::{net::IpAddr, net::SocketAddr, path::PathBuf, time::Duration};

/// Whom to ask, how long to wait, and whose word on DNSSEC to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The recursive resolvers, asked in this order. Empty means those of `/etc/resolv.conf`.
    pub servers: Vec<SocketAddr>,
    /// How an answer gets its proof.
    pub dnssec: DnssecMode,
    /// Resolvers beyond loopback whose AD bit is believed. Only used with [`DnssecMode::TrustAd`].
    pub trusted: Vec<IpAddr>,
    /// DNSKEY or DS records in zone-file form. `None` is the IANA root. Only used with [`DnssecMode::Validate`].
    pub trust_anchor: Option<PathBuf>,
    /// How long to wait for one answer of one server before the next is asked.
    pub timeout: Duration,
    /// How many times the list of servers is gone through.
    pub attempts: u32,
    /// How long one question may take in all: aliases, signatures, every server and every attempt.
    pub deadline: Duration,
    /// The port at which [`Authorities`](crate::Authorities) asks authoritative servers: 53 but in a laboratory.
    pub authority_port: u16,
    /// What is remembered, and for how long.
    pub cache: CacheSettings,
}

/// The bounds of the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheSettings {
    /// How many answers are kept.
    pub entries: usize,
    /// How many octets of answers are kept, about; half as many again for the chain of trust. Most answers are small,
    /// but a stranger decides that.
    pub octets: usize,
    /// The longest time that records are believed, whatever their TTL says.
    pub positive: Duration,
    /// The longest time that an absence is believed, whatever the SOA record says (RFC 2308 §5).
    pub negative: Duration,
    /// How long a failure is repeated without asking again (RFC 9520 §3.2: at least one second, at most five minutes).
    pub failure: Duration,
}

/// Where the proof of an answer comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum DnssecMode {
    /// Signatures are checked here, from the trust anchor down; the resolver need not be trusted.
    #[default]
    Validate,
    /// The resolver's AD bit is the proof, believed from loopback and from [`Settings::trusted`] only.
    TrustAd,
    /// DNSSEC is not asked for: every answer is insecure.
    Off,
}

/// Which address families are wanted (postconf(5) `inet_protocols`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Families {
    /// Only A records.
    V4,
    /// Only AAAA records.
    V6,
    /// Both, asked at the same time.
    #[default]
    Both,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            dnssec: DnssecMode::default(),
            trusted: Vec::new(),
            trust_anchor: None,
            timeout: Duration::from_secs(5),
            attempts: 2,
            deadline: Duration::from_secs(30),
            authority_port: 53,
            cache: CacheSettings::default(),
        }
    }
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self {
            entries: 50_000,
            octets: 64 << 20,
            positive: Duration::from_secs(3600),
            negative: Duration::from_secs(300),
            failure: Duration::from_secs(5),
        }
    }
}
