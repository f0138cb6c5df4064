//! Certificates for tests: one root, one intermediate below it, and leaves good and bad.

use std::{
    sync::{Arc, LazyLock},
    time::{Duration, SystemTime},
};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256,
    SigningKey, date_time_ymd,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::Error;

/// RSA keys take long to find; all leaves that ask for one share it.
static RSA_2048: LazyLock<Result<String, rcgen::Error>> = LazyLock::new(|| {
    KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).map(|key| key.serialize_pem())
});

/// The kind of a leaf's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyKind {
    /// ECDSA on P-256.
    #[default]
    P256,
    /// ECDSA on P-384.
    P384,
    /// Ed25519.
    Ed25519,
    /// RSA of 2048 bits, the same key for all that ask for one.
    Rsa2048,
}

impl KeyKind {
    fn generate(self) -> Result<KeyPair, Error> {
        let algorithm = match self {
            Self::P256 => &PKCS_ECDSA_P256_SHA256,
            Self::P384 => &PKCS_ECDSA_P384_SHA384,
            Self::Ed25519 => &PKCS_ED25519,
            Self::Rsa2048 => {
                let pem = RSA_2048.as_ref().map_err(Clone::clone)?;
                return Ok(KeyPair::from_pem(pem)?);
            }
        };
        Ok(KeyPair::generate_for(algorithm)?)
    }
}

/// A root and one intermediate that issues the leaves.
pub struct Authority {
    root: CertificateDer<'static>,
    root_pem: String,
    root_public_key: String,
    root_issuer: Issuer<'static, KeyPair>,
    intermediate: CertificateDer<'static>,
    intermediate_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Authority {
    /// A new root called `name`, with fresh keys.
    ///
    /// # Errors
    ///
    /// If `name` does not fit into a certificate.
    pub fn new(name: &str) -> Result<Self, Error> {
        let (root_key, key) = (KeyKind::P256.generate()?, KeyKind::P256.generate()?);
        let (root_params, params) =
            (authority_params(name), authority_params(&format!("{name} intermediate")));
        let root = root_params.self_signed(&root_key)?;
        let root_public_key = root_key.public_key_pem();
        let root_issuer = Issuer::new(root_params, root_key);
        let intermediate = params.signed_by(&key, &root_issuer)?;
        Ok(Self {
            root_pem: root.pem(),
            root: root.into(),
            root_public_key,
            root_issuer,
            intermediate_pem: intermediate.pem(),
            intermediate: intermediate.into(),
            issuer: Issuer::new(params, key),
        })
    }

    /// The root certificate, as a CA file has it.
    #[must_use]
    pub fn root_pem(&self) -> &str {
        &self.root_pem
    }

    /// The root certificate.
    #[must_use]
    pub fn root_der(&self) -> &[u8] {
        &self.root
    }

    /// The root's bare public key, as a trust anchor file may have it.
    #[must_use]
    pub fn root_public_key_pem(&self) -> &str {
        &self.root_public_key
    }

    /// The certificate that issues the leaves.
    #[must_use]
    pub fn intermediate_pem(&self) -> &str {
        &self.intermediate_pem
    }

    /// The certificate that issues the leaves.
    #[must_use]
    pub fn intermediate_der(&self) -> &[u8] {
        &self.intermediate
    }

    /// A leaf for these names (or addresses), below the intermediate.
    #[must_use]
    pub fn leaf(&self, names: &[&str]) -> Leaf<'_> {
        Leaf::new(Some(self), names)
    }
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    params
}

fn common_name(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}

/// Which way the time of a leaf is wrong.
#[derive(Debug, Clone, Copy)]
enum Validity {
    Good,
    Expired,
    NotYet,
    /// So many days from now.
    Until(u32),
}

/// A leaf to be issued.
#[derive(Debug, Clone)]
pub struct Leaf<'a> {
    authority: Option<&'a Authority>,
    names: Vec<String>,
    common_name: Option<String>,
    key: KeyKind,
    validity: Validity,
    from_root: bool,
    whole_chain: bool,
    wrong_key: bool,
}

impl<'a> Leaf<'a> {
    fn new(authority: Option<&'a Authority>, names: &[&str]) -> Self {
        Self {
            authority,
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            common_name: None,
            key: KeyKind::default(),
            validity: Validity::Good,
            from_root: false,
            whole_chain: true,
            wrong_key: false,
        }
    }

    /// With this subject; otherwise its first name, or none.
    #[must_use]
    pub fn common_name(mut self, name: &str) -> Self {
        self.common_name = Some(name.to_owned());
        self
    }

    /// With a key of this kind.
    #[must_use]
    pub fn key(mut self, kind: KeyKind) -> Self {
        self.key = kind;
        self
    }

    /// It ended long ago.
    #[must_use]
    pub fn expired(mut self) -> Self {
        self.validity = Validity::Expired;
        self
    }

    /// It ends so many days from now.
    #[must_use]
    pub fn expires_in(mut self, days: u32) -> Self {
        self.validity = Validity::Until(days);
        self
    }

    /// It begins in a far future.
    #[must_use]
    pub fn not_yet_valid(mut self) -> Self {
        self.validity = Validity::NotYet;
        self
    }

    /// Issued by the root itself.
    #[must_use]
    pub fn from_root(mut self) -> Self {
        self.from_root = true;
        self
    }

    /// The server presents the leaf alone.
    #[must_use]
    pub fn without_intermediate(mut self) -> Self {
        self.whole_chain = false;
        self
    }

    /// The server presents this certificate without having its key.
    #[must_use]
    pub fn with_wrong_key(mut self) -> Self {
        self.wrong_key = true;
        self
    }

    /// Makes it.
    ///
    /// # Errors
    ///
    /// If a name is no DNS name and no address.
    pub fn issue(self) -> Result<Certificate, Error> {
        let key = self.key.generate()?;
        let params = self.params()?;
        let (leaf, issuers) = match self.authority {
            None => (params.self_signed(&key)?, Vec::new()),
            Some(authority) if self.from_root => (signed(&params, &key, &authority.root_issuer)?, Vec::new()),
            Some(authority) => {
                let chain = if self.whole_chain { vec![authority.intermediate.clone()] } else { Vec::new() };
                (signed(&params, &key, &authority.issuer)?, chain)
            }
        };
        let (pem, public_key) = (leaf.pem(), rcgen::PublicKeyData::subject_public_key_info(&key));
        let shown_key = if self.wrong_key { self.key_of_another()? } else { key };
        Ok(Certificate(Arc::new(Inner {
            chain: std::iter::once(leaf.into()).chain(issuers).collect(),
            key: PrivatePkcs8KeyDer::from(shown_key.serialize_der()).into(),
            key_pem: shown_key.serialize_pem(),
            public_key,
            pem,
        })))
    }

    fn key_of_another(&self) -> Result<KeyPair, Error> {
        match self.key {
            // All RSA leaves share one key, so another kind must do.
            KeyKind::Rsa2048 => KeyKind::P256.generate(),
            kind @ (KeyKind::P256 | KeyKind::P384 | KeyKind::Ed25519) => kind.generate(),
        }
    }

    fn params(&self) -> Result<CertificateParams, Error> {
        let mut params = CertificateParams::new(self.names.clone())?;
        let subject = self.common_name.as_ref().or(self.names.first());
        params.distinguished_name = subject.map_or_else(DistinguishedName::new, |name| common_name(name));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = self.authority.is_some();
        match self.validity {
            Validity::Good => {}
            Validity::Expired => params.not_after = date_time_ymd(2001, 1, 1),
            Validity::NotYet => params.not_before = date_time_ymd(3000, 1, 1),
            Validity::Until(days) => {
                params.not_after = (SystemTime::now() + Duration::from_secs(u64::from(days) * 86_400)).into();
            }
        }
        Ok(params)
    }
}

fn signed(
    params: &CertificateParams,
    key: &KeyPair,
    issuer: &Issuer<'_, impl SigningKey>,
) -> Result<rcgen::Certificate, Error> {
    Ok(params.signed_by(key, issuer)?)
}

/// What a server (or client) presents: a chain and a key. Cheap to clone.
#[derive(Clone)]
pub struct Certificate(Arc<Inner>);

struct Inner {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    key_pem: String,
    public_key: Vec<u8>,
    pem: String,
}

impl std::fmt::Debug for Certificate {
    /// The key is not shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Certificate({} in its chain)", self.0.chain.len())
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Certificate {}

impl Certificate {
    /// A leaf that signs itself, for these names.
    #[must_use]
    pub fn self_signed(names: &[&str]) -> Leaf<'static> {
        Leaf::new(None, names)
    }

    /// The leaf.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.0.chain[0]
    }

    /// The leaf's SubjectPublicKeyInfo, which TLSA selector 1 speaks of.
    #[must_use]
    pub fn public_key(&self) -> &[u8] {
        &self.0.public_key
    }

    /// The leaf alone.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.0.pem
    }

    /// The key, PKCS#8.
    #[must_use]
    pub fn key_pem(&self) -> &str {
        &self.0.key_pem
    }

    pub(crate) fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.0.chain.clone()
    }

    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        self.0.key.clone_key()
    }
}
