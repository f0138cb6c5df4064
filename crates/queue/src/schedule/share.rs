//! Waiting jobs of one class, shared among the clients that submitted them: whoever submits a million messages waits behind itself, and
//! nobody else does.

use std::collections::{HashMap, VecDeque};

use super::Job;

/// Most destinations have nothing that is due, so an empty share is a pointer.
#[derive(Debug, Default)]
pub(super) struct Share(Option<Box<Shared>>);

#[derive(Debug, Default)]
struct Shared {
    /// Clients with jobs, in turn; never empty.
    turns: VecDeque<u32>,
    jobs: HashMap<u32, VecDeque<Job>>,
}

impl Share {
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Job> {
        self.0.iter().flat_map(|shared| shared.jobs.values().flatten())
    }

    pub(super) fn push(&mut self, job: Job) {
        let shared = self.0.get_or_insert_default();
        let client = job.client;
        let jobs = shared.jobs.entry(client).or_default();
        if jobs.is_empty() {
            shared.turns.push_back(client);
        }
        jobs.push_back(job);
    }

    /// Makes a job the next one that is taken.
    pub(super) fn put_back(&mut self, job: Job) {
        let shared = self.0.get_or_insert_default();
        let client = job.client;
        if let Some(at) = shared.turns.iter().position(|turn| *turn == client) {
            shared.turns.remove(at);
        }
        shared.turns.push_front(client);
        shared.jobs.entry(client).or_default().push_front(job);
    }

    /// Keeps those that satisfy `which`.
    pub(super) fn retain(&mut self, which: impl Fn(&Job) -> bool) {
        let Some(Shared { turns, jobs }) = self.0.as_deref_mut() else { return };
        jobs.retain(|_, jobs| {
            jobs.retain(&which);
            !jobs.is_empty()
        });
        turns.retain(|client| jobs.contains_key(client));
        if turns.is_empty() {
            self.0 = None;
        }
    }

    /// The client whose turn it is.
    pub(super) fn first(&self) -> Option<u32> {
        self.0.as_ref()?.turns.front().copied()
    }

    /// The next job of the client whose turn it is, of those that may have one.
    pub(super) fn pop(&mut self, may: impl Fn(u32) -> bool) -> Option<Job> {
        let Shared { turns, jobs: all } = self.0.as_deref_mut()?;
        let at = turns.iter().position(|client| may(*client))?;
        let client = turns.remove(at)?;
        let jobs = all.get_mut(&client)?;
        let job = jobs.pop_front();
        if jobs.is_empty() {
            all.remove(&client);
        } else {
            turns.push_back(client);
        }
        if turns.is_empty() {
            self.0 = None;
        }
        job
    }
}
