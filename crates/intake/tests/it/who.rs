//! Client certificates and AUTH: who may relay.

use std::sync::Arc;

use argon2::{Argon2, Params, PasswordHasher, password_hash::SaltString};
use tokio::net::TcpStream;
use waxseal_intake::{Answer, Cidr, Level, Lookup, Neighbours, RelayRule, Settings};
use waxseal_types::DigestAlgorithm;

use crate::{
    certificates::{Authority, Hands, Pair},
    common::{Client, Server, local, settings},
};

/// One table for everything.
#[derive(Debug)]
struct One(Vec<(String, String)>);

impl Lookup for One {
    fn find<'a>(&'a self, _: &'a str, key: &'a str) -> Answer<'a, Result<Option<String>, String>> {
        let found = self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value.clone());
        Box::pin(async { Ok(found) })
    }
}

fn beside(entries: Vec<(String, String)>) -> Neighbours {
    Neighbours { tables: Arc::new(One(entries)), ..Neighbours::default() }
}

/// Nobody's address is good enough; clients are asked for a certificate.
fn strict(authority: &Authority, rules: Vec<RelayRule>) -> Settings {
    let mut settings = settings();
    settings.relay_from = vec!["192.0.2.0/24".parse::<Cidr>().unwrap()];
    settings.relay_rules = rules;
    settings.tls.level = Level::May;
    settings.tls.ask_certificate = true;
    settings.tls.received_header = true;
    settings.tls.files.chain_files = vec![authority.server("mx.example", false).file];
    settings.tls.files.ca_file = Some(authority.ca_file());
    settings
}

fn prints(pair: &Pair) -> (String, String) {
    let (certificate, key) = waxseal_verify::fingerprints(DigestAlgorithm::Sha256, pair.certificate.der());
    (certificate, key.unwrap())
}

async fn relays(server: &Server, hands: &Hands) -> u16 {
    let (mut client, _) = server.sealed(hands).await;
    client.lines().await;
    client.say("MAIL FROM:<a@a.example>\r\nRCPT TO:<b@b.example>\r\n").await;
    client.codes(2).await[1]
}

#[test]
fn relaying_by_certificate_by_key_and_by_authority() {
    let authority = Authority::new();
    let [listed, by_key, other] = ["listed", "by-key", "other"].map(|name| authority.client(name));
    // For servers only; and signed by nobody whom we know.
    let (server_only, stranger) = (authority.server("peer.example", false), authority.stranger("stranger"));
    let table = || vec![(prints(&listed).0, "it".into()), (prints(&by_key).1, "it".into())];
    let reject = RelayRule::Reject;
    let certificates = RelayRule::PermitCertificates(["relay_clientcerts".to_owned()].into());
    type Row<'a> = (&'a str, Option<&'a Pair>, u16);
    let cases: [(RelayRule, &[Row<'_>]); 2] = [
        (
            certificates,
            &[
                ("no certificate", None, 554),
                ("a listed certificate", Some(&listed), 250),
                ("a listed key", Some(&by_key), 250),
                ("another one of the same authority", Some(&other), 554),
                ("a stranger's", Some(&stranger), 554),
            ],
        ),
        (
            RelayRule::PermitAllCertificates,
            &[
                ("no certificate", None, 554),
                ("one of the authority", Some(&other), 250),
                ("one that is for servers", Some(&server_only), 554),
                ("a stranger's", Some(&stranger), 554),
            ],
        ),
    ];
    for (rule, rows) in cases {
        local(async {
            let settings = strict(&authority, vec![rule.clone(), reject.clone()]);
            let server = Server::beside(settings, Arc::default(), beside(table()));
            for (what, pair, code) in rows {
                let hands = pair.map_or_else(Hands::new, Hands::showing);
                assert_eq!(relays(&server, &hands).await, *code, "{rule:?}: {what}");
            }
            // In clear nobody is anybody.
            let mut client = server.client().await;
            client.say("MAIL FROM:<a@a.example>\r\nRCPT TO:<b@b.example>\r\n").await;
            assert_eq!(client.codes(2).await, [250, 554]);
        });
    }
}

#[test]
fn a_certificate_counts_on_resumed_sessions_too_and_received_names_it() {
    let authority = Authority::new();
    let listed = authority.client("listed");
    local(async {
        let settings = strict(&authority, vec![RelayRule::PermitAllCertificates, RelayRule::Reject]);
        let server = Server::start(settings);
        let hands = Hands::showing(&listed).resuming(true);
        for round in 0..2 {
            let (mut client, seen) = server.sealed(&hands).await;
            client.lines().await;
            assert_eq!(seen.resumed, round > 0);
            client.begin().await;
            client.say("text\r\n.\r\n").await;
            assert_eq!(client.codes(1).await, [250]);
        }
        for (_, text) in server.memory.taken() {
            let text = String::from_utf8(text.to_vec()).unwrap();
            assert!(
                text.contains("\r\n\t(Client CN \"listed\", Issuer \"An Authority\" (verified OK))\r\n"),
                "{text}"
            );
        }
    });
}

#[test]
fn a_certificate_that_is_demanded_must_lead_to_an_authority() {
    let authority = Authority::new();
    let (good, stranger) = (authority.client("good"), authority.stranger("stranger"));
    local(async {
        let mut settings = strict(&authority, vec![RelayRule::PermitAllCertificates, RelayRule::Reject]);
        (settings.tls.level, settings.tls.require_certificate) = (Level::Encrypt, true);
        let server = Server::start(settings);
        assert_eq!(relays(&server, &Hands::showing(&good)).await, 250);
        for hands in [Hands::new(), Hands::showing(&stranger)] {
            let (mut client, _) = server.sealed(&hands).await;
            assert_eq!(client.reply().await, "421 4.7.0 Error: a trusted client certificate is required");
            assert!(client.ended().await);
        }
    });
}

fn hash(password: &str) -> String {
    let salt = SaltString::from_b64("c29tZXNhbHQ").unwrap();
    let argon = Argon2::from(Params::new(8, 1, 1, None).unwrap());
    argon.hash_password(password.as_bytes(), &salt).unwrap().to_string()
}

fn for_users(authority: &Authority) -> Settings {
    let mut settings = strict(authority, vec![RelayRule::PermitAuthenticated, RelayRule::Reject]);
    settings.tls.ask_certificate = false;
    settings.auth.users = Some("users".into());
    settings
}

#[test]
fn rfc4954_who_knows_a_password_may_relay_and_only_over_tls() {
    let authority = Authority::new();
    local(async {
        let users = beside(vec![("ann".into(), hash("secret")), ("odd".into(), "{PLAIN}secret".into())]);
        let server = Server::beside(for_users(&authority), Arc::default(), users);
        let mut client = Client::new(server.connect().await);
        client.reply().await;
        client.say("EHLO client.example\r\n").await;
        assert!(!client.lines().await.iter().any(|line| line.contains("AUTH")));
        client.say("AUTH PLAIN AGFubgBzZWNyZXQ=\r\n").await;
        assert_eq!(client.codes(1).await, [538]);

        let (mut client, _) = server.sealed(&Hands::new()).await;
        assert!(client.lines().await.iter().any(|line| line == "250-AUTH PLAIN LOGIN"));
        for (command, code) in [
            ("AUTH PLAIN AGFubgB3cm9uZw==", 535),
            ("AUTH PLAIN AG5vYm9keQBzZWNyZXQ=", 535),
            ("AUTH PLAIN AG9kZABzZWNyZXQ=", 454),
            ("MAIL FROM:<a@a.example>", 250),
            ("RCPT TO:<b@b.example>", 554),
            ("RSET", 250),
            ("AUTH LOGIN", 334),
            ("YW5u", 334),
            ("c2VjcmV0", 235),
            ("MAIL FROM:<a@a.example> AUTH=<>", 250),
            ("RCPT TO:<b@b.example>", 250),
            ("DATA", 354),
            ("text\r\n.", 250),
        ] {
            client.say(&format!("{command}\r\n")).await;
            assert_eq!(client.codes(1).await, [code], "{command}");
        }
        let (_, text) = server.memory.taken().remove(0);
        assert!(String::from_utf8_lossy(&text).contains(" with ESMTPSA id "));
    });
}

#[test]
fn guesses_are_counted_over_sessions() {
    let authority = Authority::new();
    local(async {
        let mut settings = for_users(&authority);
        settings.rates.auth_failures = 3;
        let users = beside(vec![("ann".into(), hash("secret"))]);
        let server = Server::beside(settings, Arc::default(), users);
        let mut codes = Vec::new();
        for _ in 0..5 {
            let (mut client, _) = server.sealed(&Hands::new()).await;
            client.lines().await;
            client.say("AUTH PLAIN AGFubgB3cm9uZw==\r\n").await;
            codes.extend(client.codes(1).await);
        }
        assert_eq!(codes, [535, 535, 535, 421, 421]);
        // Even the right one: the guesser must not learn which it was.
        let (mut client, _) = server.sealed(&Hands::new()).await;
        client.lines().await;
        client.say("AUTH PLAIN AGFubgBzZWNyZXQ=\r\n").await;
        assert_eq!(client.codes(1).await, [421]);
        assert!(client.ended().await);
    });
}

#[test]
fn a_client_in_clear_that_is_ours_needs_no_certificate() {
    let authority = Authority::new();
    local(async {
        let mut settings = strict(&authority, RelayRule::DEFAULT.to_vec());
        settings.relay_from = Cidr::LOOPBACK.to_vec();
        let server = Server::start(settings);
        let mut client: Client<TcpStream> = server.client().await;
        client.begin().await;
    });
}

/// RFC 7250: a listed key relays without a certificate, and others at the same port with theirs.
#[test]
fn raw_public_keys_and_certificates_at_one_port() {
    let authority = Authority::new();
    let [listed, other] = ["listed", "other"].map(|name| authority.client(name));
    local(async {
        let rule = RelayRule::PermitCertificates(["relay_clientcerts".to_owned()].into());
        let mut settings = strict(&authority, vec![rule, RelayRule::Reject]);
        settings.tls.enable_raw_keys = true;
        let server = Server::beside(settings, Arc::default(), beside(vec![(prints(&listed).1, "it".into())]));
        let served = authority.folder.path().join("mx.example-ecdsa.pem");
        assert!(served.exists());
        for (what, hands, code) in [
            ("the listed key, bare", Hands::bare(&listed), 250),
            ("the listed key in its certificate", Hands::showing(&listed), 250),
            ("another key, bare", Hands::bare(&other), 554),
            ("another certificate", Hands::showing(&other), 554),
            ("nothing", Hands::new(), 554),
        ] {
            assert_eq!(relays(&server, &hands).await, code, "{what}");
        }
        let (_, bare) = server.sealed(&Hands::bare(&listed)).await;
        let (_, usual) = server.sealed(&Hands::new()).await;
        assert_eq!(waxseal_trust::spki_of(&usual.leaf), Some(&*bare.leaf), "ours is bare, too");
    });
}
