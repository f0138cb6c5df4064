//! The side that delivers.

mod commands;
mod discard;
mod ehlo;
mod flow;
mod opening;
mod outcome;
mod reply;
mod text;
mod transaction;
#[cfg(test)]
mod transaction_tests;

pub use discard::Discard;
pub use ehlo::Ehlo;
pub use flow::{FlowPiece, TextFlow};
pub use opening::{Hello, Offer, Opening, OpeningError, OpeningStep, StartTls};
pub use outcome::{Afterwards, OutOfStep, Settled, Unsupported};
pub use reply::{ReplyError, ReplyReader};
pub use text::{BareLineEnd, DataText};
pub use transaction::{Job, Transaction, TransactionStep};
