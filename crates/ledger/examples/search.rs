//! How long searches take: `cargo run --release -p waxseal-ledger --example search [FOLDER [SIZE]]`.
//!
//! Fills a ledger of SIZE octets (1 GB), where FOLDER has none, with mail of 100,000 senders to 1,000 destinations, one in fifty of it deferred or
//! bounced, and looks for things of which there are few.

#[path = "../../telemetry/tests/fixture/mod.rs"]
#[expect(clippy::unwrap_used, reason = "shared with tests, where a fault panics")]
mod fixture;

use std::{error::Error, path::Path, sync::Arc, time::Instant};

use waxseal_ledger::{Ended, Ledger, Query, Recorder, Settings};
use waxseal_queue::{Account, Connection, Destination, Event, Outcome, RecipientResult, Sink as _};
use waxseal_types::{
    ConnectionId, Domain, Envelope, Mailbox, QueueId, Recipient, Service, TlsLevel, TlsStatus,
};

const DESTINATIONS: u64 = 1000;
const SENDERS: u64 = 100_000;

type Failure = Box<dyn Error>;

/// The connections that messages go over, one for each destination, and the account of one of them.
fn ways(whole: &Account) -> Result<Vec<(Destination, Connection)>, Failure> {
    let way = |n: u64| -> Result<_, Failure> {
        let nexthop = format!("destination-{n}.example.com").parse()?;
        let connection = Connection {
            id: Some(ConnectionId(n)),
            host: Some(Domain::new(&format!("mx.destination-{n}.example.com"))?),
            status: if n == 7 { TlsStatus::Trusted } else { TlsStatus::Verified },
            level: if n == 8 { TlsLevel::Fingerprint } else { TlsLevel::Dane },
            ..whole.connections[1].clone()
        };
        Ok((Destination { service: Service::SMTP, nexthop }, connection))
    };
    (0..DESTINATIONS).map(way).collect()
}

fn fill(folder: &Path, size: u64) -> Result<u64, Failure> {
    let recorder = Recorder::start(Settings { size, ..Settings::new(folder.to_owned()) })?;
    let whole = fixture::account(1);
    let ways = ways(&whole)?;
    let taken = fixture::reply(250, None, "2.0.0 Ok: queued as 4bXyZ1234567");
    let mut told = 0;
    // As much again as there is room for, so that the oldest files have gone.
    while recorder.statistics().written == 0 || told * 150 < size * 13 / 10 {
        for _ in 0..5000 {
            told += 1;
            // A hash spreads senders and destinations.
            let spread = told.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
            let (destination, connection) = &ways[usize::try_from(spread % DESTINATIONS)?];
            let mailbox = Mailbox::new(&format!("recipient-{told}@{}", destination.nexthop.as_str()))?;
            let outcome = match told % 100 {
                1 => Outcome::Deferred(fixture::refused()),
                2 => Outcome::Bounced(fixture::no_such_user()),
                _ => Outcome::Delivered { reply: taken.clone(), without_dsn: false },
            };
            let envelope = Envelope {
                id: QueueId::from_u64(whole.envelope.id.as_u64() + told * 100),
                sender: Some(Mailbox::new(&format!("sender-{}@example.org", spread % SENDERS))?),
                recipients: vec![Recipient { mailbox, notify: None, original: None }],
                message_id: Some(format!("<{told}.{spread:x}@mail.example.org>").into()),
                ..(*whole.envelope).clone()
            };
            let account = Account {
                envelope: Arc::new(envelope),
                destination: destination.clone(),
                ended: whole.ended + std::time::Duration::from_micros(told * 100),
                steps: whole.steps[..2].to_vec(),
                connections: vec![connection.clone()],
                results: vec![RecipientResult { index: 0, outcome, connection: Some(0) }],
                ..whole.clone()
            };
            recorder.event(Event::Attempted { account: &account, next_attempt: None });
        }
        recorder.flush();
    }
    Ok(told)
}

fn queries(told: u64) -> Vec<(&'static str, Query)> {
    let text = |text: String| Some(text);
    let first = fixture::account(1).envelope.id.as_u64();
    // Old enough to be near the far end, young enough to be there still.
    let old = told - told / 3;
    let spread = old.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    let query = Query::default;
    vec![
        ("queue id", Query { id: Some(QueueId::from_u64(first + old * 100)), ..query() }),
        ("message id", Query { message_id: text(format!("{old}.{spread:x}@mail.example.org")), ..query() }),
        ("sender", Query { sender: text(format!("sender-{}@example.org", spread % SENDERS)), ..query() }),
        (
            "recipient",
            Query {
                recipient: text(format!("recipient-{old}@destination-{}.example.com", spread % DESTINATIONS)),
                ..query()
            },
        ),
        ("nobody", Query { recipient: text("nobody@nowhere.example".into()), ..query() }),
        ("domain", Query { domain: text("destination-5.example.com".into()), ..query() }),
        ("host", Query { host: text("mx.destination-6.example.com".into()), ..query() }),
        ("status", Query { ended: Some(Ended::Bounced), ..query() }),
        ("tls", Query { tls: Some(TlsStatus::Trusted), ..query() }),
        ("tls none", Query { tls: Some(TlsStatus::None), ..query() }),
        ("level", Query { level: Some(TlsLevel::Fingerprint), ..query() }),
    ]
}

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().unwrap_or_else(|| "./search-ledger".into());
    let size: u64 = arguments.next().map_or(Ok(1_000_000_000), |text| text.parse())?;
    let (folder, note) = (Path::new(&folder), Path::new(&folder).join("told"));
    let told = match std::fs::read_to_string(&note) {
        Ok(text) => text.parse()?,
        Err(_) => {
            let begun = Instant::now();
            let told = fill(folder, size)?;
            std::fs::write(&note, told.to_string())?;
            println!("{told} messages told in {:.1?}", begun.elapsed());
            told
        }
    };
    let ledger = Ledger::open(folder)?;
    for (name, query) in queries(told) {
        let begun = Instant::now();
        let mut search = ledger.search(query)?;
        let first = search.next().map(|_| begun.elapsed());
        let more = search.count();
        let found = more + usize::from(first.is_some());
        let first = first.map_or_else(|| "none".to_owned(), |first| format!("{:.3} s", first.as_secs_f64()));
        println!(
            "{name:<12} first after {first:<8}  all {found:>7} after {:.3} s",
            begun.elapsed().as_secs_f64()
        );
    }
    Ok(())
}
