//! The words of a comparison: what changed, and in which direction.

use alloc::{string::String, vec::Vec};

/// How the new policy is compared with the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Nothing changed.
    Same,
    /// All that is accepted now was accepted before, and less is.
    Stronger,
    /// Something is accepted that was not accepted before.
    Weaker,
    /// Neither can be said: another name, another kind of proof, or mail that waits.
    Different,
}

impl Direction {
    /// One word for reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Stronger => "stronger",
            Self::Weaker => "weaker",
            Self::Different => "different",
        }
    }

    /// Of two aspects.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Weaker, _) | (_, Self::Weaker) => Self::Weaker,
            (Self::Different, _) | (_, Self::Different) => Self::Different,
            (Self::Stronger, _) | (_, Self::Stronger) => Self::Stronger,
            (Self::Same, Self::Same) => Self::Same,
        }
    }

    /// From whether new accepts all of old, and old all of new.
    pub(crate) const fn of_sets(old_in_new: bool, new_in_old: bool) -> Self {
        match (old_in_new, new_in_old) {
            (true, true) => Self::Same,
            (true, false) => Self::Weaker,
            (false, true) => Self::Stronger,
            (false, false) => Self::Different,
        }
    }

    pub(crate) fn of_ranks<T: Ord>(old: T, new: T) -> Self {
        match new.cmp(&old) {
            core::cmp::Ordering::Less => Self::Weaker,
            core::cmp::Ordering::Equal => Self::Same,
            core::cmp::Ordering::Greater => Self::Stronger,
        }
    }
}

/// What of a policy changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Aspect {
    /// Whether there is a usable policy at all.
    Usable,
    /// The level.
    Level,
    /// The names to match.
    Names,
    /// The fingerprints and their digest.
    Fingerprints,
    /// What chains must lead to.
    Anchors,
    /// The TLS versions.
    Protocols,
    /// The cipher suites.
    Suites,
    /// The longest chain, and how wide `*` is.
    Chains,
    /// What keys and signatures must be.
    Strength,
    /// What an insecure MX means at `dane`.
    InsecureMx,
    /// The server name that is sent.
    ServerName,
    /// Reuse of connections, raw public keys, attributes of plugins.
    Other,
}

impl Aspect {
    /// A word or two for reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Usable => "usable",
            Self::Level => "level",
            Self::Names => "names",
            Self::Fingerprints => "fingerprints",
            Self::Anchors => "anchors",
            Self::Protocols => "protocols",
            Self::Suites => "suites",
            Self::Chains => "chains",
            Self::Strength => "strength",
            Self::InsecureMx => "insecure mx",
            Self::ServerName => "servername",
            Self::Other => "other",
        }
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Of what.
    pub aspect: Aspect,
    /// What it was.
    pub old: String,
    /// What it is.
    pub new: String,
    /// Whether that is weaker.
    pub direction: Direction,
}

/// All differences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// Of all of them.
    pub direction: Direction,
    /// One for each aspect that changed; where a policy comes from is none.
    pub changes: Vec<Change>,
}
