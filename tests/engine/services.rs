//! Services of `master.cf` with settings of their own, at one and the same server.

use std::{fs, sync::Arc};

use sha2::{Digest as _, Sha256};
use waxseal_config::Config;
use waxseal_queue::Outcome;
use waxseal_testbed::{Certificate, Peer, within};
use waxseal_tests::{LIMIT, World};
use waxseal_types::{Protocol, Service, TlsLevel};

const TEXT: &str = "Subject: x\n\nx\n";

/// The main service only wants TLS; two others pin the server's key, one of them wrongly. What was proven to one of them is not believed by another, and
/// neither do they share connections.
#[actix_rt::test]
async fn a_service_delivers_under_its_own_policy_and_over_its_own_connections() {
    let certificate = Certificate::self_signed(&["mx.test"]).issue().expect("a certificate");
    let print: Vec<String> = Sha256::digest(certificate.der()).iter().map(|o| format!("{o:02X}")).collect();
    let peer = Peer::builder().starttls(certificate).start().await.expect("starts");
    let hop = peer.nexthop();
    let mut world = World::new(&hop, TlsLevel::None);
    let main = format!(
        "myhostname = queue.test\nmydestination =\nsmtp_tls_security_level = encrypt\nsmtp_tls_connection_reuse = yes\n\
         smtp_tls_fingerprint_digest = sha256\nsmtp_connection_cache_time_limit = 60s\nrelayhost = {hop}\n\
         transport_maps = inline:{{ {{ pinned.test = pinned:{hop} }}, {{ mispinned.test = mispinned:{hop} }} }}\n"
    );
    let pin = |name: &str, print: &str| {
        format!(
            "{name} unix - - n - - smtp\n  -o smtp_tls_security_level=fingerprint -o smtp_tls_fingerprint_cert_match={print}\n"
        )
    };
    let master = format!(
        "smtp unix - - n - - smtp\n{}{}",
        pin("pinned", &print.join(":")),
        pin("mispinned", &("AB:".repeat(31) + "AB"))
    );
    let file = world.folder().join("main.cf");
    fs::write(&file, main).expect("the folder is ours");
    fs::write(world.folder().join("master.cf"), master).expect("the folder is ours");
    let config = Config::load(&[file], std::iter::empty()).expect("a good configuration");
    world.settings.policy = Arc::clone(&config.policy);
    world.settings.tables = Arc::clone(&config.tables) as Arc<_>;
    world.settings.trust = config.trust;
    world.settings.transport = config.transport;
    world.settings.queue.services = config.queue.services;
    let engine = world.start().await;

    world.submit(&engine, "a@a.test", &["b@b.test"], TEXT).await;
    let account = within(LIMIT, world.recorder.attempt(|_| true)).await;
    assert!(matches!(account.results[0].outcome, Outcome::Delivered { .. }), "{:?}", account.results);
    assert_eq!(account.destination.service, Service::SMTP);

    // The connection of the main service is idle, and leads to the very server.
    let named = |name: &str| Service::named(Protocol::Smtp, name);
    for (domain, delivered) in [("mispinned.test", false), ("pinned.test", true)] {
        world.submit(&engine, "a@a.test", &[&format!("b@{domain}")], TEXT).await;
        let service = named(domain.split('.').next().unwrap_or_default());
        let account =
            within(LIMIT, world.recorder.attempt(|account| account.destination.service == service)).await;
        let outcome = &account.results[0].outcome;
        assert_eq!(matches!(outcome, Outcome::Delivered { .. }), delivered, "{domain}: {outcome:?}");
        assert_eq!(account.policies[0].level, TlsLevel::Fingerprint);
        assert!(account.connections.iter().all(|connection| !connection.pooled), "{domain}: {account:?}");
    }
    let recipients: Vec<String> =
        peer.accepted().into_iter().flat_map(|message| message.recipients).collect();
    assert_eq!(recipients, ["b@b.test", "b@pinned.test"]);
    assert!(engine.shut_down().await);
}
