//! Replies of a server.

use alloc::sync::Arc;
use core::fmt;

use crate::EnhancedStatus;

/// A complete reply (RFC 5321 §4.2), fit for logs: the text is printable, its lines are joined by one space and it is cut at a limit.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Reply {
    /// 200 to 599.
    pub code: u16,
    /// The enhanced code at the head of its text, where it has one of the same class.
    pub status: Option<EnhancedStatus>,
    /// The text behind the code, the enhanced one included, as the server wrote it.
    pub text: Arc<str>,
}

impl Reply {
    /// 2yz.
    #[must_use]
    pub const fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// 3yz.
    #[must_use]
    pub const fn is_intermediate(&self) -> bool {
        self.code / 100 == 3
    }

    /// 4yz.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        self.code / 100 == 4
    }

    /// 5yz.
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        self.code / 100 == 5
    }

    /// Its enhanced status, or the bare `x.0.0` of its class.
    #[must_use]
    pub fn enhanced(&self) -> EnhancedStatus {
        self.status.unwrap_or_else(|| match self.code / 100 {
            2 => EnhancedStatus::success(0, 0),
            5 => EnhancedStatus::permanent(0, 0),
            _ => EnhancedStatus::transient(0, 0),
        })
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.text)
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
