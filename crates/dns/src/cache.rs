//! What was answered, for as long as it may be believed, and one question at a time for each key.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};

use tokio::{sync::OnceCell, time::Instant};
use waxseal_types::{Domain, Lookup, Proof};

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
/// Parts with a lock each, so that cores seldom meet.
const SHARDS: usize = 16;

/// An answer, or the failure to get one, and when it ceases to hold.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) outcome: Result<Answer, Trouble>,
    pub(crate) expires: Instant,
}

impl Entry {
    /// About what it holds in memory, its place in the map included.
    fn octets(&self) -> usize {
        const PLACE: usize = 256;
        let held = match &self.outcome {
            Ok(Answer { lookup: Lookup::Found(records), .. }) => records.octets(),
            Ok(Answer { lookup: Lookup::NoData | Lookup::NxDomain, .. }) => 0,
            Err(trouble) => trouble.detail.len(),
        };
        PLACE + held
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) lookup: Lookup<Records>,
    pub(crate) proof: Proof,
    pub(crate) why: Option<Arc<str>>,
    pub(crate) canonical: Option<Domain>,
}

/// Empty while the first to ask waits for the answer; everybody else waits for the cell.
type Cell = Arc<OnceCell<Arc<Entry>>>;

#[derive(Debug, Default)]
struct Shard {
    cells: HashMap<Question, Cell>,
    /// Of what came in since it was last counted, and of what was there then: never less than what is there.
    octets: usize,
}

/// Locks are held for a look at a map, never while somebody waits.
#[derive(Debug)]
pub(crate) struct AnswerCache {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
    entries_per_shard: usize,
    octets_per_shard: usize,
    limits: CacheSettings,
    deadline: Duration,
    counters: Arc<Counters>,
}

impl AnswerCache {
    pub(crate) fn new(limits: CacheSettings, deadline: Duration, counters: Arc<Counters>) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            entries_per_shard: limits.entries.div_ceil(SHARDS).max(1),
            octets_per_shard: limits.octets.div_ceil(SHARDS),
            limits,
            deadline,
            counters,
        }
    }

    /// Answers, and about their octets.
    pub(crate) fn size(&self) -> (usize, usize) {
        let sizes = self.shards.iter().map(|shard| {
            let shard = lock(shard);
            (shard.cells.len(), shard.octets)
        });
        sizes.fold((0, 0), |(cells, octets), (more, further)| (cells + more, octets + further))
    }

    pub(crate) async fn ask(&self, backend: &Backend, question: Question) -> Arc<Entry> {
        let cell = self.cell(&question);
        if let Some(entry) = cell.get() {
            self.counters.hits.fetch_add(1, Ordering::Relaxed);
            return Arc::clone(entry);
        }
        // Whoever comes first asks; the others wait. Should the first give up, the next in line asks.
        let mut asked = false;
        let entry = cell
            .get_or_init(|| {
                asked = true;
                // A lookup is kilobytes of state; on the heap, so that an answer from the cache need not carry room for it.
                Box::pin(self.fetch(backend, &question))
            })
            .await;
        let counter = if asked { &self.counters.misses } else { &self.counters.joined };
        counter.fetch_add(1, Ordering::Relaxed);
        if asked {
            self.account(&question, entry.octets());
        }
        Arc::clone(entry)
    }

    /// Counts what a question brought in; where that is too much, others go.
    fn account(&self, question: &Question, octets: usize) {
        let mut shard = lock(self.shard(question));
        shard.octets = shard.octets.saturating_add(octets);
        if shard.octets > self.octets_per_shard {
            self.counters.crowded.fetch_add(1, Ordering::Relaxed);
            make_room(&mut shard, Instant::now(), self.entries_per_shard, self.octets_per_shard);
        }
    }

    fn shard(&self, question: &Question) -> &Mutex<Shard> {
        &self.shards[self.hasher.hash_one(question) as usize % SHARDS]
    }

    /// The cell of a question: the one that holds, or is being filled; a new one otherwise.
    fn cell(&self, question: &Question) -> Cell {
        let mut shard = lock(self.shard(question));
        let now = Instant::now();
        match shard.cells.get(question) {
            Some(cell) if holds(cell, now) => return Arc::clone(cell),
            Some(_) | None => {}
        }
        if shard.cells.len() >= self.entries_per_shard {
            self.counters.crowded.fetch_add(1, Ordering::Relaxed);
            make_room(&mut shard, now, self.entries_per_shard, self.octets_per_shard);
        }
        let cell = Cell::default();
        shard.cells.insert(question.clone(), Arc::clone(&cell));
        cell
    }

    async fn fetch(&self, backend: &Backend, question: &Question) -> Arc<Entry> {
        let outcome = match tokio::time::timeout(self.deadline, look_up(backend, question)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Trouble::timeout(format!("no answer within {} s", self.deadline.as_secs_f32()))),
        };
        if let Err(trouble) = &outcome {
            self.counters.failures.fetch_add(1, Ordering::Relaxed);
            if trouble.failure.is_bogus() {
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

/// A map is whole whenever its lock is free, a panic elsewhere or not.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

fn holds(cell: &Cell, now: Instant) -> bool {
    cell.get().is_none_or(|entry| entry.expires > now)
}

/// Drops what has expired; where that is not enough, every eighth of the rest, whichever it is: an answer that is
/// needed is soon back, and keeping account of use would cost every hit. Where octets are what is too many, one answer
/// may be most of them: then every answer goes that would fill more than its share.
fn make_room(shard: &mut Shard, now: Instant, entries: usize, octets: usize) {
    shard.cells.retain(|_, cell| holds(cell, now));
    if shard.cells.len() >= entries {
        let mut at = 0_usize;
        shard.cells.retain(|_, _| {
            at += 1;
            !at.is_multiple_of(8) && at < entries
        });
    }
    // A cell that is being filled is counted when it is full.
    let weigh = |cell: &Cell| cell.get().map_or(0, |entry| entry.octets());
    shard.octets = shard.cells.values().map(weigh).sum();
    if shard.octets > octets {
        let mut left = octets / 8 * 7;
        shard.cells.retain(|_, cell| {
            let weight = weigh(cell);
            let stays = weight <= left;
            left -= if stays { weight } else { 0 };
            stays
        });
        shard.octets = shard.cells.values().map(weigh).sum();
    }
}

async fn look_up(backend: &Backend, question: &Question) -> Result<(Answer, u32), Trouble> {
    let chased = backend.chase(&question.wire_name()?, question.wire_kind()).await?;
    let lookup = question.translate(&chased)?;
    let canonical = question.canonical(&chased)?;
    let why = chased.why.map(Arc::from);
    Ok((Answer { lookup, proof: chased.proof, why, canonical }, chased.ttl))
}
