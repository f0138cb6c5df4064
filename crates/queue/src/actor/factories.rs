//! What the manager starts, and starts again.

use std::sync::Arc;

use waxseal_dns::actor::DnsActor;
use waxseal_policy::actor::PolicyActor;
use waxseal_spool::{Entrance, Found, Gate, actor::SpoolActor};
use waxseal_transport::TransportActor;
use waxseal_trust::TrustActor;
use waxseal_verify::VerifyActor;

use super::{children::DeathNotice, doorway::Doorway};

/// Makes a service actor; called again each time the last one died.
pub type Factory<A> = Arc<dyn Fn() -> A + Send + Sync>;

/// The services that deliveries ask; each thread that deliveries run on has its own.
#[derive(Clone)]
pub struct Fittings {
    /// Policy lookups.
    pub policy: Factory<PolicyActor>,
    /// DNS lookups.
    pub dns: Factory<DnsActor>,
    /// Trust stores.
    pub trust: Factory<TrustActor>,
    /// Judgements.
    pub verify: Factory<VerifyActor>,
    /// Connections.
    pub transport: Factory<TransportActor>,
}

impl std::fmt::Debug for Fittings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fittings").finish_non_exhaustive()
    }
}

/// Everything that the manager starts.
pub struct Factories {
    /// What deliveries ask.
    pub fittings: Fittings,
    /// The spool; opening it reads its folder, so it is called on a thread of its own.
    pub spool: Arc<dyn Fn() -> Result<SpoolParts, waxseal_spool::Error> + Send + Sync>,
    /// An intake for each of [`super::Threads::intakes`], by number, wherever that runs: it gets the doorway, and drops the notice when it ends.
    pub intake: Box<dyn Fn(usize, Arc<Doorway>, DeathNotice)>,
}

impl std::fmt::Debug for Factories {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Factories").finish_non_exhaustive()
    }
}

/// An opened spool.
pub struct SpoolParts {
    /// Its actor.
    pub actor: SpoolActor,
    /// What needs no question.
    pub gate: Gate,
    /// Where messages come in.
    pub entrance: Entrance,
    /// What was found in it.
    pub recovered: Box<dyn Iterator<Item = Result<Found, waxseal_spool::Error>> + Send>,
}

impl std::fmt::Debug for SpoolParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpoolParts").finish_non_exhaustive()
    }
}
