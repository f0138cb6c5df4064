//! What the queue's events tell, counted.
//!
//! Every counter is one relaxed addition; nothing is allocated and nothing is locked.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use waxseal_queue::{
    Account, AccountStep, Connection, Downgrade, Event, Fact, Outcome, RecipientResult, Settled,
};
use waxseal_types::{EnhancedStatus, Envelope, Proof, RecordKind, StatusClass, TlsLevel, TlsStatus};

use super::{
    ATTEMPTS, CONNECT_TIME, CONNECTIONS, DANE, DEAD, DELIVERY_DELAY, DNS_TIME, DOWNGRADES, GREETING_TIME,
    HANDSHAKE_TIME, INJECTIONS, LOWERED, Metric, POLICY_TIME, Page, QUEUED, RECIPIENTS, SERVICE_DEATHS,
    TLS_CONNECTIONS, TRANSACTION_TIME,
    histogram::{DELAY, Histogram, NETWORK},
    table::Table,
};
use crate::events::{count, deciding};

const OUTCOMES: &[&str] = &["delivered", "deferred", "bounced", "expired", "removed"];
/// Class and subject of RFC 3463 §2 and §3.1; subjects that it does not know are one.
const STATUSES: &[&str] = &[
    "2.0", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6", "2.7", "2.x", "4.0", "4.1", "4.2", "4.3", "4.4", "4.5",
    "4.6", "4.7", "4.x", "5.0", "5.1", "5.2", "5.3", "5.4", "5.5", "5.6", "5.7", "5.x",
];
const SUBJECTS: usize = 9;
const VERDICTS: &[&str] = &["none", "untrusted", "trusted", "verified", "unconnected"];
const UNCONNECTED: usize = 4;
const LEVELS: &[&str] = &["none", "may", "encrypt", "dane", "dane-only", "fingerprint", "verify", "secure"];
const PROTOCOLS: &[&str] = &["none", "TLSv1.2", "TLSv1.3"];
const DOWNGRADE_REASONS: &[&str] =
    &["not-offered", "ehlo-refused", "starttls-refused", "handshake-failed", "session-died"];
const DANE_OUTCOMES: &[&str] = &["verified", "refused", "absent", "unusable", "lookup-failed"];
const RECORDS: &[&str] = &["mx", "address", "tlsa", "cname", "txt"];
const ANSWERS: &[&str] = &["secure", "insecure", "bogus", "failed"];
const SERVICES: &[&str] =
    &["policy", "dns", "trust", "verify", "transport", "spool", "intake", "quay", "other"];

/// All that is counted.
#[derive(Debug)]
pub(crate) struct Recorder {
    queued: AtomicU64,
    attempts: AtomicU64,
    recipients: Table,
    delay: Histogram,
    connections: Table,
    connect: Histogram,
    greeting: Histogram,
    /// Full handshakes, and resumed ones.
    handshakes: [Histogram; 2],
    transaction: Histogram,
    tls: Table,
    downgrades: Table,
    lowered: Table,
    injections: AtomicU64,
    dane: Table,
    policy: Histogram,
    /// By record and answer.
    dns: [[Histogram; ANSWERS.len()]; RECORDS.len()],
    dead: AtomicU64,
    deaths: Table,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        let network = || Histogram::new(NETWORK);
        Self {
            queued: AtomicU64::new(0),
            attempts: AtomicU64::new(0),
            recipients: Table::new(&[OUTCOMES, STATUSES, VERDICTS]),
            delay: Histogram::new(DELAY),
            connections: Table::new(&[&["new", "pooled"], &["ok", "failed"]]),
            connect: network(),
            greeting: network(),
            handshakes: [network(), network()],
            transaction: network(),
            tls: Table::new(&[LEVELS, VERDICTS, PROTOCOLS]),
            downgrades: Table::new(&[DOWNGRADE_REASONS]),
            lowered: Table::new(&[LEVELS]),
            injections: AtomicU64::new(0),
            dane: Table::new(&[DANE_OUTCOMES]),
            policy: network(),
            dns: std::array::from_fn(|_| std::array::from_fn(|_| network())),
            dead: AtomicU64::new(0),
            deaths: Table::new(&[SERVICES]),
        }
    }

    pub(crate) fn event(&self, event: &Event<'_>) {
        match event {
            Event::Queued { recipients, .. } => {
                self.queued.fetch_add(count(recipients.len()), Ordering::Relaxed);
            }
            Event::Attempted { account, .. } => self.attempted(account),
            Event::Settled { recipients, how, failure, .. } => {
                let outcome = match how {
                    Settled::Deferred => 1,
                    Settled::Bounced => 2,
                    Settled::Expired => 3,
                    Settled::Removed => 4,
                };
                let at = [outcome, status(failure.status), UNCONNECTED];
                self.recipients.add_many(at, count(recipients.len()));
            }
            Event::DestinationDead { .. } => {
                self.dead.fetch_add(1, Ordering::Relaxed);
            }
            Event::ServiceDied { service, .. } => {
                let known = SERVICES.iter().position(|name| name == service);
                self.deaths.add([known.unwrap_or(SERVICES.len() - 1)]);
            }
            // `Event` may grow; what is unknown here is not counted.
            _ => {}
        }
    }

    fn attempted(&self, account: &Account) {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        for step in &account.steps {
            self.step(step);
        }
        for connection in &account.connections {
            self.connection(connection);
        }
        for result in &account.results {
            self.result(account, result);
        }
    }

    fn result(&self, account: &Account, result: &RecipientResult) {
        let (outcome, code) = match &result.outcome {
            Outcome::Delivered { reply, .. } => (0, reply.enhanced()),
            Outcome::Deferred(failure) => (1, failure.status),
            Outcome::Bounced(failure) => (2, failure.status),
        };
        let verdict = deciding(account, result).map_or(UNCONNECTED, |connection| verdict(connection.status));
        self.recipients.add([outcome, status(code), verdict]);
        if outcome == 0 {
            self.delay.add(delay(&account.envelope, account));
        }
    }

    fn connection(&self, connection: &Connection) {
        let failed = connection.failure.is_some();
        self.connections.add([connection.pooled.into(), failed.into()]);
        let times = connection.times;
        if !connection.pooled {
            for (histogram, took) in [(&self.connect, times.connect), (&self.greeting, times.greeting)] {
                if !took.is_zero() {
                    histogram.add(took);
                }
            }
        }
        if !times.transaction.is_zero() {
            self.transaction.add(times.transaction);
        }
        if connection.id.is_some() {
            self.security(connection);
        }
        if let Some(downgrade) = connection.downgrade {
            self.downgrades.add([reason(downgrade)]);
        }
        if connection.injected > 0 {
            self.injections.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn security(&self, connection: &Connection) {
        let protocol = match connection.tls.as_ref().map(|facts| facts.protocol) {
            None => 0,
            Some("TLSv1.2") => 1,
            Some(_) => 2,
        };
        self.tls.add([level(connection.level), verdict(connection.status), protocol]);
        let Some(facts) = &connection.tls else { return };
        if !connection.pooled && !connection.times.tls.is_zero() {
            self.handshakes[usize::from(facts.resumed)].add(connection.times.tls);
        }
        match (connection.level, connection.status) {
            (TlsLevel::Dane | TlsLevel::DaneOnly, TlsStatus::Verified) => self.dane.add([0]),
            (TlsLevel::Dane | TlsLevel::DaneOnly, _) => self.dane.add([1]),
            _ => {}
        }
    }

    fn step(&self, step: &AccountStep) {
        let took = step.took;
        match &step.fact {
            Fact::Policy(_) | Fact::PolicyFailed(_) => self.policy.add(took),
            Fact::Mx { standing, .. } => self.answered(0, standing.proof, took),
            Fact::Addresses { standing, .. } => self.answered(1, standing.proof, took),
            Fact::Tlsa { records, standing, .. } => {
                self.answered(2, standing.proof, took);
                if records.iter().all(|record| record.unusable.is_some()) {
                    self.dane.add([3]);
                }
            }
            Fact::Alias { standing, .. } => self.answered(3, standing.proof, took),
            Fact::Absent { what, standing } => {
                let record = asked(what);
                self.answered(record, standing.proof, took);
                if record == 2 {
                    self.dane.add([2]);
                }
            }
            Fact::DnsFailed(failure) => {
                let answer = if failure.failure.is_bogus() { 2 } else { 3 };
                self.dns[kind(failure.kind)][answer].add(took);
                if failure.kind == RecordKind::Tlsa {
                    self.dane.add([4]);
                }
            }
            Fact::Lowered { level: to, .. } => self.lowered.add([level(*to)]),
            Fact::Skipped { .. } | Fact::Unavailable(_) | Fact::Connection(_) => {}
        }
    }

    fn answered(&self, record: usize, proof: Proof, took: Duration) {
        let answer = match proof {
            Proof::Secure => 0,
            Proof::Insecure => 1,
        };
        self.dns[record][answer].add(took);
    }

    /// Writes everything down.
    pub(crate) fn read(&self, page: &mut Page) {
        let counts: [(&'static Metric, &AtomicU64); 4] = [
            (&QUEUED, &self.queued),
            (&ATTEMPTS, &self.attempts),
            (&INJECTIONS, &self.injections),
            (&DEAD, &self.dead),
        ];
        for (metric, count) in counts {
            page.set(metric, &[], count.load(Ordering::Relaxed));
        }
        let tables: [(&'static Metric, &Table); 7] = [
            (&RECIPIENTS, &self.recipients),
            (&CONNECTIONS, &self.connections),
            (&TLS_CONNECTIONS, &self.tls),
            (&DOWNGRADES, &self.downgrades),
            (&LOWERED, &self.lowered),
            (&DANE, &self.dane),
            (&SERVICE_DEATHS, &self.deaths),
        ];
        for (metric, table) in tables {
            table.read(page, metric);
        }
        let histograms: [(&'static Metric, &Histogram); 5] = [
            (&DELIVERY_DELAY, &self.delay),
            (&CONNECT_TIME, &self.connect),
            (&GREETING_TIME, &self.greeting),
            (&TRANSACTION_TIME, &self.transaction),
            (&POLICY_TIME, &self.policy),
        ];
        for (metric, histogram) in histograms {
            page.set_buckets(metric, &[], histogram.read());
        }
        for (resumed, histogram) in ["no", "yes"].iter().zip(&self.handshakes) {
            page.set_buckets(&HANDSHAKE_TIME, &[resumed], histogram.read());
        }
        for (record, answers) in RECORDS.iter().zip(&self.dns) {
            for (answer, histogram) in ANSWERS.iter().zip(answers) {
                let buckets = histogram.read();
                if buckets.count() > 0 {
                    page.set_buckets(&DNS_TIME, &[record, answer], buckets);
                }
            }
        }
    }
}

fn delay(envelope: &Envelope, account: &Account) -> Duration {
    account.ended.since(envelope.arrived)
}

/// Its number in [`STATUSES`].
fn status(status: EnhancedStatus) -> usize {
    let class = match status.class() {
        StatusClass::Success => 0,
        StatusClass::Transient => 1,
        StatusClass::Permanent => 2,
    };
    class * SUBJECTS + usize::from(status.subject()).min(SUBJECTS - 1)
}

const fn verdict(status: TlsStatus) -> usize {
    match status {
        TlsStatus::None => 0,
        TlsStatus::Untrusted => 1,
        TlsStatus::Trusted => 2,
        TlsStatus::Verified => 3,
    }
}

const fn level(level: TlsLevel) -> usize {
    match level {
        TlsLevel::None => 0,
        TlsLevel::May => 1,
        TlsLevel::Encrypt => 2,
        TlsLevel::Dane => 3,
        TlsLevel::DaneOnly => 4,
        TlsLevel::Fingerprint => 5,
        TlsLevel::Verify => 6,
        TlsLevel::Secure => 7,
    }
}

const fn reason(downgrade: Downgrade) -> usize {
    match downgrade {
        Downgrade::NotOffered => 0,
        Downgrade::EhloRefused => 1,
        Downgrade::Refused => 2,
        Downgrade::HandshakeFailed => 3,
        Downgrade::SessionDied => 4,
    }
}

const fn kind(kind: RecordKind) -> usize {
    match kind {
        RecordKind::Mx => 0,
        RecordKind::A | RecordKind::Aaaa => 1,
        RecordKind::Tlsa => 2,
        RecordKind::Cname => 3,
        RecordKind::Txt => 4,
    }
}

/// The record in `MX example.com` and the like.
fn asked(what: &str) -> usize {
    match what.split(' ').next() {
        Some("MX") => 0,
        Some("TLSA") => 2,
        Some("CNAME") => 3,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use waxseal_types::UnixTime;

    use super::*;
    use crate::{fixture, metrics::Number};

    fn read(recorder: &Recorder) -> Page {
        let mut page = Page::new(UnixTime::default(), UnixTime::default());
        recorder.read(&mut page);
        page
    }

    #[test]
    fn an_attempt_is_counted_by_all_that_it_was() {
        let recorder = Recorder::new();
        let account = fixture::account(1);
        recorder.event(&Event::Attempted { account: &account, next_attempt: None });
        recorder.event(&Event::ServiceDied { service: "dns", wait: 1 });
        recorder.event(&Event::ServiceDied { service: "nobody knows", wait: 1 });
        let page = read(&recorder);
        let table: &[(&'static Metric, &[&str], u64)] = &[
            (&ATTEMPTS, &[], 1),
            (&RECIPIENTS, &["delivered", "2.0", "verified"], 1),
            (&RECIPIENTS, &["bounced", "5.1", "verified"], 1),
            (&CONNECTIONS, &["new", "failed"], 1),
            (&CONNECTIONS, &["new", "ok"], 1),
            (&TLS_CONNECTIONS, &["dane", "verified", "TLSv1.3"], 1),
            (&DANE, &["verified"], 1),
            (&LOWERED, &["may"], 1),
            (&SERVICE_DEATHS, &["dns"], 1),
            (&SERVICE_DEATHS, &["other"], 1),
        ];
        for (metric, labels, expected) in table {
            assert_eq!(
                page.number(metric, labels),
                Some(Number::Whole(*expected)),
                "{} {labels:?}",
                metric.name
            );
        }
        let text = page.prometheus();
        for line in [
            "waxseal_tls_handshake_duration_seconds_count{resumed=\"no\"} 1",
            "waxseal_dns_lookup_duration_seconds_sum{type=\"address\",result=\"failed\"} 0.005",
            "waxseal_dns_lookup_duration_seconds_count{type=\"cname\",result=\"insecure\"} 1",
            "waxseal_delivery_delay_seconds_count 1",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }

    #[test]
    fn words_stand_where_their_numbers_say() {
        for one in TlsLevel::ALL {
            assert_eq!(LEVELS[level(one)], one.as_str());
        }
        for one in [TlsStatus::None, TlsStatus::Untrusted, TlsStatus::Trusted, TlsStatus::Verified] {
            assert_eq!(VERDICTS[verdict(one)], one.as_str());
        }
        for (text, word) in
            [("2.0.0", "2.0"), ("4.7.5", "4.7"), ("5.7.1", "5.7"), ("5.12.0", "5.x"), ("2.8.0", "2.x")]
        {
            assert_eq!(STATUSES[status(text.parse().unwrap())], word);
        }
    }

    /// `cargo test --release -p waxseal-telemetry -- --ignored --nocapture cost`
    #[test]
    #[ignore = "a measurement, not a test"]
    fn cost_of_counting() {
        let (recorder, account) = (Recorder::new(), fixture::account(1));
        const ROUNDS: u32 = 500_000;
        let begun = Instant::now();
        (0..ROUNDS).for_each(|_| recorder.event(&Event::Attempted { account: &account, next_attempt: None }));
        println!("{:?} an attempt", begun.elapsed() / ROUNDS);
    }
}
