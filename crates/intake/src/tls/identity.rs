//! The certificates by which the intake is known.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use waxseal_trust::{Certificate, GeneralName, StoreSettings, spki_of};
use waxseal_types::{ClientCertificate, Domain};

use crate::Error;

/// Where a certificate of our own making is kept, in the folder of the spool.
pub(super) const OWN_FILE: &str = "intake-self-signed.pem";

/// Chains with their keys, at most one for each kind of key that matters: the first that fits what a client can verify is shown.
#[derive(Debug)]
pub(super) struct Identity {
    keys: Vec<Arc<CertifiedKey>>,
    /// As they were read.
    pub(super) chains: Vec<ClientCertificate>,
    /// Whether the keys are shown without certificates (RFC 7250).
    raw: bool,
}

impl Identity {
    pub(super) fn new(chains: Vec<ClientCertificate>, provider: &CryptoProvider) -> Result<Self, Error> {
        let load = |chain: &ClientCertificate| {
            let bad = |what: String| Error::Certificate(format!("the intake's certificate: {what}"));
            let certificates = chain.chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
            let key = PrivateKeyDer::try_from(chain.key.clone()).map_err(|what| bad(what.into()))?;
            let key = provider.key_provider.load_private_key(key).map_err(|what| bad(what.to_string()))?;
            Ok(Arc::new(CertifiedKey::new(certificates, key)))
        };
        let keys = chains.iter().map(load).collect::<Result<Vec<_>, Error>>()?;
        Ok(Self { keys, chains, raw: false })
    }

    /// The same keys without their certificates.
    pub(super) fn without_certificates(&self) -> Self {
        let bare = |known: &Arc<CertifiedKey>| {
            let spki = spki_of(known.cert.first()?)?;
            Some(Arc::new(CertifiedKey::new(
                vec![CertificateDer::from(spki.to_vec())],
                Arc::clone(&known.key),
            )))
        };
        Self { keys: self.keys.iter().filter_map(bare).collect(), chains: self.chains.clone(), raw: true }
    }
}

impl ResolvesServerCert for Identity {
    /// ECDSA before RSA where the client takes both, as OpenSSL does: it costs a twentieth to sign.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let fits = |known: &&Arc<CertifiedKey>| known.key.choose_scheme(hello.signature_schemes()).is_some();
        let is_rsa = |known: &Arc<CertifiedKey>| known.key.algorithm() == rustls::SignatureAlgorithm::RSA;
        // RFC 5246 §7.4.2: in TLS 1.2 the suite names the kind of the key, too. TLS 1.3 suites name none.
        let suites = |known: &&Arc<CertifiedKey>| {
            let wanted = if is_rsa(known) { ECDHE_RSA } else { ECDHE_ECDSA };
            hello.cipher_suites().iter().any(|suite| {
                let suite = u16::from(*suite);
                TLS13.contains(&suite) || wanted.contains(&suite)
            })
        };
        let mut usable: Vec<_> = self.keys.iter().filter(fits).filter(suites).collect();
        usable.sort_by_key(|known| is_rsa(known));
        // Where none fits, the handshake ends for want of a suite, which says more than that there is no certificate.
        usable.first().copied().or_else(|| self.keys.first()).map(Arc::clone)
    }

    fn only_raw_public_keys(&self) -> bool {
        self.raw
    }
}

pub(super) const TLS13: [u16; 3] = [0x1301, 0x1302, 0x1303];
const ECDHE_ECDSA: [u16; 3] = [0xC02B, 0xC02C, 0xCCA9];
const ECDHE_RSA: [u16; 3] = [0xC02F, 0xC030, 0xCCA8];

/// Names of a certificate that are looked after. Each costs lookups; certificates of mail servers have a handful.
const MAX_NAMES: usize = 100;

/// The names in the leaves, which clients may know the server by (RFC 7672 §3.2.3): not those with a wildcard, which stand for no name.
pub(super) fn names(chains: &[ClientCertificate]) -> Vec<String> {
    let mut names = Vec::new();
    let leaves = chains.iter().filter_map(|one| Certificate::parse(one.chain.first()?).ok());
    for leaf in leaves {
        let dns = leaf.alternative_names().filter_map(|name| match name {
            GeneralName::Dns(octets) => Domain::new(str::from_utf8(octets).ok()?).ok(),
            _ => None,
        });
        names.extend(dns.map(|name| name.to_string()).filter(|name| !name.contains('*')).take(MAX_NAMES));
    }
    names.sort();
    names.dedup();
    names
}

/// All files with certificates or keys that are configured.
pub(super) fn files(files: &StoreSettings) -> Vec<&PathBuf> {
    let pairs = [&files.cert_file, &files.key_file, &files.eccert_file, &files.eckey_file];
    let pairs = pairs.into_iter().flatten().filter(|_| files.chain_files.is_empty());
    files.chain_files.iter().chain(pairs).collect()
}

/// The files with private keys among those that are configured.
pub(super) fn key_files(files: &StoreSettings) -> Vec<&PathBuf> {
    let rsa = files.key_file.as_ref().or(files.cert_file.as_ref());
    let ecdsa = files.eckey_file.as_ref().or(files.eccert_file.as_ref());
    let pairs = [rsa.filter(|_| files.cert_file.is_some()), ecdsa.filter(|_| files.eccert_file.is_some())];
    if files.chain_files.is_empty() {
        pairs.into_iter().flatten().collect()
    } else {
        files.chain_files.iter().collect()
    }
}

/// A file that is configured and is not there. Clients do without; a server must not lose one of its certificates unnoticed.
pub(super) fn missing(configured: &StoreSettings) -> Option<&PathBuf> {
    files(configured).into_iter().find(|path| matches!(path.try_exists(), Ok(false)))
}

/// A key that others can read is everybody's; one that they can write is not ours.
pub(super) fn check_permissions(path: &Path) -> Result<Option<String>, Error> {
    let Ok(metadata) = fs::metadata(path) else { return Ok(None) };
    let mode = metadata.permissions().mode();
    let shown = path.display();
    if mode & 0o002 != 0 {
        return Err(Error::Certificate(format!(
            "{shown}: everybody may write to this file with a private key; chmod 600 it, and replace the key"
        )));
    }
    let open = mode & 0o004 != 0;
    Ok(open.then(|| format!("{shown}: everybody may read this file with a private key; chmod 600 it")))
}

/// The certificate of our own making for `name`: the file, made where it is not there yet.
pub(super) fn self_signed(folder: &Path, name: &str) -> Result<PathBuf, Error> {
    let path = folder.join(OWN_FILE);
    let bad = |what: String| Error::Certificate(format!("{}: {what}", path.display()));
    if path.exists() {
        return Ok(path);
    }
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(|e| bad(e.to_string()))?;
    let mut wanted = rcgen::CertificateParams::new(vec![name.to_owned()]).map_err(|e| bad(e.to_string()))?;
    wanted.distinguished_name = rcgen::DistinguishedName::new();
    wanted.distinguished_name.push(rcgen::DnType::CommonName, name);
    let certificate = wanted.self_signed(&key).map_err(|e| bad(e.to_string()))?;
    // Written whole under another name first: what is there is always a pair.
    let fresh = folder.join(format!("{OWN_FILE}.new"));
    let write = || {
        let _ = fs::remove_file(&fresh);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(format!("{}{}", key.serialize_pem(), certificate.pem()).as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, &path)
    };
    write().map_err(|error| bad(error.to_string()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_of_our_own_is_made_once_and_is_for_nobody_else_to_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = self_signed(folder.path(), "mx.example").unwrap();
        let first = fs::read(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(check_permissions(&path).unwrap(), None);
        self_signed(folder.path(), "mx.example").unwrap();
        assert_eq!(fs::read(&path).unwrap(), first);
    }

    #[test]
    fn key_files_that_others_read_are_told_and_those_that_they_write_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let verdict = |mode: u32| {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
            check_permissions(file.path()).map(|told| told.is_some())
        };
        assert!(!verdict(0o600).unwrap() && !verdict(0o640).unwrap());
        assert!(verdict(0o644).unwrap());
        assert!(verdict(0o646).unwrap_err().to_string().contains(&*file.path().to_string_lossy()));
    }
}
