//! OpenSSL's own table of DANE cases, and 698 more whose verdicts it gave, both under the SMTP profile (RFC 7672).
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]

mod common;

use common::{der, hex, json};
use serde_json::Value;
use waxseal_types::{Domain, Tlsa, UnixTime};
use waxseal_verify::{DaneFailure, DaneMatch, PathFailure, Problem, check_dane};

fn records(list: &Value) -> Vec<Tlsa> {
    let number = |value: &Value| u8::try_from(value.as_u64().unwrap()).unwrap();
    let record = |r: &Value| {
        Tlsa::new(
            number(&r["usage"]),
            number(&r["selector"]),
            number(&r["mtype"]),
            &hex(r["data"].as_str().unwrap()),
        )
    };
    list.as_array().unwrap().iter().map(record).collect()
}

fn domain(text: &Value) -> Domain {
    Domain::new(text.as_str().unwrap()).unwrap()
}

/// OpenSSL's verdict, its code, and the depth of the match.
fn verdict(outcome: &Result<DaneMatch, DaneFailure>) -> (&'static str, i64, i64) {
    match outcome {
        Ok(found) => ("authenticated", 0, i64::try_from(found.depth).unwrap()),
        Err(DaneFailure::NothingUsable(_)) => ("unusable", -1, -1),
        Err(DaneFailure::NoMatch(_)) => ("fail", 65, -1),
        Err(DaneFailure::Name { .. }) => ("fail", 62, -1),
        Err(DaneFailure::Path(PathFailure { problem, .. })) => ("fail", code(problem), -1),
    }
}

fn code(problem: &Problem) -> i64 {
    match problem {
        Problem::Expired => 10,
        Problem::NotYetValid => 9,
        Problem::NotAnAuthority => 79,
        Problem::PathLength => 25,
        Problem::NotForServers => 26,
        Problem::NotPermitted => 47,
        Problem::Excluded => 48,
        Problem::BadSignature => 7,
        _ => 1,
    }
}

#[test]
fn openssl_danetest_55_of_55_with_depth() {
    let Some(table) = json("data/openssl-dane/danetest.json") else { return };
    let Some(profile) = json("data/openssl-dane/danetest-smtp-profile.json") else { return };
    let mut agreed = 0;
    for (part, prefix) in [("main", ""), ("cross", "x")] {
        let names = [domain(&table[part]["reference_name"])];
        for case in table[part]["cases"].as_array().unwrap() {
            let id = format!("{prefix}{}", case["n"]);
            let expected = &profile["cases"][&id];
            let chain: Vec<_> =
                case["chain"].as_array().unwrap().iter().map(|pem| der(pem.as_str().unwrap())).collect();
            let outcome =
                check_dane(&records(&case["tlsa"]), &names, &chain, UnixTime::from_secs(1_725_321_600));
            let (word, code, depth) = verdict(&outcome);
            assert_eq!(
                (word, code),
                (expected["verdict"].as_str().unwrap(), expected["verify_code"].as_i64().unwrap()),
                "{id}: {outcome:?}"
            );
            if outcome.is_ok() {
                assert_eq!(Some(depth), expected["match_depth"].as_i64(), "{id}: {outcome:?}");
            }
            agreed += 1;
        }
    }
    assert_eq!(agreed, 55);
}

#[test]
fn openssl_698_of_698_verdicts() {
    let Some(data) = json("data/dane-diff/cases.json") else { return };
    assert_eq!(data["time"], "2027-01-01T00:00:00+00:00");
    let now = UnixTime::from_secs(1_798_761_600);
    let (mut cases, mut codes, mut wrong) = (0, 0, Vec::new());
    for case in data["cases"].as_array().unwrap() {
        let chain: Vec<_> = case["chain"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| der(data["certs"][name.as_str().unwrap()].as_str().unwrap()))
            .collect();
        let mut names = vec![domain(&case["base"])];
        names.extend(case["extra"].as_array().unwrap().iter().map(domain));
        let tlsa = records(&case["tlsa"]);
        let outcome = check_dane(&tlsa, &names, &chain, now);
        let expected = &case["expect"];
        let (word, code, depth) = verdict(&outcome);
        let depth_agrees = outcome.is_err() || Some(depth) == expected["depth"].as_i64();
        if word != expected["verdict"] || !depth_agrees {
            wrong.push(format!("{}: {outcome:?}, expected {expected}", case["id"]));
        }
        cases += 1;
        codes += usize::from(Some(code) == expected["code"].as_i64());
        // RFC 7671 §9, CVE-2026-28387: the order of the records means nothing.
        let reversed: Vec<_> = tlsa.into_iter().rev().collect();
        let again = check_dane(&reversed, &names, &chain, now);
        assert_eq!(verdict(&again).0, word, "{}", case["id"]);
    }
    println!("{cases} cases, {} wrong verdicts, {codes} with OpenSSL's very reason", wrong.len());
    assert_eq!((cases, wrong.len()), (698, 0), "{wrong:#?}");
}
