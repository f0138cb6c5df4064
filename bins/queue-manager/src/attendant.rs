//! Who attends to clients at the moment; and tables where there are none.

use std::sync::{Arc, Mutex, PoisonError};

use actix::Addr;
use actix_rt::ArbiterHandle;
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

/// Who attends to clients at the moment.
pub(crate) type Attendant = Arc<Mutex<Option<Addr<IntakeActor>>>>;

pub(crate) fn intake_factory(
    intake: Arc<Intake>,
    attendant: Attendant,
    front: ArbiterHandle,
) -> Box<dyn Fn(Arc<Doorway>, DeathNotice)> {
    Box::new(move |door, notice| {
        let (intake, attendant) = (Arc::clone(&intake), Arc::clone(&attendant));
        front.spawn(async move {
            let address = watch(IntakeActor::new(intake, door), notice);
            *attendant.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
        });
    })
}
