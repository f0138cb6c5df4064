//! Delivery status notifications (RFC 3464, RFC 3461).

use std::{fmt::Write as _, sync::Arc};

use bytes::Bytes;
use waxseal_spool::Outcome;
use waxseal_types::{
    BodyKind, EnhancedStatus, Envelope, Mailbox, Notify, QueueId, Recipient, Reply, Ret, StatusClass,
    TraceContext, UnixTime,
};

use crate::{Settings, Trouble};

/// What a notification says of one recipient (RFC 3464 §2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It was refused, or is too old.
    Failed,
    /// It is tried again (RFC 3464 §2.3.3).
    Delayed,
    /// It was handed to a server that cannot notify (RFC 3461 §5.2.2).
    Relayed,
}

impl Action {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Delayed => "delayed",
            Self::Relayed => "relayed",
        }
    }
}

/// One recipient in a notification.
#[derive(Debug, Clone)]
pub struct Report {
    /// Its index in the envelope.
    pub index: usize,
    /// What became of it.
    pub action: Action,
    /// The code (RFC 3463).
    pub status: EnhancedStatus,
    /// One sentence.
    pub reason: Arc<str>,
    /// The server that spoke.
    pub host: Option<Arc<str>>,
    /// Its words.
    pub reply: Option<Reply>,
    /// The last attempt.
    pub at: UnixTime,
    /// What sort of thing failed.
    pub trouble: Option<Trouble>,
    /// What was demanded and tried, one thing a line.
    pub tried: Option<Arc<str>>,
    /// When it is tried again, where it is.
    pub next_attempt: Option<UnixTime>,
    /// Until when it is tried.
    pub retry_until: Option<UnixTime>,
}

impl Report {
    /// What the sender is to hear of a recipient; `None` where they do not want to.
    #[must_use]
    pub fn new(envelope: &Envelope, index: usize, action: Action, last: Outcome) -> Option<Self> {
        let wanted = match action {
            Action::Failed => wants_failure(envelope, index),
            Action::Delayed => wants_delay(envelope, index),
            Action::Relayed => wants_success(envelope, index),
        };
        let Outcome { at, status, host, reply, reason, trouble, tried } = last;
        let trouble = trouble.map(|word| Trouble::of_word(&word));
        let (next_attempt, retry_until) = (None, None);
        wanted.then_some(Self {
            index,
            action,
            status,
            reason,
            host,
            reply,
            at,
            trouble,
            tried,
            next_attempt,
            retry_until,
        })
    }
}

/// Whether the sender wants to hear of a recipient's failure (RFC 3461 §5.2.5); a null reverse-path never does (RFC 5321 §4.5.5).
#[must_use]
pub fn wants_failure(envelope: &Envelope, index: usize) -> bool {
    let notify = envelope.recipients.get(index).and_then(|recipient| recipient.notify);
    envelope.sender.is_some()
        && match notify {
            None => true,
            Some(Notify::Never) => false,
            Some(Notify::On { failure, .. }) => failure,
        }
}

/// Whether the sender wants to hear of a delay: where they asked for it, or asked for nothing (RFC 3461 §4.1).
#[must_use]
pub fn wants_delay(envelope: &Envelope, index: usize) -> bool {
    let notify = envelope.recipients.get(index).and_then(|recipient| recipient.notify);
    envelope.sender.is_some()
        && match notify {
            None => true,
            Some(Notify::Never) => false,
            Some(Notify::On { delay, .. }) => delay,
        }
}

/// Whether the sender asked to hear of success, which we have to report where the next server cannot (RFC 3461 §5.2.2).
#[must_use]
pub fn wants_success(envelope: &Envelope, index: usize) -> bool {
    let notify = envelope.recipients.get(index).and_then(|recipient| recipient.notify);
    envelope.sender.is_some() && matches!(notify, Some(Notify::On { success: true, .. }))
}

/// The notification as a message of its own, from the null reverse-path to the sender; `None` for mail that has no sender.
#[must_use]
pub fn notification(
    settings: &Settings,
    about: (&Envelope, &[u8]),
    reports: &[Report],
    id: QueueId,
    now: UnixTime,
) -> Option<(Envelope, Bytes)> {
    let (envelope, original) = about;
    let sender = envelope.sender.clone()?;
    let text = compose(settings, (envelope, original), &sender, reports, (id, now));
    let size = text.len() as u64;
    let leading_dots = text.starts_with('.') || text.contains("\r\n.");
    let international = !text.is_ascii();
    let notification = Envelope {
        id,
        arrived: now,
        sender: None,
        // RFC 3461 §6.1: no RET; NOTIFY=NEVER would be allowed and is not needed, since the reverse-path is null.
        recipients: vec![Recipient { mailbox: sender.clone(), notify: None, original: None }],
        body: if international { BodyKind::EightBitMime } else { BodyKind::SevenBit },
        smtputf8: !sender.is_ascii(),
        envelope_id: None,
        ret: None,
        size,
        leading_dots,
        message_id: Some(message_id(settings, id).into()),
        client: "MAILER-DAEMON".into(),
        trace: chapter(envelope, id),
    };
    Some((notification, Bytes::from(text)))
}

/// The same trace, for a bounce is the last chapter of its message; with a first span of its own below the message's.
const fn chapter(envelope: &Envelope, id: QueueId) -> TraceContext {
    let trace = envelope.trace;
    // Fibonacci hashing of the id, which is not used twice, with the span's, which is random.
    let own = trace.span_id ^ id.as_u64().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let span_id = if own == 0 { 1 } else { own };
    TraceContext { span_id, parent_id: trace.span_id, ..trace }
}

fn message_id(settings: &Settings, id: QueueId) -> String {
    format!("<{id}@{}>", settings.hostname)
}

fn compose(
    settings: &Settings,
    about: (&Envelope, &[u8]),
    sender: &Mailbox,
    reports: &[Report],
    name: (QueueId, UnixTime),
) -> String {
    let (envelope, original) = about;
    let (id, now) = name;
    let boundary = format!("{id}.{}/{}", now.as_micros(), settings.hostname);
    let subject = match worst(reports) {
        Action::Failed => "Undelivered Mail Returned to Sender",
        Action::Delayed => "Delayed Mail (still being retried)",
        Action::Relayed => "Successful Mail Delivery Report",
    };
    let from = settings.bounce_domain.as_ref().map_or(settings.hostname.as_str(), |domain| domain.as_str());
    let mut text = String::with_capacity(4096);
    // RFC 3834 §5: Auto-Submitted keeps responders quiet.
    let _ = write!(
        text,
        "Received: by {host} (Waxseal)\r\n\tid {id}; {date}\r\nDate: {date}\r\nFrom: MAILER-DAEMON@{from} (Mail Delivery System)\r\n\
         Subject: {subject}\r\nTo: {sender}\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"{boundary}\"\r\nMessage-Id: {message}\r\n\r\n\
         This is a MIME-encapsulated message.\r\n\r\n",
        host = settings.hostname,
        date = now.rfc5322(),
        message = message_id(settings, id),
    );
    part(&mut text, &boundary, "Notification", "text/plain; charset=utf-8");
    human(&mut text, settings, envelope, reports);
    part(&mut text, &boundary, "Delivery report", "message/delivery-status");
    machine(&mut text, settings, envelope, reports);
    returned(&mut text, settings, &boundary, (envelope, original, worst(reports)));
    let _ = write!(text, "\r\n--{boundary}--\r\n");
    text
}

/// What the whole is about.
fn worst(reports: &[Report]) -> Action {
    let has = |action| reports.iter().any(|report| report.action == action);
    if has(Action::Failed) {
        Action::Failed
    } else if has(Action::Delayed) {
        Action::Delayed
    } else {
        Action::Relayed
    }
}

fn part(text: &mut String, boundary: &str, description: &str, kind: &str) {
    let _ =
        write!(text, "--{boundary}\r\nContent-Description: {description}\r\nContent-Type: {kind}\r\n\r\n");
}

fn human(text: &mut String, settings: &Settings, envelope: &Envelope, reports: &[Report]) {
    let _ = write!(text, "This is the mail system at host {}.\r\n\r\n", settings.hostname);
    let opening = match worst(reports) {
        Action::Failed => {
            "could not be delivered to one or more recipients, and is not tried again.\r\nWhat was tried and what failed stands below; the message is returned."
        }
        Action::Delayed => {
            "has not been delivered yet to one or more recipients. It stays here and is\r\ntried again: you do not need to send it once more."
        }
        Action::Relayed => "was handed on.",
    };
    let _ = write!(text, "Your message of {}\r\n{opening}\r\n\r\n", envelope.arrived.rfc5322());
    for report in reports {
        let Some(recipient) = envelope.recipients.get(report.index) else { continue };
        let line = match report.action {
            Action::Failed | Action::Delayed => format!("<{}>: {}", recipient.mailbox, report.reason),
            Action::Relayed => format!(
                "<{}>: handed to a server that sends no confirmations: {}",
                recipient.mailbox, report.reason
            ),
        };
        wrap(text, &line);
        text.push_str("\r\n");
        if report.action != Action::Relayed {
            help(text, report);
        }
    }
}

/// What it means, what was tried, who can mend it, and when it is tried again.
fn help(text: &mut String, report: &Report) {
    if let Some(trouble) = report.trouble {
        wrap(text, trouble.meaning());
        text.push_str("\r\n");
    }
    if let Some(tried) = &report.tried {
        tried.lines().for_each(|line| wrap(text, line));
        text.push_str("\r\n");
    }
    if let Some(trouble) = report.trouble {
        wrap(text, &format!("{} {}", trouble.whose().sentence(), trouble.remedy()));
        text.push_str("\r\n");
    }
    if let Some(next) = report.next_attempt {
        let end = report
            .retry_until
            .map(|end| format!("; the last ones are made until {}", end.rfc5322()))
            .unwrap_or_default();
        wrap(text, &format!("The next attempt is at {}{end}.", next.rfc5322()));
        text.push_str("\r\n");
    }
}

/// Folds at 76 octets or more where there is a space, four spaces ahead of the following lines.
fn wrap(text: &mut String, line: &str) {
    let mut column = 0;
    for word in clean(line).split(' ') {
        if column > 0 && column + word.len() + 1 > 76 {
            text.push_str("\r\n    ");
            column = 4;
        } else if column > 0 {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += word.len();
    }
    text.push_str("\r\n");
}

/// No control character of a stranger reaches the text.
fn clean(line: &str) -> String {
    line.chars().map(|c| if c.is_control() { '?' } else { c }).take(2000).collect()
}

/// RFC 3464 §2.2 and §2.3.
fn machine(text: &mut String, settings: &Settings, envelope: &Envelope, reports: &[Report]) {
    let _ = write!(text, "Reporting-MTA: dns; {}\r\n", settings.hostname);
    if let Some(id) = &envelope.envelope_id {
        // RFC 3461 §6.3: only where ENVID was given, decoded.
        let _ = write!(text, "Original-Envelope-Id: {}\r\n", clean(&xtext(id)));
    }
    let _ = write!(text, "X-Waxseal-Queue-ID: {}\r\n", envelope.id);
    let _ = write!(text, "Arrival-Date: {}\r\n", envelope.arrived.rfc5322());
    for report in reports {
        let Some(recipient) = envelope.recipients.get(report.index) else { continue };
        text.push_str("\r\n");
        if let Some(original) = &recipient.original {
            // RFC 3461 §6.3: only where ORCPT was given. "rfc822;" and the decoded address.
            let (kind, address) = original.split_once(';').unwrap_or(("rfc822", original));
            let _ = write!(text, "Original-Recipient: {}; {}\r\n", clean(kind), clean(&xtext(address)));
        }
        let kind = if recipient.mailbox.is_ascii() { "rfc822" } else { "utf-8" };
        let _ = write!(
            text,
            "Final-Recipient: {kind}; {}\r\nAction: {}\r\nStatus: {}\r\n",
            recipient.mailbox,
            report.action.as_str(),
            match report.action {
                Action::Failed => report.status.with_class(StatusClass::Permanent),
                Action::Delayed => report.status.with_class(StatusClass::Transient),
                Action::Relayed => report.status,
            },
        );
        if let Some(host) = &report.host {
            let _ = write!(text, "Remote-MTA: dns; {}\r\n", clean(host));
        }
        let _ = match &report.reply {
            // RFC 3464 §2.3.6: the reply exactly as it came.
            Some(reply) => write!(text, "Diagnostic-Code: smtp; {}\r\n", clean(&reply.to_string())),
            None => write!(text, "Diagnostic-Code: X-Waxseal; {}\r\n", clean(&report.reason)),
        };
        let _ = write!(text, "Last-Attempt-Date: {}\r\n", report.at.rfc5322());
        // RFC 3464 §2.3.9: only with "delayed".
        if let Some(end) = report.retry_until.filter(|_| report.action == Action::Delayed) {
            let _ = write!(text, "Will-Retry-Until: {}\r\n", end.rfc5322());
        }
    }
    text.push_str("\r\n");
}

/// RFC 3461 §4: `+` and two hexadecimal digits stand for an octet.
fn xtext(encoded: &str) -> String {
    let bytes = encoded.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let hex = (*byte == b'+')
            .then(|| encoded.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(hex.unwrap_or(*byte));
        at += if hex.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// The message, or its header where the sender wanted no more, or where it is too large (RFC 3461 §4.3).
fn returned(text: &mut String, settings: &Settings, boundary: &str, about: (&Envelope, &[u8], Action)) {
    let (envelope, original, action) = about;
    let header_end =
        original.windows(4).position(|four| four == b"\r\n\r\n").map_or(original.len(), |at| at + 2);
    // RFC 3461 §4.3: RET is about failures; the sender of a message that is under way has it still.
    let whole = original.len() <= settings.bounce_size_limit
        // Of a large text only the beginning is at hand.
        && original.len() as u64 >= envelope.size
        && envelope.ret != Some(Ret::Headers)
        && action != Action::Delayed;
    // Text that is not UTF-8 cannot be carried in one piece with ours; its header is enough to know it by.
    let whole_text = whole.then(|| std::str::from_utf8(original).ok()).flatten();
    let international = !original.is_ascii();
    if let Some(message) = whole_text {
        let kind = if international {
            "message/rfc822\r\nContent-Transfer-Encoding: 8bit"
        } else {
            "message/rfc822"
        };
        part(text, boundary, "Undelivered Message", kind);
        text.push_str(message);
    } else {
        part(text, boundary, "Undelivered Message Headers", "text/rfc822-headers");
        let limit = header_end.min(settings.bounce_size_limit);
        text.push_str(&String::from_utf8_lossy(&original[..limit]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(sender: Option<&str>, ret: Option<Ret>) -> Envelope {
        Envelope {
            id: QueueId::from_u64(77),
            arrived: UnixTime::from_secs(1_795_249_800),
            sender: sender.map(|s| s.parse().unwrap()),
            recipients: vec![
                Recipient {
                    mailbox: "a@example.com".parse().unwrap(),
                    notify: None,
                    original: Some("rfc822;A+2Bx@example.com".into()),
                },
                Recipient {
                    mailbox: "b@example.com".parse().unwrap(),
                    notify: Some(Notify::Never),
                    original: None,
                },
            ],
            body: BodyKind::SevenBit,
            smtputf8: false,
            envelope_id: Some("x+3D1".into()),
            ret,
            size: 0,
            leading_dots: false,
            message_id: None,
            client: "unknown[127.0.0.1]".into(),
            trace: TraceContext::default(),
        }
    }

    fn report() -> Report {
        Report {
            index: 0,
            action: Action::Failed,
            status: EnhancedStatus::permanent(1, 1),
            reason: "host mx.example.com[192.0.2.1] said: 550 5.1.1 no such user\u{1b}[2J (in reply to RCPT TO command)".into(),
            host: Some("mx.example.com".into()),
            reply: Some(Reply { code: 550, status: Some(EnhancedStatus::permanent(1, 1)), text: "5.1.1 no such user".into() }),
            at: UnixTime::from_secs(1_795_249_900),
            trouble: Some(Trouble::Refused),
            tried: Some("Demanded: encryption.\nmx.example.com[192.0.2.1]:25: \u{1b}no".into()),
            next_attempt: None,
            retry_until: None,
        }
    }

    fn text(ret: Option<Ret>, original: &[u8]) -> String {
        let settings = Settings { hostname: "mail.example.org".into(), ..Settings::default() };
        let about = envelope(Some("s@example.org"), ret);
        let (notification, body) = notification(
            &settings,
            (&about, original),
            &[report()],
            QueueId::from_u64(78),
            UnixTime::from_secs(1_795_250_000),
        )
        .unwrap();
        assert_eq!(notification.sender, None, "RFC 3461 §6.1");
        assert_eq!(notification.recipients[0].mailbox.as_str(), "s@example.org");
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[test]
    fn rfc3464_the_report_has_its_fields_and_three_parts() {
        let text = text(None, b"Subject: hi\r\n\r\nbody\r\n");
        for wanted in [
            "Content-Type: multipart/report; report-type=delivery-status;",
            "Reporting-MTA: dns; mail.example.org\r\n",
            "Original-Envelope-Id: x=1\r\n",
            "Original-Recipient: rfc822; A+x@example.com\r\n",
            "Final-Recipient: rfc822; a@example.com\r\nAction: failed\r\nStatus: 5.1.1\r\nRemote-MTA: dns; mx.example.com\r\n\
             Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n",
            "Auto-Submitted: auto-replied",
            "Content-Type: message/rfc822\r\n\r\nSubject: hi\r\n\r\nbody\r\n",
        ] {
            assert!(text.contains(wanted), "{wanted} is missing in\n{text}");
        }
        assert!(!text.contains('\u{1b}'), "no control character of a stranger");
        assert!(text.split("\r\n").all(|line| !line.contains('\n') && !line.contains('\r')));
    }

    #[test]
    fn a_notification_says_what_was_demanded_and_tried_and_who_can_mend_it() {
        let text = text(None, b"Subject: hi\r\n\r\nbody\r\n").replace("\r\n    ", " ");
        for wanted in [
            Trouble::Refused.meaning(),
            "Demanded: encryption.",
            "[192.0.2.1]:25: ?no",
            "You can do something",
        ] {
            assert!(text.contains(wanted), "{wanted} is missing in\n{text}");
        }
    }

    #[test]
    fn rfc3464_2_3_9_a_warning_says_until_when_it_is_tried_and_returns_no_text() {
        let settings = Settings { hostname: "mail.example.org".into(), ..Settings::default() };
        let about = envelope(Some("s@example.org"), None);
        let warning = Report {
            action: Action::Delayed,
            status: EnhancedStatus::transient(7, 5),
            next_attempt: Some(UnixTime::from_secs(1_795_260_000)),
            retry_until: Some(UnixTime::from_secs(1_795_681_800)),
            ..report()
        };
        let original: &[u8] = b"Subject: hi\r\n\r\nbody\r\n";
        let made = notification(&settings, (&about, original), &[warning], about.id, about.arrived).unwrap();
        let text = String::from_utf8(made.1.to_vec()).unwrap();
        for wanted in [
            "Subject: Delayed Mail (still being retried)",
            "Action: delayed\r\nStatus: 4.7.5",
            "Will-Retry-Until: Thu, 26 Nov 2026 08:30:00 +0000",
            "The next attempt is at Sat, 21 Nov 2026 11:20:00 +0000",
            "text/rfc822-headers",
        ] {
            assert!(text.contains(wanted), "{wanted} is missing in\n{text}");
        }
        assert!(!text.contains("\r\nbody\r\n"));
    }

    #[test]
    fn rfc3461_only_the_header_comes_back_when_asked_so_or_too_large() {
        assert!(!text(Some(Ret::Headers), b"Subject: hi\r\n\r\nbody\r\n").contains("body"));
        let large = [b"Subject: hi\r\n\r\n".as_slice(), &[b'x'; 60_000]].concat();
        assert!(text(None, &large).len() < 10_000);
    }

    #[test]
    fn rfc3461_who_is_told() {
        let told = envelope(Some("s@example.org"), None);
        assert!(wants_failure(&told, 0));
        assert!(!wants_failure(&told, 1), "NOTIFY=NEVER");
        assert!(!wants_failure(&envelope(None, None), 0), "null reverse-path (RFC 5321 §4.5.5)");
        assert!(!wants_success(&told, 0));
        assert!(wants_delay(&told, 0) && !wants_delay(&told, 1) && !wants_delay(&envelope(None, None), 0));
    }
}
