//! How values are written in the API.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer, de::Error as _};
use waxseal_types::UnixTime;

/// A span of time as people write it: `90`, `90s`, `15m`, `2h`, `5d`, `1w`.
pub(crate) fn span(text: &str) -> Option<Duration> {
    let (number, unit) = match text.as_bytes().last()? {
        b's' => (&text[..text.len() - 1], 1),
        b'm' => (&text[..text.len() - 1], 60),
        b'h' => (&text[..text.len() - 1], 3600),
        b'd' => (&text[..text.len() - 1], 86400),
        b'w' => (&text[..text.len() - 1], 604_800),
        _ => (text, 1),
    };
    if number.is_empty() || number.len() > 10 || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    number.parse::<u64>().ok().map(|number| Duration::from_secs(number.saturating_mul(unit)))
}

pub(crate) fn read_span<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let Some(text) = Option::<String>::deserialize(from)? else { return Ok(None) };
    let wrong = || D::Error::custom("a span of time is a number with s, m, h, d or w, such as 2h");
    span(&text).map(Some).ok_or_else(wrong)
}

pub(crate) fn write_time<S: Serializer>(time: &UnixTime, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&time.rfc3339())
}

pub(crate) fn write_time_if<S: Serializer>(time: &Option<UnixTime>, to: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => write_time(time, to),
        None => to.serialize_none(),
    }
}

/// Now.
pub(crate) fn now() -> UnixTime {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    UnixTime::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_as_people_write_them() {
        for (text, seconds) in
            [("90", 90), ("90s", 90), ("15m", 900), ("2h", 7200), ("5d", 432_000), ("1w", 604_800)]
        {
            assert_eq!(span(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "s", "-1s", "+1", "1.5h", "1 h", "h2", "99999999999", "é"] {
            assert_eq!(span(text), None, "{text}");
        }
    }
}
