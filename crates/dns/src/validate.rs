//! The back end that checks signatures itself, over hickory's validator.
//!
//! The validator judges one reply: each RRset gets a proof. What the reply *means* is decided here, step by step:
//! only what is owned by the asked name counts, each alias is one step, and its target is asked for on its own. That
//! costs a round trip for each alias and avoids what hickory 0.26.3 gets wrong: it checks the denial behind an alias
//! against the alias's name, and so calls every `CNAME` to a name without such records bogus; and where records of
//! an alias and its target come from different places it tells only the target's proof.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures_util::StreamExt;
use hickory_proto::{
    dnssec::{Proof as Judged, rdata::DNSKEY},
    op::{DnsRequestOptions, DnsResponse, Message, Query, ResponseCode},
    rr::{Name, Record, RecordType},
};
use hickory_resolver::net::{DnsError, NetError, dnssec::DnssecDnsHandle, xfer::DnsHandle};
use tokio::{sync::Mutex, time::Instant};
use waxseal_types::{DnsFailureKind, Proof};

use crate::{
    BlindCause, DnssecHealth,
    anchors::{self, Anchor, Flaw},
    answer::{self, End, Reply, absence, alias_at, records_at},
    dname,
    exchange::Exchange,
    trouble::Trouble,
    upstream::Upstream,
    why::why,
    wildcard,
};

/// How long the failure to fetch a trust anchor's keys is repeated without asking again.
const ANCHOR_RETRY: Duration = Duration::from_secs(5);
/// Ancestors that are looked at for an unsigned zone: no host's name is that deep.
const MAX_CUTS: usize = 16;
/// RRsets whose verdict is kept (the library's own default is a million, a gigabyte).
const MAX_VERDICTS: usize = 20_000;
/// NSEC3 iterations beyond which a denial proves nothing (RFC 9276 §3.2; the number is unbound's and BIND's), and
/// beyond which it is refused outright: nobody has that many in good faith.
pub(crate) const NSEC3_ITERATIONS: (u16, u16) = (150, 500);

pub(crate) struct Validator {
    upstream: Upstream,
    anchors: Vec<Anchor>,
    primed: Mutex<Option<Arc<Primed>>>,
}

/// The anchored zones' keys of today.
struct Primed {
    handle: DnssecDnsHandle<Upstream>,
    keys: Vec<(Name, Vec<DNSKEY>)>,
    /// Anchored zones whose keys could not be had.
    failed: Vec<(Name, Trouble)>,
    until: Instant,
}

impl Validator {
    /// `octets` bounds what is kept of the chain of trust.
    pub(crate) fn new(exchange: Arc<Exchange>, anchors: Vec<Anchor>, octets: usize) -> Self {
        Self { upstream: Upstream::new(exchange, octets), anchors, primed: Mutex::new(None) }
    }

    /// About the octets that are kept of the chain of trust.
    pub(crate) fn octets(&self) -> u64 {
        self.upstream.octets()
    }

    /// One step: the records at `name`, or the alias there, or the proof that there is neither.
    pub(crate) async fn ask(&self, name: &Name, kind: RecordType) -> Result<Reply, Trouble> {
        // RFC 4035 §4.3: indeterminate, where no anchor covers the name; as good as insecure.
        let Some(zone) = self.covering(name) else {
            let message = self.upstream.fetch(name, kind).await?;
            return answer::follow(&message, name, kind, Proof::Insecure);
        };
        let primed = self.primed().await;
        if let Some((_, trouble)) = primed.failed.iter().find(|(failed, _)| failed == zone) {
            return Err(trouble.clone());
        }
        match step(&primed.handle, name, kind).await {
            Err(trouble) if trouble.failure.is_bogus() => {
                if !lies_in_unsigned_zone(&primed.handle, zone, name).await {
                    self.upstream.forget(name).await;
                    return Err(trouble);
                }
                read_unsigned(&self.upstream.fetch(name, kind).await?, name, kind)
            }
            outcome => outcome,
        }
    }

    /// Whether the keys of the first anchored zone can be had, and its own records proven with them.
    pub(crate) async fn probe(&self) -> DnssecHealth {
        let Some(anchor) = self.anchors.first() else { return DnssecHealth::Capable };
        self.upstream.forget(&anchor.zone).await;
        let message = match self.upstream.fetch(&anchor.zone, RecordType::DNSKEY).await {
            Ok(message) => message,
            Err(trouble) => return unanswered(trouble),
        };
        if let Err(flaw) = anchor.keys_in(&message, now()) {
            let cause = match flaw {
                Flaw::NoKeys | Flaw::Unsigned => BlindCause::Stripping,
                Flaw::Expired(_) | Flaw::NotYet(_) => BlindCause::Clock,
                Flaw::NotAnchored => BlindCause::Anchor,
                Flaw::Wrong => BlindCause::Forged,
            };
            return DnssecHealth::Blind { cause, reason: flaw.words(&anchor.zone) };
        }
        match self.ask(&anchor.zone, RecordType::SOA).await {
            Ok(reply) if reply.proof == Proof::Secure => DnssecHealth::Capable,
            Ok(_) => DnssecHealth::Blind {
                cause: BlindCause::Stripping,
                reason: format!("the SOA record of {} comes out unsigned", anchor.zone),
            },
            Err(trouble) => unanswered(trouble),
        }
    }

    /// The nearest anchored zone at or above `name`.
    fn covering(&self, name: &Name) -> Option<&Name> {
        let zones = self.anchors.iter().map(|anchor| &anchor.zone);
        zones.filter(|zone| zone.zone_of(name)).max_by_key(|zone| zone.num_labels())
    }

    async fn primed(&self) -> Arc<Primed> {
        let mut slot = self.primed.lock().await;
        if let Some(primed) = slot.as_ref().filter(|primed| primed.until > Instant::now()) {
            return Arc::clone(primed);
        }
        let fresh = Arc::new(self.prime(slot.as_deref()).await);
        *slot = Some(Arc::clone(&fresh));
        fresh
    }

    /// Fetches the anchored zones' keys. While they stay the same, so do the verdicts kept under them.
    async fn prime(&self, last: Option<&Primed>) -> Primed {
        let (mut keys, mut failed) = (Vec::new(), Vec::new());
        let mut life = Duration::from_secs(3600);
        for anchor in &self.anchors {
            self.upstream.forget(&anchor.zone).await;
            let found = match self.upstream.fetch(&anchor.zone, RecordType::DNSKEY).await {
                Ok(message) => anchor.keys_in(&message, now()).map_err(|flaw| {
                    let detail = format!("trust anchor of {}: {}", anchor.zone, flaw.words(&anchor.zone));
                    Trouble::unanchored(&anchor.zone, detail)
                }),
                // Nothing is wrong with the anchor: nobody answers, or not with an answer.
                Err(mut trouble) => {
                    trouble.detail =
                        format!("the keys of {} cannot be fetched: {}", anchor.zone, trouble.detail);
                    Err(trouble)
                }
            };
            match found {
                Ok((found, ttl)) => {
                    life = life.min(ttl);
                    keys.push((anchor.zone.clone(), found));
                }
                Err(trouble) => {
                    life = life.min(ANCHOR_RETRY);
                    tracing::warn!(detail = trouble.detail, "nothing below {} can be validated", anchor.zone);
                    failed.push((anchor.zone.clone(), trouble));
                }
            }
        }
        let handle = match last.filter(|last| last.keys == keys) {
            Some(last) => last.handle.clone(),
            None => {
                let store = Arc::new(anchors::store(keys.clone()));
                DnssecDnsHandle::with_trust_anchor(self.upstream.clone(), store)
                    .validation_cache_size(MAX_VERDICTS)
                    .nsec3_iteration_limits(Some(NSEC3_ITERATIONS.0), Some(NSEC3_ITERATIONS.1))
            }
        };
        Primed { handle, keys, failed, until: Instant::now() + life }
    }
}

async fn step(handle: &DnssecDnsHandle<Upstream>, name: &Name, kind: RecordType) -> Result<Reply, Trouble> {
    match judged(handle, name, kind).await? {
        Verdict::Proven(message) => read(&message, name, kind, Proof::Secure),
        Verdict::Unprovable(message) => read(&message, name, kind, Proof::Insecure),
        Verdict::Bogus(message) if wildcard::is_proven(&message, name, kind) => {
            read(&message, name, kind, Proof::Secure)
        }
        Verdict::Bogus(message) if dname::denies_beside(&message, name, kind) => {
            read(&message, name, kind, Proof::Secure)
        }
        Verdict::Bogus(message) if kind != RecordType::CNAME && has_alias(&message, name) => {
            // Perhaps only the denial behind an alias. The alias is asked for by itself, must be proven by itself,
            // and its target is the next step. An insecure alias is proven too: by the denial of a DS record above
            // it; everything behind it is insecure then (RFC 7672 §2.1.3).
            match judged(handle, name, RecordType::CNAME).await? {
                Verdict::Proven(alias) => redirected(&alias, name, Proof::Secure),
                Verdict::Unprovable(alias) => redirected(&alias, name, Proof::Insecure),
                Verdict::Bogus(alias) if wildcard::is_proven(&alias, name, RecordType::CNAME) => {
                    redirected(&alias, name, Proof::Secure)
                }
                Verdict::Bogus(alias) => Err(Trouble::bogus(why(&alias, name, RecordType::CNAME, now()))),
            }
        }
        Verdict::Bogus(message) => Err(Trouble::bogus(why(&message, name, kind, now()))),
    }
}

/// Whether a zone between the anchored one and `name` is proven to be unsigned.
///
/// The library takes DS records in an unsigned zone for a broken chain of trust and calls the signed zone below
/// bogus; it is an island that nobody can reach from the anchor, insecure (RFC 4035 §4.3). The proof is the
/// library's own for the NS records of an ancestor.
async fn lies_in_unsigned_zone(handle: &DnssecDnsHandle<Upstream>, anchored: &Name, name: &Name) -> bool {
    let depths = usize::from(anchored.num_labels()) + 1..=usize::from(name.num_labels());
    for ancestor in depths.take(MAX_CUTS).map(|depth| name.trim_to(depth)) {
        let Ok(Verdict::Proven(message)) = judged(handle, &ancestor, RecordType::NS).await else { continue };
        let mut servers = records_at(&message.answers, &ancestor, RecordType::NS).peekable();
        if servers.peek().is_some() && servers.all(|record| record.proof == Judged::Insecure) {
            return true;
        }
    }
    false
}

/// What the library says of one reply as a whole.
enum Verdict {
    /// Nothing wrong with it; each RRset has its own proof.
    Proven(DnsResponse),
    /// Its denial cannot be proven because the zone does not try to: opt-out, or too many NSEC3 iterations.
    Unprovable(DnsResponse),
    /// Its denial is wrong or missing.
    Bogus(DnsResponse),
}

async fn judged(
    handle: &DnssecDnsHandle<Upstream>,
    name: &Name,
    kind: RecordType,
) -> Result<Verdict, Trouble> {
    let work = async {
        let query = Query::query(name.clone(), kind);
        handle.lookup(query, DnsRequestOptions::default()).next().await
    };
    let (outcome, mut troubles) = Upstream::watched(work).await;
    let verdict = match outcome {
        Some(Ok(message)) => Verdict::Proven(message),
        Some(Err(NetError::Dns(DnsError::Nsec { response, proof, .. }))) => match proof {
            Judged::Insecure => Verdict::Unprovable(*response),
            Judged::Secure | Judged::Bogus | Judged::Indeterminate => Verdict::Bogus(*response),
        },
        Some(Err(other)) => {
            let told = troubles.pop();
            return Err(told.unwrap_or_else(|| Trouble::bogus(format!("not validated: {other}"))));
        }
        None => return Err(Trouble::timeout("the validator gave no answer")),
    };
    // A question of the chain of trust that got no answer makes everything below it bogus for the library. It is
    // that failure which the operator wants to read.
    let unanswered = !matches!(verdict, Verdict::Proven(ref message) if !has_bogus(message));
    match troubles.pop() {
        Some(trouble) if unanswered => Err(Trouble {
            failure: trouble.failure,
            detail: format!("the chain of trust is not complete: {}", trouble.detail),
        }),
        Some(_) | None => Ok(verdict),
    }
}

fn has_bogus(message: &Message) -> bool {
    message.answers.iter().chain(&message.authorities).any(|record| {
        record.record_type() != RecordType::RRSIG
            && matches!(record.proof, Judged::Bogus | Judged::Indeterminate)
    })
}

fn has_alias(message: &Message, name: &Name) -> bool {
    message.answers.iter().any(|record| match record.record_type() {
        RecordType::CNAME => &record.name == name,
        RecordType::DNAME => record.name.zone_of(name),
        _ => false,
    })
}

/// Reads one step from a judged reply.
fn read(message: &Message, name: &Name, kind: RecordType, cap: Proof) -> Result<Reply, Trouble> {
    let found: Vec<&Record> = records_at(&message.answers, name, kind).collect();
    if let Some(ttl) = found.iter().map(|record| record.ttl).min() {
        let proof = weakest(found.iter().copied())
            .filter(|_| !wildcard::is_unproven(message, name, kind))
            .ok_or_else(|| Trouble::bogus(why(message, name, kind, now())))?;
        let cap = if wildcard::is_opted_out(message, name, kind) { Proof::Insecure } else { cap };
        let end = End::Found(found.into_iter().map(|record| record.data.clone()).collect());
        return Ok(Reply { aliases: Vec::new(), end, proof: proof.and(cap), ttl });
    }
    if kind != RecordType::CNAME && has_alias(message, name) {
        return redirected(message, name, cap);
    }
    let (end, ttl) = absence(message, false)?;
    let proof = denial(message, name).ok_or_else(|| Trouble::bogus(why(message, name, kind, now())))?;
    Ok(Reply { aliases: Vec::new(), end, proof: proof.and(cap), ttl })
}

/// Reads one step of a reply about a name whose zone is proven to be unsigned.
fn read_unsigned(message: &Message, name: &Name, kind: RecordType) -> Result<Reply, Trouble> {
    let mut reply = answer::follow(message, name, kind, Proof::Insecure)?;
    if let Some(first) = reply.aliases.first().cloned() {
        // What is behind the alias may be signed, and wrongly: it is judged on its own.
        reply.aliases = vec![first];
        reply.end = End::Elsewhere;
    }
    Ok(reply)
}

/// One step along the alias at `name`.
fn redirected(message: &Message, name: &Name, cap: Proof) -> Result<Reply, Trouble> {
    let Some((target, record)) = alias_at(&message.answers, name)? else {
        return Err(Trouble::bogus(format!("the alias at {name} is not confirmed")));
    };
    let signed =
        weakest(std::iter::once(record)).filter(|_| !wildcard::is_unproven(message, name, RecordType::CNAME));
    let proof = match signed {
        Some(proof) => proof,
        // RFC 6672 §5.3.1: the CNAME made from a DNAME is not signed; the DNAME is, and must give this target.
        None => dname::redirects(message, name, target)
            .ok_or_else(|| Trouble::bogus(why(message, name, RecordType::CNAME, now())))?,
    };
    let cap = if wildcard::is_opted_out(message, name, RecordType::CNAME) { Proof::Insecure } else { cap };
    Ok(Reply { aliases: vec![target.clone()], end: End::Elsewhere, proof: proof.and(cap), ttl: record.ttl })
}

/// The AND of records' proofs; `None` when one is bogus.
pub(crate) fn weakest<'a>(records: impl Iterator<Item = &'a Record>) -> Option<Proof> {
    let mut proof = Proof::Secure;
    for record in records {
        match record.proof {
            Judged::Secure => {}
            Judged::Insecure => proof = Proof::Insecure,
            // Design §5.4: indeterminate below an anchor is bogus.
            Judged::Bogus | Judged::Indeterminate => return None,
        }
    }
    Some(proof)
}

/// What the authority section proves of an absence at `name`.
///
/// The library lets an absence pass when all of the section is insecure, whoever's records those are; a forger would
/// put an unsigned zone's SOA there. So insecurity counts only from a zone that `name` lies in.
fn denial(message: &Message, name: &Name) -> Option<Proof> {
    let relevant: Vec<&Record> = message
        .authorities
        .iter()
        .filter(|record| record.record_type() == RecordType::SOA || wildcard::is_denial(record))
        .collect();
    let proof = weakest(relevant.iter().copied())?;
    // RFC 5155 §9.2: where the denial may step over an unsigned delegation, it is not authentic. One NSEC3 record alone
    // matches the name (RFC 5155 §8.5), and steps over nothing.
    let hashed = relevant.iter().filter(|record| record.record_type() == RecordType::NSEC3).count();
    let is_exact = hashed <= 1 && message.metadata.response_code == ResponseCode::NoError;
    match proof {
        Proof::Secure if wildcard::has_opt_out(message) && !is_exact => Some(Proof::Insecure),
        Proof::Secure if relevant.iter().any(|record| wildcard::is_denial(record)) => Some(Proof::Secure),
        // Without any denial the library has found an unsigned zone at or above the name by itself.
        Proof::Secure if relevant.is_empty() => Some(Proof::Insecure),
        Proof::Secure => None,
        Proof::Insecure => relevant
            .iter()
            .filter(|record| record.proof == Judged::Insecure)
            .all(|record| record.name.zone_of(name))
            .then_some(Proof::Insecure),
    }
}

/// What a failure to ask says of the resolver.
fn unanswered(trouble: Trouble) -> DnssecHealth {
    let reason = trouble.detail;
    let cause = match trouble.failure {
        DnsFailureKind::Timeout => return DnssecHealth::Unreachable { reason },
        DnsFailureKind::Bogus | DnsFailureKind::Anchor => BlindCause::Forged,
        DnsFailureKind::ServerFailure
        | DnsFailureKind::Malformed
        | DnsFailureKind::AliasLoop
        | DnsFailureKind::Unavailable => BlindCause::Refusing,
    };
    DnssecHealth::Blind { cause, reason }
}

/// RFC 4034 §3.1.5: seconds since 1970, modulo 2^32.
fn now() -> u32 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as u32)
}

impl fmt::Debug for Validator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Validator").field("anchors", &self.anchors).finish_non_exhaustive()
    }
}
