//! `Traceparent:` in the header of a message (W3C Trace Context §3.2, as a header field of mail).

use bytes::{Bytes, BytesMut};
use waxseal_smtp::server::header_fields;

const PARENT: &str = "Traceparent";
/// Means nothing without the other (W3C Trace Context §3.3), and goes where that goes.
const STATE: &str = "Tracestate";

/// What a client says of the trace that its message belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceParent {
    pub(crate) trace_id: u128,
    pub(crate) span_id: u64,
    pub(crate) sampled: bool,
}

/// The trace that a text names in its header. None where it names none, names it wrongly, or names more than one.
pub(crate) fn find(text: &[u8]) -> Option<TraceParent> {
    let mut values = header_fields(text).filter(|field| field.is(PARENT)).map(|field| field.value);
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    parse(str::from_utf8(value).ok()?.trim())
}

/// The text without these fields; the same where it has none.
pub(crate) fn remove(text: Bytes) -> Bytes {
    let fields = || header_fields(&text).filter(|field| field.is(PARENT) || field.is(STATE));
    if fields().next().is_none() {
        return text;
    }
    let mut kept = BytesMut::with_capacity(text.len());
    let mut from = 0;
    for field in fields() {
        kept.extend_from_slice(&text[from..field.range.start]);
        from = field.range.end;
    }
    kept.extend_from_slice(&text[from..]);
    kept.freeze()
}

/// W3C Trace Context §3.2.2: `version-trace_id-parent_id-flags`, lower case; versions to come may append more behind another dash.
fn parse(value: &str) -> Option<TraceParent> {
    let mut parts = value.split('-');
    let mut hex = |digits: usize| {
        let part = parts.next()?;
        let fine = part.len() == digits && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        fine.then(|| u128::from_str_radix(part, 16).ok())?
    };
    let (version, trace_id, span_id, flags) = (hex(2)?, hex(32)?, hex(16)?, hex(2)?);
    let more = parts.next().is_some();
    // §3.2.2.1: ff is invalid; version 00 has these four parts and no more. §3.2.2.3 and §3.2.2.4: all zeros are invalid.
    if version == 0xff || (version == 0 && more) || trace_id == 0 || span_id == 0 {
        return None;
    }
    Some(TraceParent { trace_id, span_id: u64::try_from(span_id).ok()?, sampled: flags & 1 == 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn w3c_trace_context_3_2() {
        let parent = TraceParent {
            trace_id: 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c,
            span_id: 0xb7ad_6b71_6920_3331,
            sampled: true,
        };
        let table = [
            (GOOD.to_owned(), Some(parent)),
            (GOOD.replace("-01", "-00"), Some(TraceParent { sampled: false, ..parent })),
            (GOOD.replace("-01", "-03"), Some(parent)),
            (GOOD.replacen("00-", "cc-", 1) + "-more-to-come", Some(parent)),
            (format!("{GOOD}-more"), None),
            (GOOD.replacen("00-", "ff-", 1), None),
            (GOOD.to_uppercase(), None),
            ("00-00000000000000000000000000000000-b7ad6b7169203331-01".to_owned(), None),
            ("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01".to_owned(), None),
            ("00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(), None),
            (String::new(), None),
            ("00".to_owned(), None),
        ];
        for (text, expected) in table {
            assert_eq!(parse(&text), expected, "{text}");
        }
    }

    #[test]
    fn the_header_names_one_trace_or_none() {
        let text = |fields: &str| format!("Received: x\r\n{fields}Subject: y\r\n\r\nTraceparent: {GOOD}\r\n");
        let found = |fields: &str| find(text(fields).as_bytes()).is_some();
        assert!(found(&format!("traceParent:\r\n {GOOD}\r\n")));
        assert!(!found(""), "the body is not looked at");
        assert!(!found(&format!("Traceparent: {GOOD}\r\nTraceparent: {GOOD}\r\n")), "two are none");
        let removed = remove(text(&format!("Traceparent: {GOOD}\r\n\tx\r\nTraceState: a=b\r\n")).into());
        assert_eq!(removed, text("").as_bytes());
        assert_eq!(remove(text("").into()), text("").as_bytes());
    }
}
