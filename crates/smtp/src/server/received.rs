//! The trace line (RFC 5321 §4.4).

use core::fmt::{self, Write};

use bytes::BytesMut;
use waxseal_types::{QueueId, UnixTime};

use super::{Hello, Transaction};

/// All that one `Received:` field tells.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// How the client introduced itself.
    pub hello: &'a Hello,
    /// The client as the server sees it, for the comment: `unknown [192.0.2.1]`; no parentheses, printable ASCII.
    pub client: &'a str,
    /// What TLS has come to: lines that each begin with CRLF and a tab; empty is nothing (`smtpd_tls_received_header`).
    pub tls: &'a str,
    /// This server.
    pub hostname: &'a str,
    /// The message's name in this queue.
    pub id: QueueId,
    /// The only recipient is named; several are not, since that would tell them of each other (RFC 5321 §7.2).
    pub transaction: &'a Transaction,
    /// When it came.
    pub time: UnixTime,
}

impl Received<'_> {
    /// Appends the field, folded, with its line ends.
    pub fn write_to(&self, text: &mut BytesMut) {
        // Writing to a BytesMut does not fail; it grows.
        let _ = self.write(text);
    }

    fn write(&self, out: &mut BytesMut) -> fmt::Result {
        let Self { hello, client, tls, hostname, id, transaction, time } = *self;
        write!(
            out,
            "Received: from {} ({client}){tls}\r\n\tby {hostname} (Waxseal) with {} id {id}",
            hello.name,
            self.with()
        )?;
        match &*transaction.recipients {
            [only] => write!(out, "\r\n\tfor <{}>; ", only.mailbox)?,
            _ => out.write_str(";\r\n\t")?,
        }
        write!(out, "{}\r\n", time.rfc5322())
    }

    /// The protocol: RFC 3848, RFC 6531 §3.7.3 and §4.3.
    const fn with(&self) -> &'static str {
        // RFC 3848: "A" for AUTH. It is offered over TLS only.
        match (self.hello.extended, self.transaction.smtputf8, self.hello.tls, self.hello.authenticated) {
            (_, true, true, true) => "UTF8SMTPSA",
            (_, true, true, false) => "UTF8SMTPS",
            (_, true, false, _) => "UTF8SMTP",
            (true, false, true, true) => "ESMTPSA",
            (true, false, true, false) => "ESMTPS",
            (true, false, false, _) => "ESMTP",
            (false, false, ..) => "SMTP",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::parameters::{parse_mail, parse_rcpt};

    fn line(mail: &str, recipients: &[&str], hello: &Hello) -> alloc::string::String {
        let (mut transaction, _) = parse_mail(mail, false).unwrap();
        for recipient in recipients {
            transaction.recipients.push(parse_rcpt(recipient, transaction.smtputf8).unwrap());
        }
        let received = Received {
            hello,
            client: "unknown [192.0.2.1]",
            tls: "",
            hostname: "mx.example",
            id: QueueId::from_u64(51),
            transaction: &transaction,
            time: UnixTime::from_secs(1_795_249_800),
        };
        let mut text = BytesMut::new();
        received.write_to(&mut text);
        core::str::from_utf8(&text).unwrap().into()
    }

    #[test]
    fn rfc5321_trace_line() {
        let hello = Hello { name: "client.example".into(), extended: true, tls: false, authenticated: false };
        assert_eq!(
            line("FROM:<>", &["TO:<a@b.example>"], &hello),
            "Received: from client.example (unknown [192.0.2.1])\r\n\tby mx.example (Waxseal) with ESMTP id z\r\n\
             \tfor <a@b.example>; Sat, 21 Nov 2026 08:30:00 +0000\r\n"
        );
        // Several recipients must not learn of each other.
        let several = line("FROM:<>", &["TO:<a@b.example>", "TO:<c@d.example>"], &hello);
        assert!(several.ends_with("id z;\r\n\tSat, 21 Nov 2026 08:30:00 +0000\r\n"), "{several}");
        assert!(!several.contains("a@b"));
    }

    #[test]
    fn rfc3848_and_rfc6531_protocol_names() {
        for (extended, tls, mail, expected) in [
            (true, true, "FROM:<> A", "ESMTPSA"),
            (true, true, "FROM:<> SMTPUTF8 A", "UTF8SMTPSA"),
            (false, false, "FROM:<>", "SMTP"),
            (true, false, "FROM:<>", "ESMTP"),
            (true, true, "FROM:<>", "ESMTPS"),
            (true, false, "FROM:<> SMTPUTF8", "UTF8SMTP"),
            (true, true, "FROM:<> SMTPUTF8", "UTF8SMTPS"),
        ] {
            let (mail, authenticated) = mail.strip_suffix(" A").map_or((mail, false), |mail| (mail, true));
            let hello = Hello { name: "x".into(), extended, tls, authenticated };
            let line = line(mail, &["TO:<a@b.example>"], &hello);
            assert!(line.contains(&alloc::format!(" with {expected} id ")), "{line}");
        }
    }
}
