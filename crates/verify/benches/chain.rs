//! What a verdict costs beside its signatures: `cargo bench -p waxseal-verify`.
//!
//! A chain of three P-256 certificates (server, intermediate, root) has two signatures that count. Issue: at most 1.3 times
//! their cost.

use std::{
    hint::black_box,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use waxseal_trust::{Anchor, AnchorKind, AnchorRules, Anchors, Certificate, KeyParts, Origin};
use waxseal_types::{
    AnchorFiles, ConnectionId, DaneDemand, DigestOrder, Domain, NameDemand, NamePattern, Proof, Strength,
    TlsDemand, TlsFacts, Tlsa, UnixTime,
};
use waxseal_verify::{PathRules, Question, check_path, judge};

const NOW: UnixTime = UnixTime::from_secs(1_795_249_800);

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new([]).expect("no names");
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

/// The best of many short rounds, in microseconds for one call: what else the machine does falls out.
fn measure(name: &str, mut work: impl FnMut()) -> f64 {
    const CALLS: u32 = 5;
    let round = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..CALLS).for_each(|_| work());
        start.elapsed()
    };
    let best = (0..600).map(|_| round(&mut work)).min().unwrap_or(Duration::MAX);
    let micros = best.as_secs_f64() * 1e6 / f64::from(CALLS);
    println!("{name:<44} {micros:8.1} us");
    micros
}

fn main() {
    let keys: Vec<_> = (0..3).map(|_| KeyPair::generate().expect("a key")).collect();
    let (root, intermediate) = (authority("Root"), authority("Intermediate"));
    let leaf = CertificateParams::new(["mx.example.com".to_owned()]).expect("a good name");
    let root_der = root.self_signed(&keys[0]).expect("signs").der().to_vec();
    let intermediate_der = intermediate
        .signed_by(&keys[1], &Issuer::from_params(&root, &keys[0]))
        .expect("signs")
        .der()
        .to_vec();
    let leaf_der = leaf
        .signed_by(&keys[2], &Issuer::from_params(&intermediate, &keys[1]))
        .expect("signs")
        .der()
        .to_vec();
    let kind = AnchorKind::Certificate(Certificate::parse(&root_der).expect("a certificate"));
    let origin = Origin { path: Path::new("roots.pem").into(), index: 1 };
    let anchors = Arc::new(Anchors::new(AnchorRules::Authorities, vec![Arc::new(Anchor { kind, origin })]));
    let chain = vec![leaf_der, intermediate_der, root_der];

    let certificates: Vec<_> =
        chain.iter().map(|der| Certificate::parse(der).expect("a certificate")).collect();
    let raw = measure("the two signatures alone", || {
        for pair in certificates.windows(2) {
            let key = KeyParts::new(pair[1].spki()).expect("a key");
            let signed = pair[0].signed();
            let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.octets);
            key.verify(signed.message, signed.signature).expect("good");
        }
    });
    let path = measure("check_path, reading included", || {
        black_box(check_path(&anchors, &chain, PathRules::default(), NOW)).expect("good");
    });
    let name = Domain::new("mx.example.com").expect("a name");
    let names = TlsDemand::Names(NameDemand {
        patterns: Arc::new([NamePattern::Exact(name.clone())]),
        anchors: AnchorFiles::Default,
        depth: 9,
        wide_wildcards: false,
    });
    let key = sha2::Digest::finalize(sha2::Digest::chain_update(
        <sha2::Sha256 as sha2::Digest>::new(),
        certificates[0].spki(),
    ));
    let dane = TlsDemand::Dane(DaneDemand {
        records: Arc::new([Tlsa::new(3, 1, 1, &key)]),
        names: Arc::new([name]),
        digests: DigestOrder::default(),
        mx: Proof::Secure,
    });
    let question = |demand| Question {
        demand: Arc::new(demand),
        facts: Some(Arc::new(TlsFacts {
            protocol: "TLSv1.3",
            cipher: "TLS_AES_128_GCM_SHA256",
            group: None,
            sni: None,
            resumed: false,
            client_certificate: false,
            chain: chain.clone().into(),
        })),
        clear: None,
        anchors: Some(anchors.clone()),
        strength: Strength::default(),
        connection: ConnectionId(1),
        policy_generation: 1,
        expires: None,
        only_message: None,
        now: NOW,
    };
    let (secure, dane) = (question(names), question(dane));
    let verdict = measure("judge at secure", || assert!(black_box(judge(&secure)).outcome.is_ok()));
    measure("judge at dane, TLSA 3 1 1", || assert!(black_box(judge(&dane)).outcome.is_ok()));
    println!("check_path / signatures {:.2}, judge / signatures {:.2}", path / raw, verdict / raw);
}
