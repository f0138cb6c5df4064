//! `sqlite:` tables (sqlite_table(5)).

use std::{fs, path::Path, time::Duration};

use rusqlite::Connection;
use waxseal_tables::{Options, Refresh, Table};

use super::value;

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap() };
        bench.fill("db", &[("a.test", Some("encrypt")), ("it's", Some("quoted")), ("null", None)]);
        bench
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn fill(&self, name: &str, rows: &[(&str, Option<&str>)]) {
        let database = Connection::open(self.path(name)).unwrap();
        database.execute_batch("CREATE TABLE p (k TEXT, v TEXT)").unwrap();
        for row in rows {
            database.execute("INSERT INTO p VALUES (?1, ?2)", *row).unwrap();
        }
    }

    fn table(&self, more: &str) -> Table {
        let file = self.path("q.cf");
        let path = self.path("db");
        write(&file, &format!("dbpath = {}\n{more}\n", path.display()));
        let options = Options { patience: Duration::ZERO, ..Options::default() };
        Table::open(&format!("sqlite:{}", file.display()), options).unwrap()
    }
}

/// With a time that is long ago.
fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    let past = std::time::SystemTime::now() - Duration::from_secs(60);
    fs::File::options().write(true).open(path).unwrap().set_modified(past).unwrap();
}

const QUERY: &str = "query = SELECT v FROM p WHERE k = '%s'";

#[tokio::test]
async fn rows_are_found_and_keys_stay_keys() {
    let bench = Bench::new();
    let table = bench.table(QUERY);
    for (key, expected) in [
        ("a.test", Some("encrypt")),
        ("A.Test", Some("encrypt")),
        ("it's", Some("quoted")),
        ("null", None),
        ("b.test", None),
        ("' OR 1=1 --", None),
        ("'; DROP TABLE p; --", None),
        ("", None),
    ] {
        assert_eq!(value(&table, key).await, Ok(expected.map(str::to_owned)), "{key}");
    }
}

#[tokio::test]
async fn several_rows_are_joined_and_limited() {
    let bench = Bench::new();
    fs::remove_file(bench.path("db")).unwrap();
    bench.fill("db", &[("k", Some("a@x.test")), ("k", Some("b")), ("k", None), ("k", Some("@y"))]);
    let joined = bench.table(&format!("{QUERY}\nresult_format = <%u>"));
    assert_eq!(value(&joined, "k").await, Ok(Some("<a>,<b>".into())));
    let domains = bench.table(&format!("{QUERY}\nresult_format = %d"));
    assert_eq!(value(&domains, "k").await, Ok(Some("x.test,y".into())));
    let limited = bench.table(&format!("{QUERY}\nexpansion_limit = 2"));
    assert!(value(&limited, "k").await.unwrap_err().reason.contains("expansion_limit"));
}

#[tokio::test]
async fn a_database_that_is_gone_or_damaged_fails_and_a_new_one_is_read() {
    let bench = Bench::new();
    let table = bench.table(QUERY);
    assert_eq!(value(&table, "a.test").await, Ok(Some("encrypt".into())));
    fs::remove_file(bench.path("db")).unwrap();
    assert!(value(&table, "b.test").await.is_err(), "the connection to what was removed is not used");
    fs::write(
        bench.path("db"),
        "not a database at all, but long enough to have a header of a hundred octets, as one must have",
    )
    .unwrap();
    assert!(value(&table, "c.test").await.is_err());
    fs::remove_file(bench.path("db")).unwrap();
    bench.fill("new", &[("d.test", Some("secure"))]);
    fs::rename(bench.path("new"), bench.path("db")).unwrap();
    assert_eq!(value(&table, "d.test").await, Ok(Some("secure".into())));
}

#[tokio::test]
async fn a_database_that_is_cut_off_anywhere_never_says_that_there_is_no_entry() {
    let bench = Bench::new();
    let whole = fs::read(bench.path("db")).unwrap();
    for length in (0..whole.len()).step_by(60) {
        let table = bench.table(QUERY);
        fs::write(bench.path("db"), &whole[..length]).unwrap();
        assert_ne!(value(&table, "a.test").await, Ok(None), "{length} of {} octets", whole.len());
    }
}

#[tokio::test]
async fn a_query_file_that_cannot_be_used_fails_lookups_and_a_mended_one_is_taken() {
    let bench = Bench::new();
    for bad in
        ["", "query = SELECT v FROM p WHERE k = %s", "query = %x", "query = SELECT 1\nexpansion_limit = x"]
    {
        let table = bench.table(bad);
        assert!(value(&table, "a.test").await.is_err(), "{bad}");
        assert!(table.trouble().unwrap().contains("q.cf"), "{bad}");
        let path = bench.path("db");
        write(&bench.path("q.cf"), &format!("dbpath = {}\n{QUERY}\n# mended\n", path.display()));
        assert_eq!(table.refresh(std::time::SystemTime::now()), Refresh::Reloaded, "{bad}");
        assert_eq!(value(&table, "a.test").await, Ok(Some("encrypt".into())));
    }
}

#[tokio::test]
async fn a_query_that_returns_the_world_is_stopped() {
    let bench = Bench::new();
    let table = bench.table(
        "query = WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n WHERE '%s' = 'a'",
    );
    assert!(value(&table, "a").await.unwrap_err().reason.contains("more than"));
}
