//! Random tables and keys, asked of this crate and of postmap(1) of Debian's Postfix: both must say the same.
//!
//! Ignored by default, since it needs Debian's packages `postfix`, `postfix-pcre`, `postfix-cdb`, `postfix-lmdb`, `postfix-sqlite`, `postfix-pgsql` and `postgresql` (for
//! MySQL also `postfix-mysql` and `mariadb-server-core`, and the feature), and root to start servers as somebody else. `.ci/run` runs it. `WAXSEAL_FUZZ_TABLES` says how
//! many tables of each kind, `WAXSEAL_FUZZ_SEED` with which seed; a difference names the seed that shows it again.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod explained;
mod generate;
#[cfg(any(feature = "pgsql", feature = "mysql", feature = "sqlite"))]
mod queries;
mod random;
#[cfg(any(feature = "pgsql", feature = "mysql"))]
#[cfg_attr(not(all(feature = "pgsql", feature = "mysql")), expect(dead_code, reason = "one of both"))]
mod servers;

use std::{
    collections::{BTreeMap, HashMap},
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use random::Random;
use waxseal_tables::{Options, Table};

/// Of each kind; together with [`KEYS`] each, more than the 20,000 lookups that are asked for.
const TABLES: u64 = 100;
/// Keys asked of each table.
const KEYS: usize = 40;

/// What a lookup comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    Value(String),
    Nothing,
    Failure(String),
}

/// A folder with a main.cf for postmap.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap() };
        fs::write(bench.path("main.cf"), "compatibility_level = 3.6\n").unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file that has been quiet for long.
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        quiet(&path);
        path
    }

    fn postmap(&self, arguments: &[&str], input: &str) -> (bool, String, String) {
        let mut command = Command::new("postmap");
        command.arg("-c").arg(self.folder.path()).args(arguments);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("postmap can be run: install postfix");
        // It may end before it has read everything.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    }

    /// What postmap says to each key.
    fn theirs(&self, table: &str, keys: &[String]) -> Vec<Answer> {
        let input: String = keys.iter().map(|key| format!("{key}\n")).collect();
        let (_, found, words) = self.postmap(&["-q", "-", table], &input);
        if let Some(fatal) = words.lines().find(|line| line.contains("fatal:") || line.contains("error:")) {
            // One key that has no answer ends it, and the others are still to be asked.
            if keys.len() > 1 && fatal.contains("query error") {
                return keys.iter().flat_map(|key| self.theirs(table, std::slice::from_ref(key))).collect();
            }
            return vec![Answer::Failure(fatal.to_owned()); keys.len()];
        }
        let found: HashMap<&str, &str> = found.lines().filter_map(|line| line.split_once('\t')).collect();
        let answer = |key: &String| match found.get(key.as_str()) {
            Some(value) => Answer::Value((*value).to_owned()),
            None => Answer::Nothing,
        };
        keys.iter().map(answer).collect()
    }
}

fn quiet(path: &Path) {
    let past = SystemTime::now() - Duration::from_secs(60);
    fs::File::options().write(true).open(path).unwrap().set_modified(past).unwrap();
}

/// What this crate says to each key.
fn ours(table: &str, keys: &[String]) -> Vec<Answer> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let options = Options { patience: Duration::ZERO, ..Options::default() };
    match Table::open(table, options) {
        Err(error) => vec![Answer::Failure(error.to_string()); keys.len()],
        Ok(table) => {
            let ask = |key: &String| match runtime.block_on(table.ask(key)) {
                Ok(Some(found)) => Answer::Value(found.value),
                Ok(None) => Answer::Nothing,
                Err(fail) => Answer::Failure(fail.reason),
            };
            keys.iter().map(ask).collect()
        }
    }
}

/// What was compared, and what came of it.
#[derive(Default)]
struct Tally {
    lookups: usize,
    agreed: usize,
    found: usize,
    explained: BTreeMap<&'static str, usize>,
    unexplained: Vec<String>,
}

impl Tally {
    fn compare(
        &mut self,
        case: &explained::Case<'_>,
        keys: &[String],
        (ours, theirs): (Vec<Answer>, Vec<Answer>),
    ) {
        for ((key, ours), theirs) in keys.iter().zip(ours).zip(theirs) {
            self.lookups += 1;
            self.found += usize::from(matches!(theirs, Answer::Value(_)));
            let same = match (&ours, &theirs) {
                (Answer::Failure(_), Answer::Failure(_)) => true,
                (ours, theirs) => ours == theirs,
            };
            if same {
                self.agreed += 1;
            } else if let Some(reason) = explained::reason(case, key, &ours, &theirs) {
                *self.explained.entry(reason).or_default() += 1;
            } else {
                let Case { kind, text, .. } = case;
                self.unexplained
                    .push(format!("{kind} key {key:?}: ours {ours:?}, theirs {theirs:?}, in\n{text}"));
            }
        }
    }

    fn report(self, seed: u64, least: usize) {
        println!(
            "seed {seed}: {} lookups, {} agree ({} found), explained: {:?}, unexplained: {}",
            self.lookups,
            self.agreed,
            self.found,
            self.explained,
            self.unexplained.len()
        );
        // Two of each kind will do.
        let mut told: HashMap<&str, usize> = HashMap::new();
        let few = self.unexplained.iter().filter(|text| {
            let told = told.entry(text.split(' ').next().unwrap_or_default()).or_default();
            *told += 1;
            *told <= 2
        });
        let shown: String = few.map(|text| format!("{text}\n")).collect();
        assert!(
            shown.is_empty(),
            "seed {seed}: {} unexplained differences:\n{shown}",
            self.unexplained.len()
        );
        assert!(self.lookups >= least, "only {} lookups", self.lookups);
        assert!(self.found * 20 > self.lookups, "hardly anything was found: the tables do not fit the keys");
    }
}

use explained::Case;

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap())
}

fn seed() -> u64 {
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    number("WAXSEAL_FUZZ_SEED").unwrap_or_else(now)
}

/// So many at once: postmap waits a second before it ends with an error.
const THREADS: usize = 24;

#[test]
#[ignore = "needs Debian's Postfix"]
fn random_tables_say_what_postmap_says() {
    let (seed, tables) = (seed(), number("WAXSEAL_FUZZ_TABLES").unwrap_or(TABLES));
    let all: Vec<(&generate::Kind, u64)> =
        generate::KINDS.iter().flat_map(|kind| (0..tables).map(move |number| (kind, number))).collect();
    let (next, tally) = (AtomicUsize::new(0), Mutex::new(Tally::default()));
    let work = || {
        let bench = Bench::new();
        while let Some((kind, number)) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut random = Random::new(seed ^ (number << 20) ^ kind.name.len() as u64);
            let text = (kind.text)(&mut random);
            let keys: Vec<String> = (0..KEYS).map(|_| (kind.key)(&mut random)).collect();
            let name = match kind.form {
                generate::Form::Inline => format!("{}:{text}", kind.name),
                generate::Form::File => format!("{}:{}", kind.name, bench.write("table", &text).display()),
                generate::Form::Made => made(&bench, kind.name, &text),
            };
            let answers = (ours(&name, &keys), bench.theirs(&name, &keys));
            tally.lock().unwrap().compare(&Case { kind: kind.name, text: &text }, &keys, answers);
        }
    };
    std::thread::scope(|scope| (0..THREADS).for_each(|_| drop(scope.spawn(work))));
    let least = if tables >= TABLES { 50_000 } else { 0 };
    tally.into_inner().unwrap().report(seed, least);
}

/// A table that postmap makes of a text.
fn made(bench: &Bench, kind: &str, text: &str) -> String {
    let path = bench.write("table", text);
    let name = format!("{kind}:{}", path.display());
    let (made, _, words) = bench.postmap(&[&name], "");
    assert!(made, "postmap {name}: {words}\n{text}");
    for end in ["db", "cdb", "lmdb"] {
        let database = path.with_extension(end);
        if database.exists() {
            quiet(&database);
        }
    }
    name
}

#[test]
fn the_explained_list_is_short_and_each_entry_has_its_words() {
    assert!(explained::LIST.len() <= 25);
    assert!(explained::LIST.iter().all(|entry| entry.reason.len() > 20));
}
