//! Whether DNSSEC works here, looked at now and then.

use std::time::Duration;

use waxseal_dns::Resolver;

use crate::readings::{HealthSlot, lock};

/// How often the resolver is asked whether it can do DNSSEC; and how often while it cannot.
const PROBE_INTERVAL: Duration = Duration::from_secs(3600);
const BLIND_INTERVAL: Duration = Duration::from_secs(300);

/// Tells when the resolver cannot do DNSSEC, and when it can again. It only alarms: what weakens `dane` is configuration
/// alone (design §5.4).
pub(crate) async fn watch_dnssec(resolver: Resolver, found: HealthSlot) {
    let mut was_blind = false;
    loop {
        let health = resolver.probe().await;
        if health.is_blind() {
            tracing::error!("{health}; mail at dane and dane-only waits until that is mended");
        } else if was_blind {
            tracing::info!("{health} again; mail at dane and dane-only goes");
        }
        was_blind = health.is_blind();
        *lock(&found) = Some(health);
        let seen = resolver.statistics();
        tracing::info!(
            hits = seen.hits,
            joined = seen.joined,
            misses = seen.misses,
            failures = seen.failures,
            bogus = seen.bogus,
            timeouts = seen.timeouts,
            probes = seen.probes,
            blind = seen.blind,
            entries = seen.entries,
            octets = seen.octets,
            "dns since the start"
        );
        tokio::time::sleep(if was_blind { BLIND_INTERVAL } else { PROBE_INTERVAL }).await;
    }
}
