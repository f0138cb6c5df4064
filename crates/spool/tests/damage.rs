//! Rot: what was whole once and is not any more is found, told, kept, and does not harm its neighbours.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::sync::Arc;

use common::{Random, body, live, put, small, wait};
use waxseal_spool::{Done, Error, Settings, SimDisk, Snapshot, Spool, Storage, Update, open_stepped};
use waxseal_types::QueueId;

const MESSAGES: u64 = 6;
const SEGMENT: &str = "0000000000000001.seg";

fn spool() -> SimDisk {
    let disk = SimDisk::new(1);
    let mut life = live(&disk, Settings { segment_size: 1 << 20, ..small() }).unwrap();
    for number in 1..=MESSAGES {
        drop(life.log.put(put(number, 1, 150 * number as usize)));
        // Groups of two.
        if number % 2 == 0 {
            life.stepper.step();
        }
    }
    life.stepper.end();
    disk
}

/// What is left of the messages, and how often damage was told of; those that are there are whole.
fn survivors(disk: &SimDisk) -> (Vec<u64>, usize) {
    let (log, recovery, _stepper) = open_stepped(Arc::new(disk.clone()), small()).unwrap();
    let mut damage = recovery.report().damage.len();
    let mut found = Vec::new();
    for message in recovery {
        let read = message.and_then(|message| wait(log.read(message.envelope.id)));
        match read {
            Ok(stored) => {
                let number = stored.envelope.id.as_u64();
                assert_eq!(stored.body, body(number, 150 * number as usize));
                found.push(number);
            }
            Err(error) => {
                assert!(matches!(error, Error::Corrupt { .. }), "{error}");
                damage += 1;
            }
        }
    }
    (found, damage)
}

#[test]
fn rot_at_every_offset_costs_one_message_at_most_and_is_told() {
    let whole = spool();
    let length = whole.open(SEGMENT).unwrap().len().unwrap();
    let mut lost = 0;
    for offset in 0..length {
        let disk = whole.copy();
        disk.rot(SEGMENT, offset, 1 << (offset % 8));
        let (found, damage) = survivors(&disk);
        assert!(found.len() as u64 >= MESSAGES - 1, "{offset}: {found:?}");
        if (found.len() as u64) < MESSAGES {
            lost += 1;
            assert!(damage > 0, "{offset}: lost without a word");
        }
    }
    assert!(lost > length / 3, "many octets belong to a message: {lost} of {length}");
}

/// A segment with messages, results, ends, and a notification that ends another message; those with the ids that come back live.
fn mixed(seed: u64) -> (SimDisk, [u64; 3]) {
    let disk = SimDisk::new(seed);
    let mut life = live(&disk, Settings { segment_size: 1 << 20, ..small() }).unwrap();
    let mut random = Random(seed);
    let mut message = |number| put(number, 2, 50 + random.next(300) as usize);
    for number in 1..=4 {
        drop(life.log.put(message(number)));
    }
    life.stepper.step();
    let progress = common::progress(1, waxseal_spool::RecipientState::Pending);
    let results = vec![waxseal_spool::RecipientResult { index: 1, progress }];
    drop(life.log.update(Update { id: QueueId::from_u64(2), results, dsn: None }));
    drop(life.log.done(Done { id: QueueId::from_u64(1), dsn: None }));
    drop(life.log.done(Done { id: QueueId::from_u64(3), dsn: Some(message(5)) }));
    life.stepper.step();
    life.stepper.end();
    (disk, [2, 4, 5])
}

/// Octets of 100 segments, one at a time: what is lost is told, by a start or by verify, and nothing else is lost. All offsets with
/// `WAXSEAL_ROT_STEP=1`.
#[test]
fn rot_in_any_of_a_hundred_segments_is_detected_and_its_neighbours_are_intact() {
    let step = std::env::var("WAXSEAL_ROT_STEP").ok().and_then(|text| text.parse().ok()).unwrap_or(41);
    let (mut tried, mut hit) = (0, 0);
    for seed in 0..100 {
        let (disk, alive) = mixed(seed);
        let length = disk.open(SEGMENT).unwrap().len().unwrap();
        for offset in (seed % step..length).step_by(step as usize) {
            disk.rot(SEGMENT, offset, 0x20);
            let snapshot = Snapshot::of(Arc::new(disk.clone()), false).unwrap();
            let told = !snapshot.report().damage.is_empty();
            let found: Vec<_> = snapshot.messages().map(|m| m.unwrap().envelope.id.as_u64()).collect();
            let lost: Vec<_> = alive.into_iter().filter(|id| !found.contains(id)).collect();
            let risen: Vec<_> = found.iter().copied().filter(|id| !alive.contains(id)).collect();
            // One record at most: a message, the end of one, or a notification with the end that it tells.
            assert!(
                lost.len() + risen.len() <= 1 || (&lost[..], &risen[..]) == (&[5], &[3]),
                "seed {seed}, {offset}: {lost:?} {risen:?}"
            );
            assert!(told || lost.is_empty() && risen.is_empty(), "seed {seed}, {offset}: not told");
            hit += usize::from(told);
            tried += 1;
            disk.rot(SEGMENT, offset, 0x20);
        }
    }
    assert!(hit * 3 > tried, "{hit} of {tried}");
}

#[test]
fn rot_of_many_sectors_spares_the_rest() {
    let disk = spool();
    for offset in 1024..1536 {
        disk.rot(SEGMENT, offset, 0xff);
    }
    let (found, damage) = survivors(&disk);
    assert_eq!(found, [3, 4, 5, 6]);
    assert!(damage > 0);
}

#[test]
fn a_damaged_segment_is_kept_under_another_name_when_its_time_has_come() {
    let disk = SimDisk::new(2);
    let mut life = live(&disk, small()).unwrap();
    for number in 1..=20 {
        drop(life.log.put(put(number, 1, 1500)));
        life.stepper.step();
    }
    life.stepper.end();
    disk.rot(SEGMENT, 1300, 1);
    let (log, recovery, mut stepper) = open_stepped(Arc::new(disk.clone()), small()).unwrap();
    // The index of the segment is whole: the damage is met when the message is read.
    assert_eq!((recovery.remaining(), recovery.report().damage.len()), (20, 0));
    let error = wait(log.read(QueueId::from_u64(1))).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    for number in 1..=20 {
        drop(log.done(waxseal_spool::Done { id: QueueId::from_u64(number), dsn: None }));
    }
    stepper.step();
    let names = disk.list().unwrap();
    assert!(names.contains(&format!("{SEGMENT}.bad")) && !names.contains(&SEGMENT.into()), "{names:?}");
}

#[test]
fn rot_is_found_when_a_message_is_read() {
    let disk = SimDisk::new(2);
    let mut life = live(&disk, small()).unwrap();
    drop(life.log.put(put(1, 1, 1500)));
    life.stepper.step();
    disk.rot(SEGMENT, 2000, 1);
    let error = wait(life.log.read(QueueId::from_u64(1))).unwrap_err();
    assert!(matches!(error, waxseal_spool::Error::Corrupt { .. }), "{error}");
    assert!(error.to_string().contains(SEGMENT), "{error}");
}

/// Nothing valid follows: what a crash left behind is torn, not damaged.
#[test]
fn a_torn_tail_is_no_damage() {
    let disk = SimDisk::new(4);
    let mut life = live(&disk, small()).unwrap();
    drop(life.log.put(put(1, 1, 1500)));
    life.stepper.step();
    drop(life.log.put(put(2, 1, 1500)));
    life.stepper.step();
    drop(life);
    disk.rot(SEGMENT, 3500, 1);
    let (_, recovery, _) = open_stepped(Arc::new(disk), small()).unwrap();
    assert_eq!(recovery.report().damage, []);
    assert!(recovery.report().torn > 1500);
    assert_eq!(recovery.remaining(), 1);
}
