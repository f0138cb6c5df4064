//! What is odd about an entry that is nevertheless valid.

use alloc::string::String;
use core::fmt;

/// Why something in a table or the configuration deserves a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Concern {
    /// The entry cannot be used: mail that needs it waits.
    Invalid,
    /// It promises more security than it gives.
    Dangerous,
    /// Mail for the destination goes, or may go, to somebody of whom less is demanded.
    Lowered,
    /// No lookup ever comes to it.
    Unreachable,
    /// It means less here than in Postfix.
    Loss,
    /// A part of it has no effect, in Postfix neither.
    Idle,
}

impl Concern {
    /// One word for reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Dangerous => "dangerous",
            Self::Lowered => "lowered",
            Self::Unreachable => "unreachable",
            Self::Loss => "loss",
            Self::Idle => "idle",
        }
    }
}

impl fmt::Display for Concern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing worth saying about an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Why.
    pub concern: Concern,
    /// What it is, for the operator.
    pub text: String,
    /// What would be better; empty where the text says it.
    pub remedy: String,
}

impl Remark {
    pub(crate) fn new(concern: Concern, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { concern, text: text.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        if self.remedy.is_empty() { Ok(()) } else { write!(f, "; {}", self.remedy) }
    }
}
