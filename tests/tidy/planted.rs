//! Every rule, broken once: a rule that finds nothing is no rule.

use crate::{Finding, edges, shape, source::Source, tables, words};

/// `check` finds `rule` at `line`, and only there.
fn finds(findings: &[Finding], rule: &str, line: usize, planted: &str) {
    let places: Vec<String> =
        findings.iter().map(|found| format!("{} {}: {}", found.place, found.rule, found.remedy)).collect();
    let hit = findings.iter().any(|found| found.rule == rule && found.place.ends_with(&format!(":{line}")));
    assert!(hit, "`{rule}` not found at line {line} of:\n{planted}\nfound: {places:#?}");
}

fn word(path: &str, text: &str, rule: &str, line: usize) {
    finds(&words::check(&Source::new(path, text)), rule, line, text);
}

fn no_word(path: &str, text: &str) {
    let found = words::check(&Source::new(path, text));
    let list: Vec<String> = found.iter().map(|found| format!("{}: {}", found.place, found.rule)).collect();
    assert!(list.is_empty(), "{path}: {list:?}");
}

#[test]
fn planted_words_are_found() {
    let clock = "fn a() {}\nfn b() { let now = Instant::now(); }\n";
    for path in [
        "crates/policy/src/a.rs",
        "crates/verify/src/path/build.rs",
        "crates/queue/src/plan.rs",
        "crates/queue/src/plan/hosts.rs",
        "crates/queue/src/bounce_text.rs",
    ] {
        word(path, clock, "pure code reads no clock", 2);
    }
    word("crates/smtp/src/a.rs", "use std::net::TcpStream;\n", "pure code does no I/O", 1);
    word("crates/queue/src/schedule.rs", "async fn a() { tokio::spawn(b()); }\n", "pure code does no I/O", 1);
    word("crates/types/src/lib.rs", "//! x\nextern crate alloc;\n", "this crate is no_std", 1);
    word("crates/policy/src/a.rs", "extern crate std;\n", "this crate is no_std", 1);
    word("crates/dns/src/actor.rs", &"fn a() {}\n".repeat(121), "actor.rs stays thin", 121);
    word("crates/dns/src/actor.rs", "// RFC 7672 §2.1: x\n", "actor.rs decides nothing", 1);
    word("crates/dns/src/actor.rs", "fn a() { b.do_send(c); }\n", "actor.rs notifies nobody", 1);
    word("crates/dns/src/cache.rs", "use actix::Actor;\n", "actix in its circles", 1);
    word("crates/queue/src/plan.rs", "use actix::Actor;\n", "actix in its circles", 1);
    word("crates/dns/src/actor.rs", "struct A { b: Addr<C> }\n", "a star, not a mesh", 1);
    word("crates/dns/src/actor.rs", "struct A { b: Recipient<C> }\n", "a star, not a mesh", 1);
    word("crates/dns/src/actor.rs", "use actix::Actor;\nfn a() { B.start(); }\n", "a star, not a mesh", 2);
    word("crates/spool/src/log.rs", "fn a() {\n  b.unwrap();\n}\n", "no unwrap outside tests", 2);
    word("bins/waxseal/src/main.rs", "fn a() { b.unwrap(); }\n", "no unwrap outside tests", 1);
    word("crates/spool/src/log.rs", concat!("#[test]\nfn ", "test_a() {}\n"), "tests are sentences", 2);
    word("crates/spool/src/log.rs", "#[allow(dead_code)]\nfn a() {}\n", "no allow", 1);
    word(
        "crates/spool/src/log.rs",
        "#[expect(dead_code)]\nfn a() {}\n",
        "an expected lint has its reason",
        1,
    );
    word(
        "crates/config/src/raw.rs",
        "#[serde(tag = \"kind\")]\nenum A {}\n",
        "configuration refuses unknown keys",
        1,
    );
}

#[test]
fn lawful_words_pass() {
    no_word("crates/dns/src/cache.rs", "fn a() { Instant::now(); }\n");
    no_word(
        "crates/policy/src/actor.rs",
        "extern crate std;\nuse actix::Actor;\nfn a() { SystemTime::now(); }\n",
    );
    no_word(
        "crates/queue/src/actor/manager.rs",
        "use actix::Actor;\nstruct A { b: Addr<C> }\nfn a() { B.start(); }\n",
    );
    no_word("crates/tables/src/a.rs", "fn a(range: Range<u8>) -> u8 { found.start() }\n");
    no_word("crates/dns/src/a.rs", "fn a(b: SocketAddr<'_>) {}\n");
    no_word("crates/spool/src/log.rs", "/// `b.unwrap()` and \"Addr<\"\nfn a() { let x = \".unwrap()\"; }\n");
    no_word("crates/spool/src/log.rs", "fn a() {}\n#[cfg(test)]\nmod tests {\n  fn a() { b.unwrap(); }\n}\n");
    no_word("crates/spool/src/log.rs", "#[expect(\n    dead_code,\n    reason = \"x\"\n)]\nfn a() {}\n");
    no_word("crates/queue/src/planet.rs", "fn a() { Instant::now(); }\n");
}

#[test]
fn planted_notes_and_paths_are_found() {
    for (text, rule) in [
        (concat!("// TO", "DO later"), "no notes to ourselves"),
        (concat!("# FIX", "ME"), "no notes to ourselves"),
        (concat!("path = \"/wo", "rk/a\""), "no paths of one machine"),
        (concat!("CARGO_TARGET_DIR=/tmp/", "target-x"), "no paths of one machine"),
    ] {
        finds(&words::text("a.md", text), rule, 1, text);
    }
    assert!(words::text("a.md", "https://example.com/network/a, autodoc").is_empty());
}

fn shaped(path: &str, text: &str, rule: &str, line: usize) {
    finds(&shape::check(&Source::new(path, text)), rule, line, text.lines().next().unwrap_or_default());
}

#[test]
fn planted_shapes_are_found() {
    let line = "const A: u8 = 1;\n";
    shaped("crates/dns/src/a.rs", &line.repeat(401), "one concept per file", 401);
    let excused = format!("//! Longer than 400 lines: one table.\n{}", line.repeat(600));
    shaped("crates/dns/src/a.rs", &excused, "one concept per file", 601);
    let long = format!("fn a() {{}}\npub(crate) async fn b(\n) {{\n{}}}\n", "    c();\n".repeat(79));
    shaped("crates/dns/src/a.rs", &long, "functions stay small", 2);
    shaped("crates/dns/src/lib.rs", "//! One line.\nmod a;\n", "a crate begins with an essay", 1);
    shaped("bins/waxseal/src/main.rs", "fn main() {}\n", "a crate begins with an essay", 1);
    let essay = "//! a\n//! b\n//! c\n//! d\n//! e\n";
    shaped("crates/dns/src/lib.rs", &format!("{essay}mod a;\n"), "a crate shows an example", 1);
    shaped("crates/dns/src/lib.rs", &format!("{essay}//! ```text\n//! ```\n"), "a crate shows an example", 1);
    shaped(
        "crates/dns/src/lib.rs",
        &format!("{essay}//! ```\n//! ```\npub mod a;\n"),
        "modules are private",
        8,
    );
}

#[test]
fn lawful_shapes_pass() {
    let tests = format!("fn a() {{}}\n#[cfg(test)]\nmod tests {{\n{}}}\n", "    fn b() {}\n".repeat(900));
    let excused = format!("//! Longer than 400 lines: one table.\n{}", "const A: u8 = 1;\n".repeat(500));
    let face = "//! a\n//! b\n//! c\n//! d\n//! e\n//! ```\n//! ```\nmod a;\npub mod actor;\n";
    for (path, text) in [
        ("crates/dns/src/a.rs", tests.as_str()),
        ("crates/dns/src/a.rs", &excused),
        ("crates/dns/src/lib.rs", face),
    ] {
        assert!(shape::check(&Source::new(path, text)).is_empty(), "{path}");
    }
}

fn manifest(folder: &str, dependencies: &str) -> Vec<Finding> {
    edges::check(folder, &format!("[package]\n[lints]\nworkspace = true\n{dependencies}\n"))
}

#[test]
fn planted_edges_are_found() {
    for (folder, text, rule) in [
        ("crates/queue", "[dependencies]\nwaxseal-smtp.workspace = true", "edges between crates"),
        ("crates/types", "[dependencies]\nwaxseal-policy.workspace = true", "edges between crates"),
        ("crates/policy", "[dev-dependencies]\nwaxseal-dns.workspace = true", "edges between crates"),
        ("crates/dns", "[dependencies]\nwaxseal-testbed.workspace = true", "edges between crates"),
        ("crates/novel", "[dependencies]\nwaxseal-dns.workspace = true", "edges between crates"),
        ("crates/queue", "[dependencies]\nhickory-proto.workspace = true", "libraries in their place"),
        ("crates/queue", "[dependencies]\nrustls.workspace = true", "libraries in their place"),
        ("crates/verify", "[dependencies]\nrustls.workspace = true", "libraries in their place"),
        ("crates/dns", "[dependencies]\nactix.workspace = true", "libraries in their place"),
        (
            "crates/smtp",
            "[dependencies]\nactix = { workspace = true, optional = true }",
            "libraries in their place",
        ),
        ("bins/waxseal", "[dependencies]\nopenssl.workspace = true", "no second TLS library"),
        ("crates/verify", "[dependencies]\ntokio.workspace = true", "pure crates have no runtime"),
        ("crates/dns", "[dependencies]\nserde = \"1\"", "one place for versions"),
    ] {
        finds(&manifest(folder, text), rule, 5, text);
    }
    finds(
        &manifest("crates/dns", "[features]\ndefault = [\"actor\"]"),
        "`actor` is no default feature",
        5,
        "default",
    );
    finds(&edges::check("crates/dns", "[package]\n"), "every package obeys the lints", 1, "no lints");
}

#[test]
fn lawful_edges_pass() {
    for (folder, text) in [
        ("crates/queue", "[dependencies]\nwaxseal-policy.workspace = true\nwaxseal-types.workspace = true"),
        ("crates/verify", "[dependencies]\nrustls = { workspace = true, optional = true }"),
        ("crates/verify", "[dev-dependencies]\nrustls-webpki.workspace = true\ntokio.workspace = true"),
        ("crates/trust", "[dependencies]\nrustls-pki-types.workspace = true"),
        (
            "crates/dns",
            "[dependencies]\nhickory-resolver.workspace = true\n[dev-dependencies]\nwaxseal-testbed.workspace = true",
        ),
        ("crates/testbed", "[dependencies]\nwaxseal-smtp.workspace = true\nrustls.workspace = true"),
        ("bins/queue-manager", "[dependencies]\nwaxseal-telemetry.workspace = true\nactix.workspace = true"),
    ] {
        let places: Vec<String> = manifest(folder, text).iter().map(|found| found.remedy.clone()).collect();
        assert!(places.is_empty(), "{folder}: {places:?}");
    }
}

#[test]
fn a_planted_abort_and_a_planted_library_are_found() {
    let abort = concat!("[profile.release]\npanic = ", "\"abort\"\nunsafe_code = \"forbid\"\n");
    finds(&edges::check_settings("Cargo.toml", abort), "supervision needs unwinding", 2, abort);
    finds(&edges::check_settings("Cargo.toml", "[workspace]\n"), "no unsafe code", 1, "no lint");
    let lock = "[[package]]\nname = \"openssl-sys\"\n";
    finds(&edges::check_lock(lock), "no second TLS library", 2, lock);
}

#[test]
fn planted_gaps_in_the_tables_are_found() {
    let file = |path: &str| {
        let text = "#[test]\n/// Why.\nfn good() {}\n\nfn helper() {}\n    let a = 1;\n";
        (path == "tests/a.rs").then(|| text.to_owned())
    };
    let row = |item: &str, test: &str| format!("{item}\tRFC 1 §1\tit holds\t{test}\t");
    let items: Vec<String> =
        (1..=71).map(|n| n.to_string()).chain((1..=16).map(|n| format!("D{n}"))).collect();
    let table = |change: &dyn Fn(&mut Vec<String>)| {
        let mut rows: Vec<String> = items.iter().map(|item| row(item, "tests/a.rs::good")).collect();
        change(&mut rows);
        tables::requirements(&format!("head\n{}\n", rows.join("\n")), file)
    };
    assert!(table(&|_| {}).is_empty());
    let rule = "requirements have tests";
    finds(&table(&|rows| drop(rows.remove(9))), rule, 11, "an item is missing");
    finds(&table(&|rows| drop(rows.pop())), rule, 87, "the last item is missing");
    finds(&table(&|rows| rows[4] = row("5", "tests/a.rs::helper")), rule, 6, "no test");
    finds(&table(&|rows| rows[4] = row("5", "tests/a.rs::gone")), rule, 6, "no function");
    finds(&table(&|rows| rows[4] = row("5", "tests/b.rs::good")), rule, 6, "no file");
    finds(&table(&|rows| rows[4] = row("5", "")), rule, 6, "neither test nor reason");

    let entries = |from: &str, test: &str| {
        let one = |n: usize| {
            let (from, test) = if n == 3 { (from, test) } else { ("let a = 1;", "tests/a.rs::good") };
            let lines = [("name", format!("m{n}").as_str()), ("file", "tests/a.rs"), ("from", from)]
                .into_iter()
                .chain([("to", "other"), ("test", test)])
                .map(|(key, value)| format!("{key} = \"{value}\"\n"))
                .collect::<String>();
            format!("[[mutation]]\n{lines}")
        };
        tables::mutations(&(0..12).map(one).collect::<String>(), file)
    };
    assert!(entries("let a = 1;", "tests/a.rs::good").is_empty());
    let rule = "mutations stay alive";
    finds(&entries("let b = 1;", "tests/a.rs::good"), rule, 20, "the text is gone");
    finds(&entries("fn", "tests/a.rs::good"), rule, 20, "the text stands twice");
    finds(&entries("let a = 1;", "tests/a.rs::helper"), rule, 20, "no test");
    finds(&tables::mutations("", file), rule, 1, "no mutations");
}
