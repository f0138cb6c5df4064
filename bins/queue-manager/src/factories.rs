//! How each service is made, at the start and again when one has died.

use std::sync::{Arc, Mutex, PoisonError};

use waxseal_queue::{
    Direct,
    actor::{DeathNotice, Doorway, Factories, Fittings, SpoolParts},
};
use waxseal_spool::{Storage, actor::SpoolActor};

use crate::readings::{MeterSlot, lock};

/// Starts an intake.
type IntakeFactory = Box<dyn Fn(usize, Arc<Doorway>, DeathNotice)>;

/// Where the spool is: its settings, and what it is kept on, if that is not a folder.
pub(crate) type SpoolPlace = (waxseal_spool::Settings, Option<Arc<dyn Storage>>);

/// The factories of all services. The first spool is open already.
pub(crate) fn factories(
    direct: &Direct,
    (spool, place, meter): (SpoolParts, SpoolPlace, MeterSlot),
    intake: IntakeFactory,
) -> Factories {
    let Direct { resolver, policy, tables, store, connector, .. } = direct.clone();
    let fittings = Fittings {
        policy: Arc::new(move || {
            waxseal_policy::actor::PolicyActor::new(Arc::clone(&policy), Arc::clone(&tables))
        }),
        dns: Arc::new(move || waxseal_dns::actor::DnsActor::new(resolver.clone())),
        trust: Arc::new(move || waxseal_trust::TrustActor::new(Arc::clone(&store))),
        verify: Arc::new(waxseal_verify::VerifyActor::default),
        // Idle connections stay on their thread; TLS sessions, and what is known of dead addresses, are everybody's.
        transport: Arc::new(move || waxseal_transport::TransportActor::new(connector.sibling())),
    };
    Factories {
        fittings,
        spool: {
            let first = Mutex::new(Some(spool));
            Arc::new(move || {
                let first = first.lock().unwrap_or_else(PoisonError::into_inner).take();
                first.map_or_else(|| open_spool(&place, &meter, u64::MAX), Ok)
            })
        },
        intake,
    }
}

/// From so many octets of log on, the first start takes mail while the log's indexes are read: that takes longer than half of all else that a start does. A later
/// one does not, since the queue goes on with what it has, and tells of messages that the spool has to know.
pub(crate) const LONG_LOG: u64 = 128 << 20;

pub(crate) fn open_spool(
    (settings, storage): &SpoolPlace,
    meter: &MeterSlot,
    load_behind: u64,
) -> Result<SpoolParts, waxseal_spool::Error> {
    let settings = waxseal_spool::Settings { load_behind, ..settings.clone() };
    let (log, recovery) = match storage {
        Some(storage) => waxseal_spool::open_on(Arc::clone(storage), settings)?,
        None => waxseal_spool::open(settings)?,
    };
    *lock(meter) = Some(log.meter());
    let (gate, entrance) = (log.gate().clone(), log.entrance());
    Ok(SpoolParts { actor: SpoolActor::new(log), gate, entrance, recovered: Box::new(recovery.briefly()) })
}
