//! The account says it all: each lookup with its state and why, each record, what matched, and why less was demanded; in the events, too.

use std::fs;

use serde_json::Value;
use waxseal_policy::InsecureMx;
use waxseal_queue::{Event, Fact, Sink as _, Standing};
use waxseal_telemetry::{Settings, Target, Telemetry};
use waxseal_testbed::dns::{Break, Zone};
use waxseal_types::{Proof, TlsLevel::Dane};

use crate::ground::{DEST, Ground, HOST, PKI, Records, Told, Way, server, zone};

fn state(standing: &Standing) -> String {
    let alias = standing.canonical.as_ref().map(|name| format!(", alias of {name}")).unwrap_or_default();
    format!("{}{alias}", standing.proof.as_str())
}

/// One line for each thing that DNS said, and for what followed.
fn lines(told: &Told) -> Vec<String> {
    let line = |fact: &Fact| match fact {
        Fact::Mx { domain, standing, .. } => Some(format!("MX {domain}: {}", state(standing))),
        Fact::Addresses { host, standing, .. } => Some(format!("A {host}: {}", state(standing))),
        Fact::Alias { name, target, standing } => Some(format!("CNAME {name} {target}: {}", state(standing))),
        Fact::Tlsa { base, records, standing, .. } => {
            let record = |record: &waxseal_queue::TlsaFact| match &record.unusable {
                None => record.text[..5].to_owned(),
                Some(why) => format!("{}, {why}", &record.text[..5]),
            };
            let records: Vec<String> = records.iter().map(record).collect();
            Some(format!("TLSA {base} {}: {}", records.join("; "), state(standing)))
        }
        // The port is another one each time.
        Fact::Absent { what, standing } => {
            let name = what.split_once("._tcp.").map_or(what.as_str(), |(_, name)| name);
            Some(format!("no records at {name}: {}", state(standing)))
        }
        Fact::DnsFailed(failure) => Some(format!("{} {} failed", failure.kind, failure.name)),
        Fact::Lowered { host, level, reason } => {
            Some(format!("{level} for {}: {reason}", host.as_ref().map_or("it", |host| host.as_str())))
        }
        Fact::Skipped { host, .. } => Some(format!("{host} skipped")),
        Fact::Policy(_) | Fact::PolicyFailed(_) | Fact::Unavailable(_) | Fact::Connection(_) => None,
    };
    told.account.steps.iter().filter_map(|step| line(&step.fact)).collect()
}

/// Why each insecure answer is not secure.
fn reasons(told: &Told) -> Vec<String> {
    let why = |fact: &Fact| match fact {
        Fact::Mx { standing, .. }
        | Fact::Addresses { standing, .. }
        | Fact::Alias { standing, .. }
        | Fact::Tlsa { standing, .. }
        | Fact::Absent { standing, .. } => {
            assert_eq!(standing.why.is_some(), standing.proof == Proof::Insecure, "{fact:?}");
            standing.why.as_ref().map(ToString::to_string)
        }
        _ => None,
    };
    told.account.steps.iter().filter_map(|step| why(&step.fact)).collect()
}

#[tokio::test]
async fn each_lookup_is_told_with_its_state_and_what_followed() {
    let ground = Ground::new([server(&PKI.own)]).await;
    let port = ground.port();
    let secure = ["MX d.test: secure", "A mx1.d.test: secure"].map(str::to_owned);
    let with =
        |more: &[&str]| secure.iter().cloned().chain(more.iter().map(|line| (*line).to_owned())).collect();
    let aliased =
        zone(0).mx(DEST, 10, HOST).cname(HOST, "host.plain.test").a("host.plain.test", [127, 0, 0, 1]);
    let table: [(&str, Zone, Vec<String>); 5] = [
        (
            "records",
            zone(1).ee(HOST, port, &PKI.own).pkix(HOST, port, &PKI.own),
            with(&["TLSA mx1.d.test 3 1 1; 1 1 1, usage 1 is not for SMTP (RFC 7672 §3.1.3): secure"]),
        ),
        (
            "no record",
            zone(1),
            with(&["no records at mx1.d.test: secure", "may for mx1.d.test: no TLSA records found"]),
        ),
        (
            "no usable record",
            zone(1).pkix(HOST, port, &PKI.own),
            with(&[
                "TLSA mx1.d.test 1 1 1, usage 1 is not for SMTP (RFC 7672 §3.1.3): secure",
                "encrypt for mx1.d.test: TLSA records unusable",
            ]),
        ),
        (
            "a record that shows itself as useless against a chain",
            zone(1).tlsa(HOST, port, (3, 1, 1), &[1; 31]),
            with(&[
                "TLSA mx1.d.test 3 1 1, the digest has 31 octets instead of 32: secure",
                "encrypt for mx1.d.test: TLSA records unusable",
            ]),
        ),
        (
            "a signed alias of an unsigned host",
            aliased.ee(HOST, port, &PKI.own),
            [
                "MX d.test: secure",
                "A mx1.d.test: insecure, alias of host.plain.test",
                "CNAME mx1.d.test host.plain.test: secure",
                "TLSA mx1.d.test 3 1 1: secure",
            ]
            .map(str::to_owned)
            .to_vec(),
        ),
    ];
    for (what, zone, expected) in table {
        for told in ground.deliver(&zone, Dane, DEST, |_| {}).await {
            let mut lines = lines(&told);
            // Records of one set come in any order.
            for line in &mut lines {
                *line = line.replace(
                    "1 1 1, usage 1 is not for SMTP (RFC 7672 §3.1.3); 3 1 1:",
                    "3 1 1; 1 1 1, usage 1 is not for SMTP (RFC 7672 §3.1.3):",
                );
            }
            assert_eq!(lines, expected, "{:?}, {what}", told.way);
        }
    }
}

#[tokio::test]
async fn what_is_insecure_is_told_with_the_name_where_security_ends() {
    let ground = Ground::new([server(&PKI.own)]).await;
    let aliased =
        zone(0).mx(DEST, 10, HOST).cname(HOST, "host.plain.test").a("host.plain.test", [127, 0, 0, 1]);
    let unsigned = zone(1).mx("plain.test", 10, HOST);
    for (zone, hop, validated, told_by_resolver) in [
        (aliased, DEST, "the zone of host.plain.test is not signed", "mx1.d.test"),
        (unsigned, "plain.test", "the zone of plain.test is not signed", "plain.test"),
        (
            zone(1).opt_out(DEST),
            DEST,
            "is not proven: its zone is not signed, or leaves such names out",
            "_tcp.mx1.d.test",
        ),
    ] {
        for told in ground.deliver(&zone, Dane, hop, |_| {}).await {
            let reasons = reasons(&told);
            let expected = if told.way == Way::Validate { validated } else { told_by_resolver };
            assert!(reasons.iter().any(|why| why.contains(expected)), "{:?}: {reasons:?}", told.way);
        }
    }
}

#[tokio::test]
async fn what_is_bogus_is_told_with_the_signature_that_is_bad() {
    let ground = Ground::new([server(&PKI.own)]).await;
    let port = ground.port();
    let owner = format!("_{port}._tcp.{HOST}");
    let expired = Zone::new().broken(DEST, Break::Expired).mx(DEST, 10, HOST);
    for (zone, words) in [
        (zone(1).ee(HOST, port, &PKI.own).tampered(&owner, "TLSA"), format!("over TLSA of {owner} is wrong")),
        (expired, "the signature of d.test over MX of d.test expired".to_owned()),
    ] {
        for told in ground.deliver(&zone, Dane, DEST, |_| {}).await {
            // A resolver that validates says SERVFAIL and no more.
            let words = if told.way == Way::Validate { words.as_str() } else { "SERVFAIL from " };
            assert!(told.reason().contains(words), "{:?}: {}", told.way, told.reason());
            assert!(lines(&told).iter().any(|line| line.ends_with(" failed")), "{:?}", lines(&told));
        }
    }
}

/// The delivery events of an account, as they are written.
fn events(told: &Told) -> Vec<Value> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("delivery.jsonl");
    let settings = Settings { delivery_events: Target::File(file.clone()), ..Settings::default() };
    let telemetry = Telemetry::start(settings).expect("starts");
    telemetry.event(Event::Attempted { account: &told.account, next_attempt: None });
    telemetry.shutdown();
    let text = fs::read_to_string(&file).expect("written");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[tokio::test]
async fn events_tell_what_matched_at_which_depth_or_why_nothing_was_demanded() {
    let (own, chain) = (Ground::new([server(&PKI.own)]).await, Ground::new([server(&PKI.leaf)]).await);
    let unsigned = zone(1).mx("plain.test", 10, HOST);
    for (ground, zone, hop, key, words) in [
        (&own, zone(1).ee(HOST, own.port(), &PKI.own), DEST, "matched", vec!["TLSA 3 1 1 ", " at depth 0"]),
        (
            &chain,
            zone(1).ta(HOST, chain.port()),
            DEST,
            "matched",
            vec!["TLSA 2 0 1 ", " at depth 1, name mx1.d.test"],
        ),
        (&own, zone(1), DEST, "lowered", vec!["no TLSA records found"]),
        (&own, zone(1).pkix(HOST, own.port(), &PKI.own), DEST, "lowered", vec!["TLSA records unusable"]),
        (&own, unsigned, "plain.test", "lowered", vec!["non DNSSEC destination"]),
    ] {
        let change = |lane: &mut waxseal_tests::Lane| lane.policy.smtp.insecure_mx = InsecureMx::May;
        for told in ground.deliver(&zone, Dane, hop, change).await {
            let events = events(&told);
            let text = events[0]["tls"][key].as_str().unwrap_or_default();
            assert!(words.iter().all(|word| text.contains(word)), "{key} of {:#}", events[0]);
        }
    }
    for told in own.deliver(&zone(1).wrong(HOST, own.port()), Dane, DEST, |_| {}).await {
        let events = events(&told);
        let reason = events[0]["reason"].as_str().unwrap_or_default();
        assert!(reason.contains("no matching DANE TLSA records (1 usable)"), "{:#}", events[0]);
    }
}
