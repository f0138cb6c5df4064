//! The reference outputs of Postfix's own tests, where they lie beside the project: the same verdicts, keys and values, and the same lines flagged.
//!
//! `cargo test -p waxseal-tests --test references -- --nocapture` prints the table that `docs/tables.md` has.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod files;
mod tables;
mod words;

use std::{collections::BTreeMap, env, fmt::Debug, fs, path::PathBuf};

/// The folder of Postfix's sources, or what of them is there.
struct References(PathBuf);

impl References {
    /// `None`, with a word on it, where there is none.
    fn find() -> Option<Self> {
        let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared");
        let folder = PathBuf::from(env::var("LAB_SHARED").unwrap_or_else(|_| default.to_owned()));
        let source = folder.join("data/postfix-refs/postfix/src");
        if let Ok(source) = source.canonicalize() {
            return Some(Self(source));
        }
        assert!(env::var_os("CI").is_none(), "{} is missing", source.display());
        println!("skipped: {} is missing", source.display());
        None
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }
}

/// What came of one reference file.
struct Tally {
    file: &'static str,
    agree: usize,
    /// The cases that differ, and why.
    differ: Vec<(String, &'static str)>,
    unexplained: Vec<String>,
}

impl Tally {
    const fn new(file: &'static str) -> Self {
        Self { file, agree: 0, differ: Vec::new(), unexplained: Vec::new() }
    }

    fn compare<T: PartialEq + Debug>(&mut self, case: &str, got: &T, expected: &T) {
        self.compare_but(case, got, expected, None);
    }

    /// Where there is a reason to differ, it must differ: else the reason is out of date.
    fn compare_but<T: PartialEq + Debug>(
        &mut self,
        case: &str,
        got: &T,
        expected: &T,
        reason: Option<&'static str>,
    ) {
        match (got == expected, reason) {
            (true, None) => self.agree += 1,
            (false, Some(reason)) => self.differ.push((case.to_owned(), reason)),
            (true, Some(_)) => self.unexplained.push(format!("{case}: no longer differs")),
            (false, None) => self.unexplained.push(format!("{case}: got {got:?}, reference {expected:?}")),
        }
    }

    fn cases(&self) -> usize {
        self.agree + self.differ.len() + self.unexplained.len()
    }
}

#[test]
fn the_references_of_postfix_agree() {
    let Some(references) = References::find() else { return };
    let mut tallies = tables::all(&references);
    tallies.extend(files::all(&references));
    tallies.extend([
        words::host_port(&references),
        words::transport(&references),
        words::mac_expand(&references),
    ]);
    println!("| file | cases | agree | differ, and why |\n| --- | --- | --- | --- |");
    let (mut cases, mut agree, mut unexplained) = (0, 0, Vec::new());
    for tally in tallies {
        assert!(tally.cases() > 0, "{} has no cases", tally.file);
        let mut reasons: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (case, reason) in &tally.differ {
            reasons.entry(reason).or_default().push(format!("`{case}`"));
        }
        let differ: Vec<String> =
            reasons.iter().map(|(reason, cases)| format!("{}: {reason}", cases.join(", "))).collect();
        println!("| `{}` | {} | {} | {} |", tally.file, tally.cases(), tally.agree, differ.join("; "));
        cases += tally.cases();
        agree += tally.agree;
        unexplained.extend(tally.unexplained.iter().map(|text| format!("{}: {text}\n", tally.file)));
    }
    println!("| all | {cases} | {agree} | {} |", cases - agree);
    assert!(unexplained.is_empty(), "{}", unexplained.concat());
    assert!(agree * 100 >= cases * 95, "{agree} of {cases} agree");
    assert_eq!((cases, agree), (303, 288), "the table in docs/tables.md is to be written anew");
}
