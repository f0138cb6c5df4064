//! Changing a mail server's key without breaking its TLSA records (RFC 7671 §8, RFC 7672 §8.4).
//!
//! Two mistakes break DANE: a key that is not yet in DNS, and a record that no longer matches. Both come from what clients hold that is no
//! longer served. So everything here rests on a [`Memory`]: which sets every authoritative server serves, asked one by one, and which ones
//! a client may still have that asked earlier. A certificate may be put into use when it stands before all of them, and not earlier.
//!
//! - A [`Rollover`] is the state machine: publish, wait, switch, confirm, withdraw. [`advance`] takes each step whose time has come, and
//!   writes the state down before and after it; a process that dies at any point is continued by the next one. Whoever wants a step too
//!   early is told what has to come first.
//! - A [`Gate`] asks the same question for a server that finds a new certificate in its files.
//!
//! All that happens outside goes through the trait [`World`], of which [`Real`] is the real one: servers, files, commands, time. Waits are
//! counted on a [`Clock`] that cannot be set. The crate refuses to know what mail is, and how a server is called to see its certificate.
//!
//! ```
//! use std::time::Duration;
//! use waxseal_rollover::{Memory, Moment, Patience, Place, RecordSet, Served, Sight};
//! use waxseal_types::{Tlsa, UnixTime};
//!
//! let at = |secs| Moment { wall: UnixTime::from_secs(secs), boot: "one".into(), uptime: Duration::from_secs(secs) };
//! let serves = |key: u8| Sight {
//!     served: vec![Served {
//!         server: "ns1.example.org".into(),
//!         set: RecordSet::new([Tlsa::new(3, 1, 1, &[key; 32])]),
//!         ttl: Duration::from_secs(60),
//!         signed_until: None,
//!     }],
//! };
//! let place: Place = "mx.example.org:25".parse()?;
//! let mut memory = Memory::start(&at(0));
//! memory.see(&place, &serves(1), &at(0));
//! memory.see(&place, &serves(2), &at(100));
//!
//! // Until a TTL after nobody served it any more, and a tenth of it as a margin, a client may hold the first set.
//! assert_eq!(memory.held(&place, Patience::Ttl, &at(165)).count(), 2);
//! assert_eq!(memory.held(&place, Patience::Ttl, &at(166)).count(), 1);
//! # Ok::<(), String>(())
//! ```

mod begin;
mod clock;
mod command;
mod cover;
mod drive;
mod error;
mod gate;
mod keep;
mod key;
mod lookup;
mod memory;
mod place;
mod ready;
mod real;
mod records;
mod state;
mod world;

pub use begin::Wish;
pub use clock::{Clock, Moment};
pub use cover::{covers, issuer_record, leaf_record, matching};
pub use drive::{Limit, Standing, USUAL_TTL, advance, begin, changes, finish, look, switch, undo};
pub use error::Error;
pub use gate::{Doors, Gate, refusal};
pub use keep::Folder;
pub use key::{NewKey, Source, prepare, read_chain};
pub use lookup::Lookups;
pub use memory::{Holding, Memory, Patience, Served, Sight};
pub use place::Place;
pub use ready::check_ready;
pub use real::{Probe, Real, address, read_key};
pub use records::RecordSet;
pub use state::{Hindrance, Phase, Publisher, Records, Rollover, Route, Target, UnixTimeText};
pub use world::{Answer, Change, World};
