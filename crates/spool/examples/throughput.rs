//! How fast messages become durable: `cargo run --release -p waxseal-spool --example throughput [FOLDER [PRODUCERS [MESSAGES]]]`.
//! Then how fast they are found again.

use std::{
    error::Error,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Instant,
};

use bytes::Bytes;
use waxseal_spool::{Done, Log, Pending, Put, Settings, Spool, open};
use waxseal_types::{BodyKind, Envelope, Mailbox, Recipient, TraceContext, UnixTime};

type Failure = Box<dyn Error + Send + Sync>;

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

fn produce(log: &Log, messages: usize, body: &Bytes) -> Result<(), Failure> {
    let recipient = Recipient { mailbox: Mailbox::new("r@example.org")?, notify: None, original: None };
    for at in 0..messages {
        let gathering = log.gate().gathering();
        let id = log.gate().next_id();
        let envelope = Envelope {
            id,
            arrived: UnixTime::from_micros(id.as_u64()),
            sender: Some(Mailbox::new("s@example.com")?),
            recipients: vec![recipient.clone()],
            body: BodyKind::SevenBit,
            smtputf8: false,
            envelope_id: None,
            ret: None,
            size: body.len() as u64,
            leading_dots: false,
            message_id: Some("<some-message-id@mail.example.com>".into()),
            client: "localhost[127.0.0.1]".into(),
            trace: TraceContext::default(),
        };
        drop(gathering);
        wait(log.put(Put { envelope, body: body.clone() }))?;
        if at % 2 == 0 {
            drop(log.done(Done { id, dsn: None }));
        }
    }
    Ok(())
}

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap_or_else(|| "./throughput-spool".into());
    let producers: usize = arguments.next().map_or(Ok(40), |text| text.parse())?;
    let messages: usize = arguments.next().map_or(Ok(20_000), |text| text.parse())?;
    let settings = Settings { path: path.into(), ..Settings::default() };
    let (log, recovery) = open(settings.clone())?;
    println!("{recovery:?}");
    let body = Bytes::from(vec![b'x'; 10_240]);
    let started = Instant::now();
    thread::scope(|scope| {
        let start = |_| scope.spawn(|| produce(&log, messages / producers, &body));
        let all: Vec<_> = (0..producers).map(start).collect();
        all.into_iter().try_for_each(|producer| producer.join().expect("a producer does not panic"))
    })?;
    let (took, metrics) = (started.elapsed().as_secs_f64(), log.metrics());
    println!(
        "{:.0} messages/s, {:.2} syncs a message",
        metrics.puts as f64 / took,
        metrics.syncs as f64 / metrics.puts as f64
    );
    println!("{metrics:?}");
    drop(log);
    let started = Instant::now();
    let (_log, recovery) = open(settings)?;
    let opened = started.elapsed();
    let count = recovery.filter(Result::is_ok).count();
    println!("{count} messages found in {opened:?}, read in {:?}", started.elapsed() - opened);
    Ok(())
}
