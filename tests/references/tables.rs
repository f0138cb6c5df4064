//! Lookup tables (`src/util/dict_*.ref`).

use std::{collections::BTreeSet, fs, time::Duration};

use waxseal_tables::{Options, Table, TableError};

use crate::{References, Tally};

pub(crate) fn all(references: &References) -> Vec<Tally> {
    let mut tallies = vec![texthash(references)];
    for (file, names, keys) in NAMED {
        tallies.push(named(references, file, names, keys));
    }
    for (file, kind, map, questions) in RULES {
        tallies.push(rules(references, (file, kind), map, questions));
    }
    tallies
}

/// The tables whose contents are their names: reference, names in the order of the test, and the keys asked of those that can be opened.
type Named = (&'static str, &'static [&'static str], &'static [&'static str]);

const NAMED: &[Named] = &[
    (
        "util/dict_inline.ref",
        &[
            "inline:{ }",
            "inline:{ foo = xx }",
            "inline:{ foo=xx }x",
            "inline:{ foo=xx x",
            "inline:{ foo=xx {x=y}x}",
            "inline:{ foo=XX, { bAr = lotsa stuff }}",
            "inline:{ foo=XX, { bAr = lotsa stuff }}",
        ],
        &["foo", "bar", "baz"],
    ),
    (
        "util/dict_static.ref",
        &["static:fooxx", "static:{ foo xx ", "static:{ foo xx }x", "static:{ foo xx }"],
        &["foo", "bar"],
    ),
    (
        "util/dict_random.ref",
        &["randmap:{123 123}", "randmap:123", "randmap:{ 123 ", "randmap:{ 123 }x"],
        &["foo", "bar"],
    ),
    ("util/dict_inline_regexp.ref", &["regexp:{{/foo/ got foo}}"], &["foo", "bar"]),
    ("util/dict_inline_pcre.ref", &["pcre:{{/foo/ got foo}}"], &["foo", "bar"]),
    ("util/dict_inline_cidr.ref", &["cidr:{{1.2.3.4 got 1.2.3.4}}"], &["1.2.3.4", "4.3.2.1"]),
];

/// Tables of rules: reference, type, map, and the file of questions.
const RULES: &[(&str, &str, &str, &str)] = &[
    ("util/dict_regexp.ref", "regexp", "util/dict_regexp.map", "util/dict_regexp.in"),
    ("util/dict_pcre.ref", "pcre", "util/dict_pcre.map", "util/dict_pcre.in"),
    ("util/dict_cidr.ref", "cidr", "util/dict_cidr.map", "util/dict_cidr.in"),
    ("util/miss_endif_regexp.ref", "regexp", "util/miss_endif_re.map", ""),
    ("util/miss_endif_pcre.ref", "pcre", "util/miss_endif_re.map", ""),
    ("util/miss_endif_cidr.ref", "cidr", "util/miss_endif_cidr.map", ""),
];

pub(crate) fn open(name: &str) -> Result<Table, TableError> {
    Table::open(name, Options { patience: Duration::from_secs(3), ..Options::default() })
}

/// What a lookup prints there.
fn answer(table: &Table, key: &str) -> String {
    match table.find(key).unwrap() {
        Some(found) => format!("{key}={}", found.value),
        None => format!("{key}: not found"),
    }
}

/// The lines that are flagged: here by the place of a warning, there behind a comma.
pub(crate) fn flagged(table: &Table) -> BTreeSet<u32> {
    table.warnings().iter().filter_map(|one| one.place.rsplit(':').next()?.parse().ok()).collect()
}

pub(crate) fn line_of(warning: &str) -> Option<u32> {
    warning.split(", line ").nth(1)?.split(':').next()?.parse().ok()
}

fn texthash(references: &References) -> Tally {
    let mut tally = Tally::new("util/dict_thash.ref");
    // The map is a reference of its own: postmap -s prints it as it is.
    let path = references.path("util/dict_thash.map");
    let table = open(&format!("texthash:{}", path.display())).unwrap();
    for line in references.read("util/dict_thash.map").lines() {
        let (key, value) = line.split_once('\t').unwrap();
        let found = table.find(key).unwrap().map(|found| found.value);
        tally.compare(key, &found.as_deref(), &Some(value));
    }
    assert_eq!(table.warnings(), []);

    // The last line is a duplicate, and refuses the whole table; the others are compared without it.
    let folder = tempfile::tempdir().unwrap();
    let text = references.read("util/dict_thash.in");
    let part = folder.path().join("table");
    fs::write(&part, text.lines().take(4).map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    let part = open(&format!("texthash:{}", part.display())).unwrap();
    let whole = open(&format!("texthash:{}", references.path("util/dict_thash.in").display())).unwrap();
    for expected in references.read("util/dict_thash.ref").lines() {
        match line_of(expected) {
            Some(5) => {
                let trouble = whole.trouble().unwrap_or_default();
                assert!(trouble.contains(":5: duplicate entry \"aaa\""), "{trouble}");
                let reason =
                    "postmap -s warns; to the SMTP client of Postfix, and here, such a table is unusable";
                tally.compare_but("line 5", &whole.find("aaa").is_ok(), &true, Some(reason));
            }
            Some(line) => tally.compare(&format!("line {line}"), &flagged(&part).contains(&line), &true),
            None => {
                let (key, value) = expected.split_once('\t').unwrap();
                let found = part.find(key).unwrap().map(|found| found.value);
                tally.compare(key, &found.as_deref(), &Some(value));
            }
        }
    }
    tally
}

fn named(references: &References, file: &'static str, names: &[&str], keys: &[&str]) -> Tally {
    let mut tally = Tally::new(file);
    let reference = references.read(file);
    // What is asked of a table that cannot be opened is an error there; here there is no such table.
    let left_out = |line: &&str| {
        line.starts_with("owner=")
            || line.starts_with("> ")
            || line.contains(" warning: ")
            || line.ends_with(": error")
    };
    let mut expected = reference.lines().filter(|line| !left_out(line));
    for name in names {
        match open(name) {
            Err(error) => {
                // What is wrong is said in the same words, but for the quotes around the table.
                let said = expected.next().unwrap_or_default();
                let word = error.to_string();
                let word = word.split(" in \"").next().unwrap_or_default();
                let same = said.contains(" error: ") && said.contains(word);
                tally.compare(name, &(same, word), &(true, word));
            }
            Ok(table) => {
                for key in keys {
                    let said = expected.next().unwrap_or_default();
                    tally.compare(&format!("{name} {key}"), &answer(&table, key).as_str(), &said);
                }
            }
        }
    }
    assert_eq!(expected.next(), None, "{file}");
    tally
}

fn rules(references: &References, (file, kind): (&'static str, &str), map: &str, questions: &str) -> Tally {
    let mut tally = Tally::new(file);
    let table = open(&format!("{kind}:{}", references.path(map).display())).unwrap();
    let reference = references.read(file);
    let (warnings, answers): (Vec<&str>, Vec<&str>) = reference
        .lines()
        .filter(|line| !line.starts_with("owner="))
        .partition(|line| line.contains(" warning: "));
    let questions = match questions {
        "" => "get 1.2.3.5\n".to_owned(),
        questions => references.read(questions),
    };
    let mut expected = answers.iter().filter(|line| !line.starts_with("> "));
    for question in questions.lines() {
        let key = question.strip_prefix("get ").unwrap();
        tally.compare(key, &answer(&table, key).as_str(), expected.next().unwrap());
    }
    assert_eq!(expected.next(), None, "{file}");
    // Two words on one line are one line flagged.
    let there: BTreeSet<u32> = warnings.iter().filter_map(|text| line_of(text)).collect();
    for line in there.union(&flagged(&table)) {
        let here = flagged(&table).contains(line);
        tally.compare(&format!("line {line}"), &here, &there.contains(line));
    }
    tally
}
