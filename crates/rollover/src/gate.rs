//! The gate before a server's certificate: no switch to one that a client could refuse, whatever records it holds.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use waxseal_trust::spki_of;

use crate::{
    Error, Lookups, Memory, Moment, Patience, Place, covers,
    keep::{read_text, replace},
};

/// How often records are looked at: twice in the TTL of the shortest-lived, within these bounds. What comes and goes between two looks
/// was published by mistake, and is not seen.
const LOOKS: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(300);

/// The longest that a refusal stands without another look.
const LONGEST: Duration = Duration::from_secs(30);

/// Remembers what was served, also across restarts.
#[derive(Debug)]
pub struct Gate {
    lookups: Lookups,
    file: Option<PathBuf>,
    kept: Mutex<Kept>,
    /// The last refusal: when, of which certificates.
    last: Mutex<Option<(Instant, Vec<Vec<u8>>)>>,
}

/// DER, leaf first; one for each kind of key.
type Chains<'a> = &'a [&'a [Vec<u8>]];

/// Where a server's certificate meets TLSA records.
#[derive(Debug, Clone, Copy)]
pub struct Doors<'a> {
    /// Known to be served there: any set that does not fit stands in the way.
    pub known: &'a [Place],
    /// Names of the certificates themselves. Another server may answer to them, with another key: a set counts that the old chains fit.
    pub named: &'a [Place],
}

impl<'a> Doors<'a> {
    fn all(self) -> impl Iterator<Item = &'a Place> {
        self.known.iter().chain(self.named)
    }
}

/// What is in the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    memory: Memory,
    /// Why the last switch that was wanted was not made; kept for whoever asks what is wrong.
    refused: Option<String>,
}

/// Why a server keeps its old certificate, as its gate has written it down in this file.
#[must_use]
pub fn refusal(file: &Path) -> Option<String> {
    serde_json::from_str::<Kept>(&read_text(file).ok()?).ok()?.refused
}

impl Gate {
    /// Keeps its memory in `file`; one that cannot be read begins anew, which makes the gate stricter for a while.
    #[must_use]
    pub fn new(lookups: Lookups, file: Option<PathBuf>) -> Self {
        let kept = file.as_ref().and_then(|file| serde_json::from_str(&read_text(file).ok()?).ok());
        let kept = kept.unwrap_or_else(|| Kept { memory: Memory::start(&Moment::now()), refused: None });
        Self { lookups, file, kept: Mutex::new(kept), last: Mutex::default() }
    }

    /// Looks at the records of a place, and remembers them. The result is whether there are any, now or in a client's memory.
    ///
    /// # Errors
    /// A single server that cannot be asked.
    pub async fn look(&self, place: &Place) -> Result<bool, Error> {
        let sight = self.lookups.look(place).await?;
        let mut kept = self.lock();
        kept.memory.see(place, &sight, &Moment::now());
        self.save(&kept);
        Ok(kept.memory.held(place, Patience::Ttl, &Moment::now()).any(|holding| !holding.set.is_empty()))
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn save(&self, kept: &Kept) {
        let text = self.file.as_ref().and_then(|file| Some((file, serde_json::to_vec(kept).ok()?)));
        if let Some((file, text)) = text {
            // A memory that is not kept is a gate that is stricter after a restart.
            let _ = replace(file, &text, None);
        }
    }

    /// How long to wait before the next look.
    #[must_use]
    pub fn pause(&self, places: &[Place]) -> Duration {
        let kept = self.lock();
        let shortest = places.iter().filter_map(|place| kept.memory.longest_ttl(place)).min();
        shortest.map_or(*LOOKS.start(), |ttl| ttl / 2).clamp(*LOOKS.start(), *LOOKS.end())
    }

    /// Whether every client would take each of the `new` chains at each door, whatever it holds.
    ///
    /// # Errors
    /// [`Error::OutOfOrder`] says which clients would not, and until when; [`Error::Unknown`] that nobody knows.
    pub async fn may_switch(
        &self,
        doors: Doors<'_>,
        old: &[&[Vec<u8>]],
        new: &[&[Vec<u8>]],
    ) -> Result<(), Error> {
        let leaves: Vec<Vec<u8>> = new.iter().filter_map(|chain| chain.first().cloned()).collect();
        if let Some(why) = self.lately(&leaves, self.pause(doors.known).min(LONGEST)) {
            return Err(Error::OutOfOrder(why));
        }
        let mut verdict = Ok(());
        for place in doors.all() {
            verdict = verdict.and(self.look(place).await.map(|_| ()));
        }
        let mut kept = self.lock();
        let now = Moment::now();
        let judged = |_| {
            let known = doors.known.iter().map(|place| (place, false));
            known
                .chain(doors.named.iter().map(|place| (place, true)))
                .try_for_each(|door| judge(&kept.memory, door, (old, new), &now))
        };
        let verdict = verdict.and_then(judged);
        kept.refused = verdict.as_ref().err().map(ToString::to_string);
        self.save(&kept);
        let refused = kept.refused.is_some().then(|| (Instant::now(), leaves));
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = refused;
        verdict
    }

    /// The refusal of the same certificates a moment ago: whoever asks every second need not have every server asked as often.
    fn lately(&self, leaves: &[Vec<u8>], pause: Duration) -> Option<String> {
        let same = {
            let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            last.as_ref().is_some_and(|(at, of)| at.elapsed() < pause && of == leaves)
        };
        if same { self.lock().refused.clone() } else { None }
    }

    /// What is in the files is served: there is nothing to refuse.
    pub fn settle(&self) {
        let mut kept = self.lock();
        if kept.refused.take().is_some() {
            self.save(&kept);
        }
    }
}

/// The verdict on one place; of a place that may be another server's, by what the old chains fit.
fn judge(
    memory: &Memory,
    (place, may_be_foreign): (&Place, bool),
    (old, new): (Chains<'_>, Chains<'_>),
    now: &Moment,
) -> Result<(), Error> {
    let mut binds = false;
    let is_ours =
        |set| !may_be_foreign || old.iter().all(|chain| covers(set, place, chain, now.wall).is_ok());
    for holding in memory.held(place, Patience::Ttl, now).filter(|holding| is_ours(holding.set)) {
        binds |= !holding.set.is_empty();
        for chain in new {
            let Err(why) = covers(holding.set, place, chain, now.wall) else { continue };
            // RFC 7671 §8.1: nothing is published, and no client holds anything, that does not fit the chain in use.
            let whose = match holding.servers {
                [] => format!(
                    "clients may hold older TLSA records until {}",
                    memory.wall(holding.until, now).rfc3339()
                ),
                servers => format!("TLSA records at {}", servers.join(", ")),
            };
            let lines = holding.set.lines().join(", ");
            return Err(Error::OutOfOrder(format!(
                "{place}: {whose} do not fit the new certificate: {why} ({lines})"
            )));
        }
    }
    let key = |chain: &&[Vec<u8>]| chain.first().and_then(|leaf| spki_of(leaf)).map(<[u8]>::to_vec);
    let known: Vec<_> = old.iter().map(key).collect();
    let same_keys = new.iter().all(|chain| known.contains(&key(chain)));
    let (complete, from) = memory.is_complete(place, now);
    if binds && !complete && !same_keys {
        let until = memory.wall(from, now).rfc3339();
        let why = "clients may hold TLSA records from before this server looked, until";
        return Err(Error::OutOfOrder(format!("{place}: {why} {until}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use waxseal_testbed::Authority;
    use waxseal_types::UnixTime;

    use super::*;
    use crate::{RecordSet, Served, Sight, cover};

    fn at(secs: u64) -> Moment {
        let wall = Moment::now().wall;
        Moment { wall, boot: "a".into(), uptime: Duration::from_secs(secs) }
    }

    fn sight(sets: &[&RecordSet]) -> Sight {
        let served = sets.iter().map(|set| Served {
            server: "ns".into(),
            set: (*set).clone(),
            ttl: Duration::from_secs(60),
            signed_until: Some(UnixTime::from_secs(0)),
        });
        Sight { served: served.collect() }
    }

    #[test]
    fn a_switch_is_held_against_every_set_that_a_client_may_hold() {
        let place: Place = "mx.example.org".parse().unwrap();
        let (ours, theirs) = (Authority::new("one").unwrap(), Authority::new("two").unwrap());
        let chain = |authority: &Authority, intermediate: bool| {
            let leaf = authority.leaf(&["mx.example.org"]).issue().unwrap();
            let mut chain = vec![leaf.der().to_vec()];
            chain.extend(intermediate.then(|| authority.intermediate_der().to_vec()));
            chain
        };
        let (old, new, bare) = (chain(&ours, true), chain(&ours, true), chain(&ours, false));
        let (foreign, rsa) = (chain(&theirs, true), chain(&theirs, true));
        let none = RecordSet::default();
        let leaf = |chain: &[Vec<u8>]| RecordSet::new(cover::leaf_record(&chain[0], &none));
        let issuer = RecordSet::new(cover::issuer_record(&old, &none));
        let both = leaf(&old).with(&leaf(&new));
        // What was seen and when, when the switch is wanted, from what to what, and whether it may be.
        type Looks<'a> = &'a [(u64, &'a [&'a RecordSet])];
        let table: [(&str, Looks<'_>, u64, Chains<'_>, bool); 12] = [
            ("the new key is not published", &[(0, &[&leaf(&old)])], 100, &[&new], false),
            ("both are, and have been for a TTL", &[(0, &[&leaf(&old)]), (10, &[&both])], 76, &[&new], true),
            ("a client may hold the old set", &[(0, &[&leaf(&old)]), (10, &[&both])], 75, &[&new], false),
            ("one server lags", &[(0, &[&both, &leaf(&old)])], 100, &[&new], false),
            ("nobody looked for a TTL", &[(0, &[&both])], 65, &[&new], false),
            ("the same key needs no past", &[(0, &[&leaf(&old)])], 0, &[&old], true),
            ("there are no records", &[(0, &[&none])], 0, &[&new], true),
            ("the issuer stays, and is served", &[(0, &[&issuer])], 66, &[&new], true),
            ("the issuer stays, and is not served", &[(0, &[&issuer])], 60, &[&bare], false),
            ("another issuer", &[(0, &[&issuer])], 60, &[&foreign], false),
            ("one of two kinds of keys is not covered", &[(0, &[&both])], 60, &[&new, &rsa], false),
            ("both kinds are", &[(0, &[&leaf(&new).with(&leaf(&rsa))])], 66, &[&new, &rsa], true),
        ];
        for (case, looks, secs, chains, allowed) in table {
            let mut memory = Memory::start(&at(0));
            for (secs, sets) in looks {
                memory.see(&place, &sight(sets), &at(*secs));
            }
            let verdict = judge(&memory, (&place, false), (&[&old], chains), &at(secs));
            assert_eq!(verdict.is_ok(), allowed, "{case}: {verdict:?}");
        }
    }

    #[test]
    fn at_a_name_that_only_the_certificate_has_a_set_counts_that_the_old_chain_fits() {
        let place: Place = "www.example.org".parse().unwrap();
        let [old, new, foreign] = [(); 3].map(|()| {
            let authority = Authority::new("one").unwrap();
            vec![authority.leaf(&["www.example.org"]).issue().unwrap().der().to_vec()]
        });
        let leaf = |chain: &[Vec<u8>]| RecordSet::new(cover::leaf_record(&chain[0], &RecordSet::default()));
        let table: [(&str, RecordSet, Chains<'_>, bool); 5] = [
            ("another server's records", leaf(&foreign), &[&old], true),
            ("our records, without the new key", leaf(&old), &[&old], false),
            ("our records, with it", leaf(&old).with(&leaf(&new)), &[&old], true),
            ("no records", RecordSet::default(), &[&old], true),
            ("nothing was served before that could tell whose they are", leaf(&foreign), &[], false),
        ];
        for (case, set, old, allowed) in table {
            let mut memory = Memory::start(&at(0));
            memory.see(&place, &sight(&[&set]), &at(0));
            let verdict = judge(&memory, (&place, true), (old, &[&new]), &at(100));
            assert_eq!(verdict.is_ok(), allowed, "{case}: {verdict:?}");
        }
    }
}
