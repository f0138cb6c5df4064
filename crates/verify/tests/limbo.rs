//! x509-limbo's core cases, beside what OpenSSL and webpki say of them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]

mod common;

use std::{collections::BTreeMap, net::IpAddr, time::Instant};

use common::{anchors, der, json};
use serde_json::Value;
use waxseal_trust::AnchorRules;
use waxseal_types::{Domain, NamePattern, UnixTime};
use waxseal_verify::{PathRules, check_path, names_match};

/// Cases that we accept, and neither OpenSSL nor webpki does; or that we refuse, and both accept. Each with its reason.
const ON_PURPOSE: &[(&str, &str)] = &[(
    "webpki::forbidden-weak-rsa-key-in-root",
    "RSA keys of 1024 bits are accepted, as Postfix accepts them",
)];

/// Cases about revocation lists, which are not read.
fn is_out_of_scope(case: &Value) -> bool {
    let feature =
        |wanted: &str| case["features"].as_array().is_some_and(|all| all.iter().any(|f| f == wanted));
    case["validation_kind"] != "SERVER" || feature("has-crl")
}

fn pems(list: &Value) -> Vec<Vec<u8>> {
    list.as_array().into_iter().flatten().map(|pem| der(pem.as_str().unwrap())).collect()
}

fn time(case: &Value) -> UnixTime {
    // Core cases without a time mean "now"; any day of these years will do.
    let Some(text) = case["validation_time"].as_str() else { return common::NOW };
    let number = |range: std::ops::Range<usize>| text[range].parse::<i64>().unwrap();
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    let (y, m) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    let seconds = days * 86_400 + number(11..13) * 3600 + number(14..16) * 60 + number(17..19);
    // Some are long before 1970, which no clock of ours says.
    UnixTime::from_secs(u64::try_from(seconds).unwrap_or(0))
}

fn ours(case: &Value, rules: AnchorRules) -> Result<(), String> {
    let roots = anchors(rules, &pems(&case["trusted_certs"]));
    let mut chain = vec![der(case["peer_certificate"].as_str().unwrap())];
    chain.extend(pems(&case["untrusted_intermediates"]));
    let depth =
        case["max_chain_depth"].as_u64().map_or(9, |depth| u8::try_from(depth + 1).unwrap_or(u8::MAX));
    let rules = PathRules { depth, ..PathRules::default() };
    check_path(&roots, &chain, rules, time(case)).map_err(|failure| failure.to_string())?;
    let Some(name) = case["expected_peer_name"]["value"].as_str() else { return Ok(()) };
    let pattern = match name.parse::<IpAddr>() {
        Ok(address) => NamePattern::Address(address),
        Err(_) => NamePattern::Exact(Domain::new(name).map_err(|bad| bad.to_string())?),
    };
    names_match(&chain[0], &[pattern], false).map(|_| ()).ok_or_else(|| "name mismatch".into())
}

#[test]
fn limbo_core_agrees_with_openssl_or_webpki() {
    let Some(data) = json("data/x509-limbo/limbo-core.json") else { return };
    let Some(openssl) = json("data/x509-limbo/results-openssl-3.0.22.json") else { return };
    let Some(webpki) = json("data/x509-limbo/results-rustls-webpki-0.103.json") else { return };
    let mut listed: BTreeMap<_, _> = ON_PURPOSE.iter().copied().collect();
    let (mut compared, mut skipped, mut as_limbo, mut wrong) = (0, 0, 0, Vec::new());
    for case in data["testcases"].as_array().unwrap() {
        let id = case["id"].as_str().unwrap();
        if is_out_of_scope(case) {
            skipped += 1;
            continue;
        }
        let start = Instant::now();
        // Both others ran with partial chains, so these are the rules of trust anchor files.
        let outcome = ours(case, AnchorRules::Explicit);
        let took = start.elapsed();
        if id.starts_with("pathological::") {
            println!("{id}: {} ms", took.as_millis());
        }
        // Generous against a loaded machine: the limit of the project is 100 ms of CPU in a release build.
        assert!(took.as_millis() < 1000, "{id} took {took:?}");
        let accepts = |results: &Value| results["results"][id][0] == "SUCCESS";
        let (theirs, others) = (accepts(&openssl), accepts(&webpki));
        let (alone_in, alone_out) =
            (outcome.is_ok() && !theirs && !others, outcome.is_err() && theirs && others);
        // The rules of a CAfile are stricter: they accept nothing that the others refuse.
        if ours(case, AnchorRules::Authorities).is_ok() && outcome.is_err() {
            wrong.push(format!("{id}: accepted by a CAfile alone: {outcome:?}"));
        }
        compared += 1;
        as_limbo += usize::from(outcome.is_ok() == (case["expected_result"] == "SUCCESS"));
        match (alone_in || alone_out, listed.remove(id)) {
            (true, None) => wrong.push(format!(
                "{id}: {outcome:?}, openssl {}, webpki {}",
                openssl["results"][id], webpki["results"][id]
            )),
            (false, Some(reason)) => wrong.push(format!("{id}: listed ({reason}), but no longer alone")),
            (true, Some(_)) | (false, None) => {}
        }
    }
    println!("{compared} compared, {skipped} out of scope, {as_limbo} as limbo itself has it");
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(listed.is_empty(), "no such cases: {listed:?}");
}
