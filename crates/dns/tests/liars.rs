//! A resolver that lies: `validate` is never fooled, whatever comes (RFC 7672 §2.1.1; threats D2, D13, D16).

mod common;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use common::{ask, domain, settings, trusting, validating};
use hickory_proto::{
    dnssec::{
        Algorithm,
        rdata::{DNSSECRData, RRSIG, SigInput},
    },
    op::{Message, ResponseCode},
    rr::{
        Name, RData, Record, RecordType, SerialNumber,
        rdata::{A, CNAME, SOA},
    },
};
use waxseal_dns::{DnssecMode, Families, Resolver};
use waxseal_testbed::dns::{DnsServer, Zone};
use waxseal_types::{Lookup, Proof};

const TRUE: [u8; 4] = [127, 0, 0, 1];
const FORGED: [u8; 4] = [6, 6, 6, 6];

fn zone() -> Zone {
    let mut zone = Zone::new().secure("signed.test").insecure("plain.test").secure("sub.signed.test");
    for apex in ["signed.test", "sub.signed.test", "plain.test"] {
        zone = zone
            .mx(apex, 10, &format!("mx.{apex}"))
            .a(&format!("mx.{apex}"), TRUE)
            .tlsa(&format!("mx.{apex}"), 25, (3, 1, 1), &[7; 32])
            .a(&format!("zz.{apex}"), TRUE)
            .a(&format!("*.wild.{apex}"), FORGED)
            .a(&format!("host.wild.{apex}"), TRUE)
            .cname(&format!("alias.{apex}"), &format!("mx.{apex}"));
    }
    zone
}

/// Everything in signed zones that a liar may want to change.
const SIGNED: &[(&str, &str)] = &[
    ("MX", "signed.test"),
    ("A", "mx.signed.test"),
    ("TLSA", "mx.signed.test"),
    ("A", "host.wild.signed.test"),
    ("A", "alias.signed.test"),
    ("CNAME", "alias.signed.test"),
    ("A", "nothing.signed.test"),
    ("MX", "mx.signed.test"),
    ("TLSA", "zz.signed.test"),
    ("MX", "sub.signed.test"),
    ("A", "mx.sub.signed.test"),
    ("TLSA", "mx.sub.signed.test"),
    ("A", "alias.sub.signed.test"),
    ("A", "nothing.sub.signed.test"),
    ("MX", "nothing"),
    ("MX", "test"),
];

/// What nothing protects: a lie may come through, but never as secure.
const UNSIGNED: &[(&str, &str)] = &[
    ("MX", "plain.test"),
    ("A", "mx.plain.test"),
    ("TLSA", "mx.plain.test"),
    ("A", "alias.plain.test"),
    ("A", "nothing.plain.test"),
    ("A", "any.wild.plain.test"),
];

type Lie = (&'static str, fn(&mut Message));

/// A lie about questions of mail; keys and delegations are told truly, unless the lie is about signatures.
const LIES: &[Lie] = &[
    ("AD on everything", |reply| reply.metadata.authentic_data = true),
    ("signatures stripped", |reply| strip(reply, &[RecordType::RRSIG])),
    ("denials stripped", |reply| strip(reply, &[RecordType::NSEC])),
    ("everything stripped, AD set", |reply| {
        reply.metadata.authentic_data = true;
        strip(reply, &[RecordType::RRSIG, RecordType::NSEC, RecordType::DS, RecordType::DNSKEY]);
    }),
    ("keys stripped", |reply| strip(reply, &[RecordType::DNSKEY])),
    ("delegations stripped", |reply| strip(reply, &[RecordType::DS])),
    ("records changed under their signature", |reply| {
        for record in &mut reply.answers {
            match &mut record.data {
                RData::A(address) => *address = A(FORGED.into()),
                RData::MX(mx) => mx.preference += 1,
                RData::TLSA(tlsa) => tlsa.cert_data = vec![6; 32],
                RData::CNAME(target) => target.0 = name("mx.plain.test."),
                _ => {}
            }
        }
    }),
    ("records replaced, unsigned", |reply| {
        if is_mail(reply) {
            let owner = reply.queries[0].name().clone();
            reply.answers = vec![Record::from_rdata(owner, 60, RData::A(A(FORGED.into())))];
        }
    }),
    ("an unsigned alias into an unsigned zone", |reply| {
        if is_mail(reply) {
            let owner = reply.queries[0].name().clone();
            reply.answers = vec![Record::from_rdata(owner, 60, RData::CNAME(CNAME(name("mx.plain.test."))))];
            reply.authorities.clear();
            reply.metadata.response_code = ResponseCode::NoError;
        }
    }),
    ("absence without proof", |reply| {
        if is_mail(reply) {
            reply.answers.clear();
            reply.authorities.clear();
        }
    }),
    ("absence with an unsigned zone's word", |reply| absent_by(reply, "plain.test.")),
    ("absence with the word of an unsigned name below", |reply| {
        let owner = reply.queries[0].name().to_ascii();
        absent_by(reply, &owner);
    }),
    ("NXDOMAIN without proof", |reply| {
        if is_mail(reply) {
            reply.answers.clear();
            reply.authorities.clear();
            reply.metadata.response_code = ResponseCode::NXDomain;
        }
    }),
    ("names moved to another owner", |reply| {
        if is_mail(reply) {
            let asked = reply.queries[0].name().clone();
            reply.answers.iter_mut().for_each(|record| record.name = asked.clone());
            reply.answers.retain(|record| record.record_type() != RecordType::CNAME);
        }
    }),
    ("AD set on forged records", |reply| {
        reply.metadata.authentic_data = true;
        if is_mail(reply) {
            let owner = reply.queries[0].name().clone();
            reply.answers = vec![Record::from_rdata(owner, 60, RData::A(A(FORGED.into())))];
            strip(reply, &[RecordType::RRSIG, RecordType::NSEC]);
        }
    }),
    ("AD set on an absence without proof", |reply| {
        reply.metadata.authentic_data = true;
        if is_mail(reply) {
            absent_by(reply, "signed.test.");
        }
    }),
    ("signatures in another zone's name", |reply| {
        change_signatures(reply, |input| input.signer_name = name("plain.test."));
    }),
    ("signatures that claim a wildcard", |reply| {
        change_signatures(reply, |input| input.num_labels = input.num_labels.saturating_sub(1));
    }),
    ("signatures without end", |reply| {
        change_signatures(reply, |input| input.sig_expiration = SerialNumber::new(u32::MAX / 2));
    }),
    ("signatures by an algorithm that nobody has", |reply| {
        change_signatures(reply, |input| input.algorithm = Algorithm::Unknown(200));
    }),
    ("answers denied by the zone above", |reply| {
        if is_mail(reply) {
            reply.answers.clear();
            reply.authorities.retain(|record| record.record_type() == RecordType::SOA);
        }
    }),
];

fn name(text: &str) -> Name {
    Name::from_ascii(text).expect("a literal name")
}

fn is_mail(reply: &Message) -> bool {
    matches!(
        reply.queries[0].query_type(),
        RecordType::A | RecordType::AAAA | RecordType::MX | RecordType::TLSA | RecordType::CNAME
    )
}

fn strip(reply: &mut Message, kinds: &[RecordType]) {
    reply.answers.retain(|record| !kinds.contains(&record.record_type()));
    reply.authorities.retain(|record| !kinds.contains(&record.record_type()));
}

fn change_signatures(reply: &mut Message, change: fn(&mut SigInput)) {
    for record in reply.answers.iter_mut().chain(&mut reply.authorities) {
        if let RData::DNSSEC(DNSSECRData::RRSIG(signature)) = &record.data {
            let mut input = signature.input().clone();
            change(&mut input);
            record.data = RData::DNSSEC(DNSSECRData::RRSIG(RRSIG::from_sig(input, signature.sig().to_vec())));
        }
    }
}

fn soa(owner: &str) -> Record {
    let owner = name(owner);
    let soa = SOA::new(owner.clone(), owner.clone(), 1, 3600, 600, 86400, 60);
    Record::from_rdata(owner, 60, RData::SOA(soa))
}

fn absent_by(reply: &mut Message, owner: &str) {
    if is_mail(reply) {
        reply.answers.clear();
        reply.authorities = vec![soa(owner)];
        reply.metadata.response_code = ResponseCode::NoError;
    }
}

/// Each lie about each question: the truth may come through; anything else must be a failure, never an answer.
#[tokio::test]
async fn no_lie_about_a_signed_zone_is_believed() {
    let truth = DnsServer::forwarder(zone()).await.unwrap();
    let honest = validating(&truth);
    let (mut cases, mut fooled) = (0, Vec::new());
    for (lie, twist) in LIES {
        let server = DnsServer::forwarder(zone()).await.unwrap();
        server.twist(*twist);
        let resolver = validating(&server);
        for (kind, name) in SIGNED {
            let (expected, _) = ask(&honest, kind, name).await;
            let (got, _) = ask(&resolver, kind, name).await;
            cases += 1;
            if got != expected && got != "bogus" {
                fooled.push(format!("{lie}: {kind} {name}: {got} instead of {expected}"));
            }
        }
        for (kind, name) in UNSIGNED {
            let (got, _) = ask(&resolver, kind, name).await;
            cases += 1;
            if got.starts_with("secure") {
                fooled.push(format!("{lie}: {kind} {name}: {got}, and nothing there is signed"));
            }
        }
        let host = resolver.addresses(&domain("mx.signed.test"), Families::V4).await;
        assert!(!matches!(host, Ok(answer) if answer.lookup == Lookup::Found(vec![FORGED.into()])), "{lie}");
    }
    println!("{} lies, {cases} cases, {} believed", LIES.len(), fooled.len());
    assert_eq!(cases, LIES.len() * (SIGNED.len() + UNSIGNED.len()));
    assert!(cases >= 200, "{cases}");
    assert!(fooled.is_empty(), "{} of {cases}:\n{}", fooled.len(), fooled.join("\n"));
}

/// RFC 4035 §5.3.3: the signature covers the TTL of the zone, and no reply may draw it out.
#[tokio::test]
async fn a_ttl_cannot_be_drawn_out() {
    let server = DnsServer::forwarder(zone()).await.unwrap();
    server.twist(|reply| {
        for record in reply.answers.iter_mut().chain(&mut reply.authorities) {
            record.ttl = 604_800;
        }
    });
    let resolver = validating(&server);
    let answer = resolver.tlsa(&domain("mx.signed.test"), 25).await.unwrap();
    assert_eq!(answer.proof, Proof::Secure);
    assert!(answer.ttl <= Duration::from_secs(300), "{:?}", answer.ttl);
}

/// A wildcard's signature is good for any name below it, and must not replace one that exists (RFC 4035 §5.3.4).
#[tokio::test]
async fn a_wildcard_replayed_over_a_name_that_exists_is_bogus() {
    for with_soa in [None, Some("plain.test.")] {
        let server = DnsServer::forwarder(zone()).await.unwrap();
        let stolen: Arc<Mutex<Vec<Record>>> = Arc::default();
        server.twist(move |reply| {
            let asked = reply.queries[0].name().clone();
            if asked == name("any.wild.signed.test.") {
                stolen.lock().unwrap().clone_from(&reply.answers);
            }
            if asked == name("host.wild.signed.test.") && reply.queries[0].query_type() == RecordType::A {
                reply.answers.clone_from(&stolen.lock().unwrap());
                reply.answers.iter_mut().for_each(|record| record.name = asked.clone());
                reply.authorities = with_soa.map(soa).into_iter().collect();
            }
        });
        let resolver = validating(&server);
        assert_eq!(ask(&resolver, "A", "any.wild.signed.test").await.0, "secure found");
        assert_eq!(ask(&resolver, "A", "host.wild.signed.test").await.0, "bogus", "{with_soa:?}");
    }
}

/// Stripping DNSSEC from a whole site must not turn it off: everything is bogus, signed or not.
#[tokio::test]
async fn a_resolver_without_dnssec_makes_everything_bogus() {
    let server = DnsServer::forwarder(zone()).await.unwrap();
    server.twist(|reply| strip(reply, &[RecordType::RRSIG, RecordType::NSEC]));
    let resolver = validating(&server);
    for (kind, name) in SIGNED.iter().chain(&[("A", "mx.plain.test"), ("MX", "plain.test")]) {
        assert_eq!(ask(&resolver, kind, name).await.0, "bogus", "{kind} {name}");
    }
}

/// Records that nobody asked for are not stored (threat D16).
#[tokio::test]
async fn what_was_not_asked_for_is_not_remembered() {
    for dnssec in [DnssecMode::TrustAd, DnssecMode::Off] {
        let server = DnsServer::start(zone()).await.unwrap();
        server.twist(|reply| {
            if reply.queries[0].query_type() == RecordType::MX {
                let forged = Record::from_rdata(name("mx.signed.test."), 60, RData::A(A(FORGED.into())));
                reply.add_answer(forged.clone()).add_authority(forged.clone()).add_additional(forged);
            }
        });
        let resolver = Resolver::new(settings(&server, dnssec)).unwrap();
        resolver.mx(&domain("signed.test")).await.unwrap();
        let answer = resolver.addresses(&domain("mx.signed.test"), Families::V4).await.unwrap();
        assert_eq!(answer.lookup, Lookup::Found(vec![TRUE.into()]));
    }
}

/// Threat D13: a CNAME and other records under one name, or two CNAMEs.
#[tokio::test]
async fn two_aliases_at_one_name_are_malformed() {
    let server = DnsServer::start(
        zone().cname("two.plain.test", "mx.plain.test").cname("two.plain.test", "zz.plain.test"),
    )
    .await
    .unwrap();
    server.twist(|reply| {
        let owner = reply.queries[0].name().clone();
        reply.add_answer(Record::from_rdata(owner, 60, RData::CNAME(CNAME(name("zz.plain.test.")))));
    });
    assert_eq!(ask(&trusting(&server), "A", "two.plain.test").await.0, "malformed");
}
