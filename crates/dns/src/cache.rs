//! What was answered, for as long as it may be believed, and one question at a time for each key.

use std::{sync::Arc, sync::atomic::Ordering, time::Duration};

use moka::{Expiry, future::Cache};
use tokio::time::Instant;
use waxseal_types::{DnsFailureKind, Domain, Lookup, Proof};

use crate::{
    chase::Backend,
    counters::Counters,
    records::{Question, Records},
    settings::CacheSettings,
    trouble::Trouble,
};

/// The shortest time an answer is kept. A TTL of zero is for one use (RFC 1035 §3.2.1); one delivery asks for the
/// same name more than once.
const SHORTEST: Duration = Duration::from_secs(1);

/// An answer, or the failure to get one, and when it ceases to hold.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) outcome: Result<Answer, Trouble>,
    pub(crate) expires: Instant,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) lookup: Lookup<Records>,
    pub(crate) proof: Proof,
    pub(crate) canonical: Option<Domain>,
}

#[derive(Debug)]
pub(crate) struct AnswerCache {
    entries: Cache<Question, Arc<Entry>>,
    limits: CacheSettings,
    deadline: Duration,
    counters: Arc<Counters>,
}

/// Lets moka forget what has expired; whether an entry still holds is decided at each use.
struct AtExpiry;

impl Expiry<Question, Arc<Entry>> for AtExpiry {
    fn expire_after_create(
        &self,
        _: &Question,
        entry: &Arc<Entry>,
        _: std::time::Instant,
    ) -> Option<Duration> {
        Some(entry.expires.saturating_duration_since(Instant::now()))
    }
}

impl AnswerCache {
    pub(crate) fn new(limits: CacheSettings, deadline: Duration, counters: Arc<Counters>) -> Self {
        let entries = Cache::builder().max_capacity(limits.entries).expire_after(AtExpiry).build();
        Self { entries, limits, deadline, counters }
    }

    pub(crate) fn len(&self) -> u64 {
        self.entries.entry_count()
    }

    pub(crate) async fn ask(&self, backend: &Backend, question: Question) -> Arc<Entry> {
        if let Some(entry) = self.entries.get(&question).await {
            if entry.expires > Instant::now() {
                self.counters.hits.fetch_add(1, Ordering::Relaxed);
                return entry;
            }
            self.entries.invalidate(&question).await;
        }
        // Whoever comes first asks; the others wait. Should the first give up, the next in line asks.
        let entry = self.entries.entry(question.clone()).or_insert_with(self.fetch(backend, &question)).await;
        if !entry.is_fresh() {
            self.counters.joined.fetch_add(1, Ordering::Relaxed);
        }
        entry.into_value()
    }

    async fn fetch(&self, backend: &Backend, question: &Question) -> Arc<Entry> {
        self.counters.misses.fetch_add(1, Ordering::Relaxed);
        let outcome = match tokio::time::timeout(self.deadline, look_up(backend, question)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Trouble::timeout(format!("no answer within {} s", self.deadline.as_secs_f32()))),
        };
        if let Err(trouble) = &outcome {
            self.counters.failures.fetch_add(1, Ordering::Relaxed);
            if trouble.failure == DnsFailureKind::Bogus {
                self.counters.bogus.fetch_add(1, Ordering::Relaxed);
            }
        }
        let (outcome, ttl) = self.clamp(outcome);
        Arc::new(Entry { outcome, expires: Instant::now() + ttl })
    }

    fn clamp(&self, outcome: Result<(Answer, u32), Trouble>) -> (Result<Answer, Trouble>, Duration) {
        match outcome {
            Ok((answer, ttl)) => {
                let longest = match answer.lookup {
                    Lookup::Found(_) => self.limits.positive,
                    Lookup::NoData | Lookup::NxDomain => self.limits.negative,
                };
                (Ok(answer), Duration::from_secs(ttl.into()).min(longest).max(SHORTEST))
            }
            Err(trouble) => (Err(trouble), self.limits.failure),
        }
    }
}

async fn look_up(backend: &Backend, question: &Question) -> Result<(Answer, u32), Trouble> {
    let chased = backend.chase(&question.wire_name()?, question.wire_kind()).await?;
    let lookup = question.translate(&chased)?;
    let canonical = question.canonical(&chased)?;
    Ok((Answer { lookup, proof: chased.proof, canonical }, chased.ttl))
}
