//! The two back ends held against each other over a generated name space: what `validate` makes of a forwarder's
//! signatures, and what `trust-ad` makes of a validating resolver's AD bit.
//!
//! By default the validating resolver is the testbed's, which knows what it has broken. `--ignored` puts Debian's
//! `unbound` in its place, as the stranger that shares no code with either.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail with the test")]

mod common;

#[path = "common/situations.rs"]
mod situations;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::{SocketAddr, TcpListener, UdpSocket},
    process::{Child, Command, Stdio},
};

use common::{ask, trusting, validating};
use situations::{Situation, situations, world};
use waxseal_dns::{DnssecMode, Resolver, Settings};
use waxseal_testbed::dns::DnsServer;

/// A difference that is known: where, what each back end says, and why it stands. Each errs towards deferral.
struct Difference {
    zone: &'static str,
    trust_ad: &'static str,
    validate: &'static str,
    reason: &'static str,
}

const ABSURD: Difference = Difference {
    zone: "absurd.test",
    trust_ad: "insecure",
    validate: "bogus",
    reason: "RFC 9276 §3.2 lets a validator refuse too many NSEC3 iterations, or take them as proof of nothing; \
             here more than 500 are refused, so that mail waits",
};

const SOON: Difference = Difference {
    zone: "soon.test",
    trust_ad: "",
    validate: "bogus",
    reason: "unbound forgives clocks that differ by up to a tenth of a signature's life, an hour at least and a day at most; \
             here a signature holds from its inception to its end (RFC 4035 §5.3.1), so that mail waits",
};

impl Difference {
    fn explains(&self, situation: &Situation, trust_ad: &str, validate: &str) -> bool {
        let is_there = situation.zone == self.zone;
        is_there && trust_ad != "bogus" && trust_ad.starts_with(self.trust_ad) && validate == self.validate
    }
}

/// Asks both everything. They may not differ but where it is known, and what is known must show.
async fn compare(trusting: &Resolver, validating: &Resolver, all: &[Situation], known: &[Difference]) {
    let mut wrong = Vec::new();
    let mut seen = vec![0; known.len()];
    for situation in all {
        let Situation { kind, name, .. } = situation;
        let (by_ad, ad_why) = ask(trusting, kind, name).await;
        // A resolver that validates says SERVFAIL for what is bogus.
        let by_ad = if by_ad == "serverfailure" { "bogus".to_owned() } else { by_ad };
        let (by_signatures, why) = ask(validating, kind, name).await;
        if by_ad == by_signatures {
            continue;
        }
        match known.iter().position(|known| known.explains(situation, &by_ad, &by_signatures)) {
            Some(at) => seen[at] += 1,
            None => wrong.push(format!(
                "{kind} {name}: trust-ad {by_ad} ({ad_why}), validate {by_signatures} ({why})"
            )),
        }
    }
    println!("{} situations, {} differ without a reason", all.len(), wrong.len());
    for (known, seen) in known.iter().zip(&seen) {
        println!("{seen} differ in {}, where validate says {}: {}", known.zone, known.validate, known.reason);
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), all.len(), wrong.join("\n"));
    assert!(!seen.contains(&0), "a known difference does not show: {seen:?}");
}

/// Every seventh situation: in all zones, and in each other ones.
#[tokio::test]
async fn both_back_ends_agree_over_generated_zones() {
    let judge = DnsServer::start(world()).await.unwrap();
    let forwarder = DnsServer::forwarder(world()).await.unwrap();
    let some: Vec<Situation> = situations().into_iter().step_by(7).collect();
    compare(&trusting(&judge), &validating(&forwarder), &some, &[ABSURD]).await;
}

#[tokio::test]
#[ignore = "takes half a minute and needs unbound; `.ci/run real-peers` runs it"]
async fn validate_agrees_with_unbound_over_generated_zones() {
    let forwarder = DnsServer::forwarder(world()).await.unwrap();
    let unbound = Unbound::start(&forwarder);
    let behind = Resolver::new(Settings {
        servers: vec![unbound.address],
        dnssec: DnssecMode::TrustAd,
        ..Settings::default()
    })
    .unwrap();
    let all = situations();
    assert!(all.len() >= 300, "{}", all.len());
    compare(&behind, &validating(&forwarder), &all, &[ABSURD, SOON]).await;
}

/// An unbound that validates what a forwarder of the testbed passes on.
struct Unbound {
    address: SocketAddr,
    process: Child,
    _folder: tempfile::TempDir,
}

impl Unbound {
    fn start(forwarder: &DnsServer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().display();
        fs::write(folder.path().join("root.key"), forwarder.trust_anchor()).unwrap();
        for _ in 0..10 {
            let address = free_port();
            let (port, upstream) = (address.port(), forwarder.addr().port());
            let text = format!(
                "server:\n interface: 127.0.0.1@{port}\n do-daemonize: no\n chroot: \"\"\n username: \"\"\n \
                 directory: \"{at}\"\n pidfile: \"\"\n use-syslog: no\n logfile: \"\"\n verbosity: 1\n \
                 do-not-query-localhost: no\n trust-anchor-file: \"{at}/root.key\"\n \
                 local-zone: \"test.\" nodefault\n module-config: \"validator iterator\"\n \
                 qname-minimisation: no\n aggressive-nsec: no\nremote-control:\n control-enable: no\n\
                 forward-zone:\n name: \".\"\n forward-addr: 127.0.0.1@{upstream}\n"
            );
            let configuration = folder.path().join("unbound.conf");
            fs::write(&configuration, text).unwrap();
            let mut process = Command::new("unbound")
                .args(["-d", "-c"])
                .arg(&configuration)
                .stderr(Stdio::piped())
                .spawn()
                .expect("unbound is installed");
            // Its port may have been taken meanwhile; then it ends, and another is tried.
            let mut lines = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
            if lines.any(|line| line.contains("start of service")) {
                // What it says from then on must not fill the pipe.
                std::thread::spawn(move || lines.for_each(drop));
                return Self { address, process, _folder: folder };
            }
            process.wait().unwrap();
        }
        panic!("unbound does not start");
    }
}

impl Drop for Unbound {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> SocketAddr {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = udp.local_addr().unwrap();
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
