//! Good files, bad files, and files that change, each with what an operator is told.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends")]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
use waxseal_trust::{AnchorKind, AnchorRules, Error, Notice, Settings, Severity, Store, StoreSettings};
use waxseal_types::{AnchorFiles, Service, UnixTime};

/// Long after any file of the tests was written: nothing is "just being written".
const NOW: UnixTime = UnixTime::from_secs(4_000_000_000);

struct Ca {
    pem: String,
    der: Vec<u8>,
    public: String,
    private: String,
}

fn ca(name: &str, until: i32) -> Ca {
    let mut params = CertificateParams::new([]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    Ca {
        pem: certificate.pem(),
        der: certificate.der().to_vec(),
        public: key.public_key_pem(),
        private: key.serialize_pem(),
    }
}

fn relabel(pem: &str, from: &str, to: &str) -> String {
    pem.replace(&format!("BEGIN {from}"), &format!("BEGIN {to}"))
        .replace(&format!("END {from}"), &format!("END {to}"))
}

/// The block cut in half.
fn half(pem: &str) -> String {
    let lines: Vec<_> = pem.lines().collect();
    let kept = lines.len() / 2;
    format!("{}\n{}\n", lines[..kept].join("\n"), lines[lines.len() - 1])
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

fn only(paths: &[&Path]) -> AnchorFiles {
    AnchorFiles::Only(paths.iter().map(|path| path.to_str().unwrap().to_owned()).collect())
}

fn store(smtp: StoreSettings) -> (Store, Vec<Notice>) {
    Store::open_at(Settings { smtp, ..Settings::default() }, NOW).unwrap()
}

fn with_ca_file(path: PathBuf) -> (Store, Vec<Notice>) {
    store(StoreSettings { ca_file: Some(path), ..StoreSettings::default() })
}

#[test]
fn anchor_files_hold_certificates_and_bare_keys_with_their_origins() {
    let (place, a, b) = (Place::new(), ca("Authority A", 5000), ca("Authority B", 5000));
    let text = format!(
        "our anchors\n{}text between\n{}{}",
        a.pem,
        b.public,
        relabel(&b.pem, "CERTIFICATE", "X509 CERTIFICATE")
    );
    let path = place.file("anchors.pem", text.replace('\n', "\r\n"));
    let (store, notices) = store(StoreSettings::default());
    assert!(notices.is_empty());
    let anchors = store.anchors_at(&Service::SMTP, &only(&[&path]), NOW).unwrap();
    assert_eq!((anchors.rules(), anchors.list().len()), (AnchorRules::Explicit, 3));
    assert!(matches!(anchors.list()[1].kind, AnchorKind::Key(_)));
    let shown: Vec<_> = anchors.list().iter().map(|anchor| anchor.to_string()).collect();
    let at = path.display();
    assert_eq!(shown[0], format!("/CN=Authority A ({at}:1)"));
    assert!(
        shown[1].starts_with("public key sha256 ") && shown[1].ends_with(&format!("({at}:2)")),
        "{shown:?}"
    );
    assert_eq!(anchors.list()[1].spki_sha256(), anchors.list()[2].spki_sha256());
    let again = store.anchors_at(&Service::SMTP, &only(&[&path]), NOW).unwrap();
    assert!(Arc::ptr_eq(&anchors, &again), "the snapshot is shared");
}

#[test]
fn bad_anchor_files_are_refused_each_with_its_message() {
    let (place, a) = (Place::new(), ca("Authority A", 5000));
    let table: [(&str, Vec<u8>, &str); 9] = [
        ("empty", Vec::new(), "no usable trust anchor: the file is empty"),
        ("garbage", b"This is not PEM at all.\n".to_vec(), "no usable trust anchor: it has no PEM block"),
        ("der", a.der.clone(), "no usable trust anchor: it looks like DER, not PEM"),
        ("key", a.private.clone().into(), "block 1 is a private key; a trust anchor file must not hold one"),
        ("mixed-key", format!("{}{}", a.pem, a.private).into(), "block 2 is a private key"),
        (
            "trusted",
            relabel(&a.pem, "CERTIFICATE", "TRUSTED CERTIFICATE").into(),
            "no usable trust anchor: it has 1 PEM block(s)",
        ),
        ("half", half(&a.pem).into(), "no usable trust anchor"),
        ("half-key", half(&a.public).into(), "no usable trust anchor"),
        ("large", vec![b'x'; 10 << 20], "is larger than 8388608 octets"),
    ];
    let (store, _) = store(StoreSettings::default());
    for (name, text, expected) in table {
        let path = place.file(name, text);
        let error = store.anchors_at(&Service::SMTP, &only(&[&path]), NOW).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains(name), "{name}: {error}");
    }
    let directory = store.anchors_at(&Service::SMTP, &only(&[place.0.path()]), NOW).unwrap_err().to_string();
    assert!(directory.contains("it is a directory"), "{directory}");
    let good = place.file("good", &a.pem);
    let missing = place.0.path().join("missing");
    let error = store.anchors_at(&Service::SMTP, &only(&[&good, &missing]), NOW).unwrap_err();
    assert!(matches!(error, Error::Unreadable { .. }), "one of two files is missing: {error}");
}

#[test]
fn a_bad_block_among_good_ones_a_repeated_and_an_expired_anchor_are_warnings() {
    let (place, a, b, old) = (Place::new(), ca("A", 5000), ca("B", 5000), ca("Old", 2020));
    let path = place.file(
        "anchors.pem",
        [&*a.pem, &half(&b.pem), &a.pem, &old.pem, &relabel(&b.public, "PUBLIC KEY", "RSA PUBLIC KEY")]
            .concat(),
    );
    let settings = StoreSettings { anchor_files: vec![path.clone()], ..StoreSettings::default() };
    let (store, notices) = store(settings);
    let texts: Vec<_> = notices.iter().map(|notice| notice.text.as_str()).collect();
    assert!(notices.iter().all(|notice| notice.severity == Severity::Warning && notice.path == path));
    for expected in [
        "block 2 (CERTIFICATE) is ignored: not an X.509 certificate",
        "block 3 repeats an earlier one",
        "has expired; trust anchors count all the same",
        "block 5 (RSA PUBLIC KEY) is ignored",
    ] {
        assert_eq!(texts.iter().filter(|text| text.contains(expected)).count(), 1, "{expected}: {texts:?}");
    }
    assert_eq!(store.anchors_at(&Service::SMTP, &only(&[&path]), NOW).unwrap().list().len(), 2);
    assert!(store.notices().is_empty(), "said once");
}

#[test]
fn a_ca_file_is_spoilt_by_one_bad_block_and_says_which() {
    let (place, a, b) = (Place::new(), ca("A", 5000), ca("B", 5000));
    let table = [
        (
            "good-then-bad",
            format!("{}{}", a.pem, half(&b.pem)),
            "block 2 (CERTIFICATE): not an X.509 certificate",
        ),
        ("bad-then-good", format!("{}{}", half(&b.pem), a.pem), "block 1 (CERTIFICATE)"),
        (
            "public-key-only",
            a.public.clone(),
            "no usable certificate: it has 1 PEM block(s), the first of them \"PUBLIC KEY\"",
        ),
        ("empty", String::new(), "the file is empty"),
        ("no-end", a.pem.replace("-----END", "----END"), "its END line is missing"),
    ];
    for (name, text, expected) in table {
        let (store, notices) = with_ca_file(place.file(name, text));
        let error = store.anchors_at(&Service::SMTP, &AnchorFiles::Default, NOW).unwrap_err().to_string();
        assert!(error.contains(expected), "{name}: {error}");
        assert_eq!((notices.len(), notices[0].severity), (1, Severity::Alert), "{name}");
        assert!(
            store.anchors_at(&Service::LMTP, &AnchorFiles::Default, NOW).unwrap().is_empty(),
            "not LMTP's file"
        );
    }
    let trusted = relabel(&a.pem, "CERTIFICATE", "TRUSTED CERTIFICATE");
    let (store, _) = with_ca_file(place.file("trusted", format!("text\n{trusted}more\n{}", b.private)));
    assert_eq!(store.anchors_at(&Service::SMTP, &AnchorFiles::Default, NOW).unwrap().list().len(), 1);
}

#[test]
fn a_hashed_directory_is_read_one_issuer_at_a_time() {
    let (place, a, twin, b) =
        (Place::new(), ca("Same Name", 5000), ca("SAME  name", 5000), ca("Other", 5000));
    let name = |ca: &Ca| waxseal_trust::Certificate::parse(&ca.der).unwrap().subject().clone();
    assert_eq!(name(&a).hash(), name(&twin).hash());
    place.file(&format!("{:08x}.0", name(&a).hash()), &a.pem);
    place.file(&format!("{:08x}.1", name(&a).hash()), &twin.pem);
    place.file(&format!("{:08x}.3", name(&a).hash()), &b.pem);
    let settings = StoreSettings { ca_path: Some(place.0.path().to_owned()), ..StoreSettings::default() };
    let (store, notices) = store(settings);
    assert!(notices.is_empty());
    let anchors = store.anchors_at(&Service::SMTP, &AnchorFiles::Default, NOW).unwrap();
    assert!(anchors.list().is_empty() && !anchors.is_empty());
    assert_eq!(anchors.named(&name(&a)).len(), 2);
    assert!(anchors.named(&name(&b)).is_empty());
}

#[test]
fn the_last_good_version_stays_in_force_for_the_stale_limit() {
    let (place, a, b) = (Place::new(), ca("A", 5000), ca("B", 5000));
    let path = place.file("anchors.pem", &a.pem);
    let (store, _) = store(StoreSettings::default());
    let files = only(&[&path]);
    let subject = |at: UnixTime| {
        store
            .anchors_at(&Service::SMTP, &files, at)
            .map(|anchors| anchors.list()[0].certificate().unwrap().subject().to_string())
    };
    assert_eq!(subject(NOW).unwrap(), "/CN=A");
    fs::remove_file(&path).unwrap();
    let gone = NOW + Duration::from_secs(10);
    assert_eq!(subject(gone).unwrap(), "/CN=A");
    let alerts = store.notices();
    assert!(
        alerts.len() == 1 && alerts[0].text.contains("the last good version stays in force for 900 s"),
        "{alerts:?}"
    );
    assert_eq!(subject(gone + Duration::from_secs(900)).unwrap(), "/CN=A");
    assert!(subject(gone + Duration::from_secs(901)).is_err(), "a file that vanished has failed");
    fs::write(&path, &b.pem).unwrap();
    assert_eq!(subject(gone + Duration::from_secs(910)).unwrap(), "/CN=B");
}

/// A failure that left no trace in the file itself (no descriptors, a closed folder) is tried again, and told once.
#[test]
fn a_file_that_failed_is_tried_again_though_it_did_not_change() {
    let (place, a) = (Place::new(), ca("A", 5000));
    let (elsewhere, link) = (Place::new(), place.0.path().join("anchors.pem"));
    let (store, _) = store(StoreSettings::default());
    let target = elsewhere.file("gone", &a.pem);
    let files = only(&[&link]);
    let ask = |seconds| store.anchors_at(&Service::SMTP, &files, NOW + Duration::from_secs(seconds)).is_ok();
    assert!(!ask(0));
    assert!(!ask(2));
    assert!(!ask(11), "tried again");
    assert_eq!(store.notices().len(), 1);
    fs::rename(target, &link).unwrap();
    assert!(ask(13));
}

#[test]
fn a_file_is_read_once_it_has_been_quiet() {
    let (place, a, b) = (Place::new(), ca("A", 5000), ca("B", 5000));
    let path = place.file("anchors.pem", &a.pem);
    let (store, _) = store(StoreSettings::default());
    let subject = |at: UnixTime| {
        let anchors = store.anchors_at(&Service::SMTP, &only(&[&path]), at).unwrap();
        anchors.list()[0].certificate().unwrap().subject().to_string()
    };
    assert_eq!(subject(NOW), "/CN=A");
    fs::write(&path, &b.pem).unwrap();
    let written = NOW + Duration::from_secs(100);
    let stamp = std::time::UNIX_EPOCH + Duration::from_secs(written.as_secs());
    fs::File::options().write(true).open(&path).unwrap().set_modified(stamp).unwrap();
    assert_eq!(subject(written + Duration::from_millis(500)), "/CN=A", "it may be half-written");
    assert_eq!(subject(written + Duration::from_secs(2)), "/CN=B");
}

#[test]
fn client_certificates_are_found_in_either_order_and_mismatches_are_told() {
    let (place, a, b) = (Place::new(), ca("client", 5000), ca("other", 5000));
    let (certificate, key) = (place.file("cert.pem", &a.pem), place.file("key.pem", &a.private));
    let both = place.file("both.pem", format!("{}{}", a.pem, a.private));
    let key_first = place.file("chain.pem", format!("{}{}{}", a.private, a.pem, b.pem));
    let other = place.file("other.pem", &b.private);
    let ask = |settings: StoreSettings| store(settings).0.client_at(&Service::SMTP, NOW);
    let pair = |certificate: &Path, key: Option<&Path>| StoreSettings {
        cert_file: Some(certificate.to_owned()),
        key_file: key.map(Path::to_owned),
        ..StoreSettings::default()
    };
    let chain =
        |path: &Path| StoreSettings { chain_files: vec![path.to_owned()], ..StoreSettings::default() };
    for good in [pair(&certificate, Some(&key)), pair(&both, None), chain(&key_first)] {
        let found = ask(good).unwrap();
        assert_eq!((found.len(), &found[0].chain[0]), (1, &a.der));
    }
    assert!(matches!(ask(pair(&certificate, Some(&other))), Err(Error::KeyMismatch { .. })));
    assert!(matches!(ask(pair(&place.0.path().join("missing"), None)), Err(Error::Unreadable { .. })));
    assert!(matches!(ask(chain(&both)), Err(Error::Order { index: 1, .. })), "the key must come first");
    assert!(matches!(ask(chain(&place.file("g", "garbage"))), Err(Error::Nothing { .. })));
    let (missing, notices) = store(chain(&place.0.path().join("missing")));
    assert!(missing.client_at(&Service::SMTP, NOW).unwrap().is_empty(), "Postfix goes on without it");
    assert_eq!(notices[0].severity, Severity::Alert);
}

/// Threats C10: Postfix's own test files and what Postfix says of them.
#[test]
fn postfix_refs_are_judged_as_postfix_judges_them() {
    let root = std::env::var_os("LAB_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let tls = root.join("data/postfix-refs/postfix/src/tls");
    if !tls.is_dir() {
        assert!(std::env::var_os("CI").is_none(), "{} is missing", tls.display());
        println!("skipped: {} is missing", tls.display());
        return;
    }
    let chains = |name: &str| StoreSettings { chain_files: vec![tls.join(name)], ..StoreSettings::default() };
    let mixed = |name: &str| StoreSettings { cert_file: Some(tls.join(name)), ..StoreSettings::default() };
    let table = [
        (chains("goodchains.pem"), Ok(vec![3, 3])),
        (chains("bad-back-to-back-keys.pem"), Err("block 1: the key is not followed by a certificate")),
        (chains("bad-ec-cert-before-key.pem"), Err("block 1: the key must come before its certificate")),
        (chains("bad-key-cert-mismatch.pem"), Err("the private key is not that of the certificate")),
        (chains("bad-rsa-key-last.pem"), Err("block 5: the key is not followed by a certificate")),
        (mixed("good-mixed-keyfirst.pem"), Ok(vec![3])),
        (mixed("good-mixed-keymiddle.pem"), Ok(vec![3])),
        (mixed("good-mixed-keylast.pem"), Ok(vec![3])),
        (mixed("warn-mixed-multi-key.pem"), Ok(vec![3])),
    ];
    for (settings, expected) in table {
        let shown = format!("{settings:?}");
        let (store, notices) = store(settings);
        let found = store.client_at(&Service::SMTP, NOW);
        match (found, expected) {
            (Ok(found), Ok(expected)) => {
                assert_eq!(
                    found.iter().map(|client| client.chain.len()).collect::<Vec<_>>(),
                    expected,
                    "{shown}"
                );
                assert_eq!(notices.len(), usize::from(shown.contains("warn-")), "{shown}");
            }
            (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
            (found, _) => panic!("{shown}: {found:?}"),
        }
    }
}

/// x509-parser as second opinion on the reader: same fields from whatever both can read.
#[test]
fn x509_parser_reads_the_same_fields() {
    use x509_parser::prelude::{FromDer, X509Certificate};
    for name in ["A", "An Authority With a Longer Name"] {
        let der = ca(name, 2049).der;
        let ours = waxseal_trust::Certificate::parse(&der).unwrap();
        let (_, theirs) = X509Certificate::from_der(&der).unwrap();
        assert_eq!(ours.subject().as_der(), theirs.subject().as_raw());
        assert_eq!(ours.spki(), theirs.public_key().raw);
        assert_eq!(ours.not_before(), Some(theirs.validity().not_before.timestamp()));
        assert_eq!(ours.not_after(), Some(theirs.validity().not_after.timestamp()));
        assert_eq!(ours.signed().message, theirs.tbs_certificate.as_ref());
        assert_eq!(ours.signed().signature, theirs.signature_value.data.as_ref());
        assert_eq!(ours.extensions().basic.map(|basic| basic.ca), Some(true));
    }
}

/// The canonical form of names, against `openssl x509 -hash`. Skipped where there is no openssl; an error in CI.
#[test]
fn openssl_hashes_names_the_same_way() {
    let place = Place::new();
    let odd = [
        "plain",
        "  Outer  and   inner blanks ",
        "UPPER lower",
        "b\u{fc}cher \u{d6}STERREICH",
        "tab\there",
        "*.example.com",
    ];
    for (at, name) in odd.iter().enumerate() {
        let ca = ca(name, 5000);
        let path = place.file(&format!("{at}.pem"), &ca.pem);
        let Ok(output) = std::process::Command::new("openssl")
            .args(["x509", "-noout", "-hash", "-in"])
            .arg(&path)
            .output()
        else {
            assert!(std::env::var_os("CI").is_none(), "there is no openssl");
            println!("skipped: there is no openssl");
            return;
        };
        let ours = waxseal_trust::Certificate::parse(&ca.der).unwrap().subject().hash();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), format!("{ours:08x}"), "{name}");
    }
}

#[cfg(unix)]
#[test]
fn files_that_another_user_cannot_read_are_told_before_the_process_becomes_that_user() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let (place, a) = (Place::new(), ca("A", 5000));
    let mode = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let path = place.file("anchors.pem", &a.pem);
    let (owner, stranger) = (path.metadata().unwrap().uid(), 54_321);
    let (store, _) = store(StoreSettings { anchor_files: vec![path.clone()], ..StoreSettings::default() });
    let told = |uid: u32| store.unreadable_for(uid, 54_321).len();
    mode(place.0.path(), 0o755);
    mode(&path, 0o644);
    assert_eq!((told(owner), told(stranger)), (0, 0));
    mode(&path, 0o600);
    assert_eq!((told(owner), told(stranger), told(0)), (0, 1, 0));
    mode(&path, 0o644);
    mode(place.0.path(), 0o700);
    assert_eq!(told(stranger), 1, "the folder is closed");
}
