//! Random `main.cf` files, read by Postfix's `postconf -x` and by us: every value must be the same, and every error in both.
//!
//! `cargo test -p waxseal-config --test postconf -- --ignored --nocapture`; `WAXSEAL_FUZZ_SEED` and `WAXSEAL_FUZZ_FILES` (default 2,000) choose.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{collections::BTreeMap, fmt::Write as _, path::Path, process::Command};

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
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
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
            let some = if dice.one_in(12) { &levels[..] } else { &levels[..6] };
            let (left, right) = (dice.pick(&levels[..6]), dice.pick(some));
            format!(
                "${{{{{left}}} {operator} {{{right}}} ? {{{}}} : {{{}}}}}",
                text(dice, depth - 1),
                text(dice, depth - 1)
            )
        }
        12 if dice.one_in(12) => dice
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
    let mut file =
        String::from("# random\nmyhostname = host.example.com\ncompatibility_level = 3.6\nempty =\n");
    let mut own = vec!["v0", "v1", "v2", "v3", "v4", "v5"];
    own.extend(&NAMES[..13]);
    for name in own {
        for _ in 0..=usize::from(dice.one_in(8)) {
            let depth = dice.below(4);
            let mut value = text(dice, depth);
            // Variables refer to later ones mostly, so that few refer to themselves.
            if let Some(at) = name.strip_prefix('v').and_then(|at| at.parse::<usize>().ok()) {
                for other in 0..=at {
                    let with = if at == 5 || !dice.one_in(30) {
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
        match dice.below(60) {
            0 => file.push_str("# between\n"),
            1 => file.push_str("\n   \n"),
            2 => file.push_str("   # indented\n"),
            3 => file.push_str("no sign here\n"),
            4 => file.push_str("two words = x\n"),
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

#[test]
#[ignore = "needs postconf, of the Debian package postfix"]
fn random_files_come_to_what_postconf_says() {
    let number =
        |name: &str, default| std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default);
    let (seed, files): (u64, u64) =
        (number("WAXSEAL_FUZZ_SEED", 20_26_11_22), number("WAXSEAL_FUZZ_FILES", 2000));
    println!("seed {seed}, {files} files");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("master.cf"), "smtp unix - - n - - smtp\n").unwrap();
    let path = folder.path().join("main.cf");
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let (mut values, mut errors, mut unexplained) = (0, 0, 0);
    for file in 0..files {
        let text = main_cf(&mut dice);
        std::fs::write(&path, &text).unwrap();
        let ours = main_cf_values(&path, &NAMES).map_err(|problems| problems.to_string());
        let theirs = postconf(folder.path());
        match (&ours, &theirs) {
            (Err(_), None) => errors += 1,
            (Ok(ours), Some(theirs)) => {
                for name in NAMES {
                    let (our, their) =
                        (&ours[name], theirs.get(name).map(String::as_str).unwrap_or_default());
                    values += 1;
                    if collapse(our) != collapse(their) {
                        unexplained += 1;
                        println!("file {file}, {name}: ours {our:?}, postconf {their:?}");
                    }
                }
            }
            (ours, theirs) => {
                unexplained += 1;
                println!("file {file}: ours {ours:?}, postconf {theirs:?}\n{text}");
            }
        }
    }
    println!(
        "{files} files: {values} values compared, {errors} files with an error in both, {unexplained} unexplained differences"
    );
    assert_eq!(unexplained, 0);
    // Two files in three are refused by both; of the others each gives 14 values.
    assert!(values > files * 3 && errors > 0, "the files are of little use");
}

/// postconf folds long lines for display, so that the amount of white space says nothing.
fn collapse(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
