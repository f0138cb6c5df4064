//! Whether the queue-manager that runs on the same spool goes by the same policy: what this command reads are the files as they are now.

use serde_json::Value;
use waxseal_config::Config;
use waxseal_policy::find_policy;
use waxseal_queue::{Destination, Direct, Way};

use crate::api::{Door, Request, escaped};

/// What the running one has in force, where that is something else.
pub(super) async fn other_policy(config: &Config, services: &Direct, way: &Way) -> Option<String> {
    let Destination { service, nexthop } = &way.destination;
    let path = format!("/api/v1/policy/{}", escaped(&format!("{service}:{nexthop}")));
    // Where none runs, there is none to differ.
    let theirs = Door::of_spool(config.spool.path.clone()).value(Request::Get(&path)).ok()?;
    let ours = find_policy(&services.policy, &*services.tables, service, nexthop).await;
    let same = match &ours {
        Ok(policy) => theirs["entry"] == *policy.to_entry().to_string(),
        Err(_) => theirs["error"].is_string(),
    };
    (!same).then(|| differs(&theirs))
}

fn differs(theirs: &Value) -> String {
    let word = |key: &str| theirs[key].as_str().unwrap_or_default();
    let has = match theirs["error"].as_str() {
        Some(error) => format!("no usable policy ({error})"),
        None => format!("{} (from {})", word("entry"), word("source")),
    };
    format!(
        "the queue-manager that runs on this spool has another policy for this next hop in force: {has}. It has not read what this command read; \
         waxseal reload makes it do so, and says what stands in the way"
    )
}
