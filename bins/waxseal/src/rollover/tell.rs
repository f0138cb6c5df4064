//! How far a rollover is, for people and programs.

use std::time::Duration;

use serde_json::{Value, json};
use waxseal_rollover::{
    Hindrance, Moment, Patience, Phase, Publisher, Records, Rollover, Route, Standing, USUAL_TTL, World,
    changes, covers,
};

use crate::terminal::{Printable, Terminal};

/// What stands in the way of the next step, without doing anything about it.
pub(super) fn waits(rollover: &Rollover, world: &impl World, now: &Moment) -> Vec<Hindrance> {
    match rollover.phase {
        Phase::Publishing | Phase::Switching => match world.next_chain(rollover) {
            Ok(chain) => rollover.hindrances(&chain, now),
            Err(error) => {
                let missing = Hindrance { why: error.to_string(), until: None };
                rollover.differences(now).into_iter().chain([missing]).collect()
            }
        },
        Phase::Confirming | Phase::Withdrawing | Phase::Undoing => rollover.differences(now),
        Phase::Done | Phase::Undone => Vec::new(),
    }
}

pub(super) fn standing(rollover: &Rollover, standing: &Standing, json: bool, terminal: &mut Terminal) {
    let now = Moment::now();
    let hindrances = match standing {
        Standing::Waits(hindrances) => hindrances.as_slice(),
        Standing::Due | Standing::Over => &[],
    };
    if json {
        return terminal.json(&to_json(rollover, hindrances, &now));
    }
    let names: Vec<String> = rollover.places().map(ToString::to_string).collect();
    terminal.line(format_args!("{}: {}", names.join(", "), phase(rollover.phase)));
    for hindrance in hindrances {
        let until =
            hindrance.until.map(|until| format!(", until {}", rollover.memory.wall(until, &now).rfc3339()));
        let why = Printable(&hindrance.why);
        terminal.line(format_args!("  waits: {why}{}", until.unwrap_or_default()));
    }
    by_hand(rollover, &now, terminal);
    if let Some(next) = next_step(rollover, hindrances.is_empty()) {
        terminal.line(format_args!("  next:  {next}"));
    }
}

const fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Publishing => "the next key's records are being published; the current key is served",
        Phase::Switching => "the next key is being installed",
        Phase::Confirming => "the next key is installed; is it served?",
        Phase::Withdrawing => "the next key is served; the old records are being withdrawn",
        Phase::Done => "done: the new key is served, and nothing else is published",
        Phase::Undoing => "given up; the next records are being withdrawn",
        Phase::Undone => "given up: all is as it was",
    }
}

const fn next_step(rollover: &Rollover, free: bool) -> Option<&'static str> {
    Some(match (rollover.phase, free) {
        (Phase::Publishing, false) => {
            "`run` looks again and goes on when its time has come; `undo` gives it up"
        }
        (Phase::Publishing | Phase::Switching, _) => "the switch may be made: `switch`, `finish` or `run`",
        (Phase::Confirming | Phase::Withdrawing | Phase::Undoing, _) => "`run` or `finish` goes on",
        (Phase::Done | Phase::Undone, _) => return None,
    })
}

/// What a person has to do to the zone.
fn by_hand(rollover: &Rollover, now: &Moment, terminal: &mut Terminal) {
    if rollover.publisher != Publisher::Hand || rollover.phase.is_over() {
        return;
    }
    for change in changes(rollover, now) {
        let Ok(owner) = change.place.owner() else { continue };
        for record in change.add.without(&change.seen).lines() {
            let ttl = change.ttl.as_secs();
            terminal.line(format_args!("  publish:  {owner}. {ttl} IN TLSA {record}"));
        }
        for record in change.remove.lines() {
            terminal.line(format_args!("  withdraw: {owner}. IN TLSA {record}"));
        }
    }
}

fn to_json(rollover: &Rollover, hindrances: &[Hindrance], now: &Moment) -> Value {
    let waits = hindrances.iter().map(|hindrance| {
        let until = hindrance.until.map(|until| rollover.memory.wall(until, now).rfc3339().to_string());
        json!({ "why": hindrance.why, "until": until })
    });
    let places = rollover.records.iter().map(|records| {
        let served = rollover.memory.served(&records.place, now);
        let served =
            served.map(|holding| json!({ "servers": holding.servers, "records": holding.set.lines() }));
        json!({
            "place": records.place.to_string(),
            "before": records.before.lines(),
            "next": records.next.lines(),
            "stale": records.stale.lines(),
            "served": served.collect::<Vec<_>>(),
        })
    });
    json!({
        "phase": rollover.phase.to_string(),
        "over": rollover.phase.is_over(),
        "route": route(rollover.route),
        "same_key": rollover.same_key,
        "began": waxseal_types::UnixTime::from_secs(rollover.began.0).rfc3339().to_string(),
        "waits": waits.collect::<Vec<_>>(),
        "places": places.collect::<Vec<_>>(),
    })
}

const fn route(route: Route) -> &'static str {
    match route {
        Route::CurrentNext => "current-next",
        Route::StableIssuer => "stable-issuer",
    }
}

/// How long clients may go on holding what does not fit the next chain, if it were withdrawn now.
fn longest_wait(rollover: &Rollover, records: &Records, next: &[Vec<u8>], now: &Moment) -> Duration {
    let held = rollover.memory.held(&records.place, rollover.patience, now);
    let unfit = held.filter(|holding| {
        let young = holding.set.is_empty() && !rollover.same_key;
        young || covers(holding.set, &records.place, next, now.wall).is_err()
    });
    let time = rollover.memory.time(now);
    let past = rollover.memory.is_complete(&records.place, now).1.saturating_sub(time);
    let past = if rollover.same_key { Duration::ZERO } else { past };
    unfit.map(|holding| holding.until.saturating_sub(time)).max().unwrap_or_default().max(past)
}

/// Everything that will happen, and when at the earliest.
pub(super) fn timetable(
    rollover: &Rollover,
    next: &[Vec<u8>],
    made: bool,
    json: bool,
    terminal: &mut Terminal,
) {
    let now = Moment::now();
    let waits = rollover.records.iter().map(|records| longest_wait(rollover, records, next, &now));
    let wait = waits.max().unwrap_or_default();
    let added = rollover.records.iter().any(|records| !records.added().is_empty());
    // Where the records that are there carry the next key, the new ones come after the switch.
    let first = added && !wait.is_zero();
    let switch = now.wall + wait;
    if json {
        let mut value = to_json(rollover, &[], &now);
        value["earliest_switch"] = json!(switch.rfc3339().to_string());
        value["wait_seconds"] = json!(wait.as_secs());
        return terminal.json(&value);
    }
    let mut row = |when: &str, what: String| terminal.line(format_args!("  {when:<22}{what}"));
    for records in &rollover.records {
        let owner = records.place.owner().map(|owner| owner.to_string()).unwrap_or_default();
        let ttl = rollover
            .ttl
            .or_else(|| rollover.memory.longest_ttl(&records.place))
            .unwrap_or(USUAL_TTL)
            .as_secs();
        for record in records.added().lines().iter().filter(|_| first) {
            let record =
                if made { format!("{} (of a key yet to be made)", &record[..6]) } else { record.clone() };
            row("now", format!("publish {owner}. {ttl} IN TLSA {record}"));
        }
        let servers: usize =
            rollover.memory.served(&records.place, &now).map(|holding| holding.servers.len()).sum();
        row("then", format!("{}: {servers} servers have to serve it, each of them", records.place));
    }
    let what = match rollover.patience {
        Patience::Ttl => "the TTL of what was served before has passed",
        Patience::Signatures => "the TTL of what was served before has passed, and its signatures have ended",
    };
    row(&format!("{} s later", wait.as_secs()), format!("{what}: not before {}", switch.rfc3339()));
    row("then", format!("install {}", rollover.target.file.display()));
    if let Some(program) = rollover.deploy.first() {
        row("", format!("run {program}"));
    }
    if rollover.probe {
        row("", "see the next certificate at every address of every name".into());
    }
    for records in &rollover.records {
        let owner = records.place.owner().map(|owner| owner.to_string()).unwrap_or_default();
        for record in records.stale.lines() {
            row("then", format!("withdraw {owner}. IN TLSA {record}"));
        }
    }
    row("", "done when every server has it so. Until the switch all can be undone.".into());
}
