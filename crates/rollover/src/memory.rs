//! Which sets of records clients may hold: those that are served, and those that were, for as long as they may be kept.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use waxseal_types::UnixTime;

use crate::{
    Place, RecordSet,
    clock::{Clock, Moment, micros},
};

/// Sets that are remembered; a rollover makes three for each place. Whoever sees more of them looks at something that is no mail server.
const MAX_HELD: usize = 1000;
/// Places that are remembered. Of one that is forgotten nothing is known any more, which makes the gate stricter and not milder.
const MAX_PLACES: usize = 2000;
/// What a wait is longer than the TTL: a tenth of it, within these bounds. A query may have been under way while the servers were asked, a
/// TTL is counted in whole seconds by a clock that is not ours, and whoever looked at the last moment has yet to connect.
const MARGIN: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(60);

/// How long an answer counts that clients may keep for `ttl`. What must not be kept (RFC 1035 §3.2.1) is used all the same by who is just about to.
fn life(ttl: Duration) -> u64 {
    micros(ttl + (ttl / 10).clamp(*MARGIN.start(), *MARGIN.end()))
}

/// What all servers said of one place, at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// Each of them.
    pub served: Vec<Served>,
}

/// What one server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// Who, for a person.
    pub server: String,
    /// The records; none where it says that there are none.
    pub set: RecordSet,
    /// How long a client that asked just now may keep them, or keep it that there are none.
    pub ttl: Duration,
    /// When the signature over them ends.
    pub signed_until: Option<UnixTime>,
}

/// What was seen, and until when it counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    clock: Clock,
    places: Vec<Watched>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Watched {
    place: Place,
    /// When it was first looked at.
    since: u64,
    /// When it was last looked at.
    seen: u64,
    /// The longest TTL of its answers.
    longest: u64,
    held: Vec<Held>,
}

/// A set of one place. Times are microseconds of the memory's clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    set: RecordSet,
    /// The servers that served it at the last look.
    servers: Vec<String>,
    ttl: u64,
    /// The last client that has it forgets it then.
    until: u64,
    /// Its last signature ends then.
    signed: u64,
}

/// A set that clients may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holding<'a> {
    /// The records.
    pub set: &'a RecordSet,
    /// Who serves it still.
    pub servers: &'a [String],
    /// Until when, at the least, if nobody serves it any more: as a time of the memory's clock.
    pub until: Duration,
}

/// How long clients are taken to hold what they were once told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Patience {
    /// As long as the protocol allows (RFC 1035 §3.2.1, RFC 4035 §5.3.3): for the TTL.
    Ttl,
    /// Until the signatures end as well: resolvers that serve stale records (RFC 8767), and attackers that replay them, cannot after that.
    Signatures,
}

impl Memory {
    /// One that has seen nothing yet.
    #[must_use]
    pub fn start(now: &Moment) -> Self {
        Self { clock: Clock::start(now), places: Vec::new() }
    }

    /// The memory's clock at `now`.
    #[must_use]
    pub fn time(&self, now: &Moment) -> Duration {
        self.clock.read(now)
    }

    /// The wall clock's time of a time of the memory's clock, as things stand `now`.
    #[must_use]
    pub fn wall(&self, time: Duration, now: &Moment) -> UnixTime {
        now.wall + time.saturating_sub(self.time(now))
    }

    /// Takes in what was seen. What was served until now, and is not any more, may have been fetched a moment ago.
    pub fn see(&mut self, place: &Place, sight: &Sight, now: &Moment) {
        let time = micros(self.clock.advance(now));
        let known = self.places.iter().position(|known| known.place == *place);
        let at = known.unwrap_or_else(|| {
            if self.places.len() >= MAX_PLACES {
                let oldest = (0..self.places.len()).min_by_key(|at| self.places[*at].seen);
                oldest.map(|at| self.places.swap_remove(at));
            }
            let fresh =
                Watched { place: place.clone(), since: time, seen: time, longest: 0, held: Vec::new() };
            self.places.push(fresh);
            self.places.len() - 1
        });
        let watched = &mut self.places[at];
        watched.seen = time;
        for held in &mut watched.held {
            if !held.servers.is_empty() {
                held.until = held.until.max(time.saturating_add(life(Duration::from_micros(held.ttl))));
                held.servers.clear();
            }
        }
        for served in &sight.served {
            watched.longest = watched.longest.max(micros(served.ttl));
            watched.take(served, time, now.wall);
        }
        watched.held.retain(|held| !held.servers.is_empty() || held.until > time || held.signed > time);
        watched.held.truncate(MAX_HELD);
    }

    /// The sets that clients may hold at `now`.
    pub fn held(
        &self,
        place: &Place,
        patience: Patience,
        now: &Moment,
    ) -> impl Iterator<Item = Holding<'_>> + use<'_> {
        let time = micros(self.time(now));
        let watched = self.places.iter().find(|watched| watched.place == *place);
        let held = watched.into_iter().flat_map(|watched| &watched.held);
        held.filter_map(move |held| {
            let until = match patience {
                Patience::Ttl => held.until,
                Patience::Signatures => held.until.max(held.signed),
            };
            (!held.servers.is_empty() || until > time).then_some(Holding {
                set: &held.set,
                servers: &held.servers,
                until: Duration::from_micros(until),
            })
        })
    }

    /// The sets that are served, as of the last look.
    pub fn served(&self, place: &Place, now: &Moment) -> impl Iterator<Item = Holding<'_>> + use<'_> {
        self.held(place, Patience::Ttl, now).filter(|holding| !holding.servers.is_empty())
    }

    /// The longest TTL that was seen.
    #[must_use]
    pub fn longest_ttl(&self, place: &Place) -> Option<Duration> {
        let watched = self.places.iter().find(|watched| watched.place == *place)?;
        Some(Duration::from_micros(watched.longest))
    }

    /// The time from which on nothing can be held that was withdrawn before the first look; and whether that is past.
    #[must_use]
    pub fn is_complete(&self, place: &Place, now: &Moment) -> (bool, Duration) {
        let time = micros(self.time(now));
        let watched = self.places.iter().find(|watched| watched.place == *place);
        let longest = |watched: &Watched| life(Duration::from_micros(watched.longest));
        let from = watched.map_or(u64::MAX, |watched| watched.since.saturating_add(longest(watched)));
        (time >= from, Duration::from_micros(from))
    }
}

impl Watched {
    fn take(&mut self, served: &Served, time: u64, wall: UnixTime) {
        let signed = served.signed_until.map_or(0, |end| time.saturating_add(micros(end.since(wall))));
        let ttl = micros(served.ttl);
        let at = self.held.iter().position(|held| held.set == served.set);
        let held = match at {
            Some(at) => &mut self.held[at],
            None => {
                let set = served.set.clone();
                self.held.push(Held { set, servers: Vec::new(), ttl: 0, until: 0, signed: 0 });
                let last = self.held.len() - 1;
                &mut self.held[last]
            }
        };
        held.servers.push(served.server.clone());
        held.ttl = held.ttl.max(ttl);
        held.until = held.until.max(time.saturating_add(life(served.ttl)));
        held.signed = held.signed.max(signed);
    }
}

#[cfg(test)]
mod tests {
    use waxseal_types::Tlsa;

    use super::*;

    fn at(secs: u64) -> Moment {
        Moment {
            wall: UnixTime::from_secs(1_795_000_000 + secs),
            boot: "a".into(),
            uptime: Duration::from_secs(secs),
        }
    }

    fn set(octets: &[u8]) -> RecordSet {
        RecordSet::new(octets.iter().map(|octet| Tlsa::new(3, 1, 1, &[*octet; 32])))
    }

    fn sight(sets: &[(&[u8], u64)]) -> Sight {
        let served = sets.iter().enumerate().map(|(number, (octets, ttl))| Served {
            server: format!("ns{number}"),
            set: set(octets),
            ttl: Duration::from_secs(*ttl),
            signed_until: Some(UnixTime::from_secs(1_795_000_000 + 1000)),
        });
        Sight { served: served.collect() }
    }

    #[test]
    fn a_set_is_held_for_its_ttl_and_a_margin_from_the_look_that_missed_it_first() {
        let place: Place = "mx.example.org".parse().unwrap();
        let mut memory = Memory::start(&at(0));
        let held = |memory: &Memory, patience, secs| -> Vec<RecordSet> {
            memory.held(&place, patience, &at(secs)).map(|holding| holding.set.clone()).collect()
        };
        memory.see(&place, &sight(&[(&[1], 60), (&[1], 60)]), &at(0));
        assert_eq!(memory.is_complete(&place, &at(65)), (false, Duration::from_secs(66)));
        assert!(memory.is_complete(&place, &at(66)).0);
        // While it is served it counts, however long ago anybody looked.
        assert_eq!(held(&memory, Patience::Ttl, 500), [set(&[1])]);
        // One server lags.
        memory.see(&place, &sight(&[(&[1, 2], 30), (&[1], 60)]), &at(100));
        assert_eq!(held(&memory, Patience::Ttl, 600), [set(&[1]), set(&[1, 2])]);
        memory.see(&place, &sight(&[(&[1, 2], 30), (&[1, 2], 30)]), &at(110));
        // It may have been fetched at second 110 less a moment.
        assert_eq!(held(&memory, Patience::Ttl, 175), [set(&[1]), set(&[1, 2])]);
        assert_eq!(held(&memory, Patience::Ttl, 176), [set(&[1, 2])]);
        assert_eq!(held(&memory, Patience::Signatures, 999), [set(&[1]), set(&[1, 2])]);
        assert_eq!(held(&memory, Patience::Signatures, 1000), [set(&[1, 2])]);
        // What was forgotten by clients is forgotten here.
        memory.see(&place, &sight(&[(&[1, 2], 30)]), &at(2000));
        assert_eq!(memory.places[0].held.len(), 1);
    }

    #[test]
    fn an_absence_is_remembered_like_a_set() {
        let place: Place = "mx.example.org:465".parse().unwrap();
        let mut memory = Memory::start(&at(0));
        memory.see(&place, &sight(&[(&[], 20)]), &at(0));
        memory.see(&place, &sight(&[(&[1], 60)]), &at(5));
        assert!(memory.held(&place, Patience::Ttl, &at(26)).any(|holding| holding.set.is_empty()));
        assert!(!memory.held(&place, Patience::Ttl, &at(27)).any(|holding| holding.set.is_empty()));
        let kept = serde_json::to_string(&memory).unwrap();
        assert_eq!(serde_json::from_str::<Memory>(&kept).unwrap(), memory);
    }

    #[test]
    fn the_margin_is_a_tenth_within_bounds() {
        for (ttl, life_of_it) in [(0, 1.0), (2, 3.0), (60, 66.0), (600, 660.0), (86_400, 86_460.0)] {
            assert_eq!(life(Duration::from_secs(ttl)), micros(Duration::from_secs_f64(life_of_it)));
        }
    }

    #[test]
    fn places_have_a_limit_and_a_forgotten_one_is_one_that_nobody_looked_at() {
        let mut memory = Memory::start(&at(0));
        let place = |number: usize| -> Place { format!("mx{number}.example.org").parse().unwrap() };
        for number in 0..=MAX_PLACES {
            memory.see(&place(number), &sight(&[(&[1], 60)]), &at(number as u64));
        }
        assert_eq!(memory.places.len(), MAX_PLACES);
        let later = at(10_000);
        assert!(
            !memory.is_complete(&place(0), &later).0,
            "it was the first to be looked at, and is forgotten"
        );
        assert!(memory.is_complete(&place(1), &later).0 && memory.is_complete(&place(MAX_PLACES), &later).0);
    }
}
