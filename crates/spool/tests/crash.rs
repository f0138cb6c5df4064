//! Loss of power and failing calls, on a simulated disk, without a thread: every run is decided by its seed.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::io::ErrorKind;

use common::{Life, Model, Random, live, live_unread, small};
use waxseal_spool::{Settings, SimDisk};

/// Seeds of a run, of three lives each; the full size, more than 10,000 losses of power, is `WAXSEAL_CRASH_SEEDS=4000`.
fn seeds() -> u64 {
    std::env::var("WAXSEAL_CRASH_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(300)
}

/// What the runs reached, so that they are known to have tried something.
#[derive(Default)]
struct Reached {
    acknowledged: usize,
    recycled: u64,
    copied: u64,
}

impl std::iter::Sum for Reached {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, more| Self {
            acknowledged: sum.acknowledged + more.acknowledged,
            recycled: sum.recycled + more.recycled,
            copied: sum.copied + more.copied,
        })
    }
}

fn run(model: &mut Model, life: &mut Life, random: &mut Random, acts: usize) {
    for _ in 0..acts {
        model.act(life, random);
    }
}

/// Threats §1.2: I1 (accepted is in the spool or final), I2 and I3 (final once and for ever), I4 (marks that were synced hold), and a notification exists
/// if and only if the results that it tells do. Three lives of each disk, so that recovery from a recovery is seen, too.
#[test]
fn power_is_lost_at_any_call() {
    let (threads, seeds) = (4, seeds());
    let part = |first: u64| (first..seeds).step_by(threads).map(three_lives).sum::<Reached>();
    let reached: Reached = std::thread::scope(|scope| {
        let parts: Vec<_> = (0..threads as u64).map(|first| scope.spawn(move || part(first))).collect();
        parts.into_iter().map(|part| part.join().unwrap()).sum()
    });
    assert!(reached.acknowledged as u64 > 5 * seeds, "{}", reached.acknowledged);
    assert!(reached.recycled > seeds / 2, "{}", reached.recycled);
    assert!(reached.copied > seeds / 10, "{}", reached.copied);
}

fn three_lives(seed: u64) -> Reached {
    let mut reached = Reached::default();
    let (mut random, mut model, mut disk) = (Random(seed), Model::default(), SimDisk::new(seed));
    // Half of the runs have large bodies in files of their own.
    let inline_limit = if seed.is_multiple_of(2) { small().inline_limit } else { usize::MAX };
    let settings = Settings { inline_limit, ..small() };
    for generation in 0..3u64 {
        disk.power_off_after(disk.calls() + random.next(400));
        // A third of the lives takes mail before all that is there is read.
        let opened = if (seed + generation).is_multiple_of(3) {
            live_unread(&disk, settings.clone(), &mut model).and_then(|mut life| {
                run(&mut model, &mut life, &mut random, 60);
                model.read_all(&mut life).map(|()| life)
            })
        } else {
            live(&disk, settings.clone())
        };
        if let Ok(mut life) = opened {
            run(&mut model, &mut life, &mut random, 220);
            reached.acknowledged += model.acknowledged();
            reached.recycled += life.log.metrics().recycled;
            reached.copied += life.log.metrics().copied;
        }
        disk = disk.crash();
        // A copy: looking must not change what the next life finds.
        model.check(&disk.copy(), settings.clone(), &format!("seed {seed}, life {generation}"));
    }
    reached
}

/// Threats Q2: whatever fails, and how often the client hears of it, no `Ok` is false and nothing that was `Ok` is lost.
#[test]
fn each_call_fails_once() {
    for kind in [ErrorKind::Other, ErrorKind::StorageFull] {
        for call in 1.. {
            let (mut random, mut model, disk) = (Random(call), Model::default(), SimDisk::new(call));
            disk.fail_calls(call..=call, kind);
            let mut life = live(&disk, small()).or_else(|_| live(&disk, small())).unwrap();
            run(&mut model, &mut life, &mut random, 150);
            drop(life);
            let calls = disk.calls();
            model.check(&disk.crash(), small(), &format!("call {call}, {kind}"));
            if call > calls {
                break;
            }
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = || {
        let (mut random, mut model, disk) = (Random(7), Model::default(), SimDisk::new(7));
        let mut life = live(&disk, small()).unwrap();
        run(&mut model, &mut life, &mut random, 500);
        (disk.calls(), life.log.metrics().groups, model.acknowledged())
    };
    assert_eq!(run(), run());
}
