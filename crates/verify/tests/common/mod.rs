//! What the tests share: where the reference data lie, and certificates for tests.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

pub mod world;

use std::{path::PathBuf, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use waxseal_trust::{Anchor, AnchorKind, AnchorRules, Anchors, Certificate, Origin, PublicKey, blocks};
use waxseal_types::{ConnectionId, Strength, TlsDemand, TlsFacts, UnixTime};
use waxseal_verify::Question;

/// The text of a reference file under `LAB_SHARED` (default: `../shared` beside the workspace). `None`, with a message, where
/// there is none; in CI that is an error.
pub fn shared(path: &str) -> Option<String> {
    let root = std::env::var_os("LAB_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let file = root.join(path);
    match std::fs::read_to_string(&file) {
        Ok(text) => Some(text),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "{}: {error}", file.display());
            println!("skipped: {}: {error}", file.display());
            None
        }
    }
}

pub fn json(path: &str) -> Option<serde_json::Value> {
    shared(path).map(|text| serde_json::from_str(&text).expect("reference data are JSON"))
}

/// The first block of a PEM text.
pub fn der(pem: &str) -> Vec<u8> {
    blocks(pem.as_bytes())[0].contents.clone().expect("a good block")
}

pub fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).expect("hex")).collect()
}

pub fn anchors(rules: AnchorRules, ders: &[Vec<u8>]) -> Anchors {
    let path: Arc<std::path::Path> = std::path::Path::new("test.pem").into();
    let anchor = |(at, der): (usize, &Vec<u8>)| {
        let kind = match Certificate::parse(der) {
            Ok(certificate) => AnchorKind::Certificate(certificate),
            Err(_) => AnchorKind::Key(PublicKey::parse(der)?),
        };
        Some(Arc::new(Anchor { kind, origin: Origin { path: path.clone(), index: at + 1 } }))
    };
    Anchors::new(rules, ders.iter().enumerate().filter_map(anchor).collect())
}

/// 2026-11-21.
pub const NOW: UnixTime = UnixTime::from_secs(1_795_249_800);

/// An authority of the tests.
pub struct Ca {
    pub params: CertificateParams,
    pub key: KeyPair,
    pub der: Vec<u8>,
}

pub fn name(params: &mut CertificateParams, name: &str) {
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Waxseal Tests");
    params.distinguished_name.push(DnType::CommonName, name);
}

pub fn authority(subject: &str) -> CertificateParams {
    let mut params = CertificateParams::new([]).expect("no names");
    name(&mut params, subject);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

pub fn root(subject: &str) -> Ca {
    let (params, key) = (authority(subject), KeyPair::generate().expect("a key"));
    let der = params.self_signed(&key).expect("signs").der().to_vec();
    Ca { params, key, der }
}

impl Ca {
    pub fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }

    pub fn intermediate(&self, params: CertificateParams) -> Ca {
        let key = KeyPair::generate().expect("a key");
        let der = params.signed_by(&key, &self.issuer()).expect("signs").der().to_vec();
        Ca { params, key, der }
    }

    pub fn leaf(&self, names: &[&str]) -> Vec<u8> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("good names");
        name(&mut params, "leaf");
        let key = KeyPair::generate().expect("a key");
        params.signed_by(&key, &self.issuer()).expect("signs").der().to_vec()
    }
}

/// A question about a connection over TLS, at [`NOW`].
pub fn question(demand: TlsDemand, chain: Vec<Vec<u8>>, anchors: &Arc<Anchors>) -> Question {
    let facts = TlsFacts {
        protocol: "TLSv1.3",
        cipher: "TLS_AES_128_GCM_SHA256",
        group: None,
        sni: None,
        resumed: false,
        client_certificate: false,
        chain: chain.into(),
    };
    Question {
        demand: Arc::new(demand),
        facts: Some(Arc::new(facts)),
        clear: None,
        anchors: Some(anchors.clone()),
        strength: Strength::default(),
        connection: ConnectionId(1),
        policy_generation: 1,
        expires: None,
        only_message: None,
        now: NOW,
    }
}
