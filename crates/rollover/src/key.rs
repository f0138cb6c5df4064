//! Keys and chains: made, or given.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, RsaKeySize};
use waxseal_trust::{Settings, Store, StoreSettings};
use waxseal_types::{Domain, Service};

use crate::{
    Error, Folder, Target,
    keep::{Rights, read_text, replace},
};

/// Kinds of keys that are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewKey {
    /// ECDSA on P-256.
    Ecdsa,
    /// RSA with 2048 bits, for clients that know nothing else.
    Rsa,
}

/// Where the next certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A key is made, with a certificate signed by itself: enough for `3 1 1`, which wants no more of it (RFC 7671 §5.1).
    Make(NewKey),
    /// A key is made, with a request; the certificate will appear in this file.
    Request(NewKey, PathBuf),
    /// A certificate with its chain, and its key in a file of its own or in the same one.
    Given {
        /// The chain, leaf first; the key may stand before it.
        chain: PathBuf,
        /// The key.
        key: Option<PathBuf>,
    },
}

/// Makes or fetches what is next, and puts it into the folder. Gives its chain, DER; that of a request is a stand-in with the same key.
///
/// # Errors
/// What is wrong with the files that were given.
pub fn prepare(folder: &Folder, source: &Source, names: &[Domain]) -> Result<Vec<Vec<u8>>, Error> {
    let next = folder.next_file();
    match source {
        Source::Make(kind) | Source::Request(kind, _) => {
            let (key, certificate, request) = make(*kind, names)?;
            replace(&next, format!("{key}{certificate}").as_bytes(), None)?;
            replace(&folder.request_file(), request.as_bytes(), None)?;
        }
        Source::Given { chain, key } => stage(folder, key.as_deref(), chain)?,
    }
    read_chain(&next, None)
}

/// Puts a key and a chain into the folder.
fn stage(folder: &Folder, key: Option<&Path>, chain: &Path) -> Result<(), Error> {
    let read = |path: &Path| read_text(path).map_err(|error| Error::file(path, error));
    let mut text = read(chain)?;
    if let Some(path) = key {
        let key = private_key(&read(path)?).ok_or_else(|| Error::file(path, "it holds no private key"))?;
        text = key + &text;
    }
    // Looked at before it takes the place of what is there.
    let trial = folder.next_file().with_extension("trial");
    replace(&trial, text.as_bytes(), None)?;
    let checked = read_chain(&trial, None);
    // A copy of a key does not stay.
    let _ = fs::remove_file(&trial);
    checked.map_err(|error| match error {
        // The trial is nobody's business.
        Error::File { problem, .. } => {
            let shown = trial.display().to_string();
            let problem = problem.replace(&format!("{shown}: "), "").replace(&shown, "it");
            let remedy = if key.is_none() { "; a key in a file of its own is named with --key" } else { "" };
            Error::file(chain, problem + remedy)
        }
        other => other,
    })?;
    replace(&folder.next_file(), text.as_bytes(), None)
}

/// The first private key of a PEM text, without what stands around it: its certificate, say.
fn private_key(text: &str) -> Option<String> {
    let ends =
        |line: &str, marker: &str| line.starts_with(marker) && line.trim_end().ends_with("PRIVATE KEY-----");
    let mut lines = text.lines().skip_while(|line| !ends(line, "-----BEGIN ")).peekable();
    lines.peek()?;
    let mut key = String::new();
    for line in lines {
        key = key + line + "\n";
        if ends(line, "-----END ") {
            return Some(key);
        }
    }
    None
}

/// Takes in the certificate that was awaited, where it is there and fits the key.
pub(crate) fn complete(folder: &Folder, awaited: &Path) -> Result<Vec<Vec<u8>>, Error> {
    let text = read_text(awaited)
        .map_err(|error| Error::file(awaited, format!("the certificate for the next key: {error}")))?;
    let next = folder.next_file();
    let staged = read_text(&next).map_err(|error| Error::file(&next, error))?;
    let end = staged.find("-----BEGIN CERTIFICATE").unwrap_or(staged.len());
    let trial = next.with_extension("trial");
    replace(&trial, format!("{}{text}", &staged[..end]).as_bytes(), None)?;
    match read_chain(&trial, None) {
        Ok(chain) => {
            fs::rename(&trial, &next).map_err(|error| Error::file(&next, error))?;
            Ok(chain)
        }
        Err(error) => {
            let _ = fs::remove_file(&trial);
            let problem = format!("this is no certificate for the next key: {error}");
            Err(Error::file(awaited, problem))
        }
    }
}

/// PEM texts: key, certificate, request.
fn make(kind: NewKey, names: &[Domain]) -> Result<(String, String, String), Error> {
    let wrong = |error: rcgen::Error| Error::Unknown(format!("no key can be made: {error}"));
    let key = match kind {
        NewKey::Ecdsa => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
        NewKey::Rsa => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048),
    };
    let key = key.map_err(wrong)?;
    let listed: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut wanted = CertificateParams::new(listed).map_err(wrong)?;
    wanted.distinguished_name = DistinguishedName::new();
    if let Some(first) = names.first() {
        wanted.distinguished_name.push(DnType::CommonName, first.as_str());
    }
    let request = wanted.serialize_request(&key).and_then(|request| request.pem()).map_err(wrong)?;
    let certificate = wanted.self_signed(&key).map_err(wrong)?;
    Ok((key.serialize_pem(), certificate.pem(), request))
}

/// The chain of a file, read as the intake reads it: a key that does not fit, or is encrypted, is told.
///
/// # Errors
/// [`Error::File`].
pub fn read_chain(file: &Path, key_file: Option<&Path>) -> Result<Vec<Vec<u8>>, Error> {
    let files = match key_file {
        None => StoreSettings { chain_files: vec![file.to_owned()], ..StoreSettings::default() },
        Some(key) => StoreSettings {
            cert_file: Some(file.to_owned()),
            key_file: Some(key.to_owned()),
            ..StoreSettings::default()
        },
    };
    let wrong = |error: waxseal_trust::Error| Error::file(file, error);
    if let Some(path) = [Some(file), key_file].into_iter().flatten().find(|path| !path.exists()) {
        return Err(Error::file(path, "there is no such file"));
    }
    let (store, _) = Store::open(Settings { smtp: files, ..Settings::default() }).map_err(wrong)?;
    let chains = store.client(&Service::SMTP).map_err(wrong)?;
    match &*chains {
        [one] => Ok(one.chain.clone()),
        several => Err(Error::file(file, format!("it holds {} chains, not one", several.len()))),
    }
}

/// Puts the staged key and chain where the server reads them, with the rights of the files that were there.
pub(crate) fn install(folder: &Folder, target: &Target) -> Result<(), Error> {
    let next = folder.next_file();
    let text = read_text(&next).map_err(|error| Error::file(&next, error))?;
    let Some(key_file) = &target.key_file else {
        return replace(&target.file, text.as_bytes(), rights(&target.file));
    };
    // Two files cannot change at once. Readers that find a key which does not fit keep what they have, as the intake does.
    let at = text.find("-----BEGIN CERTIFICATE").unwrap_or(text.len());
    replace(key_file, &text.as_bytes()[..at], rights(key_file))?;
    replace(&target.file, &text.as_bytes()[at..], rights(&target.file))
}

fn rights(path: &Path) -> Option<Rights> {
    let known = fs::metadata(path).ok()?;
    Some(Rights { uid: known.uid(), gid: known.gid(), mode: known.mode() })
}

#[cfg(test)]
mod tests {
    use waxseal_trust::spki_of;

    use super::*;

    fn names() -> Vec<Domain> {
        vec![Domain::new("mx.example.org").unwrap(), Domain::new("mx2.example.org").unwrap()]
    }

    #[test]
    fn keys_of_both_kinds_are_made_and_installed() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        for kind in [NewKey::Ecdsa, NewKey::Rsa] {
            let chain = prepare(&folder, &Source::Make(kind), &names()).unwrap();
            let file = place.path().join("tls.pem");
            install(&folder, &Target { file: file.clone(), key_file: None }).unwrap();
            assert_eq!(read_chain(&file, None).unwrap(), chain);
            let key_file = Some(place.path().join("tls.key"));
            install(&folder, &Target { file: file.clone(), key_file: key_file.clone() }).unwrap();
            assert_eq!(read_chain(&file, key_file.as_deref()).unwrap(), chain);
            assert!(!fs::read_to_string(&file).unwrap().contains("PRIVATE"));
        }
    }

    #[test]
    fn a_certificate_is_awaited_and_must_fit_the_key() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        let awaited = place.path().join("signed.pem");
        let stand_in = prepare(&folder, &Source::Request(NewKey::Ecdsa, awaited.clone()), &names()).unwrap();
        assert!(
            fs::read_to_string(folder.request_file()).unwrap().starts_with("-----BEGIN CERTIFICATE REQUEST")
        );
        assert!(complete(&folder, &awaited).is_err(), "it is not there");
        let (_, other, _) = make(NewKey::Ecdsa, &names()).unwrap();
        fs::write(&awaited, other).unwrap();
        assert!(
            complete(&folder, &awaited).unwrap_err().to_string().contains("no certificate for the next key")
        );
        assert_eq!(read_chain(&folder.next_file(), None).unwrap(), stand_in, "what was staged stays");
        // What an authority would sign, with the same key.
        let key = KeyPair::from_pem(&fs::read_to_string(folder.next_file()).unwrap()).unwrap();
        let signed =
            CertificateParams::new(vec!["mx.example.org".to_owned()]).unwrap().self_signed(&key).unwrap();
        fs::write(&awaited, signed.pem()).unwrap();
        let chain = complete(&folder, &awaited).unwrap();
        assert_eq!((chain[0].as_slice(), spki_of(&chain[0])), (&signed.der()[..], spki_of(&stand_in[0])));
    }

    #[test]
    fn what_is_given_is_looked_at_before_it_is_taken() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        let (key, certificate, _) = make(NewKey::Ecdsa, &names()).unwrap();
        let (other, ..) = make(NewKey::Ecdsa, &names()).unwrap();
        let write = |name: &str, text: &str| {
            let path = place.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let chain = write("cert.pem", &certificate);
        let given =
            |key: Option<PathBuf>| prepare(&folder, &Source::Given { chain: chain.clone(), key }, &names());
        assert!(given(None).is_err(), "a key is missing");
        assert!(given(Some(write("other.pem", &other))).is_err(), "it is another key");
        let with_another = format!("{certificate}{key}");
        assert_eq!(given(Some(write("key.pem", &with_another))).unwrap().len(), 1);
        assert!(given(Some(write("none.pem", &certificate))).is_err(), "no key in it");
        assert!(!folder.next_file().with_extension("trial").exists());
    }
}
