//! AUTH (RFC 4954) with the mechanisms PLAIN (RFC 4616) and LOGIN: one answer is a password, and somebody else knows whether it is right.

use alloc::{boxed::Box, string::String, vec::Vec};
use core::fmt;

use super::{Refusal, Session, Step, session::Phase};

/// RFC 4616 §2: each part has at most 255 octets.
const LONGEST: usize = 255;

/// Who a client says it is, and how it wants to prove it.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name; 1 to 255 octets, no control characters.
    pub user: String,
    /// The password; 1 to 255 octets.
    pub password: String,
}

impl fmt::Debug for Credentials {
    /// The password is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// What the client has to say next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Exchange {
    /// RFC 4616: all at once.
    Plain,
    /// LOGIN: first the name.
    LoginName,
    /// LOGIN: then the password.
    LoginPassword { user: String },
}

impl Session {
    /// AUTH with its argument.
    pub(super) fn auth(&mut self, argument: &str) -> Option<Step> {
        match self.begin_auth(argument) {
            Ok(step) => step,
            Err(refusal) => {
                self.fail(&refusal);
                None
            }
        }
    }

    fn begin_auth(&mut self, argument: &str) -> Result<Option<Step>, Refusal> {
        if !self.settings.auth {
            return Err(Refusal::NOT_IMPLEMENTED);
        }
        // RFC 4954 §4: "Servers MUST NOT" take plain passwords where they can be heard.
        if !self.tls {
            return Err(Refusal::AUTH_NEEDS_TLS);
        }
        if !self.hello.as_ref().is_some_and(|hello| hello.extended) {
            return Err(Refusal::HELLO_FIRST);
        }
        if self.authenticated {
            return Err(Refusal::AUTH_TWICE);
        }
        if self.transaction.is_some() {
            return Err(Refusal::AUTH_IN_TRANSACTION);
        }
        let (mechanism, initial) = argument.split_once([' ', '\t']).unwrap_or((argument, ""));
        let exchange = if mechanism.eq_ignore_ascii_case("PLAIN") {
            Exchange::Plain
        } else if mechanism.eq_ignore_ascii_case("LOGIN") {
            Exchange::LoginName
        } else {
            return Err(Refusal::AUTH_MECHANISM);
        };
        match initial.trim() {
            "" => {
                self.ask(exchange);
                Ok(None)
            }
            // RFC 4954 §4: `=` is an initial response of no octets.
            "=" => self.take(exchange, b""),
            initial => self.take(exchange, initial.as_bytes()),
        }
    }

    /// The next line of an exchange that has begun.
    pub(super) fn response(&mut self, line: &[u8], alone: bool) -> Option<Step> {
        let Phase::Auth(exchange) = core::mem::replace(&mut self.phase, Phase::Command) else { return None };
        if !alone {
            self.close(&Refusal::SYNCHRONISATION);
            return None;
        }
        // RFC 4954 §4: the client may give up.
        let taken = if line == b"*" { Err(Refusal::AUTH_ABORTED) } else { self.take(exchange, line) };
        taken.unwrap_or_else(|refusal| {
            self.fail(&refusal);
            None
        })
    }

    fn take(&mut self, exchange: Exchange, encoded: &[u8]) -> Result<Option<Step>, Refusal> {
        let text =
            decode(encoded).and_then(|octets| String::from_utf8(octets).ok()).ok_or(Refusal::AUTH_SYNTAX)?;
        let (user, password) = match exchange {
            Exchange::Plain => plain(&text)?,
            Exchange::LoginName => {
                self.ask(Exchange::LoginPassword { user: text });
                return Ok(None);
            }
            Exchange::LoginPassword { user } => (user, text),
        };
        let fits = |part: &str| (1..=LONGEST).contains(&part.len());
        if !fits(&user) || !fits(&password) || user.chars().any(char::is_control) || password.contains('\0') {
            return Err(Refusal::BAD_CREDENTIALS);
        }
        Ok(Some(Step::Authenticate(Box::new(Credentials { user, password }))))
    }

    fn ask(&mut self, exchange: Exchange) {
        let challenge = match exchange {
            Exchange::Plain => "334 \r\n",
            // "Username:" and "Password:", which some clients insist on.
            Exchange::LoginName => "334 VXNlcm5hbWU6\r\n",
            Exchange::LoginPassword { .. } => "334 UGFzc3dvcmQ6\r\n",
        };
        self.say(format_args!("{challenge}"));
        self.phase = Phase::Auth(exchange);
    }

    /// The answer to [`Step::Authenticate`].
    pub fn authenticate(&mut self, outcome: Result<(), Refusal>) {
        match outcome {
            Ok(()) => {
                self.authenticated = true;
                if let Some(hello) = &mut self.hello {
                    hello.authenticated = true;
                }
                self.say(format_args!("235 2.7.0 Authentication successful\r\n"));
            }
            Err(refusal) if refusal.code == 421 => self.close(&refusal),
            Err(refusal) => self.fail(&refusal),
        }
    }
}

/// RFC 4616 §2: `[authzid] NUL authcid NUL passwd`. Nobody may act for somebody else.
fn plain(text: &str) -> Result<(String, String), Refusal> {
    let mut parts = text.split('\0');
    let (Some(acts_for), Some(user), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Refusal::AUTH_SYNTAX);
    };
    if acts_for.is_empty() || acts_for == user {
        Ok((user.into(), password.into()))
    } else {
        Err(Refusal::BAD_CREDENTIALS)
    }
}

/// Base64 (RFC 4648 §4) in the strict form that RFC 4954 §4 asks for: whole groups, padding at the end only, no spare bits.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let padding = text.iter().rev().take_while(|octet| **octet == b'=').count();
    if !text.len().is_multiple_of(4) || padding > 2 {
        return None;
    }
    let mut octets = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0u32, 0);
    for octet in &text[..text.len() - padding] {
        bits = bits << 6 | u32::from(sextet(*octet)?);
        count += 6;
        if count >= 8 {
            count -= 8;
            octets.push((bits >> count & 0xff) as u8);
            bits &= (1 << count) - 1;
        }
    }
    (bits == 0).then_some(octets)
}

const fn sextet(octet: u8) -> Option<u8> {
    match octet {
        b'A'..=b'Z' => Some(octet - b'A'),
        b'a'..=b'z' => Some(octet - b'a' + 26),
        b'0'..=b'9' => Some(octet - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use alloc::sync::Arc;

    use bytes::BytesMut;

    use super::*;
    use crate::server::{Host, Settings, Transaction};

    struct Anyone;
    impl Host for Anyone {
        fn mail(&mut self, _: &Transaction) -> Result<(), Refusal> {
            Ok(())
        }
        fn recipient(&mut self, _: &Transaction, _: &waxseal_types::Recipient) -> Result<(), Refusal> {
            Ok(())
        }
        fn text(
            &mut self,
            _: &crate::server::Hello,
            _: &Transaction,
            _: &mut BytesMut,
        ) -> Result<(), Refusal> {
            Ok(())
        }
    }

    fn session(tls: bool) -> Session {
        let settings = Settings { starttls: true, auth: true, ..Settings::default() };
        let mut session = Session::new(Arc::new(settings));
        if tls {
            session.secured();
        }
        session.advance(&mut BytesMut::from("EHLO x\r\n"), &mut Anyone);
        session
    }

    fn say(session: &mut Session, text: &str) -> (Step, String) {
        session.output().clear();
        let step = session.advance(&mut BytesMut::from(text), &mut Anyone);
        (step, String::from_utf8(session.output().to_vec()).unwrap())
    }

    #[test]
    fn rfc4648_base64_is_strict() {
        let table: [(&str, Option<&[u8]>); 10] = [
            ("", Some(b"")),
            ("Zg==", Some(b"f")),
            ("Zm8=", Some(b"fo")),
            ("Zm9v", Some(b"foo")),
            ("Zm9vYmFy", Some(b"foobar")),
            ("Zh==", None),
            ("Zg=", None),
            ("Zg", None),
            ("Z===", None),
            ("Zm 9", None),
        ];
        for (text, expected) in table {
            assert_eq!(decode(text.as_bytes()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn rfc4954_auth_is_neither_offered_nor_taken_in_clear() {
        let mut session = session(false);
        assert!(!String::from_utf8_lossy(session.output()).contains("AUTH"));
        let (_, reply) = say(&mut session, "AUTH PLAIN AGEAYg==\r\n");
        assert!(reply.starts_with("538 5.7.11"), "{reply}");
    }

    #[test]
    fn rfc4616_plain_and_login_give_the_same_credentials() {
        let wanted = Credentials { user: "a".into(), password: "b".into() };
        for script in [
            &["AUTH PLAIN AGEAYg==\r\n"][..],
            &["AUTH PLAIN\r\n", "AGEAYg==\r\n"],
            &["AUTH PLAIN YQBhAGI=\r\n"],
            &["auth login\r\n", "YQ==\r\n", "Yg==\r\n"],
            &["AUTH LOGIN YQ==\r\n", "Yg==\r\n"],
        ] {
            let mut session = session(true);
            assert!(String::from_utf8_lossy(session.output()).contains("250-AUTH PLAIN LOGIN\r\n"));
            let (last, before) = script.split_last().unwrap();
            for line in before {
                let (step, reply) = say(&mut session, line);
                assert!(matches!(step, Step::Read) && reply.starts_with("334 "), "{script:?} {reply}");
            }
            let (step, _) = say(&mut session, last);
            let Step::Authenticate(given) = step else { panic!("{script:?} {step:?}") };
            assert_eq!(*given, wanted);
            session.authenticate(Ok(()));
            let (_, reply) = say(&mut session, "AUTH PLAIN AGEAYg==\r\n");
            assert!(reply.starts_with("503 "), "{reply}");
        }
    }

    #[test]
    fn rfc4954_what_is_wrong_is_refused_and_ends_the_exchange() {
        let table = [
            (&["AUTH GSSAPI\r\n"][..], "504 "),
            (&["AUTH PLAIN !!!!\r\n"], "501 "),
            (&["AUTH PLAIN =\r\n"], "501 "),
            (&["AUTH PLAIN\r\n", "*\r\n"], "501 5.7.0 "),
            // Another's name; no user; no password.
            (&["AUTH PLAIN YgBhAGI=\r\n"], "535 "),
            (&["AUTH PLAIN AABi\r\n"], "535 "),
            (&["AUTH PLAIN AGEA\r\n"], "535 "),
            (&["MAIL FROM:<a@a.example>\r\n", "AUTH PLAIN AGEAYg==\r\n"], "503 "),
            (&["AUTH PLAIN\r\n", "AGEAYg==\r\nMAIL FROM:<>\r\n"], "554 "),
            (&["AUTH PLAIN AGEAYg==\r\nMAIL FROM:<>\r\n"], "554 "),
        ];
        for (script, expected) in table {
            let mut session = session(true);
            let mut reply = String::new();
            for line in script {
                let (step, said) = say(&mut session, line);
                assert!(!matches!(step, Step::Authenticate(_)), "{script:?}");
                reply = said;
            }
            assert!(reply.starts_with(expected), "{script:?}: {reply}");
            if expected != "554 " {
                let (_, reply) = say(&mut session, "NOOP\r\n");
                assert!(reply.starts_with("250 "), "{script:?}: {reply}");
            }
        }
    }

    /// RFC 4954 §4.5 bounds an answer at 12,288 octets; a password here has to fit into a line.
    #[test]
    fn rfc4954_giant_answers_are_thrown_away_and_end_the_exchange() {
        for first in ["AUTH PLAIN\r\n", "AUTH LOGIN\r\n"] {
            let mut session = session(true);
            let (_, reply) = say(&mut session, first);
            assert!(reply.starts_with("334 "), "{reply}");
            let (mut input, piece) = (BytesMut::new(), "A".repeat(1000));
            session.output().clear();
            for _ in 0..1000 {
                input.extend_from_slice(piece.as_bytes());
                assert!(matches!(session.advance(&mut input, &mut Anyone), Step::Read));
                assert!(input.len() <= 2049, "{} octets are held", input.len());
            }
            input.extend_from_slice(b"\r\n");
            session.advance(&mut input, &mut Anyone);
            let reply = String::from_utf8(session.output().to_vec()).unwrap();
            assert!(reply.starts_with("500 "), "{reply}");
            let (_, reply) = say(&mut session, "NOOP\r\n");
            assert!(reply.starts_with("250 "), "{first:?}: the exchange is over: {reply}");
        }
    }

    #[test]
    fn rfc3207_tls_forgets_who_authenticated() {
        let mut session = session(true);
        session.authenticate(Ok(()));
        session.secured();
        assert!(!session.authenticated && session.hello.is_none());
    }

    #[test]
    fn the_password_is_not_shown() {
        let shown = alloc::format!("{:?}", Credentials { user: "a".into(), password: "secret".into() });
        assert!(!shown.contains("secret"), "{shown}");
    }
}
