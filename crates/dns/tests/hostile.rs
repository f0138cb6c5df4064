//! Zones made to cost: bounded work, bounded memory, and nobody else waits (threats D4, D13, D14, D15).
//!
//! Work is counted, not timed: in questions to the resolver, and in signature checks, as the time that this thread spent
//! on a CPU, divided by what one check takes on the same thread. The zones are served by another thread.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail with the test")]

mod common;

use std::{
    fs,
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use common::{ask, domain, settings, trusting, validating};
use hickory_proto::{
    dnssec::{
        Algorithm, PublicKey as _, PublicKeyBuf, TBS,
        rdata::{DNSKEY, DNSSECRData, RRSIG},
    },
    op::{Message, ResponseCode},
    rr::{DNSClass, Name, RData, Record, RecordType, rdata::CNAME},
};
use waxseal_dns::{CacheSettings, DnssecMode, Resolver, Settings};
use waxseal_testbed::dns::{DnsServer, Fault, Zone};
use waxseal_types::Lookup;

const LOCAL: [u8; 4] = [127, 0, 0, 1];

fn honest() -> Zone {
    let mut zone = Zone::new().secure("signed.test").insecure("plain.test").a("mx.plain.test", LOCAL);
    for number in 0..40 {
        zone = zone.a(&format!("h{number}.signed.test"), LOCAL);
    }
    zone.a("mx.signed.test", LOCAL)
}

/// A server with a thread of its own, so that its work is not counted as the resolver's.
fn elsewhere(zone: Zone, validates: bool) -> DnsServer {
    let (give, take) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let server =
                if validates { DnsServer::start(zone).await } else { DnsServer::forwarder(zone).await };
            give.send(server.unwrap()).unwrap();
            std::future::pending::<()>().await;
        });
    });
    take.recv().unwrap()
}

/// What this thread has spent on a CPU.
fn cpu() -> Duration {
    let told = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(told.split(' ').next().unwrap().parse().unwrap())
}

/// One lookup by a resolver that has seen nothing yet: its outcome, and what it cost.
async fn cold(server: &DnsServer, kind: &str, name: &str) -> (String, Duration) {
    let resolver = validating(server);
    let before = cpu();
    let (got, _) = ask(&resolver, kind, name).await;
    (got, cpu() - before)
}

/// The least of some tries: what the machine does beside makes a cost greater, never less.
async fn cheapest(server: &DnsServer, kind: &str, name: &str) -> (String, Duration) {
    let mut best = cold(server, kind, name).await;
    for _ in 0..4 {
        let next = cold(server, kind, name).await;
        assert_eq!(next.0, best.0);
        best.1 = best.1.min(next.1);
    }
    best
}

/// Octets that look random, the same each time.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let step = std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    });
    step.take(length).collect()
}

/// RSA keys of 4,096 bits that nobody has, all with this key tag: the data of DNSKEY records.
fn colliding(tag: u16, flags: u16, seed: u64) -> Vec<u8> {
    let mut octets = vec![(flags >> 8) as u8, flags as u8, 3, 8, 3, 1, 0, 1];
    octets.extend(noise(seed, 512));
    octets[8] = 0xc0;
    octets[519] |= 1;
    // RFC 4034 appendix B: the tag is a sum of 16-bit words; one word makes it what is wanted, give or take the carry.
    let of = |octets: &[u8]| {
        let key = PublicKeyBuf::new(octets[4..].to_vec(), Algorithm::RSASHA256);
        DNSKEY::with_flags(flags, key).calculate_key_tag().unwrap()
    };
    octets[100..102].fill(0);
    let missing = tag.wrapping_sub(of(&octets));
    let word = [missing, missing.wrapping_sub(1), missing.wrapping_add(1)].into_iter().find(|word| {
        octets[100..102].copy_from_slice(&word.to_be_bytes());
        of(&octets) == tag
    });
    assert!(word.is_some());
    octets
}

/// What checking one signature with such a key costs here.
fn one_check(zone: &Name, key: &[u8], signature: &RRSIG, set: &[Record]) -> Duration {
    let key = PublicKeyBuf::new(key[4..].to_vec(), Algorithm::RSASHA256);
    let tbs = TBS::from_input(zone, DNSClass::IN, signature.input(), set.iter()).unwrap();
    let before = cpu();
    for _ in 0..50 {
        assert!(key.verify(tbs.as_ref(), signature.sig()).is_err(), "{zone}");
    }
    (cpu() - before) / 50
}

fn records(reply: &Message, kind: RecordType) -> Vec<Record> {
    reply.answers.iter().filter(|record| record.record_type() == kind).cloned().collect()
}

fn signature(record: &Record) -> &RRSIG {
    let RData::DNSSEC(DNSSECRData::RRSIG(signature)) = &record.data else { panic!("no signature") };
    signature
}

/// Threat D15, CVE-2023-50387: keys that share their tags, each signature to be tried with each of them.
#[tokio::test]
async fn keytrap_costs_a_few_signature_checks() {
    let zone = honest().secure("evil.test").algorithm("evil.test", 8).a("mx.evil.test", LOCAL);
    let server = elsewhere(zone, false);
    let seen: Arc<Mutex<Vec<Message>>> = Arc::default();
    let keep = Arc::clone(&seen);
    server.twist(move |reply| keep.lock().unwrap().push(reply.clone()));
    let (got, honest_cost) = cheapest(&server, "A", "mx.evil.test").await;
    assert_eq!(got, "secure found");

    // The zone's owner adds keys with the tags of the true ones, and signs them all.
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    let keys: Vec<DNSKEY> = seen
        .iter()
        .flat_map(|reply| records(reply, RecordType::DNSKEY))
        .filter(|record| record.name == Name::from_ascii("evil.test.").unwrap())
        .filter_map(|record| match record.data {
            RData::DNSSEC(DNSSECRData::DNSKEY(key)) => Some(key),
            _ => None,
        })
        .collect();
    let tag = |entry: bool| {
        keys.iter().find(|key| key.secure_entry_point() == entry).unwrap().calculate_key_tag().unwrap()
    };
    let false_keys: Vec<Vec<u8>> =
        (0..29)
            .map(|seed| {
                if seed % 2 == 0 { colliding(tag(false), 256, seed) } else { colliding(tag(true), 257, seed) }
            })
            .collect();
    server.edit(|zone| false_keys.iter().fold(zone, |zone, key| zone.raw("evil.test", 48, key))).unwrap();
    // And puts sixty signatures before each true one.
    server.twist(|reply| {
        if reply.queries[0].name().to_ascii().ends_with("evil.test.") {
            for record in records(reply, RecordType::RRSIG) {
                let wrong = |seed| {
                    let mut octets = noise(seed, 512);
                    octets[0] = 1;
                    let signature = RRSIG::from_sig(signature(&record).input().clone(), octets);
                    let data = RData::DNSSEC(DNSSECRData::RRSIG(signature));
                    Record::from_rdata(record.name.clone(), record.ttl, data)
                };
                reply.answers.splice(0..0, (0..60).map(wrong));
            }
        }
    });
    let answer = seen.iter().find(|reply| reply.queries[0].query_type() == RecordType::A).unwrap();
    let set = records(answer, RecordType::A);
    let mut octets = noise(7, 512);
    octets[0] = 1;
    let wrong = RRSIG::from_sig(signature(&records(answer, RecordType::RRSIG)[0]).input().clone(), octets);
    let check = one_check(&set[0].name, &false_keys[0], &wrong, &set);

    let (got, cost) = cheapest(&server, "A", "mx.evil.test").await;
    let checks = cost.saturating_sub(honest_cost).as_nanos() / check.as_nanos();
    println!(
        "{got}; {cost:?} instead of {honest_cost:?}, as {checks} checks of {check:?}; all would be 1800"
    );
    assert_eq!(got, "bogus");
    // Reading sixty signatures and thirty keys is in it too, and takes longer than a check where nothing is optimised.
    assert!(checks < 900, "{checks}");
    assert_eq!(cold(&server, "A", "mx.signed.test").await.0, "secure found");
}

/// Signatures and keys by the hundred are not even looked at; dozens cost no more than eight.
#[tokio::test]
async fn a_flood_of_signatures_is_not_tried_to_its_end() {
    let server = elsewhere(honest(), false);
    let (_, honest_cost) = cheapest(&server, "A", "mx.signed.test").await;
    for (copies, expected) in [(7, "secure found"), (14, "bogus"), (60, "bogus"), (300, "malformed")] {
        server.twist(move |reply| {
            if reply.queries[0].query_type() == RecordType::A {
                for record in records(reply, RecordType::RRSIG) {
                    let mut octets = signature(&record).sig().to_vec();
                    octets[7] ^= 1;
                    let wrong = RRSIG::from_sig(signature(&record).input().clone(), octets);
                    let wrong = RData::DNSSEC(DNSSECRData::RRSIG(wrong));
                    let wrong = Record::from_rdata(record.name.clone(), record.ttl, wrong);
                    reply.answers.splice(0..0, vec![wrong; copies]);
                }
            }
        });
        let (got, cost) = cheapest(&server, "A", "mx.signed.test").await;
        println!("{copies} wrong signatures: {got}, {cost:?} instead of {honest_cost:?}");
        assert_eq!(got, expected, "{copies}");
        assert!(cost < honest_cost * 20, "{copies}: {cost:?}, {honest_cost:?}");
    }
}

/// CVE-2023-50868: hashing without end is refused before the first hash. It defers, where unbound takes it for insecure.
#[tokio::test]
async fn thousands_of_nsec3_iterations_are_not_computed() {
    let zone = |iterations| {
        honest().secure("costly.test").nsec3("costly.test", iterations).a("mx.costly.test", LOCAL)
    };
    let name = "a.b.c.d.e.f.nothing.costly.test";
    let (got, usual) = cheapest(&elsewhere(zone(0), false), "A", name).await;
    assert_eq!(got, "secure nxdomain");
    let mut refused = Duration::MAX;
    for (iterations, expected) in [(500, "insecure nxdomain"), (501, "bogus"), (2500, "bogus")] {
        let server = elsewhere(zone(iterations), false);
        assert_eq!(cold(&server, "A", "mx.costly.test").await.0, "secure found");
        let (got, cost) = cheapest(&server, "A", name).await;
        println!("{iterations} iterations: {got}, {cost:?} instead of {usual:?}");
        assert_eq!(got, expected, "{iterations}");
        // What is bogus costs more: whether a zone on the way is unsigned is asked for. But no hash.
        assert!(
            cost < usual.saturating_mul(30).min(refused.saturating_mul(2)),
            "{iterations}: {cost:?}, {usual:?}"
        );
        if iterations == 501 {
            refused = cost;
        }
    }
}

/// Threat D13, RFC 7672 §2.1.3: counted in questions to the resolver.
#[tokio::test]
async fn alias_loops_cost_a_few_questions() {
    for validates in [true, false] {
        let server = DnsServer::forwarder(honest()).await.unwrap();
        // One alias a reply leaves all of the way to us.
        server.twist(|reply| {
            let asked = reply.queries[0].name().clone();
            let first = asked.iter().next().map(|label| String::from_utf8_lossy(label).into_owned());
            let target = match first.as_deref() {
                Some("self") => asked.clone(),
                Some("loop") => Name::from_ascii("back.plain.test.").unwrap(),
                Some("back") => Name::from_ascii("loop.plain.test.").unwrap(),
                Some("grow") => asked.prepend_label("grow").unwrap(),
                Some(_) | None => return,
            };
            reply.answers = vec![Record::from_rdata(asked, 60, RData::CNAME(CNAME(target)))];
            reply.authorities.clear();
            reply.metadata.response_code = ResponseCode::NoError;
        });
        let resolver = if validates { validating(&server) } else { trusting(&server) };
        for name in ["self.plain.test", "loop.plain.test", "grow.plain.test"] {
            server.forget();
            let (got, why) = ask(&resolver, "A", name).await;
            let asked = server.questions().len();
            println!("validates {validates}, {name}: {got} after {asked} questions");
            assert_eq!(got, "aliasloop", "{name}: {why}");
            assert!(asked <= 40, "{name}: {asked} questions");
        }
    }
}

/// Threats D4 and D14: as many records, and as large ones, as a message can hold.
#[tokio::test]
async fn large_answers_are_cut_to_what_anybody_needs() {
    let mut zone =
        honest().raw("_25._tcp.huge.signed.test", 52, &[&[3, 1, 0][..], &noise(1, 65_000)].concat());
    for number in 0..5_000_u16 {
        zone = zone.mx("many.signed.test", number, &format!("m{number}.signed.test"));
        if number < 1_000 {
            zone = zone.mx("most.signed.test", number, &format!("m{number}.signed.test"));
        }
        if number < 500 {
            zone = zone.tlsa("many.signed.test", 25, (3, 1, 1), &noise(number.into(), 32));
        }
    }
    for validates in [true, false] {
        let server = elsewhere(zone.clone(), !validates);
        // The server of the tests takes its time over such answers.
        let patient =
            || Settings { timeout: Duration::from_secs(5), ..settings(&server, DnssecMode::TrustAd) };
        let resolver = if validates { validating(&server) } else { Resolver::new(patient()).unwrap() };
        let tlsa = resolver.tlsa(&domain("many.signed.test"), 25).await.unwrap();
        assert!(matches!(tlsa.lookup, Lookup::Found(records) if records.len() == 100));
        let huge = resolver.tlsa(&domain("huge.signed.test"), 25).await.unwrap();
        assert!(matches!(huge.lookup, Lookup::Found(records) if records[0].data.len() == 65_000));
        let mx = resolver.mx(&domain("most.signed.test")).await.unwrap();
        assert!(matches!(mx.lookup, Lookup::Found(hosts) if hosts.len() == 100));
        // Five thousand do not fit into the 65,535 octets of a message: no answer, and so no delivery.
        assert_eq!(ask(&resolver, "MX", "many.signed.test").await.0, "malformed");
        assert_eq!(ask(&resolver, "A", "mx.signed.test").await.0, "secure found");
    }
}

/// A length of 65,535 octets in a message that is shorter: the reply is not read at all.
#[tokio::test]
async fn a_record_longer_than_its_message_is_no_record() {
    use tokio::net::UdpSocket;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let liar = async {
        let mut buffer = [0; 512];
        loop {
            let (length, client) = socket.recv_from(&mut buffer).await.unwrap();
            // The question as it came, without its EDNS record, and one answer: the same name, TLSA, IN, TTL 60.
            let question = length - 11;
            let mut reply = buffer[..question].to_vec();
            reply[2..12].copy_from_slice(&[0x81, 0xa0, 0, 1, 0, 1, 0, 0, 0, 0]);
            reply.extend([0xc0, 12, 0, 52, 0, 1, 0, 0, 0, 60, 0xff, 0xff, 3, 1, 1]);
            reply.extend([7; 32]);
            socket.send_to(&reply, client).await.unwrap();
        }
    };
    let resolver = Resolver::new(Settings {
        servers: vec![address],
        dnssec: DnssecMode::TrustAd,
        ..Settings::default()
    })
    .unwrap();
    tokio::select! {
        (got, why) = ask(&resolver, "TLSA", "mx.signed.test") => assert_eq!(got, "malformed", "{why}"),
        () = liar => {}
    }
}

/// However large a stranger makes the answers and the keys of his zones, the caches hold what they may.
#[tokio::test]
async fn memory_stays_within_its_bounds() {
    const OCTETS: usize = 1 << 20;
    let mut zone = honest();
    for number in 0..60_u64 {
        let apex = format!("big{number}.test");
        zone = zone.secure(&apex).raw(&apex, 48, &[&[1, 0, 3, 8][..], &noise(number, 40_000)].concat()).raw(
            &format!("_25._tcp.{apex}"),
            52,
            &[&[3, 1, 0][..], &noise(number, 60_000)].concat(),
        );
    }
    for validates in [true, false] {
        let server = elsewhere(zone.clone(), !validates);
        let cache = CacheSettings { octets: OCTETS, ..CacheSettings::default() };
        let mode = if validates { DnssecMode::Validate } else { DnssecMode::TrustAd };
        let folder = tempfile::tempdir().unwrap();
        let anchor = folder.path().join("root.key");
        fs::write(&anchor, server.trust_anchor()).unwrap();
        let resolver = Resolver::new(Settings {
            cache,
            trust_anchor: Some(anchor),
            timeout: Duration::from_secs(5),
            ..settings(&server, mode)
        })
        .unwrap();
        let mut most = 0;
        for number in 0..60 {
            let (got, why) = ask(&resolver, "TLSA", &format!("big{number}.test")).await;
            assert_eq!(got, "secure found", "{why}");
            most = most.max(resolver.statistics().octets);
        }
        println!("validates {validates}: at most {most} octets of {OCTETS} and half of it");
        assert!(most <= (OCTETS + OCTETS / 2) as u64, "{most}");
        // What is small is still remembered.
        ask(&resolver, "A", "mx.signed.test").await;
        let hits = resolver.statistics().hits;
        ask(&resolver, "A", "mx.signed.test").await;
        assert_eq!(resolver.statistics().hits, hits + 1);
    }
}

/// All of it at once; honest lookups of the same resolver come to their answers.
#[tokio::test]
async fn honest_lookups_are_not_held_up() {
    let mut zone = honest().secure("costly.test").nsec3("costly.test", 2500).raw(
        "_25._tcp.huge.signed.test",
        52,
        &[&[3, 1, 0][..], &noise(1, 65_000)].concat(),
    );
    for number in 0..40 {
        zone = zone
            .fault_all(&format!("silent{number}.evil.test"), Fault::Silent)
            .fault_all(&format!("garbage{number}.evil.test"), Fault::Garbage)
            .cname(&format!("loop{number}.signed.test"), &format!("loop{}.signed.test", (number + 1) % 40));
    }
    let server = elsewhere(zone.secure("evil.test"), false);
    let resolver = validating(&server);
    let hostile = (0..40).flat_map(|number| {
        [
            format!("silent{number}.evil.test"),
            format!("garbage{number}.evil.test"),
            format!("n{number}.costly.test"),
            format!("loop{number}.signed.test"),
        ]
    });
    let order: Arc<Mutex<Vec<bool>>> = Arc::default();
    let run = |name: String, is_honest: bool| {
        let (resolver, order) = (resolver.clone(), Arc::clone(&order));
        tokio::spawn(async move {
            let got = ask(&resolver, "A", &name).await.0;
            order.lock().unwrap().push(is_honest);
            (name, got)
        })
    };
    let hostile: Vec<_> = hostile.map(|name| run(name, false)).collect();
    let honest: Vec<_> = (0..40).map(|number| run(format!("h{number}.signed.test"), true)).collect();
    for task in honest {
        let (name, got) = task.await.unwrap();
        assert_eq!(got, "secure found", "{name}");
    }
    // They were not the last: silence takes its time, and theirs is not spent on it.
    assert!(order.lock().unwrap().iter().filter(|is_honest| !**is_honest).count() < 160);
    for task in hostile {
        let (name, got) = task.await.unwrap();
        assert!(!got.contains("found"), "{name}: {got}");
    }
}
