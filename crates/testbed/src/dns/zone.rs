use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr},
};

use hickory_proto::{
    dnssec::Algorithm,
    rr::{
        Name, RData, RecordType,
        rdata::{A, AAAA, CNAME, MX, NULL, TLSA, TXT},
    },
};

/// What the test wants the name space to hold. Names are absolute, with or without the last dot.
///
/// Zones are cut where [`Zone::secure`], [`Zone::insecure`] and [`Zone::broken`] say. A name below none of them lies in
/// an unsigned zone of its own; the root is signed as soon as any zone is.
///
/// A name or a value that is none is remembered, and the server refuses to start with it.
#[derive(Debug, Clone)]
pub struct Zone {
    pub(super) records: Vec<Entry>,
    pub(super) cuts: Vec<(Name, Cut)>,
    pub(super) tampered: Vec<(Name, RecordType)>,
    pub(super) faults: Vec<(Name, Option<RecordType>, Fault)>,
    pub(super) hashing: Vec<(Name, Hashing)>,
    pub(super) algorithms: BTreeMap<Name, Algorithm>,
    pub(super) lives: BTreeMap<Name, u32>,
    pub(super) negative_ttl: u32,
    ttl: u32,
    pub(super) problem: Option<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) owner: Name,
    pub(super) ttl: u32,
    pub(super) data: RData,
}

/// How a zone that denies with NSEC3 does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hashing {
    pub(super) iterations: u16,
    pub(super) opt_out: bool,
}

/// The state of a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    Secure,
    Insecure,
    Broken(Break),
}

/// What is wrong with a signed zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// Its signatures have expired.
    Expired,
    /// Its signatures begin in three days.
    NotYetValid,
    /// Its signatures begin in ten minutes: to a validator that forgives clocks they are good.
    SoonValid,
    /// The DS record above it is of another key.
    WrongDs,
    /// There is a DS record above it, but it is not signed.
    Unsigned,
    /// Its keys and DS record are of an algorithm nobody has: to be taken as unsigned (RFC 4035 §5.2).
    UnknownAlgorithm,
}

/// How a question fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// SERVFAIL.
    ServFail,
    /// REFUSED.
    Refused,
    /// NOTIMP.
    NotImp,
    /// FORMERR.
    FormErr,
    /// No reply at all.
    Silent,
    /// NXDOMAIN, whatever there is.
    NxDomain,
    /// NOERROR without the records, whatever there is.
    NoData,
    /// NOERROR with four empty sections.
    Empty,
    /// Truncated over UDP; TCP has the answer.
    Truncated,
    /// Truncated over UDP; TCP is closed without a word.
    TruncatedTcpDead,
    /// Octets that are no DNS message, behind the right id.
    Garbage,
    /// A forged reply with another id, then another question, then the true one.
    ForgedFirst,
    /// A reply to another question, and nothing else.
    WrongQuestion,
}

impl Default for Zone {
    fn default() -> Self {
        Self::new()
    }
}

impl Zone {
    /// Nothing but the root.
    #[must_use]
    pub fn new() -> Self {
        Self {
            records: Vec::new(),
            cuts: Vec::new(),
            tampered: Vec::new(),
            faults: Vec::new(),
            hashing: Vec::new(),
            algorithms: BTreeMap::new(),
            lives: BTreeMap::new(),
            negative_ttl: 60,
            ttl: 300,
            problem: None,
        }
    }

    /// The TTL of the records that follow; 300 seconds at first.
    #[must_use]
    pub fn ttl(mut self, seconds: u32) -> Self {
        self.ttl = seconds;
        self
    }

    /// The TTL and the minimum of every SOA record; 60 seconds at first.
    #[must_use]
    pub fn negative_ttl(mut self, seconds: u32) -> Self {
        self.negative_ttl = seconds;
        self
    }

    /// An address.
    #[must_use]
    pub fn a(self, owner: &str, address: impl Into<Ipv4Addr>) -> Self {
        self.record(owner, RData::A(A(address.into())))
    }

    /// An IPv6 address.
    #[must_use]
    pub fn aaaa(self, owner: &str, address: impl Into<Ipv6Addr>) -> Self {
        self.record(owner, RData::AAAA(AAAA(address.into())))
    }

    /// A mail exchanger; `"."` with preference 0 is a null MX (RFC 7505).
    #[must_use]
    pub fn mx(mut self, owner: &str, preference: u16, host: &str) -> Self {
        let host = self.name(host);
        self.record(owner, RData::MX(MX::new(preference, host)))
    }

    /// An alias.
    #[must_use]
    pub fn cname(mut self, owner: &str, target: &str) -> Self {
        let target = self.name(target);
        self.record(owner, RData::CNAME(CNAME(target)))
    }

    /// An alias of everything below `owner` (RFC 6672).
    #[must_use]
    pub fn dname(mut self, owner: &str, target: &str) -> Self {
        let target = self.name(target).to_lowercase();
        let mut octets = Vec::new();
        for label in target.iter() {
            octets.push(u8::try_from(label.len()).unwrap_or(0));
            octets.extend_from_slice(label);
        }
        octets.push(0);
        self.record(owner, RData::Unknown { code: RecordType::DNAME, rdata: NULL::with(octets) })
    }

    /// A TLSA record of `_port._tcp.base`, as `(usage, selector, matching type)` and its data.
    #[must_use]
    pub fn tlsa(self, base: &str, port: u16, numbers: (u8, u8, u8), data: &[u8]) -> Self {
        let (usage, selector, matching) = numbers;
        let tlsa = TLSA::new(usage.into(), selector.into(), matching.into(), data.to_vec());
        self.record(&format!("_{port}._tcp.{base}"), RData::TLSA(tlsa))
    }

    /// A text.
    #[must_use]
    pub fn txt(self, owner: &str, text: &str) -> Self {
        self.record(owner, RData::TXT(TXT::new(vec![text.to_owned()])))
    }

    /// Octets under any record type, well-formed or not.
    #[must_use]
    pub fn raw(self, owner: &str, kind: u16, octets: &[u8]) -> Self {
        let code = RecordType::from(kind);
        let data = match octets {
            [] => RData::Update0(code),
            octets => RData::Unknown { code, rdata: NULL::with(octets.to_vec()) },
        };
        self.record(owner, data)
    }

    /// From `name` down the zone is signed.
    #[must_use]
    pub fn secure(self, name: &str) -> Self {
        self.cut(name, Cut::Secure)
    }

    /// From `name` down the zone is not signed, and the zone above proves it.
    #[must_use]
    pub fn insecure(self, name: &str) -> Self {
        self.cut(name, Cut::Insecure)
    }

    /// From `name` down the zone is signed, but wrongly.
    #[must_use]
    pub fn broken(self, name: &str, how: Break) -> Self {
        self.cut(name, Cut::Broken(how))
    }

    /// The zone at `apex` denies with NSEC3 records, hashed this often more than once (RFC 5155); without, with NSEC.
    #[must_use]
    pub fn nsec3(mut self, apex: &str, iterations: u16) -> Self {
        let apex = self.name(apex).to_lowercase();
        self.hashing.push((apex, Hashing { iterations, opt_out: false }));
        self
    }

    /// As [`Zone::nsec3`], and unsigned delegations are left out (RFC 5155 §6).
    #[must_use]
    pub fn opt_out(mut self, apex: &str) -> Self {
        let apex = self.name(apex).to_lowercase();
        self.hashing.push((apex, Hashing { iterations: 0, opt_out: true }));
        self
    }

    /// The zone at `apex` is signed with this algorithm: 8, 10, 13 (as others are), 14 or 15.
    #[must_use]
    pub fn algorithm(mut self, apex: &str, number: u8) -> Self {
        let apex = self.name(apex).to_lowercase();
        self.algorithms.insert(apex, Algorithm::from_u8(number));
        self
    }

    /// The signatures of the zone at `apex` end so many days from now; 20 if not told otherwise.
    #[must_use]
    pub fn signed_for(mut self, apex: &str, days: u32) -> Self {
        let apex = self.name(apex).to_lowercase();
        self.lives.insert(apex, days);
        self
    }

    /// The signature over the `kind` records of `owner` is wrong; `kind` as in zone files.
    #[must_use]
    pub fn tampered(mut self, owner: &str, kind: &str) -> Self {
        let entry = (self.name(owner), self.kind(kind));
        self.tampered.push(entry);
        self
    }

    /// Questions for the `kind` records of `owner` fail.
    #[must_use]
    pub fn fault(mut self, owner: &str, kind: &str, fault: Fault) -> Self {
        let entry = (self.name(owner), Some(self.kind(kind)), fault);
        self.faults.push(entry);
        self
    }

    /// All questions for `owner` fail.
    #[must_use]
    pub fn fault_all(mut self, owner: &str, fault: Fault) -> Self {
        let owner = self.name(owner);
        self.faults.push((owner, None, fault));
        self
    }

    /// Takes out all records of `owner`, and its faults.
    #[must_use]
    pub fn without(mut self, owner: &str) -> Self {
        let owner = self.name(owner);
        self.records.retain(|entry| entry.owner != owner);
        self.faults.retain(|(name, ..)| *name != owner);
        self
    }

    fn record(mut self, owner: &str, data: RData) -> Self {
        let entry = Entry { owner: self.name(owner), ttl: self.ttl, data };
        self.records.push(entry);
        self
    }

    fn cut(mut self, name: &str, cut: Cut) -> Self {
        let name = self.name(name);
        self.cuts.retain(|(other, _)| *other != name);
        self.cuts.push((name, cut));
        self
    }

    fn name(&mut self, text: &str) -> Name {
        let absolute = format!("{}.", text.trim_end_matches('.'));
        match Name::from_ascii(if text == "." { "." } else { &absolute }) {
            Ok(name) => name,
            Err(problem) => {
                self.problem.get_or_insert_with(|| format!("{text:?} is no name: {problem}"));
                Name::root()
            }
        }
    }

    fn kind(&mut self, text: &str) -> RecordType {
        text.parse().unwrap_or_else(|_| {
            self.problem.get_or_insert_with(|| format!("{text:?} is no record type"));
            RecordType::NULL
        })
    }
}
