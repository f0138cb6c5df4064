//! The actor answers as the library does, and many questions at a time.

mod common;

use actix::{Actor, System};
use common::{domain, trusting, words};
use waxseal_dns::{
    DnssecHealth, Families,
    actor::{AskAddresses, AskCname, AskMx, AskTlsa, Crash, DnsActor, Probe},
};
use waxseal_testbed::dns::{DnsServer, Zone};

#[test]
fn questions_are_answered_until_the_actor_dies() {
    System::new().block_on(async {
        let zone = Zone::new()
            .mx("signed.test", 10, "mx.signed.test")
            .a("mx.signed.test", [127, 0, 0, 1])
            .tlsa("mx.signed.test", 25, (3, 1, 1), &[7; 32])
            .cname("alias.signed.test", "mx.signed.test")
            .secure("signed.test");
        let server = DnsServer::start(zone).await.unwrap();
        let dns = DnsActor::new(trusting(&server)).start();
        let (host, families) = (domain("mx.signed.test"), Families::V4);

        let mx = dns.send(AskMx(domain("signed.test")));
        let addresses = dns.send(AskAddresses { host: host.clone(), families });
        let tlsa = dns.send(AskTlsa { base: host, port: 25 });
        let cname = dns.send(AskCname(domain("alias.signed.test")));
        let (mx, addresses, tlsa, cname) = tokio::join!(mx, addresses, tlsa, cname);
        assert_eq!(words(&mx.unwrap()), "secure found");
        assert_eq!(words(&addresses.unwrap()), "secure found");
        assert_eq!(words(&tlsa.unwrap()), "secure found");
        assert_eq!(words(&cname.unwrap()), "secure found");
        assert_eq!(dns.send(Probe).await.unwrap(), DnssecHealth::Capable);

        assert!(dns.send(Crash).await.is_err());
        assert!(!dns.connected());
    });
}
