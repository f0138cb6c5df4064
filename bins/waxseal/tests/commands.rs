//! The commands as they are called: words in, words and exit status out.

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::{fs::PermissionsExt as _, net::UnixListener},
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

use serde_json::Value;
use waxseal_testbed::{
    Certificate, Peer,
    dns::{Break, DnsServer, Fault, Zone},
    within,
};

const LIMIT: Duration = Duration::from_secs(60);

fn waxseal(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waxseal"));
    command.args(words).stdin(Stdio::null()).output().expect("it runs")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Ends with `code`, having said all of `wanted`.
fn says(words: &[&str], code: i32, wanted: &[&str]) -> String {
    let output = waxseal(words);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(code), "{words:?} said:\n{text}");
    for word in wanted {
        assert!(text.contains(word), "{words:?} should have said {word:?}, said:\n{text}");
    }
    text
}

fn write(path: &Path, text: &str) -> String {
    std::fs::write(path, text).expect("the folder is ours");
    path.display().to_string()
}

#[test]
fn every_command_has_help_with_an_example_and_a_version() {
    let commands: [&[&str]; 34] = [
        &[],
        &["check"],
        &["policy"],
        &["policy", "diff"],
        &["serve-policy"],
        &["send"],
        &["queue"],
        &["queue", "list"],
        &["queue", "show"],
        &["queue", "retry"],
        &["queue", "remove"],
        &["queue", "hold"],
        &["queue", "release"],
        &["queue", "bounce"],
        &["queue", "reroute"],
        &["destinations"],
        &["suspend"],
        &["resume"],
        &["reload"],
        &["top"],
        &["demo"],
        &["doctor"],
        &["explain"],
        &["ledger"],
        &["ledger", "erase"],
        &["spool"],
        &["spool", "verify"],
        &["spool", "dump"],
        &["spool", "repair"],
        &["spool", "export"],
        &["spool", "import"],
        &["tlsa"],
        &["tlsa", "generate"],
        &["tlsa", "check"],
    ];
    for command in commands {
        says(&[command, &["--help"]].concat(), 0, &["Example:", "waxseal"]);
        says(&[command, &["--version"]].concat(), 0, &[env!("CARGO_PKG_VERSION")]);
    }
}

#[test]
fn wrong_words_end_with_64() {
    for words in [
        &["sned"][..],
        &[],
        &["policy"],
        &["policy", "diff"],
        &["serve-policy"],
        &["policy", "[mx.example.com"],
        &["send", "--from", "a b@c", "--to", "d@e"],
        &["send", "--from", "a@b.test"],
        &["queue", "show", "A!"],
        &["queue", "retry"],
        &["explain", "a b@c.test"],
        &["spool"],
        &["spool", "export"],
    ] {
        says(words, 64, &[]);
    }
}

#[test]
fn check_tells_all_problems_with_file_line_and_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = write(&folder.path().join("good.toml"), "hostname = \"mail.example.org\"\n");
    says(&["check", "--no-probe", "--config", &good], 0, &["mail.example.org", "All is well"]);
    let bad = write(
        &folder.path().join("bad.toml"),
        "[queue]\nminimal_backof = \"1s\"\n[tls]\nprotocols = \">=SSLv9\"\n",
    );
    says(
        &["check", "--no-probe", "--config", &bad],
        78,
        &["bad.toml:2", "minimal_backoff", "bad.toml:4", "SSLv9"],
    );
    let output = waxseal(&["check", "--no-probe", "--json", "--config", &bad]);
    assert_eq!(output.status.code(), Some(78));
    let report: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!((&report["ok"], &report["problems"][0]["line"]), (&Value::Bool(false), &Value::from(2)));
    says(&["check", "--config", "/nowhere/waxseal.toml"], 78, &["/nowhere/waxseal.toml"]);
}

/// Three in the morning: each cause in its own words, by `check` and by `explain`.
#[tokio::test(flavor = "multi_thread")]
async fn dane_blindness_is_told_with_its_cause() {
    let zone = || Zone::new().secure("b.test").mx("b.test", 10, "mx.b.test").a("mx.b.test", [127, 0, 0, 1]);
    let folder = tempfile::tempdir().expect("a folder");
    let good = DnsServer::forwarder(zone()).await.expect("starts");
    let stripping = DnsServer::forwarder(zone()).await.expect("starts");
    stripping.twist(|reply| reply.answers.retain(|record| !record.record_type().is_rrsig()));
    let refusing = DnsServer::forwarder(zone().fault_all(".", Fault::Refused)).await.expect("starts");
    let clock = DnsServer::forwarder(zone().broken(".", Break::Expired)).await.expect("starts");
    let silent = DnsServer::forwarder(zone().fault_all(".", Fault::Silent)).await.expect("starts");
    for (server, anchor, word, phrase) in [
        (&good, &good, "capable", "DNSSEC works"),
        (&good, &clock, "anchor", "no key of the root is the trust anchor"),
        (&stripping, &stripping, "stripping", "keys of the root without signatures"),
        (&refusing, &refusing, "refusing", "REFUSED from 127.0.0.1"),
        (&clock, &clock, "clock", "ended, 2 days ago"),
        (&silent, &silent, "unreachable", "no resolver answers"),
    ] {
        let anchor = write(&folder.path().join("anchor"), &anchor.trust_anchor());
        let config = format!("[dns]\nservers = [\"{}\"]\ntrust_anchor = \"{anchor}\"\n", server.addr());
        let config = write(&folder.path().join("probe.toml"), &config);
        says(&["check", "--config", &config], 0, &[phrase, "queue-manager would start"]);
        let report: Value =
            serde_json::from_slice(&waxseal(&["check", "--json", "--config", &config]).stdout).expect("JSON");
        assert_eq!(report["dnssec"], word);
        if word != "capable" && word != "unreachable" {
            let explained = waxseal(&["explain", "--no-connect", "--config", &config, "u@b.test"]);
            assert!(said(&explained).contains(phrase), "{}", said(&explained));
        }
    }
}

#[test]
fn check_reads_each_entry_of_a_policy_table() {
    let folder = tempfile::tempdir().expect("a folder");
    let table =
        write(&folder.path().join("tls_policy"), "good.example may\nbad.example encrypt ciphers=strong\n");
    let config = write(&folder.path().join("main.cf"), &format!("smtp_tls_policy_maps = texthash:{table}\n"));
    says(&["check", "--no-probe", "--config", &config], 78, &["tls_policy:2", "strong", "would wait"]);
}

/// What the daemon would find out at its start, or at the first handshake for a name.
#[test]
fn check_reads_the_chains_and_keys_of_the_intake() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path();
    let certificate = Certificate::self_signed(&["mail.example.org"]).issue().expect("a certificate");
    let pair = certificate.key_pem().to_owned() + certificate.pem();
    let good = write(&place.join("good.pem"), &pair);
    let keyless = write(&place.join("keyless.pem"), certificate.pem());
    let open = write(&place.join("open.pem"), &pair);
    for (file, mode) in [(&good, 0o600), (&open, 0o644)] {
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).expect("the file is ours");
    }
    let names = write(&place.join("names"), &format!("a.example.org {good}\nb.example.org {keyless}\n"));
    let check = |chain: &str, more: &str, code: i32, wanted: &[&str]| {
        let text =
            format!("hostname = \"mail.example.org\"\n[listen_tls]\nchain_files = [\"{chain}\"]\n{more}");
        let config = write(&place.join("waxseal.toml"), &text);
        says(&["check", "--no-probe", "--config", &config], code, wanted);
    };
    check(&good, "", 0, &["All is well"]);
    check(&keyless, "", 78, &["listen_tls", "keyless.pem", "key first"]);
    check(&open, "", 0, &["everybody may read", "chmod 600"]);
    let maps = format!("server_sni_maps = [\"texthash:{names}\"]\n");
    check(&good, &maps, 78, &["names:2: b.example.org", "handshakes for this name fail", "keyless.pem"]);
}

#[test]
fn check_says_what_becomes_of_each_parameter() {
    let folder = tempfile::tempdir().expect("a folder");
    let config =
        write(&folder.path().join("main.cf"), "myhostname = a.example.com\nrelayhost = [$mydomain]\n");
    says(
        &["check", "--parameters"],
        0,
        &["key tls.policy_maps", "smtp_sasl_auth_enable = no", "not implemented"],
    );
    let output = waxseal(&["check", "--parameters", "--json", "--config", &config]);
    let all: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let relayhost = all.as_array().expect("a list").iter().find(|one| one["parameter"] == "relayhost");
    let relayhost = relayhost.expect("it is there");
    assert_eq!(
        (&relayhost["key"], &relayhost["value"]),
        (&Value::from("transport.relayhost"), &Value::from("[example.com]"))
    );
}

#[test]
fn check_names_the_lines_of_dangerous_entries() {
    let folder = tempfile::tempdir().expect("a folder");
    let table = write(
        &folder.path().join("tls_policy"),
        "a.example secure match=hostname\n*.b.example encrypt\nc.example encrypt exclude=aNULL:RC-4\nd.example secure\n",
    );
    let config = write(
        &folder.path().join("main.cf"),
        &format!(
            "smtp_tls_policy_maps = texthash:{table}\nsmtp_tls_security_level = may\nsmtp_fallback_relay = [relay.example]\n"
        ),
    );
    let expected = [
        "tls_policy:1",
        "forge MX",
        "tls_policy:2",
        "*.b.example",
        "tls_policy:3",
        "RC-4",
        "tls_policy:4",
        "fallback relay [relay.example]",
    ];
    says(&["check", "--no-probe", "--config", &config], 0, &expected);
    let output = waxseal(&["check", "--no-probe", "--json", "--config", &config]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let problems = report["problems"].as_array().expect("a list");
    let first = problems.iter().find(|one| one["concern"] == "dangerous").expect("it is there");
    assert_eq!((&first["line"], &first["severity"]), (&Value::from(1), &Value::from("warning")), "{report}");
}

#[test]
fn policy_names_the_line_that_a_policy_comes_from() {
    let folder = tempfile::tempdir().expect("a folder");
    let table = write(
        &folder.path().join("tls_policy"),
        "# ours\n.example.com encrypt\nbad.example encrypt ciphers=strong\n",
    );
    let config = write(
        &folder.path().join("main.cf"),
        &format!("smtp_tls_security_level = may\nsmtp_tls_policy_maps = texthash:{table}\n"),
    );
    says(
        &["policy", "--config", &config, "mail.example.com"],
        0,
        &["encrypt", "tls_policy:2", ".example.com"],
    );
    says(&["policy", "--config", &config, "example.net"], 0, &["may", "default"]);
    says(&["policy", "--config", &config, "bad.example"], 1, &["4.7.5", "tls_policy:3", "strong"]);
    let output = waxseal(&["policy", "--json", "--config", &config, "mail.example.com"]);
    let policy: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!((policy["level"].as_str(), policy["key"].as_str()), (Some("encrypt"), Some(".example.com")));
    assert_eq!(policy["asked"][0]["answer"], "absent", "{policy}");
    assert_eq!(policy["asked"][1]["value"], "encrypt", "{policy}");
    let text = says(&["policy", "--config", &config, "a.b.example.net"], 0, &["no entry"]);
    let order: Vec<usize> = [" a.b.example.net:", " .b.example.net:", " .example.net:", " .net:"]
        .iter()
        .filter_map(|key| text.find(key))
        .collect();
    assert!(order.len() == 4 && order.is_sorted(), "{text}");
    says(&["policy", "--config", "/nowhere/main.cf", "a.example"], 78, &["/nowhere/main.cf"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn send_completes_a_message_and_stuffs_its_dots() {
    let folder = tempfile::tempdir().expect("a folder");
    let peer =
        Peer::builder().reply_to_recipient("late@b.test", "450 4.2.1 not now").start().await.expect("starts");
    let server = peer.addr().to_string();
    let letter = write(&folder.path().join("letter"), "Subject: one\n\n.dot\n");
    let words = ["send", "--from", "a@a.test", "--to", "b@b.test", "--server", &server, &letter];
    says(&words, 0, &["b@b.test: taken", "250 "]);
    let message = within(LIMIT, peer.wait_for(1)).await.remove(0);
    assert_eq!(
        (message.sender.as_str(), message.recipients.as_slice()),
        ("a@a.test", &["b@b.test".to_owned()][..])
    );
    assert!(message.text().ends_with("Subject: one\r\n\r\n.dot\r\n"), "{}", message.text());
    for (name, part) in
        [("From", "a@a.test"), ("To", "b@b.test"), ("Date", " +0000"), ("Message-ID", "@a.test>")]
    {
        assert!(
            message.header(name).is_some_and(|value| value.contains(part)),
            "{name} in {}",
            message.text()
        );
    }
    says(
        &["send", "--from", "<>", "--to", "late@b.test", "--server", &server, &letter],
        75,
        &["refused", "450 4.2.1"],
    );
    says(
        &["send", "--from", "<>", "--to", "b@b.test", "--server", "127.0.0.1:1", &letter],
        75,
        &["127.0.0.1:1"],
    );
    let gone = peer_that("554 5.3.2 no mail here").await;
    says(
        &["send", "--from", "<>", "--to", "b@b.test", "--server", &gone.addr().to_string(), &letter],
        1,
        &["554"],
    );
    let both = [
        "send",
        "--from",
        "<>",
        "--to",
        "late@b.test",
        "--to",
        "b@b.test",
        "--json",
        "--server",
        &server,
        &letter,
    ];
    says(&both, 75, &["\"taken\":false", "\"taken\":true"]);
    let bare = write(&folder.path().join("bare"), "Subject: one\n\na\rb\n");
    says(&["send", "--from", "<>", "--to", "b@b.test", "--server", &server, &bare], 1, &["bare CR"]);
}

async fn peer_that(greets: &str) -> Peer {
    Peer::builder().greeting(greets).start().await.expect("starts")
}

/// A manager that answers each request with the status and content of its turn; what it was asked.
fn manager(folder: &Path, answers: &'static [(u16, &'static str)]) -> std::thread::JoinHandle<Vec<String>> {
    let listener = UnixListener::bind(folder.join("control.sock")).expect("a socket");
    std::thread::spawn(move || {
        let answer = |(code, content): &(u16, &str)| {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut lines = BufReader::new(&stream);
            let (mut request, mut length) = (String::new(), 0);
            lines.read_line(&mut request).expect("a request");
            loop {
                let mut line = String::new();
                lines.read_line(&mut line).expect("a header");
                if let Some(value) = line.strip_prefix("Content-Length: ") {
                    length = value.trim().parse().expect("a length");
                }
                if line == "\r\n" {
                    break;
                }
            }
            let mut body = vec![0; length];
            lines.read_exact(&mut body).expect("a body");
            let head = format!("HTTP/1.1 {code} X\r\nConnection: close\r\n\r\n");
            stream.write_all((head + content).as_bytes()).expect("the client reads");
            format!("{} {}", request.trim_end_matches(" HTTP/1.1\r\n"), String::from_utf8_lossy(&body))
        };
        answers.iter().map(answer).collect()
    })
}

#[test]
fn queue_asks_the_manager_and_shows_its_answer() {
    let folder = tempfile::tempdir().expect("a folder");
    let spool = folder.path().display().to_string();
    says(&["queue", "--spool", &spool, "list"], 75, &["no queue-manager runs"]);
    let manager = manager(
        folder.path(),
        &[
            (200, "{\"end\":true,\"count\":0}\n"),
            (
                200,
                "{\"queue_id\":\"BC\",\"size\":5,\"arrived\":\"2026-11-21T12:00:00.000000Z\",\"sender\":\"\",\"recipients\":[\"b@b.test\"],\
                 \"destination\":\"b.test\",\"attempts\":1,\"state\":\"waiting\",\"next_attempt\":\"2026-11-21T12:05:00.000000Z\",\
                 \"reason\":\"busy\\u001b[2J\"}\n{\"end\":true,\"count\":1}\n",
            ),
            (404, "{\"detail\":\"no such message\"}"),
            (200, "{\"messages\":1,\"deliveries\":2,\"refused\":0}"),
            (200, "{\"messages\":2,\"deliveries\":3,\"refused\":0}"),
            (200, "{\"messages\":0,\"deliveries\":0,\"refused\":1}"),
            (
                200,
                "{\"queue_id\":\"BC\",\"size\":5,\"arrived\":\"x\",\"sender\":\"a@a.test\",\"client\":\"c\",\"held\":true,\"recipients\":[{\"recipient\":\"b@b.test\",\
                 \"state\":\"pending\",\"attempts\":2,\"next_attempt\":\"y\",\"reason\":null}],\"header\":\"Subject: x\\r\\nTo: y\"}\n",
            ),
            (200, "{\"messages\":5,\"deliveries\":5,\"refused\":0}"),
            (503, "{\"detail\":\"the queue manager does not answer\"}"),
            (
                200,
                "{\"destinations\":[{\"destination\":\"b.test\",\"waiting\":7,\"active\":0,\"held\":1,\"oldest\":null,\"suspended\":true,\"dead_until\":null,\"reason\":\"refused\"}]}",
            ),
            (200, "{\"messages\":7,\"deliveries\":7,\"refused\":0}"),
            (200, "{\"notices\":[\"texthash:/x: line 3\"]}"),
            (
                200,
                "{\"hostname\":\"mx.test\",\"ready\":true,\"queue\":{\"messages\":9},\"destinations\":[{\"destination\":\"b.test\",\"ages\":[1,2,3,4,5,6]}]}",
            ),
        ],
    );
    let at = ["--spool", &spool];
    let run = |words: &[&str], code: i32, phrases: &[&str]| says(&[words, &at[..]].concat(), code, phrases);
    run(&["queue", "list", "--domain", "b.test", "--older-than", "2h"], 0, &["No message waits"]);
    let list = run(
        &["queue", "list"],
        0,
        &["BC", "from <>", "to b@b.test", "1 attempt, next at 2026-11-21 12:05:00Z", "1 message."],
    );
    assert!(!list.contains('\u{1b}'), "{list}");
    run(&["queue", "show", "BC"], 1, &["no such message"]);
    run(&["queue", "remove", "BC"], 0, &["1 message (2 deliveries) removed"]);
    run(&["queue", "retry", "--all"], 0, &["3 deliveries"]);
    run(&["queue", "bounce", "BC", "--reason", "over"], 1, &["0 messages", "1 message too late"]);
    run(&["queue", "show", "BC"], 0, &["a@a.test", "held", "pending after 2 attempts", "Subject: x"]);
    run(&["queue", "hold", "--sender", "", "--dry-run"], 0, &["5 messages (5 deliveries) would be held"]);
    run(&["queue", "reroute", "--all", "--to", "[relay.test]"], 75, &["does not answer"]);
    run(&["destinations"], 0, &["b.test: 7 waiting, 0 active, 1 held", "suspended", "refused"]);
    run(&["suspend", "b.test"], 0, &["b.test is suspended; 7 messages for it"]);
    run(&["reload"], 1, &["line 3"]);
    run(&["top", "--once"], 0, &["mx.test  takes mail", "9 messages", "b.test", "      6"]);
    let requests = manager.join().expect("it served all");
    let said = |number: usize| -> (&str, Value) {
        let (head, body) = requests[number].split_once(" {").expect("a body");
        (head, serde_json::from_str(&format!("{{{body}")).expect("JSON"))
    };
    assert_eq!(requests[0], "GET /api/v1/queue?format=ndjson&domain=b.test&older_than=2h ");
    assert_eq!(requests[2], "GET /api/v1/messages/BC ");
    assert_eq!(said(4).0, "POST /api/v1/actions");
    assert_eq!((&said(4).1["action"], &said(4).1["all"]), (&"retry".into(), &true.into()));
    assert_eq!((&said(5).1["select"]["ids"][0], &said(5).1["reason"]), (&"BC".into(), &"over".into()));
    assert_eq!((&said(7).1["select"]["sender"], &said(7).1["dry_run"]), (&"".into(), &true.into()));
    assert_eq!(said(8).1["to"], "[relay.test]");
    assert_eq!(said(10).0, "POST /api/v1/destinations/suspend");
}

#[test]
fn an_order_without_a_selection_is_not_one_for_all() {
    for words in
        [&["queue", "remove"][..], &["queue", "remove", "BC", "--all"], &["queue", "hold", "--dry-run"]]
    {
        says(&[words, &["--spool", "/nowhere"]].concat(), 64, &["--all"]);
    }
}

#[test]
fn a_reader_that_leaves_is_no_fault() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waxseal"));
    let words = ["policy", "a.example", "b.example", "c.example"];
    let mut child =
        command.args(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), said(&output).as_str()), (Some(0), ""));
}

#[test]
fn the_demo_delivers_over_tls_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_waxseal"));
        command.args(words).env("TMPDIR", folder.path()).stdin(Stdio::null()).output().expect("it runs")
    };
    let output = run(&["demo"]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for word in [
        "tls_policy:2",
        "MX 10 mx.demo.test",
        "TLSv1.3",
        "verdict verified",
        "TLSA 3 1 1",
        "delivered",
        "Subject: Sealed",
        "Received: ",
    ] {
        assert!(text.contains(word), "no {word:?} in:\n{text}");
    }
    let account: Value = serde_json::from_slice(&run(&["demo", "--json"]).stdout).expect("it is JSON");
    assert_eq!(account["account"]["results"][0]["outcome"], "delivered");
    assert_eq!(
        std::fs::read_dir(folder.path()).expect("it is there").count(),
        0,
        "something was left behind"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_goes_to_the_point_where_mail_would_be_sent() {
    let folder = tempfile::tempdir().expect("a folder");
    let peer = Peer::builder().without_starttls().start().await.expect("starts");
    let nexthop = peer.nexthop();
    let route = write(
        &folder.path().join("transport"),
        &format!("b.test smtp:{nexthop}\nno.test error:5.1.2 moved away\n"),
    );
    let config = |level: &str| {
        let text =
            format!("[tls]\nsecurity_level = \"{level}\"\n[transport]\nmaps = [\"texthash:{route}\"]\n");
        write(&folder.path().join(format!("{level}.toml")), &text)
    };
    let (may, encrypt) = (config("may"), config("encrypt"));
    says(&["explain", "--config", &may, "u@b.test"], 0, &["transport:1", "level may", "would be sent"]);
    says(&["explain", "--config", &encrypt, "u@b.test"], 1, &["4.7.4", "deferred"]);
    says(&["explain", "--config", &may, "u@no.test"], 1, &["bounces with 5.1.2 moved away"]);
    let before = peer.connections();
    says(&["explain", "--no-connect", "--config", &encrypt, "u@b.test"], 0, &["would be to", "TLS demanded"]);
    assert_eq!((before, peer.connections()), (2, 2), "nobody was called");
    assert!(peer.commands().iter().all(|command| !command.starts_with("MAIL")));
}
