//! The decisions of levels `dane` and `dane-only`, as pure functions over what DNS said (RFC 7672 §2; Postfix's `dane_init`).
//!
//! In the order of a delivery: [`destination`] after the MX lookup; [`bases`] after the host's addresses, which may send for the
//! alias record first; [`conclude`] with the outcome of the TLSA lookups. An error of a lookup is never "there is none": whoever
//! calls turns it into [`Tlsas::Failed`], or skips the host.
//!
//! | | level `dane` | level `dane-only` |
//! | --- | --- | --- |
//! | DANE cannot be had (no DNSSEC) | `may` | deferred |
//! | MX insecure | as `dane_insecure_mx_policy` says | deferred |
//! | no secure TLSA records | `may` | deferred |
//! | none of them usable | `encrypt` | deferred |
//! | TLSA lookup failed | deferred | deferred |

use alloc::{format, string::String, sync::Arc, vec, vec::Vec};

use waxseal_types::{
    DaneDemand, DnsAnswer, Domain, Lookup, Matching, Proof, TlsDemand, TlsLevel, Tlsa, Usage,
};

use crate::{InsecureMx, PolicyError, TlsPolicy};

/// What the destination as a whole allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Its hosts are looked up with their TLSA records.
    Dane,
    /// Level `may`, for all hosts; with the reason.
    May(String),
}

/// Decides from the security of the MX lookup. `mx` is [`Proof::Secure`] also for a next hop that was not looked up: what the
/// operator configured is secure from the start, and for one without MX records whose absence is proven.
///
/// # Errors
/// `dane-only`, and DANE cannot be had.
pub fn destination(policy: &TlsPolicy, mx: Proof) -> Result<Destination, PolicyError> {
    let reason = match (&policy.dane_blind, mx, policy.level, policy.insecure_mx) {
        (Some(blind), ..) => blind.clone(),
        (None, Proof::Secure, ..) => return Ok(Destination::Dane),
        (None, Proof::Insecure, TlsLevel::DaneOnly, _) => "non DNSSEC destination".into(),
        (None, Proof::Insecure, _, InsecureMx::May) => "non DNSSEC destination".into(),
        (None, Proof::Insecure, _, InsecureMx::Encrypt | InsecureMx::Dane) => return Ok(Destination::Dane),
    };
    if policy.level == TlsLevel::DaneOnly { Err(policy.error(reason)) } else { Ok(Destination::May(reason)) }
}

/// Where to look for a host's TLSA records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bases {
    /// Not at all: the host is not in a signed zone (RFC 7672 §2.2.2).
    None,
    /// The host is an alias whose target is insecure: whether the alias itself is signed takes a question for its CNAME record
    /// (RFC 7672 §2.1.3); then [`bases`] is asked again.
    AskAlias,
    /// Under these names in turn, until one has records. An error under one ends the search; it does not lead to the next.
    Ask(Vec<Domain>),
}

/// Decides from the host's address lookup; `alias` is the answer to [`Bases::AskAlias`] once there is one.
#[must_use]
pub fn bases<T>(host: &Domain, addresses: &DnsAnswer<T>, alias: Option<&DnsAnswer<Domain>>) -> Bases {
    match (addresses.proof, addresses.canonical.as_ref().filter(|name| *name != host)) {
        // RFC 7672 §2.2.3: the fully expanded name first, then the original one.
        (Proof::Secure, Some(canonical)) => Bases::Ask(vec![canonical.clone(), host.clone()]),
        (Proof::Secure, None) => Bases::Ask(vec![host.clone()]),
        (Proof::Insecure, None) => Bases::None,
        (Proof::Insecure, Some(_)) => match alias {
            None => Bases::AskAlias,
            Some(DnsAnswer { proof: Proof::Secure, lookup: Lookup::Found(_), .. }) => {
                Bases::Ask(vec![host.clone()])
            }
            Some(_) => Bases::None,
        },
    }
}

/// What the TLSA lookups came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tlsas {
    /// No secure records: none at all, only insecure ones, or nowhere to look for them.
    None,
    /// Secure records under this base domain; at least one.
    Found {
        /// The TLSA base domain, which is also the server name to send.
        base: Domain,
        /// All of them.
        records: Arc<[Tlsa]>,
    },
    /// A lookup failed, or its answer is bogus; with what failed, such as `TLSA lookup error for mx.example.com:25`.
    Failed(String),
}

impl Tlsas {
    /// The outcome of one lookup under `base`; `None` where the next base is to be tried.
    #[must_use]
    pub fn of(base: &Domain, answer: DnsAnswer<Vec<Tlsa>>) -> Option<Self> {
        match (answer.proof, answer.lookup) {
            (Proof::Secure, Lookup::Found(records)) if !records.is_empty() => {
                Some(Self::Found { base: base.clone(), records: records.into() })
            }
            // RFC 7672 §2.1.1: an insecure answer is as none.
            (_, Lookup::Found(_) | Lookup::NoData | Lookup::NxDomain) => None,
        }
    }
}

/// What one host must prove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conclusion {
    /// The demand.
    pub demand: TlsDemand,
    /// The TLSA base domain where DANE is in effect: the server name to send.
    pub base: Option<Domain>,
    /// Why it is not DANE, where it is not.
    pub reason: Option<&'static str>,
}

impl Conclusion {
    const fn without(demand: TlsDemand, reason: &'static str) -> Self {
        Self { demand, base: None, reason: Some(reason) }
    }
}

/// Decides for one host of a destination that [`destination`] said [`Destination::Dane`] of. `mx_names` are the next hop's domain and, where it is an
/// alias, what it stands for; empty where no MX lookup was made. `usable` says whether a record can be used at all; [`may_be_usable`] is
/// what can be said without reading certificates.
///
/// # Errors
/// The host must not be used: a lookup failed, or `dane-only` without usable records.
pub fn conclude(
    policy: &TlsPolicy,
    mx: Proof,
    mx_names: &[Domain],
    tlsas: Tlsas,
    usable: impl Fn(&Tlsa) -> bool,
) -> Result<Conclusion, PolicyError> {
    let only = policy.level == TlsLevel::DaneOnly;
    let (base, records) = match tlsas {
        Tlsas::Failed(reason) => return Err(policy.error(reason)),
        Tlsas::None if only => return Err(policy.error("no TLSA records found".into())),
        Tlsas::None => return Ok(Conclusion::without(TlsDemand::Opportunistic, "no TLSA records found")),
        Tlsas::Found { base, records } => (base, records),
    };
    if !records.iter().any(usable) {
        // RFC 7672 §2.2: mandatory, but unauthenticated.
        let reason = "TLSA records unusable";
        return if only {
            Err(policy.error(reason.into()))
        } else {
            Ok(Conclusion::without(TlsDemand::Encrypted, reason))
        };
    }
    match (mx, policy.insecure_mx) {
        (Proof::Insecure, _) if only => return Err(policy.error("non DNSSEC destination".into())),
        (Proof::Insecure, InsecureMx::May) => {
            return Ok(Conclusion::without(TlsDemand::Opportunistic, "non DNSSEC destination"));
        }
        (Proof::Insecure, InsecureMx::Encrypt) => {
            return Ok(Conclusion::without(TlsDemand::Encrypted, "the MX records are not signed"));
        }
        (Proof::Secure, _) | (Proof::Insecure, InsecureMx::Dane) => {}
    }
    // RFC 7672 §3.2.2: the base domain, and the next hop's names. Postfix has the expanded name first; the order means nothing.
    let mut names = vec![base.clone()];
    for name in mx_names {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    let digests = policy.dane_digests.clone();
    let demand = TlsDemand::Dane(DaneDemand { records, names: names.into(), digests, mx });
    Ok(Conclusion { demand, base: Some(base), reason: None })
}

/// Whether a record may turn out to be of use: DANE-TA or DANE-EE. RFC 7672 §3.1.3: PKIX-TA and PKIX-EE are not for SMTP. Matching type
/// 255 is for private use (RFC 7218 §2.3) and is never taken from DNS, as in Postfix, where it stands for fingerprints of the configuration.
///
/// Other unknown selectors and digests and malformed data show only when a record is read against a chain, which is for the verifier to say;
/// as in Postfix, a destination that has only such records is still connected to.
#[must_use]
pub const fn may_be_usable(record: &Tlsa) -> bool {
    match (record.usage, record.matching) {
        (_, Matching::Unassigned(255)) => false,
        (Usage::DaneTa | Usage::DaneEe, _) => true,
        (Usage::PkixTa | Usage::PkixEe | Usage::Unassigned(_), _) => false,
    }
}

/// Postfix's words for a TLSA lookup that failed.
#[must_use]
pub fn lookup_error(host: &Domain, port: u16) -> Tlsas {
    Tlsas::Failed(format!("TLSA lookup error for {host}:{port}"))
}
