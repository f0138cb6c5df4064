//! How a rollover begins: what is asked for, against what is there.

use std::time::Duration;

use waxseal_trust::spki_of;

use crate::{
    Error, Memory, Patience, Place, Publisher, RecordSet, Records, Rollover, Route, Target, World, cover,
    state::{Phase, UnixTimeText, VERSION},
};

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// By which records.
    pub route: Route,
    /// Every name and port at which the certificate is served.
    pub places: Vec<Place>,
    /// What the next certificate replaces.
    pub target: Target,
    /// Other chains that are served at the same places, with keys of another kind: what they need is not withdrawn.
    pub beside: Vec<Vec<Vec<u8>>>,
    /// A command that makes the server take it.
    pub deploy: Vec<String>,
    /// Who changes the zone.
    pub publisher: Publisher,
    /// Of the records; `None` keeps what the zone has.
    pub ttl: Option<Duration>,
    /// How long the past counts.
    pub patience: Patience,
    /// Whether the server is called after the switch.
    pub probe: bool,
    /// Where the certificate for the next key is still to appear.
    pub awaits: Option<std::path::PathBuf>,
}

/// Places of one rollover; who has more makes several.
const MAX_PLACES: usize = 100;

impl Wish {
    /// Looks at what is there, and works out what has to change. Nothing is written, and nothing is published.
    ///
    /// # Errors
    /// What cannot be found out, and what makes no sense.
    pub async fn plan(&self, next: &[Vec<u8>], world: &impl World) -> Result<Rollover, Error> {
        if self.places.is_empty() || self.places.len() > MAX_PLACES {
            return Err(Error::Wrong(format!(
                "{} names are not between 1 and {MAX_PLACES}",
                self.places.len()
            )));
        }
        let now = world.now();
        let mut rollover = Rollover {
            version: VERSION,
            route: self.route,
            phase: Phase::Publishing,
            records: Vec::new(),
            target: self.target.clone(),
            deploy: self.deploy.clone(),
            publisher: self.publisher.clone(),
            ttl: self.ttl,
            patience: self.patience,
            probe: self.probe,
            awaits: self.awaits.clone(),
            same_key: false,
            began: UnixTimeText(now.wall.as_secs()),
            asked: None,
            memory: Memory::start(&now),
        };
        let current = self.current(&rollover, world)?;
        let leaf = |chain: &[Vec<u8>]| chain.first().and_then(|leaf| spki_of(leaf)).map(<[u8]>::to_vec);
        rollover.same_key = leaf(next).is_some() && current.as_deref().and_then(leaf) == leaf(next);
        for place in &self.places {
            let sight = world.look(place).await?;
            rollover.memory.see(place, &sight, &world.now());
            let served = rollover.memory.served(place, &world.now());
            let before = served.fold(RecordSet::default(), |all, holding| all.with(holding.set));
            rollover.records.push(self.records(place, before, (current.as_deref(), next), world)?);
        }
        Ok(rollover)
    }

    /// The chain that is installed, where one is. A file that cannot be read is no absence.
    fn current(&self, rollover: &Rollover, world: &impl World) -> Result<Option<Vec<Vec<u8>>>, Error> {
        if self.target.file.exists() { world.current_chain(rollover).map(Some) } else { Ok(None) }
    }

    fn records(
        &self,
        place: &Place,
        before: RecordSet,
        (current, next): (Option<&[Vec<u8>]>, &[Vec<u8>]),
        world: &impl World,
    ) -> Result<Records, Error> {
        let now = world.now().wall;
        let bad = |what: &str| Error::Wrong(format!("{place}: {what}"));
        let leaf = next.first().map(Vec::as_slice).unwrap_or_default();
        let leaf = cover::leaf_record(leaf, &before).ok_or_else(|| bad("the next certificate has no key"))?;
        let issuer = match self.route {
            Route::CurrentNext => None,
            Route::StableIssuer => {
                let none = "the next certificate comes without its issuer, which 2 1 1 wants served";
                let record = cover::issuer_record(next, &before).ok_or_else(|| bad(none))?;
                let alone = RecordSet::new([record.clone()]);
                // RFC 7672 §3.1.2: the path has to be in order, and the name has to be in the certificate.
                crate::covers(&alone, place, next, now)
                    .map_err(|why| bad(&format!("2 1 1 would not do: {why}")))?;
                Some(record)
            }
        };
        let wanted = RecordSet::new([leaf].into_iter().chain(issuer));
        // What carries the current chain, and neither the next one nor one that is served beside it.
        let of = |chain: &[Vec<u8>]| cover::matching(&before, &place.name, chain, now);
        let mut stale = current.map(of).unwrap_or_default().without(&of(next)).without(&wanted);
        // RFC 7671 §8.1: what is served has to be among what is published, from the first record on.
        let union = before.with(&wanted);
        let uncovered = |chain: &&[Vec<u8>]| {
            (before.is_empty() || crate::covers(&before, place, chain, now).is_ok())
                && crate::covers(&union, place, chain, now).is_err()
        };
        let alone = current.filter(uncovered).and_then(|chain| cover::leaf_record(chain.first()?, &before));
        let bridge = RecordSet::new(alone);
        stale = stale.with(&bridge);
        for chain in &self.beside {
            stale = stale.without(&of(chain));
        }
        Ok(Records { place: place.clone(), before, next: wanted, bridge, stale })
    }
}
