//! The tables that point at tests: the requirements of DANE, and the planted mutations.

use std::collections::HashMap;

use toml::{Table, Value};

use crate::Finding;

/// The requirements of DANE for SMTP, and the threats to its lookups.
pub(crate) const REQUIREMENTS: &str = "tests/dane/requirements.tsv";
const ITEMS: usize = 71;
const THREATS: usize = 16;
/// The planted mutations.
pub(crate) const MUTATIONS: &str = "tests/mutations/table.toml";

/// Each requirement once, in order, each with a test that stands; without one, a note says why.
pub(crate) fn requirements(table: &str, read: impl Fn(&str) -> Option<String>) -> Vec<Finding> {
    let finding = |line: usize, remedy: String| Finding {
        place: format!("{REQUIREMENTS}:{line}"),
        rule: "requirements have tests",
        remedy,
    };
    let mut wanted =
        (1..=ITEMS).map(|item| item.to_string()).chain((1..=THREATS).map(|threat| format!("D{threat}")));
    let (mut found, mut sources) = (Vec::new(), HashMap::new());
    for (index, row) in table.lines().enumerate().skip(1) {
        let line = index + 1;
        let fields: Vec<&str> = row.split('\t').collect();
        let [item, section, requirement, tests, note] = fields[..] else {
            found.push(finding(line, "a row has five fields between tabs".into()));
            continue;
        };
        let next = wanted.next().unwrap_or_default();
        if item != next {
            found.push(finding(line, format!("item {item:?} stands where {next:?} is due")));
        }
        if section.is_empty() || requirement.is_empty() || (tests.is_empty() && note.is_empty()) {
            found.push(finding(
                line,
                "name the section, the requirement, and a test or why there is none".into(),
            ));
        }
        for test in tests.split(' ').filter(|test| !test.is_empty()) {
            if !stands(test, &read, &mut sources) {
                found.push(finding(line, format!("{test} is no test")));
            }
        }
    }
    if let Some(missing) = wanted.next() {
        found.push(finding(table.lines().count(), format!("item {missing} and what follows it is missing")));
    }
    found
}

/// Each mutation's text stands in its file exactly once, and the test that is to notice it stands.
pub(crate) fn mutations(table: &str, read: impl Fn(&str) -> Option<String>) -> Vec<Finding> {
    let finding = |name: &str, remedy: String| {
        let line =
            table.lines().position(|line| line.contains(&format!("\"{name}\""))).map_or(1, |at| at + 1);
        Finding { place: format!("{MUTATIONS}:{line}"), rule: "mutations stay alive", remedy }
    };
    let parsed: Table = match table.parse() {
        Ok(parsed) => parsed,
        Err(error) => return vec![finding("", error.to_string())],
    };
    let entries = parsed.get("mutation").and_then(Value::as_array).cloned().unwrap_or_default();
    let (mut found, mut sources) = (Vec::new(), HashMap::new());
    if entries.len() < 12 {
        found.push(finding("", "fewer than twelve mutations are left".into()));
    }
    for entry in &entries {
        let field = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
        let (name, file, from) = (field("name"), field("file"), field("from"));
        let count = read(file).map_or(0, |text| text.matches(from).count());
        if from.is_empty() || count != 1 {
            found.push(finding(name, format!("{name}: its text stands {count} times in {file}, not once")));
        }
        if field("to") == from {
            found.push(finding(name, format!("{name}: it changes nothing")));
        }
        if !stands(field("test"), &read, &mut sources) {
            found.push(finding(name, format!("{name}: {} is no test", field("test"))));
        }
    }
    found
}

/// Whether `path::name` is a function of that file, and a test.
fn stands(
    test: &str,
    read: &impl Fn(&str) -> Option<String>,
    sources: &mut HashMap<String, Option<String>>,
) -> bool {
    let Some((path, name)) = test.split_once("::") else { return false };
    let text = sources.entry(path.to_owned()).or_insert_with(|| read(path));
    let Some(text) = text else { return false };
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let heads = [format!("fn {name}("), format!("async fn {name}(")];
    let Some(at) = lines.iter().position(|line| heads.iter().any(|head| line.starts_with(head))) else {
        return false;
    };
    // Attributes and comments stand between the mark and the function.
    let above = lines[..at].iter().rev();
    let mut above = above.take_while(|line| line.starts_with("#[") || line.starts_with("//"));
    above.any(|line| {
        matches!(*line, "#[test]" | "#[tokio::test]" | "#[actix_rt::test]")
            || line.starts_with("#[tokio::test(")
    })
}
