//! Waiting jobs of one class, shared among the clients that submitted them: whoever submits a million messages waits behind itself, and
//! nobody else does.

use std::collections::{HashMap, VecDeque};

use super::Job;

#[derive(Debug, Default)]
pub(super) struct Share {
    /// Clients with jobs, in turn.
    turns: VecDeque<u32>,
    jobs: HashMap<u32, VecDeque<Job>>,
}

impl Share {
    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Job> {
        self.jobs.values().flatten()
    }

    pub(super) fn push(&mut self, job: Job) {
        let client = job.client;
        let jobs = self.jobs.entry(client).or_default();
        if jobs.is_empty() {
            self.turns.push_back(client);
        }
        jobs.push_back(job);
    }

    /// Makes a job the next one that is taken.
    pub(super) fn put_back(&mut self, job: Job) {
        let client = job.client;
        if let Some(at) = self.turns.iter().position(|turn| *turn == client) {
            self.turns.remove(at);
        }
        self.turns.push_front(client);
        self.jobs.entry(client).or_default().push_front(job);
    }

    /// Keeps those that satisfy `which`.
    pub(super) fn retain(&mut self, which: impl Fn(&Job) -> bool) {
        self.jobs.retain(|_, jobs| {
            jobs.retain(&which);
            !jobs.is_empty()
        });
        self.turns.retain(|client| self.jobs.contains_key(client));
    }

    /// The client whose turn it is.
    pub(super) fn first(&self) -> Option<u32> {
        self.turns.front().copied()
    }

    /// The next job of the client whose turn it is, of those that may have one.
    pub(super) fn pop(&mut self, may: impl Fn(u32) -> bool) -> Option<Job> {
        let at = self.turns.iter().position(|client| may(*client))?;
        let client = self.turns.remove(at)?;
        let jobs = self.jobs.get_mut(&client)?;
        let job = jobs.pop_front();
        if jobs.is_empty() {
            self.jobs.remove(&client);
        } else {
            self.turns.push_back(client);
        }
        job
    }
}
