//! `openssl verify` on generated chains, with and without partial chains. Skipped where there is no openssl; an error in CI.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]

mod common;

use std::{collections::BTreeMap, fmt::Write as _, path::Path, process::Command, sync::Arc};

use common::{
    NOW, anchors,
    world::{Random, world},
};
use sha2::Digest as _;
use waxseal_trust::{AnchorRules, Certificate};
use waxseal_types::{
    AnchorFiles, DaneDemand, DigestAlgorithm, DigestOrder, Domain, Fingerprint, FingerprintDemand,
    NameDemand, NamePattern, Proof, Strength, TlsDemand, Tlsa, UnixTime,
};
use waxseal_verify::{PathRules, Problem, Question, check_path, judge};

const CHAINS: usize = 600;

fn pem(ders: &[Vec<u8>]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for der in ders {
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        for line in der.chunks(48) {
            for three in line.chunks(3) {
                let bits =
                    three.iter().fold(0u32, |sum, b| sum << 8 | u32::from(*b)) << (8 * (3 - three.len()));
                let letter = |at: usize| char::from(LETTERS[(bits >> (18 - 6 * at)) as usize & 63]);
                (0..=three.len()).for_each(|at| text.push(letter(at)));
                (three.len()..3).for_each(|_| text.push('='));
            }
            text.push('\n');
        }
        let _ = writeln!(text, "-----END CERTIFICATE-----");
    }
    text
}

fn openssl_accepts(dir: &Path, trusted: &[Vec<u8>], chain: &[Vec<u8>], partial: bool) -> bool {
    let file = |name: &str, ders: &[Vec<u8>]| {
        let path = dir.join(name);
        std::fs::write(&path, pem(ders)).unwrap();
        path
    };
    let (trusted, leaf) = (file("trusted.pem", trusted), file("leaf.pem", &chain[..1]));
    let mut command = Command::new("openssl");
    command.args(["verify", "-purpose", "sslserver", "-auth_level", "1", "-verify_depth", "9", "-attime"]);
    command.arg(NOW.as_secs().to_string()).arg("-trusted").arg(trusted);
    if chain.len() > 1 {
        command.arg("-untrusted").arg(file("rest.pem", &chain[1..]));
    }
    if partial {
        command.arg("-partial_chain");
    }
    command.arg(leaf).output().expect("openssl runs").status.success()
}

#[test]
fn openssl_verify_agrees() {
    if Command::new("openssl").arg("version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "there is no openssl");
        println!("skipped: there is no openssl");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut random = Random(0x4f70_656e_5353_4c21);
    let world = world(&mut random, 40, 200, false);
    let expired = |der: &Vec<u8>| {
        let certificate = Certificate::parse(der).unwrap();
        let now = i64::try_from(NOW.as_secs()).unwrap();
        certificate.not_after().is_some_and(|end| end < now)
            || certificate.not_before().is_some_and(|start| start > now)
    };
    let (mut both, mut neither) = (0, 0);
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for at in 0..CHAINS {
        let (chain, trusted) = world.chain(&mut random);
        let partial = at % 2 == 0;
        let rules = if partial { AnchorRules::Explicit } else { AnchorRules::Authorities };
        let theirs = openssl_accepts(dir.path(), &trusted, &chain, partial);
        let ours = check_path(&anchors(rules, &trusted), &chain, PathRules::default(), NOW);
        let reason = match (&ours, theirs) {
            (Ok(_), true) => {
                both += 1;
                continue;
            }
            (Err(_), false) => {
                neither += 1;
                continue;
            }
            (Ok(_), false) if partial && trusted.iter().any(expired) => "trust anchor files do not expire",
            (Ok(path), false) if path.certificates.len() > 2 => "another path than the first that fits",
            (_, theirs) => panic!("chain {at}, partial {partial}: openssl {theirs}, we say {ours:?}"),
        };
        *reasons.entry(reason).or_default() += 1;
    }
    println!("{CHAINS} chains: {both} accepted by both, {neither} by neither, {reasons:?} by us alone");
    assert!(both > CHAINS / 20 && neither > CHAINS / 20, "the world is too good or too bad");
}

/// Runs openssl in a folder; `false` where there is none.
fn openssl(dir: &Path, words: &str) -> bool {
    match Command::new("openssl").current_dir(dir).args(words.split_whitespace()).output() {
        Ok(output) => {
            assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
            true
        }
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "openssl: {error}");
            println!("skipped: there is no openssl");
            false
        }
    }
}

/// A chain of two made by openssl: the root's and the leaf's digest, and the length of the RSA keys.
struct Weak {
    root: Vec<u8>,
    leaf: Vec<u8>,
    digests: (&'static str, &'static str),
    bits: usize,
}

/// What openssl makes on demand and rcgen does not; `None` where there is no openssl.
fn weak_chains() -> Option<Vec<Weak>> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("leaf.ext"), "subjectAltName=DNS:mx.example.com").unwrap();
    let kinds = [("sha256", "sha256", 1024), ("sha256", "sha1", 2048), ("sha1", "sha256", 2048)];
    let mut chains = Vec::new();
    for (root, leaf, bits) in kinds {
        let made = [
            format!(
                "req -x509 -newkey rsa:{bits} -nodes -{root} -keyout root.key -subj /CN=root -days 36500 -out root.pem"
            ),
            format!("req -newkey rsa:{bits} -nodes -keyout leaf.key -subj /CN=leaf -out leaf.csr"),
            format!(
                "x509 -req -in leaf.csr -CA root.pem -CAkey root.key -{leaf} -days 36500 -set_serial 1 -extfile leaf.ext -out leaf.pem"
            ),
        ];
        if !made.iter().all(|step| openssl(dir.path(), step)) {
            return None;
        }
        let read = |name: &str| common::der(&std::fs::read_to_string(dir.path().join(name)).unwrap());
        chains.push(Weak { root: read("root.pem"), leaf: read("leaf.pem"), digests: (root, leaf), bits });
    }
    Some(chains)
}

/// These certificates begin today, whenever that is.
const LATER: UnixTime = UnixTime::from_secs(2_500_000_000);

/// Postfix has OpenSSL's security level 1 where the peer must match, and level 0 below: SHA-1 fails above and passes below,
/// RSA-1024 passes. A root's own signature counts nowhere. Both can be tightened.
#[test]
fn weak_signatures_and_keys_count_only_where_nothing_is_demanded_and_not_when_tightened() {
    let as_postfix = Strength::default();
    let long_keys = Strength { rsa_bits: 2048, ..as_postfix };
    let no_sha1 = Strength { refuse_sha1: true, ..as_postfix };
    for Weak { root, leaf, digests, bits } in weak_chains().into_iter().flatten() {
        let trusted = anchors(AnchorRules::Authorities, &[root]);
        let check = |must_match, strength| {
            let rules = PathRules { must_match, strength, depth: 9, ..PathRules::default() };
            check_path(&trusted, std::slice::from_ref(&leaf), rules, LATER)
                .map(drop)
                .map_err(|why| why.problem)
        };
        let sha1 = if digests.1 == "sha1" { Err(Problem::WeakSignature) } else { Ok(()) };
        let short = if bits < 2048 { Err(Problem::WeakKey { bits, least: 2048 }) } else { Ok(()) };
        assert_eq!(check(false, as_postfix), Ok(()), "{digests:?}");
        assert_eq!(check(true, as_postfix), sha1, "{digests:?}");
        assert_eq!(
            (check(false, no_sha1), check(true, no_sha1)),
            (sha1.clone(), sha1.clone()),
            "{digests:?}"
        );
        assert_eq!(check(false, long_keys), short, "{digests:?}");
        assert_eq!(check(true, long_keys), sha1.and(short), "{digests:?}");
    }
}

/// A server known by its own certificate or key has any key that TLS takes, unless a length is configured.
#[test]
fn short_keys_of_pinned_servers_pass_unless_that_is_tightened() {
    let Some(Weak { leaf, bits, .. }) = weak_chains().and_then(|chains| chains.into_iter().next()) else {
        return;
    };
    assert_eq!(bits, 1024);
    let sha256 =
        |data: &[u8]| -> Vec<u8> { sha2::Digest::finalize(sha2::Sha256::new_with_prefix(data)).to_vec() };
    let name = Domain::new("mx.example.com").unwrap();
    let listed = Arc::new(anchors(AnchorRules::Explicit, std::slice::from_ref(&leaf)));
    let demands = [
        TlsDemand::Fingerprint(FingerprintDemand {
            digest: DigestAlgorithm::Sha256,
            accepted: Arc::new([Fingerprint(sha256(&leaf))]),
        }),
        TlsDemand::Dane(DaneDemand {
            records: Arc::new([Tlsa::new(3, 0, 1, &sha256(&leaf))]),
            names: Arc::new([name.clone()]),
            digests: DigestOrder::default(),
            mx: Proof::Secure,
        }),
        TlsDemand::Names(NameDemand {
            patterns: Arc::new([NamePattern::Exact(name)]),
            anchors: AnchorFiles::Only(Arc::new(["leaf.pem".to_owned()])),
            depth: 9,
            wide_wildcards: false,
        }),
    ];
    for demand in demands {
        let outcome = |strength| {
            let question = common::question(demand.clone(), vec![leaf.clone()], &listed);
            judge(&Question { strength, now: LATER, ..question }).outcome.map(drop).map_err(|why| why.reason)
        };
        assert_eq!(outcome(Strength::default()), Ok(()), "{demand:?}");
        let refused = outcome(Strength { rsa_bits: 2048, refuse_sha1: false }).unwrap_err();
        assert!(refused.contains("key too weak (RSA with 1024 bits, 2048 are demanded)"), "{refused}");
    }
}
