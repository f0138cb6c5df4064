//! The arguments of MAIL and RCPT: a path and ESMTP parameters (RFC 5321 §4.1.1.2, §4.1.1.3, RFC 3461 §4).

use alloc::sync::Arc;

use waxseal_types::{BodyKind, Mailbox, Notify, Recipient, Ret};

use super::{Refusal, Transaction, command::parse_size};

/// RFC 3461 §4.4: an envelope identifier has at most 100 characters.
const LONGEST_ENVID: usize = 100;
/// RFC 3461 §4.2: an original recipient has at most 500 characters.
const LONGEST_ORCPT: usize = 500;

/// Reads what follows `MAIL `, and gives the size that the client announced.
///
/// `auth` says that AUTH is offered, and so its parameter, too.
pub(super) fn parse_mail(argument: &str, auth: bool) -> Result<(Transaction, Option<u64>), Refusal> {
    let (path, rest) = path(argument, "FROM:").ok_or(Refusal::MAIL_SYNTAX)?;
    let sender =
        if path.is_empty() { None } else { Some(Mailbox::from_path(path).map_err(|_| Refusal::BAD_SENDER)?) };
    let mut given = MailParameters::default();
    for word in rest.split_ascii_whitespace() {
        given.take(word, auth)?;
    }
    let smtputf8 = given.smtputf8.is_some();
    let ascii = sender.as_ref().is_none_or(Mailbox::is_ascii);
    if !(smtputf8 || ascii) {
        return Err(Refusal::NEEDS_SMTPUTF8);
    }
    let transaction = Transaction {
        sender,
        recipients: alloc::vec::Vec::new(),
        body: given.body.unwrap_or(BodyKind::SevenBit),
        smtputf8,
        envelope_id: given.envelope_id,
        ret: given.ret,
    };
    Ok((transaction, given.size))
}

/// Reads what follows `RCPT `.
pub(super) fn parse_rcpt(argument: &str, smtputf8: bool) -> Result<Recipient, Refusal> {
    let (path, rest) = path(argument, "TO:").ok_or(Refusal::RCPT_SYNTAX)?;
    let mailbox = Mailbox::from_path(path).map_err(|_| Refusal::BAD_RECIPIENT)?;
    let (mut notify, mut original) = (None, None);
    for word in rest.split_ascii_whitespace() {
        let (key, value) = split(word);
        if key.eq_ignore_ascii_case("NOTIFY") {
            once(&mut notify, parse_notify(value).ok_or(Refusal::BAD_NOTIFY)?)?;
        } else if key.eq_ignore_ascii_case("ORCPT") {
            once(&mut original, parse_orcpt(value, smtputf8).ok_or(Refusal::BAD_ORCPT)?)?;
        } else {
            return Err(Refusal::UNSUPPORTED);
        }
    }
    if !(smtputf8 || mailbox.is_ascii()) {
        return Err(Refusal::NEEDS_SMTPUTF8);
    }
    Ok(Recipient { mailbox, notify, original })
}

#[derive(Default)]
struct MailParameters {
    size: Option<u64>,
    body: Option<BodyKind>,
    smtputf8: Option<()>,
    envelope_id: Option<Arc<str>>,
    ret: Option<Ret>,
    submitter: Option<()>,
}

impl MailParameters {
    fn take(&mut self, word: &str, auth: bool) -> Result<(), Refusal> {
        let (key, value) = split(word);
        let is = |name: &str| key.eq_ignore_ascii_case(name);
        if is("SIZE") {
            once(&mut self.size, value.and_then(parse_size).ok_or(Refusal::BAD_SIZE)?)
        } else if is("BODY") {
            once(&mut self.body, value.and_then(parse_body).ok_or(Refusal::BAD_BODY)?)
        } else if is("SMTPUTF8") {
            // RFC 6531 §3.4: the parameter has no value.
            if value.is_some() { Err(Refusal::UNSUPPORTED) } else { once(&mut self.smtputf8, ()) }
        } else if is("ENVID") {
            let id = value.filter(|id| (1..=LONGEST_ENVID).contains(&id.len()) && is_xtext(id));
            once(&mut self.envelope_id, id.ok_or(Refusal::BAD_ENVID)?.into())
        } else if is("RET") {
            once(&mut self.ret, value.and_then(parse_ret).ok_or(Refusal::BAD_RET)?)
        } else if is("AUTH") && auth {
            // RFC 4954 §5: who submitted it first. Nobody is told: we trust no client to say so (as if it were `<>`).
            let known = value.filter(|who| *who == "<>" || (!who.is_empty() && is_xtext(who)));
            known.ok_or(Refusal::BAD_AUTH_PARAMETER).and_then(|_| once(&mut self.submitter, ()))
        } else {
            // RFC 5321 §4.1.1.11: REQUIRETLS, and AUTH= without AUTH, too, as long as the EHLO reply does not offer them.
            Err(Refusal::UNSUPPORTED)
        }
    }
}

/// The path behind `keyword`, without its brackets, and what follows it.
///
/// As Postfix without `strict_rfc821_envelopes`: spaces behind the colon and an address without brackets are taken.
fn path<'a>(argument: &'a str, keyword: &str) -> Option<(&'a str, &'a str)> {
    let head = argument.get(..keyword.len()).filter(|head| head.eq_ignore_ascii_case(keyword))?;
    let text = argument[head.len()..].trim_start_matches([' ', '\t']);
    let (inner, bracketed) = text.strip_prefix('<').map_or((text, false), |inner| (inner, true));
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in inner.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if bracketed && !quoted => {
                let rest = &inner[at + 1..];
                return (rest.is_empty() || rest.starts_with([' ', '\t'])).then_some((&inner[..at], rest));
            }
            b' ' | b'\t' if !bracketed && !quoted => return Some((&inner[..at], &inner[at..])),
            _ => {}
        }
    }
    (!bracketed && !inner.is_empty()).then_some((inner, ""))
}

fn split(word: &str) -> (&str, Option<&str>) {
    word.split_once('=').map_or((word, None), |(key, value)| (key, Some(value)))
}

/// RFC 3461 §4.1 to §4.4: each parameter at most once.
fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), Refusal> {
    if slot.replace(value).is_some() { Err(Refusal::DUPLICATE) } else { Ok(()) }
}

/// RFC 6152 §2. BINARYMIME is not offered (RFC 3030 §3).
fn parse_body(value: &str) -> Option<BodyKind> {
    if value.eq_ignore_ascii_case("7BIT") {
        Some(BodyKind::SevenBit)
    } else if value.eq_ignore_ascii_case("8BITMIME") {
        Some(BodyKind::EightBitMime)
    } else {
        None
    }
}

/// RFC 3461 §4.3.
fn parse_ret(value: &str) -> Option<Ret> {
    if value.eq_ignore_ascii_case("FULL") {
        Some(Ret::Full)
    } else if value.eq_ignore_ascii_case("HDRS") {
        Some(Ret::Headers)
    } else {
        None
    }
}

/// RFC 3461 §4.1: NEVER alone, or each of the others at most once.
fn parse_notify(value: Option<&str>) -> Option<Notify> {
    let value = value?;
    if value.eq_ignore_ascii_case("NEVER") {
        return Some(Notify::Never);
    }
    let (mut success, mut failure, mut delay) = (false, false, false);
    for word in value.split(',') {
        let flag = if word.eq_ignore_ascii_case("SUCCESS") {
            &mut success
        } else if word.eq_ignore_ascii_case("FAILURE") {
            &mut failure
        } else if word.eq_ignore_ascii_case("DELAY") {
            &mut delay
        } else {
            return None;
        };
        if core::mem::replace(flag, true) {
            return None;
        }
    }
    Some(Notify::On { success, failure, delay })
}

/// RFC 3461 §4.2: `addr-type ";" xtext`; with SMTPUTF8 also RFC 6533 §3: `utf-8;` and UTF-8 in clear.
fn parse_orcpt(value: Option<&str>, smtputf8: bool) -> Option<Arc<str>> {
    let value = value.filter(|value| value.len() <= LONGEST_ORCPT)?;
    let (kind, address) = value.split_once(';')?;
    let atom = !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let good = if smtputf8 && kind.eq_ignore_ascii_case("utf-8") {
        address.chars().all(|c| !c.is_control() && !c.is_whitespace() && c != '=')
    } else {
        is_xtext(address)
    };
    (atom && good && !address.is_empty()).then(|| value.into())
}

/// RFC 3461 §4: graphic ASCII without `+` and `=`, or `+` and two upper-case hexadecimal digits. What is encoded must be printable
/// ASCII (§4.2, §4.4): `+0D+0A` would be a line end in somebody's spool, log or notification.
fn is_xtext(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let good = match byte {
            b'+' => {
                let mut digit = || bytes.next().and_then(upper_hex);
                let (high, low) = (digit(), digit());
                high.zip(low).is_some_and(|(high, low)| (0x20..0x7f).contains(&(high * 16 + low)))
            }
            b'=' => false,
            _ => byte.is_ascii_graphic(),
        };
        if !good {
            return false;
        }
    }
    true
}

const fn upper_hex(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
