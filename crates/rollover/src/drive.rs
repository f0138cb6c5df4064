//! The steps, each taken only when its time has come, and each written down before and after.

use std::time::Duration;

use crate::{
    Change, Error, Hindrance, Phase, RecordSet, Rollover, World, covers,
    state::{Publisher, Records},
};

/// The TTL of records where none were and none is asked for.
pub const USUAL_TTL: Duration = Duration::from_secs(3600);
/// How long the zone is given to show a change before it is asked for once more.
const ASK_AGAIN: Duration = Duration::from_secs(600);

/// How far [`advance`] may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// Publish; look; no switch.
    Publish,
    /// Up to the switch, and no further.
    Switch,
    /// To the end.
    End,
}

/// Where it came to a halt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// This has to come first.
    Waits(Vec<Hindrance>),
    /// The limit was reached, and nothing else is in the way.
    Due,
    /// Nothing is left to do.
    Over,
}

/// Takes every step whose time has come. May be called at any time, again and again, also after a crash within it.
///
/// # Errors
/// What failed; all that was reached is written down.
pub async fn advance(rollover: &mut Rollover, world: &impl World, limit: Limit) -> Result<Standing, Error> {
    loop {
        let standing = match rollover.phase {
            Phase::Publishing => publishing(rollover, world, limit).await?,
            Phase::Switching => switching(rollover, world).await?,
            Phase::Confirming if limit < Limit::End => Some(Standing::Due),
            Phase::Confirming => confirming(rollover, world).await?,
            Phase::Withdrawing => settling(rollover, world, Phase::Done).await?,
            Phase::Undoing => settling(rollover, world, Phase::Undone).await?,
            Phase::Done | Phase::Undone => Some(Standing::Over),
        };
        if let Some(standing) = standing {
            return Ok(standing);
        }
    }
}

/// Begins: asks for the records of the next key to be published.
///
/// # Errors
/// As [`advance`].
pub async fn begin(rollover: &mut Rollover, world: &impl World) -> Result<Standing, Error> {
    world.save(rollover)?;
    advance(rollover, world, Limit::Publish).await
}

/// The switch, and nothing else: refused while a single client could hold records that the next certificate does not fit.
///
/// # Errors
/// [`Error::OutOfOrder`] says what has to come first; others as in [`advance`].
pub async fn switch(rollover: &mut Rollover, world: &impl World) -> Result<(), Error> {
    match rollover.phase {
        Phase::Publishing | Phase::Switching => {}
        Phase::Confirming | Phase::Withdrawing | Phase::Done => return Ok(()),
        Phase::Undoing | Phase::Undone => {
            return Err(Error::OutOfOrder(
                "this rollover was given up: there is nothing to switch to".into(),
            ));
        }
    }
    match advance(rollover, world, Limit::Switch).await? {
        Standing::Due | Standing::Over => Ok(()),
        Standing::Waits(hindrances) => Err(too_early("the switch would break mail", &hindrances)),
    }
}

/// All that is left, from the switch on: refused as [`switch`] is. What waits after the switch is no refusal.
///
/// # Errors
/// As [`switch`].
pub async fn finish(rollover: &mut Rollover, world: &impl World) -> Result<Standing, Error> {
    switch(rollover, world).await?;
    advance(rollover, world, Limit::End).await
}

/// Gives it up and withdraws what was published for it.
///
/// # Errors
/// [`Error::OutOfOrder`] from the switch on.
pub async fn undo(rollover: &mut Rollover, world: &impl World) -> Result<Standing, Error> {
    rollover.give_up()?;
    world.save(rollover)?;
    advance(rollover, world, Limit::End).await
}

fn too_early(what: &str, hindrances: &[Hindrance]) -> Error {
    let reasons: Vec<&str> = hindrances.iter().map(|hindrance| hindrance.why.as_str()).collect();
    Error::OutOfOrder(format!("too early, {what}: {}", reasons.join("; ")))
}

/// Looks at all servers.
///
/// # Errors
/// A single one that cannot be asked: what it serves is unknown then.
pub async fn look(rollover: &mut Rollover, world: &impl World) -> Result<(), Error> {
    for at in 0..rollover.records.len() {
        let place = rollover.records[at].place.clone();
        let sight = world.look(&place).await?;
        rollover.memory.see(&place, &sight, &world.now());
    }
    world.save(rollover)
}

async fn publishing(
    rollover: &mut Rollover,
    world: &impl World,
    limit: Limit,
) -> Result<Option<Standing>, Error> {
    look(rollover, world).await?;
    let chain = world.next_chain(rollover);
    if let Ok(chain) = &chain
        && rollover.hindrances(chain, &world.now()).is_empty()
    {
        if limit < Limit::Switch {
            return Ok(Some(Standing::Due));
        }
        // From here on the next key may be met by clients: written down before it is.
        rollover.phase = Phase::Switching;
        world.save(rollover)?;
        return Ok(None);
    }
    if publish(rollover, world).await? {
        look(rollover, world).await?;
    }
    let waits = match &chain {
        Ok(chain) => rollover.hindrances(chain, &world.now()),
        Err(error) => {
            let missing = Hindrance { why: error.to_string(), until: None };
            rollover.differences(&world.now()).into_iter().chain([missing]).collect()
        }
    };
    Ok(Some(if waits.is_empty() && limit < Limit::Switch { Standing::Due } else { Standing::Waits(waits) }))
}

/// A crash may have come before the files were put in place, or after it.
async fn switching(rollover: &mut Rollover, world: &impl World) -> Result<Option<Standing>, Error> {
    let chain = world.next_chain(rollover)?;
    let is_there = world.current_chain(rollover).is_ok_and(|current| current == chain);
    if !is_there {
        let hindrances = rollover.hindrances(&chain, &world.now());
        if !hindrances.is_empty() {
            rollover.phase = Phase::Publishing;
            world.save(rollover)?;
            return Ok(Some(Standing::Waits(hindrances)));
        }
    }
    world.install(rollover)?;
    world.deploy(rollover).await?;
    rollover.phase = Phase::Confirming;
    world.save(rollover)?;
    Ok(None)
}

async fn confirming(rollover: &mut Rollover, world: &impl World) -> Result<Option<Standing>, Error> {
    if rollover.probe {
        let chain = world.next_chain(rollover)?;
        let leaf = chain.first().map(Vec::as_slice).unwrap_or_default();
        let mut waits = Vec::new();
        for place in rollover.places() {
            if let Err(error) = world.shows(place, leaf).await {
                waits.push(Hindrance { why: format!("{place}: {error}"), until: None });
            }
        }
        if !waits.is_empty() {
            return Ok(Some(Standing::Waits(waits)));
        }
    }
    (rollover.phase, rollover.asked) = (Phase::Withdrawing, None);
    world.save(rollover)?;
    Ok(None)
}

/// Until every server serves what this phase wants.
async fn settling(
    rollover: &mut Rollover,
    world: &impl World,
    end: Phase,
) -> Result<Option<Standing>, Error> {
    look(rollover, world).await?;
    if !rollover.differences(&world.now()).is_empty() && publish(rollover, world).await? {
        look(rollover, world).await?;
    }
    let differences = rollover.differences(&world.now());
    if !differences.is_empty() {
        return Ok(Some(Standing::Waits(differences)));
    }
    rollover.phase = end;
    world.save(rollover)?;
    Ok(None)
}

/// Asks for the records of this phase where a server lacks them; `false` where nothing was done.
async fn publish(rollover: &mut Rollover, world: &impl World) -> Result<bool, Error> {
    let now = world.now();
    let time = rollover.memory.time(&now);
    let lately = rollover.asked.is_some_and(|asked| time.saturating_sub(asked) < ASK_AGAIN);
    if lately || rollover.publisher == Publisher::Hand {
        return Ok(false);
    }
    let changes = changes(rollover, &now);
    for change in &changes {
        is_safe(rollover, world, change)?;
    }
    for change in &changes {
        world.publish(change).await?;
    }
    rollover.asked = Some(time);
    world.save(rollover)?;
    Ok(!changes.is_empty())
}

/// What is to be changed at each place, as things were last seen.
#[must_use]
pub fn changes(rollover: &Rollover, now: &crate::Moment) -> Vec<Change> {
    let change = |records: &Records| {
        let served = rollover.memory.served(&records.place, now);
        let seen = served.fold(RecordSet::default(), |all, holding| all.with(holding.set));
        let (add, remove) = rollover.edit(records);
        let kept = rollover.memory.longest_ttl(&records.place).filter(|_| !records.before.is_empty());
        let ttl = rollover.ttl.or(kept).unwrap_or(USUAL_TTL);
        Change { place: records.place.clone(), add, remove, seen, ttl }
    };
    let wanted = |records: &&Records| {
        let (add, remove) = rollover.edit(records);
        let mut served = rollover.memory.served(&records.place, now);
        served.any(|holding| !holding.set.has_all(&add) || holding.set.has_any(&remove))
    };
    rollover.records.iter().filter(wanted).map(change).collect()
}

/// What is served now must be good under what is published next.
fn is_safe(rollover: &Rollover, world: &impl World, change: &Change) -> Result<(), Error> {
    let chain = world.current_chain(rollover)?;
    let before = covers(&change.seen, &change.place, &chain, world.now().wall);
    let after = covers(&change.wanted(), &change.place, &chain, world.now().wall);
    match (before, after) {
        // What was broken before is not broken by us.
        (_, Ok(())) | (Err(_), Err(_)) => Ok(()),
        (Ok(()), Err(why)) => Err(Error::OutOfOrder(format!(
            "{}: the records would not fit the certificate that is installed ({why}); the zone stays as it is",
            change.place
        ))),
    }
}
