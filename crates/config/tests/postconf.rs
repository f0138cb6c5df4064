//! Random `main.cf` files, read by Postfix's `postconf -x` and by us: every value must be the same, and every error in both.
//!
//! `cargo test -p waxseal-config --test postconf -- --ignored --nocapture`; `WAXSEAL_FUZZ_SEED` and `WAXSEAL_FUZZ_FILES` (default 2,000) choose.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::Path,
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use waxseal_config::main_cf_values;

/// Parameters that take any text, so that postconf says what they come to.
const NAMES: [&str; 14] = [
    "relayhost",
    "transport_maps",
    "smtp_tls_CAfile",
    "smtp_tls_policy_maps",
    "smtp_tls_security_level",
    "smtp_tls_servername",
    "smtp_helo_name",
    "smtp_fallback_relay",
    "smtp_bind_address",
    "alias_maps",
    "canonical_maps",
    "smtpd_banner",
    "smtp_tls_fingerprint_digest",
    "mydomain",
];

/// xorshift64*: small, and the same everywhere.
struct Dice {
    state: u64,
    /// Whether the file may have mistakes. Most have none: after the first mistake postconf looks at nothing else.
    faults: bool,
}

impl Dice {
    fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Whether to make a mistake now.
    fn fault(&mut self, chance: usize) -> bool {
        self.faults && self.one_in(chance)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 33) as usize % limit
    }

    fn one_in(&mut self, chance: usize) -> bool {
        self.below(chance) == 0
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }
}

const WORDS: &[&str] = &[
    "a",
    "mail",
    "example.com",
    "[mx.example.com]:25",
    "3",
    "10",
    "007",
    "3.6",
    "3.10",
    "-",
    "x=y",
    "a,b",
    "yes",
    "hash:/etc/x",
    "dane",
    "may",
    "=",
    "#",
    "?",
    ":",
    "\"",
    "\\",
    "'",
    "!",
    "<",
    "ü",
    "$$",
    "/",
];
const REFERENCES: &[&str] = &[
    "v0",
    "v1",
    "v2",
    "v3",
    "v4",
    "v5",
    "undefined",
    "mail_name",
    "compatibility_level",
    "myhostname",
    "mydomain",
    "relayhost",
    "smtp_tls_security_level",
    "empty",
    "queue_directory",
    "smtp_tls_key_file",
];

/// An expression, mostly a good one.
fn expression(dice: &mut Dice, depth: usize) -> String {
    let blank = |dice: &mut Dice| if dice.one_in(4) { " " } else { "" };
    let name = dice.pick(REFERENCES);
    let choice = if depth == 0 { dice.below(4) } else { dice.below(14) };
    match choice {
        0 => format!("${name}"),
        1 => format!("${{{name}}}"),
        2 => format!("$({name})"),
        3 => dice.pick(WORDS).to_owned(),
        4 => format!("${{{name}?{}}}", text(dice, depth - 1)),
        5 => format!("${{{name}:{}}}", text(dice, depth - 1)),
        6 | 7 => {
            let (a, b, c, d) = (blank(dice), blank(dice), blank(dice), blank(dice));
            let (yes, no) = (text(dice, depth - 1), text(dice, depth - 1));
            format!("${{{a}{name}{b}?{c}{{{yes}}}{d}:{a}{{{no}}}{c}}}")
        }
        8..=10 => {
            let operator = dice.pick(&["==", "!=", "<", "<=", ">", ">="]);
            let (a, b) = (blank(dice), blank(dice));
            let (left, right) = (text(dice, depth - 1), text(dice, depth - 1));
            let tail = match dice.below(3) {
                0 => String::new(),
                1 => format!("?{{{}}}", text(dice, depth - 1)),
                _ => format!("{a}?{b}{{{}}}{a}:{b}{{{}}}", text(dice, depth - 1), text(dice, depth - 1)),
            };
            format!("${{{a}{{{left}}}{b}{operator}{a}{{{right}}}{tail}}}")
        }
        11 => {
            let operator = dice.pick(&["==level", "!=level", "<level", "<=level", ">level", ">=level"]);
            let levels =
                ["3", "3.6", "3.10.1", "2", "0", "$compatibility_level", "3.a", "", "3.6 ", " 3", "+3.6"];
            let some = if dice.fault(6) { &levels[..] } else { &levels[..6] };
            let (left, right) = (dice.pick(&levels[..6]), dice.pick(some));
            format!(
                "${{{{{left}}} {operator} {{{right}}} ? {{{}}} : {{{}}}}}",
                text(dice, depth - 1),
                text(dice, depth - 1)
            )
        }
        12 if dice.fault(6) => dice
            .pick(&[
                "${",
                "$(x",
                "$",
                "${x?{a}b}",
                "${{a}}",
                "${a b}",
                "${}",
                "${x:{a}:{b}}",
                "${{a}==b}",
                "$ x",
                "${x!}",
                "${{1} =! {2}}",
                "${x{y}}",
                "${{a} ==no {b}}",
            ])
            .to_owned(),
        _ => format!("{}{}", dice.pick(WORDS), expression(dice, depth - 1)),
    }
}

fn text(dice: &mut Dice, depth: usize) -> String {
    let mut text = String::new();
    for _ in 0..dice.below(3) {
        text.push_str(&expression(dice, depth));
        if dice.one_in(3) {
            text.push(' ');
        }
    }
    text
}

/// A value over several lines, with comments between them.
fn folded(dice: &mut Dice, value: &str) -> String {
    let mut out = String::new();
    for (at, word) in value.split(' ').enumerate() {
        if at > 0 {
            out.push_str(match dice.below(12) {
                0 => "\n ",
                1 => "\n\t",
                2 => "\n# comment $x ${\n  ",
                3 => "\n\n   \n ",
                4 => "  ",
                5 => "\t",
                _ => " ",
            });
        }
        // What would begin a line of its own, or a comment, stays behind a blank.
        out.push_str(word);
    }
    out
}

fn main_cf(dice: &mut Dice) -> String {
    dice.faults = dice.one_in(5);
    let mut file =
        String::from("# random\nmyhostname = host.example.com\ncompatibility_level = 3.6\nempty =\n");
    let mut own = vec!["v0", "v1", "v2", "v3", "v4", "v5"];
    own.extend(&NAMES[..13]);
    for name in own {
        for _ in 0..=usize::from(dice.one_in(8)) {
            let depth = dice.below(4);
            let mut value = text(dice, depth);
            // Variables refer to later ones and parameters to variables mostly, so that few refer to themselves.
            if !dice.fault(8) {
                for (own, with) in
                    [("relayhost", "v1"), ("smtp_tls_security_level", "v3"), ("smtp_tls_key_file", "v5")]
                {
                    value = value.replace(own, with);
                }
            }
            if let Some(at) = name.strip_prefix('v').and_then(|at| at.parse::<usize>().ok()) {
                for other in 0..=at {
                    let with = if at == 5 || dice.one_in(3) {
                        "mail_name".to_owned()
                    } else {
                        format!("v{}", at + 1)
                    };
                    value = value.replace(&format!("v{other}"), &with);
                }
            }
            let sign = dice.pick(&["=", " = ", "= ", " =", "\t=\t"]);
            let value = folded(dice, &value);
            let _ = writeln!(file, "{name}{sign}{value}");
        }
        match dice.below(30) {
            0 => file.push_str("# between\n"),
            1 => file.push_str("\n   \n"),
            2 => file.push_str("   # indented\n"),
            3 if dice.fault(4) => file.push_str("no sign here\n"),
            4 if dice.fault(4) => file.push_str("two words = x\n"),
            _ => {}
        }
    }
    if dice.one_in(10) { file.trim_end().to_owned() } else { file }
}

/// What postconf says; `None` where it ends with an error.
fn postconf(folder: &Path) -> Option<BTreeMap<String, String>> {
    let output = Command::new("postconf").arg("-c").arg(folder).arg("-x").args(NAMES).output().unwrap();
    if !output.status.success() {
        return None;
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let pair =
        |line: &str| line.split_once(" =").map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
    Some(text.lines().filter_map(pair).collect())
}

/// What one file came to.
enum Compared {
    Values(usize),
    /// Neither takes it.
    Refused,
    Differences(Vec<String>),
}

/// A file that has been quiet for long: postconf waits until a fresh one has been.
fn quiet(path: &Path) {
    let past = SystemTime::now() - Duration::from_secs(60);
    std::fs::File::options().write(true).open(path).unwrap().set_modified(past).unwrap();
}

fn compare(folder: &Path, text: &str) -> Compared {
    let path = folder.join("main.cf");
    std::fs::write(&path, text).unwrap();
    quiet(&path);
    let ours = main_cf_values(&path, &NAMES).map_err(|problems| problems.to_string());
    match (ours, postconf(folder)) {
        (Err(_), None) => Compared::Refused,
        (Ok(ours), Some(theirs)) => {
            let differences: Vec<String> = NAMES
                .iter()
                .map(|name| (name, &ours[*name], theirs.get(*name).map(String::as_str).unwrap_or_default()))
                .filter(|(_, our, their)| collapse(our) != collapse(their))
                .map(|(name, our, their)| format!("{name}: ours {our:?}, postconf {their:?}\n{text}"))
                .collect();
            if differences.is_empty() {
                Compared::Values(NAMES.len())
            } else {
                Compared::Differences(differences)
            }
        }
        (ours, theirs) => Compared::Differences(vec![format!("ours {ours:?}, postconf {theirs:?}\n{text}")]),
    }
}

/// So many at once: postconf waits a second before it ends with an error.
const THREADS: usize = 24;

#[test]
#[ignore = "needs postconf, of the Debian package postfix"]
fn random_files_come_to_what_postconf_says() {
    let number =
        |name: &str, default| std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default);
    let (seed, files): (u64, usize) =
        (number("WAXSEAL_FUZZ_SEED", 20_26_11_22), number("WAXSEAL_FUZZ_FILES", 2000) as usize);
    let mut dice = Dice { state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1, faults: false };
    let texts: Vec<String> = (0..files).map(|_| main_cf(&mut dice)).collect();
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("master.cf"), "smtp unix - - n - - smtp\n").unwrap();
        quiet(&folder.path().join("master.cf"));
        while let Some((at, text)) = texts.iter().enumerate().nth(next.fetch_add(1, Ordering::Relaxed)) {
            let result = compare(folder.path(), text);
            results.lock().unwrap().push((at, result));
        }
    };
    std::thread::scope(|scope| (0..THREADS).for_each(|_| drop(scope.spawn(work))));
    let (mut values, mut errors, mut unexplained) = (0, 0, 0);
    for (at, result) in results.into_inner().unwrap() {
        match result {
            Compared::Values(count) => values += count,
            Compared::Refused => errors += 1,
            Compared::Differences(differences) => {
                unexplained += differences.len();
                differences.iter().for_each(|difference| println!("file {at}, {difference}"));
            }
        }
    }
    println!(
        "seed {seed}: {files} files, {values} values compared, {errors} files with an error in both, {unexplained} unexplained differences"
    );
    assert_eq!(unexplained, 0);
    // Most files are good ones, and some are not.
    assert!(values > files * NAMES.len() / 2 && (errors > 0 || files < 50), "the files are of little use");
}

/// postconf folds long lines for display, so that the amount of white space says nothing.
fn collapse(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
