//! What would change for which destination.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixListener,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::write;

fn diff(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waxseal"));
    command.args(["policy", "diff"]).args(words).stdin(Stdio::null()).output().expect("it runs")
}

fn report(words: &[&str], code: i32) -> Value {
    let output = diff(&[words, &["--json"]].concat());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{words:?} said:\n{text}{said}");
    serde_json::from_str(&text).expect("it is JSON")
}

/// `next hop direction`, as reported.
fn changes(report: &Value) -> Vec<String> {
    let destinations = report["destinations"].as_array().expect("a list");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    destinations.iter().map(|one| format!("{} {}", text(&one["nexthop"]), text(&one["direction"]))).collect()
}

/// An old and a new table.
fn tables(folder: &Path, old: &str, new: &str) -> (String, String) {
    (write(&folder.join("old"), old), write(&folder.join("new"), new))
}

#[test]
fn all_keys_of_both_sides_are_compared() {
    let folder = tempfile::tempdir().expect("a folder");
    let old = "same.test encrypt\nraised.test may\nlowered.test secure\n.below.test encrypt\nother.test secure match=a.test\n[gone.test]:587 dane-only\n";
    let new = "same.test encrypt connection_reuse=yes\nraised.test secure\nlowered.test encrypt\n.below.test may\nother.test secure match=b.test\nadded.test dane-only\n";
    let (old, new) = tables(folder.path(), old, new);
    let found = report(&["--old", &old, "--new", &new], 1);
    let expected = [
        // Without its entry it has the default level, dane, which is not dane-only.
        "[gone.test]:587 weaker",
        "added.test stronger",
        "any.below.test weaker",
        "lowered.test weaker",
        "other.test different",
        "raised.test stronger",
    ];
    assert_eq!(changes(&found), expected, "{found:#}");
    assert_eq!(found["destinations"][2]["stands_for"], ".below.test");
    let lowered = &found["destinations"][3];
    assert_eq!(
        (&lowered["changes"][0]["old"], &lowered["changes"][0]["new"]),
        (&"secure".into(), &"encrypt".into())
    );
    assert!(lowered["old_source"].as_str().is_some_and(|source| source.ends_with("old:3")), "{lowered}");

    let output = diff(&["--old", &old, "--new", &new]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for words in [
        "lowered.test: weaker",
        "secure -> encrypt (weaker)",
        "any.below.test (for .below.test): weaker",
        "8 destinations compared: 3 weaker, 1 different, 2 stronger, 2 the same.",
    ] {
        assert!(text.contains(words), "no {words:?} in:\n{text}");
    }
}

#[test]
fn what_gets_no_weaker_ends_with_0() {
    let folder = tempfile::tempdir().expect("a folder");
    let (old, new) = tables(
        folder.path(),
        "a.test may\nb.test secure\n",
        "a.test dane-only\nb.test secure match=nexthop\n",
    );
    let found = report(&["--old", &old, "--new", &new], 0);
    assert_eq!(changes(&found), ["a.test stronger", "b.test stronger"]);
    assert_eq!(changes(&report(&["--old", &old, "--new", &old], 0)), [""; 0]);
}

#[test]
fn an_entry_with_a_typo_waits_and_is_no_weaker_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let (old, new) = tables(folder.path(), "a.test may\n", "a.test secure math=x\n");
    let found = report(&["--old", &old, "--new", &new], 0);
    assert_eq!(changes(&found), ["a.test different"]);
    assert!(
        found["destinations"][0]["changes"][0]["new"].as_str().is_some_and(|new| new.contains("mail waits")),
        "{found}"
    );
    assert_eq!(changes(&report(&["--old", &new, "--new", &old], 1)), ["a.test weaker"]);
}

#[test]
fn configurations_are_compared_with_all_that_they_say() {
    let folder = tempfile::tempdir().expect("a folder");
    let table = write(&folder.path().join("tls_policy"), "a.test secure\n");
    let main = |name: &str, more: &str| {
        write(&folder.path().join(name), &format!("smtp_tls_policy_maps = texthash:{table}\n{more}"))
    };
    let old = main("old.cf", "smtp_tls_security_level = encrypt\n");
    let new = main(
        "new.cf",
        "smtp_tls_security_level = encrypt\nsmtp_tls_secure_cert_match = nexthop, hostname\nrelayhost = [r.test]\n",
    );
    let found = report(&["--old", &old, "--new", &new], 1);
    assert_eq!(changes(&found), ["a.test weaker"], "{found:#}");
    assert_eq!(found["routes_differ"], true);
    let lower = main("lower.cf", "smtp_tls_security_level = may\n");
    let found = report(&["--old", &old, "--new", &lower], 1);
    assert_eq!(changes(&found), ["any.example.invalid weaker"], "{found:#}");
    // A table of its own on top of a configuration.
    let other = write(&folder.path().join("other"), "a.test may\n");
    let found = report(&["--base", &old, "--old", &old, "--new", &other], 1);
    assert_eq!(changes(&found), ["a.test weaker"]);
}

#[test]
fn what_cannot_be_listed_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let rules = write(&folder.path().join("rules"), "/^mx\\.a\\.test$/ secure\n/(b|c)\\.test/ secure\n");
    let empty = write(&folder.path().join("empty"), "# nothing\n");
    let found = report(&["--old", &format!("regexp:{rules}"), "--new", &empty], 1);
    assert_eq!(changes(&found), ["mx.a.test weaker"], "{found:#}");
    let told = found["not_compared"].to_string();
    assert!(told.contains("rules:2") && told.contains("(b|c)"), "{told}");
    let domains = write(&folder.path().join("domains"), "# by hand\nb.test\n\nx.test\n");
    let found = report(&["--old", &format!("regexp:{rules}"), "--new", &empty, "--domains", &domains], 1);
    assert_eq!(changes(&found), ["b.test weaker"], "{found:#}");
}

#[test]
fn destinations_come_from_the_queue_as_well() {
    let folder = tempfile::tempdir().expect("a folder");
    let (old, new) = tables(folder.path(), "a.test secure\nb.test secure\n", "a.test may\nb.test may\n");
    let listener = UnixListener::bind(folder.path().join("control.sock")).expect("a socket");
    let manager = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut request = BufReader::new(&stream).lines().map(|line| line.expect("a request"));
        assert!(request.any(|line| line.is_empty()), "the request has an end");
        let answer = "HTTP/1.1 200 OK\r\n\r\n{\"queue_id\":\"BC\",\"destination\":\"b.test\"}\n{\"queue_id\":\"BD\",\"destination\":\"b.test\"}\n{\"end\":true,\"count\":2}\n";
        stream.write_all(answer.as_bytes()).expect("the client reads");
    });
    let spool = folder.path().display().to_string();
    let found = report(&["--old", &old, "--new", &new, "--from-queue", "--spool", &spool], 1);
    manager.join().expect("it served");
    assert_eq!(changes(&found), ["b.test weaker"]);
    let output = diff(&["--old", &old, "--new", &new, "--from-queue", "--spool", "/nowhere"]);
    assert_eq!(output.status.code(), Some(75), "nobody answers");
}

#[test]
fn wrong_words_and_files_have_their_status() {
    let folder = tempfile::tempdir().expect("a folder");
    let (old, new) = tables(folder.path(), "a.test may\n", "a.test may\n");
    let bad = write(&folder.path().join("bad"), "a b c\n");
    let config = write(&folder.path().join("bad.toml"), "[tls]\nlevel = 1\n");
    for (words, code) in [
        (&["--old", &old][..], 64),
        (&["--old", &old, "--new", "/nowhere/table"], 64),
        (&["--old", &old, "--new", &new, "--domains", &bad], 64),
        (&["--old", &old, "--new", &new, "--domains", "/nowhere/list"], 75),
        (&["--old", &old, "--new", &config], 78),
    ] {
        assert_eq!(diff(words).status.code(), Some(code), "{words:?}");
    }
}

/// What weakens one service of master.cf alone.
#[test]
fn the_services_of_master_cf_are_compared_each_by_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let side = |name: &str, options: &str| {
        let folder = folder.path().join(name);
        std::fs::create_dir(&folder).expect("the folder is ours");
        let master = format!("smtp unix - - n - - smtp\nrelay unix - - n - - smtp{options}\n");
        write(&folder.join("master.cf"), &master);
        write(
            &folder.join("main.cf"),
            "myhostname = a.example.com\nmydestination =\nsmtp_tls_security_level = encrypt\n",
        )
    };
    let (old, new) = (side("old", "\n  -o smtp_tls_security_level=secure"), side("new", ""));
    let found = report(&["--old", &old, "--new", &new], 1);
    assert_eq!(changes(&found), ["any.example.invalid weaker"], "{found:#}");
    assert_eq!((&found["destinations"][0]["transport"], &found["same"]), (&"relay".into(), &1.into()));
    let back = report(&["--old", &new, "--new", &old, "--transport", "relay"], 0);
    assert_eq!((changes(&back), &back["same"]), (vec!["any.example.invalid stronger".to_owned()], &0.into()));

    let policy = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_waxseal"));
        let output =
            command.args(["policy", "--json", "--config", &old]).args(words).output().expect("it runs");
        let value = serde_json::from_slice::<Value>(&output.stdout).map(|value| value["level"].clone());
        (output.status.code(), value.unwrap_or_default())
    };
    assert_eq!(policy(&["b.test"]), (Some(0), "encrypt".into()));
    assert_eq!(policy(&["--transport", "relay", "b.test"]), (Some(0), "secure".into()));
    assert_eq!(policy(&["--transport", "nowhere", "b.test"]), (Some(1), Value::Null));
}
