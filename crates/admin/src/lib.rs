//! The operator's door: an HTTP API over the running queue, and one page to look at it.
//!
//! It is served on two doors. One is a socket in the spool's folder, which only the daemon's own user and root can open; the `waxseal`
//! command uses it. The other is `listen.admin`: on loopback for whoever is on this machine, anywhere else only for who shows the token.
//! Both speak the same API, described in `openapi.json`, which a test holds against the table of routes.
//!
//! What the crate does itself is to guard, to translate and to keep the books:
//!
//! - A [`Token`] is compared in constant time, and who shows wrong ones is heard less and less. Without a token the name in `Host` must be
//!   loopback's own (DNS rebinding), and what a browser sends for another site is refused by `Sec-Fetch-Site` and `Origin`. Nothing is
//!   changed without the header `X-Waxseal`, which no form and no foreign page can send, and no answer allows another origin.
//! - Requests, connections, streams and live explanations are bounded. A long list goes out in slices, each of which is asked of the queue when
//!   the reader has taken the one before.
//! - Whatever changes something stands in the audit log before it is done: who, from where, what, and then how much of it was done.
//!
//! It refuses to know actors and the queue's inside: everything is asked of a [`Desk`], which the daemon implements and a test can play.
//! Texts of strangers leave as JSON and reach the page as text, never as HTML.
//!
//! ```
//! use waxseal_admin::Token;
//!
//! let token = Token::new("correct horse battery staple")?;
//! assert!(token.is(b"correct horse battery staple"));
//! assert!(!token.is(b"correct horse battery stable"));
//! assert!(Token::new("short").is_err());
//! # Ok::<(), waxseal_admin::Error>(())
//! ```

mod answer;
mod audit;
mod desk;
mod error;
mod failures;
mod guard;
mod posture;
mod routes;
mod server;
mod settings;
mod token;
mod turned_away;
mod words;

pub use audit::{Audit, Entry as AuditEntry};
pub use desk::{
    Action, Ages, Answer, Desk, Destination, Done, Filter, Lookup, Order, Overview, Page, Recipient, Refusal,
    Row, Shown, State, Switches, SwitchesChange,
};
pub use error::Error;
pub use posture::{Bucket, Posture};
pub use routes::{OPENAPI, ROUTES};
pub use server::{Bound, Office, Running, SOCKET};
pub use settings::Settings;
pub use token::Token;
pub use turned_away::TurnedAway;
