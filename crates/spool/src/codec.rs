//! Envelopes and marks as octets: a version, then fields `tag length value`. Tags from 128 on may be skipped by a program that does not know them;
//! any other unknown tag makes the record unreadable, since leaving it out would change the message's meaning.

use waxseal_types::{
    BodyKind, Envelope, Mailbox, Notify, QueueId, Recipient, Reply, Ret, TraceContext, UnixTime,
};

use crate::{
    Outcome, Progress, RecipientResult, RecipientState, numbers,
    packed::{PACKED, pack, unpack},
};

const VERSION: u8 = 1;
const FIRST_OPTIONAL_TAG: u8 = 128;
/// The span above the intake's; a program that does not know it loses a link in a trace.
const TRACE_PARENT: u8 = 128;

/// What does not fit.
pub(crate) type Flaw = &'static str;

/// The flaw of what this program is too old for.
pub(crate) const NEWER: Flaw = "written by a newer version";

/// A mark about a message: results, or its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The message.
    pub(crate) id: u64,
    /// Where in the same segment the results before these are; `None` if these are all there are.
    pub(crate) previous: Option<u32>,
    /// None for DONE.
    pub(crate) results: Vec<RecipientResult>,
}

fn field(out: &mut Vec<u8>, tag: u8, value: &[u8]) {
    out.push(tag);
    numbers::number(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn text(out: &mut Vec<u8>, tag: u8, value: Option<&str>) {
    if let Some(value) = value {
        field(out, tag, value.as_bytes());
    }
}

fn number(out: &mut Vec<u8>, tag: u8, value: u64) {
    // Most are zero or small: leading zero octets are left out.
    let octets = value.to_le_bytes();
    let length = 8 - value.leading_zeros() as usize / 8;
    field(out, tag, &octets[..length]);
}

struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn versioned(octets: &'a [u8]) -> Result<Self, Flaw> {
        match octets.split_first() {
            Some((&VERSION, rest)) => Ok(Self(rest)),
            Some(_) => Err(NEWER),
            None => Err("empty"),
        }
    }

    fn varint(&mut self) -> Result<usize, Flaw> {
        let mut value = 0u64;
        for shift in (0..35).step_by(7) {
            let (octet, rest) = self.0.split_first().ok_or("cut off")?;
            self.0 = rest;
            value |= u64::from(octet & 0x7f) << shift;
            if octet & 0x80 == 0 {
                return usize::try_from(value).map_err(|_| "length");
            }
        }
        Err("length")
    }

    /// The next field that has to be understood.
    fn next(&mut self) -> Result<Option<(u8, &'a [u8])>, Flaw> {
        let Some((tag, rest)) = self.0.split_first() else { return Ok(None) };
        self.0 = rest;
        let length = self.varint()?;
        let (value, rest) = self.0.split_at_checked(length).ok_or("cut off")?;
        self.0 = rest;
        Ok(Some((*tag, value)))
    }
}

fn unknown(tag: u8) -> Result<(), Flaw> {
    if tag >= FIRST_OPTIONAL_TAG { Ok(()) } else { Err(NEWER) }
}

fn as_number(value: &[u8]) -> Result<u64, Flaw> {
    let mut octets = [0; 8];
    octets.get_mut(..value.len()).ok_or("a number too long")?.copy_from_slice(value);
    Ok(u64::from_le_bytes(octets))
}

fn as_u32(value: &[u8]) -> Result<u32, Flaw> {
    u32::try_from(as_number(value)?).map_err(|_| "a number too large")
}

fn as_text(value: &[u8]) -> Result<&str, Flaw> {
    core::str::from_utf8(value).map_err(|_| "text that is not UTF-8")
}

fn as_mailbox(value: &[u8]) -> Result<Mailbox, Flaw> {
    Mailbox::new(as_text(value)?).map_err(|_| "an address")
}

pub(crate) fn encode_envelope(envelope: &Envelope) -> Vec<u8> {
    let mut out = Vec::with_capacity(160 + 64 * envelope.recipients.len());
    out.push(VERSION);
    number(&mut out, 1, envelope.arrived.as_micros());
    text(&mut out, 2, envelope.sender.as_ref().map(Mailbox::as_str));
    number(&mut out, 3, u64::from(flags(envelope)));
    text(&mut out, 4, envelope.envelope_id.as_deref());
    number(&mut out, 5, envelope.size);
    text(&mut out, 6, envelope.message_id.as_deref());
    text(&mut out, 7, Some(&envelope.client));
    let mut trace = [0; 25];
    trace[..16].copy_from_slice(&envelope.trace.trace_id.to_le_bytes());
    trace[16..24].copy_from_slice(&envelope.trace.span_id.to_le_bytes());
    trace[24] = u8::from(envelope.trace.sampled);
    field(&mut out, 8, &trace);
    if envelope.trace.parent_id != 0 {
        number(&mut out, TRACE_PARENT, envelope.trace.parent_id);
    }
    let mut inner = Vec::new();
    for recipient in &envelope.recipients {
        inner.clear();
        text(&mut inner, 1, Some(recipient.mailbox.as_str()));
        if let Some(notify) = recipient.notify {
            number(&mut inner, 2, u64::from(notify_flags(notify)));
        }
        text(&mut inner, 3, recipient.original.as_deref());
        field(&mut out, 9, &inner);
    }
    out
}

fn flags(envelope: &Envelope) -> u8 {
    let ret = match envelope.ret {
        None => 0,
        Some(Ret::Full) => 8,
        Some(Ret::Headers) => 16,
    };
    u8::from(envelope.body == BodyKind::EightBitMime)
        | u8::from(envelope.smtputf8) << 1
        | u8::from(envelope.leading_dots) << 2
        | ret
}

fn notify_flags(notify: Notify) -> u8 {
    match notify {
        Notify::Never => 0,
        Notify::On { success, failure, delay } => {
            u8::from(success) | u8::from(failure) << 1 | u8::from(delay) << 2
        }
    }
}

pub(crate) fn decode_envelope(id: u64, octets: &[u8]) -> Result<Envelope, Flaw> {
    let mut envelope = Envelope::empty(QueueId::from_u64(id), UnixTime::default(), "");
    let mut fields = Fields::versioned(octets)?;
    while let Some((tag, value)) = fields.next()? {
        match tag {
            1 => envelope.arrived = UnixTime::from_micros(as_number(value)?),
            2 => envelope.sender = Some(as_mailbox(value)?),
            3 => set_flags(&mut envelope, as_number(value)?),
            4 => envelope.envelope_id = Some(as_text(value)?.into()),
            5 => envelope.size = as_number(value)?,
            6 => envelope.message_id = Some(as_text(value)?.into()),
            7 => envelope.client = as_text(value)?.into(),
            8 => envelope.trace = decode_trace(value)?,
            9 => envelope.recipients.push(decode_recipient(value)?),
            TRACE_PARENT => envelope.trace.parent_id = as_number(value)?,
            other => unknown(other)?,
        }
    }
    Ok(envelope)
}

fn set_flags(envelope: &mut Envelope, flags: u64) {
    envelope.body = if flags & 1 == 0 { BodyKind::SevenBit } else { BodyKind::EightBitMime };
    envelope.smtputf8 = flags & 2 != 0;
    envelope.leading_dots = flags & 4 != 0;
    envelope.ret = match flags & 24 {
        8 => Some(Ret::Full),
        16 => Some(Ret::Headers),
        _ => None,
    };
}

fn decode_trace(value: &[u8]) -> Result<TraceContext, Flaw> {
    let (id, rest) = value.split_at_checked(16).ok_or("trace")?;
    let (span, sampled) = rest.split_at_checked(8).ok_or("trace")?;
    Ok(TraceContext {
        parent_id: 0,
        trace_id: id.try_into().map_or(0, u128::from_le_bytes),
        span_id: span.try_into().map_or(0, u64::from_le_bytes),
        sampled: sampled == [1],
    })
}

fn decode_recipient(value: &[u8]) -> Result<Recipient, Flaw> {
    let (mut mailbox, mut notify, mut original) = (None, None, None);
    let mut fields = Fields(value);
    while let Some((tag, value)) = fields.next()? {
        match tag {
            1 => mailbox = Some(as_mailbox(value)?),
            2 => {
                let flags = as_number(value)?;
                let on =
                    Notify::On { success: flags & 1 != 0, failure: flags & 2 != 0, delay: flags & 4 != 0 };
                notify = Some(if flags & 7 == 0 { Notify::Never } else { on });
            }
            3 => original = Some(as_text(value)?.into()),
            other => unknown(other)?,
        }
    }
    Ok(Recipient { mailbox: mailbox.ok_or("no address")?, notify, original })
}

pub(crate) fn encode_mark(mark: &Mark) -> Vec<u8> {
    let mut out = Vec::with_capacity(32 + 160 * mark.results.len());
    out.push(VERSION);
    number(&mut out, 1, mark.id);
    if let Some(previous) = mark.previous {
        number(&mut out, 2, u64::from(previous));
    }
    let mut inner = Vec::new();
    for result in &mark.results {
        inner.clear();
        number(&mut inner, 1, u64::from(result.index));
        encode_progress(&mut inner, &result.progress);
        field(&mut out, 3, &inner);
    }
    pack(out)
}

fn encode_progress(out: &mut Vec<u8>, progress: &Progress) {
    let state = match progress.state {
        RecipientState::Pending => 0,
        RecipientState::Delivered => 1,
        RecipientState::Failed => 2,
        RecipientState::Expired => 3,
        RecipientState::Removed => 4,
        RecipientState::Held => 5,
    };
    number(out, 2, state);
    number(out, 3, u64::from(progress.reported));
    number(out, 4, u64::from(progress.attempts));
    number(out, 5, progress.next_attempt.as_micros());
    if let Some(first) = progress.first_failure {
        number(out, 6, first.as_micros());
    }
    // Programs that do not know them lose a warning or a few words, no mail.
    if progress.warned {
        number(out, 128, 1);
    }
    let Some(last) = &progress.last else { return };
    number(out, 7, last.at.as_micros());
    text(out, 8, Some(&last.status.to_string()));
    text(out, 9, last.host.as_deref());
    if let Some(reply) = &last.reply {
        number(out, 10, u64::from(reply.code));
        text(out, 11, reply.status.map(|status| status.to_string()).as_deref());
        text(out, 12, Some(&reply.text));
    }
    text(out, 13, Some(&last.reason));
    text(out, 129, last.trouble.as_deref());
    text(out, 130, last.tried.as_deref());
}

pub(crate) fn decode_mark(octets: &[u8]) -> Result<Mark, Flaw> {
    match octets.split_first() {
        Some((&PACKED, packed)) => decode_plain_mark(&unpack(packed).ok_or("packed badly")?),
        Some(_) | None => decode_plain_mark(octets),
    }
}

fn decode_plain_mark(octets: &[u8]) -> Result<Mark, Flaw> {
    let mut mark = Mark { id: 0, previous: None, results: Vec::new() };
    let mut fields = Fields::versioned(octets)?;
    while let Some((tag, value)) = fields.next()? {
        match tag {
            1 => mark.id = as_number(value)?,
            2 => mark.previous = Some(as_u32(value)?),
            3 => mark.results.push(decode_result(value)?),
            other => unknown(other)?,
        }
    }
    Ok(mark)
}

#[derive(Default)]
struct Words<'a> {
    at: Option<u64>,
    status: Option<&'a str>,
    host: Option<&'a str>,
    code: Option<u16>,
    reply_status: Option<&'a str>,
    text: &'a str,
    reason: &'a str,
    trouble: Option<&'a str>,
    tried: Option<&'a str>,
}

fn decode_result(value: &[u8]) -> Result<RecipientResult, Flaw> {
    let mut result = RecipientResult { index: 0, progress: Progress::NEW };
    let mut words = Words::default();
    let mut fields = Fields(value);
    while let Some((tag, value)) = fields.next()? {
        let progress = &mut result.progress;
        match tag {
            1 => result.index = as_u32(value)?,
            2 => progress.state = decode_state(as_number(value)?)?,
            3 => progress.reported = as_number(value)? != 0,
            4 => progress.attempts = as_u32(value)?,
            5 => progress.next_attempt = UnixTime::from_micros(as_number(value)?),
            6 => progress.first_failure = Some(UnixTime::from_micros(as_number(value)?)),
            7 => words.at = Some(as_number(value)?),
            8 => words.status = Some(as_text(value)?),
            9 => words.host = Some(as_text(value)?),
            10 => words.code = Some(as_u32(value)? as u16),
            11 => words.reply_status = Some(as_text(value)?),
            12 => words.text = as_text(value)?,
            13 => words.reason = as_text(value)?,
            128 => progress.warned = as_number(value)? != 0,
            129 => words.trouble = Some(as_text(value)?),
            130 => words.tried = Some(as_text(value)?),
            other => unknown(other)?,
        }
    }
    result.progress.last = words.outcome()?;
    Ok(result)
}

fn decode_state(number: u64) -> Result<RecipientState, Flaw> {
    Ok(match number {
        0 => RecipientState::Pending,
        1 => RecipientState::Delivered,
        2 => RecipientState::Failed,
        3 => RecipientState::Expired,
        4 => RecipientState::Removed,
        5 => RecipientState::Held,
        _ => return Err("an unknown state"),
    })
}

impl Words<'_> {
    fn outcome(self) -> Result<Option<Outcome>, Flaw> {
        let (Some(at), Some(status)) = (self.at, self.status) else { return Ok(None) };
        let reply = self.code.map(|code| Reply {
            code,
            status: self.reply_status.and_then(|status| status.parse().ok()),
            text: self.text.into(),
        });
        Ok(Some(Outcome {
            at: UnixTime::from_micros(at),
            status: status.parse().map_err(|_| "a status code")?,
            host: self.host.map(Into::into),
            reply,
            reason: self.reason.into(),
            trouble: self.trouble.map(Into::into),
            tried: self.tried.map(Into::into),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope() -> Envelope {
        let recipient = |address: &str, notify| Recipient {
            mailbox: Mailbox::new(address).unwrap(),
            notify,
            original: Some("rfc822;x+2By".into()),
        };
        Envelope {
            sender: Some(Mailbox::new("s@example.com").unwrap()),
            recipients: vec![
                recipient("\"a b\"@example.org", None),
                recipient("用户@例え.example", Some(Notify::Never)),
                recipient("c@example.net", Some(Notify::On { success: true, failure: false, delay: true })),
            ],
            body: BodyKind::EightBitMime,
            smtputf8: true,
            envelope_id: Some("e+3D".into()),
            ret: Some(Ret::Headers),
            size: 70_000,
            leading_dots: true,
            message_id: Some("<1@example.com>".into()),
            trace: TraceContext { trace_id: 1 << 100, span_id: 3, sampled: true, parent_id: 9 },
            ..Envelope::empty(QueueId::from_u64(77), UnixTime::from_secs(1_795_249_800), "host[192.0.2.1]")
        }
    }

    fn mark() -> Mark {
        let last = Outcome {
            at: UnixTime::from_secs(5),
            status: "4.7.5".parse().unwrap(),
            host: Some("mx.example".into()),
            reply: Some(Reply { code: 450, status: "4.7.0".parse().ok(), text: "4.7.0 later".into() }),
            reason: "no TLS".into(),
            trouble: Some("no-starttls".into()),
            tried: Some("Demanded: encryption.\nmx.example: no TLS".into()),
        };
        let progress = Progress {
            state: RecipientState::Pending,
            reported: true,
            warned: true,
            attempts: 300,
            next_attempt: UnixTime::from_secs(9),
            first_failure: Some(UnixTime::from_secs(5)),
            last: Some(last),
        };
        let results = vec![
            RecipientResult { index: 2, progress },
            RecipientResult {
                index: 0,
                progress: Progress { state: RecipientState::Failed, ..Progress::NEW },
            },
        ];
        Mark { id: u64::MAX, previous: Some(1072), results }
    }

    #[test]
    fn envelopes_and_marks_come_back_as_they_went() {
        assert_eq!(decode_envelope(77, &encode_envelope(&envelope())), Ok(envelope()));
        let bounce = Envelope { sender: None, ret: None, envelope_id: None, message_id: None, ..envelope() };
        assert_eq!(decode_envelope(77, &encode_envelope(&bounce)), Ok(bounce));
        assert_eq!(decode_mark(&encode_mark(&mark())), Ok(mark()));
    }

    #[test]
    fn a_cut_or_flipped_record_is_an_error_or_another_value_never_a_panic() {
        let (envelope, mark) = (encode_envelope(&envelope()), encode_mark(&mark()));
        for end in 0..envelope.len() {
            let _ = decode_envelope(1, &envelope[..end]);
            let _ = decode_mark(&mark[..end.min(mark.len())]);
        }
        for bit in 0..envelope.len() * 8 {
            let mut bad = envelope.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let _ = (decode_envelope(1, &bad), decode_mark(&bad));
        }
    }

    #[test]
    fn fields_of_the_future_are_skipped_only_if_they_may_be() {
        let mut later = encode_envelope(&envelope());
        field(&mut later, 200, b"new");
        assert_eq!(decode_envelope(77, &later), Ok(envelope()));
        field(&mut later, 20, b"requiretls");
        assert_eq!(decode_envelope(77, &later), Err(NEWER));
        later[0] = 2;
        assert_eq!(decode_envelope(77, &later), Err(NEWER));
    }
}
