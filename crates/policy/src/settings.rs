//! The settings of the crate.

use alloc::{collections::BTreeMap, format, string::String, sync::Arc, vec, vec::Vec};

use waxseal_types::{
    DigestAlgorithm, DigestOrder, Domain, Fingerprint, NextHop, Protocol, Service, Strength, TlsLevel,
};

use crate::{
    Exclusions, Grade, InsecureMx, InvalidCiphers, MatchNames, PolicyError, Protocols, ServerName, TableName,
    suites::offer,
};

/// Everything that decides about routes and policies, but the content of tables.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The `smtp_tls_` parameters.
    pub smtp: ClientSettings,
    /// The `lmtp_tls_` parameters.
    pub lmtp: ClientSettings,
    /// The same for services that have their own (master(5)).
    pub services: BTreeMap<Service, ClientSettings>,
    /// postconf(5), `transport_maps`.
    pub transport_maps: Vec<TableName>,
    /// postconf(5), `relayhost`: where mail goes for which `transport_maps` has no entry; the later ones when the first one fails.
    pub relayhost: Vec<NextHop>,
    /// postconf(5), `default_transport`: `transport:nexthop` for mail for which `transport_maps` has no entry, or one that leaves the transport open. The
    /// next hop may be left out: then `relayhost` counts, and the recipient's domain where there is none.
    pub default_transport: String,
    /// postconf(5), `relay_transport`: the same for recipients in [`Settings::relay_domains`].
    pub relay_transport: String,
    /// postconf(5), `relay_domains`.
    pub relay_domains: DomainList,
    /// What the names of transports mean, beside `error`, `retry` and `discard` (master(5)).
    pub transports: BTreeMap<String, Transport>,
    /// postconf(5), `recipient_delimiter`: `user+ext@domain` is looked up as `user@domain`, too; empty: it is not.
    pub recipient_delimiter: String,
    /// Our own name, by which a server behind a unix-domain socket goes.
    pub hostname: Option<Domain>,
}

/// What a transport is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// Mail goes out by this service.
    Deliver(Service),
    /// It is known, and cannot be carried out as it is configured: mail for it waits, with this reason.
    Refused(String),
}

/// Domains by name and by table (postconf(5), `relay_domains`). A name covers the domains below it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DomainList {
    /// Names.
    pub names: Vec<Domain>,
    /// Tables; each is asked for the domain and then for its parents.
    pub tables: Vec<TableName>,
}

impl DomainList {
    /// Whether a name covers `domain`.
    #[must_use]
    pub fn names_cover(&self, domain: &Domain) -> bool {
        self.names.iter().any(|name| {
            domain
                .as_str()
                .strip_suffix(name.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            smtp: ClientSettings::default(),
            lmtp: ClientSettings::default(),
            services: BTreeMap::new(),
            transport_maps: Vec::new(),
            relayhost: Vec::new(),
            default_transport: String::from("smtp"),
            relay_transport: String::from("relay"),
            relay_domains: DomainList::default(),
            transports: [("smtp", Protocol::Smtp), ("relay", Protocol::Smtp), ("lmtp", Protocol::Lmtp)]
                .map(|(name, protocol)| (String::from(name), Transport::Deliver(protocol.into())))
                .into(),
            recipient_delimiter: String::from("+"),
            hostname: None,
        }
    }
}

impl Settings {
    /// The settings of one service.
    ///
    /// # Errors
    /// There is no such service; nobody else's settings take their place.
    pub fn client(&self, service: &Service) -> Result<&ClientSettings, PolicyError> {
        match (service.name(), service.protocol()) {
            (None, Protocol::Smtp) => Ok(&self.smtp),
            (None, Protocol::Lmtp) => Ok(&self.lmtp),
            (Some(name), _) => self
                .services
                .get(service)
                .ok_or_else(|| PolicyError::route(format!("there is no service {name}"), None)),
        }
    }

    /// Whether a policy of this service is the same each time that it is looked up, until the tables change.
    #[cfg(feature = "actor")]
    pub(crate) fn is_steady(&self, service: &Service, tables: &dyn crate::Tables) -> bool {
        self.client(service)
            .is_ok_and(|client| client.policy_maps.iter().all(|table| tables.is_steady(table)))
    }

    /// All services: the main ones of both protocols, and those with settings of their own.
    pub fn clients(&self) -> impl Iterator<Item = (Service, &ClientSettings)> {
        let main = [(Service::SMTP, &self.smtp), (Service::LMTP, &self.lmtp)];
        main.into_iter().chain(self.services.iter().map(|(service, client)| (service.clone(), client)))
    }
}

/// The `smtp_tls_` or `lmtp_tls_` parameters that are policy.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// `security_level`: for destinations that no table has an entry for.
    pub level: TlsLevel,
    /// `policy_maps`.
    pub policy_maps: Vec<TableName>,
    /// `protocols`, `ciphers` and `exclude_ciphers`: for level `may`.
    pub opportunistic: HandshakeSettings,
    /// `mandatory_protocols`, `mandatory_ciphers`, and `exclude_ciphers` together with `mandatory_exclude_ciphers`: for the levels above.
    pub mandatory: HandshakeSettings,
    /// `servername`.
    pub servername: Option<ServerName>,
    /// `fingerprint_digest`.
    pub fingerprint_digest: DigestAlgorithm,
    /// `fingerprint_cert_match`.
    pub fingerprints: Vec<Fingerprint>,
    /// `verify_cert_match`.
    pub verify_cert_match: MatchNames,
    /// `secure_cert_match`.
    pub secure_cert_match: MatchNames,
    /// `trust_anchor_file`; instead of CAfile and CApath where there are any.
    pub trust_anchor_files: Vec<String>,
    /// `scert_verifydepth`.
    pub depth: u8,
    /// `tls_wildcard_matches_multiple_labels`.
    pub wide_wildcards: bool,
    /// `minimum_rsa_bits` and `refuse_sha1`, which Postfix has not: what keys and signatures must be.
    pub strength: Strength,
    /// `connection_reuse`.
    pub connection_reuse: bool,
    /// `enable_rpk` (RFC 7250).
    pub enable_rpk: bool,
    /// `dane_insecure_mx_policy`.
    pub insecure_mx: InsecureMx,
    /// `tls_dane_digests`.
    pub dane_digests: DigestOrder,
    /// Why DANE cannot be had, where that is so: DNSSEC is off, or the resolver's word is not trusted. `dane` is `may` then, and
    /// `dane-only` defers.
    pub dane_blind: Option<String>,
    /// `smtp_fallback_relay`: tried in turn when no host of the destination could be used; each has its own policy. Routes have them as the last
    /// alternatives.
    pub fallback_relay: Vec<NextHop>,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            level: TlsLevel::May,
            policy_maps: Vec::new(),
            opportunistic: HandshakeSettings::default(),
            mandatory: HandshakeSettings::default(),
            servername: None,
            fingerprint_digest: DigestAlgorithm::Sha256,
            fingerprints: vec![],
            verify_cert_match: MatchNames::hostname(),
            secure_cert_match: MatchNames::nexthop_and_below(),
            trust_anchor_files: vec![],
            depth: 9,
            wide_wildcards: false,
            strength: Strength::default(),
            connection_reuse: true,
            enable_rpk: false,
            insecure_mx: InsecureMx::Dane,
            dane_digests: DigestOrder::default(),
            dane_blind: None,
            fallback_relay: vec![],
        }
    }
}

impl HandshakeSettings {
    /// The cipher suites by their numbers, and the versions that are left with them.
    ///
    /// # Errors
    /// Nothing is left.
    pub fn offer(&self) -> Result<(Protocols, Arc<[u16]>), InvalidCiphers> {
        offer(self.protocols, self.ciphers, &self.exclude)
    }
}

/// What a ClientHello may offer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct HandshakeSettings {
    /// The versions.
    pub protocols: Protocols,
    /// The grade of cipher suites.
    pub ciphers: Grade,
    /// Cipher suites left out.
    pub exclude: Exclusions,
}
