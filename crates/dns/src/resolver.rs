use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, atomic::Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use hickory_proto::rr::RecordType;
use waxseal_types::{
    DnsAnswer, DnsFailure, DnsFailureKind, Domain, Lookup, MxHost, Proof, RecordKind, Tlsa, UnixTime,
};

use crate::{
    DnssecHealth, DnssecMode, Error, Families, Settings, Statistics, anchors,
    cache::{AnswerCache, Entry},
    chase::Backend,
    counters::Counters,
    exchange::Exchange,
    records::{Asked, Question, Records},
    signatures::{self, Signature},
    stub::{Belief, Stub},
    system,
    trouble::Trouble,
    validate::Validator,
    wire::Wanted,
};

/// Security-aware lookups. Cheap to clone; all clones share the cache. `Send + Sync`, and at home on any tokio
/// runtime with I/O and time.
#[derive(Debug, Clone)]
pub struct Resolver {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    backend: Backend,
    mode: DnssecMode,
    cache: AnswerCache,
    exchange: Arc<Exchange>,
    counters: Arc<Counters>,
    servers: Vec<SocketAddr>,
    notices: Vec<String>,
}

/// A cached outcome with the question it belongs to.
struct Outcome {
    question: Question,
    entry: Arc<Entry>,
}

impl Resolver {
    /// Takes the settings; reads `/etc/resolv.conf` and the trust anchor where they are asked for. Asks nobody yet.
    ///
    /// # Errors
    /// [`Error`] names the file or the setting that is wrong.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let settings = checked(settings)?;
        let counters = Arc::new(Counters::default());
        let exchange = Arc::new(Exchange::new(
            &settings.servers,
            settings.timeout,
            settings.attempts,
            Arc::clone(&counters),
        ));
        let mut notices = Vec::new();
        let asked = Arc::clone(&exchange);
        let backend = match settings.dnssec {
            DnssecMode::Off => Backend::Stub(Stub { exchange, belief: Belief::Nobody }),
            DnssecMode::TrustAd => {
                let belief = Belief::LoopbackAnd(settings.trusted.clone());
                notices.extend(settings.servers.iter().filter_map(|server| notice(*server, &belief)));
                Backend::Stub(Stub { exchange, belief })
            }
            DnssecMode::Validate => {
                let anchors = match &settings.trust_anchor {
                    Some(path) => anchors::read(path)?,
                    None => anchors::iana(),
                };
                Backend::Validate(Validator::new(exchange, anchors, settings.cache.octets / 2))
            }
        };
        let cache = AnswerCache::new(settings.cache, settings.deadline, Arc::clone(&counters));
        let shared = Shared {
            backend,
            mode: settings.dnssec,
            cache,
            exchange: asked,
            counters,
            servers: settings.servers,
            notices,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The mail exchangers of `domain`, in the order of the reply; aliases are followed (RFC 5321 §5.1).
    ///
    /// A null MX is one host that is `None` (RFC 7505 §3).
    ///
    /// # Errors
    /// [`DnsFailure`] when there is no answer; delivery must wait (RFC 7672 §2.1.2).
    pub async fn mx(&self, domain: &Domain) -> Result<DnsAnswer<Vec<MxHost>>, DnsFailure> {
        self.look_up(domain, Asked::Mx).await.answer(|records| match records {
            Records::Mx(hosts) => Some(hosts.clone()),
            Records::Addresses(_) | Records::Alias(_) | Records::Tlsa(_) => None,
        })
    }

    /// The addresses of `host`, both families at once; aliases are followed.
    ///
    /// A family that fails spoils nothing while the other has addresses, as in Postfix's `dns_lookup`: what is found
    /// is used. While none is found, a failure is the outcome, for the lost family might have had some. The proof is
    /// secure when a family that was found is: both come from one zone, and either proves that it is signed, which
    /// is what RFC 7672 §2.2.2 wants to know before TLSA records are asked for. Absence is secure only where every
    /// family's is.
    ///
    /// # Errors
    /// [`DnsFailure`] when there is no answer.
    pub async fn addresses(
        &self,
        host: &Domain,
        families: Families,
    ) -> Result<DnsAnswer<Vec<IpAddr>>, DnsFailure> {
        match families {
            Families::V4 => self.family(host, Asked::A).await,
            Families::V6 => self.family(host, Asked::Aaaa).await,
            Families::Both => {
                let (v4, v6) = tokio::join!(self.family(host, Asked::A), self.family(host, Asked::Aaaa));
                merge(v6, v4)
            }
        }
    }

    /// The TLSA records at `_port._tcp.base`; aliases are followed, the base domain stays (RFC 7672 §2.2.3).
    ///
    /// # Errors
    /// [`DnsFailure`] when there is no answer; the server must not be used then (RFC 7672 §2.1.2).
    pub async fn tlsa(&self, base: &Domain, port: u16) -> Result<DnsAnswer<Vec<Tlsa>>, DnsFailure> {
        self.look_up(base, Asked::Tlsa(port)).await.answer(|records| match records {
            Records::Tlsa(records) => Some(records.clone()),
            Records::Addresses(_) | Records::Alias(_) | Records::Mx(_) => None,
        })
    }

    /// The alias record at `name` itself, not followed: whether the zone of an alias is signed although its target's
    /// is not (RFC 7672 §2.1.3).
    ///
    /// # Errors
    /// [`DnsFailure`] when there is no answer.
    pub async fn cname(&self, name: &Domain) -> Result<DnsAnswer<Domain>, DnsFailure> {
        self.look_up(name, Asked::Cname).await.answer(|records| match records {
            Records::Alias(target) => Some(target.clone()),
            Records::Addresses(_) | Records::Mx(_) | Records::Tlsa(_) => None,
        })
    }

    /// Until when an answer is signed, aliases on its way included, and the keys of the zones that signed it, and the chain of DS records and keys
    /// above them. Never from the cache; nothing is validated here, which is what the lookups are for. Empty where nothing is signed or nothing found.
    ///
    /// # Errors
    /// [`DnsFailure`] when there is no answer.
    pub async fn signatures(
        &self,
        name: &Domain,
        kind: RecordKind,
        port: u16,
    ) -> Result<Vec<Signature>, DnsFailure> {
        let asked = match kind {
            RecordKind::A => Asked::A,
            RecordKind::Aaaa => Asked::Aaaa,
            RecordKind::Mx => Asked::Mx,
            RecordKind::Tlsa => Asked::Tlsa(port),
            // Of texts nothing here is asked.
            RecordKind::Cname | RecordKind::Txt => Asked::Cname,
        };
        let question = Question { name: name.clone(), asked };
        let failure = |trouble: Trouble| trouble.of(question.owner(), question.kind());
        let owner = question.wire_name().map_err(failure)?;
        let exchange = &self.shared.exchange;
        let answer = exchange.ask(&owner, question.wire_kind(), Wanted::Proof).await.map_err(failure)?;
        let now = now();
        let mut found = signatures::of(&answer.message, now, false);
        let mut zones = signatures::signers(&answer.message);
        zones.truncate(MAX_SIGNERS);
        let (mut at, own) = (0, zones.len());
        // RFC 4035 §5: each zone's keys are vouched for by the DS records in the zone above, up to the anchor.
        while let Some(zone) = zones.get(at).cloned() {
            let keys = exchange.ask(&zone, RecordType::DNSKEY, Wanted::Proof).await.map_err(failure)?;
            found.extend(signatures::of(&keys.message, now, at >= own));
            if !zone.is_root() {
                let delegation = exchange.ask(&zone, RecordType::DS, Wanted::Proof).await.map_err(failure)?;
                found.extend(signatures::of(&delegation.message, now, true));
                for above in signatures::signers(&delegation.message) {
                    // Whoever signs the DS records of a zone stands above it; anything else would lead round in circles.
                    if above != zone
                        && above.zone_of(&zone)
                        && !zones.contains(&above)
                        && zones.len() < MAX_ZONES
                    {
                        zones.push(above);
                    }
                }
            }
            at += 1;
        }
        Ok(found)
    }

    /// Asks for the root's own records, to learn whether DNSSEC works here. It only alarms; see [`DnssecHealth`].
    ///
    /// Not cached. A private trust anchor below the root is asked for instead of the root.
    pub async fn probe(&self) -> DnssecHealth {
        let counters = &self.shared.counters;
        counters.probes.fetch_add(1, Ordering::Relaxed);
        let health = match (&self.shared.backend, self.shared.mode) {
            (_, DnssecMode::Off) => DnssecHealth::Off,
            (Backend::Stub(stub), _) => stub.probe().await,
            (Backend::Validate(validator), _) => validator.probe().await,
        };
        if health.is_blind() {
            counters.blind.fetch_add(1, Ordering::Relaxed);
        }
        health
    }

    /// What the operator should know of the settings, a sentence each.
    #[must_use]
    pub fn notices(&self) -> Vec<String> {
        self.shared.notices.clone()
    }

    /// The servers that are asked.
    #[must_use]
    pub fn servers(&self) -> &[SocketAddr] {
        &self.shared.servers
    }

    /// How answers get their proof.
    #[must_use]
    pub fn mode(&self) -> DnssecMode {
        self.shared.mode
    }

    /// Hits, misses, queries, failures: for the metrics.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let (entries, octets) = self.shared.cache.size();
        let links = match &self.shared.backend {
            Backend::Stub(_) => 0,
            Backend::Validate(validator) => validator.octets(),
        };
        self.shared.counters.read(entries, octets as u64 + links)
    }

    async fn family(&self, host: &Domain, asked: Asked) -> Result<DnsAnswer<Vec<IpAddr>>, DnsFailure> {
        self.look_up(host, asked).await.answer(|records| match records {
            Records::Addresses(addresses) => Some(addresses.clone()),
            Records::Mx(_) | Records::Alias(_) | Records::Tlsa(_) => None,
        })
    }

    async fn look_up(&self, name: &Domain, asked: Asked) -> Outcome {
        let question = Question { name: name.clone(), asked };
        let entry = self.shared.cache.ask(&self.shared.backend, question.clone()).await;
        Outcome { question, entry }
    }
}

/// Zones of one answer whose keys are looked at: as many as aliases are followed.
const MAX_SIGNERS: usize = 10;
/// Zones on their ways up to the root; names have few labels that are zones of their own.
const MAX_ZONES: usize = 30;

fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixTime::from_secs(since.as_secs())
}

impl Outcome {
    /// The records that `pick` takes out; with the time that is left of them.
    fn answer<T>(self, pick: impl FnOnce(&Records) -> Option<T>) -> Result<DnsAnswer<T>, DnsFailure> {
        let failure =
            |trouble: &crate::trouble::Trouble| trouble.of(self.question.owner(), self.question.kind());
        let answer = self.entry.outcome.as_ref().map_err(failure)?;
        let lookup = match &answer.lookup {
            Lookup::Found(records) => Lookup::Found(pick(records).ok_or_else(|| {
                // The cache keys records by their type: this would be our own mistake, and must not read as absence.
                failure(&crate::trouble::Trouble::malformed("records of another type"))
            })?),
            Lookup::NoData => Lookup::NoData,
            Lookup::NxDomain => Lookup::NxDomain,
        };
        let ttl = self.entry.expires.saturating_duration_since(tokio::time::Instant::now());
        let (why, canonical) = (answer.why.clone(), answer.canonical.clone());
        Ok(DnsAnswer { lookup, proof: answer.proof, why, canonical, ttl })
    }
}

pub(crate) fn checked(mut settings: Settings) -> Result<Settings, Error> {
    if settings.servers.is_empty() {
        let system = system::resolvers();
        settings.servers = system.servers;
        // The system's options stand where ours were left alone.
        let usual = Settings::default();
        if settings.timeout == usual.timeout {
            settings.timeout = system.timeout.unwrap_or(usual.timeout);
        }
        if settings.attempts == usual.attempts {
            settings.attempts = system.attempts.unwrap_or(usual.attempts);
        }
    }
    if settings.timeout.is_zero() || settings.deadline.is_zero() {
        return Err(Error::Setting("dns.timeout and dns.deadline must be longer than nothing"));
    }
    if settings.attempts == 0 {
        return Err(Error::Setting("dns.attempts must be at least 1"));
    }
    Ok(settings)
}

fn notice(server: SocketAddr, belief: &Belief) -> Option<String> {
    if !belief.includes(server) {
        return Some(format!(
            "dns: the AD bit of {server} is not believed, so all its answers are insecure and dane finds no TLSA records; \
             name it in dns.trusted if it validates and the way to it is safe, or use dnssec = \"validate\""
        ));
    }
    server.ip().is_loopback().then(|| {
        format!(
            "dns: the AD bit of {server} is believed because it is on this host; make sure that it validates: \
             a forwarder on loopback passes on what others claim"
        )
    })
}

type Addresses = Result<DnsAnswer<Vec<IpAddr>>, DnsFailure>;

/// IPv6 first, as RFC 6724 would have it where both are reachable; the plan may choose otherwise.
fn merge(v6: Addresses, v4: Addresses) -> Addresses {
    match (v6, v4) {
        (Ok(v6), Ok(v4)) => Ok(both(v6, v4)),
        (Ok(found), Err(failure)) | (Err(failure), Ok(found)) => match found.lookup {
            Lookup::Found(_) => {
                tracing::debug!(%failure, "one address family failed, the other has addresses");
                Ok(found)
            }
            Lookup::NoData | Lookup::NxDomain => Err(failure),
        },
        (Err(v6), Err(v4)) => Err(if v4.failure == DnsFailureKind::Timeout { v6 } else { v4 }),
    }
}

fn both(v6: DnsAnswer<Vec<IpAddr>>, v4: DnsAnswer<Vec<IpAddr>>) -> DnsAnswer<Vec<IpAddr>> {
    let (lookup, proof) = match (v6.lookup, v4.lookup) {
        (Lookup::Found(mut addresses), Lookup::Found(more)) => {
            addresses.extend(more);
            (Lookup::Found(addresses), v6.proof.max(v4.proof))
        }
        // What one family has stands for itself.
        (Lookup::Found(found), Lookup::NoData | Lookup::NxDomain) => {
            return DnsAnswer { lookup: Lookup::Found(found), ..v6 };
        }
        (Lookup::NoData | Lookup::NxDomain, Lookup::Found(found)) => {
            return DnsAnswer { lookup: Lookup::Found(found), ..v4 };
        }
        // NXDOMAIN for one type is NXDOMAIN for all (RFC 8020 §2); servers that differ have the name.
        (Lookup::NxDomain, Lookup::NxDomain) => (Lookup::NxDomain, v6.proof.and(v4.proof)),
        (Lookup::NoData | Lookup::NxDomain, Lookup::NoData | Lookup::NxDomain) => {
            (Lookup::NoData, v6.proof.and(v4.proof))
        }
    };
    let why = if proof == Proof::Secure { None } else { v6.why.or(v4.why) };
    DnsAnswer { lookup, proof, why, canonical: v6.canonical.or(v4.canonical), ttl: v6.ttl.min(v4.ttl) }
}
