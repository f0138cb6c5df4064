//! Checks of whole tables, for `waxseal check`: what a lookup would find out one destination at a time.

use waxseal_policy::{RouteLookup, Step, TableAnswer, TlsPolicy};
use waxseal_types::{Mailbox, Protocol};

use crate::{Config, Problem, problem::Place};

impl Config {
    /// Every entry of every table that is invalid: mail for its destination would wait. Nothing of this keeps the daemon from starting.
    #[must_use]
    pub fn check_entries(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut add = |origin: &waxseal_policy::Origin, what: String| {
            let place =
                match origin.place.rsplit_once(':').and_then(|(file, line)| Some((file, line.parse().ok()?)))
                {
                    Some((file, line)) => Place::File { file: file.into(), line },
                    None => Place::File { file: origin.place.clone(), line: 0 },
                };
            problems.push(Problem::new(place, &origin.key, what, ""));
        };
        for protocol in [Protocol::Smtp, Protocol::Lmtp] {
            for table in &self.policy.client(protocol).policy_maps {
                for (value, origin) in self.tables.entries(table) {
                    if let Err(error) = TlsPolicy::of_entry(&self.policy, protocol, &value, origin.clone()) {
                        add(&origin, error.reason);
                    }
                }
            }
        }
        let Ok(anybody) = Mailbox::new("user@example.com") else { return problems };
        for table in &self.policy.transport_maps {
            for (value, origin) in self.tables.entries(table) {
                let mut lookup = RouteLookup::new(&self.policy, &anybody);
                lookup.answer(TableAnswer::Found { value, origin: origin.clone() });
                if let Step::Done(Err(error)) = lookup.step() {
                    add(&origin, error.reason);
                }
            }
        }
        problems.dedup();
        problems
    }
}
