//! STARTTLS, wrapper mode, certificates and tickets, as clients see them.

use std::{os::unix::fs::PermissionsExt as _, path::PathBuf, sync::Arc};

use rustls::ProtocolVersion;
use tokio::{io::AsyncReadExt as _, task::spawn_local};
use waxseal_intake::{
    Answer, Error, Intake, Level, Lookup, Neighbours, Publication, Records, Settings, Switch,
};

use crate::{
    certificates::{Authority, Hands, Pair, seen},
    common::{Client, Server, local, settings},
};

fn at(level: Level, files: Vec<PathBuf>) -> Settings {
    let mut settings = settings();
    settings.tls.level = level;
    settings.tls.files.chain_files = files;
    settings
}

fn with_tls(level: Level) -> (Authority, Pair, Settings) {
    let authority = Authority::new();
    let pair = authority.server("mx.example", false);
    let settings = at(level, vec![pair.file.clone()]);
    (authority, pair, settings)
}

#[test]
fn rfc3207_starttls_is_offered_once_and_forgets_what_was_said_before() {
    local(async {
        let (_authority, pair, mut settings) = with_tls(Level::May);
        settings.tls.received_header = true;
        let server = Server::start(settings);
        let mut client = Client::new(server.connect().await);
        client.reply().await;
        client.say("EHLO client.example\r\n").await;
        assert!(client.lines().await.iter().any(|line| line == "250-STARTTLS"));
        client.say("MAIL FROM:<a@a.example>\r\nSTARTTLS\r\n").await;
        assert_eq!(client.codes(2).await, [250, 220]);
        let stream = Hands::new().shake(client.into_inner()).await.unwrap();
        assert_eq!(seen(&stream).leaf, pair.certificate.der().to_vec());
        let mut client = Client::new(stream);
        // Neither MAIL nor EHLO was said within TLS.
        client.say("RCPT TO:<b@b.example>\r\n").await;
        assert_eq!(client.reply().await, "503 5.5.1 Error: need MAIL command");
    });
}

#[test]
fn received_tells_of_tls() {
    local(async {
        let (_authority, _, mut settings) = with_tls(Level::May);
        settings.tls.received_header = true;
        let server = Server::start(settings);
        let (mut client, seen) = server.sealed(&Hands::new()).await;
        assert_eq!(seen.version, ProtocolVersion::TLSv1_3);
        assert!(!client.lines().await.iter().any(|line| line.contains("STARTTLS")));
        client.say("STARTTLS\r\n").await;
        assert_eq!(client.reply().await, "503 5.5.1 Error: TLS already active");
        client.begin().await;
        client.say("text\r\n.\r\n").await;
        assert_eq!(client.codes(1).await, [250]);
        let (_, text) = server.memory.taken().remove(0);
        let text = String::from_utf8(text.to_vec()).unwrap();
        let expected = "Received: from client.example (unknown [127.0.0.1])\r\n\
            \t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)\r\n\t key-exchange X25519MLKEM768)\r\n\
            \t(No client certificate requested)\r\n\tby mx.example (Waxseal) with ESMTPS id ";
        let classic = expected.replace("X25519MLKEM768", "X25519");
        assert!(text.starts_with(expected) || text.starts_with(&classic), "{text}");
    });
}

/// Threats V1: CVE-2011-0411 and its relatives.
#[test]
fn what_is_sent_in_clear_behind_starttls_is_never_executed() {
    local(async {
        let (_authority, _, settings) = with_tls(Level::May);
        let server = Server::start(settings);
        let injected = "RSET\r\nEHLO evil.example\r\n";
        // In one segment, and with any part of it before the rest.
        for cut in 0..=injected.len() {
            let mut client = server.client().await;
            client.say(&format!("STARTTLS\r\n{}", &injected[..cut])).await;
            let reply = client.reply().await;
            if cut > 0 {
                assert_eq!(reply, "554 5.5.0 Error: SMTP protocol synchronization", "cut at {cut}");
                assert!(client.ended().await);
            } else {
                // Late: between the 220 and the ClientHello.
                assert_eq!(reply, "220 2.0.0 Ready to start TLS");
                client.say(injected).await;
                let mut rest = Vec::new();
                let _ = client.into_inner().read_to_end(&mut rest).await;
                assert!(!rest.windows(3).any(|w| w == b"250"), "{}", rest.escape_ascii());
            }
        }
        assert!(server.memory.taken().is_empty());
    });
}

#[test]
fn rfc3207_at_level_encrypt_nothing_happens_before_tls() {
    local(async {
        let (_authority, _, settings) = with_tls(Level::Encrypt);
        let server = Server::start(settings);
        let mut client = server.client().await;
        for (command, code) in [
            ("MAIL FROM:<>", 530),
            ("VRFY a", 530),
            ("AUTH PLAIN AGEAYg==", 530),
            ("NOOP", 250),
            ("STARTTLS", 220),
        ] {
            client.say(&format!("{command}\r\n")).await;
            assert_eq!(client.codes(1).await, [code], "{command}");
        }
        let (mut client, _) = server.sealed(&Hands::new()).await;
        client.lines().await;
        client.begin().await;
    });
}

#[test]
fn each_listener_has_its_mode() {
    local(async {
        let (_authority, _, mut settings) = with_tls(Level::None);
        let any = || vec!["127.0.0.1:0".parse().unwrap()];
        (settings.submission, settings.submissions) = (any(), any());
        let server = Server::start(settings);
        let [plain, submission, submissions] = server.intake.local_addrs() else { panic!() };
        let mut client = Client::new(tokio::net::TcpStream::connect(plain).await.unwrap());
        client.hello().await;
        client.say("STARTTLS\r\n").await;
        assert_eq!(client.codes(1).await, [502]);
        let mut client = Client::new(tokio::net::TcpStream::connect(submission).await.unwrap());
        client.hello().await;
        client.say("MAIL FROM:<>\r\n").await;
        assert_eq!(client.codes(1).await, [530]);
        // RFC 8314 §3.3: TLS first, then the greeting.
        let stream = tokio::net::TcpStream::connect(submissions).await.unwrap();
        let mut client = Client::new(Hands::new().shake(stream).await.unwrap());
        client.hello().await;
        client.begin().await;
    });
}

/// Threats V13, ALPACA: whoever came for another protocol is turned away in the handshake.
#[test]
fn rfc7301_another_protocol_than_smtp_is_refused() {
    local(async {
        let (_authority, _, mut settings) = with_tls(Level::None);
        settings.submissions = vec!["127.0.0.1:0".parse().unwrap()];
        let server = Server::start(settings);
        let address = server.intake.local_addrs()[1];
        for (offered, taken) in [(&["h2", "http/1.1"][..], false), (&["smtp"], true), (&[], true)] {
            let mut hands = Hands::new();
            hands.config.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
            let stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let shaken = hands.shake(stream).await;
            assert_eq!(shaken.is_ok(), taken, "{offered:?}");
            if let Ok(stream) = shaken {
                let mut client = Client::new(stream);
                client.hello().await;
                client.say("GET / HTTP/1.1\r\n").await;
                assert_eq!(client.reply().await, "221 2.7.0 Error: this is a mail server. Goodbye");
                assert!(client.ended().await);
            }
        }
    });
}

#[test]
fn both_kinds_of_keys_are_served_to_those_who_can_read_them() {
    local(async {
        let authority = Authority::new();
        let (rsa, ecdsa) = (authority.server("mx.example", true), authority.server("mx.example", false));
        let server = Server::start(at(Level::May, vec![rsa.file.clone(), ecdsa.file.clone()]));
        for (suites, expected, version) in [
            ("TLS13", &ecdsa, ProtocolVersion::TLSv1_3),
            ("ECDHE_RSA", &rsa, ProtocolVersion::TLSv1_2),
            ("ECDHE_ECDSA", &ecdsa, ProtocolVersion::TLSv1_2),
        ] {
            let (_, seen) = server.sealed(&Hands::with(None, Some(suites))).await;
            assert_eq!((seen.leaf, seen.version), (expected.certificate.der().to_vec(), version), "{suites}");
        }
    });
}

#[test]
fn versions_and_suites_are_those_that_are_configured() {
    local(async {
        let (_authority, _, mut settings) = with_tls(Level::May);
        settings.tls.may.tls13 = false;
        let server = Server::start(settings);
        let (_, seen) = server.sealed(&Hands::new()).await;
        assert_eq!(seen.version, ProtocolVersion::TLSv1_2);
        let mut client = server.client().await;
        client.say("STARTTLS\r\n").await;
        client.reply().await;
        assert!(Hands::with(None, Some("TLS13")).shake(client.into_inner()).await.is_err());
    });
}

/// `tls_server_sni_maps`, in memory.
#[derive(Debug)]
struct Names(Vec<(&'static str, Result<String, ()>)>);

impl Lookup for Names {
    fn find<'a>(&'a self, _: &'a str, key: &'a str) -> Answer<'a, Result<Option<String>, String>> {
        let found = self.0.iter().find(|(name, _)| *name == key).map(|(_, files)| files.clone());
        Box::pin(async { found.transpose().map_err(|()| "is down".to_owned()) })
    }
}

#[test]
fn a_certificate_by_the_name_that_was_asked_for() {
    local(async {
        let authority = Authority::new();
        let [first, second, wild] =
            ["mx.example", "second.example", "wild.example"].map(|name| authority.server(name, false));
        let file = |pair: &Pair| Ok(pair.file.display().to_string());
        let names = Names(vec![
            ("second.example", file(&second)),
            (".wild.example", file(&wild)),
            ("down.example", Err(())),
        ]);
        let mut settings = at(Level::May, vec![first.file.clone()]);
        settings.tls.sni_maps = vec!["names".into()];
        let neighbours = Neighbours { tables: Arc::new(names), ..Neighbours::default() };
        let server = Server::beside(settings, Arc::default(), neighbours);
        for (name, expected) in [
            ("mx.example", Some(&first)),
            ("unknown.example", Some(&first)),
            ("second.example", Some(&second)),
            ("a.b.wild.example", Some(&wild)),
            // RFC 6066 §3: the wrong certificate would be worse than none.
            ("down.example", None),
        ] {
            let mut client = server.client().await;
            client.say("STARTTLS\r\n").await;
            client.reply().await;
            let shaken = Hands { name, ..Hands::new() }.shake(client.into_inner()).await;
            let leaf = shaken.ok().map(|stream| seen(&stream).leaf);
            assert_eq!(leaf, expected.map(|pair| pair.certificate.der().to_vec()), "{name}");
        }
    });
}

#[test]
fn sessions_are_resumed_until_the_certificate_changes() {
    local(async {
        let (authority, _, settings) = with_tls(Level::May);
        let server = Server::start(settings);
        let intake = Arc::clone(&server.intake);
        let tending = spawn_local(async move { intake.tend().await });
        for suites in ["TLS13", "ECDHE_ECDSA"] {
            let hands = Hands::with(None, Some(suites)).resuming(true);
            let mut kept = None;
            for round in 0..2 {
                // A ticket of TLS 1.3 comes with the first words.
                let (mut client, seen) = server.sealed(&hands).await;
                client.lines().await;
                assert_eq!(seen.resumed, round > 0, "{suites}");
                kept = Some(client);
            }
            // Another certificate in the same file: what is connected stays, and nobody resumes what the old key had proved.
            let old = std::fs::read(authority.folder.path().join("mx.example-ecdsa.pem")).unwrap();
            let fresh = authority.server("mx.example", false);
            assert_ne!(old, std::fs::read(&fresh.file).unwrap());
            server.intake.reload();
            let mut changed = false;
            for _ in 0..10_000 {
                let (mut client, seen) = server.sealed(&hands).await;
                client.lines().await;
                changed = seen.leaf == fresh.certificate.der().to_vec();
                if changed {
                    assert!(!seen.resumed);
                    break;
                }
            }
            assert!(changed);
            kept.unwrap().begin().await;
        }
        tending.abort();
    });
}

/// What DNS says of TLSA records, and whether a switch is allowed.
#[derive(Debug)]
struct Dns(Publication, Result<(), String>);

impl Records for Dns {
    fn published<'a>(&'a self, name: &'a str, _: u16) -> Answer<'a, Publication> {
        assert_eq!(name, "mx.example");
        Box::pin(async { self.0.clone() })
    }
    fn may_switch<'a>(&'a self, switch: Switch<'a>) -> Answer<'a, Result<(), String>> {
        assert!(!switch.old.is_empty() && switch.old != switch.new && !switch.places.is_empty());
        Box::pin(async { self.1.clone() })
    }
}

#[test]
fn a_certificate_of_our_own_is_made_only_where_no_tlsa_records_can_stand() {
    for (publication, offered) in [
        (Publication::None, true),
        (Publication::Some, false),
        (Publication::Unknown("SERVFAIL".into()), false),
    ] {
        local(async {
            let folder = tempfile::tempdir().unwrap();
            let mut settings = at(Level::May, Vec::new());
            settings.tls.own_folder = Some(folder.path().into());
            let records = Arc::new(Dns(publication.clone(), Ok(())));
            let neighbours = Neighbours { records, ..Neighbours::default() };
            let server = Server::beside(settings, Arc::default(), neighbours);
            // DNS answers at once here: one turn decides.
            let intake = Arc::clone(&server.intake);
            let tending = spawn_local(async move { intake.tend().await });
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            tending.abort();
            let mut client = Client::new(server.connect().await);
            client.reply().await;
            client.say("EHLO client.example\r\n").await;
            let lines = client.lines().await;
            assert_eq!(lines.iter().any(|line| line == "250-STARTTLS"), offered, "{publication:?}");
            let file = folder.path().join("intake-self-signed.pem");
            assert_eq!(file.exists(), offered);
            if offered {
                assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
                server.sealed(&Hands::new()).await;
            }
        });
    }
}

#[test]
fn a_switch_that_is_not_allowed_keeps_the_old_certificate() {
    local(async {
        let (authority, old, settings) = with_tls(Level::May);
        let records = Arc::new(Dns(Publication::Some, Err("its TLSA record is not published".into())));
        let neighbours = Neighbours { records, ..Neighbours::default() };
        let server = Server::beside(settings, Arc::default(), neighbours);
        authority.server("mx.example", false);
        let intake = Arc::clone(&server.intake);
        let tending = spawn_local(async move { intake.tend().await });
        server.intake.reload();
        for _ in 0..20 {
            let (_, seen) = server.sealed(&Hands::new()).await;
            assert_eq!(seen.leaf, old.certificate.der().to_vec());
        }
        tending.abort();
    });
}

/// Threats C10: the verdicts are Postfix's, and an error names the file.
#[test]
fn chain_files_of_postfix_are_judged_as_postfix_judges_them() {
    let root = std::env::var_os("LAB_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let tls = root.join("data/postfix-refs/postfix/src/tls");
    if !tls.is_dir() {
        assert!(std::env::var_os("CI").is_none(), "{} is missing", tls.display());
        println!("skipped: {} is missing", tls.display());
        return;
    }
    let table = [
        ("goodchains.pem", true, true),
        ("bad-back-to-back-keys.pem", true, false),
        ("bad-ec-cert-before-key.pem", true, false),
        ("bad-key-cert-mismatch.pem", true, false),
        ("bad-rsa-key-last.pem", true, false),
        ("good-mixed-keyfirst.pem", false, true),
        ("good-mixed-keymiddle.pem", false, true),
        ("good-mixed-keylast.pem", false, true),
        ("warn-mixed-multi-key.pem", false, true),
    ];
    // Files of a read-only folder may be readable for all; copies are as key files should be.
    let folder = tempfile::tempdir().unwrap();
    for (name, is_chain, good) in table {
        let path = folder.path().join(name);
        std::fs::write(&path, std::fs::read(tls.join(name)).unwrap()).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let mut settings = at(Level::May, Vec::new());
        if is_chain {
            settings.tls.files.chain_files = vec![path];
        } else {
            settings.tls.files.cert_file = Some(path);
        }
        match Intake::bind(settings) {
            Ok(intake) => {
                assert!(good && intake.has_tls(), "{name}");
                assert_eq!(intake.notices().len(), usize::from(name.starts_with("warn-")), "{name}");
            }
            Err(error) => {
                assert!(!good && error.to_string().contains(name), "{name}: {error}");
                assert!(matches!(error, Error::Certificate(_)) && error.is_configuration());
            }
        }
    }
}
