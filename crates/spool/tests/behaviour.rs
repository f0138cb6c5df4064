//! What the log promises, one event each.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::{io::ErrorKind, sync::Arc, time::Duration};

use common::{body, envelope, live, poll, progress, put, small, wait};
use waxseal_spool::{
    Done, Error, Found, Log, Progress, RecipientResult, RecipientState, Recovered, Recovery, Refusal,
    Settings, SimDisk, Snapshot, Spool, Storage, Update, Waiting, open, open_on, open_stepped, open_unread,
};
use waxseal_types::QueueId;

fn id(number: u64) -> QueueId {
    QueueId::from_u64(number)
}

fn done(log: &Log, number: u64) -> waxseal_spool::Pending<()> {
    log.done(Done { id: id(number), dsn: None })
}

#[test]
fn no_message_is_acknowledged_while_syncs_are_held_back() {
    let disk = SimDisk::new(1);
    disk.hold_syncs(true);
    let (log, _) = open_on(Arc::new(disk.clone()), small()).unwrap();
    let mut first = log.put(put(1, 1, 100));
    disk.await_held_sync();
    let mut second = log.put(put(2, 1, 100));
    assert!(poll(&mut first).is_none() && poll(&mut second).is_none());
    assert!(matches!(wait(log.read(id(1))), Err(Error::Unknown(_))));
    disk.hold_syncs(false);
    wait(first).unwrap();
    wait(second).unwrap();
}

#[test]
fn a_message_costs_the_disk_its_text_and_fifteen_hundredths_and_four_kilobytes_a_sync() {
    let (clients, rounds, text) = (40, 20, 10_000_u64);
    let disk = SimDisk::new(1);
    let mut life = live(&disk, Settings::default()).unwrap();
    for first in (0..rounds).map(|round| round * clients + 1) {
        let puts = (first..first + clients).map(|number| life.log.put(put(number, 1, text as usize)));
        let mut asked: Vec<_> = puts.collect();
        // Each is delivered while the next ones come in.
        asked.extend((first.saturating_sub(clients).max(1)..first).map(|number| done(&life.log, number)));
        life.stepper.step();
        asked.iter_mut().for_each(|asked| poll(asked).unwrap().unwrap());
    }
    let metrics = life.log.metrics();
    assert_eq!((metrics.puts, metrics.groups), (clients * rounds, rounds));
    let most = metrics.puts * text * 115 / 100 + 4096 * metrics.syncs;
    assert!((metrics.puts * text..=most).contains(&metrics.bytes), "{metrics:?}, at most {most} octets");
}

#[test]
fn a_listing_reads_envelopes_and_results_and_no_text() {
    let disk = SimDisk::new(1);
    let mut life = live(&disk, small()).unwrap();
    let puts: Vec<_> =
        [(1, 1), (2, 60), (3, 1)].map(|(number, to)| life.log.put(put(number, to, 1000))).into();
    life.stepper.step();
    puts.into_iter().for_each(|mut put| poll(&mut put).unwrap().unwrap());
    let result = RecipientResult { index: 0, progress: progress(4, RecipientState::Pending) };
    let mut mark = life.log.update(Update { id: id(1), results: vec![result], dsn: None });
    life.stepper.step();
    poll(&mut mark).unwrap().unwrap();
    // Nobody who reads the text of the first one gets it.
    let record = Snapshot::of(Arc::new(disk.clone()), true).unwrap().records()[0].clone();
    disk.rot(&record.segment, record.offset + record.length - 32, 1);
    assert!(matches!(wait(life.log.read(id(1))), Err(Error::Corrupt { .. })));
    let outlines = wait(life.log.outlines(vec![id(1), id(9), id(2), id(3)])).unwrap();
    let [first, unknown, second, third] = <[_; 4]>::try_from(outlines).unwrap();
    let first = first.unwrap();
    assert_eq!((first.envelope, first.states), (envelope(1, 1), vec![progress(4, RecipientState::Pending)]));
    assert!(matches!(unknown, Err(Error::Unknown(_))));
    assert_eq!(second.unwrap().envelope, envelope(2, 60), "longer than what is read at first");
    assert_eq!(third.unwrap().envelope, envelope(3, 1));
}

#[test]
fn a_message_and_its_results_come_back() {
    let disk = SimDisk::new(1);
    let mut life = live(&disk, small()).unwrap();
    let mut answers = vec![life.log.put(put(7, 3, 1000))];
    life.stepper.step();
    for (index, attempts) in [(0, 1), (2, 1), (2, 2)] {
        let result = RecipientResult { index, progress: progress(attempts, RecipientState::Failed) };
        answers.push(life.log.update(Update { id: id(7), results: vec![result], dsn: None }));
        life.stepper.step();
    }
    for mut answer in answers {
        poll(&mut answer).unwrap().unwrap();
    }
    let expected = [progress(1, RecipientState::Failed), Progress::NEW, progress(2, RecipientState::Failed)];
    let stored = wait(life.log.read(id(7))).unwrap();
    assert_eq!((stored.envelope, stored.body), (envelope(7, 3), body(7, 1000)));
    assert_eq!(stored.states, expected);
    life.stepper.end();
    let (_, mut recovery, _) = open_stepped(Arc::new(disk), small()).unwrap();
    assert_eq!(recovery.next().unwrap().unwrap().states, expected);
    assert!(recovery.next().is_none());
}

#[test]
fn dropping_the_last_handle_makes_marks_durable_and_frees_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { path: folder.path().join("spool"), ..Settings::default() };
    let (log, _) = open(settings.clone()).unwrap();
    for number in 1..=3 {
        wait(log.put(put(number, 1, 5000))).unwrap();
    }
    drop(done(&log, 2));
    let gate = log.gate().clone();
    assert!(gate.ready().is_ok());
    drop(log);
    assert_eq!(gate.ready(), Err(Refusal::FAILED));
    let (log, recovery) = open(settings).unwrap();
    let ids: Vec<u64> = recovery.map(|message| message.unwrap().envelope.id.as_u64()).collect();
    assert_eq!(ids, [1, 3]);
    assert!(log.gate().next_id() > id(3));
}

#[test]
fn a_second_process_is_told_who_holds_the_spool() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { path: folder.path().join("spool"), ..Settings::default() };
    let _log = open(settings.clone()).unwrap();
    let error = open(settings).unwrap_err();
    assert!(error.is_configuration());
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
}

#[test]
fn the_folder_is_private_and_must_be_a_folder() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool");
    let (log, _) = open(Settings { path: path.clone(), ..Settings::default() }).unwrap();
    wait(log.put(put(1, 1, 10))).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    for file in std::fs::read_dir(&path).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
    }
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = open(Settings { path: file.clone(), ..Settings::default() }).unwrap_err();
    assert!(error.is_configuration() && error.to_string().contains(&file.display().to_string()), "{error}");
}

#[test]
fn a_spool_of_a_newer_format_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { path: folder.path().to_owned(), ..Settings::default() };
    let mut header = [0; 512];
    header[..8].copy_from_slice(b"WAXSPOOL");
    header[8] = 9;
    let crc = crc32c::crc32c(&header[..508]);
    header[508..].copy_from_slice(&crc.to_le_bytes());
    let name = folder.path().join("0000000000000001.seg");
    std::fs::write(&name, header).unwrap();
    let error = open(settings).unwrap_err();
    assert!(error.is_configuration() && matches!(error, Error::NewerFormat { found: 9, .. }), "{error}");
    assert!(error.to_string().contains(&name.display().to_string()), "{error}");
    assert_eq!(std::fs::read(name).unwrap(), header);
}

/// The upgrade path: what format 1 wrote is read, what is written is of the newest format.
#[test]
fn a_spool_of_format_1_goes_on() {
    let disk = SimDisk::new(1);
    let life = live(&disk, small()).unwrap();
    drop(life.log.put(put(1, 1, 100)));
    drop(life.log.put(put(2, 1, 100)));
    let mut stepper = life.stepper;
    stepper.step();
    drop((life.log, stepper));
    let name = "0000000000000001.seg";
    let mut header = vec![0; 512];
    let file = disk.open(name).unwrap();
    file.read_at(&mut header, 0).unwrap();
    assert_eq!(header[8], 3);
    header[8] = 1;
    header[40..508].fill(0);
    let crc = crc32c::crc32c(&header[..508]);
    header[508..].copy_from_slice(&crc.to_le_bytes());
    let both = header.repeat(2);
    file.write_at(&mut [std::io::IoSlice::new(&both)], 0).unwrap();
    let life = live(&disk, small()).unwrap();
    drop(done(&life.log, 1));
    drop(life.log.put(put(3, 1, 100)));
    life.stepper.end();
    let (_, recovery, _) = open_stepped(Arc::new(disk), small()).unwrap();
    let found: Vec<_> = recovery.map(|message| message.unwrap().envelope.id.as_u64()).collect();
    assert_eq!(found, [2, 3]);
}

/// A segment that a program of format 2 wrote: three messages that were deferred, one that was delivered, an index that is not packed.
#[test]
fn a_spool_of_format_2_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let settings = || Settings { path: folder.path().to_owned(), ..Settings::default() };
    let old = include_bytes!("format-2.seg");
    assert_eq!(old[8], 2);
    std::fs::write(folder.path().join("0000000000000001.seg"), old).unwrap();
    let (log, recovery) = open(settings()).unwrap();
    assert_eq!(recovery.report().damage, []);
    let found: Vec<_> = recovery.map(Result::unwrap).collect();
    assert_eq!(found.len(), 3);
    for Recovered { envelope, states } in &found {
        let last = states[0].last.as_ref().unwrap();
        assert_eq!((states[0].attempts, last.reply.as_ref().unwrap().code), (1, 450), "{envelope:?}");
        assert!(last.tried.is_some());
    }
    wait(log.update(Update {
        id: found[0].envelope.id,
        results: vec![RecipientResult { index: 0, progress: progress(2, RecipientState::Pending) }],
        dsn: None,
    }))
    .unwrap();
    wait(log.done(Done { id: found[1].envelope.id, dsn: None })).unwrap();
    let new = log.gate().next_id().as_u64();
    wait(log.put(put(new, 1, 100))).unwrap();
    drop(log);
    let (_, recovery) = open(settings()).unwrap();
    let attempts = |found: Recovered| (found.envelope.id, found.states[0].attempts);
    let now: Vec<_> = recovery.map(|found| attempts(found.unwrap())).collect();
    assert_eq!(now, [(found[0].envelope.id, 2), (found[2].envelope.id, 1), (id(new), 0)]);
}

#[test]
fn foreign_files_and_links_are_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let outside = folder.path().join("outside");
    std::fs::write(&outside, "precious").unwrap();
    let path = folder.path().join("spool");
    std::fs::create_dir(&path).unwrap();
    std::os::unix::fs::symlink(&outside, path.join("0000000000000001.seg")).unwrap();
    std::fs::write(path.join("x".repeat(255)), "").unwrap();
    let (log, recovery) = open(Settings { path, ..Settings::default() }).unwrap();
    assert_eq!(recovery.report().segments, 0);
    // The number of the link is taken: another is used.
    let mut result = wait(log.put(put(1, 1, 10)));
    if result.is_err() {
        result = wait(log.put(put(2, 1, 10)));
    }
    result.unwrap();
    drop(log);
    assert_eq!(std::fs::read(outside).unwrap(), b"precious");
}

#[test]
fn a_full_disk_refuses_mail_and_still_takes_marks() {
    let disk = SimDisk::new(3);
    let settings = Settings { reserve: 64 << 10, segment_size: 64 << 10, ..Settings::default() };
    disk.set_capacity(400 << 10);
    let mut life = live(&disk, settings.clone()).unwrap();
    let mut taken = Vec::new();
    for number in 1..200 {
        let mut answer = life.log.put(put(number, 1, 4000));
        life.stepper.step();
        match poll(&mut answer).unwrap() {
            Ok(()) => taken.push(number),
            Err(error) => assert_eq!(error.refusal(), Refusal::FULL),
        }
    }
    assert!((40..90).contains(&taken.len()), "{}", taken.len());
    assert_eq!(life.log.gate().ready(), Err(Refusal::FULL));
    // Another program takes the rest.
    disk.set_capacity(0);
    let mut mark = done(&life.log, taken[0]);
    life.stepper.step();
    assert!(poll(&mut mark).is_none(), "a mark that cannot be written waits");
    disk.set_capacity(400 << 10);
    life.stepper.step();
    poll(&mut mark).unwrap().unwrap();
    for number in &taken[1..] {
        let mut mark = done(&life.log, *number);
        life.stepper.step();
        poll(&mut mark).unwrap().unwrap();
    }
    life.stepper.step();
    assert!(life.log.gate().ready().is_ok(), "{:?}", life.log);
    assert!(life.log.is_empty());
}

#[test]
fn a_disk_that_turns_read_only_refuses_mail_and_forgets_no_mark() {
    let disk = SimDisk::new(4);
    let mut life = live(&disk, small()).unwrap();
    let mut first = life.log.put(put(1, 1, 100));
    life.stepper.step();
    poll(&mut first).unwrap().unwrap();
    disk.fail_calls(disk.calls() + 1..=u64::MAX, ErrorKind::ReadOnlyFilesystem);
    let (mut mark, mut second) = (done(&life.log, 1), life.log.put(put(2, 1, 100)));
    for _ in 0..20 {
        life.stepper.step();
    }
    assert!(poll(&mut mark).is_none(), "a mark that cannot be written waits");
    assert!(poll(&mut second).unwrap().is_err());
    // Somebody mounts it anew.
    disk.fail_calls(0..=0, ErrorKind::Other);
    let settled = (0..20).find_map(|_| {
        life.stepper.step();
        poll(&mut mark)
    });
    settled.unwrap().unwrap();
    let mut third = life.log.put(put(3, 1, 100));
    life.stepper.step();
    poll(&mut third).unwrap().unwrap();
    let (_, recovery, _) = open_stepped(Arc::new(disk.crash()), small()).unwrap();
    let ids: Vec<_> = recovery.map(|message| message.unwrap().envelope.id.as_u64()).collect();
    assert_eq!(ids, [3], "the first is done, the second was refused");
}

#[test]
fn a_failed_sync_is_not_believed_the_second_time() {
    let disk = SimDisk::new(5);
    let mut life = live(&disk, small()).unwrap();
    let mut first = life.log.put(put(1, 1, 100));
    life.stepper.step();
    poll(&mut first).unwrap().unwrap();
    let mut second = life.log.put(put(2, 1, 100));
    // Free space, write, sync: whichever of the next calls it is, the message is written elsewhere.
    let next = disk.calls() + 2;
    disk.fail_calls(next..=next, ErrorKind::Other);
    life.stepper.step();
    poll(&mut second).unwrap().unwrap();
    assert_eq!(life.log.metrics().failures, 1);
    let (_, recovery, _) = open_stepped(Arc::new(disk.crash()), small()).unwrap();
    assert_eq!(recovery.remaining(), 2);
}

#[test]
fn space_comes_back_although_one_message_stays() {
    let disk = SimDisk::new(9);
    let mut life = live(&disk, small()).unwrap();
    drop(life.log.put(put(1, 2, 700)));
    life.stepper.step();
    let result = RecipientResult { index: 1, progress: progress(4, RecipientState::Delivered) };
    drop(life.log.update(Update { id: id(1), results: vec![result], dsn: None }));
    // Each message ends some segments later, so that every segment has marks for an older one.
    for number in 2..3000 {
        drop(life.log.put(put(number, 1, 1000)));
        life.stepper.step();
        drop(done(&life.log, number.saturating_sub(10).max(2)));
        life.stepper.step();
    }
    for number in 2990..3000 {
        drop(done(&life.log, number));
    }
    while life.stepper.step() {}
    let metrics = life.log.metrics();
    assert!(metrics.disk_bytes < 8 * small().segment_size, "{metrics:?}");
    assert!(metrics.copied > 0 && metrics.live == 1, "{metrics:?}");
    let stored = wait(life.log.read(id(1))).unwrap();
    assert_eq!((stored.body, &stored.states[1]), (body(1, 700), &progress(4, RecipientState::Delivered)));
    let (_, mut recovery, _) = open_stepped(Arc::new(disk.crash()), small()).unwrap();
    assert_eq!(recovery.next().unwrap().unwrap().states, stored.states);
    assert!(recovery.next().is_none());
}

/// What a segment held in an earlier generation stays dead, whatever of the new one a crash leaves.
#[test]
fn a_segment_that_was_written_over_does_not_bring_back_its_past() {
    for seed in 0..50 {
        let disk = SimDisk::new(seed);
        let mut life = live(&disk, small()).unwrap();
        let mut number = 0;
        while life.log.metrics().recycled < 5 {
            number += 1;
            drop(life.log.put(put(number, 1, 900)));
            life.stepper.step();
            drop(done(&life.log, number));
        }
        let mut last = life.log.put(put(number + 1, 1, 200));
        // The last commit loses its power somewhere.
        disk.power_off_after(disk.calls() + seed % 4);
        life.stepper.step();
        let durable = poll(&mut last).is_some_and(|result| result.is_ok());
        let (_, recovery, _) = open_stepped(Arc::new(disk.crash()), small()).unwrap();
        assert_eq!(recovery.report().damage, [], "seed {seed}");
        let found: Vec<_> = recovery.map(|message| message.unwrap().envelope.id.as_u64()).collect();
        assert!(found.iter().all(|id| *id >= number), "seed {seed}: {found:?}");
        assert!(!durable || found.contains(&(number + 1)), "seed {seed}: {found:?}");
    }
}

/// A body of any size goes in and comes out in pieces, from a file that is gone when its message is.
#[test]
fn a_large_body_streams_through_a_file_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { path: folder.path().join("spool"), ..Settings::default() };
    let (log, _) = open(settings.clone()).unwrap();
    let bodies = || {
        let names = std::fs::read_dir(&settings.path).unwrap().map(|file| file.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().ends_with(".body")).count()
    };
    let (number, length) = (7, 3_000_000);
    let text = body(number, length);
    let mut writer = log.body_writer(id(number));
    for piece in text.chunks(70_000) {
        wait(writer.write(piece.to_vec().into())).unwrap();
    }
    wait(writer.put(envelope(number, 1))).unwrap();
    drop(log.body_writer(id(8)).write(text.slice(..100)));
    drop(log);
    // The one that was never put has left nothing behind.
    assert_eq!(bodies(), 1);
    let (log, recovery) = open(settings.clone()).unwrap();
    assert_eq!((recovery.remaining(), recovery.report().damage.len()), (1, 0));
    drop(recovery);
    let mut streamed = wait(log.read_streamed(id(number))).unwrap();
    assert_eq!((streamed.envelope, streamed.body.length()), (envelope(number, 1), length as u64));
    let mut read = Vec::new();
    while let Some(piece) = wait(streamed.body.next_piece()).unwrap() {
        assert!(piece.len() <= 256 << 10);
        read.extend_from_slice(&piece);
    }
    assert_eq!(read, text);
    assert_eq!(wait(log.read(id(number))).unwrap().body, text);
    wait(done(&log, number)).unwrap();
    drop(log);
    assert_eq!(bodies(), 0);
}

/// Each piece of a large body is checked before it is handed out.
#[test]
fn rot_in_a_large_body_is_met_at_its_piece() {
    let disk = SimDisk::new(1);
    let life = live(&disk, small()).unwrap();
    let mut answer = life.log.put(put(1, 1, 600_000));
    let mut stepper = life.stepper;
    stepper.step();
    poll(&mut answer).unwrap().unwrap();
    disk.rot("0000000000000001.body", 300_000, 1);
    let mut streamed = wait(life.log.read_streamed(id(1))).unwrap();
    assert!(wait(streamed.body.next_piece()).is_ok());
    assert!(matches!(wait(streamed.body.next_piece()), Err(Error::Corrupt { offset: 262_144, .. })));
    assert!(matches!(wait(life.log.read(id(1))), Err(Error::Corrupt { .. })));
    // A file that is gone altogether is told of at the start.
    drop((stepper, life.log));
    disk.remove("0000000000000001.body").unwrap();
    let (_, recovery, _) = open_stepped(Arc::new(disk), small()).unwrap();
    assert_eq!((recovery.remaining(), recovery.report().damage.len()), (0, 1));
}

/// The checkpoint says what the log says, or nothing.
#[test]
fn a_checkpoint_is_believed_only_where_the_log_agrees() {
    let disk = SimDisk::new(3);
    let mut life = live(&disk, small()).unwrap();
    for number in 1..=60 {
        drop(life.log.put(put(number, 2, 300)));
        life.stepper.step();
    }
    let mark = |life: &mut common::Life, number, attempts| {
        let result = RecipientResult { index: 1, progress: progress(attempts, RecipientState::Pending) };
        drop(life.log.update(Update { id: id(number), results: vec![result], dsn: None }));
        life.stepper.step();
    };
    (1..=30).for_each(|number| mark(&mut life, number, 1));
    life.stepper.end();
    assert!(disk.list().unwrap().contains(&"checkpoint".into()));
    // Written after the checkpoint, and not followed by one.
    let mut life = live(&disk, Settings { checkpoint_from: usize::MAX, ..small() }).unwrap();
    (20..=40).for_each(|number| mark(&mut life, number, 2));
    drop(done(&life.log, 5));
    life.stepper.end();
    let mut calls = [0; 2];
    for damaged in [false, true] {
        if damaged {
            disk.rot("checkpoint", 1000, 1);
        }
        let (log, recovery, _) = open_stepped(Arc::new(disk.clone()), small()).unwrap();
        let before = disk.calls();
        let brief: Vec<_> = recovery.briefly().map(Result::unwrap).collect();
        calls[usize::from(damaged)] = disk.calls() - before;
        let whole = |found: &Found| match found {
            Found::Whole(message) => (**message).clone(),
            Found::Waiting(waiting) => {
                let mut outlines = log.outlines(vec![waiting.id]);
                let message = poll(&mut outlines).unwrap().unwrap().pop().unwrap().unwrap();
                assert_eq!(Waiting::of(&message).as_ref(), Some(waiting));
                message
            }
        };
        let found: Vec<_> = brief.iter().map(whole).collect();
        assert_eq!(found.len(), 59);
        for message in found {
            let number = message.envelope.id.as_u64();
            let attempts = if (20..=40).contains(&number) { 2 } else { u32::from(number <= 30) };
            assert_eq!(
                (&message.states[0], message.states[1].attempts),
                (&Progress::NEW, attempts),
                "{number}"
            );
        }
    }
    assert!(calls[0] < calls[1], "{calls:?}: the checkpoint saves reads");
}

#[test]
fn requests_that_make_no_sense_are_told_so() {
    let mut life = live(&SimDisk::new(1), small()).unwrap();
    let mut answers = [
        life.log.put(put(1, 1, 10)),
        life.log.put(put(1, 1, 10)),
        done(&life.log, 2),
        life.log.update(Update { id: id(3), results: Vec::new(), dsn: None }),
    ];
    life.stepper.step();
    let mut answers = answers.iter_mut().map(|answer| poll(answer).unwrap());
    assert!(answers.next().unwrap().is_ok());
    assert!(matches!(answers.next(), Some(Err(Error::Duplicate(_)))));
    assert!(matches!(answers.next(), Some(Err(Error::Unknown(_)))));
    assert!(matches!(answers.next(), Some(Err(Error::Unknown(_)))));
    assert_eq!(life.log.metrics().unsynced_marks, 0);
    let limited = Settings { message_limit: 100, ..small() };
    let limited = live(&SimDisk::new(1), limited).unwrap();
    let mut answer = limited.log.put(put(1, 1, 1000));
    assert_eq!(poll(&mut answer).unwrap().unwrap_err().refusal().code, 552);
}

#[test]
fn a_message_that_waited_too_long_is_cancelled() {
    let disk = SimDisk::new(1);
    disk.hold_syncs(true);
    // So small that the watch, which looks once a second, finds it too old at its first look.
    let settings = Settings { slow: Duration::from_nanos(1), stale: Duration::from_nanos(1), ..small() };
    let (log, _) = open_on(Arc::new(disk.clone()), settings).unwrap();
    let answer = log.put(put(1, 1, 100));
    disk.await_held_sync();
    assert!(log.gate().ready().is_err());
    let error = wait(answer).unwrap_err();
    assert_eq!(error.refusal(), Refusal::STALE);
    disk.hold_syncs(false);
    drop(log);
    let (_, recovery, _) = open_stepped(Arc::new(disk), small()).unwrap();
    assert_eq!(recovery.remaining(), 0);
}

/// Messages that come while a sync runs share the next one.
#[test]
fn what_came_during_a_sync_shares_the_next_one() {
    let disk = SimDisk::new(1);
    disk.hold_syncs(true);
    let (log, _) = open_on(Arc::new(disk.clone()), Settings::default()).unwrap();
    let mut answers = vec![log.put(put(1, 1, 100))];
    disk.await_held_sync();
    answers.extend((2..=100).map(|number| log.put(put(number, 1, 100))));
    disk.hold_syncs(false);
    for answer in answers {
        wait(answer).unwrap();
    }
    assert_eq!((log.metrics().groups, log.metrics().puts), (2, 100));
}

/// Fail closed: whoever waits when the log ends without an answer gets an error, never `Ok`.
#[test]
fn requests_of_a_log_that_dies_are_answered_with_an_error() {
    let life = live(&SimDisk::new(1), small()).unwrap();
    let mut answer = life.log.put(put(1, 1, 10));
    drop(life.stepper);
    assert!(matches!(poll(&mut answer), Some(Err(Error::Closed))));
    assert!(matches!(poll(&mut life.log.put(put(2, 1, 10))), Some(Err(Error::Closed))));
    assert_eq!(life.log.gate().ready(), Err(Refusal::FAILED));
}

/// A text that holds the octets of a valid record is text, even when the record around it is damaged.
#[test]
fn a_record_within_a_text_is_not_taken_for_one() {
    let victim = SimDisk::new(1);
    let other = SimDisk::new(2);
    let mut life = live(&other, small()).unwrap();
    drop(life.log.put(put(99, 1, 50)));
    life.stepper.step();
    let mut forged = vec![0; 512];
    let file = other.open("0000000000000001.seg").unwrap();
    assert_eq!(file.read_at(&mut forged, 1024).unwrap(), 512);
    let mut life = live(&victim, Settings { segment_size: 1 << 20, ..small() }).unwrap();
    let message = waxseal_spool::Put { envelope: envelope(1, 1), body: forged.repeat(8).into() };
    drop(life.log.put(message));
    life.stepper.step();
    drop(life.log.put(put(2, 1, 10)));
    life.stepper.step();
    // No index tells where records are: they are looked for.
    drop(life);
    victim.rot("0000000000000001.seg", 1024 + 48 + 8, 1);
    let (_, recovery, _) = open_stepped(Arc::new(victim), small()).unwrap();
    assert_eq!((recovery.remaining(), recovery.report().damage.is_empty()), (1, false));
}

/// Messages 1 to 40 in several segments, every fifth of them done, and then a loss of power.
fn forty(seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed);
    let mut life = live(&disk, small()).unwrap();
    for number in 1..=40 {
        drop(life.log.put(put(number, 1, 500)));
        life.stepper.step();
        if number % 5 == 0 {
            drop(done(&life.log, number));
        }
    }
    life.stepper.step();
    disk.crash()
}

fn kept() -> Vec<u64> {
    (1..=40).filter(|number| number % 5 != 0).collect()
}

fn given(recovery: Recovery) -> Vec<u64> {
    recovery.map(|message| message.unwrap().envelope.id.as_u64()).collect()
}

#[test]
fn new_mail_is_taken_while_the_log_is_read_and_is_not_given_out_as_old() {
    let disk = forty(11);
    let (log, recovery, mut stepper) = open_unread(Arc::new(disk.clone()), small()).unwrap();
    let mut pending = Vec::new();
    for number in 100..160 {
        pending.push(log.put(put(number, 1, 700)));
        stepper.step();
        if number < 150 {
            pending.push(done(&log, number));
        }
    }
    stepper.step();
    assert!(pending.iter_mut().all(|answer| matches!(poll(answer), Some(Ok(())))));
    assert_eq!(log.metrics().reclaimed, 0, "nothing goes before all is known");
    assert_eq!(wait(log.read(id(155))).unwrap().body, body(155, 700));
    stepper.load().unwrap();
    assert_eq!((log.len(), recovery.remaining()), (32 + 10, 32));
    assert_eq!(given(recovery), kept());
    assert_eq!(wait(log.read(id(3))).unwrap().body, body(3, 500));
    // Whether the segments that were removable meanwhile go, and only these, shows at the next start.
    for number in 1..=40 {
        drop(done(&log, number));
        stepper.step();
    }
    assert!(log.metrics().reclaimed > 0);
    let (_, recovery, _) = open_stepped(Arc::new(disk.crash()), small()).unwrap();
    assert_eq!(given(recovery), (150..160).collect::<Vec<_>>());
}

#[test]
fn a_thread_reads_a_long_log_and_those_who_ask_for_its_messages_wait() {
    let settings = Settings { load_behind: 0, ..small() };
    let (log, recovery) = open_on(Arc::new(forty(12)), settings).unwrap();
    wait(log.put(put(100, 1, 10))).unwrap();
    assert_eq!(given(recovery), kept());
    assert_eq!(log.len(), 33);
}

/// Whatever call fails: the log opens and gives out all that is in it, or it says that it cannot be read. Nothing between.
#[test]
fn a_log_that_cannot_be_read_whole_is_not_given_out_in_part() {
    let mut failed = [0, 0];
    for call in 1.. {
        let disk = forty(13);
        let first = disk.calls();
        disk.fail_calls(first + call..=first + call, ErrorKind::Other);
        match open_unread(Arc::new(disk.clone()), small()) {
            Err(_) => failed[0] += 1,
            Ok((_log, recovery, mut stepper)) => {
                if stepper.load().is_err() {
                    failed[1] += 1;
                    let all: Vec<_> = recovery.collect();
                    assert!(matches!(all[..], [Err(Error::Io { .. })]), "{all:?}");
                } else {
                    // A message that cannot be read on its own stays where it is, and is told of.
                    let (given, told): (Vec<_>, Vec<_>) = recovery.partition(Result::is_ok);
                    assert!(given.len() + told.len() == kept().len() && told.len() < 2, "{told:?}");
                }
            }
        }
        if disk.calls() < first + call {
            break;
        }
    }
    assert!(failed[0] > 0, "{failed:?}");
}
