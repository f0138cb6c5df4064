//! What a record costs: the thread that tells, and all threads together. `cargo run --release -p waxseal-ledger --example cost`

#[path = "../../telemetry/tests/fixture/mod.rs"]
#[expect(clippy::unwrap_used, reason = "shared with tests, where a fault panics")]
mod fixture;

use std::{error::Error, sync::Arc, time::Instant};

use waxseal_ledger::{Recorder, Settings};
use waxseal_queue::{Account, Event, Outcome, RecipientResult, Sink as _};
use waxseal_types::{Envelope, QueueId};

const EVENTS: u64 = 300_000;

/// Ticks of 10 ms that the process has used (proc(5), `/proc/self/stat`: utime and stime).
fn cpu_ticks() -> Result<u64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let rest = stat.rsplit_once(')').ok_or("no stat")?.1;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    Ok(fields.get(11).ok_or("utime")?.parse::<u64>()? + fields.get(12).ok_or("stime")?.parse::<u64>()?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let recorder = Recorder::start(Settings::new(folder.path().join("ledger")))?;
    let whole = fixture::account(1);
    let steps = [0, 1, 4, 6].map(|at| whole.steps[at].clone()).to_vec();
    let taken = Outcome::Delivered {
        reply: fixture::reply(250, None, "2.0.0 Ok: queued as 4bXyZ1234567"),
        without_dsn: false,
    };
    let accounts: Vec<Account> = (0..1000)
        .map(|n| Account {
            envelope: Arc::new(Envelope {
                id: QueueId::from_u64(whole.envelope.id.as_u64() + n),
                ..(*whole.envelope).clone()
            }),
            steps: steps.clone(),
            connections: vec![whole.connections[1].clone()],
            results: vec![RecipientResult { index: 0, outcome: taken.clone(), connection: Some(0) }],
            ..whole.clone()
        })
        .collect();
    let (begun, cpu) = (Instant::now(), cpu_ticks()?);
    let mut telling = std::time::Duration::ZERO;
    for _ in 0..EVENTS / 1000 {
        let start = Instant::now();
        for account in &accounts {
            recorder.event(Event::Attempted { account, next_attempt: None });
        }
        telling += start.elapsed();
        recorder.flush();
    }
    let (all, cpu) = (begun.elapsed(), cpu_ticks()? - cpu);
    let statistics = recorder.statistics();
    let each = |time: u128| time / u128::from(EVENTS);
    println!("telling: {} ns an event, by the clock", each(telling.as_nanos()));
    println!(
        "CPU of all threads: {} ns an event; elapsed {} ns",
        each(u128::from(cpu) * 10_000_000),
        each(all.as_nanos())
    );
    println!(
        "{} octets an event, {} written, {} lost",
        statistics.octets / EVENTS,
        statistics.written,
        statistics.lost
    );
    Ok(())
}
