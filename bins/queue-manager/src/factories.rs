//! How each service is made, at the start and again when one has died.

use std::sync::{Arc, Mutex, PoisonError};

use waxseal_queue::{
    Direct,
    actor::{DeathNotice, Doorway, Factories, Fittings, SpoolParts},
};
use waxseal_spool::actor::SpoolActor;

use crate::readings::{MeterSlot, lock};

/// Starts an intake.
type IntakeFactory = Box<dyn Fn(Arc<Doorway>, DeathNotice)>;

/// The factories of all services. The first spool is open already.
pub(crate) fn factories(
    direct: &Direct,
    (spool, settings, meter): (SpoolParts, waxseal_spool::Settings, MeterSlot),
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
                first.map_or_else(|| open_spool(&settings, &meter), Ok)
            })
        },
        intake,
    }
}

pub(crate) fn open_spool(
    settings: &waxseal_spool::Settings,
    meter: &MeterSlot,
) -> Result<SpoolParts, waxseal_spool::Error> {
    let (log, recovery) = waxseal_spool::open(settings.clone())?;
    *lock(meter) = Some(log.meter());
    let gate = log.gate().clone();
    Ok(SpoolParts { actor: SpoolActor::new(log), gate, recovered: Box::new(recovery) })
}
