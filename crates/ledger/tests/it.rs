//! Ledgers on a real disk: what goes in comes out, whatever happens to the files in between.
#![expect(clippy::unwrap_used, reason = "a test that fails panics, its helpers as well")]

#[path = "../../telemetry/tests/fixture/mod.rs"]
mod fixture;

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use waxseal_ledger::{Ended, Entry, Error, Happening, Ledger, Query, Recorder, Settings};
use waxseal_queue::{
    Account, CertificateFact, Connection, Downgrade, Event, Origin, Outcome, PolicyFact, PolicySource,
    RecipientResult, Settled, Sink, TableName,
};
use waxseal_types::{Envelope, QueueId, TlsFacts, TlsLevel, TlsStatus, TraceContext, UnixTime};

use fixture::{account, at, destination, no_such_user, refused, reply};

fn settings(folder: &Path) -> Settings {
    Settings::new(folder.join("ledger"))
}

fn with_policy(mut account: Account) -> Account {
    let origin = Origin::new(TableName::new("texthash:/etc/tls_policy"), "/etc/tls_policy:7", "example.com");
    account.policies = vec![PolicyFact {
        level: TlsLevel::Dane,
        source: PolicySource::Entry(origin),
        nexthop: "example.com".into(),
    }];
    account
}

/// A plain success of message `n`, `n` seconds later, over the pooled connection of all of them.
fn success(n: u64) -> Account {
    let whole = with_policy(account(0xab));
    let time = |time: UnixTime| time + std::time::Duration::from_secs(n);
    // No two are alike in it, as everywhere.
    let random = |n: u64| u128::from((n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let envelope = Envelope {
        id: QueueId::from_u64(whole.envelope.id.as_u64() + n * 1_000_000),
        trace: TraceContext { trace_id: random(n) << 64 | random(!n >> 1), ..whole.envelope.trace },
        arrived: time(at(299_000)),
        message_id: Some(format!("<{n}@example.org>").into()),
        ..(*whole.envelope).clone()
    };
    let connection =
        Connection { at: time(at(300_000)), ended: time(at(300_100)), ..whole.connections[1].clone() };
    let taken = Outcome::Delivered {
        reply: reply(250, None, &format!("2.0.0 Ok: queued as X{n}")),
        without_dsn: false,
    };
    Account {
        envelope: Arc::new(envelope),
        started: time(at(300_000)),
        ended: time(at(300_101)),
        connections: vec![connection],
        results: vec![RecipientResult { index: 0, outcome: taken, connection: Some(0) }],
        ..whole
    }
}

fn tell(recorder: &Recorder, account: &Account) {
    recorder.event(Event::Attempted { account, next_attempt: None });
}

fn all(folder: &Path, query: Query) -> Vec<Entry> {
    Ledger::open(&folder.join("ledger")).unwrap().search(query).unwrap().collect()
}

fn files(folder: &Path, ring: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(folder.join("ledger")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with(ring));
    files.sort();
    files
}

fn ids(entries: &[Entry]) -> Vec<u64> {
    let first = account(1).envelope.id.as_u64();
    entries.iter().map(|entry| (entry.envelope().id.as_u64() - first) / 1_000_000).collect()
}

#[test]
fn an_account_comes_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(settings(folder.path())).unwrap();
    let mut told = with_policy(account(0xab));
    told.connections[1].lowered = Some("no TLSA records found".into());
    told.connections[0].downgrade = Some(Downgrade::SessionDied);
    told.connections[0].injected = 17;
    told.connections[0].chain = vec!["certificate 0".into()];
    recorder.event(Event::Attempted { account: &told, next_attempt: Some(at(900_000)) });
    recorder.flush();
    let entries = all(folder.path(), Query::default());
    let [
        Entry {
            time,
            recipients: 2,
            complete: true,
            happening: Happening::Attempt { account: read, next_attempt },
        },
    ] = &entries[..]
    else {
        panic!("{entries:?}");
    };
    assert_eq!((*time, *next_attempt), (told.ended, Some(at(900_000))));
    // The chain of the fixture is empty; what it says is kept beside it.
    let mut expected = told.clone();
    let presented: Arc<[CertificateFact]> = Arc::new([]);
    expected.connections[1].presented = Some(presented);
    expected.envelope = Arc::new(Envelope {
        trace: TraceContext { span_id: 0, sampled: false, ..told.envelope.trace },
        ..(*told.envelope).clone()
    });
    assert_eq!(format!("{read:#?}"), format!("{:#?}", Box::new(expected)));
}

#[test]
fn certificates_are_kept_once_for_many_messages_and_those_of_an_accepted_chain_too() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(settings(folder.path())).unwrap();
    let chain: Arc<[Vec<u8>]> = Arc::new([b"no certificate, but presented".to_vec()]);
    let facts = Arc::new(TlsFacts { chain, ..(*fixture::facts()).clone() });
    for n in 0..1000 {
        let mut account = success(n);
        account.connections[0].tls = Some(Arc::clone(&facts));
        tell(&recorder, &account);
    }
    recorder.flush();
    let size: u64 = files(folder.path(), "plain").iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    let each = size / 1000;
    println!("{each} octets a message");
    assert!(each < 100, "{each} octets a message");
    let entries = all(folder.path(), Query::default());
    assert_eq!(entries.len(), 1000);
    for entry in entries {
        let connection = &entry.account().unwrap().connections[0];
        assert_eq!(connection.certificates(), CertificateFact::of_chain(&facts.chain));
        assert_eq!(connection.status, TlsStatus::Verified);
    }
}

#[test]
fn entries_come_newest_first_over_both_rings_and_restarts() {
    let folder = tempfile::tempdir().unwrap();
    for part in 0..3 {
        let recorder = Recorder::start(settings(folder.path())).unwrap();
        for n in part * 10..part * 10 + 10 {
            let mut account = success(n);
            if n % 3 == 0 {
                account.results[0].outcome = Outcome::Deferred(refused());
            }
            tell(&recorder, &account);
        }
        recorder.shutdown();
    }
    assert_eq!((files(folder.path(), "plain").len(), files(folder.path(), "kept").len()), (3, 3));
    assert_eq!(ids(&all(folder.path(), Query::default())), (0..30).rev().collect::<Vec<_>>());
}

#[test]
fn a_query_finds_what_it_names_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(settings(folder.path())).unwrap();
    let mut clear = success(2);
    clear.connections[0] = Connection {
        tls: None,
        status: TlsStatus::None,
        level: TlsLevel::May,
        downgrade: Some(Downgrade::NotOffered),
        ..clear.connections[0].clone()
    };
    let mut late = success(3);
    late.results[0].outcome = Outcome::Deferred(refused());
    for account in [&success(1), &clear, &late] {
        tell(&recorder, account);
    }
    let told = success(4);
    recorder.event(Event::Settled {
        envelope: &told.envelope,
        destination: Some(&destination()),
        recipients: &[1],
        how: Settled::Expired,
        failure: &no_such_user(),
        attempts: 7,
        at: at(400_000),
    });
    recorder.flush();
    let text = |text: &str| Some(text.to_owned());
    let query = Query::default;
    let table: [(&str, Query, &[u64]); 18] = [
        ("all", query(), &[4, 3, 2, 1]),
        ("id", Query { id: Some(late.envelope.id), ..query() }, &[3]),
        ("message id", Query { message_id: text("2@example.org"), ..query() }, &[2]),
        ("sender", Query { sender: text("A@Example.org"), ..query() }, &[4, 3, 2, 1]),
        ("other sender", Query { sender: text("b@example.org"), ..query() }, &[]),
        ("null sender", Query { sender: text(""), ..query() }, &[]),
        ("recipient", Query { recipient: text("b@example.com"), ..query() }, &[3, 2, 1]),
        ("recipient settled", Query { recipient: text("c@example.com"), ..query() }, &[4]),
        ("domain", Query { domain: text("EXAMPLE.com."), ..query() }, &[4, 3, 2, 1]),
        ("no domain", Query { domain: text("ample.com"), ..query() }, &[]),
        ("host", Query { host: text("mx2.example.com"), ..query() }, &[3, 2, 1]),
        ("address", Query { host: text("2001:db8::2"), ..query() }, &[3, 2, 1]),
        ("deferred", Query { ended: Some(Ended::Deferred), ..query() }, &[3]),
        ("expired", Query { ended: Some(Ended::Expired), ..query() }, &[4]),
        ("bounced", Query { ended: Some(Ended::Bounced), ..query() }, &[]),
        ("in clear", Query { tls: Some(TlsStatus::None), ..query() }, &[2]),
        ("verified", Query { tls: Some(TlsStatus::Verified), ..query() }, &[1]),
        ("level", Query { level: Some(TlsLevel::May), ..query() }, &[2]),
    ];
    for (what, query, expected) in table {
        assert_eq!(ids(&all(folder.path(), query)), expected, "{what}");
    }
    let since = Query { since: Some(at(302_000)), until: Some(at(303_000)), ..query() };
    assert_eq!(ids(&all(folder.path(), since)), [2], "from 302.0 s to 303.0 s");
    let story = Ledger::open(&folder.path().join("ledger")).unwrap().story(told.envelope.id).unwrap();
    let outcomes: Vec<_> = story[0].outcomes().map(|(index, word, _)| (index, word)).collect();
    assert_eq!(outcomes, [(0, "expired")]);
}

#[test]
fn failures_outlive_plain_successes_and_all_stays_within_its_size() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(Settings { size: 300_000, ..settings(folder.path()) }).unwrap();
    for n in 0..10_000 {
        let mut account = success(n);
        if n % 500 == 0 {
            account.results[0].outcome = Outcome::Deferred(refused());
        }
        tell(&recorder, &account);
        if n % 100 == 0 {
            recorder.flush();
        }
    }
    recorder.flush();
    let octets: u64 = ["plain", "kept"]
        .iter()
        .flat_map(|ring| files(folder.path(), ring))
        .map(|path| fs::metadata(path).unwrap().size())
        .sum();
    assert!(octets <= 300_000 && octets == recorder.statistics().octets, "{octets}");
    let entries = all(folder.path(), Query::default());
    let deferred = all(folder.path(), Query { ended: Some(Ended::Deferred), ..Query::default() });
    assert_eq!(deferred.len(), 20, "none of them is lost");
    assert!(entries.len() > 1000 && entries.len() < 9000, "{}", entries.len());
    let horizon = Ledger::open(&folder.path().join("ledger")).unwrap().horizon().unwrap();
    assert!(horizon.kept.unwrap() < horizon.plain.unwrap());
    assert_eq!(recorder.statistics().lost, 0);
}

#[test]
fn rot_costs_what_it_hits_and_never_a_panic_or_a_wrong_word() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(settings(folder.path())).unwrap();
    for n in 0..40 {
        tell(&recorder, &success(n));
        recorder.flush();
    }
    recorder.shutdown();
    let path = files(folder.path(), "plain").remove(0);
    let good = fs::read(&path).unwrap();
    let mut fewest = usize::MAX;
    for at in (0..good.len()).step_by(89) {
        let mut rotten = good.clone();
        rotten[at] ^= 0x55;
        fs::write(&path, &rotten).unwrap();
        let entries = all(folder.path(), Query::default());
        fewest = fewest.min(entries.len());
        for entry in entries {
            let account = entry.account().unwrap();
            // A connection whose facts are lost is not shown, rather than shown as one in clear.
            assert!(
                account.connections.iter().all(|c| c.status == TlsStatus::Verified)
                    && !account.results.is_empty()
            );
            assert_eq!(entry.complete, account.connections.len() == 1);
        }
    }
    assert_eq!(fewest, 0, "the header of the file");
    for length in (0..good.len()).step_by(401) {
        fs::write(&path, &good[..length]).unwrap();
        let entries = all(folder.path(), Query::default());
        assert!(entries.len() <= 40);
        assert!(
            ids(&entries).iter().rev().copied().eq(0..entries.len() as u64),
            "a torn tail costs the tail"
        );
    }
    // Something else in its place.
    fs::write(&path, b"WxLb".repeat(100_000)).unwrap();
    assert!(all(folder.path(), Query::default()).is_empty());
}

#[test]
fn an_address_is_erased_everywhere_and_everything_else_stays() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(settings(folder.path())).unwrap();
    let mut told = success(1);
    let mut failure = no_such_user();
    failure.reason = "host mx said: 550 <B@example.com>: no, bb@example.com is".into();
    told.results[0].outcome = Outcome::Bounced(failure);
    tell(&recorder, &told);
    tell(&recorder, &success(2));
    recorder.flush();
    let ledger = Ledger::open(&folder.path().join("ledger")).unwrap();
    assert_eq!(ledger.erase("b@example.com").unwrap().places, 3);
    assert_eq!(ledger.erase("b@example.com").unwrap().places, 0);
    let entries = all(folder.path(), Query::default());
    assert_eq!(entries.len(), 2);
    for entry in &entries {
        assert_eq!(entry.envelope().recipients[0].mailbox.as_str(), "*@example.com");
        assert_eq!(entry.envelope().sender.as_ref().unwrap().as_str(), "a@example.org");
        assert!(entry.complete);
    }
    let reason = &entries[1].outcomes().next().unwrap().2.unwrap().reason;
    assert_eq!(reason, "host mx said: 550 <*@example.com>: no, bb@example.com is");
    // The process goes on writing to the same file.
    tell(&recorder, &success(3));
    recorder.flush();
    assert_eq!(
        all(folder.path(), Query { recipient: Some("b@example.com".into()), ..Query::default() }).len(),
        1
    );
}

#[test]
fn a_file_of_version_1_is_still_read_and_erased_from() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("ledger")).unwrap();
    let path = folder.path().join("ledger/plain-0000000002.wxl");
    fs::write(path, include_bytes!("version-1.wxl")).unwrap();
    let read = || all(folder.path(), Query::default());
    let [entry] = &read()[..] else { panic!("{:?}", read()) };
    let account = entry.account().unwrap();
    assert!(entry.complete && account.connections[0].status == TlsStatus::Untrusted);
    assert_eq!(entry.envelope().recipients[0].mailbox.as_str(), "u0x0@d0.bench.test");
    assert_eq!(account.connections[0].host.as_ref().unwrap().as_str(), "mx0.d.bench.test");
    let ledger = Ledger::open(&folder.path().join("ledger")).unwrap();
    assert_eq!(ledger.erase("u0x0@d0.bench.test").unwrap().places, 1);
    assert_eq!(read()[0].envelope().recipients[0].mailbox.as_str(), "****@d0.bench.test");
    // Beside it, this program writes its own.
    let recorder = Recorder::start(settings(folder.path())).unwrap();
    tell(&recorder, &success(1));
    recorder.shutdown();
    assert_eq!(read().len(), 2);
}

#[test]
fn redacted_addresses_are_found_by_those_who_know_them_and_can_be_erased() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(Settings { redact: true, ..settings(folder.path()) }).unwrap();
    let mut told = success(1);
    let mut failure = no_such_user();
    failure.reason = "550 <b@example.com>: unknown".into();
    told.results[0].outcome = Outcome::Bounced(failure);
    tell(&recorder, &told);
    recorder.flush();
    // What is packed, and what is not.
    let octets = fs::read(&files(folder.path(), "kept")[0]).unwrap();
    let text = format!("{}{:?}", String::from_utf8_lossy(&octets), all(folder.path(), Query::default()));
    // What stands for a name may end as the name does.
    let told = |address: &str| {
        let names = |(at, _): (usize, &str)| !text[..at].ends_with(|c: char| c.is_ascii_alphanumeric());
        text.match_indices(address).any(names)
    };
    assert!(!told("b@example.com") && !told("a@example.org") && text.contains("@example.com"));
    let query = Query { recipient: Some("B@example.com".into()), ..Query::default() };
    assert_eq!(all(folder.path(), query.clone()).len(), 1);
    let ledger = Ledger::open(&folder.path().join("ledger")).unwrap();
    assert_eq!(ledger.erase("b@example.com").unwrap().places, 2);
    assert_eq!(all(folder.path(), query).len(), 0);
}

#[test]
fn files_are_closed_to_others_and_a_folder_has_one_writer() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(Settings { redact: true, ..settings(folder.path()) }).unwrap();
    tell(&recorder, &success(1));
    recorder.flush();
    assert!(matches!(Recorder::start(settings(folder.path())), Err(Error::Busy(_))));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.path().join("ledger")), 0o700);
    for entry in fs::read_dir(folder.path().join("ledger")).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
}

#[test]
fn a_disk_that_does_not_keep_up_costs_records_that_are_counted_and_no_time() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(Settings { queue_limit: 0, ..settings(folder.path()) }).unwrap();
    let mut told = 0;
    // The thread takes what there is a tenth of a second later: of two told at once, one is over the limit.
    while recorder.statistics().lost == 0 {
        tell(&recorder, &success(told));
        told += 1;
    }
    recorder.flush();
    let statistics = recorder.statistics();
    assert_eq!(statistics.written + statistics.lost, told);
    assert_eq!(all(folder.path(), Query::default()).len() as u64, statistics.written);
}
