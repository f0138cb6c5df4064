//! What a host must prove: policy and trust; what DANE adds is in `discovery`.

use std::{collections::VecDeque, sync::Arc};

use waxseal_policy::{PolicyError, TlsPolicy};
use waxseal_transport::{Generation, TlsUse};
use waxseal_trust::Anchors;
use waxseal_types::{
    AnchorFiles, ClientCertificate, Domain, Strength, TlsDemand, TlsLevel, TlsShape, UnixTime,
};

use super::{Plan, State};
use crate::{
    Ask, TrustAnswer,
    account::{Fact, Failure, PolicyFact},
    disposition::{self, Consequence},
};

/// What is known of the site's policy, and of the host in work.
#[derive(Debug, Default)]
pub(super) struct Guard {
    pub(super) policy: Option<Arc<TlsPolicy>>,
    pub(super) policy_number: usize,
    pub(super) generation: Generation,
    /// Whether connections over TLS may carry more than one message.
    pub(super) reuse: bool,
    pub(super) anchors: Option<Arc<Anchors>>,
    client: Arc<[ClientCertificate]>,
    /// Why the site cannot be used, where it cannot.
    broken: Option<Failure>,
    /// Why no TLS can be had although it is demanded: our own store or certificate is broken. Hosts are greeted all the same, as by Postfix
    /// ("our TLS engine is unavailable"), so that one which cannot be reached is told as that.
    pub(super) disarmed: Option<Failure>,
    /// Candidate base domains of the host in work, not asked yet.
    pub(super) bases: VecDeque<Domain>,
    /// For the host in work.
    pub(super) security: Option<Arc<Security>>,
}

/// What one host must prove.
#[derive(Debug)]
pub(super) struct Security {
    pub(super) demand: Arc<TlsDemand>,
    /// The level in effect.
    pub(super) level: TlsLevel,
    /// Why that is less than the policy's, where it is.
    pub(super) lowered: Option<Arc<str>>,
    shape: TlsShape,
    /// What keys and signatures must be.
    pub(super) strength: Strength,
    /// The end of the DNS data that it rests on.
    pub(super) expires: Option<UnixTime>,
}

/// A demand, and what led to it.
pub(super) struct Decision<'a> {
    pub(super) demand: TlsDemand,
    pub(super) level: TlsLevel,
    /// Why the level is less than the policy's.
    pub(super) lowered: Option<Arc<str>>,
    /// The TLSA base domain, and how long DNS says so.
    pub(super) dane: Option<(&'a Domain, UnixTime)>,
}

impl Security {
    pub(super) fn tls_use(&self) -> TlsUse {
        match self.level {
            TlsLevel::None => TlsUse::Never,
            TlsLevel::May => TlsUse::IfOffered(self.shape.clone()),
            TlsLevel::Encrypt
            | TlsLevel::Dane
            | TlsLevel::DaneOnly
            | TlsLevel::Fingerprint
            | TlsLevel::Verify
            | TlsLevel::Secure => TlsUse::Required(self.shape.clone()),
        }
    }
}

impl Plan {
    /// A host with addresses is next: find out what it must prove. The policy is asked once for a site, and only when there is a
    /// host to apply it to, as Postfix does.
    pub(super) fn begin_host(&mut self) {
        self.guard.security = None;
        self.link.connection = None;
        if let Some(failure) = self.guard.broken.clone() {
            self.site_broken(failure);
        } else if self.guard.policy.is_some() {
            self.secure_host();
        } else if let Some(nexthop) = self.site.nexthop.clone() {
            self.ask(State::Policy, Ask::Policy { service: self.order.destination.service.clone(), nexthop });
        } else {
            self.state = State::Site;
        }
    }

    pub(super) fn got_policy(
        &mut self,
        result: Result<(Arc<TlsPolicy>, Generation), PolicyError>,
        now: UnixTime,
    ) {
        match result {
            Ok((policy, generation)) => {
                self.guard.generation = generation;
                self.guard.reuse = policy.connection_reuse;
                self.guard.policy_number = self.account.policies.len();
                let nexthop = self.site.nexthop.as_ref().map_or_else(String::new, ToString::to_string);
                let fact = PolicyFact { level: policy.level, source: policy.source.clone(), nexthop };
                self.account.policies.push(fact);
                self.note(Fact::Policy(self.guard.policy_number), now);
                self.guard.policy = Some(Arc::clone(&policy));
                if policy.level == TlsLevel::None {
                    self.secure_host();
                } else {
                    let service = self.order.destination.service.clone();
                    self.ask(State::Trust, Ask::Trust { service, policy });
                }
            }
            Err(error) => {
                let failure = disposition::policy_failed(&error);
                self.note(Fact::PolicyFailed(failure.reason.clone()), now);
                self.site_broken(failure);
            }
        }
    }

    pub(super) fn got_trust(&mut self, answer: TrustAnswer) {
        let Some(policy) = self.guard.policy.clone() else { return };
        let must_match = matches!(policy.level, TlsLevel::Verify | TlsLevel::Secure);
        match answer.anchors {
            Ok(anchors) => self.guard.anchors = Some(anchors),
            // interface.md §4: a broken store concerns only what rests on it.
            Err(reason) if must_match => {
                let failure = disposition::trust_failed(&reason);
                match policy.anchors {
                    AnchorFiles::Default => self.guard.disarmed = Some(failure),
                    // A policy that names a broken anchor file is no policy: no host is bothered.
                    AnchorFiles::Only(_) => return self.site_broken(failure),
                }
            }
            Err(_) => {}
        }
        match answer.client {
            Ok(client) => self.guard.client = client,
            // A broken client certificate must never weaken: `may` encrypts without it, other levels wait.
            Err(reason) if policy.level != TlsLevel::May => {
                self.guard.disarmed = Some(disposition::trust_failed(&reason));
            }
            Err(_) => {}
        }
        self.secure_host();
    }

    /// No host of this site can be used.
    pub(super) fn site_broken(&mut self, failure: Failure) {
        self.fail_all(&failure, Consequence::NextHost);
        self.guard.broken = Some(failure);
        self.state = State::Site;
    }

    /// This host cannot be used; nothing is said of the others. RFC 7672 §10: no connection is made.
    pub(super) fn host_broken(&mut self, failure: &Failure, now: UnixTime) {
        let host = self
            .site
            .host
            .as_ref()
            .and_then(|host| host.name.as_ref())
            .map_or_else(String::new, ToString::to_string);
        self.note(Fact::Skipped { host, reason: failure.reason.clone() }, now);
        self.fail_all(failure, Consequence::NextHost);
        self.state = State::Host;
    }

    /// The policy is known: what does it demand of this host?
    fn secure_host(&mut self) {
        let (Some(policy), Some(nexthop)) = (self.guard.policy.clone(), self.site.nexthop.clone()) else {
            return;
        };
        if matches!(policy.level, TlsLevel::Dane | TlsLevel::DaneOnly) {
            return self.begin_dane(&policy);
        }
        let host = self.site.host.as_ref().and_then(|host| host.name.clone());
        match policy.demand_for(&nexthop, host.as_ref()) {
            Ok(demand) => {
                self.secured(&policy, Decision { demand, level: policy.level, lowered: None, dane: None });
            }
            Err(error) => self.site_broken(disposition::policy_failed(&error)),
        }
    }

    /// None of the records can be used, which showed only when they were read against a chain: mandatory TLS, unauthenticated (RFC 7672 §2.2);
    /// `dane-only` has no such step down. True where the connection is to be judged again.
    pub(super) fn step_down_to_encrypt(&mut self) -> bool {
        let (Some(policy), Some(security)) = (self.guard.policy.clone(), self.guard.security.clone()) else {
            return false;
        };
        if policy.level != TlsLevel::Dane || !matches!(*security.demand, TlsDemand::Dane(_)) {
            return false;
        }
        let reason: Arc<str> = "TLSA records unusable".into();
        self.note_lowered(TlsLevel::Encrypt, &reason);
        self.guard.security = Some(Arc::new(Security {
            demand: Arc::new(TlsDemand::Encrypted),
            level: TlsLevel::Encrypt,
            lowered: Some(reason),
            shape: security.shape.clone(),
            strength: security.strength,
            expires: security.expires,
        }));
        true
    }

    pub(super) fn secured(&mut self, policy: &TlsPolicy, decision: Decision<'_>) {
        let Decision { demand, level, lowered, dane } = decision;
        let host = self.site.host.as_ref().and_then(|host| host.name.clone());
        let Some(nexthop) = self.site.nexthop.clone() else { return };
        if let Some(reason) = &lowered {
            self.note_lowered(level, reason);
        }
        let mandatory = !matches!(level, TlsLevel::None | TlsLevel::May);
        let client = Arc::clone(&self.guard.client);
        let shape = match dane {
            Some((base, _)) => policy.dane_shape(base, client),
            None => policy.shape_for(&nexthop, host.as_ref(), mandatory, client),
        };
        let expires = dane.map(|(_, end)| end);
        self.guard.security = Some(Arc::new(Security {
            demand: Arc::new(demand),
            level,
            lowered,
            shape,
            strength: policy.strength,
            expires,
        }));
        self.state = State::Address;
    }

    /// Took no time: it follows from the answer before.
    fn note_lowered(&mut self, level: TlsLevel, reason: &Arc<str>) {
        let host = self.site.host.as_ref().and_then(|host| host.name.clone());
        self.note(Fact::Lowered { host, level, reason: Arc::clone(reason) }, self.asked_at);
    }
}
