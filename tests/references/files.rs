//! Tables whose values are names of files (`src/util/dict_*_file.ref`, the flag `src_rhs_is_file`), as `tls_server_sni_maps` has them. Postfix reads the files
//! when it opens the table, and keeps their octets in base64; here whoever asked reads them, so they are read here.

use std::{collections::BTreeSet, fs, path::Path};

use crate::{
    References, Tally,
    tables::{flagged, line_of, open},
};

const WHEN_USED: &str =
    "files are opened when an entry is used, and one that is missing is an error then, not \"not found\"";

/// Tables of rules: reference, type, map, questions, and the keys and lines that differ.
const RULES: &[(&str, &str, &str, &str, &[&str])] = &[
    (
        "util/dict_cidr_file.ref",
        "cidr",
        "util/dict_cidr_file.map",
        "util/dict_cidr_file.in",
        &["3.3.3.3", "line 3"],
    ),
    (
        "util/dict_pcre_file.ref",
        "pcre",
        "util/dict_pcre_file.map",
        "util/dict_pcre_file.in",
        &["file3", "line 3", "line 5", "line 6"],
    ),
    (
        "util/dict_regexp_file.ref",
        "regexp",
        "util/dict_regexp_file.map",
        "util/dict_regexp_file.in",
        &["file3", "line 3"],
    ),
];

/// Tables whose contents are their names: reference, and each name with the keys asked of it.
type Named = (&'static str, &'static [(&'static str, &'static [&'static str])]);

const NAMED: &[Named] = &[
    (
        "util/dict_inline_file.ref",
        &[
            ("inline:{ foo=xx, bar=yy }", &["foo"]),
            ("inline:{ file1=dict_inline_file1, file2=dict_inline_file2}", &["file1", "file2", "file3"]),
        ],
    ),
    (
        "util/dict_static_file.ref",
        &[("static:fooxx", &["foo"]), ("static:{ dict_static_file1 }", &["file1", "file2"])],
    ),
    (
        "util/dict_random_file.ref",
        &[("randmap:{fooxx}", &["foo"]), ("randmap:{ dict_random_file1 }", &["foo", "bar"])],
    ),
];

pub(crate) fn all(references: &References) -> Vec<Tally> {
    let folder = tempfile::tempdir().unwrap();
    for kind in ["cidr", "pcre", "regexp", "inline", "static", "random"] {
        for number in [1, 2] {
            let file = folder.path().join(format!("dict_{kind}_file{number}"));
            fs::write(file, format!("this-is-file{number}\n")).unwrap();
        }
    }
    let mut tallies = Vec::new();
    for (file, kind, map, questions, differ) in RULES {
        let mut tally = Tally::new(file);
        let reference = references.read(file);
        let table = open(&format!("{kind}:{}", references.path(map).display())).unwrap();
        let reason = |case: &str| differ.contains(&case).then_some(WHEN_USED);
        let mut answers = reference.lines().filter(|line| is_answer(line));
        for question in references.read(questions).lines() {
            let key = question.strip_prefix("get ").unwrap();
            let said = answers.next().unwrap();
            tally.compare_but(key, &answer(&table, key, folder.path()).as_str(), &said, reason(key));
        }
        assert_eq!(answers.next(), None, "{file}");
        let there: BTreeSet<u32> = reference.lines().filter_map(line_of).collect();
        for line in there.union(&flagged(&table)) {
            let (case, here) = (format!("line {line}"), flagged(&table).contains(line));
            tally.compare_but(&case, &here, &there.contains(line), reason(&case));
        }
        tallies.push(tally);
    }
    for (file, tables) in NAMED {
        let mut tally = Tally::new(file);
        let reference = references.read(file);
        let mut answers = reference.lines().filter(|line| is_answer(line));
        for (name, keys) in *tables {
            let table = open(name).unwrap();
            for key in *keys {
                let said = answers.next().unwrap();
                tally.compare(&format!("{name} {key}"), &answer(&table, key, folder.path()).as_str(), &said);
            }
        }
        assert_eq!(answers.next(), None, "{file}");
        tallies.push(tally);
    }
    tallies
}

fn is_answer(line: &str) -> bool {
    !line.starts_with("owner=") && !line.starts_with("> ") && !line.starts_with("./dict_open: ")
}

/// What a lookup prints there, with the octets of the files that the value names.
fn answer(table: &waxseal_tables::Table, key: &str, folder: &Path) -> String {
    let Some(found) = table.find(key).unwrap() else { return format!("{key}: not found") };
    let names = found.value.split([',', ' ']).filter(|name| !name.is_empty());
    let files: Result<Vec<Vec<u8>>, _> = names.map(|name| fs::read(folder.join(name))).collect();
    match files {
        Ok(files) => format!("{key}={}", base64(&files.join(&b'\n'))),
        Err(_) => format!("{key}: error"),
    }
}

/// RFC 4648 §4.
fn base64(octets: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let quartet = |three: &[u8]| {
        let bits =
            three.iter().fold(0_u32, |bits, octet| bits << 8 | u32::from(*octet)) << (8 * (3 - three.len()));
        (0..4).map(move |at| (at, ALPHABET[(bits >> (18 - 6 * at)) as usize & 63])).collect::<Vec<_>>()
    };
    let padded = |three: &[u8]| {
        let digits = quartet(three).into_iter();
        digits.map(|(at, digit)| if at <= three.len() { char::from(digit) } else { '=' }).collect::<String>()
    };
    octets.chunks(3).map(padded).collect()
}
