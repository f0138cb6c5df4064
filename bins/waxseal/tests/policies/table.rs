//! `waxseal table query`: what it prints, and how it ends.

use std::{
    io::Write as _,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};

use crate::write;

fn query(words: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waxseal"));
    command.args(["table", "query"]).args(words);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    child.stdin.take().expect("it is piped").write_all(input.as_bytes()).expect("it reads, or is gone");
    child.wait_with_output().expect("it ends")
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

#[test]
fn answers_and_ends_as_postmap_does() {
    const TWO: &str = "inline:{ a.test=may, { b.test = secure match=x } }";
    let folder = tempfile::tempdir().expect("a folder");
    let file = write(&folder.path().join("table"), "a.test may\nonly\nb.test \u{1b}[31mred\n");
    let (file, twice) =
        (format!("texthash:{file}"), write(&folder.path().join("twice"), "a may\nb none\nA may\n"));
    let (twice, gone) = (format!("texthash:{twice}"), format!("texthash:{}/gone", folder.path().display()));
    // Words, standard input; exit status, standard output, and a word of standard error.
    type Case<'a> = (&'a [&'a str], &'a str, i32, &'a str, &'a str);
    let cases: &[Case<'_>] = &[
        (&[TWO, "a.test"], "", 0, "may\n", ""),
        (&[TWO, "A.TEST"], "", 0, "may\n", ""),
        (&[TWO, "sub.a.test"], "", 1, "", ""),
        (&[TWO, "a.test", "none.test", "b.test"], "", 0, "a.test\tmay\nb.test\tsecure match=x\n", ""),
        (&[TWO, "-"], "b.test\nnone.test\n", 0, "b.test\tsecure match=x\n", ""),
        (&[TWO, "-"], "none.test\n", 1, "", ""),
        // What is odd is told, and what a terminal would obey is not passed on.
        (&[&file, "a.test"], "", 0, "may\n", ":2: expected a key, white space and a value"),
        (&[&file, "b.test"], "", 0, "\\u{1b}[31mred\n", ""),
        // No answer is not "not found".
        (&["fail:x", "a.test"], "", 75, "", "a.test: "),
        (&["tcp:127.0.0.1:1", "a.test"], "", 75, "", "a.test: "),
        (&["pipemap:{inline:{a=b}, fail:x}", "c", "a"], "", 75, "", "a: "),
        // What cannot be used.
        (&[&twice, "a"], "", 78, "", "duplicate entry"),
        (&[&gone, "a"], "", 78, "", "gone"),
        (&["inline:{a}", "a"], "", 78, "", "missing '='"),
        (&["ldap:/etc/x", "a"], "", 78, "", "ldap"),
        (&["nothing:x", "a"], "", 78, "", "nothing"),
        (&["texthash", "a"], "", 78, "", "texthash"),
        (&[TWO], "", 64, "", "KEY"),
    ];
    for (words, input, code, out, said) in cases {
        let output = query(words, input);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(*code), "{words:?} said {stderr}");
        assert_eq!(text(&output.stdout), *out, "{words:?} said {stderr}");
        assert!(stderr.contains(said), "{words:?} should have said {said:?}, said {stderr}");
    }
}

#[test]
fn json_has_an_object_for_each_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = write(&folder.path().join("table"), "# policies\na.test may\n");
    let output = query(&["--json", &format!("texthash:{path}"), "a.test", "b.test"], "");
    assert_eq!(output.status.code(), Some(0));
    let lines: Vec<Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).expect("it is JSON")).collect();
    let found = json!({ "key": "a.test", "found": true, "value": "may", "place": format!("{path}:2") });
    assert_eq!(lines, [found, json!({ "key": "b.test", "found": false })]);

    let output = query(&["--json", "fail:x", "a.test"], "");
    assert_eq!(output.status.code(), Some(75));
    let line: Value = serde_json::from_str(&text(&output.stdout)).expect("it is JSON");
    assert!(line["error"].is_string() && line.get("found").is_none(), "{line}");
}
