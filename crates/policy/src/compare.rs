//! Two policies of one destination, an old and a new one: is anything weaker?
//!
//! Levels have no order that is good for everything: `dane` authenticates where `encrypt` does not, and sends in clear where `encrypt`
//! does not. So each [`Aspect`] is compared by itself, and one that got weaker makes the whole weaker, whatever else got stronger.

use alloc::{borrow::ToOwned, format, string::String, vec::Vec};

use waxseal_types::{AnchorFiles, DigestAlgorithm, NamePattern, TlsLevel};

use crate::{
    Aspect, Change, Comparison, Direction, InsecureMx, MatchName, PolicyError, Protocols, TlsPolicy,
    fingerprint,
};

/// Compares what a lookup found before and what it finds now.
#[must_use]
pub fn compare(old: &Result<TlsPolicy, PolicyError>, new: &Result<TlsPolicy, PolicyError>) -> Comparison {
    let mut comparison = Comparison { direction: Direction::Same, changes: Vec::new() };
    match (old, new) {
        (Ok(old), Ok(new)) => comparison.policies(old, new),
        (Err(_), Err(_)) => {}
        (Ok(old), Err(error)) => {
            let new = format!("mail waits: {}", error.reason);
            comparison.add(Aspect::Usable, Direction::Different, || (described(old), new));
        }
        (Err(error), Ok(new)) => {
            let clear = Guarantee::of(new).clear;
            // What waited may go in clear now. Otherwise nobody knows what the old one was to mean.
            let direction = if clear == Clear::Never { Direction::Different } else { Direction::Weaker };
            comparison
                .add(Aspect::Usable, direction, || (format!("mail waits: {}", error.reason), described(new)));
        }
    }
    comparison
}

fn described(policy: &TlsPolicy) -> String {
    format!("{}", policy.to_entry())
}

/// Whether mail may go in clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Clear {
    Always,
    /// Where the server offers no TLS, or for `dane` where it has no TLSA records.
    Perhaps,
    Never,
}

/// How the server is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    Nobody,
    /// By TLSA records, where there are any.
    DaneIfAny,
    Dane,
    Fingerprint,
    /// By authorities, under the names of an aspect of its own.
    Authority,
}

struct Guarantee {
    clear: Clear,
    proof: Proof,
}

impl Guarantee {
    /// With the configuration's say in whether there is DANE at all (see [`crate::dane::destination`]).
    fn of(policy: &TlsPolicy) -> Self {
        let (clear, proof) = match (policy.level, &policy.dane_blind) {
            (TlsLevel::None, _) => (Clear::Always, Proof::Nobody),
            (TlsLevel::May, _) | (TlsLevel::Dane, Some(_)) => (Clear::Perhaps, Proof::Nobody),
            (TlsLevel::Encrypt, _) => (Clear::Never, Proof::Nobody),
            (TlsLevel::Dane, None) => (Clear::Perhaps, Proof::DaneIfAny),
            (TlsLevel::DaneOnly, _) => (Clear::Never, Proof::Dane),
            (TlsLevel::Fingerprint, _) => (Clear::Never, Proof::Fingerprint),
            (TlsLevel::Verify | TlsLevel::Secure, _) => (Clear::Never, Proof::Authority),
        };
        Self { clear, proof }
    }

    fn compare(&self, new: &Self) -> Direction {
        let proof = match (self.proof, new.proof) {
            (old, new) if old == new => Direction::Same,
            (Proof::Nobody, _) | (Proof::DaneIfAny, Proof::Dane) => Direction::Stronger,
            (_, Proof::Nobody) | (Proof::Dane, Proof::DaneIfAny) => Direction::Weaker,
            _ => Direction::Different,
        };
        Direction::of_ranks(self.clear, new.clear).and(proof)
    }
}

/// What is demanded at all, whoever the server is.
pub(crate) fn guarantees(old: &TlsPolicy, new: &TlsPolicy) -> Direction {
    Guarantee::of(old).compare(&Guarantee::of(new))
}

impl Comparison {
    fn add(&mut self, aspect: Aspect, direction: Direction, texts: impl FnOnce() -> (String, String)) {
        if direction != Direction::Same {
            let (old, new) = texts();
            self.changes.push(Change { aspect, old, new, direction });
            self.direction = self.direction.and(direction);
        }
    }

    fn policies(&mut self, old: &TlsPolicy, new: &TlsPolicy) {
        let levels = || (level(old), level(new));
        match guarantees(old, new) {
            // `verify` and `secure` differ in nothing but their names.
            Direction::Same if level(old) != level(new) => {
                self.changes.push(Change {
                    aspect: Aspect::Level,
                    old: level(old),
                    new: level(new),
                    direction: Direction::Same,
                });
            }
            direction => self.add(Aspect::Level, direction, levels),
        }
        match (old.level, new.level) {
            (TlsLevel::Verify | TlsLevel::Secure, TlsLevel::Verify | TlsLevel::Secure) => {
                self.chains(old, new)
            }
            (TlsLevel::Fingerprint, TlsLevel::Fingerprint) => self.fingerprints(old, new),
            (TlsLevel::Dane, TlsLevel::Dane) => {
                let rank = |policy: &TlsPolicy| match policy.insecure_mx {
                    InsecureMx::May => (0, "may"),
                    InsecureMx::Encrypt => (1, "encrypt"),
                    InsecureMx::Dane => (2, "dane"),
                };
                let direction = Direction::of_ranks(rank(old).0, rank(new).0);
                self.add(Aspect::InsecureMx, direction, || (rank(old).1.to_owned(), rank(new).1.to_owned()));
            }
            _ => {}
        }
        if old.level != TlsLevel::None && new.level != TlsLevel::None {
            let direction = Direction::of_ranks(old.strength.rsa_bits, new.strength.rsa_bits)
                .and(Direction::of_ranks(old.strength.refuse_sha1, new.strength.refuse_sha1));
            self.add(Aspect::Strength, direction, || (strength(old), strength(new)));
            self.handshakes(old, new);
            self.others(old, new);
        }
    }

    fn chains(&mut self, old: &TlsPolicy, new: &TlsPolicy) {
        let (before, after) = (&old.matches.0, &new.matches.0);
        let direction = match (old.matches.believes_dns(), new.matches.believes_dns()) {
            // Whoever can forge MX records passes now, or does so no longer.
            (false, true) => Direction::Weaker,
            (true, false) => Direction::Stronger,
            (true, true) | (false, false) => Direction::of_sets(covers(after, before), covers(before, after)),
        };
        self.add(Aspect::Names, direction, || (names(before), names(after)));
        let direction = match (&old.anchors, &new.anchors) {
            (AnchorFiles::Default, AnchorFiles::Default) => Direction::Same,
            // From some authorities to all those of the system, or of whatever the store has.
            (AnchorFiles::Only(_), AnchorFiles::Default) => Direction::Weaker,
            (AnchorFiles::Default, AnchorFiles::Only(_)) => Direction::Different,
            (AnchorFiles::Only(before), AnchorFiles::Only(after)) => {
                let within = |some: &[String], all: &[String]| some.iter().all(|file| all.contains(file));
                Direction::of_sets(within(before, after), within(after, before))
            }
        };
        self.add(Aspect::Anchors, direction, || (anchors(&old.anchors), anchors(&new.anchors)));
        let chain =
            |policy: &TlsPolicy| format!("depth {}, wide wildcards {}", policy.depth, policy.wide_wildcards);
        let direction = Direction::of_ranks(new.depth, old.depth)
            .and(Direction::of_ranks(new.wide_wildcards, old.wide_wildcards));
        self.add(Aspect::Chains, direction, || (chain(old), chain(new)));
    }

    fn fingerprints(&mut self, old: &TlsPolicy, new: &TlsPolicy) {
        let (before, after) = (&old.fingerprints, &new.fingerprints);
        let direction = if before.digest == after.digest {
            let within = |some: &[_], all: &[_]| some.iter().all(|one| all.contains(one));
            let (some, all) = (&before.accepted, &after.accepted);
            Direction::of_sets(within(some, all), within(all, some))
        } else if is_broken(after.digest) && !is_broken(before.digest) {
            Direction::Weaker
        } else {
            Direction::Different
        };
        let text = |policy: &TlsPolicy| {
            let digests: Vec<_> = policy.fingerprints.accepted.iter().map(fingerprint::to_text).collect();
            format!("{:?} {}", policy.fingerprints.digest, digests.join(", "))
        };
        self.add(Aspect::Fingerprints, direction, || (text(old), text(new)));
    }

    fn handshakes(&mut self, old: &TlsPolicy, new: &TlsPolicy) {
        // Each as far as both levels can come to it.
        let opportunistic = |level| matches!(level, TlsLevel::May | TlsLevel::Dane);
        let mandatory = |level| level != TlsLevel::May;
        let mut pairs = Vec::new();
        if opportunistic(old.level) && opportunistic(new.level) {
            pairs.push((&old.opportunistic, &new.opportunistic, false));
        }
        if mandatory(old.level) && mandatory(new.level) {
            pairs.push((&old.mandatory, &new.mandatory, true));
        }
        for (before, after, mandatory) in pairs {
            let direction = match versions(before.protocols, after.protocols) {
                // A server without what is left gets its mail in clear then.
                Direction::Stronger if !mandatory => Direction::Different,
                direction => direction,
            };
            self.add(Aspect::Protocols, direction, || {
                (format!("{}", before.protocols), format!("{}", after.protocols))
            });
            if before.suites != after.suites && before.protocols == after.protocols {
                let text = |suites: &[u16]| {
                    suites.iter().map(|suite| format!("{suite:04X}")).collect::<Vec<_>>().join(" ")
                };
                self.add(Aspect::Suites, Direction::Different, || {
                    (text(&before.suites), text(&after.suites))
                });
            }
        }
    }

    fn others(&mut self, old: &TlsPolicy, new: &TlsPolicy) {
        let differs = |differs: bool| if differs { Direction::Different } else { Direction::Same };
        let name = |policy: &TlsPolicy| {
            policy.servername.as_ref().map_or_else(|| "none".to_owned(), |name| format!("{name}"))
        };
        self.add(Aspect::ServerName, differs(old.servername != new.servername), || (name(old), name(new)));
        let plain = |policy: &TlsPolicy| (policy.connection_reuse, policy.enable_rpk, policy.plugin.clone());
        self.add(Aspect::Other, differs(plain(old) != plain(new)), || (described(old), described(new)));
    }
}

fn level(policy: &TlsPolicy) -> String {
    match (policy.level, &policy.dane_blind) {
        (TlsLevel::Dane, Some(reason)) => format!("dane, as may ({reason})"),
        (TlsLevel::DaneOnly, Some(reason)) => format!("dane-only, so that mail waits ({reason})"),
        (level, _) => level.as_str().to_owned(),
    }
}

fn strength(policy: &TlsPolicy) -> String {
    format!("RSA from {} bits, SHA-1 refused {}", policy.strength.rsa_bits, policy.strength.refuse_sha1)
}

/// By what is the oldest and what is the newest version: both should be as new as can be.
fn versions(old: Protocols, new: Protocols) -> Direction {
    let ends = |protocols: Protocols| (!protocols.tls12, protocols.tls13);
    let (before, after) = (ends(old), ends(new));
    Direction::of_ranks(before.0, after.0).and(Direction::of_ranks(before.1, after.1))
}

fn names(list: &[MatchName]) -> String {
    list.iter().map(|name| format!("{name}")).collect::<Vec<_>>().join(", ")
}

fn anchors(files: &AnchorFiles) -> String {
    match files {
        AnchorFiles::Default => "CAfile and CApath".to_owned(),
        AnchorFiles::Only(files) => files.join(", "),
    }
}

/// RFC 6151 and RFC 6194 §3.2 on collisions. A second preimage, which a pin would need, is not known; but who may choose both certificates
/// can have two with one digest.
pub(crate) const fn is_broken(digest: DigestAlgorithm) -> bool {
    match digest {
        DigestAlgorithm::Md5 | DigestAlgorithm::Sha1 => true,
        DigestAlgorithm::Sha256 | DigestAlgorithm::Sha384 | DigestAlgorithm::Sha512 => false,
    }
}

/// Whether `wide` accepts all that `narrow` accepts, whatever next hop and host are.
fn covers(wide: &[MatchName], narrow: &[MatchName]) -> bool {
    let one = |name: &MatchName| {
        matches!(name, MatchName::Never(_)) || wide.iter().any(|other| accepts(other, name))
    };
    narrow.iter().all(one)
}

fn accepts(wide: &MatchName, narrow: &MatchName) -> bool {
    use NamePattern::{Below, Exact, Wildcard};
    if wide == narrow {
        return true;
    }
    match (wide, narrow) {
        (MatchName::Fixed(Below(parent)), MatchName::Fixed(Exact(name) | Below(name))) => {
            name.as_str().strip_suffix(parent.as_str()).is_some_and(|rest| rest.ends_with('.'))
        }
        (MatchName::Fixed(Below(parent)), MatchName::Fixed(Wildcard(name))) => {
            name == parent
                || name.as_str().strip_suffix(parent.as_str()).is_some_and(|rest| rest.ends_with('.'))
        }
        _ => false,
    }
}
