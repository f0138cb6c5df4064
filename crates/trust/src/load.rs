//! From the text of a file to anchors.

use std::{collections::HashSet, path::Path, sync::Arc};

use waxseal_types::UnixTime;

use crate::{
    Anchor, AnchorKind, Certificate, Error, Notice, Origin, PublicKey, Severity, der,
    der::Reader,
    pem::{self, Block},
};

type Loaded = Result<(Vec<Arc<Anchor>>, Vec<Notice>), Error>;

/// The certificates of a `CAfile`, or of one file of a `CApath`.
///
/// One broken certificate spoils the whole file, as it does for OpenSSL; blocks of other kinds are left alone.
///
/// # Errors
/// The block that is broken, or that there is no certificate at all.
pub fn authorities(path: &Path, text: &[u8]) -> Loaded {
    let shared: Arc<Path> = path.into();
    let mut found = Vec::new();
    let blocks = pem::blocks(text);
    for block in &blocks {
        let broken = |cause: &dyn std::fmt::Display| Error::Block {
            path: path.into(),
            index: block.index,
            label: block.label.clone(),
            cause: cause.to_string(),
        };
        let certificate = match (block.label.as_str(), &block.contents) {
            ("CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE", Err(bad)) => {
                return Err(broken(bad));
            }
            ("CERTIFICATE" | "X509 CERTIFICATE", Ok(contents)) => Certificate::parse(contents),
            ("TRUSTED CERTIFICATE", Ok(contents)) => {
                let mut reader = Reader::new(contents);
                let certificate = reader.next().ok_or_else(|| broken(&"not an X.509 certificate"))?;
                if !reader.is_empty() {
                    return Err(broken(&"its trust settings are not understood"));
                }
                Certificate::parse(certificate.whole)
            }
            _ => continue,
        };
        let kind = AnchorKind::Certificate(certificate.map_err(|bad| broken(&bad))?);
        let origin = Origin { path: shared.clone(), index: block.index };
        found.push(Arc::new(Anchor { kind, origin }));
    }
    if found.is_empty() {
        return Err(nothing(path, "certificate", &blocks, text));
    }
    Ok((found, Vec::new()))
}

/// The certificates and bare public keys of a trust anchor file (postconf(5), `smtp_tls_trust_anchor_file`).
///
/// A broken block is left out with a warning. An anchor that has expired is taken, with a warning: anchors do not expire.
///
/// # Errors
/// There is no usable anchor in it; or there is a private key, which has no business there.
pub fn anchor_file(path: &Path, text: &[u8], now: UnixTime) -> Loaded {
    let shared: Arc<Path> = path.into();
    let (mut found, mut notices, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    let blocks = pem::blocks(text);
    for block in &blocks {
        let mut warn = |text: String| {
            notices.push(Notice { severity: Severity::Warning, path: path.into(), text });
        };
        if block.label.ends_with("PRIVATE KEY") {
            return Err(Error::PrivateKey { path: path.into(), index: block.index });
        }
        match usable(block) {
            Ok(kind) => {
                let origin = Origin { path: shared.clone(), index: block.index };
                let anchor = Anchor { kind, origin };
                let der = match &anchor.kind {
                    AnchorKind::Certificate(certificate) => certificate.as_der().to_vec(),
                    AnchorKind::Key(key) => key.as_der().to_vec(),
                };
                if !seen.insert(der) {
                    warn(format!("block {} repeats an earlier one", block.index));
                    continue;
                }
                if has_expired(&anchor, now) {
                    warn(format!(
                        "block {}: {anchor} has expired; trust anchors count all the same",
                        block.index
                    ));
                }
                found.push(Arc::new(anchor));
            }
            Err(cause) => warn(format!("block {} ({}) is ignored: {cause}", block.index, block.label)),
        }
    }
    if found.is_empty() {
        return Err(nothing(path, "trust anchor", &blocks, text));
    }
    Ok((found, notices))
}

fn usable(block: &Block) -> Result<AnchorKind, String> {
    let contents = |block: &Block| block.contents.clone().map_err(|bad| bad.to_string());
    match block.label.as_str() {
        "CERTIFICATE" | "X509 CERTIFICATE" => {
            let certificate = Certificate::parse(&contents(block)?).map_err(|bad| bad.to_string())?;
            if certificate.public_key().is_none() {
                return Err("its public key cannot be used".into());
            }
            Ok(AnchorKind::Certificate(certificate))
        }
        "PUBLIC KEY" => {
            let key = PublicKey::parse(&contents(block)?).ok_or("not a public key that can be used")?;
            Ok(AnchorKind::Key(key))
        }
        _ => Err("neither CERTIFICATE nor PUBLIC KEY".into()),
    }
}

fn has_expired(anchor: &Anchor, now: UnixTime) -> bool {
    let end = anchor.certificate().and_then(Certificate::not_after);
    end.and_then(|end| u64::try_from(end).ok()).is_some_and(|end| end < now.as_secs())
}

fn nothing(path: &Path, wanted: &'static str, blocks: &[Block], text: &[u8]) -> Error {
    let cause = if text.is_empty() {
        "the file is empty".to_owned()
    } else if let Some(block) = blocks.first() {
        let bad = block.contents.as_ref().err().map_or(String::new(), |bad| format!(", {bad}"));
        format!("it has {} PEM block(s), the first of them {:?}{bad}", blocks.len(), block.label)
    } else if text.first() == Some(&der::SEQUENCE) {
        "it looks like DER, not PEM".to_owned()
    } else {
        "it has no PEM block".to_owned()
    };
    Error::Nothing { path: path.into(), wanted, cause }
}
