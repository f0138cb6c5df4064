//! Replies of a server.

use alloc::{borrow::ToOwned, string::String, sync::Arc};
use core::{fmt, ops::Deref};

use crate::EnhancedStatus;

/// A complete reply (RFC 5321 §4.2), fit for logs: the text is printable, its lines are joined by one space and it is cut at a limit.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Reply {
    /// 200 to 599.
    pub code: u16,
    /// The enhanced code at the head of its text, where it has one of the same class.
    pub status: Option<EnhancedStatus>,
    /// The text behind the code, the enhanced one included, as the server wrote it.
    pub text: Words,
}

/// The words of a reply. Clones share them; where the last clone is back with whoever made it, their memory serves for others.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Words(Arc<String>);

impl Words {
    /// Takes other words into the same memory, if nobody else has these; whether that was so.
    pub fn refill(&mut self, words: &str) -> bool {
        let own = Arc::get_mut(&mut self.0);
        own.is_some_and(|own| {
            own.clear();
            own.push_str(words);
            true
        })
    }

    /// Whether both are clones of one.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Deref for Words {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<String> for Words {
    fn from(words: String) -> Self {
        Self(Arc::new(words))
    }
}

impl From<&str> for Words {
    fn from(words: &str) -> Self {
        words.to_owned().into()
    }
}

impl From<Arc<str>> for Words {
    fn from(words: Arc<str>) -> Self {
        (&*words).into()
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
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
