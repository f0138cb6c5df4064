//! What a peer is told to do.

use std::{collections::HashMap, net::SocketAddr};

use super::{Gate, Peer, TlsVersions};
use crate::{Certificate, Error, tls::TlsScript};

/// A point at which a peer speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// On connection.
    Greeting,
    /// EHLO or LHLO.
    Ehlo,
    /// HELO.
    Helo,
    /// STARTTLS.
    StartTls,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA.
    Data,
    /// The final dot, or the last BDAT.
    Dot,
    /// RSET.
    Rset,
    /// QUIT.
    Quit,
}

/// What a peer does at a [`Step`]. A string is [`Act::Say`].
#[derive(Debug, Clone)]
pub enum Act {
    /// Sends a reply; each line gets its CRLF.
    Say(String),
    /// Sends a reply and closes the connection.
    SayAndClose(String),
    /// Sends these bytes and nothing else.
    Raw(Vec<u8>),
    /// Closes the connection without a word.
    Close,
    /// Resets the connection.
    Reset,
    /// Says nothing, ever.
    Hang,
    /// Waits before a [`Gate`], then goes on with the other.
    Hold(Gate, Box<Act>),
}

impl From<&str> for Act {
    fn from(reply: &str) -> Self {
        Self::Say(reply.to_owned())
    }
}

impl From<String> for Act {
    fn from(reply: String) -> Self {
        Self::Say(reply)
    }
}

/// What a peer does when a ClientHello is due.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Handshake {
    /// A handshake.
    #[default]
    Serve,
    /// Closes the connection.
    Eof,
    /// Resets the connection.
    Reset,
    /// Reads the ClientHello and answers with these bytes.
    Garbage(Vec<u8>),
    /// Reads and says nothing, ever.
    Hang,
}

/// The conduct of one connection.
#[derive(Debug, Clone)]
pub(super) struct Script {
    pub(super) acts: HashMap<Step, Vec<Act>>,
    pub(super) in_clear: HashMap<Step, Act>,
    pub(super) recipients: HashMap<String, Act>,
    pub(super) keywords: Vec<String>,
    pub(super) keywords_in_tls: Option<Vec<String>>,
    pub(super) offers_starttls: bool,
    pub(super) starttls_keyword: String,
    pub(super) injected: Vec<u8>,
    pub(super) handshake: Handshake,
    pub(super) closes_after_tls: bool,
    pub(super) implicit_tls: bool,
    pub(super) lmtp: bool,
    pub(super) tls: Option<TlsScript>,
}

impl Default for Script {
    fn default() -> Self {
        let keywords =
            ["PIPELINING", "SIZE 52428800", "8BITMIME", "ENHANCEDSTATUSCODES", "DSN", "SMTPUTF8", "CHUNKING"];
        Self {
            acts: HashMap::new(),
            in_clear: HashMap::new(),
            recipients: HashMap::new(),
            keywords: keywords.map(str::to_owned).to_vec(),
            keywords_in_tls: None,
            offers_starttls: false,
            starttls_keyword: "STARTTLS".to_owned(),
            injected: Vec::new(),
            handshake: Handshake::Serve,
            closes_after_tls: false,
            implicit_tls: false,
            lmtp: false,
            tls: None,
        }
    }
}

/// Tells a [`Peer`] what to do. The methods speak of its first connection; those after [`Builder::then`] of the next,
/// and the last part of all that follow.
#[derive(Debug, Default)]
pub struct Builder {
    address: Option<SocketAddr>,
    before: Vec<Script>,
    script: Script,
}

impl Builder {
    /// Listens here instead of on a port of 127.0.0.1 that the system chooses; port 0 lets it choose.
    #[must_use]
    pub fn at(mut self, address: SocketAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// From here on of the next connection, which does as the one before except for what follows.
    #[must_use]
    pub fn then(mut self) -> Self {
        self.before.push(self.script.clone());
        self
    }

    /// Acts so at this step, each time.
    #[must_use]
    pub fn on(mut self, step: Step, act: impl Into<Act>) -> Self {
        self.script.acts.insert(step, vec![act.into()]);
        self
    }

    /// Acts so the first, second, ... time that a connection comes to this step, and as the last from then on.
    #[must_use]
    pub fn on_each<A: Into<Act>>(mut self, step: Step, acts: impl IntoIterator<Item = A>) -> Self {
        self.script.acts.insert(step, acts.into_iter().map(Into::into).collect());
        self
    }

    /// Acts so at this step as long as there is no TLS.
    #[must_use]
    pub fn in_clear(mut self, step: Step, act: impl Into<Act>) -> Self {
        self.script.in_clear.insert(step, act.into());
        self
    }

    /// The first words; `220` and a name if not told otherwise.
    #[must_use]
    pub fn greeting(self, act: impl Into<Act>) -> Self {
        self.on(Step::Greeting, act)
    }

    /// The reply to MAIL.
    #[must_use]
    pub fn reply_to_mail(self, act: impl Into<Act>) -> Self {
        self.on(Step::Mail, act)
    }

    /// The reply to RCPT.
    #[must_use]
    pub fn reply_to_rcpt(self, act: impl Into<Act>) -> Self {
        self.on(Step::Rcpt, act)
    }

    /// The reply to one recipient (and, with LMTP, not to its text).
    #[must_use]
    pub fn reply_to_recipient(mut self, address: &str, act: impl Into<Act>) -> Self {
        self.script.recipients.insert(address.to_owned(), act.into());
        self
    }

    /// The reply to DATA.
    #[must_use]
    pub fn reply_to_data(self, act: impl Into<Act>) -> Self {
        self.on(Step::Data, act)
    }

    /// The reply to the final dot.
    #[must_use]
    pub fn reply_to_dot(self, act: impl Into<Act>) -> Self {
        self.on(Step::Dot, act)
    }

    /// The reply to STARTTLS. A `2yz` other than by default, too, is followed by TLS.
    #[must_use]
    pub fn reply_to_starttls(self, act: impl Into<Act>) -> Self {
        self.on(Step::StartTls, act)
    }

    /// The EHLO keywords, STARTTLS aside.
    #[must_use]
    pub fn keywords<'a>(mut self, list: impl IntoIterator<Item = &'a str>) -> Self {
        self.script.keywords = list.into_iter().map(str::to_owned).collect();
        self
    }

    /// The keywords of the EHLO inside TLS, if they differ.
    #[must_use]
    pub fn keywords_in_tls<'a>(mut self, list: impl IntoIterator<Item = &'a str>) -> Self {
        self.script.keywords_in_tls = Some(list.into_iter().map(str::to_owned).collect());
        self
    }

    /// Leaves one keyword out.
    #[must_use]
    pub fn without(mut self, keyword: &str) -> Self {
        self.script.keywords.retain(|offered| offered.split(' ').next() != Some(keyword));
        self
    }

    /// Offers STARTTLS with this certificate.
    #[must_use]
    pub fn starttls(mut self, certificate: Certificate) -> Self {
        self.script.offers_starttls = true;
        self.script.tls = Some(TlsScript::new(certificate));
        self
    }

    /// Behind [`Builder::then`]: shows this certificate from here on, and still resumes the sessions made before.
    #[must_use]
    pub fn rolled_to(self, certificate: Certificate) -> Self {
        self.tls(|tls| (tls.certificate, tls.keeps_sessions) = (certificate, true))
    }

    /// Begins with a handshake, on connection.
    #[must_use]
    pub fn implicit_tls(mut self, certificate: Certificate) -> Self {
        self.script.implicit_tls = true;
        self.script.tls = Some(TlsScript::new(certificate));
        self
    }

    /// Offers no STARTTLS any more.
    #[must_use]
    pub fn without_starttls(mut self) -> Self {
        self.script.offers_starttls = false;
        self
    }

    /// Writes the keyword so: `starttls`, `XSTARTTLS`, `STARTTLS now`, ...
    #[must_use]
    pub fn starttls_keyword(mut self, keyword: &str) -> Self {
        self.script.starttls_keyword = keyword.to_owned();
        self
    }

    /// Shows another certificate to who asks for `name`.
    #[must_use]
    pub fn certificate_for(self, name: &str, certificate: Certificate) -> Self {
        self.tls(|tls| tls.by_name.push((name.to_owned(), certificate)))
    }

    /// Has a second chain, with a key of another kind, for who cannot verify the first.
    #[must_use]
    pub fn second_certificate(self, certificate: Certificate) -> Self {
        self.tls(|tls| tls.second = Some(certificate))
    }

    /// Speaks these versions of TLS.
    #[must_use]
    pub fn versions(self, versions: TlsVersions) -> Self {
        self.tls(|tls| tls.versions = versions)
    }

    /// Asks for a client certificate; takes any, and none.
    #[must_use]
    pub fn asks_for_client_certificate(self) -> Self {
        self.tls(|tls| tls.asks_client = true)
    }

    /// Gives no session tickets and keeps no sessions.
    #[must_use]
    pub fn without_resumption(self) -> Self {
        self.tls(|tls| tls.tickets = false)
    }

    /// Does this when a ClientHello is due.
    #[must_use]
    pub fn handshake(mut self, handshake: Handshake) -> Self {
        self.script.handshake = handshake;
        self
    }

    /// Sends these bytes in clear, in one segment with the reply to STARTTLS.
    #[must_use]
    pub fn inject_behind_starttls(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.script.injected = bytes.into();
        self
    }

    /// Closes the connection after the handshake.
    #[must_use]
    pub fn close_after_tls(mut self) -> Self {
        self.script.closes_after_tls = true;
        self
    }

    /// Refuses MAIL without TLS.
    #[must_use]
    pub fn require_tls(self) -> Self {
        self.in_clear(Step::Mail, "530 5.7.0 Must issue a STARTTLS command first")
    }

    /// Speaks LMTP: LHLO, and one reply for each recipient after the dot (RFC 2033 §4.2).
    #[must_use]
    pub fn lmtp(mut self) -> Self {
        self.script.lmtp = true;
        self
    }

    /// Starts it. Must be called inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// If it cannot listen, or a certificate is unusable.
    pub async fn start(mut self) -> Result<Peer, Error> {
        self.before.push(self.script);
        Peer::start(self.address, self.before).await
    }

    fn tls(mut self, change: impl FnOnce(&mut TlsScript)) -> Self {
        if let Some(tls) = &mut self.script.tls {
            change(tls);
        }
        self
    }
}
