//! The ClientHello (RFC 7672 §8.1, §8.2), as a server sees it.

use std::time::Duration;

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
};
use waxseal_testbed::within;
use waxseal_tests::LIMIT;
use waxseal_types::TlsLevel::Dane;

use crate::ground::{DEST, Dns, HOST, PKI, Records, Way, letter, zone};

/// What a client sends behind STARTTLS, up to the end of the first handshake message.
async fn client_hello() -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let serve = async {
        let (stream, _) = listener.accept().await.expect("a client");
        let mut stream = BufReader::new(stream);
        stream.write_all(b"220 ready\r\n").await.expect("written");
        for reply in ["250-here\r\n250 STARTTLS\r\n", "220 go\r\n"] {
            stream.read_line(&mut String::new()).await.expect("a command");
            stream.write_all(reply.as_bytes()).await.expect("written");
        }
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.expect("a record and the head of a message");
        let length = u32::from_be_bytes([0, head[6], head[7], head[8]]);
        let mut rest = vec![0; usize::try_from(length).expect("small")];
        stream.read_exact(&mut rest).await.expect("a message in one record");
        [&head[..], &rest].concat()
    };
    let dns = Dns::start(Way::TrustAd, &zone(1).ee(HOST, port, &PKI.own)).await;
    let lane = dns.lane(Dane, port);
    let letter = letter(Duration::ZERO);
    let (hello, _) = within(LIMIT, async { tokio::join!(serve, lane.deliver(&letter, &[DEST])) }).await;
    hello
}

/// The rest of a message, read from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (front, rest) = self.0.split_at(count);
        self.0 = rest;
        front
    }

    fn number(&mut self, octets: usize) -> usize {
        self.take(octets).iter().fold(0, |sum, octet| sum << 8 | usize::from(*octet))
    }

    /// With a length of so many octets in front.
    fn vector(&mut self, octets: usize) -> Reader<'a> {
        let count = self.number(octets);
        Reader(self.take(count))
    }

    fn numbers(mut self, octets: usize) -> Vec<usize> {
        let mut all = Vec::new();
        while !self.0.is_empty() {
            all.push(self.number(octets));
        }
        all
    }
}

/// RFC 8446 §4.1.2.
#[tokio::test]
async fn rfc7672_8_the_hello_is_of_tls_1_2_or_later_names_the_server_and_offers_no_anonymity() {
    let hello = client_hello().await;
    // A TLS record with a ClientHello in it; SSL 2.0 began otherwise (RFC 6176).
    assert_eq!((hello[0], hello[1], hello[5]), (22, 3, 1));
    let mut body = Reader(&hello[9..]);
    assert_eq!(body.number(2), 0x0303);
    body.take(32);
    body.vector(1);
    let suites = body.vector(2).numbers(2);
    // TLS_DH_anon_*, TLS_ECDH_anon_* and suites without encryption (the registry of IANA).
    let anonymous = |suite: &usize| matches!(suite, 0x17..=0x1B | 0x34 | 0x3A | 0x46 | 0x6C | 0x6D | 0x89 | 0x9B | 0xA6 | 0xA7 | 0xBF | 0xC5 | 0xC015..=0xC019);
    let without_encryption =
        |suite: &usize| matches!(suite, 0x00..=0x02 | 0x3B | 0xC001 | 0xC006 | 0xC00B | 0xC010);
    assert!(
        !suites.is_empty() && !suites.iter().any(|suite| anonymous(suite) || without_encryption(suite)),
        "{suites:x?}"
    );
    body.vector(1);
    let mut extensions = body.vector(2);
    let mut found = std::collections::HashMap::new();
    while !extensions.0.is_empty() {
        let kind = extensions.number(2);
        found.insert(kind, extensions.vector(2).0);
    }
    // RFC 6066 §3: a list with one entry, a host name.
    let mut names = Reader(found[&0]).vector(2);
    assert_eq!(names.number(1), 0);
    assert_eq!(names.vector(2).0, HOST.as_bytes());
    // RFC 8446 §4.2.1.
    let versions = Reader(found[&43]).vector(1).numbers(2);
    assert!(versions.iter().all(|version| *version >= 0x0303), "{versions:x?}");
    // RFC 7250 §3: no raw public key is asked for; RFC 6962 §3.3.1: nor is a proof of transparency.
    assert!(
        !found.contains_key(&19) && !found.contains_key(&20) && !found.contains_key(&18),
        "{:?}",
        found.keys()
    );
}
