//! The policy of one destination.

use alloc::{borrow::ToOwned, format, string::String, sync::Arc, vec::Vec};

use waxseal_types::{
    AnchorFiles, ClientCertificate, DigestOrder, Domain, Fingerprint, FingerprintDemand, NameDemand, NextHop,
    Service, Strength, TlsDemand, TlsLevel, TlsShape,
};

use crate::{
    ClientSettings, Concern, Entry, Exclusions, Grade, HandshakeSettings, MatchNames, Origin, PolicyError,
    PolicySource, Protocols, Remark, Settings, fingerprint, suites,
};

/// What to do when the MX records are not signed although the MX host has secure TLSA records (postconf(5),
/// `smtp_tls_dane_insecure_mx_policy`). The destination is not proven then, whatever the host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InsecureMx {
    /// As if there were no TLSA records.
    May,
    /// TLS without authentication.
    Encrypt,
    /// The host is authenticated with its TLSA records.
    Dane,
}

/// Which name the ClientHello carries while DANE is not in effect (postconf(5), `smtp_tls_servername`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ServerName {
    /// `hostname`: the MX host's.
    Hostname,
    /// `nexthop`.
    NextHop,
    /// This one.
    Name(Domain),
    /// The configuration has a text that is no hostname: each policy that would use it is invalid, as in Postfix.
    Invalid(String),
}

impl ServerName {
    /// One of the two words, or a hostname as it goes over the wire; anything else is [`ServerName::Invalid`].
    #[must_use]
    pub fn parse(text: &str) -> Self {
        if text.eq_ignore_ascii_case("hostname") {
            return Self::Hostname;
        }
        if text.eq_ignore_ascii_case("nexthop") {
            return Self::NextHop;
        }
        let plain = text.is_ascii() && !text.ends_with('.');
        let name = if plain { Domain::new(text).ok() } else { None };
        name.map_or_else(|| Self::Invalid(text.to_owned()), Self::Name)
    }
}

/// The attributes of policy plugins (postconf(5), `smtp_tls_policy_maps`, Postfix 3.10), kept as they came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the attributes' own names")]
pub struct PluginAttributes {
    pub policy_type: Option<String>,
    pub policy_domain: Option<String>,
    pub policy_ttl: Option<u32>,
    pub policy_failure: Option<String>,
    pub policy_strings: Vec<String>,
    pub mx_host_patterns: Vec<String>,
}

/// What a handshake offers: versions, and suites by their IANA numbers; and the words that it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) protocols: Protocols,
    pub(crate) suites: Arc<[u16]>,
    grade: Grade,
    exclude: Exclusions,
}

impl Offer {
    /// Nothing, with which no handshake succeeds.
    fn nothing() -> Self {
        Self {
            protocols: Protocols { tls12: false, tls13: false },
            suites: Arc::new([]),
            grade: Grade::default(),
            exclude: Exclusions::default(),
        }
    }

    fn of(settings: &HandshakeSettings, attributes: &Entry) -> Result<Self, String> {
        let protocols = attributes.protocols.unwrap_or(settings.protocols);
        let grade = attributes.ciphers.unwrap_or(settings.ciphers);
        // The attribute replaces the configuration's exclusions, it does not add to them.
        let exclude = attributes.exclude.as_ref().unwrap_or(&settings.exclude);
        let (protocols, suites) =
            suites::offer(protocols, grade, exclude).map_err(|error| format!("{error}"))?;
        Ok(Self { protocols, suites, grade, exclude: exclude.clone() })
    }
}

/// The policy in force for one destination: an entry of a table, or the configuration's level, with all that the entry leaves open
/// filled in from the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsPolicy {
    /// The level.
    pub level: TlsLevel,
    /// Where it comes from.
    pub source: PolicySource,
    /// Whether a connection may serve another delivery.
    pub connection_reuse: bool,
    /// Whether raw public keys (RFC 7250) may be asked for.
    pub enable_rpk: bool,
    /// Which name to send while DANE is not in effect.
    pub servername: Option<ServerName>,
    /// The names to match at `verify` and `secure`.
    pub matches: MatchNames,
    /// The digests to match at `fingerprint`.
    pub fingerprints: FingerprintDemand,
    /// What chains must lead to.
    pub anchors: AnchorFiles,
    /// The longest chain.
    pub depth: u8,
    /// Whether `*` may stand for several labels.
    pub wide_wildcards: bool,
    /// What keys and signatures must be.
    pub strength: Strength,
    /// What an insecure MX means at `dane`.
    pub insecure_mx: InsecureMx,
    /// The digests that TLSA records may have.
    pub dane_digests: DigestOrder,
    /// Why DANE cannot be had at all, where that is so.
    pub dane_blind: Option<String>,
    /// What a plugin said.
    pub plugin: PluginAttributes,
    /// What is odd, but valid, in the entry.
    pub remarks: Vec<Remark>,
    pub(crate) local: Option<Domain>,
    pub(crate) opportunistic: Offer,
    pub(crate) mandatory: Offer,
}

impl TlsPolicy {
    /// The policy of one entry of a table, as a lookup would find it: for checks of whole tables.
    ///
    /// # Errors
    /// The entry is invalid, or names a level that is not built.
    pub fn of_entry(
        settings: &Settings,
        service: &Service,
        value: &str,
        origin: Origin,
    ) -> Result<Self, PolicyError> {
        Self::from_entry(settings, settings.client(service)?, value, PolicySource::Entry(origin))
    }

    pub(crate) fn from_entry(
        settings: &Settings,
        client: &ClientSettings,
        value: &str,
        source: PolicySource,
    ) -> Result<Self, PolicyError> {
        let origin = source.origin().cloned();
        let built = value
            .parse::<Entry>()
            .map_err(|error| error.reason)
            .and_then(|entry| Self::build(settings, client, entry));
        built.map(|policy| Self { source, ..policy }).map_err(|reason| PolicyError::tls(reason, origin))
    }

    /// The policy of a destination without entry.
    ///
    /// # Errors
    /// The configuration contradicts itself, or names a level that is not built.
    pub(crate) fn from_default(settings: &Settings, client: &ClientSettings) -> Result<Self, PolicyError> {
        let built = Self::build(settings, client, Entry::at(client.level));
        built.map_err(|reason| PolicyError::tls(reason, None))
    }

    fn build(settings: &Settings, client: &ClientSettings, mut entry: Entry) -> Result<Self, String> {
        let level = entry.level;
        let (opportunistic, mandatory) = offers(client, &entry)?;
        let fingerprints = fingerprints(client, &mut entry)?;
        let matches = match (level, &entry.matches) {
            (TlsLevel::Verify | TlsLevel::Secure, Some(words)) => {
                MatchNames::of_words(words.iter().map(String::as_str))
            }
            (TlsLevel::Verify, None) => client.verify_cert_match.clone(),
            _ => client.secure_cert_match.clone(),
        };
        let servername = entry.servername.or_else(|| client.servername.clone());
        if let (Some(ServerName::Invalid(text)), false) = (&servername, level == TlsLevel::None) {
            return Err(format!("servername {text:?} is no hostname"));
        }
        // The configuration's anchors count only where the entry has none, and only at the levels that rest on them.
        let files = if entry.tafiles.is_empty() { client.trust_anchor_files.clone() } else { entry.tafiles };
        let anchors = match level {
            TlsLevel::Verify | TlsLevel::Secure if !files.is_empty() => AnchorFiles::Only(files.into()),
            _ => AnchorFiles::Default,
        };
        Ok(Self {
            level,
            source: PolicySource::Default,
            connection_reuse: entry.connection_reuse.unwrap_or(client.connection_reuse),
            enable_rpk: entry.enable_rpk.unwrap_or(client.enable_rpk),
            servername,
            matches,
            fingerprints,
            anchors,
            depth: client.depth,
            wide_wildcards: client.wide_wildcards,
            strength: client.strength,
            insecure_mx: client.insecure_mx,
            dane_digests: client.dane_digests.clone(),
            dane_blind: client.dane_blind.clone(),
            plugin: entry.plugin,
            remarks: entry.remarks,
            local: settings.hostname.clone(),
            opportunistic,
            mandatory,
        })
    }

    /// The entry that says all of this, whatever the configuration says: what the answer to another mail server's lookup is. What an entry
    /// cannot say is left to that server: the digest of fingerprints, `CAfile` and `CApath`, the depth of chains, `dane_insecure_mx_policy`.
    #[must_use]
    pub fn to_entry(&self) -> Entry {
        let mut entry = Entry::at(self.level);
        // At `dane` the stricter of both holds; an entry has no two lists.
        let offer = match self.level {
            TlsLevel::None => return entry,
            TlsLevel::May => &self.opportunistic,
            TlsLevel::Encrypt
            | TlsLevel::Dane
            | TlsLevel::DaneOnly
            | TlsLevel::Fingerprint
            | TlsLevel::Verify
            | TlsLevel::Secure => &self.mandatory,
        };
        entry.ciphers = Some(offer.grade);
        entry.protocols = Some(offer.protocols);
        entry.exclude = Some(offer.exclude.clone()).filter(|exclude| exclude.words().next().is_some());
        entry.servername.clone_from(&self.servername);
        entry.matches = match self.level {
            TlsLevel::Fingerprint => {
                Some(self.fingerprints.accepted.iter().map(fingerprint::to_text).collect())
            }
            TlsLevel::Verify | TlsLevel::Secure => {
                Some(self.matches.0.iter().map(|name| format!("{name}")).collect())
            }
            TlsLevel::None | TlsLevel::May | TlsLevel::Encrypt | TlsLevel::Dane | TlsLevel::DaneOnly => None,
        };
        if let AnchorFiles::Only(files) = &self.anchors {
            entry.tafiles = files.to_vec();
        }
        entry.connection_reuse = Some(self.connection_reuse);
        // Postfix before 3.9 refuses entries that name it.
        entry.enable_rpk = self.enable_rpk.then_some(true);
        entry.plugin = self.plugin.clone();
        entry
    }

    /// What a connection to `host` (`None`: an address or a socket without a name) must prove.
    ///
    /// # Errors
    /// At `dane` and `dane-only`, which depend on DNS: those are for [`crate::dane`] to decide.
    pub fn demand_for(&self, nexthop: &NextHop, host: Option<&Domain>) -> Result<TlsDemand, PolicyError> {
        match self.level {
            TlsLevel::None => Ok(TlsDemand::Clear),
            TlsLevel::May => Ok(TlsDemand::Opportunistic),
            TlsLevel::Encrypt => Ok(TlsDemand::Encrypted),
            TlsLevel::Fingerprint => Ok(TlsDemand::Fingerprint(self.fingerprints.clone())),
            TlsLevel::Verify | TlsLevel::Secure => Ok(TlsDemand::Names(NameDemand {
                patterns: self.matches.patterns(nexthop, host, self.local.as_ref()),
                anchors: self.anchors.clone(),
                depth: self.depth,
                wide_wildcards: self.wide_wildcards,
            })),
            TlsLevel::Dane | TlsLevel::DaneOnly => {
                let reason =
                    format!("level {} depends on TLSA records, which were not asked for", self.level);
                Err(self.error(reason))
            }
        }
    }

    /// What the ClientHello looks like while DANE is not in effect. `mandatory`: the effective level is above `may`.
    #[must_use]
    pub fn shape_for(
        &self,
        nexthop: &NextHop,
        host: Option<&Domain>,
        mandatory: bool,
        client: Arc<[ClientCertificate]>,
    ) -> TlsShape {
        let sni = match &self.servername {
            None | Some(ServerName::Invalid(_)) => None,
            // RFC 6066 §3: an address is no server name.
            Some(ServerName::Hostname) => host.cloned(),
            Some(ServerName::NextHop) => nexthop.domain().cloned(),
            Some(ServerName::Name(name)) => Some(name.clone()),
        };
        self.shape(sni, mandatory, client)
    }

    /// What the ClientHello looks like under DANE: RFC 7672 §8.1, the TLSA base domain is the server name.
    #[must_use]
    pub fn dane_shape(&self, base: &Domain, client: Arc<[ClientCertificate]>) -> TlsShape {
        self.shape(Some(base.clone()), true, client)
    }

    fn shape(&self, sni: Option<Domain>, mandatory: bool, client: Arc<[ClientCertificate]>) -> TlsShape {
        let offer = if mandatory { &self.mandatory } else { &self.opportunistic };
        TlsShape {
            sni,
            tls12: offer.protocols.tls12,
            tls13: offer.protocols.tls13,
            suites: Arc::clone(&offer.suites),
            client,
        }
    }

    /// A fault of this policy, with the line that it comes from.
    pub(crate) fn error(&self, reason: String) -> PolicyError {
        PolicyError::tls(reason, self.source.origin().cloned())
    }
}

/// What is offered below and above `may`. Only what the level can lead to must be sound.
fn offers(client: &ClientSettings, entry: &Entry) -> Result<(Offer, Offer), String> {
    let opportunistic = Offer::of(&client.opportunistic, entry);
    let mandatory = Offer::of(&client.mandatory, entry);
    match entry.level {
        TlsLevel::None => Ok((Offer::nothing(), Offer::nothing())),
        TlsLevel::May => Ok((opportunistic?, Offer::nothing())),
        TlsLevel::Dane => Ok((opportunistic?, mandatory?)),
        TlsLevel::Encrypt
        | TlsLevel::DaneOnly
        | TlsLevel::Fingerprint
        | TlsLevel::Verify
        | TlsLevel::Secure => Ok((Offer::nothing(), mandatory?)),
    }
}

/// The entry's fingerprints replace the configuration's. At level `fingerprint` there must be one.
fn fingerprints(client: &ClientSettings, entry: &mut Entry) -> Result<FingerprintDemand, String> {
    let digest = client.fingerprint_digest;
    let none = FingerprintDemand { digest, accepted: Arc::new([]) };
    if entry.level != TlsLevel::Fingerprint {
        return Ok(none);
    }
    let accepted: Vec<Fingerprint> = match &entry.matches {
        None => client.fingerprints.clone(),
        Some(words) => {
            let mut accepted = Vec::with_capacity(words.len());
            for word in words {
                let (fingerprint, complaint) = fingerprint::read(word, digest);
                accepted.extend(fingerprint);
                let remark = |text| Remark::new(Concern::Idle, text, "it matches nothing");
                entry.remarks.extend(complaint.map(|complaint| remark(format!("match: {complaint}"))));
            }
            accepted
        }
    };
    if accepted.is_empty() {
        return Err("level fingerprint, but no fingerprints to match".into());
    }
    Ok(FingerprintDemand { accepted: accepted.into(), ..none })
}
