//! A policy table that changes while mail is under way.

use std::{
    pin::Pin,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use waxseal_policy::{TableAnswer, TableName, Tables};

use crate::Entries;

/// [`Entries`] that a test can replace; each time it is a new generation, as after a reload.
#[derive(Debug)]
pub struct Changing {
    entries: Mutex<Entries>,
    generation: AtomicU64,
}

impl Changing {
    /// From `key value` lines.
    #[must_use]
    pub fn new(lines: &[&str]) -> Self {
        Self { entries: Mutex::new(Entries::new(lines)), generation: AtomicU64::new(1) }
    }

    /// From now on these lines hold.
    pub fn replace(&self, lines: &[&str]) {
        *self.entries.lock().unwrap_or_else(PoisonError::into_inner) = Entries::new(lines);
        self.generation.fetch_add(1, Ordering::Release);
    }
}

impl Tables for Changing {
    fn find<'a>(
        &'a self,
        table: &'a TableName,
        key: &'a str,
    ) -> Pin<Box<dyn Future<Output = TableAnswer> + Send + 'a>> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(async move { entries.find(table, key).await })
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }
}
