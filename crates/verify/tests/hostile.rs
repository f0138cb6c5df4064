//! No octets of a stranger panic, and none of them make work without end.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]

mod common;

use std::{sync::Arc, time::Instant};

use common::{NOW, anchors, root, world::Random};
use waxseal_trust::{AnchorRules, Certificate, PublicKey, anchor_file, authorities, blocks};
use waxseal_types::{
    AnchorFiles, DaneDemand, DigestOrder, Domain, NameDemand, NamePattern, Proof, TlsDemand, Tlsa,
};
use waxseal_verify::{check_dane, describe, judge};

/// `WAXSEAL_MUTATIONS=1000000 cargo test --release -p waxseal-verify --test hostile` is the nightly size.
fn rounds() -> usize {
    std::env::var("WAXSEAL_MUTATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(10_000)
}

/// Flips, cuts, repeats and inserts.
fn mutate(random: &mut Random, octets: &mut Vec<u8>) {
    for _ in 0..=random.below(4) {
        let length = octets.len();
        if length == 0 {
            return;
        }
        let at = random.below(length);
        match random.below(7) {
            0 | 1 => octets[at] ^= 1 << random.below(8),
            2 => octets[at] = [0, 1, 0x7f, 0x80, 0x81, 0x84, 0xff, 0x30][random.below(8)],
            3 => octets.truncate(at),
            4 => drop(octets.drain(at..(at + random.below(9)).min(length))),
            5 => {
                let piece: Vec<_> = octets[at..(at + random.below(40)).min(length)].to_vec();
                octets.splice(at..at, piece);
            }
            _ => octets.insert(at, random.below(256) as u8),
        }
    }
}

#[test]
fn mutated_chains_and_records_never_panic() {
    let mut random = Random(0x6861_7264_6865_6164);
    let ca = root("Root");
    let mut params = common::authority("Intermediate");
    params.name_constraints = Some(rcgen::NameConstraints {
        permitted_subtrees: vec![rcgen::GeneralSubtree::DnsName("example.com".into())],
        excluded_subtrees: vec![],
    });
    let intermediate = ca.intermediate(params);
    let corpus = [
        intermediate.leaf(&["mx.example.com", "*.example.com", "192.0.2.1"]),
        intermediate.der,
        ca.der.clone(),
    ];
    let trusted = Arc::new(anchors(AnchorRules::Explicit, &[ca.der]));
    let names: Arc<[Domain]> = Arc::new([Domain::new("mx.example.com").unwrap()]);
    let demand = TlsDemand::Names(NameDemand {
        patterns: names.iter().cloned().map(NamePattern::Exact).collect(),
        anchors: AnchorFiles::Only(Arc::new([])),
        depth: 9,
        wide_wildcards: false,
    });
    assert!(judge(&common::question(demand.clone(), corpus[..2].to_vec(), &trusted)).outcome.is_ok());
    for _ in 0..rounds() {
        let mut chain: Vec<_> = corpus.iter().take(1 + random.below(3)).cloned().collect();
        let at = random.below(chain.len());
        mutate(&mut random, &mut chain[at]);
        let mut data = corpus[random.below(3)].clone();
        mutate(&mut random, &mut data);
        let _ = (PublicKey::parse(&data), Certificate::parse(&data));
        let records =
            [Tlsa::new(2 + random.below(2) as u8, random.below(3) as u8, random.below(4) as u8, &data)];
        let _ = check_dane(&records, &names, &chain, NOW);
        let dane = DaneDemand {
            records: Arc::new(records),
            names: names.clone(),
            digests: DigestOrder::default(),
            mx: Proof::Secure,
        };
        for demand in [demand.clone(), TlsDemand::Dane(dane), TlsDemand::Opportunistic] {
            let verdict = judge(&common::question(demand, chain.clone(), &trusted));
            let all = verdict.detail.iter().chain(&verdict.matched);
            all.for_each(|line| assert!(line.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{line:?}"));
            if let Err(refused) = verdict.outcome {
                assert!(refused.reason.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{refused:?}");
            }
        }
    }
}

#[test]
fn mutated_files_never_panic() {
    let mut random = Random(0x7065_6d66_696c_6573);
    let text = b"x\n-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n";
    for _ in 0..rounds() {
        let mut file = text.to_vec();
        mutate(&mut random, &mut file);
        let path = std::path::Path::new("f.pem");
        let _ = (blocks(&file), anchor_file(path, &file, NOW), authorities(path, &file));
    }
}

/// RUSTSEC-2023-0053 and its kind: authorities that all have one name and sign each other.
#[test]
fn a_mesh_of_authorities_costs_no_more_than_its_budget() {
    let ca = root("Mesh");
    let mut chain = vec![ca.leaf(&["mx.example.com"])];
    chain.extend((0..19).map(|_| ca.intermediate(common::authority("Mesh")).der));
    let mut signers: Vec<common::Ca> = vec![root("Mesh")];
    for _ in 0..18 {
        let next = signers[signers.len() - 1].intermediate(common::authority("Mesh"));
        signers.push(next);
    }
    let other = anchors(AnchorRules::Explicit, &[root("Mesh").der]);
    for chain in [chain, signers.iter().rev().map(|ca| ca.der.clone()).collect()] {
        let start = Instant::now();
        let failure = waxseal_verify::check_path(&other, &chain, Default::default(), NOW);
        assert!(failure.is_err());
        println!("{failure:?} after {:?}", start.elapsed());
        assert!(start.elapsed().as_millis() < 1000);
    }
}

/// Threats D4: odd lengths and many records.
#[test]
fn many_and_large_tlsa_records_are_looked_at_in_bounded_time() {
    let chain = [root("Root").der];
    let records: Vec<_> = (0..2000u32)
        .map(|n| Tlsa::new(2, (n % 3) as u8, (n % 4) as u8, &vec![0x30; (n % 5) as usize * 16_000]))
        .collect();
    let start = Instant::now();
    assert!(check_dane(&records, &[], &chain, NOW).is_err());
    assert!(start.elapsed().as_millis() < 1000);
    assert!(describe(&vec![vec![0u8; 60_000]; 40]).len() <= 21);
}
