//! The plain form of a message: `<queue id>.eml` has its text, octet by octet, and `<queue id>.json` all else. Times are microseconds since 1970 (UTC).
//! What a field means is in docs/spool-format.md.

use serde_json::{Map, Value, json};
use waxseal_spool::{Outcome, Progress, RecipientState, Recovered};
use waxseal_types::{
    BodyKind, EnhancedStatus, Envelope, Mailbox, Notify, QueueId, Recipient, Reply, Ret, TraceContext,
    UnixTime,
};

/// The version of the form.
const FORMAT: u64 = 1;

/// What is wrong with a file, for its author.
pub(super) type Flaw = String;

pub(super) const fn state(state: RecipientState) -> &'static str {
    match state {
        RecipientState::Pending => "pending",
        RecipientState::Delivered => "delivered",
        RecipientState::Failed => "failed",
        RecipientState::Expired => "expired",
        RecipientState::Removed => "removed",
        RecipientState::Held => "held",
    }
}

pub(super) fn to_json(message: &Recovered) -> Value {
    let envelope = &message.envelope;
    let recipients = envelope.recipients.iter().zip(&message.states);
    json!({
        "format": FORMAT,
        "queue_id": envelope.id.to_string(),
        "arrived": envelope.arrived.as_micros(),
        "sender": envelope.sender.as_ref().map(Mailbox::as_str),
        "recipients": recipients.map(|(recipient, progress)| recipient_json(recipient, progress)).collect::<Vec<_>>(),
        "body": match envelope.body { BodyKind::SevenBit => "7BIT", BodyKind::EightBitMime => "8BITMIME" },
        "smtputf8": envelope.smtputf8,
        "envid": envelope.envelope_id.as_deref(),
        "ret": envelope.ret.map(|ret| match ret { Ret::Full => "FULL", Ret::Headers => "HDRS" }),
        "size": envelope.size,
        "message_id": envelope.message_id.as_deref(),
        "client": &*envelope.client,
        "trace_id": format!("{:032x}", envelope.trace.trace_id),
        "span_id": format!("{:016x}", envelope.trace.span_id),
        "sampled": envelope.trace.sampled,
        "parent_id": format!("{:016x}", envelope.trace.parent_id),
    })
}

fn recipient_json(recipient: &Recipient, progress: &Progress) -> Value {
    let last = progress.last.as_ref().map(|last| {
        json!({
            "at": last.at.as_micros(),
            "status": last.status.to_string(),
            "host": last.host.as_deref(),
            "reply": last.reply.as_ref().map(|reply| json!({
                "code": reply.code,
                "status": reply.status.map(|status| status.to_string()),
                "text": &*reply.text,
            })),
            "reason": &*last.reason,
            "trouble": last.trouble.as_deref(),
            "tried": last.tried.as_deref(),
        })
    });
    json!({
        "address": recipient.mailbox.as_str(),
        "notify": recipient.notify.map(|notify| notify.to_string()),
        "orcpt": recipient.original.as_deref(),
        "state": state(progress.state),
        "reported": progress.reported,
        "warned": progress.warned,
        "attempts": progress.attempts,
        "next_attempt": progress.next_attempt.as_micros(),
        "first_failure": progress.first_failure.map(UnixTime::as_micros),
        "last": last,
    })
}

/// The fields of an object, each with words for what is wrong with it.
struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    fn of(value: &'a Value, what: &str) -> Result<Self, Flaw> {
        value.as_object().map(Self).ok_or_else(|| format!("{what} is not an object"))
    }

    fn get(&self, key: &str) -> Option<&'a Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    fn number(&self, key: &str) -> Result<u64, Flaw> {
        let number =
            self.get(key).map(|value| value.as_u64().ok_or_else(|| format!("{key} is not a number")));
        number.unwrap_or(Ok(0))
    }

    fn flag(&self, key: &str) -> Result<bool, Flaw> {
        let flag =
            self.get(key).map(|value| value.as_bool().ok_or_else(|| format!("{key} is not true or false")));
        flag.unwrap_or(Ok(false))
    }

    fn text(&self, key: &str) -> Result<Option<&'a str>, Flaw> {
        let text = self.get(key).map(|value| value.as_str().ok_or_else(|| format!("{key} is not a text")));
        text.transpose()
    }

    fn parsed<T: std::str::FromStr>(&self, key: &str) -> Result<Option<T>, Flaw> {
        let parse = |text: &str| text.parse().map_err(|_| format!("{key} cannot be {text:?}"));
        self.text(key)?.map(parse).transpose()
    }

    fn hex(&self, key: &str) -> Result<u128, Flaw> {
        let parse = |text| u128::from_str_radix(text, 16).map_err(|_| format!("{key} is not hexadecimal"));
        self.text(key)?.map_or(Ok(0), parse)
    }

    fn needed<T>(&self, key: &str, value: Option<T>) -> Result<T, Flaw> {
        value.ok_or_else(|| format!("{key} is missing"))
    }
}

pub(super) fn from_json(value: &Value) -> Result<Recovered, Flaw> {
    let fields = Fields::of(value, "the file")?;
    if fields.number("format")? != FORMAT {
        return Err(format!("format is not {FORMAT}"));
    }
    let list = fields.get("recipients").and_then(Value::as_array);
    let recipients: Vec<_> =
        fields.needed("recipients", list)?.iter().map(recipient).collect::<Result<_, _>>()?;
    if recipients.is_empty() {
        return Err("recipients is empty".to_owned());
    }
    let (recipients, states) = recipients.into_iter().unzip();
    let envelope = Envelope {
        id: fields.needed("queue_id", fields.parsed::<QueueId>("queue_id")?)?,
        arrived: UnixTime::from_micros(fields.number("arrived")?),
        sender: fields.parsed("sender")?,
        recipients,
        body: match fields.text("body")? {
            None | Some("7BIT") => BodyKind::SevenBit,
            Some("8BITMIME") => BodyKind::EightBitMime,
            Some(other) => return Err(format!("body cannot be {other:?}")),
        },
        smtputf8: fields.flag("smtputf8")?,
        envelope_id: fields.text("envid")?.map(Into::into),
        ret: match fields.text("ret")? {
            None => None,
            Some("FULL") => Some(Ret::Full),
            Some("HDRS") => Some(Ret::Headers),
            Some(other) => return Err(format!("ret cannot be {other:?}")),
        },
        size: fields.number("size")?,
        leading_dots: false,
        message_id: fields.text("message_id")?.map(Into::into),
        client: fields.text("client")?.unwrap_or_default().into(),
        trace: TraceContext {
            trace_id: fields.hex("trace_id")?,
            span_id: u64::try_from(fields.hex("span_id")?).map_err(|_| "span_id is too long")?,
            sampled: fields.flag("sampled")?,
            parent_id: u64::try_from(fields.hex("parent_id")?).map_err(|_| "parent_id is too long")?,
        },
    };
    Ok(Recovered { envelope, states })
}

fn recipient(value: &Value) -> Result<(Recipient, Progress), Flaw> {
    let fields = Fields::of(value, "a recipient")?;
    let recipient = Recipient {
        mailbox: fields.needed("address", fields.parsed::<Mailbox>("address")?)?,
        notify: fields.text("notify")?.map(notify).transpose()?,
        original: fields.text("orcpt")?.map(Into::into),
    };
    let state = match fields.text("state")? {
        None | Some("pending") => RecipientState::Pending,
        Some("delivered") => RecipientState::Delivered,
        Some("failed") => RecipientState::Failed,
        Some("expired") => RecipientState::Expired,
        Some("removed") => RecipientState::Removed,
        Some("held") => RecipientState::Held,
        Some(other) => return Err(format!("state cannot be {other:?}")),
    };
    let first_failure = fields.get("first_failure").map(|_| fields.number("first_failure")).transpose()?;
    let progress = Progress {
        state,
        reported: fields.flag("reported")?,
        warned: fields.flag("warned")?,
        attempts: u32::try_from(fields.number("attempts")?).map_err(|_| "attempts is too large")?,
        next_attempt: UnixTime::from_micros(fields.number("next_attempt")?),
        first_failure: first_failure.map(UnixTime::from_micros),
        last: fields.get("last").map(outcome).transpose()?,
    };
    Ok((recipient, progress))
}

/// As on the wire (RFC 3461 §4.1).
fn notify(text: &str) -> Result<Notify, Flaw> {
    if text == "NEVER" {
        return Ok(Notify::Never);
    }
    let (mut success, mut failure, mut delay) = (false, false, false);
    for word in text.split(',') {
        match word {
            "SUCCESS" => success = true,
            "FAILURE" => failure = true,
            "DELAY" => delay = true,
            _ => return Err(format!("notify cannot be {text:?}")),
        }
    }
    Ok(Notify::On { success, failure, delay })
}

fn outcome(value: &Value) -> Result<Outcome, Flaw> {
    let fields = Fields::of(value, "last")?;
    let reply = fields.get("reply").map(|value| {
        let fields = Fields::of(value, "reply")?;
        Ok::<_, Flaw>(Reply {
            code: u16::try_from(fields.number("code")?).map_err(|_| "code is too large")?,
            status: fields.parsed("status")?,
            text: fields.text("text")?.unwrap_or_default().into(),
        })
    });
    Ok(Outcome {
        at: UnixTime::from_micros(fields.number("at")?),
        status: fields.needed("status", fields.parsed::<EnhancedStatus>("status")?)?,
        host: fields.text("host")?.map(Into::into),
        reply: reply.transpose()?,
        reason: fields.text("reason")?.unwrap_or_default().into(),
        trouble: fields.text("trouble")?.map(Into::into),
        tried: fields.text("tried")?.map(Into::into),
    })
}
