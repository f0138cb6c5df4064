//! Rollovers as operators make them, in a laboratory: two signed authoritative servers (knot), a validating resolver (unbound) that holds
//! what it was told for its full TTL, our intake as the server, and two clients that take nothing but DANE, Waxseal itself and a Postfix,
//! which send mail all the while. Not one message may wait.
//!
//! Ignored by default, since it needs root and Debian's knot, unbound, postfix and openssl. `.ci/run real-peers` runs it.

#![expect(clippy::panic, reason = "a test may")]

mod lab;
mod senders;

use std::time::{Duration, Instant};

use lab::{Lab, Ran};
use serde_json::Value;

/// A rollover here takes some seconds.
const LIMIT: Duration = Duration::from_secs(60);

/// Goes on with it, as a timer would, until it is over; the resolver has fetched everything anew just before each look.
async fn to_the_end(lab: &Lab, steps: &[&str]) -> Value {
    let began = Instant::now();
    loop {
        let ran = lab.step(steps).await;
        assert!(ran.status == 0 || ran.status == 75, "{ran:?}");
        let told: Value = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
        if told["over"] == true {
            return told;
        }
        assert!(began.elapsed() < LIMIT, "it does not end: {ran:?}");
        lab.pause().await;
    }
}

fn refused(ran: &Ran, words: &str) {
    assert!(ran.status == 1 && ran.err.contains(words), "refused with {words:?}: {ran:?}");
}

fn phase(ran: &Ran) -> String {
    assert_eq!(ran.status, 0, "{ran:?}");
    let told: Value = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    told["phase"].as_str().unwrap_or_default().to_owned()
}

#[actix_rt::test]
#[ignore = "needs root and the Debian packages knot, knot-dnsutils, unbound, postfix and openssl"]
async fn no_delivery_waits_while_keys_are_rolled_over() {
    let lab = Lab::start().await;
    lab.mail_flows("before anything").await;
    nothing_is_done_before_a_start(&lab).await;
    a_new_key(&lab).await;
    the_same_key(&lab).await;
    new_leaves_under_an_issuer_that_stays(&lab).await;
    killed_at_every_step(&lab).await;
    given_up(&lab).await;
    a_server_that_lags(&lab).await;
    a_certificate_that_does_not_fit_is_not_served(&lab).await;
    let (waxseal, postfix) = lab.end().await;
    println!("delivered: {waxseal} by Waxseal, {postfix} by Postfix; deferred: none");
}

async fn nothing_is_done_before_a_start(lab: &Lab) {
    for verb in ["switch", "finish", "undo", "status"] {
        refused(&lab.step(&[verb]).await, "no rollover has been started");
    }
    assert_eq!(lab.step(&["run"]).await.status, 0, "a timer may come too early");
}

/// The tool makes the key; each step is tried out of order first.
async fn a_new_key(lab: &Lab) {
    let (before, file) = (lab.records(), lab.served_file());
    let planned = lab.step(&lab.begin("plan", &["--new-key", "ecdsa"])).await;
    assert_eq!(planned.status, 0, "{planned:?}");
    assert_eq!((lab.records(), lab.served_file()), (before.clone(), file.clone()), "a plan changes nothing");
    assert_eq!(phase(&lab.step(&lab.begin("start", &["--new-key", "ecdsa"])).await), "publishing");
    assert_eq!(lab.records().len(), 2, "the next record stands beside the current one");
    refused(&lab.step(&["switch"]).await, "too early");
    refused(&lab.step(&["finish"]).await, "too early");
    refused(&lab.step(&lab.begin("start", &["--new-key", "ecdsa"])).await, "a rollover is under way");
    assert_eq!(lab.served_file(), file, "nothing was installed");
    let began = Instant::now();
    while lab.step(&["switch", "--json"]).await.status == 1 {
        assert_eq!(lab.served_file(), file);
        assert!(began.elapsed() < LIMIT);
        lab.pause().await;
    }
    assert_ne!(lab.served_file(), file);
    assert_eq!(lab.records().len(), 2, "the switch withdraws nothing");
    refused(&lab.step(&["undo"]).await, "cannot be undone");
    to_the_end(lab, &["finish", "--json"]).await;
    refused(&lab.step(&["undo"]).await, "cannot be undone");
    let after = lab.records();
    assert!(after.len() == 1 && after != before, "{after:?}");
    lab.mail_flows("after a new key").await;
}

/// What an ACME client with key reuse brings: nothing is published, and it is served at once.
async fn the_same_key(lab: &Lab) {
    let (before, file) = (lab.records(), lab.served_file());
    let given = lab.renewed();
    let key = lab.tls_file();
    let started = lab.step(&lab.begin("start", &["--certificate", &given, "--key", &key])).await;
    assert_eq!(started.status, 0, "{started:?}");
    let told = to_the_end(lab, &["run", "--json"]).await;
    assert_eq!((told["phase"].as_str(), told["same_key"].as_bool()), (Some("done"), Some(true)), "{told}");
    assert_eq!(lab.records(), before);
    assert_ne!(lab.served_file(), file);
    lab.mail_flows("after a renewal with the same key").await;
}

/// `3 1 1` and `2 1 1`: the first one publishes the issuer, the second is carried by it, the third has another issuer.
async fn new_leaves_under_an_issuer_that_stays(lab: &Lab) {
    for (issuer, records) in [(0, 2), (0, 2), (1, 2)] {
        let given = lab.issued(issuer);
        let arguments = lab.begin("start", &["--certificate", &given, "--route", "stable-issuer"]);
        let started = lab.step(&arguments).await;
        assert_eq!(started.status, 0, "{started:?}");
        to_the_end(lab, &["run", "--json"]).await;
        assert_eq!(lab.records().len(), records, "{:?}", lab.records());
        assert_eq!(lab.served_file(), lab.read(&given));
        lab.mail_flows("after a new leaf").await;
    }
}

/// Each command is killed, a little later every time, from before its first word to behind its last one; what is left behind is gone on with.
async fn killed_at_every_step(lab: &Lab) {
    let (before, began) = (lab.served_file(), Instant::now());
    let (mut after, mut kills) = (Duration::from_millis(5), 0);
    let start = lab.begin("start", &["--new-key", "ecdsa"]);
    loop {
        match lab.step_or_kill(&start, after).await {
            None => kills += 1,
            // Whoever was killed behind the first word of the state has begun it.
            Some(ran) if ran.status == 0 || ran.err.contains("a rollover is under way") => break,
            Some(ran) => assert_eq!(ran.status, 75, "{ran:?}"),
        }
        after += after / 4;
    }
    let mut after = Duration::from_millis(20);
    loop {
        assert!(began.elapsed() < LIMIT, "it does not end");
        let Some(ran) = lab.step_or_kill(&["run", "--json"], after).await else {
            kills += 1;
            after += after / 4;
            continue;
        };
        assert!(ran.status == 0 || ran.status == 75, "{ran:?}");
        let told: Value = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
        if told["over"] == true {
            break;
        }
        // From the beginning for each step.
        after = Duration::from_millis(20);
    }
    assert!(kills > 20, "only {kills} were killed");
    assert_ne!(lab.served_file(), before);
    assert_eq!(lab.records().len(), 1, "{:?}", lab.records());
    lab.mail_flows(&format!("after {kills} kills")).await;
}

async fn given_up(lab: &Lab) {
    let (before, file) = (lab.records(), lab.served_file());
    assert_eq!(phase(&lab.step(&lab.begin("start", &["--new-key", "rsa"])).await), "publishing");
    assert_eq!(lab.records().len(), before.len() + 1);
    to_the_end(lab, &["undo", "--json"]).await;
    assert_eq!((lab.records(), lab.served_file()), (before, file));
    refused(&lab.step(&["switch"]).await, "given up");
    lab.mail_flows("after giving up").await;
}

/// The secondary takes nothing over: for as long as that lasts, nothing is switched.
async fn a_server_that_lags(lab: &Lab) {
    lab.freeze_secondary(true);
    let file = lab.served_file();
    assert_eq!(phase(&lab.step(&lab.begin("start", &["--new-key", "ecdsa"])).await), "publishing");
    let frozen = Instant::now();
    while frozen.elapsed() < lab::TTL * 2 {
        let ran = lab.step(&["run", "--json"]).await;
        assert_eq!(phase(&ran), "publishing");
        assert!(ran.out.contains("ns2.lab.test"), "it says who lags: {ran:?}");
        refused(&lab.step(&["switch"]).await, "ns2.lab.test");
        lab.pause().await;
    }
    assert_eq!(lab.served_file(), file);
    lab.freeze_secondary(false);
    to_the_end(lab, &["run", "--json"]).await;
    assert_ne!(lab.served_file(), file);
    lab.mail_flows("after a server that lagged").await;
}

/// Somebody puts a certificate into the intake's file that no record fits.
async fn a_certificate_that_does_not_fit_is_not_served(lab: &Lab) {
    let file = lab.served_file();
    let stranger = lab.read(&lab.issued(0));
    lab.put(&stranger);
    lab.refusal_is_told(true).await;
    lab.mail_flows("with a certificate in its file that does not fit").await;
    lab.put(&file);
    lab.refusal_is_told(false).await;
    lab.mail_flows("with the fitting one again").await;
}
