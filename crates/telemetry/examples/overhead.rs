//! What telemetry costs a message, in processor time of this process: nothing but counting, spans for one message in a hundred, spans for all.
//!
//!     cargo run --release -p waxseal-telemetry --example overhead [MESSAGES]
//!
//! The collector is a process of its own, so that its time does not count; the thread that exports is in this process, and does.
#![expect(clippy::unwrap_used, reason = "the fixture is that of the tests")]

#[path = "../tests/fixture/mod.rs"]
mod fixture;

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use waxseal_queue::{Account, Event, Fact, Sink as _};
use waxseal_telemetry::{Protocol, Settings, Telemetry};
use waxseal_types::{Envelope, TraceContext};

fn main() {
    let argument = std::env::args().nth(1);
    if argument.as_deref() == Some("--collector") {
        return collect();
    }
    let messages: u64 = argument.and_then(|text| text.parse().ok()).unwrap_or(200_000);
    let (mut collector, endpoint) = collector();
    for (name, account) in [("a relay, pooled connection", relayed()), ("DANE, new connection", direct())] {
        println!("{name}:");
        let counting = measure(&account, messages, 1.0, None);
        println!("  counters only           {counting:6.2} µs a message");
        for ratio in [0.0, 0.01, 1.0] {
            let told = measure(&account, messages, ratio, Some(&endpoint));
            println!("  sampling {ratio:<4}           {told:6.2} µs a message, {:6.2} more", told - counting);
        }
    }
    collector.kill().expect("measured where it works");
    collector.wait().expect("measured where it works");
}

/// Microseconds of processor time a message, the end of the export included.
fn measure(account: &Account, messages: u64, ratio: f64, endpoint: Option<&str>) -> f64 {
    let settings = Settings {
        otlp_endpoint: endpoint.map(str::to_owned),
        otlp_protocol: Protocol::Http,
        span_limit: 1 << 16,
        ..Settings::default()
    };
    let telemetry = Telemetry::start(settings).expect("measured where it works");
    let every = if ratio > 0.0 { (1.0 / ratio) as u64 } else { u64::MAX };
    let account_of = |number: u64, sampled: bool| {
        let trace =
            TraceContext { trace_id: u128::from(number + 1), span_id: number + 1, sampled, parent_id: 0 };
        let envelope = Arc::new(Envelope { trace, ..(*account.envelope).clone() });
        Account { envelope, ..account.clone() }
    };
    let lot = 256.min(messages);
    let accounts: Vec<_> = (0..lot).map(|number| account_of(number, number % every == 0)).collect();
    let begun = processor_time();
    for number in 0..messages {
        let account = &accounts[usize::try_from(number % lot).expect("measured where it works")];
        telemetry.event(Event::Queued {
            envelope: &account.envelope,
            destination: &account.destination,
            recipients: &[0],
            at: account.started,
        });
        telemetry.event(Event::Attempted { account, next_attempt: None });
        // A sender faster than any mail server would only measure how spans are thrown away.
        if endpoint.is_some() && ratio > 0.5 && number % 128 == 0 {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    telemetry.shutdown();
    let spent = processor_time() - begun;
    let lost = telemetry.lost_spans();
    if lost > 0 {
        println!("  ({lost} spans lost)");
    }
    spent.as_secs_f64() * 1e6 / messages as f64
}

/// User and system time of this process (proc(5), `/proc/pid/stat`), in hundredths of a second.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("measured where it works");
    let fields: Vec<_> =
        stat.rsplit(')').next().expect("measured where it works").split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().expect("measured where it works")
        + fields[12].parse::<u64>().expect("measured where it works");
    Duration::from_millis(ticks * 10)
}

/// As the benchmark of a relay has it: the policy is known, the connection is there.
fn relayed() -> Account {
    let mut account = direct();
    account.steps.retain(|step| matches!(step.fact, Fact::Policy(_) | Fact::Connection(_)));
    account.connections[0].pooled = true;
    account
}

/// A first attempt that goes well, over one connection.
fn direct() -> Account {
    let mut account = fixture::account(1);
    account.attempt = 1;
    account.connections.remove(0);
    account.results.truncate(1);
    account.results[0].connection = Some(0);
    let troubles = |fact: &Fact| {
        matches!(
            fact,
            Fact::DnsFailed(_) | Fact::Skipped { .. } | Fact::Unavailable(_) | Fact::Lowered { .. }
        )
    };
    account.steps.retain(|step| !troubles(&step.fact));
    account
}

fn collector() -> (Child, String) {
    let mut child = Command::new(std::env::current_exe().expect("measured where it works"))
        .arg("--collector")
        .stdout(Stdio::piped())
        .spawn()
        .expect("measured where it works");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("measured where it works"))
        .read_line(&mut line)
        .expect("measured where it works");
    (child, line.trim().to_owned())
}

/// Takes everything and says yes.
fn collect() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("measured where it works");
    println!("http://{}", listener.local_addr().expect("measured where it works"));
    for stream in listener.incoming() {
        let mut stream = BufReader::new(stream.expect("measured where it works"));
        while answer(&mut stream).is_some() {}
    }
}

fn answer(stream: &mut BufReader<TcpStream>) -> Option<()> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok().filter(|octets| *octets > 0)?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").ok()
}
