//! Who attends to clients at the moment; and tables where there are none.

use std::sync::{Arc, Mutex, PoisonError};

use actix::Addr;
use actix_rt::Arbiter;
use waxseal_intake::{Intake, actor::IntakeActor};
use waxseal_policy::{TableAnswer, TableName, Tables};
use waxseal_queue::actor::{DeathNotice, Doorway, watch};

/// No tables: every name in the settings is an error, which defers.
#[derive(Debug)]
pub(crate) struct NoTables;

impl Tables for NoTables {
    fn find<'a>(
        &'a self,
        table: &'a TableName,
        _key: &'a str,
    ) -> std::pin::Pin<Box<dyn Future<Output = TableAnswer> + Send + 'a>> {
        Box::pin(async move { TableAnswer::TempFail(format!("{table} is not open")) })
    }

    fn generation(&self) -> u64 {
        0
    }
}

/// Who attends to clients at the moment, on each of the threads for them.
#[derive(Debug, Clone)]
pub(crate) struct Attendants(Arc<[Mutex<Option<Addr<IntakeActor>>>]>);

impl Attendants {
    /// So many, none of whom is there yet.
    pub(crate) fn new(threads: usize) -> Self {
        Self((0..threads).map(|_| Mutex::default()).collect())
    }

    /// The one with this number.
    pub(crate) fn get(&self, number: usize) -> Option<Addr<IntakeActor>> {
        self.0.get(number)?.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether all have come.
    pub(crate) fn are_there(&self) -> bool {
        (0..self.0.len()).all(|number| self.get(number).is_some())
    }

    /// Whether anybody is there now: clients come to whoever is.
    pub(crate) fn any(&self) -> bool {
        (0..self.0.len()).filter_map(|number| self.get(number)).any(|address| address.connected())
    }

    fn set(&self, number: usize, address: Addr<IntakeActor>) {
        if let Some(slot) = self.0.get(number) {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
        }
    }
}

pub(crate) fn intake_factory(
    intake: Arc<Intake>,
    attendants: Attendants,
    threads: &[Arbiter],
) -> Box<dyn Fn(usize, Arc<Doorway>, DeathNotice)> {
    let threads: Vec<_> = threads.iter().map(Arbiter::handle).collect();
    Box::new(move |number, door, notice| {
        let (intake, attendants) = (Arc::clone(&intake), attendants.clone());
        let Some(thread) = threads.get(number) else { return };
        thread.spawn(async move {
            let address = watch(IntakeActor::new(intake, door), notice);
            attendants.set(number, address);
        });
    })
}
