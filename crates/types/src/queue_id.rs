//! Queue identifiers.

use alloc::string::String;
use core::{fmt, str::FromStr};

/// Names one message in the queue for ever: no id is used twice by one spool, also after a restart.
///
/// Written in 52 letters and digits without vowels, as Postfix's long queue ids are, so that it spells no word.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueId(u64);

const DIGITS: &[u8; 52] = b"0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";

/// The text is no queue id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a queue id: {0:?}")]
pub struct InvalidQueueId(String);

impl QueueId {
    /// From its number.
    #[must_use]
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // 52^12 > 2^64: twelve digits hold every id.
        let mut text = [b'0'; 12];
        let mut rest = self.0;
        let mut at = text.len();
        while at > 0 && (rest > 0 || at == text.len()) {
            at -= 1;
            text[at] = DIGITS[(rest % 52) as usize];
            rest /= 52;
        }
        f.write_str(core::str::from_utf8(&text[at..]).unwrap_or_default())
    }
}

impl fmt::Debug for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for QueueId {
    type Err = InvalidQueueId;

    fn from_str(text: &str) -> Result<Self, InvalidQueueId> {
        let bad = || InvalidQueueId(text.chars().take(40).collect());
        if text.is_empty() || text.len() > 12 {
            return Err(bad());
        }
        text.bytes()
            .try_fold(0u64, |number, byte| {
                let digit = DIGITS.iter().position(|d| *d == byte)?;
                number.checked_mul(52)?.checked_add(digit as u64)
            })
            .map(Self)
            .ok_or_else(bad)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn ids_survive_their_text_form() {
        for number in [0, 1, 51, 52, 1_795_249_800_000_001, u64::MAX] {
            let id = QueueId::from_u64(number);
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        for bad in ["", "A", "0000000000000", "zzzzzzzzzzzz", "a b"] {
            assert!(bad.parse::<QueueId>().is_err(), "{bad}");
        }
    }
}
