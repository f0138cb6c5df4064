//! Tables of rules, and tables of tables. What is expected here was asked of postmap(1) of Postfix 3.7.11.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::{Duration, SystemTime};

use waxseal_tables::{Options, Refresh, Table, TableError};

fn open(name: &str) -> Result<Table, TableError> {
    Table::open(
        name,
        Options { patience: Duration::ZERO, place: Some("main.cf:1".into()), ..Options::default() },
    )
}

/// The value, `-` for none, `!` for a failure.
fn ask(table: &str, key: &str) -> String {
    match open(table).unwrap().find(key) {
        Ok(Some(found)) => found.value,
        Ok(None) => "-".to_owned(),
        Err(_) => "!".to_owned(),
    }
}

#[test]
fn patterns_mean_what_they_mean_to_postfix() {
    for (table, key, expected) in [
        // Case, negation, order, blocks.
        ("regexp:{{/x/ a},{/x/ b}}", "X", "a"),
        ("regexp:{{/x/i a}}", "X", "-"),
        ("regexp:{{!!/x/ a}}", "x", "a"),
        ("regexp:{{if /x/} {/x/ $$1 c} {endif}}", "x", "$1 c"),
        ("regexp:{{if !/y/} {if /z/} {/./ a} {ENDIF} {/x/ b} {ENDIF} {/y/ c}}", "x", "b"),
        ("regexp:{{if !/y/} {/x/ b} {endif} {/y/ c}}", "xy", "c"),
        ("regexp:{{/a/!/b/ only}}", "ab", "-"),
        ("regexp:{{/a/!/b/ only}}", "a", "only"),
        // POSIX.
        ("regexp:{{/^a+?$/ a}}", "aaa", "a"),
        ("regexp:{{/^x{,3}$/ a}}", "xx", "a"),
        ("regexp:{{/^a[\\]$/ a}}", "a\\", "a"),
        ("regexp:{{/^a[]]/ a}}", "a]", "a"),
        ("regexp:{{/x)/ a}}", "x)", "a"),
        ("regexp:{{/a\\d/ a}}", "ad", "-"),
        ("regexp:{{/a\\d/i a}}", "ad", "a"),
        ("regexp:{{/\\w\\>/ a}}", "a1", "a"),
        ("regexp:{{/^(a)\\1$/ b}}", "aA", "b"),
        ("regexp:{{/x\\(x\\)/x a$1}}", "xx", "ax"),
        ("regexp:{{/^x.$/ a}}", "xé", "-"),
        ("regexp:{{/^xé$/ a}}", "xÉ", "-"),
        ("regexp:{{/^(x.)/ a$1}}", "xé", "!"),
        ("regexp:{{/x(a)|(b)/ <$2>}}", "xa", "<>"),
        // PCRE.
        ("pcre:{{/^(?!open\\.).*example$/ a}}", "open.example", "-"),
        ("pcre:{{/^(?!open\\.).*example$/ a}}", "shut.example", "a"),
        ("pcre:{{/^(a)\\1$/ b}}", "aA", "b"),
        ("pcre:{{/^a b$/x b}}", "ab", "b"),
        ("pcre:{{/a/A a}}", "ba", "-"),
        ("pcre:{{/^[[]$/ a}}", "[", "a"),
        ("pcre:{{/^[a&&b]$/ a}}", "&", "a"),
        ("pcre:{{/^\\<a\\>$/ a}}", "<a>", "a"),
        ("pcre:{{/^\\Qa.b\\E$/ a}}", "axb", "-"),
        ("pcre:{{/^[\\w.-]+$/ a}}", "a-b.c", "a"),
        ("pcre:{{/x\\/$/ a}}", "x/", "a"),
        ("pcre:{{/(?-i)a/ a}}", "A", "-"),
        ("pcre:{{/(b(?-i)c)|x$/ a}}", "X", "a"),
        // Options hold to the end of their group, and in its branches to come.
        ("pcre:{{/(b(?-i)c)(?=d)|x$/ a}}", "X", "a"),
        ("pcre:{{/(b(?-i)c|e)(?=d)/ a}}", "BCd", "-"),
        ("pcre:{{/(b(?-i)c|e)(?=d)/ a}}", "BcD", "a"),
        ("pcre:{{/(b(?-i)c|e)(?=d)/ a}}", "Ed", "-"),
        // Octets, as everywhere: an e with an accent is two of them.
        ("pcre:{{/^(?!b)..$/ a}}", "é", "a"),
        ("pcre:{{/^(?=(.+)$)/ $1}}", "aéo", "aéo"),
        ("pcre:{{/^(?=a)*(?=b)*(?=a){2,}a/ a}}", "a", "a"),
        ("pcre:{{/^(?=(a))*./ $1}}", "a", "!"),
        ("pcre:{{|x\\|y| a}}", "x", "-"),
        // Networks.
        ("cidr:{{!1.2.3.4 a}}", "::1", "-"),
        ("cidr:{{if !1.2.3.4} {::1 a} {endif}}", "::1", "-"),
        ("cidr:{{[::1]/128 a}}", "::1", "a"),
        ("cidr:{{[::1/128] a}}", "::1", "a"),
        ("cidr:{{1.2.3.4/032 a $1}}", "1.2.3.4", "a $1"),
        ("cidr:{{1.2.3.4 a}}", "::ffff:1.2.3.4", "-"),
        ("cidr:{{1.2.3.0/24 a}}", "[1.2.3.4]", "-"),
    ] {
        assert_eq!(ask(table, key), expected, "{table} {key}");
    }
}

#[test]
fn what_postfix_skips_is_skipped_with_a_warning() {
    for rule in [
        "/x/q a",
        "/x a",
        "/*x/ a",
        "/(x/ a",
        "/x{2,1}/ a",
        "/[z-a]|x/ a",
        "/x/ $1",
        "/x/ $",
        "!/y(.)/ $1",
        "!",
        "x a",
    ] {
        for kind in ["regexp", "pcre"] {
            let table = open(&format!("{kind}:{{ {{{rule}}} {{/x/ next}} }}")).unwrap();
            assert_eq!(table.find("x").unwrap().unwrap().value, "next", "{kind} {rule}");
            let warnings = table.warnings();
            assert_eq!(warnings.len(), 1, "{kind} {rule}: {warnings:?}");
            assert_eq!(warnings[0].place, "main.cf:1 (rule 1 of the table)");
        }
    }
    for rule in
        ["1.2.3.4/x a", "1.2.3.4/24 a", "1.2.3.4/33 a", "1.2.3 a", "1.2.3.4", "[::1 a", "if 1.2.3.4 x", "!"]
    {
        let table = open(&format!("cidr:{{ {{{rule}}} {{1.2.3.4 next}} }}")).unwrap();
        assert_eq!(table.find("1.2.3.4").unwrap().unwrap().value, "next", "{rule}");
        assert_eq!(table.warnings().len(), 1, "{rule}: {:?}", table.warnings());
    }
}

#[test]
fn a_rule_that_cannot_be_decided_fails_the_lookups_that_reach_it() {
    // Postfix takes both for "does not match".
    let slow = "pcre:{{/^(?:(?=a)a+)+x$/ secure} {/./ may}}";
    assert_eq!(ask(slow, &"a".repeat(60)), "!");
    assert_eq!(ask(slow, "b"), "may");
    let strange = open("pcre:{{/^first$/ a} {if /^in/} {/^(in\\Ker)$/ secure} {endif} {/./ may}}").unwrap();
    assert!(strange.warnings()[0].text.contains("every lookup that gets here fails"));
    let value = |key| strange.find(key).map(|found| found.unwrap().value).map_err(|fail| fail.reason);
    assert_eq!(value("first"), Ok("a".into()));
    assert_eq!(value("outside"), Ok("may".into()));
    assert_eq!(value("inner"), Err("rule 3: \\K".into()));
}

#[test]
fn an_enormous_pattern_is_not_compiled() {
    assert_eq!(ask("pcre:{{/((a{1000}){1000}){1000}/ secure} {/./ may}}", "a"), "!");
    let deep = format!("regexp:{{{{/{}x{}/ secure}}}}", "(".repeat(10_000), ")".repeat(10_000));
    assert_eq!(ask(&deep, "x"), "!");
}

#[test]
fn of_a_thousand_rules_the_first_that_matches_wins() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("table");
    let rules: String = (0..1000).map(|n| format!("/^mx{n}\\.|^all/ rule{n}\n")).collect();
    std::fs::write(&path, rules).unwrap();
    let table = open(&format!("regexp:{}", path.display())).unwrap();
    let _ = table.refresh(SystemTime::now() + Duration::from_secs(10));
    for n in [0, 63, 64, 511, 999] {
        let found = table.find(&format!("MX{n}.example")).unwrap().unwrap();
        assert_eq!((found.value, found.place), (format!("rule{n}"), format!("{}:{}", path.display(), n + 1)));
    }
    assert_eq!(table.find("all").unwrap().unwrap().value, "rule0");
    assert_eq!(table.find("none").unwrap(), None);
}

#[test]
fn tables_of_tables_join_and_chain_and_choose() {
    for (table, expected) in [
        ("unionmap:{static:a,static:b}", "a,b"),
        ("unionmap:{inline:{y=z}, static:b}", "b"),
        ("unionmap:{inline:{y=z}}", "-"),
        ("unionmap:{static:a, fail:b}", "!"),
        ("pipemap:{inline:{x=y},inline:{y=z}}", "z"),
        ("pipemap:{inline:{x=y},inline:{q=z}}", "-"),
        ("pipemap:{inline:{q=y},fail:a}", "-"),
        ("pipemap:{inline:{x=y},fail:a}", "!"),
        ("pipemap:{regexp:{{/(.)/ $1.example}}, pcre:{{/^x\\.example$/ secure}}}", "secure"),
        ("randmap:{{a b}}", "{a b}"),
    ] {
        assert_eq!(ask(table, "x"), expected, "{table}");
    }
    let chosen: std::collections::BTreeSet<String> = (0..200).map(|_| ask("randmap:{a b, c}", "x")).collect();
    assert_eq!(chosen.into_iter().collect::<Vec<_>>(), ["a", "b", "c"]);
    let nested = (0..9).fold("static:a".to_owned(), |inner, _| format!("unionmap:{{{inner}}}"));
    assert!(open(&nested).unwrap_err().to_string().contains("too many tables in tables"));
}

#[test]
fn a_change_of_an_inner_file_is_a_change_of_the_union() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("table");
    std::fs::write(&path, "/^a/ may\n").unwrap();
    let now = SystemTime::now() + Duration::from_secs(10);
    let table = open(&format!("unionmap:{{regexp:{} static:encrypt}}", path.display())).unwrap();
    assert!(table.find("a").is_err());
    assert_eq!(table.refresh(now), Refresh::Reloaded);
    assert_eq!(table.find("a").unwrap().unwrap().value, "may,encrypt");
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(table.refresh(now), Refresh::Kept(_)));
    assert!(table.trouble().unwrap().contains("cannot read"));
}
