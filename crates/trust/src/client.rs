//! Client certificates and their keys.

use std::path::Path;

use waxseal_types::ClientCertificate;

use crate::{
    Certificate, Error, KeyKind, Notice, Severity, StoreSettings,
    certificate::spki_of,
    der::Reader,
    file,
    key::KeyParts,
    pem::{self, Block},
    private::{ec_public, ed25519_public, rsa_public},
};

type Loaded = Result<(Vec<ClientCertificate>, Vec<Notice>), Error>;

/// All that is configured: `chain_files` if there are any, else the RSA and the ECDSA pair (postconf(5),
/// `smtp_tls_chain_files`).
pub(crate) fn configured(settings: &StoreSettings) -> Loaded {
    if settings.chain_files.is_empty() {
        return pairs(settings);
    }
    let (mut found, mut notices) = (Vec::new(), Vec::new());
    for path in &settings.chain_files {
        // Postfix goes on without a client certificate where the file does not exist, and only there.
        if !path.exists() {
            let text = "does not exist; no client certificate is shown from it".to_owned();
            notices.push(Notice { severity: Severity::Alert, path: path.clone(), text });
            continue;
        }
        found.extend(chains(path, &file::read(path)?)?);
    }
    Ok((found, notices))
}

fn pairs(settings: &StoreSettings) -> Loaded {
    let (mut found, mut notices) = (Vec::new(), Vec::new());
    let pairs = [(&settings.cert_file, &settings.key_file), (&settings.eccert_file, &settings.eckey_file)];
    for (certificate, key) in pairs {
        let Some(certificate) = certificate else { continue };
        let (loaded, said) = pair(certificate, key.as_ref().unwrap_or(certificate))?;
        found.push(loaded);
        notices.extend(said);
    }
    Ok((found, notices))
}

/// A file of certificates, leaf first, and a file with its key, which may be the same: the key may stand anywhere in it.
fn pair(certificate: &Path, key: &Path) -> Result<(ClientCertificate, Vec<Notice>), Error> {
    let text = file::read(certificate)?;
    let mut chain = Vec::new();
    for block in pem::blocks(&text) {
        if is_certificate(&block) {
            chain.push(certificate_in(certificate, &block)?);
        }
    }
    let mut notices = Vec::new();
    let key_text = if key == certificate { text } else { file::read(key)? };
    let mut keys = pem::blocks(&key_text).into_iter().filter(is_key);
    let first = keys.next().ok_or_else(|| Error::Nothing {
        path: key.into(),
        wanted: "private key",
        cause: "it has none".into(),
    })?;
    if let Some(second) = keys.next() {
        let text = format!("the key at block {} is ignored; the one at {} counts", second.index, first.index);
        notices.push(Notice { severity: Severity::Warning, path: key.into(), text });
    }
    let key_der = contents_of(key, &first)?;
    let leaf = chain.first().ok_or_else(|| Error::Nothing {
        path: certificate.into(),
        wanted: "certificate",
        cause: "it has none".into(),
    })?;
    if !belongs(&key_der, leaf) {
        return Err(Error::KeyMismatch { key: key.into(), certificate: certificate.into() });
    }
    Ok((ClientCertificate { chain, key: key_der }, notices))
}

/// A chain file: keys, each with its certificates behind it (postconf(5), `smtp_tls_chain_files`).
fn chains(path: &Path, text: &[u8]) -> Result<Vec<ClientCertificate>, Error> {
    let order = |index, cause| Error::Order { path: path.into(), index, cause };
    let (mut found, mut current): (Vec<ClientCertificate>, Option<(usize, ClientCertificate)>) =
        Default::default();
    for block in pem::blocks(text) {
        if is_key(&block) {
            if let Some((index, done)) = current.take() {
                if done.chain.is_empty() {
                    return Err(order(index, "the key is not followed by a certificate"));
                }
                found.push(done);
            }
            let key = contents_of(path, &block)?;
            current = Some((block.index, ClientCertificate { chain: Vec::new(), key }));
        } else if is_certificate(&block) {
            let Some((_, chain)) = &mut current else {
                return Err(order(block.index, "the key must come before its certificate"));
            };
            let certificate = certificate_in(path, &block)?;
            if chain.chain.is_empty() && !belongs(&chain.key, &certificate) {
                return Err(Error::KeyMismatch { key: path.into(), certificate: path.into() });
            }
            chain.chain.push(certificate);
        }
    }
    match current {
        Some((index, last)) if last.chain.is_empty() => {
            Err(order(index, "the key is not followed by a certificate"))
        }
        Some((_, last)) => {
            found.push(last);
            Ok(found)
        }
        None => {
            let cause = if text.is_empty() { "the file is empty" } else { "it has none" };
            Err(Error::Nothing { path: path.into(), wanted: "private key", cause: cause.into() })
        }
    }
}

fn is_certificate(block: &Block) -> bool {
    matches!(block.label.as_str(), "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE")
}

fn is_key(block: &Block) -> bool {
    block.label.ends_with("PRIVATE KEY")
}

fn broken(path: &Path, block: &Block, cause: String) -> Error {
    Error::Block { path: path.into(), index: block.index, label: block.label.clone(), cause }
}

fn certificate_in(path: &Path, block: &Block) -> Result<Vec<u8>, Error> {
    let contents = contents_of(path, block)?;
    let first = Reader::new(&contents).next().map(|element| element.whole.to_vec()).unwrap_or_default();
    Certificate::parse(&first).map_err(|bad| broken(path, block, bad.to_string()))?;
    Ok(first)
}

fn contents_of(path: &Path, block: &Block) -> Result<Vec<u8>, Error> {
    if block.label == "ENCRYPTED PRIVATE KEY" {
        return Err(broken(path, block, "it is encrypted".into()));
    }
    block.contents.clone().map_err(|bad| broken(path, block, bad.to_string()))
}

/// Whether the private key is that of the certificate.
fn belongs(key: &[u8], certificate: &[u8]) -> bool {
    let Some(wanted) = spki_of(certificate).and_then(KeyParts::new) else { return false };
    let octets = match wanted.kind {
        KeyKind::Rsa(_) => rsa_public(key),
        KeyKind::Ec(curve) => ec_public(curve, key),
        KeyKind::Ed25519 => ed25519_public(key),
        KeyKind::Unknown => None,
    };
    octets.is_some_and(|octets| octets == wanted.octets)
}
