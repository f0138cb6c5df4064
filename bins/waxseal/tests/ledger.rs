//! `waxseal ledger` as it is called, over a ledger made by hand.
#![expect(clippy::unwrap_used, reason = "a test that fails panics, its helpers as well")]

#[path = "../../../crates/telemetry/tests/fixture/mod.rs"]
mod fixture;

use std::{path::Path, process::Command};

use waxseal_ledger::{Recorder, Settings};
use waxseal_queue::{Connection, Downgrade, Event, PolicyFact, PolicySource, Sink as _};
use waxseal_types::{TlsLevel, TlsStatus};

use fixture::account;

/// Two attempts: one recipient delivered over TLS and one refused, and the same in clear.
fn ledger(folder: &Path) {
    let recorder = Recorder::start(Settings::new(folder.to_owned())).unwrap();
    let mut sealed = account(1);
    let (level, nexthop) = (TlsLevel::Dane, "example.com".to_owned());
    sealed.policies = vec![PolicyFact { level, source: PolicySource::Default, nexthop }];
    let mut clear = sealed.clone();
    clear.connections[1] = Connection {
        tls: None,
        status: TlsStatus::None,
        level: TlsLevel::May,
        matched: None,
        downgrade: Some(Downgrade::NotOffered),
        ..clear.connections[1].clone()
    };
    for account in [&sealed, &clear] {
        recorder.event(Event::Attempted { account, next_attempt: None });
    }
    recorder.shutdown();
}

fn waxseal(folder: &Path, words: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waxseal"));
    let output = command.arg("ledger").arg("--path").arg(folder).args(words).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn the_ledger_is_searched_told_and_erased_from() {
    let folder = tempfile::tempdir().unwrap();
    ledger(folder.path());
    let (status, text) = waxseal(folder.path(), &["--tls", "none"]);
    assert_eq!(status, Some(0), "{text}");
    for words in [
        "delivered",
        "a@example.org -> b@example.com",
        "by mx2.example.com[2001:db8::2]:25, tls none (the server does not offer STARTTLS), level may from default",
        "1 entry; the ledger reaches back to",
    ] {
        assert!(text.contains(words), "no {words:?} in:\n{text}");
    }
    let (status, text) = waxseal(folder.path(), &["--json", "--to", "c@example.com", "--limit", "1"]);
    let entry: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, text.lines().count()), (Some(0), 1));
    assert_eq!(entry["attempt"]["results"][1]["outcome"], "bounced");
    assert_eq!(entry["attempt"]["results"][1]["status"], "5.1.1");
    assert_eq!(waxseal(folder.path(), &["--from", "nobody@example.org"]).0, Some(1));
    assert_eq!(waxseal(folder.path(), &["--since", "yesterday"]).0, Some(64));
    let (status, text) = waxseal(folder.path(), &["erase", "b@example.com"]);
    assert_eq!((status, text.as_str()), (Some(0), "erased in 2 places\n"));
    assert_eq!(waxseal(folder.path(), &["--to", "b@example.com"]).0, Some(1));
    assert_eq!(waxseal(folder.path(), &["--to", "c@example.com"]).0, Some(0));
    let (status, text) = waxseal(&folder.path().join("nowhere"), &[]);
    assert_eq!(status, Some(75), "{text}");
}

#[test]
fn what_strangers_said_cannot_drive_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(Settings::new(folder.path().to_owned())).unwrap();
    let mut told = account(1);
    if let waxseal_queue::Outcome::Bounced(failure) = &mut told.results[1].outcome {
        failure.reason = "said: \u{1b}[2J\u{202e}gone".into();
    }
    recorder.event(Event::Attempted { account: &told, next_attempt: None });
    recorder.shutdown();
    let (_, text) = waxseal(folder.path(), &[]);
    assert!(text.contains("\\u{1b}[2J\\u{202e}gone") && !text.contains('\u{1b}'), "{text}");
}
