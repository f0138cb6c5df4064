//! Records against those that other tools make: ldns-dane, danetool, openssl (Debian packages ldnsutils, gnutls-bin, openssl).

mod samples;

use std::{fs, path::Path, process::Command};

use waxseal_tlsa::{Form, rdata, read};

use crate::samples::{pem, samples};

fn run(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output().expect("the program is installed");
    assert!(output.status.success(), "{program} {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("the test's own words are good")
}

/// `_25._tcp.mx.test. 3600 IN TLSA 3 1 1 abcd`, in any spelling, as `3 1 1 abcd`.
fn normal(line: &str) -> String {
    let (_, data) = line.split_once("TLSA").expect("a record");
    let words: Vec<&str> = data.split_whitespace().filter(|word| !matches!(*word, "(" | ")")).collect();
    let numbers: Vec<String> = words[..3]
        .iter()
        .map(|word| word.parse::<u8>().expect("the test's own words are good").to_string())
        .collect();
    format!("{} {}", numbers.join(" "), words[3..].concat().to_lowercase())
}

/// What ldns-dane says; `more` are options of its own.
fn ldns(more: &[&str], file: &str, form: &str) -> String {
    let numbers: Vec<String> = form.chars().map(String::from).collect();
    let mut words = vec!["-n"];
    words.extend(more);
    words.extend(["-a", "127.0.0.1", "-c", file, "create", "mx.test", "25"]);
    words.extend(numbers.iter().map(String::as_str));
    run("ldns-dane", &words)
}

fn danetool(what: &str, file: &str, form: &str) -> String {
    let mut words = vec!["--tlsa-rr", what, file, "--host", "mx.test", "--port", "25"];
    words.extend(form.starts_with('2').then_some("--ca"));
    words.extend((form.as_bytes()[1] == b'0').then_some("--x509"));
    words.extend(form.ends_with('2').then_some("--hash=sha512"));
    normal(&run("danetool", &words))
}

/// `openssl dgst` over what `openssl x509`, `pkey` or `req` puts into a file.
fn openssl(folder: &Path, from: &[&str], form: &str) -> String {
    let part = folder.join("part.der");
    let file = part.to_str().expect("the test's own words are good");
    // Two of these write a public key as PEM whatever form is asked for.
    let mut words = from.to_vec();
    words.extend(["-out", file]);
    run("openssl", &words);
    let hash = if form.ends_with('2') { "-sha512" } else { "-sha256" };
    let line = run("openssl", &["dgst", hash, "-r", file]);
    let numbers: Vec<String> = form.chars().map(String::from).collect();
    format!(
        "{} {}",
        numbers.join(" "),
        line.split_whitespace().next().expect("the test's own words are good")
    )
}

#[test]
#[ignore = "needs ldns-dane, danetool and openssl"]
fn a_hundred_certificates_lead_to_the_same_records_everywhere() {
    let folder = tempfile::tempdir().expect("the test's own words are good");
    let path =
        |name: &str| folder.path().join(name).to_str().expect("the test's own words are good").to_owned();
    let (certificate, key, request) = (path("c.pem"), path("k.pem"), path("r.pem"));
    let mut compared = 0;
    for (at, sample) in samples(100).into_iter().enumerate() {
        fs::write(&certificate, pem("CERTIFICATE", &sample.certificate))
            .expect("the test's own words are good");
        fs::write(&key, &sample.key_pem).expect("the test's own words are good");
        fs::write(&request, &sample.request_pem).expect("the test's own words are good");
        let ours = |file: &str, form: &str| {
            let subjects = read(file, &fs::read(file).expect("the test's own words are good"))
                .expect("the test's own words are good");
            rdata(
                &form
                    .parse::<Form>()
                    .expect("the test's own words are good")
                    .record(&subjects[0])
                    .expect("the test's own words are good"),
            )
        };
        assert_eq!(read("c", &sample.certificate).expect("it is one")[0].spki(), sample.spki);
        // 3 1 1 of each; the other forms in turn, since a process is slow.
        let forms = ["300", "301", "302", "310", "312"];
        let turn = forms[at / 5 % forms.len()];
        for form in ["311", turn] {
            assert_eq!(
                ours(&certificate, form),
                normal(&ldns(&[], &certificate, form)),
                "{} as {form}, ldns-dane",
                sample.name
            );
            compared += 1;
        }
        let turn = ["301", "302", "312", "201", "211", "212"][at / 5 % 6];
        for form in ["311", turn] {
            let theirs = danetool("--load-certificate", &certificate, form);
            assert_eq!(ours(&certificate, form), theirs, "{} as {form}, danetool", sample.name);
            compared += 1;
        }
        let whole = ["x509", "-in", &certificate, "-outform", "DER"];
        let of_key = ["pkey", "-in", &key, "-pubout", "-outform", "DER"];
        for (from, file, form) in [(&whole[..], &certificate, "302"), (&of_key[..], &key, "311")] {
            assert_eq!(
                ours(file, form),
                openssl(folder.path(), from, form),
                "{} as {form}, openssl",
                sample.name
            );
            compared += 1;
        }
        // A request's key comes out as PEM only.
        let public = path("p.pem");
        run("openssl", &["req", "-in", &request, "-noout", "-pubkey", "-out", &public]);
        assert_eq!(ours(&request, "311"), ours(&public, "311"), "{}, openssl req", sample.name);
        assert_eq!(
            ours(&request, "312"),
            danetool("--load-pubkey", &public, "312"),
            "{}, request",
            sample.name
        );
        compared += 2;
    }
    println!("{compared} records compared, none differs");
}

#[test]
#[ignore = "needs ldns-dane"]
fn the_issuer_of_a_chain_is_the_same_for_ldns_dane() {
    let folder = tempfile::tempdir().expect("the test's own words are good");
    for sample in samples(10).into_iter().filter(|sample| sample.issuer.is_some()) {
        let file = folder.path().join("chain.pem");
        let root = sample.issuer.expect("the test's own words are good");
        fs::write(&file, format!("{}{}", pem("CERTIFICATE", &sample.certificate), pem("CERTIFICATE", &root)))
            .expect("the test's own words are good");
        let file = file.to_str().expect("the test's own words are good");
        let subjects = read(file, &fs::read(file).expect("the test's own words are good"))
            .expect("the test's own words are good");
        for form in ["200", "201", "202", "210", "211", "212"] {
            let ours = rdata(
                &form
                    .parse::<Form>()
                    .expect("the test's own words are good")
                    .record(&subjects[1])
                    .expect("the test's own words are good"),
            );
            let theirs = ldns(&["-s", "-o", "0"], file, form);
            assert_eq!(
                ours,
                normal(theirs.lines().next().expect("the test's own words are good")),
                "{} as {form}",
                sample.name
            );
        }
    }
}
