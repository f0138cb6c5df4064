//! Hello, MAIL, RCPT and what leads to a text.

use alloc::{string::String, sync::Arc};

use bytes::BytesMut;
use waxseal_types::Mailbox;

use super::{
    Hello, Host, Refusal, Session, Step,
    parameters::{parse_mail, parse_rcpt},
    scanner::Scanner,
};

impl Session {
    pub(super) fn hello(&mut self, name: &str, extended: bool) -> Result<(), Refusal> {
        // RFC 5321 §4.1.4: a second hello is as good as RSET.
        self.reset();
        self.hello = Some(Hello {
            name: header_name(name),
            extended,
            tls: self.tls,
            authenticated: self.authenticated,
        });
        let settings = Arc::clone(&self.settings);
        if !extended {
            self.say(format_args!("250 {}\r\n", settings.hostname));
            return Ok(());
        }
        let starttls = if settings.starttls && !self.tls { "250-STARTTLS\r\n" } else { "" };
        // RFC 4954 §4.3: passwords are not asked for in clear.
        let auth = if settings.auth && self.tls { "250-AUTH PLAIN LOGIN\r\n" } else { "" };
        self.say(format_args!(
            "250-{}\r\n250-PIPELINING\r\n250-SIZE {}\r\n{starttls}{auth}250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n\
             250-DSN\r\n250-SMTPUTF8\r\n250 CHUNKING\r\n",
            settings.hostname, settings.message_size_limit,
        ));
        Ok(())
    }

    pub(super) fn mail(&mut self, argument: &str, host: &mut dyn Host) -> Result<(), Refusal> {
        if self.hello.is_none() {
            return Err(Refusal::HELLO_FIRST);
        }
        if self.transaction.is_some() {
            return Err(Refusal::NESTED_MAIL);
        }
        let (mut transaction, size) = parse_mail(argument, self.settings.auth && self.tls)?;
        // RFC 1870 §6.1: a message that is declared too large need not be sent at all.
        if size.is_some_and(|size| {
            usize::try_from(size).map_or(true, |size| size > self.settings.largest_message())
        }) {
            return Err(Refusal::TOO_LARGE);
        }
        transaction.sender = transaction.sender.map(|sender| qualified(sender, &self.settings.hostname));
        host.mail(&transaction)?;
        self.transaction = Some(transaction);
        self.ok("2.1.0 Ok")
    }

    pub(super) fn rcpt(&mut self, argument: &str, host: &mut dyn Host) -> Result<(), Refusal> {
        if self.scanner.is_some() || self.failed {
            return Err(Refusal::WITHIN_BDAT);
        }
        let Some(transaction) = &mut self.transaction else { return Err(Refusal::MAIL_FIRST) };
        if transaction.recipients.len() >= self.settings.recipient_limit {
            // RFC 5321 §4.5.3.1.10: 452, so that the client sends the rest in another transaction.
            self.overshoot += 1;
            self.errors += usize::from(self.overshoot > self.settings.recipient_overshoot_limit);
            return Err(Refusal::TOO_MANY_RECIPIENTS);
        }
        let recipient = parse_rcpt(argument, transaction.smtputf8).and_then(|mut recipient| {
            recipient.mailbox = qualified(recipient.mailbox, &self.settings.hostname);
            host.recipient(transaction, &recipient).map(|()| recipient)
        });
        match recipient {
            Ok(recipient) => transaction.recipients.push(recipient),
            Err(refusal) => {
                self.refused_recipient = true;
                return Err(refusal);
            }
        }
        self.ok("2.1.5 Ok")
    }

    /// The text may come: the scanner for it, with the host's lines in front.
    pub(super) fn begin_text(&mut self, host: &mut dyn Host) -> Result<Scanner, Refusal> {
        let (Some(hello), Some(transaction)) = (&self.hello, &self.transaction) else {
            return Err(Refusal::MAIL_FIRST);
        };
        if transaction.recipients.is_empty() {
            return Err(if self.refused_recipient { Refusal::NO_RECIPIENTS } else { Refusal::RCPT_FIRST });
        }
        // The text behind it brings its own room.
        let mut text = BytesMut::with_capacity(TRACE_CAPACITY);
        host.text(hello, transaction, &mut text)?;
        Ok(Scanner::new(text, self.settings.largest_message()))
    }

    pub(super) fn start_tls(&mut self) -> Option<Step> {
        if self.tls {
            self.fail(&Refusal::TLS_ACTIVE);
        } else if !self.settings.starttls {
            // postconf(5) smtpd_tls_security_level: what is demanded and cannot be had is told as what it is.
            let wanted = self.settings.require_tls;
            let refusal = if wanted { Refusal::TLS_UNAVAILABLE } else { Refusal::NOT_IMPLEMENTED };
            self.fail(&refusal);
        } else {
            return Some(Step::StartTls);
        }
        None
    }
}

/// Most `Received:` fields fit.
const TRACE_CAPACITY: usize = 512;

/// RFC 5321 §4.1.1.3: a bare `postmaster` is the one of this host. It stays bare where the host has no name that can stand in an address.
fn qualified(mailbox: Mailbox, hostname: &str) -> Mailbox {
    if mailbox.domain().is_some() {
        return mailbox;
    }
    Mailbox::new(&alloc::format!("{mailbox}@{hostname}")).unwrap_or(mailbox)
}

/// The name for `Received:` and logs. RFC 5321 §4.1.4 forbids to refuse mail because of it, so it is made harmless instead.
fn header_name(name: &str) -> Arc<str> {
    // RFC 5321 §4.5.3.1.2: a domain has at most 255 octets.
    let clean = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']') { c } else { '?' }
    };
    name.chars().take(255).map(clean).collect::<String>().into()
}
