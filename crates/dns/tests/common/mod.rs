//! What the tests of this crate share.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail with the test")]

use std::{fs, time::Duration};

use waxseal_dns::{DnssecMode, Families, Resolver, Settings};
use waxseal_testbed::dns::DnsServer;
use waxseal_types::{DnsAnswer, DnsFailure, Domain, Lookup};

pub(crate) fn domain(name: &str) -> Domain {
    Domain::new(name).unwrap()
}

/// Short waits: a silent server is a case, not a pause.
pub(crate) fn settings(server: &DnsServer, dnssec: DnssecMode) -> Settings {
    Settings {
        servers: vec![server.addr()],
        dnssec,
        timeout: Duration::from_millis(300),
        attempts: 1,
        ..Settings::default()
    }
}

pub(crate) fn trusting(server: &DnsServer) -> Resolver {
    Resolver::new(settings(server, DnssecMode::TrustAd)).unwrap()
}

pub(crate) fn validating(server: &DnsServer) -> Resolver {
    let folder = tempfile::tempdir().unwrap();
    let anchor = folder.path().join("root.key");
    fs::write(&anchor, server.trust_anchor()).unwrap();
    let mut settings = settings(server, DnssecMode::Validate);
    settings.timeout = Duration::from_secs(3);
    Resolver::new(Settings { trust_anchor: Some(anchor), ..settings }).unwrap()
}

/// One outcome in two words: `secure found`, `insecure nxdomain`, `bogus`, `timeout`.
pub(crate) fn words<T>(outcome: &Result<DnsAnswer<T>, DnsFailure>) -> String {
    match outcome {
        Ok(answer) => {
            let found = match answer.lookup {
                Lookup::Found(_) => "found",
                Lookup::NoData => "nodata",
                Lookup::NxDomain => "nxdomain",
            };
            format!("{} {found}", answer.proof.as_str())
        }
        // Wherever the proof breaks, at the zone's own keys or at the root's.
        Err(failure) if failure.failure.is_bogus() => "bogus".to_owned(),
        Err(failure) => format!("{:?}", failure.failure).to_lowercase(),
    }
}

/// `A`, `MX`, `TLSA` (port 25) or `CNAME` of a name, in words; and the failure's detail.
pub(crate) async fn ask(resolver: &Resolver, kind: &str, name: &str) -> (String, String) {
    let name = domain(name);
    match kind {
        "A" => tell(resolver.addresses(&name, Families::V4).await),
        "MX" => tell(resolver.mx(&name).await),
        "TLSA" => tell(resolver.tlsa(&name, 25).await),
        "CNAME" => tell(resolver.cname(&name).await),
        other => panic!("{other} is no kind"),
    }
}

fn tell<T>(outcome: Result<DnsAnswer<T>, DnsFailure>) -> (String, String) {
    let words = words(&outcome);
    (words, outcome.err().map(|failure| failure.detail).unwrap_or_default())
}
