//! What webpki accepts, we accept, apart from listed reasons: generated chains, the same in each run.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]

mod common;

use std::{collections::BTreeMap, time::Duration};

use common::{
    NOW, anchors,
    world::{Random, World, world},
};
use rustls_pki_types::{CertificateDer, UnixTime};
use waxseal_trust::{AnchorRules, Certificate, KeyUsage};
use waxseal_verify::{PathFailure, PathRules, Problem, check_path};

const CHAINS: usize = 12_000;

fn webpki_accepts(anchors: &[Vec<u8>], chain: &[Vec<u8>]) -> bool {
    let ders: Vec<_> = anchors.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
    let roots: Vec<_> = ders.iter().filter_map(|der| webpki::anchor_from_trusted_cert(der).ok()).collect();
    let rest: Vec<_> = chain[1..].iter().map(|der| CertificateDer::from(der.as_slice())).collect();
    let leaf = CertificateDer::from(chain[0].as_slice());
    let Ok(leaf) = webpki::EndEntityCert::try_from(&leaf) else { return false };
    let now = UnixTime::since_unix_epoch(Duration::from_secs(NOW.as_secs()));
    let usage = webpki::KeyUsage::server_auth();
    leaf.verify_for_usage(webpki::ALL_VERIFICATION_ALGS, &roots, &rest, now, usage, None, None).is_ok()
}

/// Why we may refuse what webpki accepts; each reason is looked for in the certificate that the failure names.
fn reason(failure: &PathFailure, anchors: &[Vec<u8>], chain: &[Vec<u8>]) -> Option<&'static str> {
    let named = |der: &&Vec<u8>| {
        Certificate::parse(der).ok().filter(|found| found.subject().to_string() == failure.subject)
    };
    let is_anchor = anchors.iter().any(|der| named(&der).is_some());
    let usage = |bad: fn(KeyUsage) -> bool| {
        let mut found = chain.iter().chain(anchors).filter_map(|der| named(&der));
        found.any(|found| found.extensions().key_usage.is_some_and(bad))
    };
    match failure.problem {
        Problem::NotAnAuthority if usage(|usage| !usage.signs_certificates()) => {
            Some("webpki does not look at keyUsage")
        }
        Problem::NotAnAuthority if is_anchor => Some("webpki does not look at the CA flag of an anchor"),
        Problem::NotForServers if failure.depth == 0 && usage(|usage| !usage.serves_tls()) => {
            Some("webpki does not look at the keyUsage of a server")
        }
        Problem::NotForServers if is_anchor => Some("webpki does not look at the extKeyUsage of an anchor"),
        Problem::PathLength if is_anchor => Some("webpki does not look at the path length of an anchor"),
        _ => None,
    }
}

#[test]
fn webpki_accepts_implies_we_accept() {
    let mut random = Random(0x5741_5853_4541_4c21);
    let (mut both, mut neither, mut ours_alone) = (0, 0, 0);
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    let worlds: Vec<World> = (0..6).map(|n| world(&mut random, 40, 150, n % 2 == 1)).collect();
    for at in 0..CHAINS {
        let (chain, trusted) = worlds[at % worlds.len()].chain(&mut random);
        let theirs = webpki_accepts(&trusted, &chain);
        let ours = check_path(&anchors(AnchorRules::Explicit, &trusted), &chain, PathRules::default(), NOW);
        match (theirs, ours) {
            (true, Ok(_)) => both += 1,
            (false, Ok(_)) => ours_alone += 1,
            (false, Err(_)) => neither += 1,
            (true, Err(failure)) => match reason(&failure, &trusted, &chain) {
                Some(reason) => *reasons.entry(reason).or_default() += 1,
                None => panic!("chain {at}: webpki accepts, we say {failure}"),
            },
        }
    }
    println!("{CHAINS} chains: {both} accepted by both, {neither} by neither, {ours_alone} by us alone");
    for (reason, count) in &reasons {
        println!("{count} by webpki alone: {reason}");
    }
    assert!(both > CHAINS / 10 && neither > CHAINS / 10, "the worlds are too good or too bad");
}
