//! From the greeting to a session that takes mail: EHLO, STARTTLS, EHLO again.

use alloc::{string::String, vec::Vec};

use waxseal_types::{Protocol, Reply};

use super::{discard::Discard, ehlo::Ehlo};
use crate::Stage;

/// Whether STARTTLS is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StartTls {
    /// No, offered or not: the session is meant to be in clear, or is under TLS already.
    Never,
    /// Where it is offered; the session goes on in clear where it is not, or is refused.
    IfOffered,
    /// Yes; without it there is no session.
    Required,
}

/// How a session is to be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// SMTP says EHLO and falls back to HELO; LMTP says LHLO (RFC 2033 §4.1).
    pub protocol: Protocol,
    /// The name we give.
    pub name: String,
    /// What becomes of STARTTLS.
    pub starttls: StartTls,
    /// Whether a server that calls itself as we do is taken for ourselves.
    pub detect_loop: bool,
    /// What of the server's offer is taken as not said.
    pub discard: Discard,
}

/// What became of STARTTLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offer {
    /// It was not asked for.
    NotWanted,
    /// EHLO was taken, STARTTLS was not among its keywords.
    NotOffered,
    /// EHLO was refused and HELO taken, so there was no offer.
    EhloRefused,
    /// STARTTLS was answered with this instead of 220.
    Refused(Reply),
    /// TLS was started and EHLO was said again under it.
    Taken,
}

/// What to do next, after the octets that were put out have been written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpeningStep {
    /// Read one reply within the time limit of this stage and give it to [`Opening::reply`].
    Await(Stage),
    /// Throw away whatever else has been read, start TLS, then call [`Opening::secured`].
    ///
    /// RFC 3207 §4.2: nothing that came in clear may be believed under TLS, and octets behind the 220 were put there by an attacker.
    StartTls,
    /// The session takes mail.
    Ready(Ehlo, Offer),
    /// There will be no session. Say QUIT.
    Failed(OpeningError),
}

/// Why there is no session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpeningError {
    /// The server refused at this stage.
    #[error("refused while {stage}: {reply}")]
    Rejected {
        /// Where.
        stage: Stage,
        /// Its words.
        reply: Reply,
    },
    /// STARTTLS was required and cannot be had; the offer is never [`Offer::Taken`] nor [`Offer::NotWanted`].
    #[error("STARTTLS was required and cannot be had")]
    NoStartTls(Offer),
    /// The server calls itself by our own name.
    #[error("mail loops back to myself")]
    LoopsToSelf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Greeting,
    Ehlo,
    Helo,
    StartTls,
    Over,
}

/// The machine that opens a session:
///
/// ```text
///  Greeting ──2yz──▶ Ehlo ──refused──▶ Helo ──2yz──▶ Ready, or Failed where TLS is required
///                    ▲  └──2yz──▶ StartTls, where wanted, offered and not yet done; otherwise Ready
///                    └──TLS────────┘  └── refused ──▶ Ready in clear, or Failed where required
/// ```
///
/// 421 ends in Failed everywhere but behind STARTTLS, which it merely refuses.
#[derive(Debug)]
pub struct Opening {
    hello: Hello,
    state: State,
    secured: bool,
    ehlo: Ehlo,
}

impl Opening {
    /// A new session; the first thing to do is always `Await(Stage::Greeting)`.
    #[must_use]
    pub fn new(hello: Hello) -> Self {
        Self { hello, state: State::Greeting, secured: false, ehlo: Ehlo::default() }
    }

    /// Takes the reply that was awaited, with its lines (see [`crate::ReplyReader::lines`]). Commands to write are appended to `out`.
    pub fn reply<'a>(
        &mut self,
        reply: &Reply,
        lines: impl Iterator<Item = &'a str>,
        out: &mut Vec<u8>,
    ) -> OpeningStep {
        match self.state {
            State::Greeting if reply.is_positive() => self.say_hello(out),
            State::Greeting => self.rejected(Stage::Greeting, reply),
            State::Ehlo if reply.is_positive() => {
                let offer = self.hello.discard.from(Ehlo::parse(lines));
                self.greeted(offer, out)
            }
            // RFC 5321 §3.2: who does not know EHLO gets HELO. Postfix does so after any refusal but 421; there is none in LMTP.
            State::Ehlo if self.hello.protocol == Protocol::Smtp && reply.code != 421 => {
                self.state = State::Helo;
                self.command(out, "HELO ", Stage::Hello)
            }
            State::Ehlo => self.rejected(Stage::Hello, reply),
            State::Helo if reply.is_positive() => self.greeted(Ehlo::without_extensions(&reply.text), out),
            State::Helo => self.rejected(Stage::Hello, reply),
            State::StartTls => self.starttls_answered(reply),
            State::Over => self.rejected(Stage::Hello, reply),
        }
    }

    /// TLS stands. RFC 3207 §4.2: forget what the server said before and say EHLO again.
    pub fn secured(&mut self, out: &mut Vec<u8>) -> OpeningStep {
        self.secured = true;
        self.ehlo = Ehlo::default();
        self.say_hello(out)
    }

    fn say_hello(&mut self, out: &mut Vec<u8>) -> OpeningStep {
        self.state = State::Ehlo;
        match self.hello.protocol {
            Protocol::Smtp => self.command(out, "EHLO ", Stage::Hello),
            Protocol::Lmtp => self.command(out, "LHLO ", Stage::Hello),
        }
    }

    fn command(&self, out: &mut Vec<u8>, verb: &str, stage: Stage) -> OpeningStep {
        for part in [verb, &self.hello.name, "\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
        OpeningStep::Await(stage)
    }

    fn greeted(&mut self, ehlo: Ehlo, out: &mut Vec<u8>) -> OpeningStep {
        // As Postfix: the name in the reply to EHLO decides, the one in the greeting does not.
        if self.hello.detect_loop && ehlo.name.eq_ignore_ascii_case(&self.hello.name) {
            return self.failed(OpeningError::LoopsToSelf);
        }
        self.ehlo = ehlo;
        if self.secured {
            return self.ready(Offer::Taken);
        }
        match self.hello.starttls {
            StartTls::Never => self.ready(Offer::NotWanted),
            StartTls::IfOffered | StartTls::Required if self.ehlo.starttls => {
                self.state = State::StartTls;
                out.extend_from_slice(b"STARTTLS\r\n");
                OpeningStep::Await(Stage::StartTls)
            }
            StartTls::IfOffered | StartTls::Required if self.ehlo.extended => {
                self.without_tls(Offer::NotOffered)
            }
            StartTls::IfOffered | StartTls::Required => self.without_tls(Offer::EhloRefused),
        }
    }

    fn starttls_answered(&mut self, reply: &Reply) -> OpeningStep {
        if reply.is_positive() {
            return OpeningStep::StartTls;
        }
        // Any refusal is one, as with Postfix; a server that said 421 and means it closes, and the next command will show.
        self.without_tls(Offer::Refused(reply.clone()))
    }

    fn without_tls(&mut self, offer: Offer) -> OpeningStep {
        match self.hello.starttls {
            StartTls::Required => self.failed(OpeningError::NoStartTls(offer)),
            StartTls::Never | StartTls::IfOffered => self.ready(offer),
        }
    }

    fn ready(&mut self, offer: Offer) -> OpeningStep {
        self.state = State::Over;
        OpeningStep::Ready(core::mem::take(&mut self.ehlo), offer)
    }

    fn rejected(&mut self, stage: Stage, reply: &Reply) -> OpeningStep {
        self.failed(OpeningError::Rejected { stage, reply: reply.clone() })
    }

    fn failed(&mut self, error: OpeningError) -> OpeningStep {
        self.state = State::Over;
        OpeningStep::Failed(error)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::ReplyReader;
    use alloc::{borrow::ToOwned, string::ToString};

    const EHLO: &str = "250-mx.example.com\r\n250-PIPELINING\r\n250 STARTTLS\r\n";
    const PLAIN: &str = "250-mx.example.com\r\n250 PIPELINING\r\n";

    /// Plays `script`, replies and the word `tls` for a handshake that went well, and returns what was said and how it ended.
    fn play(hello: Hello, script: &[&str]) -> (String, OpeningStep) {
        let (mut opening, mut reader, mut out) = (Opening::new(hello), ReplyReader::new(), Vec::new());
        let mut step = OpeningStep::Await(Stage::Greeting);
        for line in script {
            step = if *line == "tls" {
                assert_eq!(step, OpeningStep::StartTls);
                opening.secured(&mut out)
            } else {
                assert!(matches!(step, OpeningStep::Await(_)), "{step:?} before {line:?}");
                let reply = reader.read(&mut line.as_bytes()).unwrap().unwrap();
                opening.reply(&reply, reader.lines(), &mut out)
            };
        }
        (String::from_utf8(out).unwrap(), step)
    }

    fn hello(starttls: StartTls) -> Hello {
        let discard = Discard::default();
        Hello { protocol: Protocol::Smtp, name: "me.example".into(), starttls, detect_loop: true, discard }
    }

    /// The end in a few words.
    fn told(step: &OpeningStep) -> String {
        match step {
            OpeningStep::Await(stage) => alloc::format!("await {stage:?}"),
            OpeningStep::StartTls => "starttls".to_owned(),
            OpeningStep::Ready(ehlo, offer) => {
                let offer = match offer {
                    Offer::Refused(reply) => alloc::format!("Refused {}", reply.code),
                    other => alloc::format!("{other:?}"),
                };
                alloc::format!("ready {offer} pipelining={}", ehlo.pipelining)
            }
            OpeningStep::Failed(error) => error.to_string(),
        }
    }

    #[test]
    fn every_way_through_the_opening() {
        use StartTls::{IfOffered, Never, Required};
        let (go, no) = ("220 go\r\n", "454 not now\r\n");
        let greeting = "220 mx.example.com ESMTP\r\n";
        let table: [(StartTls, &[&str], &str); 22] = [
            (Never, &[greeting, EHLO], "ready NotWanted pipelining=true"),
            (IfOffered, &[greeting, PLAIN], "ready NotOffered pipelining=true"),
            (IfOffered, &[greeting, EHLO], "await StartTls"),
            (IfOffered, &[greeting, EHLO, go], "starttls"),
            // RFC 3207 §4.2: what was offered in clear is forgotten.
            (IfOffered, &[greeting, EHLO, go, "tls", "250 mx\r\n"], "ready Taken pipelining=false"),
            (IfOffered, &[greeting, EHLO, go, "tls", PLAIN], "ready Taken pipelining=true"),
            // STARTTLS offered again under TLS is no reason to start it again.
            (Required, &[greeting, EHLO, go, "tls", EHLO], "ready Taken pipelining=true"),
            (IfOffered, &[greeting, EHLO, no], "ready Refused 454 pipelining=true"),
            (IfOffered, &[greeting, EHLO, "502 what\r\n"], "ready Refused 502 pipelining=true"),
            (IfOffered, &[greeting, EHLO, "354 what\r\n"], "ready Refused 354 pipelining=true"),
            (IfOffered, &[greeting, EHLO, "421 bye\r\n"], "ready Refused 421 pipelining=true"),
            (IfOffered, &[greeting, "500 what\r\n", "250 mx\r\n"], "ready EhloRefused pipelining=false"),
            (
                IfOffered,
                &[greeting, "500 what\r\n", "550 no\r\n"],
                "refused while performing the EHLO handshake: 550 no",
            ),
            (IfOffered, &[greeting, "421 bye\r\n"], "refused while performing the EHLO handshake: 421 bye"),
            (Required, &[greeting, PLAIN], "STARTTLS was required and cannot be had"),
            (Required, &[greeting, EHLO, no], "STARTTLS was required and cannot be had"),
            (Required, &[greeting, "502 what\r\n", "250 mx\r\n"], "STARTTLS was required and cannot be had"),
            (Required, &[greeting, "250-mx\r\n250 XSTARTTLS\r\n"], "STARTTLS was required and cannot be had"),
            (Never, &["554 go away\r\n"], "refused while receiving the initial server greeting: 554 go away"),
            (Never, &["421 busy\r\n"], "refused while receiving the initial server greeting: 421 busy"),
            (Never, &[greeting, "250 ME.example\r\n"], "mail loops back to myself"),
            (Never, &["220 me.example\r\n", PLAIN], "ready NotWanted pipelining=true"),
        ];
        for (starttls, script, expected) in table {
            assert_eq!(told(&play(hello(starttls), script).1), expected, "{starttls:?} {script:?}");
        }
    }

    #[test]
    fn commands_are_as_the_protocol_wants_them() {
        let (said, _) = play(hello(StartTls::IfOffered), &["220 a\r\n", EHLO, "220 b\r\n", "tls", PLAIN]);
        assert_eq!(said, "EHLO me.example\r\nSTARTTLS\r\nEHLO me.example\r\n");
        let (said, _) = play(hello(StartTls::Never), &["220 a\r\n", "500 b\r\n", "250 c\r\n"]);
        assert_eq!(said, "EHLO me.example\r\nHELO me.example\r\n");
        // RFC 2033 §4.1: LHLO, and nothing to fall back to.
        let lmtp = Hello { protocol: Protocol::Lmtp, ..hello(StartTls::Never) };
        let (said, step) = play(lmtp, &["220 a\r\n", "500 b\r\n"]);
        assert_eq!(said, "LHLO me.example\r\n");
        assert!(matches!(step, OpeningStep::Failed(_)));
    }
}
