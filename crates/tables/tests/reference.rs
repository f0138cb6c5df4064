//! Postfix's own test tables, where the reference files lie beside the project.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{env, fs, path::PathBuf, time::Duration};

use waxseal_tables::{Options, Table};

/// The folder of the reference files, or `None` with a word on it.
fn shared() -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    let dir = PathBuf::from(env::var("LAB_SHARED").unwrap_or_else(|_| default.to_owned()));
    let refs = dir.join("data/postfix-refs/postfix/src/util");
    if refs.is_dir() {
        return refs.canonicalize().ok();
    }
    assert!(env::var_os("CI").is_none(), "{} is missing", refs.display());
    println!("skipped: {} is missing", refs.display());
    None
}

fn options() -> Options {
    Options { patience: Duration::from_secs(3), ..Options::default() }
}

#[test]
fn the_texthash_of_the_reference_has_all_its_entries() {
    let Some(refs) = shared() else { return };
    let table =
        Table::open(&format!("texthash:{}", refs.join("dict_thash.map").display()), options()).unwrap();
    // The map is its own reference: postmap -s prints it as it is.
    let text = fs::read_to_string(refs.join("dict_thash.map")).unwrap();
    for line in text.lines() {
        let (key, value) = line.split_once('\t').unwrap();
        assert_eq!(table.find(key).unwrap().unwrap().value, value, "{key}");
    }
    assert_eq!((table.entries().len(), table.warnings().len()), (text.lines().count(), 0));
}

#[test]
fn the_bad_lines_of_the_reference_are_the_ones_that_are_flagged() {
    let Some(refs) = shared() else { return };
    let reference = fs::read_to_string(refs.join("dict_thash.ref")).unwrap();
    let flagged = |text: &str| {
        text.split(", line ").nth(1).and_then(|rest| rest.split(':').next()?.parse::<u32>().ok())
    };
    let mut expected: Vec<u32> = reference.lines().filter_map(flagged).collect();

    // postmap -s only warns of the duplicate; as a table for the SMTP client the file is unusable.
    let whole =
        Table::open(&format!("texthash:{}", refs.join("dict_thash.in").display()), options()).unwrap();
    let trouble = whole.trouble().unwrap();
    assert!(trouble.contains(":5: duplicate entry \"aaa\""), "{trouble}");
    expected.retain(|line| *line != 5);

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("first-four-lines");
    let text = fs::read_to_string(refs.join("dict_thash.in")).unwrap();
    fs::write(&path, text.lines().take(4).map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    let table = Table::open(&format!("texthash:{}", path.display()), options()).unwrap();
    let lines: Vec<u32> =
        table.warnings().iter().map(|w| w.place.rsplit(':').next().unwrap().parse().unwrap()).collect();
    assert_eq!(lines, expected);
    assert_eq!(table.find("xxx:").unwrap().unwrap().value, "yyy");
    assert_eq!(table.find("aaa").unwrap().unwrap().value, "bbb");
}

#[test]
fn the_inline_and_static_references_agree() {
    let Some(refs) = shared() else { return };
    for (file, kind, arguments) in [
        (
            "dict_inline.ref",
            "inline",
            &[
                "{ }",
                "{ foo = xx }",
                "{ foo=xx }x",
                "{ foo=xx x",
                "{ foo=xx {x=y}x}",
                "{ foo=XX, { bAr = lotsa stuff }}",
            ][..],
        ),
        ("dict_static.ref", "static", &["fooxx", "{ foo xx ", "{ foo xx }x", "{ foo xx }"][..]),
    ] {
        let reference = fs::read_to_string(refs.join(file)).unwrap();
        let failing = reference.lines().filter(|line| line.contains("error:")).count();
        let opened = arguments.iter().map(|text| Table::open(&format!("{kind}:{text}"), options()));
        let (good, bad): (Vec<_>, Vec<_>) = opened.partition(Result::is_ok);
        assert_eq!(bad.len(), failing, "{file}");
        // `> get foo` is followed by `foo=value` or `foo: not found`; the last table is the one that is asked most.
        let last = good.into_iter().last().unwrap().unwrap();
        let lines: Vec<&str> = reference.lines().collect();
        let tail = lines.iter().rposition(|line| line.starts_with("owner=")).unwrap();
        for pair in lines[tail + 1..].chunks(2) {
            let key = pair[0].strip_prefix("> get ").unwrap();
            let got = match last.find(key).unwrap() {
                Some(found) => format!("{key}={}", found.value),
                None => format!("{key}: not found"),
            };
            assert_eq!(got, pair[1], "{file}");
        }
    }
}

/// `get KEY` lines, asked of the table, as the reference prints them.
fn conversation(table: &Table, questions: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for question in questions.lines() {
        let key = question.strip_prefix("get ").unwrap();
        lines.push(format!("> {question}"));
        lines.push(match table.find(key).unwrap() {
            Some(found) => format!("{key}={}", found.value),
            None => format!("{key}: not found"),
        });
    }
    lines
}

#[test]
fn the_rule_tables_of_the_reference_give_its_answers_and_flag_its_lines() {
    let Some(refs) = shared() else { return };
    let mut answers = 0;
    for (kind, map, questions, reference) in [
        ("regexp", "dict_regexp.map", "dict_regexp.in", "dict_regexp.ref"),
        ("pcre", "dict_pcre.map", "dict_pcre.in", "dict_pcre.ref"),
        ("cidr", "dict_cidr.map", "dict_cidr.in", "dict_cidr.ref"),
        ("regexp", "miss_endif_re.map", "", "miss_endif_regexp.ref"),
        ("pcre", "miss_endif_re.map", "", "miss_endif_pcre.ref"),
        ("cidr", "miss_endif_cidr.map", "", "miss_endif_cidr.ref"),
    ] {
        let table = Table::open(&format!("{kind}:{}", refs.join(map).display()), options()).unwrap();
        let reference = fs::read_to_string(refs.join(reference)).unwrap();
        let questions = match questions {
            "" => "get 1.2.3.5\n".to_owned(),
            file => fs::read_to_string(refs.join(file)).unwrap(),
        };
        let (warnings, expected): (Vec<&str>, Vec<&str>) = reference
            .lines()
            .filter(|line| !line.starts_with("owner="))
            .partition(|line| line.contains(" warning: "));
        let got = conversation(&table, &questions);
        assert_eq!(got, expected, "{map}");
        answers += got.len() / 2;

        let mut flagged: Vec<u32> = warnings
            .iter()
            .map(|text| text.split(", line ").nth(1).unwrap().split(':').next().unwrap().parse().unwrap())
            .collect();
        let mut lines: Vec<u32> =
            table.warnings().iter().map(|w| w.place.rsplit(':').next().unwrap().parse().unwrap()).collect();
        flagged.sort_unstable();
        lines.sort_unstable();
        // Two words on one line are one line flagged.
        flagged.dedup();
        lines.dedup();
        assert_eq!(lines, flagged, "{map}");
    }
    println!("{answers} answers agree");
    assert_eq!(answers, 17 + 15 + 23 + 3);
}

#[test]
fn rules_in_the_name_of_a_table_agree_with_the_reference() {
    let Some(refs) = shared() else { return };
    for (name, reference, keys) in [
        ("regexp:{{/foo/ got foo}}", "dict_inline_regexp.ref", ["foo", "bar"]),
        ("pcre:{{/foo/ got foo}}", "dict_inline_pcre.ref", ["foo", "bar"]),
        ("cidr:{{1.2.3.4 got 1.2.3.4}}", "dict_inline_cidr.ref", ["1.2.3.4", "4.3.2.1"]),
    ] {
        let table = Table::open(name, options()).unwrap();
        let questions: String = keys.iter().map(|key| format!("get {key}\n")).collect();
        let reference = fs::read_to_string(refs.join(reference)).unwrap();
        assert_eq!(conversation(&table, &questions), reference.lines().collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn the_randmap_reference_agrees() {
    let Some(refs) = shared() else { return };
    let reference = fs::read_to_string(refs.join("dict_random.ref")).unwrap();
    let table = Table::open("randmap:{123 123}", options()).unwrap();
    let got = conversation(&table, "get foo\nget bar\n");
    assert!(reference.contains(&got.join("\n")));
    let refused = ["randmap:123", "randmap:{ 123 ", "randmap:{ 123 }x"];
    assert_eq!(reference.lines().filter(|line| line.contains("error: bad syntax")).count(), refused.len());
    for name in refused {
        let error = Table::open(name, options()).unwrap_err().to_string();
        assert!(error.contains("bad syntax") && error.contains("randmap:{value...}"), "{error}");
    }
}
