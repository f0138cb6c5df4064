//! Which TLSA records speak for the host in work (RFC 7672 §2.2), and what `dane` makes of them.

use std::{sync::Arc, time::Duration};

use waxseal_policy::{
    TlsPolicy,
    dane::{self, Bases, Tlsas},
};
use waxseal_types::{
    DnsAnswer, DnsFailure, Domain, Lookup, Proof, Protocol, TlsDemand, TlsLevel, Tlsa, UnixTime,
};

use super::{Plan, State, security::Decision};
use crate::{
    Ask,
    account::{Fact, Standing, TlsaFact},
    disposition,
};

/// A judgement is used at once; this is the least that a clearance lives, so that records with a TTL of a second can be used at all.
const SHORTEST_LIFE: Duration = Duration::from_secs(60);

impl Plan {
    /// What DNSSEC says of the way to the hosts; what the operator configured is secure from the start (RFC 7672 §2.2.1).
    fn mx_proof(&self) -> Proof {
        self.site.mx_proof.unwrap_or(Proof::Secure)
    }

    pub(super) fn begin_dane(&mut self, policy: &Arc<TlsPolicy>) {
        if self.order.destination.service.protocol() == Protocol::Lmtp
            && self.site.host.as_ref().is_some_and(|host| host.name.is_none())
        {
            // A socket has neither addresses nor TLSA records; neither has a literal.
            return self.conclude_dane(Tlsas::None, self.account.started);
        }
        match dane::destination(policy, self.mx_proof()) {
            Err(error) => self.site_broken(disposition::dane_failed(&error, None)),
            Ok(dane::Destination::May(reason)) => {
                let (demand, level) = (TlsDemand::Opportunistic, TlsLevel::May);
                self.secured(policy, Decision { demand, level, lowered: Some(reason.into()), dane: None });
            }
            Ok(dane::Destination::Dane) => self.find_bases(None),
        }
    }

    /// RFC 7672 §2.2.2: addresses first; they say whether and where to look for TLSA records.
    fn find_bases(&mut self, alias: Option<&DnsAnswer<Domain>>) {
        let host = self.site.host.as_ref();
        let found =
            host.and_then(|host| Some(dane::bases(host.name.as_ref()?, host.addresses.as_ref()?, alias)));
        match found {
            // RFC 7672 §2.2: DANE does not apply to address literals.
            None | Some(Bases::None) => self.conclude_dane(Tlsas::None, self.account.started),
            Some(Bases::AskAlias) => {
                if let Some(name) = host.and_then(|host| host.name.clone()) {
                    self.ask(State::Cname, Ask::Cname(name));
                }
            }
            Some(Bases::Ask(bases)) => {
                self.guard.bases = bases.into();
                self.next_base(self.account.started);
            }
        }
    }

    fn dane_port(&self) -> u16 {
        self.port().unwrap_or(self.reach.port)
    }

    fn next_base(&mut self, now: UnixTime) {
        match self.guard.bases.front().cloned() {
            // RFC 7672 §2.2.3: below the real port.
            Some(base) => self.ask(State::Tlsa, Ask::Tlsa { base, port: self.dane_port() }),
            None => self.conclude_dane(Tlsas::None, now),
        }
    }

    pub(super) fn got_cname(&mut self, result: Result<DnsAnswer<Domain>, DnsFailure>, now: UnixTime) {
        match result {
            Ok(alias) => {
                self.note_alias(&alias, now);
                self.find_bases(Some(&alias));
            }
            Err(error) => self.tlsa_failed(error, now),
        }
    }

    fn note_alias(&mut self, alias: &DnsAnswer<Domain>, now: UnixTime) {
        let Some(name) = self.site.host.as_ref().and_then(|host| host.name.clone()) else { return };
        let standing = Standing::of(alias);
        let fact = match &alias.lookup {
            Lookup::Found(target) => Fact::Alias { name, target: target.clone(), standing },
            Lookup::NoData | Lookup::NxDomain => Fact::Absent { what: format!("CNAME {name}"), standing },
        };
        self.note(fact, now);
    }

    /// RFC 7672 §2.1.2: an error is never "there is none".
    fn tlsa_failed(&mut self, error: DnsFailure, now: UnixTime) {
        let host = self.site.host.as_ref().and_then(|host| host.name.clone());
        let port = self.dane_port();
        let detail = error.to_string();
        self.note(Fact::DnsFailed(error), now);
        let failed =
            host.map_or_else(|| Tlsas::Failed(String::new()), |host| dane::lookup_error(&host, port));
        let failed = match failed {
            Tlsas::Failed(text) => Tlsas::Failed(format!("{text} ({detail})")),
            other @ (Tlsas::None | Tlsas::Found { .. }) => other,
        };
        self.conclude_dane(failed, now);
    }

    pub(super) fn got_tlsa(&mut self, result: Result<DnsAnswer<Vec<Tlsa>>, DnsFailure>, now: UnixTime) {
        let Some(base) = self.guard.bases.pop_front() else { return };
        let answer = match result {
            Ok(answer) => answer,
            Err(error) => return self.tlsa_failed(error, now),
        };
        let (standing, port) = (Standing::of(&answer), self.dane_port());
        let fact = match &answer.lookup {
            Lookup::Found(records) => {
                Fact::Tlsa { base: base.clone(), port, records: self.told(records), standing }
            }
            Lookup::NoData | Lookup::NxDomain => {
                Fact::Absent { what: format!("TLSA _{port}._tcp.{base}"), standing }
            }
        };
        self.note(fact, now);
        // RFC 6698 §4.1: no longer than what it rests on, which is the MX records, the addresses and the TLSA records.
        let addresses = self.site.host.as_ref().and_then(|host| host.addresses.as_ref());
        let lives = [self.site.mx_ttl, addresses.map(|addresses| addresses.ttl)];
        let ttl = lives.into_iter().flatten().fold(answer.ttl, Duration::min).max(SHORTEST_LIFE);
        match Tlsas::of(&base, answer) {
            Some(found) => self.conclude_dane(found, now + ttl),
            None => self.next_base(now),
        }
    }

    /// Each record, and why it cannot be used where it cannot.
    fn told(&self, records: &[Tlsa]) -> Vec<TlsaFact> {
        let digests =
            self.guard.policy.as_ref().map(|policy| policy.dane_digests.clone()).unwrap_or_default();
        let told = |record: &Tlsa| TlsaFact {
            text: record.to_string(),
            unusable: waxseal_verify::usability(record, &digests).err().map(|why| why.to_string()),
        };
        records.iter().map(told).collect()
    }

    /// All is known that DNS says of this host; `until` is how long it says so.
    fn conclude_dane(&mut self, tlsas: Tlsas, until: UnixTime) {
        let Some(policy) = self.guard.policy.clone() else { return };
        let broken = match self.account.steps.last().map(|step| &step.fact) {
            Some(Fact::DnsFailed(failure)) if matches!(tlsas, Tlsas::Failed(_)) => Some(failure.failure),
            Some(_) | None => None,
        };
        // RFC 7672 §3.2.2: the next hop's own names count where MX records led here.
        let domain = self.site.nexthop.as_ref().and_then(|nexthop| nexthop.domain().cloned());
        let mx_names: Vec<Domain> = match self.site.mx_proof {
            Some(_) => self.site.expanded.clone().into_iter().chain(domain).collect(),
            None => Vec::new(),
        };
        match dane::conclude(&policy, self.mx_proof(), &mx_names, tlsas, dane::may_be_usable) {
            Ok(conclusion) => {
                let level = match &conclusion.demand {
                    TlsDemand::Clear => TlsLevel::None,
                    TlsDemand::Opportunistic => TlsLevel::May,
                    TlsDemand::Encrypted => TlsLevel::Encrypt,
                    TlsDemand::Fingerprint(_) | TlsDemand::Names(_) | TlsDemand::Dane(_) => policy.level,
                };
                let dane = conclusion.base.as_ref().map(|base| (base, until));
                let lowered = conclusion.reason.map(Arc::from);
                self.secured(&policy, Decision { demand: conclusion.demand, level, lowered, dane });
            }
            Err(error) => self.host_broken(&disposition::dane_failed(&error, broken), until),
        }
    }
}
