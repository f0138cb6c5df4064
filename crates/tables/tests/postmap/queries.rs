//! Random query files, over the same rows in all databases.

use std::path::Path;

use crate::{Bench, Case, Tally, number, ours, random::Random, seed};

/// So many query files of each kind: postmap has to be started for each key.
const FILES: u64 = 40;

/// Key, and two values.
const ROWS: &[(&str, &str, Option<&str>)] = &[
    ("a.test", "encrypt", None),
    ("a.test", "second", Some("extra")),
    ("b.test", "x@y.test", Some("")),
    ("user@a.test", "secure", None),
    ("user", "@y.test", Some("z@")),
    ("it's", "quoted", None),
    ("back\\slash", "b\\s", None),
    ("per%cent", "100%", None),
    ("empty", "", Some("not empty")),
    ("bücher.test", "grün", None),
    ("test", "domain@part", None),
];

const KEYS: &[&str] = &[
    "a.test",
    "A.TEST",
    "b.test",
    "user@a.test",
    "@a.test",
    "user@",
    "user",
    "it's",
    "back\\slash",
    "per%cent",
    "empty",
    "bücher.test",
    "none",
    "' OR '1'='1",
    "\\' OR 1=1 -- ",
    "a@b@a.test",
    "user@sub.a.test",
    "x@test",
    ".",
    "a\"b",
    "$1",
    "*",
];

fn keys() -> Vec<String> {
    KEYS.iter().map(|key| (*key).to_owned()).collect()
}

/// The statements that make the rows.
fn rows(quote: impl Fn(&str) -> String) -> String {
    let mut text = "CREATE TABLE p (k VARCHAR(100), v VARCHAR(100), w VARCHAR(100));\n".to_owned();
    for (key, value, other) in ROWS {
        let other = other.map_or("NULL".to_owned(), |other| format!("'{}'", quote(other)));
        text.push_str(&format!("INSERT INTO p VALUES ('{}', '{}', {other});\n", quote(key), quote(value)));
    }
    text
}

fn parameters(random: &mut Random) -> String {
    let key =
        random.choose(&["%s", "%s", "%s", "%u", "%d", "%S", "%U", "%D", "%1", "%2.%1", "%u@%d", "%%s", "%x"]);
    let columns = random.choose(&["v", "v", "v, w", "w", "k"]);
    let mut text = format!("query = SELECT {columns} FROM p WHERE k = '{key}' ORDER BY v\n");
    if random.one_in(10) {
        text = "select_field = v\ntable = p\nwhere_field = k\nadditional_conditions = AND v <> 'second'\n"
            .to_owned();
    }
    if random.one_in(2) {
        let formats = ["smtp:[%s]", "%u", "%d", "%s %S", "<%U>", "%D", "%%", "%1", "%s,%s", "x"];
        text.push_str(&format!("result_format = {}\n", random.choose(&formats)));
    }
    if random.one_in(4) {
        text.push_str(&format!("expansion_limit = {}\n", random.below(3)));
    }
    if random.one_in(5) {
        text.push_str(&format!(
            "domain = {}\n",
            random.choose(&["a.test", "b.test, sub.a.test", "!a.test, a.test", "none"])
        ));
    }
    text
}

fn compare(kind: &'static str, server: &str, least: usize) {
    let (seed, files) = (seed(), number("WAXSEAL_FUZZ_TABLES").unwrap_or(FILES));
    let bench = Bench::new();
    let mut tally = Tally::default();
    for number in 0..files {
        let mut random = Random::new(seed ^ (number << 20));
        let text = format!("{server}{}", parameters(&mut random));
        let name = format!("{kind}:{}", bench.write("q.cf", &text).display());
        let keys = keys();
        let answers = (ours(&name, &keys), bench.theirs(&name, &keys));
        tally.compare(&Case { kind, text: &text }, &keys, answers);
    }
    tally.report(seed, if files >= FILES { least } else { 0 });
}

fn made(path: &Path, program: &str, arguments: &[&str], statements: &str) {
    use std::io::Write as _;
    let mut command = std::process::Command::new(program);
    let mut child =
        command.args(arguments).stdin(std::process::Stdio::piped()).spawn().expect("a client program");
    child.stdin.take().unwrap().write_all(statements.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{program} {}", path.display());
}

#[cfg(feature = "sqlite")]
#[test]
#[ignore = "needs Debian's Postfix"]
fn random_query_files_for_sqlite_say_what_postmap_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let database = rusqlite::Connection::open(&path).unwrap();
    database.execute_batch(&rows(|text| text.replace('\'', "''"))).unwrap();
    compare("sqlite", &format!("dbpath = {}\n", path.display()), 800);
}

#[cfg(feature = "pgsql")]
#[test]
#[ignore = "needs Debian's Postfix and PostgreSQL, and root"]
fn random_query_files_for_postgresql_say_what_postmap_says() {
    let server = crate::servers::Server::postgres();
    let folder = server.folder().display().to_string();
    let statements = rows(|text| text.replace('\'', "''"));
    made(server.folder(), "psql", &["-q", "-h", &folder, "-U", "waxseal", "postgres"], &statements);
    compare("pgsql", &format!("hosts = unix:{folder}\nuser = waxseal\ndbname = postgres\n"), 800);
}

#[cfg(feature = "mysql")]
#[test]
#[ignore = "needs Debian's Postfix and MariaDB, and root"]
fn random_query_files_for_mysql_say_what_postmap_says() {
    let server = crate::servers::Server::mariadb();
    let socket = server.folder().join("socket").display().to_string();
    let rows = rows(|text| text.replace('\\', "\\\\").replace('\'', "\\'"));
    let statements = format!("SET NAMES utf8mb4; CREATE DATABASE d CHARACTER SET utf8mb4; USE d;\n{rows}");
    made(server.folder(), "mariadb", &["--no-defaults", "-u", "root", "-S", &socket], &statements);
    compare("mysql", &format!("hosts = unix:{socket}\nuser = root\ndbname = d\noption_group =\n"), 800);
}
