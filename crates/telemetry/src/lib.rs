//! Delivery events, log lines and OpenTelemetry traces, all from the delivery account.
//!
//! The queue tells what happened through its trait [`Sink`](waxseal_queue::Sink); [`Telemetry`] is the one that a process has. Of
//! each event it makes
//!
//! 1. **delivery events**, one JSON object a line for each recipient (table below), written by a thread when the event happened:
//!    one system call for all that waits. The file may be rotated ([`Telemetry::reopen`]). While it cannot be written, lines wait in
//!    memory up to a limit; what comes on top is counted ([`Telemetry::lost_events`]) and an alert is logged once a minute;
//! 2. **log lines** for people, through `tracing`, in the manner of Postfix: queue id, `to=`, `relay=`, `delay=`, `dsn=`, `status=`, `tls=`;
//! 3. **spans**, with the times of the account, sent to a collector by OTLP (HTTP or gRPC) where one is configured, for the messages that are sampled and for
//!    those that fail;
//! 4. **metrics**, see [`metrics`]: counters here, numbers of other crates beside them, read as Prometheus text or sent by OTLP.
//!
//! Nothing here waits: not for a disk, not for a collector. Whatever a stranger said is escaped, so that it cannot look like a line
//! of its own or move a terminal's cursor. The crate refuses to know why anything was decided; it only repeats the account.
//!
//! # Delivery events
//!
//! | field | when |
//! | --- | --- |
//! | `time`, `event`, `queue_id`, `sender`, `recipient` | always; the null sender is `""` |
//! | `nexthop` | where the recipient has one |
//! | `host`, `address`, `port` | of the server that settled the recipient, or else of the last one tried |
//! | `dsn` | not with `queued` |
//! | `reply` | where the server spoke |
//! | `reason` | where something failed |
//! | `message_id`, `size`, `client`, `recipients`, `delay_ms`, `trace_id` | of the message; `message_id` where it has one |
//! | `attempt` | not with `queued`; attempts made, where the recipient was settled without one |
//! | `next_attempt` | with `deferred`, where the time is known |
//! | `tls` | object, where a policy was in force: `policy`, `policy_source`, `level`, `status`; with TLS `protocol`, `cipher`, `sni`, `resumed`; where they exist `matched`, `downgrade` (why in clear although TLS was wanted), `injected` (octets in clear behind the reply to STARTTLS) |
//!
//! `event` is `queued`, `attempt` (a connection that ended without settling the recipient), `delivered`, `deferred`, `bounced`,
//! `expired` or `removed` (by the operator).
//!
//! # Spans
//!
//! | span | parent | from, to | attributes |
//! | --- | --- | --- | --- |
//! | `intake` | the client's span; a bounce's: the `intake` of its message | arrived, queued | `messaging.system`, `messaging.message.id` (queue id), `messaging.operation.name`, `messaging.operation.type`, `messaging.message.body.size`, `messaging.message.conversation_id` (Message-ID), `client.address`, `waxseal.recipients` |
//! | `queue` | `intake` | arrived, attempt begun | `messaging.system`, `messaging.message.id`, `messaging.destination.name` (next hop), `waxseal.attempt` |
//! | `attempt` | `intake` | begun, ended | those of `queue`, `messaging.operation.*`, `waxseal.recipients.{delivered,deferred,bounced}`; events `skipped`, `lowered`, `unavailable`, `recipient` |
//! | `settle` | `intake` | one moment | recipients settled without an attempt: `waxseal.outcome`, `waxseal.attempt` |
//! | `policy` | `attempt` | asked, answered | `waxseal.tls.policy`, `waxseal.tls.policy_source`, `messaging.destination.name` |
//! | `dns` | `attempt` | asked, answered | `dns.question.name`, `waxseal.dns.type`, `dns.answers` or `waxseal.dns.absent`, `waxseal.dns.security`, `waxseal.dns.why` (it is not secure), `waxseal.dns.canonical` (behind aliases), `waxseal.tlsa.unusable` (each record and why) |
//! | `connect` | `attempt` | asked, EHLO answered | `server.address`, `server.port`, `network.peer.address`, `network.peer.port`, `waxseal.connection.id`, `waxseal.connection.pooled` |
//! | `tls` | `attempt` | STARTTLS, second EHLO | those of `connect`, `tls.protocol.name`, `tls.protocol.version`, `tls.cipher`, `tls.curve`, `tls.resumed`, `tls.client.server_name`, `tls.server.{subject,issuer,not_after,hash.sha256}`, `waxseal.tls.certificates` (subject and key of each), `waxseal.tls.{policy,policy_source,level,lowered,status,matched,downgrade,injected,chain}` |
//! | `transaction` | `attempt` | MAIL, last reply | those of `connect` and `tls`, `messaging.*`, `waxseal.reply` |
//!
//! `attempt` has a link to the attempt before it, the `intake` of a bounce one to that of its message. A message that is not sampled has spans from its first failed attempt on, at most
//! 100 attempts a second; its `intake` has `waxseal.sampled` = `failure`.
//!
//! A span that failed has the status `error` with the account's sentence, `error.type` (the enhanced status code, or the kind of the
//! failure) and `waxseal.reply` where the server spoke.
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//! use waxseal_queue::Sink;
//! use waxseal_telemetry::{Settings, Target, Telemetry};
//!
//! # let folder = std::env::temp_dir().join(format!("waxseal-telemetry-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! let file = folder.join("delivery.jsonl");
//! let settings = Settings { delivery_events: Target::File(file.clone()), ..Settings::default() };
//! let telemetry = Arc::new(Telemetry::start(settings)?);
//! let _sink: Arc<dyn Sink> = telemetry.clone(); // for the queue manager
//! telemetry.reopen()?; // on SIGHUP
//! telemetry.shutdown(); // at the end
//! assert_eq!(telemetry.lost_events(), 0);
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod attributes;
mod backlog;
mod events;
mod export;
mod json;
mod log;
pub mod metrics;
mod sampling;
mod settings;
mod telemetry;
mod trace;
mod turn;
mod wire;
mod writer;

#[cfg(test)]
#[path = "../tests/fixture/mod.rs"]
mod fixture;

pub use log::init_logging;
pub use settings::{Error, Protocol, Settings, Target};
pub use telemetry::Telemetry;
pub use turn::{end_turn, gather_until_end_of_turn};
