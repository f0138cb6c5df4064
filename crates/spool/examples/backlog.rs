//! What a long queue costs: `cargo run --release -p waxseal-spool --example backlog [FOLDER [MESSAGES]]`.
//!
//! Puts messages of 4,096 octets, marks each as tried once, ends the log and opens it again; where the folder exists, it only opens it.

use std::{
    error::Error,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use bytes::Bytes;
use waxseal_spool::{Log, Outcome, Pending, Progress, Put, RecipientResult, Settings, Spool, Update, open};
use waxseal_types::{
    BodyKind, EnhancedStatus, Envelope, Mailbox, QueueId, Recipient, Reply, TraceContext, UnixTime,
};

type Failure = Box<dyn Error + Send + Sync>;

/// Messages under way at a time, as of so many clients.
const WINDOW: usize = 64;
const BODY: usize = 4096;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn wait(mut pending: Pending<()>) -> Result<(), Failure> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match pending.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(result) => return Ok(result?),
            Poll::Pending => thread::park(),
        }
    }
}

fn fill(log: &Log, messages: u64) -> Result<u64, Failure> {
    let body = Bytes::from(vec![b'x'; BODY]);
    let (mut under_way, mut ids, mut record) = (Vec::new(), Vec::new(), 0);
    for at in 0..messages {
        let id = log.gate().next_id();
        let address = format!("recipient-{at}@destination-{}.example.org", at % 1000);
        let envelope = Envelope {
            id,
            arrived: UnixTime::from_micros(id.as_u64()),
            sender: Some(Mailbox::new("sender@example.com")?),
            recipients: vec![Recipient { mailbox: Mailbox::new(&address)?, notify: None, original: None }],
            body: BodyKind::SevenBit,
            smtputf8: false,
            envelope_id: None,
            ret: None,
            size: BODY as u64,
            leading_dots: false,
            message_id: Some("<some-message-id@mail.example.com>".into()),
            client: "localhost[127.0.0.1]".into(),
            trace: TraceContext { trace_id: u128::from(at), span_id: at, sampled: true, parent_id: 0 },
        };
        under_way.push(log.put(Put { envelope, body: body.clone() }));
        ids.push(id);
        if under_way.len() >= WINDOW {
            under_way.drain(..).try_for_each(wait)?;
            let marks: Vec<_> = ids.drain(..).map(|id| log.update(tried(id))).collect();
            marks.into_iter().try_for_each(wait)?;
        }
        record += BODY as u64;
    }
    under_way.into_iter().try_for_each(wait)?;
    let marks: Vec<_> = ids.into_iter().map(|id| log.update(tried(id))).collect();
    marks.into_iter().try_for_each(wait)?;
    Ok(record)
}

/// A server said 450.
fn tried(id: QueueId) -> Update {
    let said = "host mx.example.org[192.0.2.1] said: 450 4.2.0 mailbox busy, try again later (in reply to RCPT TO command)";
    let at = UnixTime::from_micros(id.as_u64());
    let last = Outcome {
        at,
        status: EnhancedStatus::transient(2, 0),
        host: Some("mx.example.org".into()),
        reply: Some(Reply { code: 450, status: None, text: "4.2.0 mailbox busy, try again later".into() }),
        reason: said.into(),
        trouble: Some("refused-for-now".into()),
        tried: Some(format!("mx.example.org[192.0.2.1]:25: {said}").into()),
    };
    let next_attempt = at + Duration::from_secs(300);
    let progress =
        Progress { attempts: 1, next_attempt, first_failure: Some(at), last: Some(last), ..Progress::NEW };
    Update { id, results: vec![RecipientResult { index: 0, progress }], dsn: None }
}

/// Octets of memory at most so far, and now (proc(5)).
fn memory() -> Option<(u64, u64)> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let field = |name| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    Some((field("VmHWM:")? << 10, field("VmRSS:")? << 10))
}

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap_or_else(|| "./backlog-spool".into());
    let messages: u64 = arguments.next().map_or(Ok(100_000), |text| text.parse())?;
    let settings = Settings { path: path.into(), ..Settings::default() };
    let found = settings.path.exists();
    if !found {
        let (log, _) = open(settings.clone())?;
        let started = Instant::now();
        let bodies = fill(&log, messages)?;
        let (took, metrics) = (started.elapsed(), log.metrics());
        let each = |octets: u64| octets as f64 / messages as f64;
        println!(
            "{:.0} messages/s, {:.3} syncs a message",
            messages as f64 / took.as_secs_f64(),
            each(metrics.syncs)
        );
        println!("{:.0} octets written a message, {:.0} of them its text", each(metrics.bytes), each(bodies));
        println!("{:.0} octets on disk a message", each(metrics.disk_bytes));
        let closing = Instant::now();
        drop(log);
        println!("closed, with its checkpoint, in {:?}", closing.elapsed());
    }
    let before = memory();
    let started = Instant::now();
    let (log, recovery) = open(settings)?;
    let (opened, after_open) = (started.elapsed(), memory());
    let count = recovery.briefly().filter(Result::is_ok).count();
    println!(
        "opened in {opened:?}, {count} messages known to the schedule {:?} later",
        started.elapsed() - opened
    );
    println!(
        "{:.1} octets of index a message; memory (peak, now): {before:?} before, {after_open:?} open, {:?} after",
        log.metrics().index_bytes as f64 / count.max(1) as f64,
        memory()
    );
    Ok(())
}
