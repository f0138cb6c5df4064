//! The event file: rotation, a full disk, bounds.
#![expect(clippy::unwrap_used, reason = "a test that fails panics, its helpers as well")]

mod fixture;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::{fd::AsRawFd as _, unix::fs::symlink},
    path::Path,
    sync::Arc,
};

use fixture::{account, at, destination, envelope};
use waxseal_queue::{Event, Sink as _};
use waxseal_telemetry::{Error, Settings, Target, Telemetry};

fn start(path: &Path) -> Telemetry {
    let target = Target::File(path.to_owned());
    Telemetry::start(Settings { delivery_events: target, ..Settings::default() }).unwrap()
}

fn queued(telemetry: &Telemetry, millis: u64) {
    let (envelope, destination) = (envelope(1), destination());
    telemetry.event(Event::Queued {
        envelope: &envelope,
        destination: &destination,
        recipients: &[0],
        at: at(millis),
    });
}

/// The delays in a file, which tell its events apart.
fn delays(path: &Path) -> Vec<u64> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["delay_ms"].as_u64().unwrap())
        .collect()
}

#[test]
fn after_a_rotation_events_are_in_the_new_file_and_none_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (file, old) = (folder.path().join("delivery.jsonl"), folder.path().join("delivery.jsonl.1"));
    fs::write(&file, "").unwrap();
    let telemetry = start(&file);
    (0..100).for_each(|number| queued(&telemetry, number));
    fs::rename(&file, &old).unwrap();
    telemetry.reopen().unwrap();
    (100..200).for_each(|number| queued(&telemetry, number));
    telemetry.shutdown();
    assert_eq!(delays(&old), (0..100).collect::<Vec<_>>());
    assert_eq!(delays(&file), (100..200).collect::<Vec<_>>());
    assert_eq!(telemetry.lost_events(), 0);
}

#[test]
fn a_rotation_that_fails_keeps_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("delivery.jsonl");
    let telemetry = start(&file);
    let moved = folder.path().join("moved");
    fs::rename(&file, &moved).unwrap();
    fs::create_dir(&file).unwrap();
    assert!(matches!(telemetry.reopen(), Err(Error::Events { .. })));
    queued(&telemetry, 7);
    telemetry.shutdown();
    assert_eq!(delays(&moved), [7]);
}

#[test]
fn a_full_disk_loses_nothing_that_fits_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("delivery.jsonl");
    symlink("/dev/full", &file).unwrap();
    let telemetry = start(&file);
    (0..50).for_each(|number| queued(&telemetry, number));
    fs::remove_file(&file).unwrap();
    telemetry.reopen().unwrap();
    queued(&telemetry, 50);
    telemetry.shutdown();
    assert_eq!(delays(&file), (0..=50).collect::<Vec<_>>());
    assert_eq!(telemetry.lost_events(), 0);
}

#[test]
fn a_disk_that_stays_full_is_counted_and_delivery_goes_on() {
    let telemetry = start(Path::new("/dev/full"));
    (0..50).for_each(|number| queued(&telemetry, number));
    telemetry.shutdown();
    assert_eq!(telemetry.lost_events(), 50);
    queued(&telemetry, 50);
    assert_eq!(telemetry.lost_events(), 51);
}

#[test]
fn what_waits_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("delivery.jsonl");
    symlink("/dev/full", &file).unwrap();
    let settings =
        Settings { delivery_events: Target::File(file.clone()), backlog_limit: 4096, ..Settings::default() };
    let telemetry = Telemetry::start(settings).unwrap();
    (0..100).for_each(|number| queued(&telemetry, number));
    let lost = telemetry.lost_events();
    fs::remove_file(&file).unwrap();
    telemetry.reopen().unwrap();
    telemetry.shutdown();
    let kept = delays(&file);
    assert_eq!(kept, (0..100 - lost).collect::<Vec<_>>());
    assert!((5..20).contains(&kept.len()), "{}", kept.len());
}

#[test]
fn many_threads_write_whole_lines() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("delivery.jsonl");
    let telemetry = Arc::new(start(&file));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let account = account(1);
                (0..500).for_each(|_| {
                    telemetry.event(Event::Attempted { account: &account, next_attempt: None })
                });
            });
        }
    });
    telemetry.shutdown();
    assert_eq!(delays(&file).len() as u64 + telemetry.lost_events(), 4 * 500 * 4);
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let target = Target::File(folder.path().join("missing").join("delivery.jsonl"));
    let outcome = Telemetry::start(Settings { delivery_events: target, ..Settings::default() });
    assert!(outcome.is_err_and(|error| error.to_string().contains("log.delivery_events")));
}

#[test]
fn a_reader_that_stalls_stops_no_delivery() {
    let (reader, writer) = std::io::pipe().unwrap();
    let target = Target::File(format!("/dev/fd/{}", writer.as_raw_fd()).into());
    let settings = Settings { delivery_events: target, backlog_limit: 16 << 10, ..Settings::default() };
    let telemetry = Telemetry::start(settings).unwrap();
    drop(writer);
    // Many times what the pipe and the backlog take.
    (0..1000).for_each(|number| queued(&telemetry, number));
    let lines = std::thread::spawn(move || BufReader::new(reader).lines().map(Result::unwrap).count());
    telemetry.shutdown();
    let lines = u64::try_from(lines.join().unwrap()).unwrap();
    assert!(telemetry.lost_events() > 0);
    assert_eq!(lines + telemetry.lost_events(), 1000);
}
