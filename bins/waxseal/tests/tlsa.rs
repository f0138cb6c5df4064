//! `waxseal tlsa generate` and `check` as they are called.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use waxseal_testbed::{
    Authority, Certificate, Peer,
    dns::{DnsServer, Zone},
};

fn waxseal(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_waxseal"))
        .arg("tlsa")
        .args(words)
        .stdin(Stdio::null())
        .output()
        .expect("it runs")
}

fn says(words: &[&str], code: i32) -> (String, String) {
    let output = waxseal(words);
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    assert_eq!(output.status.code(), Some(code), "{words:?} said:\n{out}{err}");
    (out, err)
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("the folder is ours");
    path.display().to_string()
}

/// The digits of the record in a zone file's first line with one.
fn data(text: &str) -> &str {
    let line = text.lines().find(|line| line.contains(" TLSA ")).expect("a record");
    line.rsplit(' ').next().unwrap_or_default()
}

#[test]
fn records_come_in_three_formats_from_each_kind_of_file() {
    let folder = tempfile::tempdir().expect("the test's own words are good");
    let authority = Authority::new("CLI CA").expect("the test's own words are good");
    let leaf = authority.leaf(&["mx.example.test"]).issue().expect("the test's own words are good");
    let chain = write(folder.path(), "chain.pem", &format!("{}{}", leaf.pem(), authority.intermediate_pem()));
    let key = write(folder.path(), "key.pem", leaf.key_pem());
    let root = write(folder.path(), "root.pem", authority.root_pem());

    // The name is taken from the certificate; a key has none.
    let (from_chain, told) = says(&["generate", &chain], 0);
    assert!(
        from_chain.contains("\n_25._tcp.mx.example.test. 3600 IN TLSA 3 1 1 ") && told.is_empty(),
        "{from_chain}{told}"
    );
    let (_, told) = says(&["generate", &key], 64);
    assert!(told.contains("--host"), "{told}");
    let (from_key, _) = says(&["generate", "--host", "mx.example.test", "--ttl", "60", &key], 0);
    assert_eq!(data(&from_key), data(&from_chain));

    let (script, _) =
        says(&["generate", "--issuer", "--zone", "example.test", "--format", "nsupdate", &chain], 0);
    let lines: Vec<&str> = script.lines().collect();
    assert_eq!((lines[0], lines[3], lines.len()), ("zone example.test.", "send", 4), "{script}");
    assert!(lines[1].starts_with("update add _25._tcp.mx.example.test. 3600 TLSA 3 1 1 "));
    assert!(lines[2].starts_with("update add _25._tcp.mx.example.test. 3600 TLSA 2 1 1 "));

    // A root that is not in the chain; the JSON says so, too.
    let (json, told) =
        says(&["generate", "--record", "2 1 1", "--anchor", &root, "--format", "json", &chain], 0);
    let value: Value = serde_json::from_str(&json).expect("the test's own words are good");
    assert_eq!(value["records"][0]["usage"], 2);
    assert!(
        value["records"][0]["advice"][0]
            .as_str()
            .expect("the test's own words are good")
            .contains("not in the chain")
    );
    assert!(told.contains("CLI CA"), "{told}");

    let (_, told) = says(&["generate", "--record", "1 1 1", &chain], 1);
    assert!(told.contains("RFC 7672"), "{told}");
    let (out, told) = says(&["generate", "--record", "1 1 1", "--pkix", &chain], 0);
    assert!(out.contains(" TLSA 1 1 1 ") && told.contains("not for mail"));
    let lone = write(folder.path(), "leaf.pem", leaf.pem());
    says(&["generate", "--record", "2 1 1", &lone], 64);
    says(&["generate", "--record", "9 1 1", &chain], 64);
    says(&["generate", "/nowhere/at/all"], 64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_domain_and_one_with_a_wrong_record_are_told_apart() {
    let folder = tempfile::tempdir().expect("the test's own words are good");
    let certificate = Certificate::self_signed(&["mx.example.test"])
        .expired()
        .issue()
        .expect("the test's own words are good");
    let peer =
        Peer::builder().starttls(certificate.clone()).start().await.expect("the test's own words are good");
    let port = peer.addr().port();
    let file = write(folder.path(), "c.pem", certificate.pem());
    let (made, _) = says(&["generate", "--format", "json", &file], 0);
    let made: Value = serde_json::from_str(&made).expect("the test's own words are good");
    let digits = made["records"][0]["data"].as_str().expect("the test's own words are good").as_bytes();
    let digest: Vec<u8> = digits
        .chunks(2)
        .map(|two| {
            u8::from_str_radix(std::str::from_utf8(two).expect("the test's own words are good"), 16)
                .expect("the test's own words are good")
        })
        .collect();
    let zone = Zone::new()
        .mx("good.test", 10, "mx.good.test")
        .a("mx.good.test", [127, 0, 0, 1])
        .tlsa("mx.good.test", port, (3, 1, 1), &digest)
        .mx("bad.test", 10, "mx.bad.test")
        .a("mx.bad.test", [127, 0, 0, 1])
        .tlsa("mx.bad.test", port, (3, 0, 1), &digest)
        .secure("good.test")
        .secure("bad.test");
    let dns = DnsServer::forwarder(zone).await.expect("the test's own words are good");
    let anchor = write(folder.path(), "root.key", &dns.trust_anchor());
    let config = format!(
        "hostname = \"check.test\"\n[dns]\nservers = [\"{}\"]\ntrust_anchor = \"{anchor}\"\n",
        dns.addr()
    );
    let config = write(folder.path(), "waxseal.toml", &config);
    let metrics = folder.path().join("tlsa.prom").display().to_string();
    let port = port.to_string();
    let common = ["check", "--config", &config, "--port", &port];
    let call = |words: &[&str]| {
        [&common[..], words].concat().iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()
    };
    let run = |words: &[&str], code| {
        let words = call(words);
        says(&words.iter().map(String::as_str).collect::<Vec<_>>(), code)
    };
    tokio::task::block_in_place(|| {
        let (told, _) = run(&["--days", "5", "good.test"], 0);
        assert!(told.contains("healthy") && told.contains("does not count under usage 3"), "{told}");
        let (told, _) = run(&["--metrics", &metrics, "good.test", "bad.test"], 1);
        assert!(told.contains("record-mistaken") && told.contains("publish it as 3 1 1"), "{told}");
        let told = std::fs::read_to_string(&metrics).expect("the test's own words are good");
        assert!(told.contains("waxseal_tlsa_check_ok{target=\"good.test\"} 1\n"), "{told}");
        assert!(told.contains("waxseal_tlsa_check_ok{target=\"bad.test\"} 0\n"), "{told}");
        let (told, _) = run(&["--json", "bad.test"], 1);
        let value: Value = serde_json::from_str(&told).expect("the test's own words are good");
        assert_eq!(
            (&value["ok"], &value["findings"][0]["fault"]),
            (&Value::Bool(false), &Value::from("record-mistaken"))
        );
        let (told, _) = run(&["--days", "30", "good.test"], 1);
        assert!(told.contains("signature-ending"), "{told}");
        says(&["check", "a b"], 64);
    });
}

#[test]
fn mistakes_of_an_operator_are_told_with_place_and_remedy() {
    let folder = tempfile::tempdir().expect("the test's own words are good");
    let authority = Authority::new("CLI CA").expect("the test's own words are good");
    let [leaf, other] = [(); 2]
        .map(|()| authority.leaf(&["mx.example.test"]).issue().expect("the test's own words are good"));
    let write = |name: &str, text: &str| write(folder.path(), name, text);
    let chain = write("chain.pem", leaf.pem());
    let key = write("other.key", other.key_pem());
    let served = write("served.pem", &format!("{}{}", leaf.key_pem(), leaf.pem()));
    // Nobody listens at port 9 of loopback: the mistakes below are found before anybody is asked.
    let config = format!(
        "hostname = \"mx.example.test\"\n[spool]\npath = {:?}\n[dns]\nservers = [\"127.0.0.1:9\"]\n[listen_tls]\nchain_files = [{served:?}]\n",
        folder.path().join("spool")
    );
    let config = write("waxseal.toml", &config);
    std::fs::create_dir(folder.path().join("spool")).expect("the folder is ours");
    let none = folder.path().join("none/tls.pem").display().to_string();
    let table: [(&[&str], i32, &[&str]); 15] = [
        (&["generate", "/none.pem"], 64, &["/none.pem", "name the file"]),
        (&["generate", "--port", "0", &chain], 64, &["--port", "1..=65535"]),
        (&["generate", &config], 64, &["waxseal.toml", "no certificate, key or certificate request"]),
        (&["check"], 64, &["DOMAIN|HOST:PORT", "--help"]),
        (&["check", "a b"], 64, &["a b", "bad character"]),
        (&["check", "--config", "/none.toml", "a.test"], 78, &["/none.toml", "--config"]),
        (&["rollover", "plan"], 64, &["--new-key <KIND>|--certificate <FILE>"]),
        (&["rollover", "plan", "--new-key", "rsa", "--certificate", &chain], 64, &["cannot be used with"]),
        (&["rollover", "plan", "--new-key", "rsa", "--install", &none], 78, &["none/tls.pem", "--install"]),
        (&["rollover", "plan", "--new-key", "rsa", "--hook", "/none"], 78, &["/none", "no such program"]),
        (
            &["rollover", "plan", "--new-key", "rsa", "--nsupdate-key", &config],
            78,
            &["waxseal.toml", "chmod 640"],
        ),
        (&["rollover", "start", "--certificate", &chain], 78, &["chain.pem: block 1", "--key"]),
        (&["rollover", "start", "--certificate", &chain, "--key", &key], 78, &["chain.pem", "not that of"]),
        (&["rollover", "switch"], 1, &["tlsa-rollover", "`waxseal tlsa rollover start`"]),
        (
            &["rollover", "plan", "--new-key", "ecdsa"],
            75,
            &["mx.example.test:25", "127.0.0.1:9", "waxseal doctor"],
        ),
    ];
    for (words, code, expected) in table {
        let mut words = words.to_vec();
        if words[0] == "rollover" {
            words.extend(["--config", &config]);
        }
        let (_, told) = says(&words, code);
        assert!(!told.contains("next.trial"), "{words:?} said:\n{told}");
        for word in expected {
            assert!(told.contains(word), "{words:?} said, without {word:?}:\n{told}");
        }
    }
}
