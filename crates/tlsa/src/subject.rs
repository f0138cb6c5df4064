//! What a record can be made from.

use waxseal_trust::{Block, Certificate, PublicKey, blocks, spki_of_private_key, spki_of_request};

use crate::Error;

/// What a subject was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A certificate of any version.
    Certificate,
    /// A bare public key.
    PublicKey,
    /// A private key; only its public half is kept.
    PrivateKey,
    /// A certificate request.
    Request,
}

impl Kind {
    /// In words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::PublicKey => "public key",
            Self::PrivateKey => "private key",
            Self::Request => "certificate request",
        }
    }
}

/// A certificate, or a key for which there may be one later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    kind: Kind,
    /// The certificate, or the SubjectPublicKeyInfo.
    der: Vec<u8>,
    certificate: Option<Certificate>,
}

impl Subject {
    /// A certificate in DER.
    #[must_use]
    pub fn certificate_from(der: &[u8]) -> Option<Self> {
        let certificate = Certificate::parse(der).ok()?;
        Some(Self { kind: Kind::Certificate, der: der.to_vec(), certificate: Some(certificate) })
    }

    /// A SubjectPublicKeyInfo.
    #[must_use]
    pub fn key_from(spki: &[u8]) -> Option<Self> {
        PublicKey::parse(spki)?;
        Some(Self { kind: Kind::PublicKey, der: spki.to_vec(), certificate: None })
    }

    /// What it was read from.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The certificate in DER, where there is one.
    #[must_use]
    pub fn certificate(&self) -> Option<&[u8]> {
        self.certificate.as_ref().map(Certificate::as_der)
    }

    /// The certificate, taken apart.
    #[must_use]
    pub const fn parsed(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }

    /// The SubjectPublicKeyInfo.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        self.certificate.as_ref().map_or(&self.der, Certificate::spki)
    }
}

/// Reads a file: everything in it that a record can be made from, in its order. A private key beside its certificate, as servers
/// have them in one file, stands for nothing of its own; one that belongs to no certificate of the file is a mistake.
///
/// `file` is for the words of an error.
///
/// # Errors
/// [`Error`] names the block that cannot be read.
pub fn read(file: &str, contents: &[u8]) -> Result<Vec<Subject>, Error> {
    let found = blocks(contents);
    let subjects = if found.is_empty() {
        der(contents).into_iter().collect()
    } else {
        let read = found.iter().map(|found| block(file, found));
        read.filter_map(Result::transpose).collect::<Result<Vec<_>, Error>>()?
    };
    if subjects.is_empty() {
        return Err(Error::Nothing { file: file.into() });
    }
    without_own_keys(file, subjects)
}

fn without_own_keys(file: &str, subjects: Vec<Subject>) -> Result<Vec<Subject>, Error> {
    let is_key = |subject: &Subject| subject.kind == Kind::PrivateKey;
    if subjects.iter().all(is_key) || !subjects.iter().any(|subject| subject.kind == Kind::Certificate) {
        return Ok(subjects);
    }
    let certified = |key: &Subject| subjects.iter().any(|other| !is_key(other) && other.spki() == key.spki());
    if !subjects.iter().filter(|subject| is_key(subject)).all(certified) {
        return Err(Error::Mismatch { file: file.into() });
    }
    Ok(subjects.into_iter().filter(|subject| !is_key(subject)).collect())
}

fn block(file: &str, block: &Block) -> Result<Option<Subject>, Error> {
    let bad = |cause: String| Error::Block {
        file: file.into(),
        index: block.index,
        label: block.label.clone(),
        cause,
    };
    let label = block.label.as_str();
    let kind = match label {
        "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE" => Kind::Certificate,
        "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => Kind::Request,
        "PUBLIC KEY" => Kind::PublicKey,
        "ENCRYPTED PRIVATE KEY" => return Err(bad(ENCRYPTED.into())),
        _ if label.ends_with("PRIVATE KEY") => Kind::PrivateKey,
        // Parameters of curves and the like.
        _ => return Ok(None),
    };
    let contents = block.contents.as_ref().map_err(|cause| match cause {
        waxseal_trust::BadBlock::Encrypted => bad(ENCRYPTED.into()),
        waxseal_trust::BadBlock::NoEnd | waxseal_trust::BadBlock::Base64 => bad(cause.to_string()),
    })?;
    subject(kind, contents)
        .map(Some)
        .ok_or_else(|| bad(format!("it is no {} that can be used", kind.as_str())))
}

const ENCRYPTED: &str =
    "it is encrypted; give the certificate, the request or the public key instead (openssl pkey -pubout)";

/// Which of them it is shows from the inside.
fn der(contents: &[u8]) -> Option<Subject> {
    let kinds = [Kind::Certificate, Kind::Request, Kind::PublicKey, Kind::PrivateKey];
    kinds.into_iter().find_map(|kind| subject(kind, contents))
}

fn subject(kind: Kind, contents: &[u8]) -> Option<Subject> {
    let key = |der: &[u8]| Some(Subject { kind, ..Subject::key_from(der)? });
    match kind {
        Kind::Certificate => Subject::certificate_from(contents),
        Kind::PublicKey => key(contents),
        Kind::PrivateKey => key(&spki_of_private_key(contents)?),
        Kind::Request => key(spki_of_request(contents)?),
    }
}
