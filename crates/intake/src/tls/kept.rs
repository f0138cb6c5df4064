//! What was last served, across restarts. A server that only had its files would switch at its next start to whatever they hold by then, and
//! the old key, which the records of its clients may still want, would be gone (RFC 7671 §8.1).

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use rustls::{crypto::CryptoProvider, pki_types::PrivateKeyDer};
use waxseal_trust::{Certificate, Store, StoreSettings, block};
use waxseal_types::{ClientCertificate, Service};

use super::identity::Identity;
use crate::Error;

/// The folder of the copies, in the folder of the spool.
const FOLDER: &str = "intake-served";

/// Copies of what was served, each a chain file for nobody else to read. Without a folder there are none.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    folder: Option<PathBuf>,
    /// Held by whoever writes.
    writing: Arc<Mutex<()>>,
}

/// One copy.
#[derive(Debug)]
pub(super) struct Copy {
    pub(super) chains: Vec<ClientCertificate>,
    /// Whether it was read from the files that are configured now.
    pub(super) same_files: bool,
}

/// What is served first.
#[derive(Debug)]
pub(super) enum First {
    /// What is in the files.
    Files(Identity),
    /// What was served before the stop, and why not what is in the files.
    Before(Identity, String),
}

impl First {
    /// Only a server that runs can ask whether a client would take another certificate than before, and DNS may be down: until then it goes on
    /// with the one before. So it does where a start falls between the writing of two files, of which one has the other's key no more. Where
    /// nothing was served before, there is nothing to go on with.
    pub(super) fn choose(
        read: Result<Identity, Error>,
        copy: Option<Copy>,
        provider: &CryptoProvider,
    ) -> Result<Self, Error> {
        let Some(copy) = copy else { return read.map(Self::Files) };
        let why = match &read {
            Ok(identity) if identity.chains == copy.chains => None,
            Ok(_) => {
                Some("TLSA records will be asked whether the one in its files may take its place".into())
            }
            // Other files are another wish, and one that cannot be fulfilled.
            Err(error) => copy.same_files.then(|| error.to_string()),
        };
        match (why, Identity::new(copy.chains, provider)) {
            (Some(why), Ok(before)) => Ok(Self::Before(before, why)),
            (None, _) | (_, Err(_)) => read.map(Self::Files),
        }
    }
}

impl Kept {
    pub(super) fn new(folder: Option<&Path>) -> Self {
        Self { folder: folder.map(|folder| folder.join(FOLDER)), writing: Arc::default() }
    }

    /// Whether there is a place for copies.
    pub(super) const fn is_there(&self) -> bool {
        self.folder.is_some()
    }

    /// The copy for `slot`, the default or an entry of a table. One that cannot be read is none: there is nothing that could be served.
    pub(super) fn load(&self, slot: &str, files: &[&PathBuf]) -> Option<Copy> {
        let path = self.path(slot)?;
        let read = || {
            let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
            let same_files = text.lines().next() == Some(&*heading(files));
            let settings = StoreSettings { chain_files: vec![path.clone()], ..StoreSettings::default() };
            let opened = Store::open(waxseal_trust::Settings { smtp: settings, ..Default::default() });
            let chains = opened.and_then(|(store, _)| store.client(&Service::SMTP));
            Ok(Copy { chains: chains.map_err(|error| error.to_string())?.to_vec(), same_files })
        };
        // Where there has been none, nothing is amiss.
        let there = !matches!(path.try_exists(), Ok(false));
        let told = |why: &String| {
            tracing::error!("{}: {why}; which certificate was served before is not known", path.display())
        };
        let copy: Result<Copy, String> = there.then(read)?.inspect_err(told);
        copy.ok().filter(|copy| !copy.chains.is_empty())
    }

    /// Replaces the copy for `slot`: at each moment the old one is there or the new one, also after a loss of power.
    pub(super) fn store(
        &self,
        slot: &str,
        files: &[&PathBuf],
        chains: &[ClientCertificate],
    ) -> Result<(), String> {
        let (Some(folder), Some(path)) = (&self.folder, self.path(slot)) else { return Ok(()) };
        let mut text = heading(files) + "\n";
        for one in chains {
            text.push_str(&block(label(&one.key), &one.key));
            text.extend(one.chain.iter().map(|der| block("CERTIFICATE", der)));
        }
        let _writing = self.writing.lock();
        let write = || {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            let fresh = path.with_extension("new");
            match fs::remove_file(&fresh) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&fresh, &path)?;
            File::open(folder)?.sync_all()
        };
        write().map_err(|error: io::Error| {
            let shown = path.display();
            format!("{shown}: {error}; the next start will not know which certificate was served")
        })
    }

    /// Words of a table are no file names.
    fn path(&self, slot: &str) -> Option<PathBuf> {
        let digest: String =
            Certificate::digest(slot.as_bytes()).iter().map(|octet| format!("{octet:02x}")).collect();
        Some(self.folder.as_ref()?.join(digest + ".pem"))
    }
}

/// The first line of a copy: whence it was read. Escaped, so that it is one line whatever the paths are.
fn heading(files: &[&PathBuf]) -> String {
    format!("# {files:?}")
}

/// RFC 7468 §10, and the older forms of OpenSSL.
fn label(key: &[u8]) -> &'static str {
    match PrivateKeyDer::try_from(key) {
        Ok(PrivateKeyDer::Pkcs1(_)) => "RSA PRIVATE KEY",
        Ok(PrivateKeyDer::Sec1(_)) => "EC PRIVATE KEY",
        Ok(_) | Err(_) => "PRIVATE KEY",
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_copy_is_what_was_served_and_for_nobody_else_to_read() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::new(Some(folder.path()));
        let chains: Vec<ClientCertificate> = [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ED25519]
            .into_iter()
            .map(|kind| {
                let key = rcgen::KeyPair::generate_for(kind).unwrap();
                let params = rcgen::CertificateParams::new(vec!["mx.example".to_owned()]).unwrap();
                let der = params.self_signed(&key).unwrap().der().to_vec();
                ClientCertificate { chain: vec![der.clone(), der], key: key.serialize_der() }
            })
            .collect();
        let (one, other) = (PathBuf::from("/etc/tls\n.pem"), PathBuf::from("/etc/other.pem"));
        assert!(kept.load("", &[&one]).is_none());
        kept.store("", &[&one], &chains[..1]).unwrap();
        kept.store("", &[&one], &chains).unwrap();
        let copy = kept.load("", &[&one]).unwrap();
        assert!(copy.same_files && copy.chains == chains);
        assert!(!kept.load("", &[&other]).unwrap().same_files);
        assert!(kept.load("another", &[&one]).is_none());
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let file = kept.path("").unwrap();
        assert_eq!((mode(folder.path().join(FOLDER)), mode(file.clone())), (0o700, 0o600));
        fs::write(&file, "nonsense").unwrap();
        assert!(kept.load("", &[&one]).is_none());
    }

    #[test]
    fn without_a_folder_nothing_is_kept() {
        let kept = Kept::new(None);
        kept.store("", &[], &[]).unwrap();
        assert!(!kept.is_there() && kept.load("", &[]).is_none());
    }
}
