//! What happens while an operator edits a table. Time is an argument: file times are set, nothing sleeps.
#![expect(clippy::unwrap_used, clippy::type_complexity, reason = "helpers of tests")]

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use waxseal_tables::{Options, Refresh, Table};

const LIMIT: Duration = Duration::from_secs(900);

struct Bench {
    _dir: tempfile::TempDir,
    path: PathBuf,
    now: SystemTime,
}

impl Bench {
    fn new(content: &str) -> (Self, Table) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("table");
        let bench = Self { path, now: SystemTime::now(), _dir: dir };
        bench.write(content, Duration::from_secs(60));
        let table = Table::open(&format!("texthash:{}", bench.path.display()), options()).unwrap();
        (bench, table)
    }

    /// Writes the file so that it was last modified `age` ago.
    fn write(&self, content: &str, age: Duration) {
        write_at(&self.path, content, self.now - age);
    }

    fn later(&mut self, seconds: u64) -> SystemTime {
        self.now += Duration::from_secs(seconds);
        self.now
    }
}

fn options() -> Options {
    Options { stale_limit: LIMIT, patience: Duration::ZERO, place: None }
}

fn write_at(path: &Path, content: &str, time: SystemTime) {
    fs::write(path, content).unwrap();
    File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

fn value(table: &Table, key: &str) -> Result<Option<String>, ()> {
    table.find(key).map(|found| found.map(|found| found.value)).map_err(|_| ())
}

#[test]
fn a_change_is_taken_once_it_has_been_quiet_for_a_second() {
    let (mut bench, table) = Bench::new("a may\n");
    assert_eq!(value(&table, "A"), Ok(Some("may".into())));
    assert_eq!(table.refresh(bench.now), Refresh::Unchanged);

    bench.write("# new\na secure\n", Duration::ZERO);
    assert_eq!(table.refresh(bench.now), Refresh::Waiting);
    assert_eq!(value(&table, "a"), Ok(Some("may".into())));
    let now = bench.later(2);
    assert_eq!(table.refresh(now), Refresh::Reloaded);
    let found = table.find("a").unwrap().unwrap();
    assert_eq!((found.value.as_str(), found.place), ("secure", format!("{}:2", bench.path.display())));
}

#[test]
fn a_touched_file_is_no_change() {
    let (mut bench, table) = Bench::new("a may\n");
    bench.later(100);
    bench.write("a may\n", Duration::from_secs(5));
    assert_eq!(table.refresh(bench.now), Refresh::Unchanged);
}

#[test]
fn an_unusable_version_leaves_the_old_one_in_force_until_the_limit() {
    let faults: [(&str, fn(&Bench)); 3] = [
        ("vanished", |bench| fs::remove_file(&bench.path).unwrap()),
        ("duplicate", |bench| bench.write("a may\na none\n", Duration::from_secs(5))),
        ("half-written", |bench| bench.write("a may\nb sec", Duration::from_secs(5))),
    ];
    for (fault, make) in faults {
        let (mut bench, table) = Bench::new("a encrypt\n");
        make(&bench);
        assert!(matches!(table.refresh(bench.now), Refresh::Kept(_)), "{fault}");
        assert_eq!(value(&table, "a"), Ok(Some("encrypt".into())), "{fault}");
        let now = bench.later(899);
        assert!(matches!(table.refresh(now), Refresh::Kept(_)), "{fault}");
        assert_eq!(value(&table, "nobody"), Ok(None), "{fault}");
        let now = bench.later(1);
        assert!(matches!(table.refresh(now), Refresh::Failed(_)), "{fault}");
        assert_eq!((value(&table, "a"), value(&table, "nobody")), (Err(()), Err(())), "{fault}");

        bench.write("a secure\n", Duration::from_secs(5));
        assert_eq!(table.refresh(bench.now), Refresh::Reloaded, "{fault}");
        assert_eq!(value(&table, "a"), Ok(Some("secure".into())), "{fault}");
    }
}

#[test]
fn one_bad_version_after_another_does_not_prolong_the_life_of_the_old_one() {
    let (mut bench, table) = Bench::new("a encrypt\n");
    for minute in 0..15 {
        bench.write(&format!("a may\na none\n# {minute}\n"), Duration::from_secs(5));
        assert!(matches!(table.refresh(bench.now), Refresh::Kept(_)), "{minute}");
        bench.later(60);
    }
    assert!(matches!(table.refresh(bench.now), Refresh::Failed(_)));
}

#[test]
fn a_file_that_is_written_all_the_time_ends_as_a_failure() {
    let (mut bench, table) = Bench::new("a encrypt\n");
    for second in 0..900 {
        bench.write(&format!("a may\n# {second}\n"), Duration::ZERO);
        assert_eq!(table.refresh(bench.now), Refresh::Waiting, "{second}");
        bench.later(1);
    }
    bench.write("a may\n", Duration::ZERO);
    assert!(matches!(table.refresh(bench.now), Refresh::Failed(_)));
}

#[test]
fn a_file_that_was_never_readable_fails_at_once_and_works_once_it_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("missing");
    let table = Table::open(&format!("texthash:{}", path.display()), options()).unwrap();
    assert_eq!(value(&table, "a"), Err(()));
    assert!(table.trouble().unwrap().contains("missing"));
    let now = SystemTime::now() + Duration::from_secs(10);
    assert!(matches!(table.refresh(now), Refresh::Failed(_)));
    write_at(&path, "a may\n", now - Duration::from_secs(5));
    assert_eq!(table.refresh(now), Refresh::Reloaded);
    assert_eq!((value(&table, "a"), table.trouble()), (Ok(Some("may".into())), None));
}

#[test]
fn a_directory_and_a_relative_path_are_no_tables() {
    let dir = tempfile::tempdir().unwrap();
    let table = Table::open(&format!("texthash:{}", dir.path().display()), options()).unwrap();
    assert_eq!(value(&table, "a"), Err(()));
    assert!(Table::open("texthash:relative", options()).is_err());
    for bad in [
        "nothing",
        "regexp:etc/x",
        "cidr:{1.2.3.4 a}",
        "unionmap:{}",
        "pipemap:{nothing}",
        "randmap:a",
        "hash:x",
        "ldap:/etc/x",
        "tcp:host",
        "socketmap:inet:host:9",
        "nonsense:/x",
        "inline:{}",
        "static:{x",
    ] {
        assert!(Table::open(bad, options()).is_err(), "{bad}");
    }
}

#[test]
fn a_fail_table_fails_and_a_static_one_has_everything() {
    let fail = Table::open("fail:always", options()).unwrap();
    assert_eq!(value(&fail, "a"), Err(()));
    let place = Some("/etc/postfix/main.cf:7".to_owned());
    let all = Table::open("static:{secure match=a.test}", Options { place, ..options() }).unwrap();
    let found = all.find("anything").unwrap().unwrap();
    assert_eq!(
        (found.value.as_str(), found.place.as_str()),
        ("secure match=a.test", "/etc/postfix/main.cf:7")
    );
}
