//! Whether the resolver can do DNSSEC, asked for a person who waits.

use std::time::Duration;

use waxseal_config::{Place, Problem};
use waxseal_dns::{DnssecHealth, Resolver, Settings};

/// How long a person waits for one answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks once, in a runtime of its own. `None` where there is no resolver to be had; that is told elsewhere.
pub(crate) fn ask(settings: &Settings) -> Option<DnssecHealth> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(probe(settings))
}

/// The same where there is a runtime already.
pub(crate) async fn probe(settings: &Settings) -> Option<DnssecHealth> {
    let settings = Settings { timeout: settings.timeout.min(PATIENCE), attempts: 1, ..settings.clone() };
    let resolver = Resolver::new(settings).ok()?;
    let limit = PATIENCE * 4;
    Some(tokio::time::timeout(limit, resolver.probe()).await.unwrap_or_else(|_| DnssecHealth::Unreachable {
        reason: format!("no answer within {} s", limit.as_secs()),
    }))
}

/// The same as a warning, where DANE is blind.
pub(crate) fn problem(health: &DnssecHealth) -> Option<Problem> {
    let (what, remedy) = match health {
        DnssecHealth::Capable | DnssecHealth::Off => return None,
        DnssecHealth::Blind { cause, reason } => (format!("DANE blind: {reason}"), cause.remedy()),
        DnssecHealth::Unreachable { reason } => {
            (format!("no resolver answers: {reason}"), "see to the resolver, or to dns.servers")
        }
    };
    Some(Problem::warning(Place::Default, "dns", what, remedy))
}
