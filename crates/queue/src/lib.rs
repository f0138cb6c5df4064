//! The queue: when mail is delivered, how a delivery goes, and what follows from it.
//!
//! 1. A [`Plan`] is one attempt at one part of a message: a pure state machine that asks ([`Ask`]) and is answered ([`Answer`]). All
//!    decisions of a delivery are in it: the order of hosts, what they must prove, "TLS failed, may this go in clear?", next
//!    host, later or never ([`disposition`]).
//! 2. [`drive`] turns its questions into calls of [`Services`]: directly ([`Direct`]), or as messages to actors.
//! 3. What it did stands in the [`Account`], the one source of delivery events, traces, bounces and explanations.
//! 4. A [`Schedule`] says what begins when; an [`owner::Owner`] knows how far each message has come; [`bounce`] writes notifications.
//! 5. The feature `actor` has the queue manager, an actor that does all this with services that it supervises.
//!
//! All but the last is usable without actors, and all but [`drive`] without a runtime. The crate refuses to know sockets, files and
//! wire formats; it knows words for them.
//!
//! ```
//! use std::time::Duration;
//! use waxseal_queue::{Destination, Job, Schedule, Settings};
//! use waxseal_types::{QueueId, Service, UnixTime};
//!
//! let now = UnixTime::from_secs(1_795_249_800);
//! let mut schedule = Schedule::new(&Settings::default());
//! let destination = Destination { service: Service::SMTP, nexthop: "example.com".parse()? };
//! let job = Job { id: QueueId::from_u64(1), part: 0, attempts: 1, client: 0 };
//! schedule.add(&destination, job, now + Duration::from_secs(300), now);
//! assert_eq!(schedule.poll(now), None);
//! assert_eq!(schedule.next_wakeup(), Some(now + Duration::from_secs(300)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod account;
#[cfg(feature = "actor")]
pub mod actor;
pub mod advice;
mod ask;
pub mod bounce;
mod certificates;
mod data;
pub mod disposition;
mod drive;
pub mod levers;
mod limits;
pub mod owner;
mod plan;
mod rehearsal;
mod restart;
mod routing;
mod schedule;
mod settings;
mod sink;
mod told;
mod trouble;

pub use account::{
    Account, Connection, Fact, Failure, Outcome, PolicyFact, RecipientResult, Standing, Step as AccountStep,
    Times, TlsaFact,
};
pub use ask::{Answer, Ask, Release, TrustAnswer};
pub use certificates::CertificateFact;
pub use drive::{Direct, Services, drive};
pub use limits::{DestinationLimits, FeedbackAmount, TransportLimits, client_quota, destination_keys};
pub use plan::{Downgrade, Order, Plan, Step};
pub use rehearsal::{Outset, Rehearsed, Way, rehearse};
pub use restart::Restart;
pub use routing::{Routed, RoutedPart, split};
pub use schedule::{Census, Destination, DestinationCount, Feedback, Job, Schedule, Start, client_number};
pub use settings::{Reach, Settings};
pub use sink::{Event, Settled, Several, Silent, Sink};
pub use told::milliseconds;
pub use trouble::{Trouble, Whose};
pub use waxseal_policy::{Origin, PolicySource, TableName};
