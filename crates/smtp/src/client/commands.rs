//! MAIL and RCPT with their parameters.

use alloc::vec::Vec;
use core::fmt::{self, Write as _};

use waxseal_types::{BodyKind, Envelope, Recipient, Ret};

use super::ehlo::Ehlo;

/// `MAIL FROM:<...>` with the parameters that the server understands and the envelope has.
pub(super) fn mail(envelope: &Envelope, ehlo: &Ehlo, out: &mut Vec<u8>) {
    let sender = envelope.sender.as_ref().map_or("", |sender| sender.as_str());
    push(out, &["MAIL FROM:<", sender, ">"]);
    if ehlo.size {
        // RFC 1870 §6: octets before dot-stuffing.
        push_display(out, &format_args!(" SIZE={}", envelope.size));
    }
    if ehlo.eight_bit_mime && envelope.body == BodyKind::EightBitMime {
        push(out, &[" BODY=8BITMIME"]);
    }
    let international = envelope.smtputf8
        || envelope
            .sender
            .iter()
            .chain(envelope.recipients.iter().map(|r| &r.mailbox))
            .any(|m| !m.is_ascii());
    if ehlo.smtputf8 && international {
        push(out, &[" SMTPUTF8"]);
    }
    // RFC 3461 §5.2.1: passed on unchanged, where the server knows DSN.
    if ehlo.dsn {
        match envelope.ret {
            Some(Ret::Full) => push(out, &[" RET=FULL"]),
            Some(Ret::Headers) => push(out, &[" RET=HDRS"]),
            None => {}
        }
        push_parameter(out, " ENVID=", envelope.envelope_id.as_deref());
    }
    push(out, &["\r\n"]);
}

/// `RCPT TO:<...>`, likewise.
pub(super) fn rcpt(recipient: &Recipient, ehlo: &Ehlo, out: &mut Vec<u8>) {
    push(out, &["RCPT TO:<", recipient.mailbox.as_str(), ">"]);
    if ehlo.dsn {
        if let Some(notify) = recipient.notify {
            push_display(out, &format_args!(" NOTIFY={notify}"));
        }
        push_parameter(out, " ORCPT=", recipient.original.as_deref());
    }
    push(out, &["\r\n"]);
}

/// The whole text as one chunk (RFC 3030 §2); its octets come behind.
pub(super) fn last_chunk(octets: usize, out: &mut Vec<u8>) {
    push_display(out, &format_args!("BDAT {octets} LAST\r\n"));
}

/// A parameter's value was checked when it came in; that it cannot break out of the command is made sure here all the same.
fn push_parameter(out: &mut Vec<u8>, name: &str, value: Option<&str>) {
    let harmless =
        |value: &&str| !value.is_empty() && !value.chars().any(|c| c.is_control() || c.is_whitespace());
    if let Some(value) = value.filter(harmless) {
        push(out, &[name, value]);
    }
}

fn push(out: &mut Vec<u8>, parts: &[&str]) {
    parts.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
}

fn push_display(out: &mut Vec<u8>, value: &dyn fmt::Display) {
    struct Octets<'a>(&'a mut Vec<u8>);
    impl fmt::Write for Octets<'_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.extend_from_slice(text.as_bytes());
            Ok(())
        }
    }
    // Writing to memory does not fail, and the displayed types do not either.
    let _ = write!(Octets(out), "{value}");
}
