//! Which messages an order is for, as flags.

use serde_json::{Map, Value, json};
use waxseal_types::QueueId;

use crate::api::escaped;

/// Which messages: all that is said must hold.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Filter {
    /// From this sender; "" for notifications.
    #[arg(long, value_name = "ADDRESS")]
    sender: Option<String>,
    /// To this recipient.
    #[arg(long, value_name = "ADDRESS")]
    recipient: Option<String>,
    /// To somebody in this domain.
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<String>,
    /// For this next hop.
    #[arg(long, value_name = "NEXTHOP")]
    destination: Option<String>,
    /// With these words in what was last said of it.
    #[arg(long, value_name = "TEXT")]
    said: Option<String>,
    /// active, waiting or held.
    #[arg(long, value_name = "STATE", value_parser = ["active", "waiting", "held"])]
    state: Option<String>,
    /// At least this old: 90s, 15m, 2h, 5d.
    #[arg(long, value_name = "TIME")]
    older_than: Option<String>,
    /// At most this old.
    #[arg(long, value_name = "TIME")]
    younger_than: Option<String>,
}

impl Filter {
    fn pairs(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let pairs = [
            ("sender", &self.sender),
            ("recipient", &self.recipient),
            ("domain", &self.domain),
            ("destination", &self.destination),
            ("reason", &self.said),
            ("state", &self.state),
            ("older_than", &self.older_than),
            ("younger_than", &self.younger_than),
        ];
        pairs.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)))
    }

    /// For the end of a path.
    pub(crate) fn query(&self) -> String {
        let mut query = String::from("?format=ndjson");
        for (name, value) in self.pairs() {
            query += &format!("&{name}={}", escaped(value));
        }
        query
    }
}

/// The messages of an order: named, chosen, or all.
#[derive(Debug, clap::Args)]
pub(crate) struct Which {
    /// As `queue list` shows them.
    #[arg(value_name = "QUEUE_ID")]
    pub(crate) ids: Vec<QueueId>,
    #[command(flatten)]
    filter: Filter,
    /// All messages.
    #[arg(long)]
    pub(crate) all: bool,
    /// Only tells how many they are.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

impl Which {
    /// Whether it says nothing, or all and something.
    pub(crate) fn is_unclear(&self) -> bool {
        let said = !self.ids.is_empty() || self.filter.pairs().next().is_some();
        said == self.all
    }

    /// The request's body, but for what is particular to an action.
    pub(crate) fn order(&self, action: &str) -> Value {
        let mut select: Map<String, Value> =
            self.filter.pairs().map(|(name, value)| (name.to_owned(), json!(value))).collect();
        if !self.ids.is_empty() {
            let ids: Vec<String> = self.ids.iter().map(ToString::to_string).collect();
            select.insert("ids".into(), json!(ids));
        }
        json!({ "action": action, "select": select, "all": self.all, "dry_run": self.dry_run })
    }
}
