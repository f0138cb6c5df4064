//! Checks of whole tables, for `waxseal check`: what a lookup would find out one destination at a time.

use waxseal_policy::{Origin, RouteLookup, Settings, Step, TableAnswer, TlsPolicy};
use waxseal_types::Mailbox;

use crate::{Problem, TableSet, problem::Place};

/// Every entry of every table that is invalid: mail for its destination would wait. Nothing of this keeps the daemon from starting.
pub(crate) fn entries(policy: &Settings, tables: &TableSet) -> Vec<Problem> {
    let mut problems: Vec<Problem> = Vec::new();
    let mut add = |origin: &Origin, what: String| {
        let problem = Problem::new(
            Place::of_text(&origin.place),
            &origin.key,
            format!("{what}; mail that needs this entry would wait"),
            "",
        );
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    };
    for (service, client) in policy.clients() {
        for table in &client.policy_maps {
            for (value, origin) in tables.entries(table) {
                if let Err(error) = TlsPolicy::of_entry(policy, &service, &value, origin.clone()) {
                    add(&origin, error.reason);
                }
            }
        }
    }
    let Ok(anybody) = Mailbox::new("user@example.com") else { return problems };
    for table in &policy.transport_maps {
        for (value, origin) in tables.entries(table) {
            let mut lookup = RouteLookup::new(policy, &anybody);
            // Where relay_domains are tables, they are asked first.
            while let Step::NeedKey { table: asked, .. } = lookup.step() {
                let found = asked == table && !policy.relay_domains.tables.contains(asked);
                lookup.answer(if found {
                    TableAnswer::Found { value: value.clone(), origin: origin.clone() }
                } else {
                    TableAnswer::Absent
                });
            }
            if let Step::Done(Err(error)) = lookup.step() {
                add(&origin, error.reason);
            }
        }
    }
    problems
}
