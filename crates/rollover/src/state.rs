//! A rollover as it stands: all of it, so that a process that dies leaves nothing that the next one does not know.

use std::{fmt, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{Error, Memory, Moment, Patience, Place, RecordSet, covers};

/// The version of the state file. Another one is refused, never guessed at.
pub(crate) const VERSION: u32 = 1;

/// By which records clients are carried over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Route {
    /// `3 1 1` of the current key and of the next one, side by side (RFC 7671 §8.1).
    CurrentNext,
    /// `3 1 1` of the key and `2 1 1` of an issuer that stays: the issuer's record carries while that of the leaf is replaced
    /// (RFC 7671 §8.4).
    StableIssuer,
}

/// How far a rollover is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The records of the next key are on their way to every server, and the old ones on their way out of every cache.
    Publishing,
    /// The next key is being put in the place of the current one.
    Switching,
    /// It is there; whether it is served is still to be seen.
    Confirming,
    /// The records of the old key are being withdrawn.
    Withdrawing,
    /// All is done.
    Done,
    /// Given up before the switch; the next records are being withdrawn.
    Undoing,
    /// Given up, and nothing is left of it.
    Undone,
}

impl Phase {
    /// Whether nothing is left to do.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Undone)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Publishing => "publishing",
            Self::Switching => "switching",
            Self::Confirming => "confirming",
            Self::Withdrawing => "withdrawing",
            Self::Done => "done",
            Self::Undoing => "undoing",
            Self::Undone => "undone",
        })
    }
}

/// Who changes the zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Publisher {
    /// A person, who is told what to do.
    Hand,
    /// We, by RFC 2136.
    Update {
        /// The file with the TSIG key.
        key_file: PathBuf,
        /// Where updates go; `None` is the primary server of the SOA record.
        server: Option<String>,
    },
    /// A program with its arguments.
    Hook(Vec<String>),
}

/// Where the served certificate is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The file of the chain, with the key first unless that has a file of its own.
    pub file: PathBuf,
    /// The key's own file.
    pub key_file: Option<PathBuf>,
}

/// The records of one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Records {
    /// Where they stand.
    pub place: Place,
    /// What was served when the rollover began.
    pub before: RecordSet,
    /// What the next certificate needs.
    pub next: RecordSet,
    /// What the current certificate needs that was not there: without it the first record would turn everybody away until the switch.
    pub bridge: RecordSet,
    /// What nothing needs any more once it is served, the bridge included.
    pub stale: RecordSet,
}

impl Records {
    /// What comes in that was not there.
    #[must_use]
    pub fn added(&self) -> RecordSet {
        self.next.with(&self.bridge).without(&self.before)
    }

    /// What is served in the end.
    #[must_use]
    pub fn after(&self) -> RecordSet {
        self.before.with(&self.next).without(&self.stale)
    }
}

/// One rollover.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollover {
    pub(crate) version: u32,
    /// By which records.
    pub route: Route,
    /// How far it is.
    pub phase: Phase,
    /// Each place with its records.
    pub records: Vec<Records>,
    /// What the next certificate replaces.
    pub target: Target,
    /// A command that makes the server take it.
    pub deploy: Vec<String>,
    /// Who changes the zone.
    pub publisher: Publisher,
    /// The TTL of records that are published; `None` keeps what the zone has.
    pub ttl: Option<Duration>,
    /// How long the past counts.
    pub patience: Patience,
    /// Whether the server is called after the switch, to see the next key there.
    pub probe: bool,
    /// Where the certificate for the next key is still to appear.
    pub awaits: Option<PathBuf>,
    /// The next certificate is for the current key.
    pub same_key: bool,
    /// When it began.
    pub began: UnixTimeText,
    /// When the zone was last asked to be changed for this phase, by the memory's clock.
    pub(crate) asked: Option<Duration>,
    /// What was seen.
    pub memory: Memory,
}

/// Seconds since 1970, for a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixTimeText(pub u64);

/// What stands in the way, and until when, if that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hindrance {
    /// A sentence.
    pub why: String,
    /// By the memory's clock.
    pub until: Option<Duration>,
}

impl Rollover {
    /// Reads a state file.
    ///
    /// # Errors
    /// It is none, or one of another version.
    pub fn parse(text: &str) -> Result<Self, String> {
        let value: serde_json::Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let version = value.get("version").and_then(serde_json::Value::as_u64);
        if version != Some(u64::from(VERSION)) {
            return Err(format!("this is a state file of version {version:?}, not {VERSION}"));
        }
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    /// The state file's text.
    ///
    /// # Errors
    /// None that a state has.
    pub fn text(&self) -> Result<String, String> {
        serde_json::to_string_pretty(self).map_err(|error| error.to_string())
    }

    /// The places.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        self.records.iter().map(|records| &records.place)
    }

    /// Whether every client, whatever it holds, would take this chain at every place: all that stands in the way.
    #[must_use]
    pub fn hindrances(&self, chain: &[Vec<u8>], now: &Moment) -> Vec<Hindrance> {
        self.records.iter().flat_map(|records| self.at_place(records, chain, now)).collect()
    }

    fn at_place(&self, records: &Records, chain: &[Vec<u8>], now: &Moment) -> Vec<Hindrance> {
        let place = &records.place;
        let mut found = Vec::new();
        if self.memory.served(place, now).next().is_none() {
            return vec![Hindrance { why: format!("{place}: no server has been asked yet"), until: None }];
        }
        for holding in self.memory.held(place, self.patience, now) {
            // An absence binds no client; but it shows that the records have not been there for long.
            let young = holding.set.is_empty() && !self.same_key;
            let verdict = if young {
                Err("no TLSA records".into())
            } else {
                covers(holding.set, place, chain, now.wall)
            };
            let Err(why) = verdict else { continue };
            found.push(if holding.servers.is_empty() {
                let why = format!("{place}: clients may still hold what was served before ({why})");
                Hindrance { why, until: Some(holding.until) }
            } else {
                let why = format!(
                    "{place}: {} served without what the next certificate needs ({why})",
                    who(holding.servers)
                );
                Hindrance { why, until: None }
            });
        }
        let (complete, from) = self.memory.is_complete(place, now);
        if !complete && !self.same_key {
            let why = format!("{place}: clients may hold what was served before this rollover began");
            found.push(Hindrance { why, until: Some(from) });
        }
        found
    }

    /// What the servers still lack, or have too much, of what this phase wants.
    #[must_use]
    pub fn differences(&self, now: &Moment) -> Vec<Hindrance> {
        let wanted = |records: &Records| self.edit(records);
        let mut found = Vec::new();
        for records in &self.records {
            let (add, remove) = wanted(records);
            for holding in self.memory.served(&records.place, now) {
                let (lacks, has) = (!holding.set.has_all(&add), holding.set.has_any(&remove));
                let what = match (lacks, has) {
                    (false, false) => continue,
                    (true, false) => "served without the next records",
                    (false, true) => "served with records that are to go",
                    (true, true) => "served as it was before",
                };
                let why = format!("{}: {} {what}", records.place, who(holding.servers));
                found.push(Hindrance { why, until: None });
            }
        }
        found
    }

    /// What this phase adds at a place, and what it takes away.
    #[must_use]
    pub fn edit(&self, records: &Records) -> (RecordSet, RecordSet) {
        let none = RecordSet::default();
        match self.phase {
            Phase::Publishing | Phase::Switching | Phase::Confirming => {
                (records.next.with(&records.bridge), none)
            }
            Phase::Withdrawing | Phase::Done => (records.next.clone(), records.stale.clone()),
            Phase::Undoing | Phase::Undone => (none, records.added()),
        }
    }

    /// Gives it up, where that is still possible.
    ///
    /// # Errors
    /// [`Error::OutOfOrder`] from the switch on: clients may have met the next key by then.
    pub(crate) fn give_up(&mut self) -> Result<(), Error> {
        let no = |why: &str| {
            Err(Error::OutOfOrder(format!("{why}; a rollover back is a rollover like any other")))
        };
        match self.phase {
            Phase::Publishing => {
                (self.phase, self.asked) = (Phase::Undoing, None);
                Ok(())
            }
            Phase::Undoing => Ok(()),
            Phase::Undone => Err(Error::OutOfOrder("it is undone already".into())),
            Phase::Switching | Phase::Confirming => {
                no("the next key may be served already, and cannot be undone")
            }
            Phase::Withdrawing | Phase::Done => {
                no("the next key is in force, and the switch cannot be undone")
            }
        }
    }
}

fn who(servers: &[String]) -> String {
    match servers {
        [one] => format!("at {one} it is"),
        several => format!("at {} servers ({}) it is", several.len(), several.join(", ")),
    }
}
