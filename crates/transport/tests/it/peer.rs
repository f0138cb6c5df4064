//! A server of few words, and the other ends of what is tested.

use std::{io, net::SocketAddr, sync::Arc};

use rustls::{
    HandshakeKind, ServerConfig, SupportedProtocolVersion,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
};
use waxseal_transport::{
    Connector, Endpoint, Generation, OpenRequest, OutMessage, Session, Settings, TlsUse,
};
use waxseal_types::{
    Envelope, Mailbox, Protocol, QueueId, Recipient, Service, TlsDemand, TlsShape, UnixTime,
};
use waxseal_verify::{ClearReason, Clearance, DemandDigest, Question, judge};

/// All suites of rustls, by their IANA numbers.
pub(crate) const SUITES: [u16; 9] = [0x1302, 0x1301, 0x1303, 0xc02c, 0xc02b, 0xcca9, 0xc030, 0xc02f, 0xcca8];

/// A transport for one connection.
pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// The server's end of a connection.
pub(crate) struct Wire {
    stream: Box<dyn Io>,
    read: Vec<u8>,
}

impl Wire {
    pub(crate) fn new(stream: impl Io + 'static) -> Self {
        Self { stream: Box::new(stream), read: Vec::new() }
    }

    pub(crate) async fn say(&mut self, words: &str) {
        self.stream.write_all(words.as_bytes()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// What came in one read, or is left of the last one; empty when the client is gone.
    pub(crate) async fn flight(&mut self) -> String {
        if self.read.is_empty() {
            let mut buf = vec![0; 65536];
            let read = self.stream.read(&mut buf).await.unwrap_or(0);
            self.read.extend_from_slice(&buf[..read]);
        }
        String::from_utf8(std::mem::take(&mut self.read)).unwrap()
    }

    /// Up to and including `end`.
    pub(crate) async fn until(&mut self, end: &str) -> String {
        loop {
            if let Some(at) = self.read.windows(end.len()).position(|w| w == end.as_bytes()) {
                let rest = self.read.split_off(at + end.len());
                return String::from_utf8(std::mem::replace(&mut self.read, rest)).unwrap();
            }
            let mut buf = vec![0; 65536];
            let read = self.stream.read(&mut buf).await.unwrap_or(0);
            if read == 0 {
                return String::from_utf8(std::mem::take(&mut self.read)).unwrap();
            }
            self.read.extend_from_slice(&buf[..read]);
        }
    }

    /// What came in one read, whatever it is; empty when the client is gone.
    pub(crate) async fn octets(&mut self) -> Vec<u8> {
        let mut buf = vec![0; 65536];
        let read = self.stream.read(&mut buf).await.unwrap_or(0);
        buf.truncate(read);
        buf
    }

    pub(crate) async fn line(&mut self) -> String {
        self.until("\r\n").await.trim_end().to_owned()
    }

    /// Greets and answers EHLO with these keywords.
    pub(crate) async fn greet(&mut self, keywords: &[&str]) {
        self.say("220 mx.example ESMTP\r\n").await;
        self.ehlo(keywords).await;
    }

    pub(crate) async fn ehlo(&mut self, keywords: &[&str]) {
        let said = self.line().await;
        assert!(said == "EHLO client.example" || said == "LHLO client.example", "{said:?}");
        let lines: String = keywords.iter().map(|keyword| format!("250-{keyword}\r\n")).collect();
        self.say(&format!("250-mx.example\r\n{lines}250 HELP\r\n")).await;
    }

    /// Takes STARTTLS and shakes hands.
    pub(crate) async fn starttls(
        mut self,
        server: &Arc<ServerConfig>,
    ) -> io::Result<(Self, Option<HandshakeKind>)> {
        assert_eq!(self.line().await, "STARTTLS");
        self.say("220 go ahead\r\n").await;
        self.handshake(server).await
    }

    pub(crate) async fn handshake(
        self,
        server: &Arc<ServerConfig>,
    ) -> io::Result<(Self, Option<HandshakeKind>)> {
        let stream = tokio_rustls::TlsAcceptor::from(Arc::clone(server)).accept(self.stream).await?;
        let kind = stream.get_ref().1.handshake_kind();
        Ok((Self::new(stream), kind))
    }

    /// Takes one message for one recipient, with PIPELINING; returns the text as it came.
    pub(crate) async fn take_message(&mut self) -> String {
        let flight = self.until("DATA\r\n").await;
        assert!(flight.starts_with("MAIL FROM:<s@a.example>"), "{flight:?}");
        self.say("250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go\r\n").await;
        let text = self.until("\r\n.\r\n").await;
        self.say("250 2.0.0 queued as 4711\r\n").await;
        text
    }
}

/// A listening server.
pub(crate) struct Peer {
    listener: TcpListener,
    pub(crate) address: SocketAddr,
}

impl Peer {
    pub(crate) async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, address }
    }

    pub(crate) async fn accept(&self) -> Wire {
        self.accept_from().await.0
    }

    pub(crate) async fn accept_from(&self) -> (Wire, SocketAddr) {
        let (stream, from) = self.listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        (Wire::new(stream), from)
    }

    pub(crate) fn request(&self, tls: TlsUse) -> OpenRequest {
        OpenRequest {
            endpoint: Endpoint::Inet(self.address),
            host: None,
            service: Service::SMTP,
            tls,
            reuse: true,
            resume: true,
        }
    }
}

#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// A server that shows `certificate` and signs with `key`, both PEM, whether they fit or not.
pub(crate) fn server(
    certificate: &[u8],
    key: &[u8],
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ServerConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let key = provider.key_provider.load_private_key(PrivateKeyDer::from_pem_slice(key).unwrap()).unwrap();
    let chain = vec![CertificateDer::from_pem_slice(certificate).unwrap()];
    let config = ServerConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let mut config = config
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Always(Arc::new(CertifiedKey::new(chain, key)))));
    config.ticketer = aws_lc_rs::Ticketer::new().unwrap();
    Arc::new(config)
}

/// The plainest of servers.
pub(crate) fn plain_server(versions: &[&'static SupportedProtocolVersion]) -> Arc<ServerConfig> {
    server(include_bytes!("../fixtures/plain.pem"), include_bytes!("../fixtures/p256.key"), versions)
}

pub(crate) fn settings() -> Settings {
    let one = Settings { helo_name: "client.example".into(), ..Settings::default() };
    let relay = Service::named(Protocol::Smtp, "relay");
    Settings { services: [(relay, one.clone())].into(), ..one }
}

pub(crate) fn connector() -> Connector {
    Connector::new(settings()).unwrap()
}

pub(crate) fn shape(sni: Option<&str>) -> TlsShape {
    TlsShape {
        sni: sni.map(|name| name.parse().unwrap()),
        tls12: true,
        tls13: true,
        suites: SUITES.as_slice().into(),
        client: [].into(),
    }
}

/// A message with the text `body` for these recipients, under a demand.
pub(crate) fn message(demand: &TlsDemand, recipients: &[&str], body: &'static [u8]) -> OutMessage {
    let recipient =
        |address: &&str| Recipient { mailbox: Mailbox::new(address).unwrap(), notify: None, original: None };
    let envelope = Envelope {
        sender: Some(Mailbox::new("s@a.example").unwrap()),
        recipients: recipients.iter().map(recipient).collect(),
        size: body.len() as u64,
        leading_dots: true,
        ..Envelope::empty(QueueId::from_u64(7), UnixTime::from_secs(1), "test")
    };
    OutMessage {
        recipients: (0..recipients.len()).collect(),
        envelope: Arc::new(envelope),
        body: bytes::Bytes::from_static(body).into(),
        demand: DemandDigest::of(demand),
        policy: Generation::fixed(1),
    }
}

/// The clearance that the judge gives for a session.
pub(crate) fn cleared(session: &Session, demand: &TlsDemand, only_message: Option<QueueId>) -> Clearance {
    let question = Question {
        demand: Arc::new(demand.clone()),
        facts: session.facts().cloned(),
        clear: session.facts().is_none().then_some(ClearReason::NotOffered),
        anchors: None,
        strength: waxseal_types::Strength::default(),
        connection: session.connection(),
        policy_generation: 1,
        expires: None,
        only_message,
        now: UnixTime::from_secs(1),
    };
    judge(&question).outcome.unwrap()
}
