//! `waxseal spool`: what it says of a spool, whole and damaged, and that mail comes back from plain files as it went.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;
use waxseal_spool::{
    Done, Log, Outcome, Progress, Put, RecipientResult, RecipientState, Settings, Spool as _, Update, open,
};
use waxseal_types::{
    BodyKind, Envelope, Mailbox, Notify, QueueId, Recipient, Reply, Ret, TraceContext, UnixTime,
};

/// Ends with `code`; its lines of JSON.
fn spool(folder: &Path, words: &[&str], code: i32) -> Vec<Value> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waxseal"));
    command.args(["spool", "--json", "--spool"]).arg(folder).args(words);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{words:?} said:\n{text}{complaint}");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn envelope(id: u64) -> Envelope {
    let recipient = |address: &str, notify| Recipient {
        mailbox: Mailbox::new(address).unwrap(),
        notify,
        original: Some("rfc822;x+2By".into()),
    };
    let never = recipient("a@example.org", Some(Notify::Never));
    let on = Notify::On { success: true, failure: true, delay: false };
    Envelope {
        id: QueueId::from_u64(id),
        arrived: UnixTime::from_micros(1_795_249_800_000_001),
        sender: Some(Mailbox::new("s@example.com").unwrap()),
        recipients: vec![never, recipient("b@example.net", Some(on))],
        body: BodyKind::EightBitMime,
        smtputf8: true,
        envelope_id: Some("e+2B".into()),
        ret: Some(Ret::Headers),
        size: 0,
        leading_dots: true,
        message_id: Some("<m@example.com>".into()),
        client: "test[192.0.2.1]".into(),
        trace: TraceContext { trace_id: u128::MAX - 1, span_id: 7, sampled: true, parent_id: 8 },
    }
}

fn text(id: u64, length: usize) -> Vec<u8> {
    let line = format!(".line of message {id}\r\n");
    line.bytes().cycle().take(length).collect()
}

fn put(log: &Log, id: u64, length: usize) {
    let body = text(id, length);
    let envelope = Envelope { size: body.len() as u64, ..envelope(id) };
    wait(log.put(Put { envelope, body: body.into() }));
}

#[tokio::main(flavor = "current_thread")]
async fn wait<T>(answer: waxseal_spool::Pending<T>) -> T {
    answer.await.unwrap()
}

fn settings(path: &Path) -> Settings {
    Settings { path: path.to_owned(), segment_size: 64 << 10, ..Settings::default() }
}

/// Messages 1 to 9, the last one large, the first one ended, the second one tried.
fn fill(path: &Path) -> Log {
    let (log, _) = open(settings(path)).unwrap();
    (1..=8).for_each(|id| put(&log, id, 20_000));
    put(&log, 9, 700_000);
    wait(log.done(Done { id: QueueId::from_u64(1), dsn: None }));
    let reply =
        Reply { code: 451, status: Some("4.7.1".parse().unwrap()), text: "4.7.1 \"later\"\nplease".into() };
    let last = Outcome {
        at: UnixTime::from_micros(1_795_249_900_000_000),
        status: "4.7.1".parse().unwrap(),
        host: Some("mx.example.net".into()),
        reply: Some(reply),
        reason: "it said so".into(),
        trouble: Some("refused-for-now".into()),
        tried: Some("Demanded: encryption.\nmx.example.net: later".into()),
    };
    let progress = Progress {
        state: RecipientState::Pending,
        reported: true,
        warned: true,
        attempts: 3,
        next_attempt: UnixTime::from_secs(1_795_260_000),
        first_failure: Some(UnixTime::from_secs(1_795_249_900)),
        last: Some(last),
    };
    let results = vec![RecipientResult { index: 1, progress }];
    wait(log.update(Update { id: QueueId::from_u64(2), results, dsn: None }));
    log
}

#[test]
fn a_spool_is_looked_at_while_it_is_in_use_and_mended_only_when_it_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool");
    let log = fill(&path);
    let report = &spool(&path, &["verify"], 0)[0];
    assert_eq!((&report["ok"], &report["messages"]), (&Value::Bool(true), &Value::from(8)));
    assert_eq!(report["octets_of_large_texts"], 700_000);
    assert_eq!(spool(&path, &["dump"], 0).len(), 8);
    let records = spool(&path, &["dump", "--records"], 0);
    let kinds = |kind: &str| records.iter().filter(|record| record["kind"] == kind).count();
    assert_eq!((kinds("PUT"), kinds("DONE"), kinds("UPDATE")), (9, 1, 1));
    spool(&path, &["repair"], 75);
    drop(log);
    spool(&path, &["repair"], 0);
    assert_eq!(spool(&path, &["verify"], 0)[0]["messages"], 8);
    spool(&folder.path().join("none"), &["verify"], 78);
    spool(&folder.path().join("none"), &["repair"], 78);
}

#[test]
fn damage_is_told_with_its_place_and_mended_around() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool");
    drop(fill(&path));
    // A text in the second segment, and a large one.
    for (name, at) in [("0000000000000002.seg", 30_000), ("0000000000000009.body", 300_000)] {
        let mut octets = std::fs::read(path.join(name)).unwrap();
        octets[at] ^= 1;
        std::fs::write(path.join(name), octets).unwrap();
    }
    let report = &spool(&path, &["verify"], 1)[0];
    let damage = report["damage"].as_array().unwrap();
    assert_eq!(damage.len(), 2, "{damage:?}");
    assert_eq!(damage[0]["file"], "0000000000000002.seg");
    assert_eq!(
        (damage[1]["file"].as_str(), damage[1]["offset"].as_u64()),
        (Some("0000000000000009.body"), Some(262_144))
    );
    let lost = &spool(&path, &["repair"], 1)[0]["lost"];
    assert_eq!(lost.as_array().unwrap().len(), 2, "{lost}");
    let report = &spool(&path, &["verify"], 0)[0];
    assert_eq!(report["messages"], 6);
    assert!(
        path.join("0000000000000002.seg.bad").exists() && path.join("0000000000000009.body.bad").exists()
    );
}

#[test]
fn what_was_exported_comes_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (path, plain, other) =
        (folder.path().join("spool"), folder.path().join("plain"), folder.path().join("other"));
    let log = fill(&path);
    let to = plain.display().to_string();
    assert_eq!(spool(&path, &["export", &to], 0)[0]["written"], 8);
    let name = QueueId::from_u64(9).to_string();
    assert_eq!(std::fs::read(plain.join(format!("{name}.eml"))).unwrap(), text(9, 700_000));
    std::fs::write(plain.join("zz.json"), "{}").unwrap();
    let done = &spool(&other, &["import", &to], 1)[0];
    assert_eq!((&done["taken"], &done["known"], &done["refused"]), (&8.into(), &0.into(), &1.into()));
    std::fs::remove_file(plain.join("zz.json")).unwrap();
    assert_eq!(spool(&other, &["import", &to], 0)[0]["known"], 8);
    let (copy, _) = open(settings(&other)).unwrap();
    for id in (2..=9).map(QueueId::from_u64) {
        let (was, is) = (wait(log.read(id)), wait(copy.read(id)));
        assert_eq!((is.envelope, is.states, is.body), (was.envelope, was.states, was.body));
    }
    assert_eq!((copy.len(), log.len()), (8, 8));
}
