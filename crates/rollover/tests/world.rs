//! A small world with two name servers, a mail server, and clients that hold what they were told for as long as they may; and rollovers in it.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::{cell::RefCell, path::PathBuf, time::Duration};

use waxseal_rollover::{
    Answer, Change, Error, Limit, Moment, Patience, Phase, Place, Publisher, RecordSet, Rollover, Route,
    Served, Sight, Standing, Target, Wish, World, advance, begin, covers, finish, leaf_record, switch, undo,
};
use waxseal_testbed::Authority;
use waxseal_types::UnixTime;

type Chain = Vec<Vec<u8>>;

const TTL: u64 = 12;
const START: u64 = 1_795_000_000;

struct Sim(RefCell<State>);

struct State {
    secs: u64,
    /// What the primary has, and when the secondary takes it over.
    zones: [RecordSet; 2],
    lag: u64,
    transfer: Option<u64>,
    /// What clients hold, and until when.
    clients: Vec<(RecordSet, u64)>,
    next: Option<Chain>,
    file: Chain,
    served: Chain,
    saved: Option<String>,
    /// Effects so far, and the one at which the process dies, before or after it.
    effects: u32,
    dies: Option<(u32, bool)>,
    failures: Vec<String>,
    stuck: bool,
}

fn place() -> Place {
    "mx.example.org".parse().unwrap()
}

impl Sim {
    fn new(zone: RecordSet, file: Chain, next: Chain) -> Self {
        let state = State {
            secs: 0,
            zones: [zone.clone(), zone],
            lag: 3,
            transfer: None,
            clients: Vec::new(),
            next: Some(next),
            served: file.clone(),
            file,
            saved: None,
            effects: 0,
            dies: None,
            failures: Vec::new(),
            stuck: false,
        };
        Self(RefCell::new(state))
    }

    fn moment(secs: u64) -> Moment {
        Moment {
            wall: UnixTime::from_secs(START + secs),
            boot: "a".into(),
            uptime: Duration::from_secs(secs),
        }
    }

    /// A second goes by: every client asks again, and sends mail with what it holds.
    fn tick(&self) {
        let mut state = self.0.borrow_mut();
        state.secs += 1;
        let secs = state.secs;
        if state.transfer.is_some_and(|at| at <= secs) && !state.stuck {
            state.zones[1] = state.zones[0].clone();
            state.transfer = None;
        }
        for zone in state.zones.clone() {
            state.clients.push((zone, secs + TTL));
        }
        state.clients.retain(|(_, until)| *until > secs);
        state.clients.dedup();
        let now = Self::moment(secs).wall;
        // Many clients hold the same: one of them stands for all.
        let mut held: Vec<&RecordSet> = Vec::new();
        for (set, _) in &state.clients {
            if !held.contains(&set) {
                held.push(set);
            }
        }
        let verdicts = held.into_iter().map(|set| covers(set, &place(), &state.served, now));
        let failures: Vec<String> =
            verdicts.filter_map(Result::err).map(|why| format!("at {secs}: {why}")).collect();
        state.failures.extend(failures);
    }

    /// Something happens, unless the process dies before it; or it dies right after.
    fn effect(&self, happens: impl FnOnce(&mut State)) -> Result<(), Error> {
        let mut state = self.0.borrow_mut();
        state.effects += 1;
        let dies = state.dies.filter(|(at, _)| *at == state.effects);
        if !matches!(dies, Some((_, false))) {
            happens(&mut state);
        }
        if dies.is_some() { Err(Error::Unknown("killed".into())) } else { Ok(()) }
    }

    fn rollover(&self) -> Option<Rollover> {
        self.0.borrow().saved.as_ref().map(|text| Rollover::parse(text).unwrap())
    }
}

impl World for Sim {
    fn now(&self) -> Moment {
        Self::moment(self.0.borrow().secs)
    }

    fn look<'a>(&'a self, _: &'a Place) -> Answer<'a, Result<Sight, Error>> {
        let state = self.0.borrow();
        let served = state.zones.iter().zip(["ns1", "ns2"]).map(|(set, server)| Served {
            server: server.into(),
            set: set.clone(),
            ttl: Duration::from_secs(TTL),
            signed_until: Some(UnixTime::from_secs(START + state.secs + 100)),
        });
        let sight = Sight { served: served.collect() };
        Box::pin(async { Ok(sight) })
    }

    fn publish<'a>(&'a self, change: &'a Change) -> Answer<'a, Result<(), Error>> {
        let done = self.effect(|state| {
            state.zones[0] = state.zones[0].with(&change.add).without(&change.remove);
            state.transfer = Some(state.secs + state.lag);
        });
        Box::pin(async { done })
    }

    fn next_chain(&self, _: &Rollover) -> Result<Chain, Error> {
        self.0.borrow().next.clone().ok_or_else(|| Error::Unknown("the certificate is not there yet".into()))
    }

    fn current_chain(&self, _: &Rollover) -> Result<Chain, Error> {
        Ok(self.0.borrow().file.clone())
    }

    fn install(&self, _: &Rollover) -> Result<(), Error> {
        self.effect(|state| state.file = state.next.clone().unwrap())
    }

    fn deploy<'a>(&'a self, _: &'a Rollover) -> Answer<'a, Result<(), Error>> {
        let done = self.effect(|state| state.served = state.file.clone());
        Box::pin(async { done })
    }

    fn shows<'a>(&'a self, _: &'a Place, leaf: &'a [u8]) -> Answer<'a, Result<(), Error>> {
        let shown = self.0.borrow().served[0] == leaf;
        Box::pin(
            async move { if shown { Ok(()) } else { Err(Error::Unknown("the old one is shown".into())) } },
        )
    }

    fn save(&self, rollover: &Rollover) -> Result<(), Error> {
        let text = rollover.text().unwrap();
        self.effect(|state| state.saved = Some(text))
    }
}

fn wish(route: Route) -> Wish {
    Wish {
        route,
        places: vec![place()],
        // A file that is there: the world answers for it.
        target: Target { file: PathBuf::from("/dev/null"), key_file: None },
        beside: Vec::new(),
        deploy: Vec::new(),
        publisher: Publisher::Hook(vec!["hook".into()]),
        ttl: None,
        patience: Patience::Ttl,
        probe: true,
        awaits: None,
    }
}

fn chain(authority: &Authority) -> Chain {
    let leaf = authority.leaf(&["mx.example.org"]).issue().unwrap();
    vec![leaf.der().to_vec(), authority.intermediate_der().to_vec()]
}

fn leaf(chain: &Chain) -> RecordSet {
    RecordSet::new(leaf_record(&chain[0], &RecordSet::default()))
}

fn issuer(chain: &Chain) -> RecordSet {
    RecordSet::new(waxseal_rollover::issuer_record(chain, &RecordSet::default()))
}

/// Starts it, then lets a timer go on with it every second, however often it dies, until it is over. Gives the second of each phase's begin.
async fn play(sim: &Sim, wish: &Wish) -> Vec<(Phase, u64)> {
    let mut phases: Vec<(Phase, u64)> = Vec::new();
    for _ in 0..1000 {
        sim.tick();
        let died = match sim.rollover() {
            None => {
                let next = sim.0.borrow().next.clone().unwrap();
                let planned = wish.plan(&next, sim).await;
                match planned {
                    Ok(mut rollover) => begin(&mut rollover, sim).await.map(|_| ()),
                    Err(error) => Err(error),
                }
            }
            Some(mut rollover) => advance(&mut rollover, sim, Limit::End).await.map(|_| ()),
        };
        assert!(died.is_ok() || died.unwrap_err().to_string() == "killed");
        let phase = sim.rollover().map(|rollover| rollover.phase);
        let secs = sim.0.borrow().secs;
        if let Some(phase) = phase
            && phases.last().is_none_or(|(last, _)| *last != phase)
        {
            phases.push((phase, secs));
        }
        if phase.is_some_and(Phase::is_over) {
            // Whatever a client still holds has to be good.
            (0..2 * TTL).for_each(|_| sim.tick());
            return phases;
        }
    }
    unreachable!("it never ended: {phases:?}")
}

struct Case {
    name: &'static str,
    route: Route,
    zone: RecordSet,
    old: Chain,
    new: Chain,
    /// Seconds from the start to the switch, at the least and at the most.
    waits: (u64, u64),
    after: RecordSet,
}

fn cases() -> Vec<Case> {
    let (one, two) = (Authority::new("one").unwrap(), Authority::new("two").unwrap());
    let (old, new, foreign) = (chain(&one), chain(&one), chain(&two));
    let (none, ta) = (RecordSet::default(), issuer(&old));
    let case = |name, route, zone: &RecordSet, new: &Chain, waits, after: RecordSet| Case {
        name,
        route,
        zone: zone.clone(),
        old: old.clone(),
        new: new.clone(),
        waits,
        after,
    };
    let (plain, stable) = (Route::CurrentNext, Route::StableIssuer);
    // The secondary has it three seconds after the primary, and the TTL runs from then.
    let full = (TTL + 3, TTL + 8);
    let both = leaf(&old).with(&ta);
    vec![
        case("a new key", plain, &leaf(&old), &new, full, leaf(&new)),
        case("a new key of another issuer", plain, &leaf(&old), &foreign, full, leaf(&foreign)),
        case("the same key", plain, &leaf(&old), &old, (0, 2), leaf(&old)),
        case("no records before", plain, &none, &new, full, leaf(&new)),
        case(
            "others' records stay",
            plain,
            &leaf(&old).with(&leaf(&foreign)),
            &new,
            full,
            leaf(&new).with(&leaf(&foreign)),
        ),
        // The issuer's record carries the new key; only what was served before we looked has to run out.
        case("a new key, the issuer stays", stable, &both, &new, (TTL, TTL + 4), leaf(&new).with(&ta)),
        case("the issuer changes", stable, &both, &foreign, full, leaf(&foreign).with(&issuer(&foreign))),
    ]
}

#[tokio::test]
async fn no_client_is_turned_away_whatever_it_holds() {
    for case in cases() {
        let sim = Sim::new(case.zone.clone(), case.old.clone(), case.new.clone());
        let phases = play(&sim, &wish(case.route)).await;
        let state = sim.0.borrow();
        assert_eq!(state.failures, Vec::<String>::new(), "{}", case.name);
        assert_eq!(
            (&state.served, &state.zones),
            (&case.new, &[case.after.clone(), case.after.clone()]),
            "{}",
            case.name
        );
        let switched = phases.iter().find(|(phase, _)| *phase > Phase::Publishing).unwrap().1;
        assert!((case.waits.0..=case.waits.1).contains(&switched), "{}: switched at {switched}", case.name);
    }
}

#[tokio::test]
async fn a_process_that_is_killed_at_any_point_is_continued_by_the_next_one() {
    for case in cases() {
        let mut at = 1;
        loop {
            let mut reached = false;
            for after in [false, true] {
                let sim = Sim::new(case.zone.clone(), case.old.clone(), case.new.clone());
                sim.0.borrow_mut().dies = Some((at, after));
                play(&sim, &wish(case.route)).await;
                let state = sim.0.borrow();
                let when = format!("{}, killed at {at}, {after}", case.name);
                assert_eq!(state.failures, Vec::<String>::new(), "{when}");
                assert_eq!((&state.served, &state.zones[1]), (&case.new, &case.after), "{when}");
                reached = state.effects > at + 1;
            }
            if !reached {
                break;
            }
            // Looks are written down each second: between steps one of them stands for all.
            at += if at < 12 { 1 } else { 3 };
        }
        assert!(at > 5, "{}: {at}", case.name);
    }
}

fn case() -> (Sim, Chain, Chain) {
    let authority = Authority::new("one").unwrap();
    let (old, new) = (chain(&authority), chain(&authority));
    (Sim::new(leaf(&old), old.clone(), new.clone()), old, new)
}

async fn started(sim: &Sim, wish: &Wish) -> Rollover {
    sim.tick();
    let next = sim.0.borrow().next.clone().unwrap();
    let mut rollover = wish.plan(&next, sim).await.unwrap();
    begin(&mut rollover, sim).await.unwrap();
    rollover
}

#[tokio::test]
async fn steps_out_of_order_are_refused_and_change_nothing() {
    let (sim, old, _) = case();
    let mut rollover = started(&sim, &wish(Route::CurrentNext)).await;
    for _ in 0..TTL {
        sim.tick();
        for _ in 0..2 {
            let switched = switch(&mut rollover, &sim).await;
            assert!(
                matches!(&switched, Err(Error::OutOfOrder(why)) if why.starts_with("too early")),
                "{switched:?}"
            );
            assert!(matches!(finish(&mut rollover, &sim).await, Err(Error::OutOfOrder(_))));
        }
        assert_eq!(sim.0.borrow().file, old);
    }
    while switch(&mut rollover, &sim).await.is_err() {
        sim.tick();
    }
    assert_eq!(rollover.phase, Phase::Confirming, "the switch is made, and nothing is withdrawn by it");
    assert!(matches!(undo(&mut rollover, &sim).await, Err(Error::OutOfOrder(_))));
    while finish(&mut rollover, &sim).await.unwrap() != Standing::Over {
        assert!(matches!(undo(&mut rollover, &sim).await, Err(Error::OutOfOrder(_))));
        sim.tick();
    }
    assert!(matches!(undo(&mut rollover, &sim).await, Err(Error::OutOfOrder(_))));
    assert_eq!(finish(&mut rollover, &sim).await.unwrap(), Standing::Over, "once more does no harm");
    assert_eq!(sim.0.borrow().failures, Vec::<String>::new());
}

#[tokio::test]
async fn a_server_that_lags_holds_the_switch() {
    let (sim, old, new) = case();
    sim.0.borrow_mut().stuck = true;
    let mut rollover = started(&sim, &wish(Route::CurrentNext)).await;
    for _ in 0..5 * TTL {
        sim.tick();
        let Standing::Waits(why) = advance(&mut rollover, &sim, Limit::End).await.unwrap() else {
            unreachable!("it went on without the second server")
        };
        assert!(
            why.iter().any(|hindrance| hindrance.why.contains("ns2") && hindrance.until.is_none()),
            "{why:?}"
        );
        assert_eq!(sim.0.borrow().file, old);
    }
    sim.0.borrow_mut().stuck = false;
    let since = sim.0.borrow().secs;
    while advance(&mut rollover, &sim, Limit::Switch).await.unwrap() != Standing::Due {
        sim.tick();
    }
    assert!(sim.0.borrow().secs > since + TTL, "the TTL counts from the last server on");
    assert_eq!((&sim.0.borrow().served, &sim.0.borrow().failures), (&new, &Vec::new()));
}

#[tokio::test]
async fn before_the_switch_all_can_be_undone() {
    let (sim, old, _) = case();
    let mut rollover = started(&sim, &wish(Route::CurrentNext)).await;
    (0..TTL / 2).for_each(|_| sim.tick());
    while undo(&mut rollover, &sim).await.unwrap() != Standing::Over {
        sim.tick();
    }
    assert_eq!(rollover.phase, Phase::Undone);
    assert!(matches!(undo(&mut rollover, &sim).await, Err(Error::OutOfOrder(_))));
    assert!(matches!(switch(&mut rollover, &sim).await, Err(Error::OutOfOrder(_))));
    (0..TTL).for_each(|_| sim.tick());
    let state = sim.0.borrow();
    assert_eq!((&state.file, &state.zones[1], &state.failures), (&old, &leaf(&old), &Vec::new()));
}

#[tokio::test]
async fn signatures_are_outlasted_where_that_is_wanted() {
    let (sim, _, _) = case();
    let phases = play(&sim, &Wish { patience: Patience::Signatures, ..wish(Route::CurrentNext) }).await;
    let switched = phases.iter().find(|(phase, _)| *phase > Phase::Publishing).unwrap().1;
    // The last signature over the old set was good for 100 seconds.
    assert!((100..=110).contains(&switched), "{switched}");
}

#[tokio::test]
async fn an_old_certificate_that_is_still_shown_keeps_its_record() {
    let (sim, old, _) = case();
    let mut rollover = started(&sim, &wish(Route::CurrentNext)).await;
    while advance(&mut rollover, &sim, Limit::Switch).await.unwrap() != Standing::Due
        || rollover.phase == Phase::Publishing
    {
        sim.tick();
    }
    // The server went back to the old one, whatever the reason.
    sim.0.borrow_mut().served = old.clone();
    for _ in 0..2 * TTL {
        sim.tick();
        assert!(matches!(advance(&mut rollover, &sim, Limit::End).await.unwrap(), Standing::Waits(_)));
    }
    assert!(sim.0.borrow().zones[0].has_all(&leaf(&old)));
    assert_eq!(sim.0.borrow().failures, Vec::<String>::new());
}
