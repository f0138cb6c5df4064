//! Enhanced mail system status codes (RFC 3463).

use core::{fmt, str::FromStr};

/// What the first digit says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StatusClass {
    /// 2: done.
    Success,
    /// 4: may work later.
    Transient,
    /// 5: will not work as it is.
    Permanent,
}

/// An enhanced status code such as `4.7.5` (RFC 3463 §2).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EnhancedStatus {
    class: StatusClass,
    subject: u16,
    detail: u16,
}

/// The text is no enhanced status code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an enhanced status code (RFC 3463 §2)")]
pub struct InvalidStatus;

impl EnhancedStatus {
    /// `2.subject.detail`; numbers above 999 are cut to 999.
    #[must_use]
    pub const fn success(subject: u16, detail: u16) -> Self {
        Self::of(StatusClass::Success, subject, detail)
    }

    /// `4.subject.detail`.
    #[must_use]
    pub const fn transient(subject: u16, detail: u16) -> Self {
        Self::of(StatusClass::Transient, subject, detail)
    }

    /// `5.subject.detail`.
    #[must_use]
    pub const fn permanent(subject: u16, detail: u16) -> Self {
        Self::of(StatusClass::Permanent, subject, detail)
    }

    const fn of(class: StatusClass, subject: u16, detail: u16) -> Self {
        // RFC 3463 §2: at most three digits each.
        let subject = if subject > 999 { 999 } else { subject };
        let detail = if detail > 999 { 999 } else { detail };
        Self { class, subject, detail }
    }

    /// The class.
    #[must_use]
    pub const fn class(self) -> StatusClass {
        self.class
    }

    /// The second number.
    #[must_use]
    pub const fn subject(self) -> u16 {
        self.subject
    }

    /// The third number.
    #[must_use]
    pub const fn detail(self) -> u16 {
        self.detail
    }

    /// The same subject and detail in another class: a `5.7.1` that is only deferred is a `4.7.1`.
    #[must_use]
    pub const fn with_class(self, class: StatusClass) -> Self {
        Self { class, ..self }
    }

    /// The code at the head of a reply's text (RFC 2034 §4), with what follows it; `None` where there is none.
    #[must_use]
    pub fn split_from(text: &str) -> Option<(Self, &str)> {
        let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
        let rest = &text[end..];
        let code = text[..end].parse().ok()?;
        (rest.is_empty() || rest.starts_with([' ', '\t'])).then(|| (code, rest.trim_start()))
    }
}

impl FromStr for EnhancedStatus {
    type Err = InvalidStatus;

    fn from_str(text: &str) -> Result<Self, InvalidStatus> {
        let mut parts = text.split('.');
        let class = match parts.next() {
            Some("2") => StatusClass::Success,
            Some("4") => StatusClass::Transient,
            Some("5") => StatusClass::Permanent,
            _ => return Err(InvalidStatus),
        };
        let mut number = || {
            let digits =
                parts.next().filter(|d| (1..=3).contains(&d.len()) && d.bytes().all(|b| b.is_ascii_digit()));
            digits.and_then(|d| d.parse().ok()).ok_or(InvalidStatus)
        };
        let (subject, detail) = (number()?, number()?);
        if parts.next().is_some() {
            return Err(InvalidStatus);
        }
        Ok(Self { class, subject, detail })
    }
}

impl fmt::Display for EnhancedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = match self.class {
            StatusClass::Success => 2,
            StatusClass::Transient => 4,
            StatusClass::Permanent => 5,
        };
        write!(f, "{class}.{}.{}", self.subject, self.detail)
    }
}

impl fmt::Debug for EnhancedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn codes_are_read_and_written() {
        for good in ["2.0.0", "4.7.5", "5.1.10", "5.999.999"] {
            assert_eq!(good.parse::<EnhancedStatus>().map(|s| s.to_string()).as_deref(), Ok(good));
        }
        for bad in ["", "2", "3.0.0", "4.7", "4.7.5.1", "4.7.1000", "4..5", "4.7.x"] {
            assert!(bad.parse::<EnhancedStatus>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_code_is_split_from_a_reply_text() {
        let split =
            |text| EnhancedStatus::split_from(text).map(|(s, rest)| (s.to_string(), rest.to_string()));
        assert_eq!(split("4.7.0 try later"), Some(("4.7.0".into(), "try later".into())));
        assert_eq!(split("2.0.0"), Some(("2.0.0".into(), "".into())));
        assert_eq!(split("192.0.2.1 is blocked"), None);
        assert_eq!(split("2.0.0queued"), None);
    }
}
